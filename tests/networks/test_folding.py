"""Folded networks: the same heatmaps, no BatchNorm left, nothing changed in what was given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from loguru import logger

from hourglass.core.config import NetworkConfig
from hourglass.modelfiles.runtimes import KerasRuntime
from hourglass.networks import folding
from hourglass.networks.folding import WALK, CannotFoldError, folded
from hourglass.networks.hourglass import build_network


@pytest.fixture(autouse=True)
def _same_layers() -> None:
    """Layers start with the same weights whenever the tests run."""
    keras.utils.set_random_seed(0)


@pytest.fixture(scope="module")
def trained() -> Callable[[keras.Model], keras.Model]:
    """Gives every BatchNorm statistics, scales and offsets as of a training."""

    def change(network: keras.Model) -> keras.Model:
        rng = np.random.default_rng(0)
        for layer in network.layers:
            if isinstance(layer, layers.BatchNormalization):
                channels = layer.gamma.shape
                layer.set_weights(
                    [
                        rng.uniform(0.5, 1.5, channels),
                        rng.normal(0, 0.3, channels),
                        rng.normal(0, 0.3, channels),
                        rng.uniform(0.3, 2, channels),
                    ]
                )
        return network

    return change


def assert_same(network: keras.Model, images: np.ndarray) -> None:
    before = [weight.numpy() for weight in network.weights]
    expected, found = (
        np.asarray(one).astype(np.float32)  # from bfloat16, which NumPy 1 does not compare
        for one in (network.predict_on_batch(images), folded(network)(images))
    )
    np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())
    for weight, value in zip(network.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (type(keras.Model(one := keras.Input((1,)), layers.ReLU()(one))), WALK),
        (layers.Layer, "_inbound_nodes"),
        (layers.Layer, "_outbound_nodes"),
        (keras.KerasTensor, "_keras_history"),
    ],
)
def test_a_keras_that_lacks_what_is_not_public_runs_the_network_as_it_is(
    owner: type,
    name: str,
    micro_file: Path,
    crops: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
):
    expected = KerasRuntime(micro_file).heatmaps(crops)
    network = build_network(NetworkConfig(stacks=1, channels=8, depth=1, input_size=32))

    def lack(_: object) -> None:
        raise AttributeError(f"no {name}")

    lines: list[str] = []
    handler = logger.add(lambda line: lines.append(str(line)), format="{message}")
    real = folding.folded

    def hidden(given: keras.Model) -> Any:
        with monkeypatch.context() as inside:
            inside.setattr(owner, name, property(lack), raising=False)
            return real(given)

    with pytest.raises(CannotFoldError):
        hidden(network)
    monkeypatch.setattr(folding, "folded", hidden)
    found = KerasRuntime(micro_file).heatmaps(crops)
    logger.remove(handler)
    np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())
    assert lines == [f"BatchNorms stay, which is slower: another Keras is needed (no {name})\n"]


def test_another_walk_than_keras_has_today_is_not_taken(monkeypatch: pytest.MonkeyPatch):
    network = build_network(NetworkConfig(stacks=1, channels=8, depth=1, input_size=32))
    monkeypatch.setattr(type(network), WALK, lambda self, inputs: inputs)
    with pytest.raises(CannotFoldError, match="has no argument operation_fn"):
        folded(network)


@pytest.mark.parametrize(
    "config",
    [
        NetworkConfig(stacks=2, channels=16, depth=1, input_size=32),
        NetworkConfig(stacks=1, channels=16, depth=3, input_size=64, encoder="lite0"),
    ],
)
def test_a_folded_network_gives_the_same_heatmaps(
    config: NetworkConfig, trained: Callable[[keras.Model], keras.Model]
):
    network = trained(build_network(config))
    size = config.input_size
    assert_same(network, np.random.default_rng(1).integers(0, 256, (2, size, size, 3), np.uint8))


def test_no_batch_norm_runs(
    trained: Callable[[keras.Model], keras.Model], monkeypatch: pytest.MonkeyPatch
):
    config = NetworkConfig(stacks=1, channels=16, depth=3, input_size=64, encoder="lite0")
    predict = folded(trained(build_network(config)))
    monkeypatch.setattr(layers.BatchNormalization, "call", None)
    assert predict(np.zeros((1, 64, 64, 3), np.uint8)).shape == (1, 1, 16, 16, 16)


@pytest.mark.parametrize("use_bias", [False, True])
@pytest.mark.parametrize("kind", [layers.Conv2D, layers.DepthwiseConv2D])
def test_a_convolution_takes_its_batch_norm_in(
    kind: type[layers.Layer],
    use_bias: bool,
    trained: Callable[[keras.Model], keras.Model],
):
    arguments = {"filters": 3} if kind is layers.Conv2D else {"depth_multiplier": 2}
    inputs = keras.Input((5, 5, 4))
    middle = kind(kernel_size=3, strides=2, padding="same", use_bias=use_bias, **arguments)(inputs)
    network = trained(keras.Model(inputs, layers.BatchNormalization()(middle)))
    assert_same(network, np.random.default_rng(1).normal(size=(2, 5, 5, 4)).astype(np.float32))


def test_a_convolution_that_others_see_stays_as_it_is(
    trained: Callable[[keras.Model], keras.Model],
):
    inputs = keras.Input((5, 5, 4))
    middle = layers.Conv2D(3, 1)(inputs)
    network = trained(
        keras.Model(inputs, layers.Add()([middle, layers.BatchNormalization()(middle)]))
    )
    assert_same(network, np.random.default_rng(1).normal(size=(2, 5, 5, 4)).astype(np.float32))


@pytest.mark.parametrize(
    ("convolution", "norm"),
    [
        ({"activation": "relu"}, {}),
        ({}, {"scale": False}),
        ({}, {"center": False}),
        ({}, {"axis": 1}),
        ({"dtype": "mixed_bfloat16"}, {"dtype": "mixed_bfloat16"}),
    ],
)
def test_what_cannot_be_folded_stays(
    convolution: dict[str, Any], norm: dict[str, Any], trained: Callable[..., keras.Model]
):
    inputs = keras.Input((5, 5, 4))
    middle = layers.Conv2D(5, 1, **convolution)(inputs)
    network = keras.Model(inputs, layers.BatchNormalization(**norm)(middle))
    if not norm:
        trained(network)
    assert_same(network, np.random.default_rng(1).normal(size=(2, 5, 5, 4)).astype(np.float32))


def test_what_the_network_gives_is_not_folded(trained: Callable[[keras.Model], keras.Model]):
    inputs = keras.Input((5, 5, 4))
    middle = layers.Conv2D(3, 1)(inputs)
    network = trained(keras.Model(inputs, [middle, layers.BatchNormalization()(middle)]))
    images = np.random.default_rng(1).normal(size=(2, 5, 5, 4)).astype(np.float32)
    for ours, expected in zip(
        folded(network)(images), network.predict_on_batch(images), strict=True
    ):
        np.testing.assert_allclose(ours, expected, atol=1e-5)


def normed_first(*, relu: dict[str, Any] | None = None, **convolution: Any) -> keras.Model:
    """BatchNorm, ReLU, convolution."""
    inputs = keras.Input((6, 6, 4))
    middle = layers.ReLU(**relu or {})(layers.BatchNormalization()(inputs))
    return keras.Model(inputs, layers.Conv2D(6, 3, padding="same", **convolution)(middle))


FEATURES = np.random.default_rng(1).normal(size=(2, 6, 6, 4)).astype(np.float32)


@pytest.mark.parametrize("use_bias", [False, True])
def test_a_convolution_behind_a_relu_takes_the_scale_in(
    use_bias: bool, trained: Callable[[keras.Model], keras.Model], monkeypatch: pytest.MonkeyPatch
):
    network = trained(normed_first(use_bias=use_bias))
    monkeypatch.setattr(folding, "_per_channel", None)
    assert_same(network, FEATURES)


@pytest.mark.parametrize(
    "network",
    [
        lambda: normed_first(relu={"max_value": 0.5}),
        lambda: normed_first(relu={"negative_slope": 0.1}),
        lambda: normed_first(relu={"threshold": 0.2}),
        lambda: normed_first(groups=2),
        lambda: normed_first(activation="relu"),
    ],
)
def test_a_scale_that_cannot_move_stays(
    network: Callable[[], keras.Model], trained: Callable[[keras.Model], keras.Model]
):
    assert_same(trained(network()), FEATURES)


@pytest.mark.parametrize("factor", [-1, 0, 1e-20, 1e-40])
def test_a_scale_that_cannot_be_divided_by_stays(
    factor: float, trained: Callable[[keras.Model], keras.Model]
):
    network = trained(normed_first())
    norm = network.layers[1]
    gamma, beta, *statistics = norm.get_weights()
    norm.set_weights([gamma * [1, factor, 1, 1], beta + 10, *statistics])
    assert_same(network, FEATURES)


def test_a_relu_that_others_see_keeps_its_scale(trained: Callable[[keras.Model], keras.Model]):
    inputs = keras.Input((6, 6, 4))
    middle = layers.ReLU()(layers.BatchNormalization()(inputs))
    network = keras.Model(inputs, layers.Add()([layers.Conv2D(4, 1)(middle), middle]))
    assert_same(trained(network), FEATURES)


@pytest.mark.parametrize("given", [1, 2])
def test_a_given_output_keeps_its_scale(given: int, trained: Callable[[keras.Model], keras.Model]):
    network = trained(normed_first())
    network = keras.Model(network.input, [network.layers[given].output, network.output])
    outputs = zip(folded(network)(FEATURES), network.predict_on_batch(FEATURES), strict=True)
    for ours, expected in outputs:
        np.testing.assert_allclose(ours, expected, atol=1e-5)


@pytest.mark.parametrize("size", [2, (3, 1)])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_nearest_neighbours_are_one_operation(
    size: Any, data_format: str, monkeypatch: pytest.MonkeyPatch
):
    inputs = keras.Input((6, 6, 4))
    network = keras.Model(inputs, layers.UpSampling2D(size, data_format)(inputs))
    expected = network(FEATURES)
    monkeypatch.setattr(layers.UpSampling2D, "call", None)
    np.testing.assert_array_equal(folded(network)(FEATURES), expected)


def test_other_upsampling_stays():
    inputs = keras.Input((6, 6, 4))
    assert_same(
        keras.Model(inputs, layers.UpSampling2D(interpolation="bilinear")(inputs)), FEATURES
    )


def test_pictures_of_any_size_can_be_upsampled():
    inputs = keras.Input((None, None, 4))
    network = keras.Model(inputs, layers.UpSampling2D()(inputs))
    predict = tf.function(folded(network), autograph=False)
    predict = predict.get_concrete_function(tf.TensorSpec((None, None, None, 4)))
    np.testing.assert_array_equal(predict(tf.constant(FEATURES)), network(FEATURES))
