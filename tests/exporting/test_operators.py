"""Which operators run on the accelerators of phones: the shipped file's, and others."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from hourglass.exporting.operators import (
    GPU_OPERATORS,
    NNAPI_OPERATORS,
    Operator,
    describe_operators,
    on_gpu,
    on_nnapi,
    read_operators,
)
from hourglass.inference.detection import LITERT_WEIGHTS
from hourglass.inference.estimator import SHIPPED_LITERT


def operator(
    name: str, version: int = 1, given: str = "FLOAT32", taken: str | None = None, **fields: object
) -> Operator:
    defaults: dict = {"constants": (), "dimensions": 4}
    return Operator(name, version, ((taken or given),), outputs=(given,), **defaults | fields)


@pytest.fixture(scope="module")
def strange_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file whose ARG_MAX no GPU delegate takes, and whose FFT, a custom operator, nobody does."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((1, 4, 4, 3), tf.float32, name="image")])
    def run(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"place": tf.argmax(image, 1, output_type=tf.int32), "sine": tf.math.asin(image)}

    converter = tf.lite.TFLiteConverter.from_concrete_functions([run.get_concrete_function()])
    converter.allow_custom_ops = True
    path = tmp_path_factory.mktemp("strange") / "strange.tflite"
    path.write_bytes(converter.convert())
    return path


def test_the_shipped_file_runs_on_accelerators():
    operators = read_operators(SHIPPED_LITERT)
    counts = Counter(one.name for one in operators)
    assert counts["CONV_2D"] == 53
    assert counts["DEPTHWISE_CONV_2D"] == 16
    assert operators[-1] == Operator(
        "CONV_2D", 1, ("FLOAT32",), ("FLOAT32", "FLOAT32"), ("FLOAT32",), 4
    )
    pixels = [one for one in operators if one.inputs == ("UINT8",)]
    assert pixels == [Operator("DEQUANTIZE", 1, ("UINT8",), (), ("FLOAT32",), 4)]


def test_all_shipped_models_run_on_accelerators():
    files = sorted(set(SHIPPED_LITERT.parent.glob("*.tflite")) - {LITERT_WEIGHTS})
    told = {describe_operators(read_operators(file)) for file in files}
    assert told == {"all 6 kinds of operators run on GPU delegates and NNAPI"}


def test_what_is_not_taken_is_listed(strange_file: Path):
    assert describe_operators(read_operators(strange_file)) == (
        "not on GPU delegates: ARG_MAX 1 (FLOAT32 to INT32), Asin 1 (FLOAT32 to FLOAT32); "
        "not on NNAPI: Asin 1 (FLOAT32 to FLOAT32)"
    )


@pytest.mark.parametrize(
    ("one", "gpu", "nnapi"),
    [
        (operator("CONV_2D", 3, "INT8"), True, True),
        (operator("CONV_2D", 3, "INT16"), False, False),
        (operator("CONV_2D", 6), True, False),  # newer than NNAPI knows
        (operator("CONV_2D", dimensions=5), False, False),
        (operator("CAST", taken="UINT8"), False, True),
        (operator("CAST", taken="INT32"), True, True),
        (operator("GREATER", given="BOOL", taken="FLOAT32"), True, True),
        (operator("ABS", given="BOOL", taken="FLOAT32"), False, True),
        (operator("DIV", given="INT8"), True, False),
        (operator("SHAPE", given="INT32"), False, False),
        (operator("DEQUANTIZE", 2, taken="INT8"), True, True),
        (operator("DEQUANTIZE", 3, taken="FLOAT16"), True, False),
        (Operator("DEQUANTIZE", 3, (), ("FLOAT16",), ("FLOAT32",), 4), True, True),
        (
            Operator("TRANSPOSE_CONV", 3, ("FLOAT32",), ("INT32", "FLOAT32"), ("FLOAT32",), 4),
            True,
            True,
        ),
        (
            Operator("TRANSPOSE_CONV", 3, ("INT32", "FLOAT32"), ("FLOAT32",), ("FLOAT32",), 4),
            False,
            False,
        ),
    ],
    ids=lambda value: f"{value.name}-{'-'.join(value.inputs)}" if hasattr(value, "name") else "",
)
def test_types_and_versions_count(one: Operator, gpu: bool, nnapi: bool):
    assert (on_gpu(one), on_nnapi(one)) == (gpu, nnapi)


def test_the_tables_name_operators_of_the_schema():
    from tensorflow.lite.python import schema_py_generated as schema

    known = set(vars(schema.BuiltinOperator))
    assert known >= GPU_OPERATORS
    assert known >= set(NNAPI_OPERATORS)


def test_another_file_is_told(tmp_path: Path):
    path = tmp_path / "a.tflite"
    for content in (b"", np.random.default_rng(0).bytes(100)):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"^{re.escape(str(path))}: not a LiteRT file$"):
            read_operators(path)
