"""`python -m tools.convert_detector`: the detector of people as a LiteRT file, for browsers.

It rebuilds YOLOX-Nano with the weights of the ONNX file. Pictures are (1, S, S, 3) uint8 RGB; of
COCO's 80 classes people alone are left. The file has one signature for each side S at which
`hourglass.inference.detection` looks, and holds their weights once.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import click

from hourglass.console import PATH, command, force_option, quiet_stderr
from hourglass.core.errors import InputError
from hourglass.core.files import replacing
from hourglass.inference.detection import (
    LITERT_WEIGHTS,
    PERSON,
    SIDE,
    SMALL_SIDE,
    WEIGHTS,
)

SIDES = (SMALL_SIDE, SIDE)

CLASSES = 80

FOCUS = (0, 2, 1, 3)
"""Where YOLOX's first layer takes the four pixels of a 2×2 block that `space_to_depth` stacks."""


class Detector:
    """The ONNX file's network in TensorFlow's operations, channels last.

    Args:
        path: The ONNX file.
    """

    def __init__(self, path: Path = WEIGHTS) -> None:
        import onnx

        graph = onnx.load(str(path)).graph
        self._weights = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
        first = next(i for i, node in enumerate(graph.node) if node.op_type == "Conv")
        last = next(i for i, node in enumerate(graph.node) if node.op_type == "Reshape")
        self._nodes = list(graph.node)[first:last]
        self._heads = [node.output[0] for node in self._nodes if node.op_type == "Concat"][-3:]

    def __call__(self, pictures: Any) -> Any:
        """Raw predictions.

        Args:
            pictures: (1, S, S, 3) uint8 RGB.

        Returns:
            (1, P, 6) float32: for every cell of the grids with strides 8, 16 and 32, row by row,
            the box's x, y, and logarithms of width and height, in units of cells and strides; how
            likely there is an object, and that it is a person.
        """
        import tensorflow as tf

        blocks = tf.nn.space_to_depth(tf.cast(pictures, tf.float32), 2)
        values = {self._nodes[0].input[0]: blocks}
        for node in self._nodes:
            values[node.output[0]] = self._apply(node, values, first=node is self._nodes[0])
        rows = [tf.reshape(values[name], (1, -1, values[name].shape[-1])) for name in self._heads]
        return tf.concat(rows, axis=1)

    def _apply(self, node: Any, values: dict[str, Any], *, first: bool) -> Any:
        import tensorflow as tf

        inputs = [values[name] for name in node.input if name in values]
        if node.op_type == "Conv":
            return self._convolve(node, inputs[0], first=first)
        if node.op_type == "Sigmoid":
            return tf.sigmoid(inputs[0])
        if node.op_type == "Mul":
            return inputs[0] * inputs[1]
        if node.op_type == "Add":
            return inputs[0] + inputs[1]
        if node.op_type == "Concat":
            return tf.concat(inputs, axis=-1)
        if node.op_type == "MaxPool":
            return tf.nn.max_pool2d(inputs[0], _attribute(node, "kernel_shape"), 1, "SAME")
        if node.op_type == "Resize":
            size = [2 * inputs[0].shape[1], 2 * inputs[0].shape[2]]
            return tf.raw_ops.ResizeNearestNeighbor(images=inputs[0], size=size)
        raise InputError(f"the detector has a layer {node.op_type}, which is not known here")

    def _convolve(self, node: Any, features: Any, *, first: bool) -> Any:
        import tensorflow as tf

        kernel, bias = (self._weights[name] for name in node.input[1:])
        if len(bias) == CLASSES:
            kernel, bias = kernel[PERSON : PERSON + 1], bias[PERSON : PERSON + 1]
        if first:
            # From the four pixels' BGR to RGB in `space_to_depth`'s order.
            kernel = kernel.reshape(len(kernel), 4, 3, *kernel.shape[2:])[:, list(FOCUS), ::-1]
            kernel = kernel.reshape(len(kernel), 12, *kernel.shape[3:])
        stride, (pad, *_) = _attribute(node, "strides")[0], _attribute(node, "pads")
        padding = "SAME"
        if stride > 1:  # there SAME would pad at the end alone
            features = tf.pad(features, [[0, 0], [pad, pad], [pad, pad], [0, 0]])
            padding = "VALID"
        if _attribute(node, "group") > 1:
            filters = kernel.transpose(2, 3, 0, 1)
            strides = [1, stride, stride, 1]
            return tf.nn.depthwise_conv2d(features, filters, strides, padding) + bias
        return tf.nn.conv2d(features, kernel.transpose(2, 3, 1, 0), stride, padding) + bias


def _attribute(node: Any, name: str) -> Any:
    import onnx

    (found,) = (one for one in node.attribute if one.name == name)
    return onnx.helper.get_attribute_value(found)


def convert(detector: Detector, *, float16: bool) -> bytes:
    """The LiteRT file's bytes.

    Args:
        detector: What to convert.
        float16: Round the weights to float16, half the size.
    """
    import tensorflow as tf

    module = tf.Module()
    signatures = {}
    for side in SIDES:
        spec = tf.TensorSpec((1, side, side, 3), tf.uint8, name="image")

        @tf.function(input_signature=[spec])
        def run(image: Any) -> dict[str, Any]:
            return {"predictions": detector(image)}

        setattr(module, f"run_{side}", run)
        signatures[f"side_{side}"] = run
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures=signatures)
        converter = tf.lite.TFLiteConverter.from_saved_model(
            folder, signature_keys=list(signatures)
        )
        if float16:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        return _with_weights_once(converter.convert())


def _with_weights_once(content: bytes) -> bytes:
    """A LiteRT file's bytes with equal buffers stored once: converters write each signature's."""
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(content))
    places: dict[bytes, int] = {}
    buffers: list[Any] = []
    moved = []
    for number, buffer in enumerate(model.buffers):
        data = b"" if buffer.data is None else bytes(buffer.data)
        # Tensors that are computed have an empty buffer each, the first of all is the empty one.
        key = data or str(number).encode()
        if key not in places:
            places[key] = len(buffers)
            buffers.append(buffer)
        moved.append(places[key])
    model.buffers = buffers
    for subgraph in model.subgraphs:
        for tensor in subgraph.tensors:
            tensor.buffer = moved[tensor.buffer]
    for entry in model.metadata or []:
        entry.buffer = moved[entry.buffer]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


@click.command()
@click.option(
    "--output", type=PATH, default=LITERT_WEIGHTS, show_default=True, help="File to write."
)
@click.option("--float32", is_flag=True, help="Keep the weights as they are. [default: float16]")
@force_option
@command
def main(output: Path, float32: bool, force: bool) -> None:
    """Writes the detector of people as a LiteRT file."""
    if output.exists() and not force:
        raise InputError(f"--output {output}: exists; replace it with --force, or name another")
    with quiet_stderr():
        content = convert(Detector(), float16=not float32)
    with replacing(output) as temporary:
        temporary.write_bytes(content)
    click.echo(f"{output}: {len(content):,} bytes")


if __name__ == "__main__":
    main()
