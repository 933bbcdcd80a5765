"""LiteRT files that compute in int8, but for the layers whose rounding costs most."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

FIRST, LAST = 3, 1
"""Convolutions at the start and the end that stay in float32.

They hold few weights, and a third of the keypoints that int8 moves far is due to them
(docs/EXPORT.md).
"""

CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")


def int8_content(converter: Any, crops: Callable[[], Iterator[list[np.ndarray]]]) -> bytes:
    """A converter's model in int8: weights by channel, layers by the ranges that crops show.

    Args:
        converter: A `tf.lite.TFLiteConverter`.
        crops: Gives inputs, [(B, S, S, 3) uint8] each, as `calibration_crops` does.
    """
    import tensorflow as tf

    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = crops
    # The converter alone quantises all layers or none.
    tools = tf.lite.experimental
    with warnings.catch_warnings():
        # TensorFlow advises against the interpreter that its own debugger uses.
        warnings.simplefilter("ignore", UserWarning)
        debugger = tools.QuantizationDebugger(converter=converter, debug_dataset=crops)
        names = names_at_the_ends(debugger.calibrated_model)
        debugger.options = tools.QuantizationDebugOptions(denylisted_nodes=names)
        return debugger.get_nondebug_quantized_model()


def names_at_the_ends(content: bytes) -> list[str]:
    """Names of what the operators up to convolution `FIRST`, and from `LAST` to the end, give.

    Args:
        content: A LiteRT file.
    """
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    (graph,) = model.subgraphs
    codes = {getattr(schema.BuiltinOperator, name) for name in CONVOLUTIONS}
    places = [
        place
        for place, operator in enumerate(graph.operators)
        if model.operatorCodes[operator.opcodeIndex].builtinCode in codes
    ]
    if len(places) <= FIRST + LAST:
        return []
    first, last = places[FIRST - 1], places[-LAST]
    kept = graph.operators[: first + 1] + graph.operators[last:]
    return [graph.tensors[operator.outputs[0]].name.decode() for operator in kept]
