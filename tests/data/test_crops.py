"""What a plan decides: what is off changes nothing, and what is on leaves the rest as it was."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hourglass.core.config import AugmentConfig, Config, NetworkConfig
from hourglass.core.geometry import sample
from hourglass.data import augment
from hourglass.data.crops import Labels, Plan, factors, plan, render

PEOPLE, SIZE = 40, 64


@pytest.fixture(scope="module")
def labels() -> Labels:
    """People who stand in pictures of 300×320 px."""
    rng = np.random.default_rng(0)
    points = np.stack(
        [rng.uniform(120, 180, (PEOPLE, 16)), rng.uniform(60, 260, (PEOPLE, 16))], axis=-1
    )
    return Labels(
        center=np.tile(np.float32([150, 160]), (PEOPLE, 1)),
        scale=np.ones(PEOPLE, np.float32),
        points=points.astype(np.float32),
        weights=np.ones((PEOPLE, 16), np.float32),
        height=np.full(PEOPLE, 320),
        width=np.full(PEOPLE, 300),
        source=np.array(["mpii", "teachers"] * (PEOPLE // 2)),
    )


def planned(labels: Labels, **changes: float) -> Plan:
    network = NetworkConfig(stacks=1, channels=8, depth=1, input_size=SIZE)
    choices = dataclasses.replace(AugmentConfig(cutout=0.3), **changes)
    return plan(labels, Config(network, augment=choices), seed=(3, 7))


def differing(one: Plan, other: Plan) -> set[str]:
    return {
        name
        for name, value in one._asdict().items()
        if not np.array_equal(value, getattr(other, name), equal_nan=value.dtype.kind == "f")
    }


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        ({"style": 0.5}, {"style"}),
        ({"paste": 0.5}, {"pasting"}),
        ({"blur": 0.5}, {"damages"}),
        ({"jpeg": 0.5}, {"damages"}),
        ({"grey": 0.5}, {"colours"}),
        ({"half_body": 0.5}, {"window", "matrix", "cells"}),
    ],
)
def test_each_choice_leaves_the_rest_as_it_was(
    labels: Labels, change: dict[str, float], changed: set[str]
):
    assert differing(planned(labels), planned(labels, **change)) - {"halvings"} == changed


def test_a_half_bodys_lost_joints_are_outside_with_their_weight(labels: Labels):
    before, after = planned(labels), planned(labels, half_body=1.0)
    lost = (np.abs(after.cells) > 10 * SIZE).all(axis=-1)
    assert 0.1 < lost.mean() < 0.65
    assert lost.any(axis=1).mean() > 0.9
    np.testing.assert_array_equal(after.weights, before.weights)
    # What is decoded ends above the lowest joint, to the pixel of the halved picture.
    cell = 2**after.halvings
    ends = (after.window[:, 0] + after.window[:, 2]) * cell
    assert (ends < labels.points[..., 1].max(axis=1) + cell).all()


def test_a_plain_look_is_a_tint_and_a_hidden_square(labels: Labels):
    picture = np.random.default_rng(1).integers(0, 256, (320, 300, 3), np.uint8)
    one = planned(labels).of(3)
    expected = augment.colour(sample(picture, one.matrix, size=SIZE), one.colours)
    augment.cutout(expected, one.hiding)
    made = np.empty((SIZE, SIZE, 3), np.uint8)
    render(picture, one, out=made)
    np.testing.assert_array_equal(made, expected)


def test_every_look_is_rendered(labels: Labels):
    picture = np.random.default_rng(1).integers(0, 256, (320, 300, 3), np.uint8)
    plain, others = planned(labels), {"style": 1.0, "paste": 0.9, "blur": 1.0, "jpeg": 1.0}
    before, after = (np.empty((SIZE, SIZE, 3), np.uint8) for _ in range(2))
    render(picture, plain.of(3), out=before)
    for name, value in others.items():
        render(picture, planned(labels, **{name: value}).of(3), out=after)
        assert (after != before).any(), name


def test_sources_without_a_weight_count_1():
    names = np.array([b"mpii", "mpii", b"", "other"], object)
    assert factors(names, "mpii=0.25").tolist() == [0.25, 0.25, 1.0, 1.0]
    assert factors(names, "").tolist() == [1.0] * 4
