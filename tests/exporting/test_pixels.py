"""The picture as quantised bytes: another first operator, the same numbers."""

from __future__ import annotations

import numpy as np
import pytest

from hourglass.exporting.pixels import ALIGNMENT, with_quantised_pixels


def converted(dtype: str) -> bytes:
    """A file of one convolution that takes (N, 8, 8, 3) of a type."""
    import tensorflow as tf

    kernel = tf.constant(np.random.default_rng(0).normal(size=(3, 3, 3, 5)).astype(np.float32))

    @tf.function(input_signature=[tf.TensorSpec((None, 8, 8, 3), dtype, name="image")])
    def run(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"heatmaps": tf.nn.conv2d(tf.cast(image, tf.float32), kernel, 1, "SAME")}

    module = tf.Module()
    module.run = run
    concrete = run.get_concrete_function()
    return tf.lite.TFLiteConverter.from_concrete_functions([concrete], module).convert()


def run(content: bytes, images: np.ndarray) -> np.ndarray:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content)
    entry = interpreter.get_input_details()[0]
    interpreter.resize_tensor_input(entry["index"], images.shape, strict=True)
    interpreter.allocate_tensors()
    interpreter.set_tensor(entry["index"], images)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


@pytest.fixture(scope="module")
def before() -> bytes:
    return converted("uint8")


@pytest.fixture(scope="module")
def after(before: bytes) -> bytes:
    return with_quantised_pixels(before)


def test_the_numbers_stay(before: bytes, after: bytes):
    images = np.arange(256, dtype=np.uint8).repeat(3).reshape(4, 8, 8, 3)
    np.testing.assert_array_equal(run(after, images), run(before, images))


def test_bytes_are_dequantised_as_they_are(after: bytes):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=after)
    (entry,) = interpreter.get_input_details()
    assert entry["dtype"] == np.uint8
    assert entry["quantization"] == (1.0, 0)
    assert entry["shape_signature"].tolist() == [-1, 8, 8, 3]
    names = [operator["op_name"] for operator in interpreter._get_ops_details()]
    assert names[0] == "DEQUANTIZE"
    assert "CAST" not in names


def test_weights_begin_at_multiples_of_16_bytes(after: bytes):
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.Model.GetRootAs(after, 0)
    buffers = [model.Buffers(number) for number in range(model.BuffersLength())]
    field = 4  # of `data`, the table's first
    starts = [
        buffer._tab.Vector(buffer._tab.Offset(field))
        for buffer in buffers
        if not buffer.DataIsNone()
    ]
    assert len(starts) >= 2
    assert [start % ALIGNMENT for start in starts] == [0] * len(starts)


def test_an_input_that_is_not_cast_stays_as_it_is():
    content = converted("float32")
    assert with_quantised_pixels(content) is content
