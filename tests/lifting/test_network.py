"""The network's size by hand, and what it is made of."""

from __future__ import annotations

import re

import keras
import numpy as np
import pytest

from hourglass.lifting.network import build_lifter
from hourglass.lifting.shape import PRESETS, LifterConfig, preset


def trainable(network: keras.Model) -> int:
    return int(sum(np.prod(weight.shape) for weight in network.trainable_weights))


def by_hand(inputs: int, units: int, outputs: int) -> int:
    first = inputs * units + units
    blocks = 4 * (units * units + units)
    norms = 5 * 2 * units  # a scale and a shift
    last = units * outputs + outputs
    return first + blocks + norms + last


def test_the_papers_network_has_4291632_weights() -> None:
    assert by_hand(32, 1024, 48) == 4_291_632
    assert trainable(build_lifter("seed")) == 4_291_632


def test_a_mask_adds_a_column_for_each_joint() -> None:
    assert trainable(build_lifter("lift")) == 4_291_632 + 16 * 1024 == by_hand(48, 1024, 48)


def test_the_small_one_is_below_half_a_million() -> None:
    count = trainable(build_lifter("lift-lite"))
    assert count == by_hand(48, 320, 48)
    assert count <= 500_000


def test_seventeen_joints_are_a_choice() -> None:
    network = build_lifter(LifterConfig(units=64, masked=False, joints=17))
    assert network.input_shape == (None, 17, 2)
    assert network.output_shape == (None, 17, 3)
    assert trainable(network) == by_hand(34, 64, 51)


def test_each_block_adds_what_came_in() -> None:
    network = build_lifter(LifterConfig(units=8))
    x = np.random.default_rng(0).normal(size=(4, 16, 3)).astype(np.float32)
    names = ("first_dropout", "block0_b_dropout", "block0")
    parts = keras.Model(network.input, [network.get_layer(name).output for name in names])(x)
    entry, inside, out = (keras.ops.convert_to_numpy(part) for part in parts)
    np.testing.assert_allclose(out, entry + inside, rtol=1e-6)


def test_max_norm_limits_what_leads_to_a_unit() -> None:
    network = build_lifter(LifterConfig(units=8, max_norm=1.0))
    kernel = network.get_layer("first_dense").kernel
    limited = network.get_layer("first_dense").kernel_constraint(kernel * 100)
    norms = np.linalg.norm(keras.ops.convert_to_numpy(limited), axis=0)
    np.testing.assert_allclose(norms, 1, rtol=1e-5)
    assert build_lifter("lift").get_layer("first_dense").kernel_constraint is None


@pytest.mark.parametrize(
    "values", [{"units": 0}, {"blocks": 0}, {"dropout": 1.0}, {"max_norm": -1.0}, {"joints": 1}]
)
def test_a_wrong_shape_is_refused(values: dict[str, float]) -> None:
    (name,) = values
    with pytest.raises(ValueError, match=f"LifterConfig.{name} is {re.escape(str(values[name]))}"):
        LifterConfig(**values)  # type: ignore[arg-type]


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(ValueError, match="there are lift, lift-lite, seed"):
        preset("big")
    assert preset("lift") is PRESETS["lift"]
