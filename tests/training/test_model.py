"""The network that a training fits: its averages reach as far as each other."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import keras
import numpy as np
import pytest

from hourglass.core.config import Config, NetworkConfig, TrainConfig
from hourglass.modelfiles.keras_file import save_model
from hourglass.networks.blocks import BATCH_NORM
from hourglass.networks.encoder_weights import encoder_arrays
from hourglass.networks.hourglass import build_network
from hourglass.training.devices import Devices
from hourglass.training.model import average_statistics, compiled_network
from hourglass.training.optimizer import averaging_momentum

CPU = Devices(replicas=1, description="CPU", gpus=0, bfloat16=False)


@pytest.mark.parametrize(
    ("epochs", "steps", "expected"),
    [(100, 1000, 0.999), (10, 100, 0.99), (2, 40, 0.875), (1, 10, 0.0), (1, 1, 0.0)],
)
def test_averages_reach_over_a_tenth_of_a_run_at_most(epochs: int, steps: int, expected: float):
    choices = TrainConfig(epochs=epochs, averaging=0.999)
    assert averaging_momentum(choices, steps) == pytest.approx(expected)


def momenta(config: Config, averaging: float) -> set[float]:
    """BatchNorm's, of a network that is trained for 3,000 steps."""
    train = dataclasses.replace(config.train, averaging=averaging)
    network = compiled_network(dataclasses.replace(config, train=train), CPU, steps=1000)
    norms = [one for one in network.layers if isinstance(one, keras.layers.BatchNormalization)]
    return {norm.momentum for norm in norms}


def test_statistics_are_averaged_over_as_many_steps_as_the_weights(micro_config: Config):
    assert micro_config.train.epochs == 3
    assert momenta(micro_config, 0.98) == {0.98}
    assert sorted(momenta(micro_config, 0.999)) == [pytest.approx(1 - 1 / 300)]


def test_statistics_are_the_last_steps_where_weights_are_not_averaged(micro_config: Config):
    assert momenta(micro_config, 0.0) == {BATCH_NORM["momentum"]}
    assert momenta(micro_config, 0.5) == {BATCH_NORM["momentum"]}


def test_the_layers_momentum_counts_when_they_learn():
    images = keras.Input((2, 2, 3))
    norm = keras.layers.BatchNormalization(momentum=0.9)
    network = keras.Model(images, norm(images))
    average_statistics(network, 0.99)
    network(np.full((1, 2, 2, 3), 100, np.float32), training=True)
    np.testing.assert_allclose(norm.moving_mean, [1.0] * 3, rtol=1e-5)


SHALLOW = NetworkConfig(stacks=1, channels=8, depth=2, input_size=32, encoder="lite0")


def test_another_network_with_the_same_encoder_gives_it(micro_config: Config, tmp_path: Path):
    whole = dataclasses.replace(micro_config, network=SHALLOW)
    teacher = build_network(SHALLOW, seed=5)
    save_model(tmp_path / "whole.keras", teacher, whole)
    cut = dataclasses.replace(SHALLOW, channels=4, encoder_stages=4)
    network = compiled_network(
        dataclasses.replace(micro_config, network=cut),
        CPU,
        steps=10,
        weights=tmp_path / "whole.keras",
    )
    taken, given = encoder_arrays(network), encoder_arrays(teacher)
    assert set(taken) < set(given)
    for name, value in taken.items():
        np.testing.assert_array_equal(value, given[name], err_msg=name)


def test_a_network_with_more_of_an_encoder_is_refused(micro_config: Config, tmp_path: Path):
    cut = dataclasses.replace(SHALLOW, encoder_stages=4)
    save_model(
        tmp_path / "cut.keras", build_network(cut), dataclasses.replace(micro_config, network=cut)
    )
    with pytest.raises(ValueError, match=r"cut\.keras: --weights are of another network"):
        compiled_network(
            dataclasses.replace(micro_config, network=SHALLOW),
            CPU,
            steps=10,
            weights=tmp_path / "cut.keras",
        )
