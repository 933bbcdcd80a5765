"""Both errors, by their definitions and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hourglass.lifting.scores import (
    aligned,
    format_scores,
    mean_pose,
    mpjpe,
    nearest_neighbour,
    p_mpjpe,
    score,
)


def test_mpjpe_by_hand() -> None:
    actual = np.zeros((1, 2, 3))
    predicted = np.array([[[3, 4, 0], [0, 0, 1]]], float)
    assert mpjpe(predicted, actual) == 3


def test_p_mpjpe_forgives_rotation_scale_and_shift(moving: np.ndarray) -> None:
    turned = Rotation.from_euler("xyz", [20, 130, -70], degrees=True).apply(moving.reshape(-1, 3))
    predicted = 1.7 * turned.reshape(moving.shape) + [100, -5, 40]
    assert mpjpe(predicted, moving) > 100
    assert p_mpjpe(predicted, moving) == pytest.approx(0, abs=1e-3)


def test_p_mpjpe_does_not_forgive_a_mirror(moving: np.ndarray) -> None:
    assert p_mpjpe(moving * [-1, 1, 1], moving) > 20


def test_the_alignment_is_the_best_one(moving: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    predicted = moving + rng.normal(size=moving.shape) * 80
    best = ((aligned(predicted, moving) - moving) ** 2).sum(axis=(1, 2))
    fitted = aligned(predicted, moving)
    for _ in range(5):
        turn = Rotation.from_rotvec(rng.normal(size=3) * 0.02).as_matrix()
        other = (fitted @ turn.T) * rng.uniform(0.99, 1.01) + rng.normal(size=3)
        assert (((other - moving) ** 2).sum(axis=(1, 2)) >= best - 1e-6).all()


def test_scores_come_per_joint_and_per_action() -> None:
    actual = np.zeros((4, 5, 3))
    actual[:] = np.random.default_rng(0).normal(size=(1, 5, 3)) * 100
    predicted = actual.copy()
    predicted[:2, 1] += [0, 0, 10]
    found = score(predicted, actual, ["walk", "walk", "box", "box"])
    assert found.mpjpe == pytest.approx(1)
    np.testing.assert_allclose(found.per_joint, [0, 5, 0, 0, 0])
    assert found.per_action["walk"][0] == pytest.approx(2)
    assert found.per_action["box"] == pytest.approx((0, 0, 2), abs=1e-9)
    assert found.per_action["walk"][2] == 2
    text = format_scores({"ours": found}, ["a", "b", "c", "d", "e"])
    assert "ours" in text.splitlines()[0]
    assert any(line.split()[:2] == ["b", "5.0"] for line in text.splitlines())


def test_scores_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="N, 1 or more"):
        score(np.zeros((0, 5, 3)), np.zeros((0, 5, 3)), [])
    with pytest.raises(ValueError, match=r"poses \(2, 5, 3\) against \(3, 5, 3\)"):
        score(np.zeros((2, 5, 3)), np.zeros((3, 5, 3)), ["a"] * 3)


def test_baselines() -> None:
    train = np.array([[[0, 0, 0]], [[2, 4, 6]]], float)
    np.testing.assert_array_equal(mean_pose(train, 3), [[[1, 2, 3]]] * 3)
    seen = np.array([[[0, 0]], [[1, 1]]], float)
    found = nearest_neighbour(seen, train, np.array([[[0.9, 0.8]]]))
    np.testing.assert_array_equal(found, train[1:])
