"""Kinds of error: each one by a keypoint placed by hand, and which of two it is when both fit."""

from __future__ import annotations

import numpy as np
import pytest

from hourglass.core.skeleton import MPII, Skeleton
from hourglass.scoring.diagnosis import (
    ANOTHER,
    FAR,
    FOUND,
    KINDS,
    NEAR,
    NOT_LABELLED,
    SWAP,
    kinds_of_error,
    relative_distances,
)
from hourglass.scoring.pck import pck

WRIST, MIRRORED, PELVIS, THORAX = (
    MPII.index(name) for name in ("right_wrist", "left_wrist", "pelvis", "thorax")
)
HEAD = 10.0

FAR_AWAY = (5000.0, 5000.0)


def people(count: int = 1) -> dict[str, np.ndarray]:
    """Perfectly found people with a head of 10 px, whose joints are 100 px apart."""
    joint = np.arange(16)
    actual = np.tile(100.0 * np.stack([joint % 4, joint // 4], axis=-1), (count, 1, 1))
    return {
        "predicted": actual.copy(),
        "actual": actual,
        "reference": np.full(count, HEAD),
        "labelled": np.ones((count, 16), bool),
    }


def kind_of_wrist(values: dict[str, np.ndarray]) -> int:
    """The kind of the first person's right wrist; every other joint must be as it was labelled."""
    kinds = kinds_of_error(**values)
    others = np.delete(kinds[0], WRIST)
    expected = np.where(np.delete(values["labelled"][0], WRIST), FOUND, NOT_LABELLED)
    np.testing.assert_array_equal(others, expected)
    return int(kinds[0, WRIST])


def test_kinds_are_numbered_as_they_are_named():
    assert [KINDS[kind] for kind in (FOUND, SWAP, ANOTHER, NEAR, FAR)] == [
        "found",
        "left/right swap",
        "another joint",
        "near miss",
        "far miss",
    ]
    assert NOT_LABELLED not in range(len(KINDS))


def test_perfect_people_are_found():
    kinds = kinds_of_error(**people(3))
    assert kinds.shape == (3, 16)
    assert np.issubdtype(kinds.dtype, np.integer)
    assert (kinds == FOUND).all()


@pytest.mark.parametrize(
    ("offset", "kind"),
    [
        ((0.0, 0.0), FOUND),
        ((3.0, 4.0), FOUND),  # 0.5 head sizes exactly
        ((-5.0, 0.0), FOUND),
        ((5.01, 0.0), NEAR),
        ((3.6, 3.6), NEAR),  # 5.09: neither axis alone is too far
        ((6.0, -8.0), NEAR),  # 1 head size exactly
        ((0.0, 10.01), FAR),
        ((7.2, 7.2), FAR),
        (FAR_AWAY, FAR),
    ],
)
def test_a_distance_from_the_own_label(offset: tuple[float, float], kind: int):
    values = people()
    values["predicted"][0, WRIST] += offset
    assert kind_of_wrist(values) == kind


@pytest.mark.parametrize(("joint", "kind"), [(MIRRORED, SWAP), (PELVIS, ANOTHER), (4, ANOTHER)])
@pytest.mark.parametrize(
    ("offset", "near"), [((0, 0), True), ((4, -3), True), ((5.01, 0), False), ((6, 8), False)]
)
def test_a_place_of_another_joints_label(
    joint: int, kind: int, offset: tuple[float, float], near: bool
):
    values = people()
    values["predicted"][0, WRIST] = values["actual"][0, joint] + offset
    assert kind_of_wrist(values) == (kind if near else FAR)


@pytest.mark.parametrize(("right", "left"), MPII.mirror_pairs)
def test_every_mirror_pair_swaps(right: int, left: int):
    values = people()
    values["predicted"][0, [right, left]] = values["actual"][0, [left, right]]
    kinds = kinds_of_error(**values)[0]
    assert np.flatnonzero(kinds == SWAP).tolist() == sorted((right, left))
    assert (np.delete(kinds, [right, left]) == FOUND).all()


@pytest.mark.parametrize("joint", [MPII.index(name) for name in ("upper_neck", "head_top")])
@pytest.mark.parametrize("target", [WRIST, PELVIS, THORAX])
def test_a_middle_joint_is_never_swapped(joint: int, target: int):
    values = people()
    values["predicted"][0, joint] = values["actual"][0, target]
    assert kinds_of_error(**values)[0, joint] == ANOTHER
    for offset, kind in (((0, 5), FOUND), ((0, 7), NEAR), (FAR_AWAY, FAR)):
        values["predicted"][0, joint] = values["actual"][0, joint] + offset
        assert kinds_of_error(**values)[0, joint] == kind


# Which kind it is when more than one would fit.


@pytest.mark.parametrize("joint", [MIRRORED, PELVIS])
def test_found_comes_before_all_else(joint: int):
    values = people()
    values["actual"][0, joint] = values["actual"][0, WRIST] + [5, 0]
    values["predicted"][0, [WRIST, joint]] = values["actual"][0, joint]
    assert kind_of_wrist(values) == FOUND


def test_a_swap_comes_before_another_joint():
    values = people()
    values["actual"][0, PELVIS] = values["actual"][0, MIRRORED]
    values["predicted"][0, [PELVIS, WRIST]] = values["actual"][0, MIRRORED]
    assert kind_of_wrist(values) == SWAP


@pytest.mark.parametrize(("joint", "kind"), [(MIRRORED, SWAP), (PELVIS, ANOTHER)])
def test_a_place_of_another_joint_comes_before_a_near_miss(joint: int, kind: int):
    values = people()
    values["actual"][0, joint] = values["actual"][0, WRIST] + [8, 0]
    values["predicted"][0, [WRIST, joint]] = values["actual"][0, joint]
    assert kind_of_wrist(values) == kind


# Labels that are missing.


@pytest.mark.parametrize("target", [WRIST, MIRRORED, PELVIS, None])
def test_a_joint_without_a_label_is_of_no_kind(target: int | None):
    values = people()
    values["labelled"][0, WRIST] = False
    place = FAR_AWAY if target is None else values["actual"][0, target]
    values["predicted"][0, WRIST] = place
    assert kind_of_wrist(values) == NOT_LABELLED


@pytest.mark.parametrize("joint", [MIRRORED, PELVIS])
def test_nobody_is_at_a_label_that_is_missing(joint: int):
    values = people()
    values["labelled"][0, joint] = False
    values["predicted"][0, WRIST] = values["actual"][0, joint]
    assert kind_of_wrist(values) == FAR


def test_people_without_labels_have_no_kinds():
    values = people(2)
    values["labelled"][1] = False
    kinds = kinds_of_error(**values)
    assert (kinds[0] == FOUND).all()
    assert (kinds[1] == NOT_LABELLED).all()
    empty = {name: value[:0] for name, value in values.items()}
    assert kinds_of_error(**empty).shape == (0, 16)


# Many people.


def test_everyone_has_their_own_head_size():
    values = people(3)
    values["reference"] = np.array([10.0, 20.0, 5.0])
    values["predicted"][:, WRIST] += [8, 0]
    assert kinds_of_error(**values)[:, WRIST].tolist() == [NEAR, FOUND, FAR]
    values["predicted"][:, WRIST] = values["actual"][:, MIRRORED] + [8, 0]
    assert kinds_of_error(**values)[:, WRIST].tolist() == [FAR, SWAP, FAR]


def test_another_persons_joints_are_none_of_ones_own():
    values = people(2)
    values["actual"][1] += 2000
    values["predicted"] = values["actual"][::-1].copy()
    assert (kinds_of_error(**values) == FAR).all()


def test_found_is_what_pckh_counts():
    rng = np.random.default_rng(0)
    actual = rng.uniform(0, 100, (40, 16, 2)).astype(np.float32)
    values = {
        "predicted": (actual + rng.normal(0, 6, actual.shape)).astype(np.float32),
        "actual": actual,
        "reference": rng.uniform(5, 20, 40).astype(np.float32),
        "labelled": rng.uniform(size=(40, 16)) < 0.8,
    }
    kinds, score = kinds_of_error(**values), pck(**values, threshold=0.5)
    assert set(np.unique(kinds)) == {NOT_LABELLED, FOUND, SWAP, ANOTHER, NEAR, FAR}
    np.testing.assert_array_equal((kinds != NOT_LABELLED).sum(axis=0), score.labelled)
    np.testing.assert_allclose(100 * (kinds == FOUND).sum(axis=0) / score.labelled, score.per_joint)


def test_the_mirror_pairs_are_the_skeletons():
    skeleton = Skeleton("three", ("a", "b", "c"), bones=(), mirror_pairs=((0, 2),), colours=())
    actual = np.array([[[0, 0], [100, 0], [200, 0]]])
    kinds = kinds_of_error(
        actual[:, [2, 0, 1]],
        actual,
        reference=np.array([10]),
        labelled=np.ones((1, 3), bool),
        skeleton=skeleton,
    )
    assert kinds.tolist() == [[SWAP, ANOTHER, ANOTHER]]


# Distances.


def test_distances_are_in_each_persons_head_sizes():
    actual = np.array([[[0, 0], [10, 10]], [[0, 0], [-5, 2]]])
    predicted = np.array([[[3, 4], [10, 10]], [[0, -20], [1, 10]]], np.float32)
    distances = relative_distances(predicted, actual, reference=np.array([10, 4], np.float32))
    assert distances.dtype == np.float64
    np.testing.assert_allclose(distances, [[0.5, 0.0], [5.0, 2.5]])
