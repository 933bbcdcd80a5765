"""BatchNorm by one kernel: outputs, gradients and statistics are those of Keras's own layer."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import pytest
import tensorflow as tf

from hourglass.core.config import NetworkConfig
from hourglass.networks.encoders import efficientnet_lite
from hourglass.networks.hourglass import build_network
from hourglass.networks.normalization import (
    FusedBatchNormalization,
    OnePassBatchNormalization,
    batch_normalization,
)

SHAPE = (2, 3, 4, 5)
"""24 values per channel: a variance divided by n - 1 for n is 4 % off."""

CONFIG = NetworkConfig(stacks=2, channels=8, depth=1, input_size=32)


def batch(seed: int = 0, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """Features whose channels differ in mean and spread."""
    values = np.random.default_rng(seed).normal(size=shape)
    channels = np.arange(shape[-1])
    return (values * (0.5 + channels) + 2 * channels - 3).astype(np.float32)


def pair(**options: object) -> tuple[keras.Layer, keras.Layer]:
    """The fused layer and Keras's own, with the same weights, none of them the initial ones."""
    layers = tuple(
        batch_normalization(fused=fused, momentum=0.9, **{"epsilon": 1e-3, **options})
        for fused in (True, False)
    )
    rng = np.random.default_rng(1)
    values = [rng.uniform(0.5, 2, SHAPE[-1]) for _ in range(4)]
    for layer in layers:
        layer.build(SHAPE)
        layer.set_weights(values)
    assert [type(layer) for layer in layers] == [
        FusedBatchNormalization,
        keras.layers.BatchNormalization,
    ]
    return layers


def gradients(layer: keras.Layer, inputs: tf.Tensor) -> list[np.ndarray]:
    """Of a sum that weighs every output differently, by the inputs, gamma and beta."""
    weights = np.random.default_rng(2).normal(size=inputs.shape).astype(np.float32)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = tf.cast(layer(inputs, training=True), tf.float32)
        loss = tf.reduce_sum(outputs * weights)
    by = [inputs, layer.gamma.value, layer.beta.value]
    return [np.asarray(tf.cast(one, tf.float32)) for one in tape.gradient(loss, by)]


def assert_same_weights(one: keras.Layer, other: keras.Layer, tolerance: float = 1e-4) -> None:
    for left, right in zip(one.weights, other.weights, strict=True):
        assert left.name == right.name
        np.testing.assert_allclose(left, right, rtol=tolerance, atol=tolerance)


# In training.


def test_outputs_are_keras_own():
    fused, own = pair()
    outputs = fused(batch(), training=True)
    assert outputs.dtype == tf.float32
    np.testing.assert_allclose(outputs, own(batch(), training=True), rtol=1e-4, atol=1e-4)
    moments = (np.mean(outputs, axis=(0, 1, 2)), np.std(outputs, axis=(0, 1, 2)))
    np.testing.assert_allclose(moments[0], fused.beta, atol=1e-4)
    np.testing.assert_allclose(moments[1], fused.gamma, rtol=5e-3)


def test_gradients_are_keras_own():
    fused, own = pair()
    inputs = tf.constant(batch())
    for one, other in zip(gradients(fused, inputs), gradients(own, inputs), strict=True):
        assert np.abs(other).max() > 0.1
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_moving_statistics_are_keras_own():
    fused, own = pair()
    before = fused.get_weights()
    for step in range(3):
        for layer in (fused, own):
            layer(batch(step), training=True)
    assert_same_weights(fused, own)
    gamma, beta, mean, variance = zip(before, fused.get_weights(), strict=True)
    for unchanged in (gamma, beta):
        np.testing.assert_array_equal(*unchanged)
    for moved in (mean, variance):
        assert np.abs(moved[0] - moved[1]).min() > 1e-2


def test_moving_statistics_by_hand():
    layer = batch_normalization(fused=True, momentum=0.75)
    layer(np.array([2.0, 6.0], np.float32).reshape(1, 2, 1, 1), training=True)
    # Mean 4 and variance 4, of which a quarter is taken in; they start at 0 and 1.
    assert layer.moving_mean.numpy() == pytest.approx([1.0])
    assert layer.moving_variance.numpy() == pytest.approx([0.75 + 1.0])


@pytest.mark.parametrize("shape", [(1, 1, 1, 5), (3, 1, 1, 5)])
def test_a_few_values_are_enough(shape: tuple[int, ...]):
    fused, own = pair()
    outputs = [layer(batch(3, shape), training=True) for layer in (fused, own)]
    np.testing.assert_allclose(*outputs, rtol=1e-4, atol=1e-4)
    assert_same_weights(fused, own)


def test_channels_that_do_not_vary_stay_finite():
    fused, own = pair(epsilon=1e-5)
    inputs = tf.constant(np.full(SHAPE, 7.0, np.float32))
    np.testing.assert_allclose(
        fused(inputs, training=True), own(inputs, training=True), rtol=1e-3, atol=1e-3
    )
    assert_same_weights(fused, own)
    assert all(np.isfinite(one).all() for one in gradients(fused, inputs))


