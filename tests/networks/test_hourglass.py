"""The network: the reference's size and connections, and weights that a seed decides."""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np
import pytest
import tensorflow as tf

from hourglass.core.config import NetworkConfig
from hourglass.core.presets import preset
from hourglass.networks.hourglass import build_network, last_stack

MICRO = NetworkConfig(stacks=2, channels=8, depth=1, input_size=32, joints=3)
"""The smallest network with everything in it, for tests only."""


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)


@pytest.fixture(scope="module")
def shared() -> keras.Model:
    return build_network(MICRO)


@pytest.fixture
def micro(shared: keras.Model) -> Iterator[keras.Model]:
    """The smallest network; a test may change its weights."""
    before = shared.get_weights()
    yield shared
    shared.set_weights(before)


@pytest.fixture
def bfloat16() -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(before)


def producer(tensor: keras.KerasTensor) -> keras.Operation:
    """The layer that a symbolic tensor comes from."""
    return tensor._keras_history.operation


def layers_of(model: keras.Model, kind: type) -> list[keras.Layer]:
    return [layer for layer in model.layers if isinstance(layer, kind)]


# `lite`: EfficientNet-Lite0 to its last block has 2,958,848; on the way up there are four 1×1
# convolutions to 112 channels (56,000), five residuals (41,440 each), and the end (12,880 + 1,808).
@pytest.mark.parametrize(
    ("name", "stacks", "trainable"),
    [
        ("hg1", 1, 3_586_960),
        ("hg2", 2, 6_730_912),
        ("hg4", 4, 13_018_816),
        ("hg8", 8, 25_594_624),
        ("lite", 1, 3_236_736),
    ],
)
def test_the_presets_have_the_references_parameters(name: str, stacks: int, trainable: int):
    network = build_network(name)
    assert sum(int(np.prod(weight.shape)) for weight in network.trainable_weights) == trainable
    size = preset(name).network.input_size
    assert network.input_shape == (None, size, size, 3)
    assert network.output_shape == (None, stacks, size // 4, size // 4, 16)


@pytest.mark.parametrize(
    ("config", "shape"),
    [
        (NetworkConfig(stacks=3, channels=8, depth=1, input_size=40, joints=5), (3, 10, 10, 5)),
        (NetworkConfig(stacks=1, channels=4, depth=3, input_size=96, joints=1), (1, 24, 24, 1)),
    ],
)
def test_the_configuration_decides_the_output(config: NetworkConfig, shape: tuple[int, ...]):
    network = build_network(config)
    images = np.zeros((2, config.input_size, config.input_size, 3), np.uint8)
    assert network(images).shape == (2, *shape)


@pytest.fixture(scope="module")
def encoded() -> keras.Model:
    """Two small hourglasses, the first of which comes down an EfficientNet-Lite."""
    return build_network(
        NetworkConfig(stacks=2, channels=8, depth=1, input_size=64, joints=3, encoder="lite0"),
        frozen_statistics=True,
        seed=3,
    )


def test_an_encoder_keeps_the_outputs_shape(encoded: keras.Model):
    assert encoded.output_shape == (None, 2, 16, 16, 3)
    assert encoded(np.zeros((2, 64, 64, 3), np.uint8)).shape == (2, 2, 16, 16, 3)


def test_an_encoders_pictures_are_rescaled_as_it_learnt_them(encoded: keras.Model):
    (rescaling,) = layers_of(encoded, keras.layers.Rescaling)
    grey = np.array([0, 127, 255], np.uint8).reshape(1, 1, 1, 3)
    np.testing.assert_allclose(rescaling(grey).numpy().ravel(), [-127 / 128, 0, 1], atol=1e-6)


def test_an_encoders_every_size_reaches_the_heatmaps(encoded: keras.Model):
    sources = {
        producer(layer.input).name.split("_block")[0]
        for layer in layers_of(encoded, keras.layers.Conv2D)
        if not layer.name.startswith("lite0") and "lite0" in producer(layer.input).name
    }
    # The last of the stages at strides 4, 8, 16 and 32.
    assert sources == {"lite0_stage2", "lite0_stage3", "lite0_stage5", "lite0_stage7"}


def test_the_seed_decides_an_encoders_weights_too(encoded: keras.Model):
    other = build_network(
        NetworkConfig(stacks=1, channels=8, depth=1, input_size=64, joints=3, encoder="lite0"),
        seed=4,
    )
    kernels = [model.get_layer("lite0_stem_conv").kernel.numpy() for model in (encoded, other)]
    assert np.abs(kernels[0] - kernels[1]).max() > 1e-3


def test_an_encoders_frozen_statistics_stay_in_training(encoded: keras.Model):
    norms = layers_of(encoded, keras.layers.BatchNormalization)
    before = {norm.name: [value.numpy() for value in norm.weights] for norm in norms}
    encoded(np.random.default_rng(1).integers(0, 256, (2, 64, 64, 3), np.uint8), training=True)
    moved = {
        norm.name
        for norm in norms
        if any(
            (old != new.numpy()).any()
            for old, new in zip(before[norm.name], norm.weights, strict=True)
        )
    }
    assert moved == {norm.name for norm in norms if not norm.name.startswith("lite0")}


def test_an_unknown_preset_is_refused():
    with pytest.raises(ValueError, match="no preset is called 'hg3'"):
        build_network("hg3")


@pytest.mark.parametrize("depth", [1, 3])
def test_an_hourglass_halves_its_features_depth_times(depth: int):
    config = NetworkConfig(stacks=1, channels=4, depth=depth, input_size=64)
    network = build_network(config)
    sides = {layer.output.shape[1] for layer in layers_of(network, keras.layers.Conv2D)}
    assert sides == {32, *(16 // 2**step for step in range(depth + 1))}


def test_pictures_are_rescaled_to_minus_1_to_1(micro: keras.Model):
    (rescaling,) = layers_of(micro, keras.layers.Rescaling)
    assert rescaling.input is micro.input
    assert micro.input.dtype == "uint8"
    grey = np.array([0, 51, 255], np.uint8).reshape(1, 1, 1, 3)
    np.testing.assert_allclose(rescaling(grey).numpy().ravel(), [-1, -0.6, 1], atol=1e-6)


def test_the_stacks_are_in_order(micro: keras.Model, pictures: np.ndarray):
    each = keras.Model(
        micro.input, [micro.get_layer(f"heatmaps_{stack}").output for stack in (1, 2)]
    )
    first, second = (output.numpy() for output in each(pictures))
    together = micro(pictures).numpy()
    np.testing.assert_allclose(together[:, 0], first, atol=1e-7)
    np.testing.assert_allclose(together[:, 1], second, atol=1e-7)
    assert np.abs(first - second).max() > 1e-5


def test_a_stack_sees_the_picture_through_x_alone(micro: keras.Model, pictures: np.ndarray):
    """With the first stack's features held still, only `x` tells the second one of the picture."""
    relu = producer(micro.get_layer("heatmaps_1").input)
    norm = producer(relu.input)
    assert isinstance(norm, keras.layers.BatchNormalization)
    norm.gamma.assign(keras.ops.zeros_like(norm.gamma))
    norm.beta.assign(keras.ops.ones_like(norm.beta))
    output = micro(pictures).numpy()
    differences = np.ptp(output, axis=0)  # between the pictures
    assert differences[0].max() < 1e-7
    assert differences[1].min() > 1e-5


def test_the_next_input_is_x_plus_features_plus_heatmaps(micro: keras.Model, pictures: np.ndarray):
    """Read off the graph, then added up by hand: no more and no less than the three."""
    heatmaps = micro.get_layer("heatmaps_1").output
    features = micro.get_layer("heatmaps_1").input
    fed = {
        name: [
            layer
            for layer in layers_of(micro, keras.layers.Conv2D)
            if layer.input is tensor and layer.name != "heatmaps_1"
        ]
        for name, tensor in (("features", features), ("heatmaps", heatmaps))
    }
    assert [len(layers) for layers in fed.values()] == [1, 1]
    convolutions = [layers[0] for layers in fed.values()]
    assert [layer.kernel_size for layer in convolutions] == [(1, 1), (1, 1)]
    joined = [
        layer
        for layer in layers_of(micro, keras.layers.Add)
        if any(tensor is convolutions[0].output for tensor in layer.input)
    ]
    pool = layers_of(micro, keras.layers.MaxPooling2D)
    x = pool[
        1
    ].input  # the first pool is the stem's, the second is where the first hourglass starts
    next_input = pool[2].input  # and the third where the second one does
    assert joined[-1].output is next_input
    probe = keras.Model(micro.input, [next_input, x, features, heatmaps])
    total, *parts = (value.numpy() for value in probe(pictures))
    by_hand = parts[0]
    for layer, part in zip(convolutions, parts[1:], strict=True):
        kernel, bias = layer.get_weights()
        by_hand = by_hand + part @ kernel[0, 0] + bias
    np.testing.assert_allclose(total, by_hand, atol=1e-4)


def test_every_layer_has_a_part_in_the_last_stack(micro: keras.Model, pictures: np.ndarray):
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(micro(pictures, training=True)[:, -1] ** 2)
    gradients = tape.gradient(loss, micro.trainable_variables)
    still = [
        variable.path
        for variable, gradient in zip(micro.trainable_variables, gradients, strict=True)
        if gradient is None or (variable.path.endswith("kernel") and not np.any(gradient))
    ]
    assert still == []


def test_a_later_stack_does_not_change_an_earlier_one(micro: keras.Model, pictures: np.ndarray):
    before = micro(pictures).numpy()
    kernel = micro.get_layer("heatmaps_2").kernel
    kernel.assign(kernel + 1.0)
    after = micro(pictures).numpy()
    np.testing.assert_array_equal(after[:, 0], before[:, 0])
    assert np.abs(after[:, 1] - before[:, 1]).max() > 1e-3


def test_people_of_a_batch_do_not_mix(micro: keras.Model, pictures: np.ndarray):
    together = micro(pictures, training=False).numpy()
    alone = micro(pictures[2:3], training=False).numpy()
    np.testing.assert_allclose(together[2:3], alone, atol=1e-6)


def test_the_same_seed_gives_the_same_weights():
    one, other = (build_network(MICRO, seed=5).get_weights() for _ in range(2))
    for left, right in zip(one, other, strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("seed", [0, 2**31 - 1])
def test_another_seed_gives_other_kernels(seed: int):
    one, other = build_network(MICRO, seed=1), build_network(MICRO, seed=seed)
    alike = [
        left.path
        for left, right in zip(one.trainable_weights, other.trainable_weights, strict=True)
        if left.path.endswith("kernel") and np.array_equal(left.numpy(), right.numpy())
    ]
    assert alike == []


def test_no_two_layers_start_alike(micro: keras.Model):
    kernels = [
        weight.numpy() for weight in micro.trainable_weights if weight.path.endswith("kernel")
    ]
    starts = {kernel.ravel()[:4].tobytes() for kernel in kernels}
    assert len(starts) == len(kernels)


def test_heatmaps_start_near_zero(micro: keras.Model, pictures: np.ndarray):
    heatmaps = micro(pictures, training=True).numpy()
    assert 0 < np.abs(heatmaps).max() < 0.05


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_computes_low_but_keeps_weights_and_heatmaps_in_float32(
    precision: str, pictures: np.ndarray
):
    network = build_network(MICRO, precision=precision)
    assert network(pictures).dtype == tf.float32
    assert {weight.dtype for weight in network.weights} == {"float32"}
    named = {f"heatmaps_{stack}" for stack in (1, 2)}
    low = precision.removeprefix("mixed_")
    for layer in network.layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.BatchNormalization):
            assert layer.compute_dtype == ("float32" if layer.name in named else low)


def test_the_default_precision_is_float32_whatever_the_global_policy(bfloat16: None):
    network = build_network(MICRO)
    dtypes = {layer.compute_dtype for layer in layers_of(network, keras.layers.Conv2D)}
    assert dtypes == {"float32"}


@pytest.mark.parametrize("synchronized", [False, True])
def test_batch_statistics_are_shared_between_replicas_when_asked(synchronized: bool):
    network = build_network(MICRO, synchronized=synchronized)
    norms = layers_of(network, keras.layers.BatchNormalization)
    assert {norm.synchronized for norm in norms} == {synchronized}
    assert {(norm.momentum, norm.epsilon) for norm in norms} == {(0.9, 1e-5)}


def test_the_last_stack_alone_gives_the_last_heatmaps(micro: keras.Model, pictures: np.ndarray):
    alone = last_stack(micro)
    np.testing.assert_array_equal(alone(pictures), micro(pictures)[:, -1])
    assert alone.output.shape == (None, *micro.output.shape[2:])
