"""Layers by shifts: outputs and gradients are those of Keras's own layers."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from hourglass.core.config import NetworkConfig
from hourglass.networks.hourglass import build_network
from hourglass.networks.shifts import (
    ShiftedDepthwiseConv2D,
    ShiftedMaxPooling2D,
    depthwise_convolution,
    halving,
)


@pytest.fixture(autouse=True)
def _same_layers() -> None:
    """Layers start with the same weights whenever the tests run."""
    keras.utils.set_random_seed(0)


def batch(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def run(layer: keras.Layer, inputs: np.ndarray) -> list[np.ndarray]:
    """The outputs, and the gradients by inputs and weights of a sum that weighs every output."""
    features = tf.constant(inputs)
    with tf.GradientTape() as tape:
        tape.watch(features)
        outputs = layer(features)
        loss = tf.reduce_sum(outputs * batch(*outputs.shape))
    weights = [weight.value for weight in layer.trainable_variables]
    return [outputs.numpy(), *(one.numpy() for one in tape.gradient(loss, [features, *weights]))]


@pytest.mark.parametrize("height", [7, 8])
@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("kernel", [3, 5])
def test_depthwise_convolution_is_kerass(kernel: int, strides: int, height: int):
    inputs = batch(2, height, 10, 3)
    ours, theirs = (
        depthwise_convolution(kernel, shifted=shifted, strides=strides) for shifted in (True, False)
    )
    assert type(ours) is ShiftedDepthwiseConv2D
    for layer in (ours, theirs):
        layer.build(inputs.shape)
    ours.set_weights(theirs.get_weights())
    assert ours.compute_output_shape(inputs.shape) == theirs.compute_output_shape(inputs.shape)
    for one, other in zip(run(ours, inputs), run(theirs, inputs), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-4)


def test_halving_is_kerass():
    inputs = batch(2, 6, 8, 3)
    ours, theirs = (halving(shifted=shifted) for shifted in (True, False))
    assert type(ours) is ShiftedMaxPooling2D
    assert ours.compute_output_shape(inputs.shape) == theirs.compute_output_shape(inputs.shape)
    for one, other in zip(run(ours, inputs), run(theirs, inputs), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("encoder", ["none", "lite0"])
def test_a_network_by_shifts_has_the_same_weights_and_maps(encoder: str):
    config = NetworkConfig(stacks=1, channels=8, depth=3, input_size=32, encoder=encoder)
    ours, theirs = (build_network(config, shifted=shifted) for shifted in (True, False))
    names = [[weight.path.split("/")[-1] for weight in one.weights] for one in (ours, theirs)]
    assert names[0] == names[1]
    theirs.set_weights(ours.get_weights())
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    np.testing.assert_allclose(ours(images), theirs(images), atol=1e-5)


def test_depthwise_convolutions_by_shifts_are_as_precise_as_the_rest():
    config = NetworkConfig(stacks=1, channels=8, depth=3, input_size=32, encoder="lite0")
    for shifted, precision in ((True, "bfloat16"), (False, "float32")):
        network = build_network(config, shifted=shifted, precision="mixed_bfloat16")
        layer = network.get_layer("lite0_stage2_block1_depthwise_conv")
        assert layer.compute_dtype == precision