@pytest.mark.parametrize("epsilon", [1e-3, 1.0])
def test_epsilon_is_the_layers(epsilon: float):
    fused, own = pair(epsilon=epsilon)
    inputs = 0.1 * batch()
    np.testing.assert_allclose(
        fused(inputs, training=True), own(inputs, training=True), rtol=1e-4, atol=1e-4
    )


def test_an_epsilon_that_gpus_refuse_is_raised(monkeypatch: pytest.MonkeyPatch):
    asked: list[float] = []
    kernel = tf.raw_ops.FusedBatchNormV3

    def noting(**options: object) -> object:
        asked.append(options["epsilon"])
        return kernel(**options)

    monkeypatch.setattr(tf.raw_ops, "FusedBatchNormV3", noting)
    for epsilon in (1e-7, 1e-3):
        pair(epsilon=epsilon)[0](batch(), training=True)
    assert asked == [1.001e-5, 1e-3]


def test_bfloat16_stays_bfloat16():
    fused, own = pair(dtype="mixed_bfloat16")
    inputs = tf.cast(batch(), tf.bfloat16)
    outputs = fused(inputs, training=True)
    assert outputs.dtype == tf.bfloat16
    expected = tf.cast(own(inputs, training=True), tf.float32)
    np.testing.assert_allclose(tf.cast(outputs, tf.float32), expected, rtol=2e-2, atol=2e-2)
    # Statistics are float32's even so.
    assert all(weight.dtype == "float32" for weight in fused.weights)
    assert_same_weights(fused, own, tolerance=1e-3)
    for one, other in zip(gradients(fused, inputs), gradients(own, inputs), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-2, atol=2e-2 * np.abs(other).max())


@pytest.mark.parametrize("compiled", [False, True])
def test_a_tf_function_trains_the_same(compiled: bool):
    fused, own = pair()

    @tf.function(
        input_signature=[tf.TensorSpec((None, None, None, SHAPE[-1]))], jit_compile=compiled
    )
    def step(inputs: tf.Tensor) -> tf.Tensor:
        return fused(inputs, training=True)

    for seed, shape in enumerate([SHAPE, SHAPE, (1, 2, 5, SHAPE[-1])]):
        inputs = batch(seed, shape)
        np.testing.assert_allclose(step(inputs), own(inputs, training=True), rtol=1e-4, atol=1e-4)
    assert_same_weights(fused, own)


def test_fit_trains_the_same():
    def make(fused: bool) -> keras.Model:
        keras.utils.set_random_seed(3)
        model = keras.Sequential(
            [
                keras.Input((8, 8, 3)),
                keras.layers.Conv2D(4, 3, use_bias=False),
                batch_normalization(fused=fused, momentum=0.9),
                keras.layers.ReLU(),
                keras.layers.Conv2D(2, 1),
            ]
        )
        model.compile(keras.optimizers.SGD(0.05), "mse", jit_compile=False)
        return model

    fused, own = make(True), make(False)
    start = fused.get_weights()
    images, targets = batch(4, (8, 8, 8, 3)), batch(5, (8, 6, 6, 2))
    for model in (fused, own):
        model.fit(images, targets, batch_size=4, epochs=2, shuffle=False, verbose=0)
    assert_same_weights(fused, own, tolerance=1e-3)
    moved = [
        np.abs(one - other).max() for one, other in zip(start, fused.get_weights(), strict=True)
    ]
    assert min(moved) > 1e-3
    np.testing.assert_allclose(
        fused.predict(images, verbose=0), own.predict(images, verbose=0), rtol=1e-3, atol=1e-3
    )


