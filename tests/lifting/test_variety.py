"""Poses that were not recorded stay poses."""

from __future__ import annotations

import numpy as np

from hourglass.lifting.body import BODY
from hourglass.lifting.variety import random_arms, random_builds, random_turns

PARENTS, CHILDREN = np.array(BODY.bones).T


def lengths(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points[:, CHILDREN] - points[:, PARENTS], axis=-1)


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def test_another_build_keeps_directions_and_both_sides_alike(moving: np.ndarray) -> None:
    built = random_builds(rng(), moving)
    for points in (moving, built):
        points = points - points[:, :1]
    bones = [p[:, CHILDREN] - p[:, PARENTS] for p in (moving, built)]
    directions = [bone / np.linalg.norm(bone, axis=-1, keepdims=True) for bone in bones]
    np.testing.assert_allclose(*directions, atol=1e-4)
    factors = dict(zip(CHILDREN, (lengths(built) / lengths(moving)).T, strict=True))
    for right, left in BODY.mirror_pairs:
        np.testing.assert_allclose(factors[right], factors[left], rtol=1e-4)
    assert np.std(factors[2]) > 0.03


def test_an_exchanged_arm_has_its_givers_length_and_the_rest_stays(moving: np.ndarray) -> None:
    mixed = random_arms(rng(), moving)
    arms = [BODY.index(f"{s}_{j}") for s in ("left", "right") for j in ("elbow", "wrist")]
    rest = np.setdiff1d(np.arange(17), arms)
    np.testing.assert_array_equal(mixed[:, rest], moving[:, rest])
    moved = (mixed[:, arms] != moving[:, arms]).any(axis=-1)
    assert 0.3 < moved.mean() < 0.7
    forearm = list(CHILDREN).index(BODY.index("left_wrist"))
    known = lengths(moving)[:, forearm]
    nearest = np.abs(lengths(mixed)[:, forearm, None] - known).min(axis=1)
    np.testing.assert_allclose(nearest, 0, atol=0.05)


def test_an_arm_of_the_same_pose_turned_comes_back_as_it_was(moving: np.ndarray) -> None:
    # All poses alike but for where they face: whoever gives an arm, it is the same arm.
    angle = np.linspace(0, 6, 30)
    turn = np.zeros((30, 3, 3))
    turn[:, 0, 0] = turn[:, 2, 2] = np.cos(angle)
    turn[:, 0, 2], turn[:, 2, 0], turn[:, 1, 1] = np.sin(angle), -np.sin(angle), 1
    poses = np.einsum("nij,kj->nki", turn, moving[0].astype(float))
    np.testing.assert_allclose(random_arms(rng(), poses), poses, atol=1e-6)


def test_turned_limbs_keep_their_lengths(moving: np.ndarray) -> None:
    turned = random_turns(rng(), moving)
    np.testing.assert_allclose(lengths(turned), lengths(moving), rtol=1e-4)
    assert np.abs(turned - moving)[:, BODY.index("right_ankle")].mean() > 20