# Out of training.


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_without_training_it_is_keras_own(dtype: str):
    fused, own = pair(dtype=dtype)
    before = fused.get_weights()
    for inputs in (batch(), batch()[0, 0]):
        layers = tuple(batch_normalization(fused=one, dtype=dtype) for one in (True, False))
        for layer in layers:
            layer.build(inputs.shape)
            layer.set_weights(before)
        outputs = [np.asarray(tf.cast(layer(inputs), tf.float32)) for layer in layers]
        np.testing.assert_array_equal(*outputs)
    for options in ({}, {"training": False}):
        outputs = [tf.cast(layer(batch(), **options), tf.float32) for layer in (fused, own)]
        np.testing.assert_array_equal(*outputs)
    for one, other in zip(before, fused.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_frozen_layer_does_not_train():
    fused, _ = pair()
    expected, before = fused(batch(), training=False), fused.get_weights()
    fused.trainable = False
    np.testing.assert_array_equal(fused(batch(), training=True), expected)
    for one, other in zip(before, fused.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    fused.trainable = True
    assert np.abs(fused(batch(), training=True) - expected).max() > 0.1


# Which layer it is.


def test_keras_layer_is_the_default():
    for layer in (batch_normalization(), batch_normalization(fused=False)):
        assert type(layer) is keras.layers.BatchNormalization
        assert not layer.synchronized


@pytest.mark.parametrize("fused", [False, True])
def test_synchronized_statistics_are_keras_business(fused: bool):
    layer = batch_normalization(fused=fused, synchronized=True)
    assert type(layer) is keras.layers.BatchNormalization
    assert layer.synchronized


@pytest.mark.parametrize(
    ("backend", "kind"),
    [
        ("tensorflow", FusedBatchNormalization),
        ("jax", OnePassBatchNormalization),
        ("torch", keras.layers.BatchNormalization),
    ],
)
def test_each_backend_gets_its_layer(
    monkeypatch: pytest.MonkeyPatch, backend: str, kind: type[keras.layers.BatchNormalization]
):
    monkeypatch.setattr("keras.backend.backend", lambda: backend)
    assert type(batch_normalization(fused=True)) is kind
    assert type(batch_normalization(fused=False)) is keras.layers.BatchNormalization


@pytest.mark.parametrize("choice", [{}, {"fused": True}, {"synchronized": True}])
def test_options_reach_the_layer(choice: dict[str, bool]):
    layer = batch_normalization(
        **choice, momentum=0.7, epsilon=0.02, name="norm", dtype="mixed_bfloat16"
    )
    assert (layer.momentum, layer.epsilon, layer.name) == (0.7, 0.02, "norm")
    assert layer.dtype_policy.name == "mixed_bfloat16"


# In a network.


def norms_of(model: keras.Model) -> set[type]:
    norm = keras.layers.BatchNormalization
    return {type(layer) for layer in model.layers if isinstance(layer, norm)}


def test_every_norm_of_a_network_is_fused_if_asked():
    assert norms_of(build_network(CONFIG, fused=True)) == {FusedBatchNormalization}
    for options in ({}, {"fused": True, "synchronized": True}):
        assert norms_of(build_network(CONFIG, **options)) == {keras.layers.BatchNormalization}


@pytest.mark.parametrize("fused", [False, True])
def test_every_norm_of_an_encoder_is_fused_if_asked(nano: str, fused: bool):
    images = keras.Input((64, 64, 3))
    model = keras.Model(images, efficientnet_lite(images, nano, fused=fused))
    kind = FusedBatchNormalization if fused else keras.layers.BatchNormalization
    assert norms_of(model) == {kind}


@pytest.fixture(scope="module")
def networks() -> Callable[[], tuple[keras.Model, keras.Model]]:
    """Makes a fused network filled with the weights of one that is not, and that one."""
    own, fused = build_network(CONFIG), build_network(CONFIG, fused=True, seed=1)
    rng = np.random.default_rng(6)
    weights = [one + rng.normal(0, 0.05, one.shape) for one in own.get_weights()]

    def fill() -> tuple[keras.Model, keras.Model]:
        own.set_weights(weights)
        fused.set_weights(own.get_weights())
        return fused, own

    return fill


def test_a_fused_network_takes_weights_and_predicts_the_same(
    networks: Callable[[], tuple[keras.Model, keras.Model]],
):
    fused, own = networks()
    images = np.random.default_rng(7).integers(0, 256, (2, 32, 32, 3), np.uint8)
    outputs = np.asarray(own(images))
    assert outputs.std() > 1e-3
    np.testing.assert_array_equal(fused(images), outputs)


def test_a_fused_network_trains_the_same(
    networks: Callable[[], tuple[keras.Model, keras.Model]],
):
    fused, own = networks()
    images = np.random.default_rng(8).integers(0, 256, (4, 32, 32, 3), np.uint8)
    before = fused.get_weights()
    outputs = [np.asarray(network(images, training=True)) for network in (fused, own)]
    np.testing.assert_allclose(*outputs, rtol=1e-3, atol=1e-3 * np.abs(outputs[1]).max())
    for one, other in zip(fused.get_weights(), own.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)
    assert any((one != other).any() for one, other in zip(before, fused.get_weights(), strict=True))


# In one pass, as on JAX.


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_one_pass_gives_kerass_numbers(dtype: str):
    ours = OnePassBatchNormalization(momentum=0.9, epsilon=1e-3, dtype=dtype)
    theirs = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-3, dtype=dtype)
    rng = np.random.default_rng(1)
    values = [rng.uniform(0.5, 2, SHAPE[-1]) for _ in range(4)]
    for layer in (ours, theirs):
        layer.build(SHAPE)
        layer.set_weights(values)
    inputs = tf.cast(batch(), ours.compute_dtype)
    tolerance = 1e-4 if dtype == "float32" else 3e-2
    for one, other in zip(gradients(ours, inputs), gradients(theirs, inputs), strict=True):
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)
    assert_same_weights(ours, theirs)
    outputs = [np.asarray(tf.cast(layer(inputs), tf.float32)) for layer in (ours, theirs)]
    np.testing.assert_allclose(*outputs, rtol=tolerance, atol=tolerance)
