"""PCK and PCKh by hand, on people whose every distance is known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hourglass.core.decoding import decode_heatmaps
from hourglass.core.skeleton import COCO, LSP, MPII, REFERENCES, Skeleton
from hourglass.scoring.pck import (
    BOXES,
    HEAD_SIZE_PER_SCALE,
    HEADS,
    MEASURES,
    TORSOS,
    measure_of,
    pck,
    pckh,
    reference_size,
    skeleton_pck,
    table_of_scores,
    torso_size,
)

WRIST, KNEE, PELVIS, THORAX = 10, 1, 6, 7
INF, NAN = float("inf"), float("nan")


def people(count: int) -> dict[str, np.ndarray]:
    """Perfectly found people with a head of 10 px; none of their joints is labelled yet."""
    actual = np.random.default_rng(0).integers(0, 500, (count, 16, 2)).astype(float)
    return {
        "predicted": actual.copy(),
        "actual": actual,
        "head_size": np.full(count, 10.0),
        "labelled": np.zeros((count, 16), bool),
    }


def test_everything_found_is_100_percent():
    values = people(3)
    values["labelled"][:] = True
    score = pckh(**values)
    assert score.per_joint.tolist() == [100.0] * 16
    assert (score.pooled, score.mean) == (100.0, 100.0)


@pytest.mark.parametrize(
    ("offset", "found"),
    [
        ((5.0, 0.0), 100.0),
        ((0.0, -5.0), 100.0),
        ((3.0, 4.0), 100.0),
        ((5.001, 0.0), 0.0),
        ((3.6, 3.6), 0.0),  # 5.09: neither axis alone is too far
    ],
)
def test_a_distance_equal_to_the_threshold_is_found(offset: tuple[float, float], found: float):
    values = people(1)
    values["labelled"][0, WRIST] = True
    values["predicted"][0, WRIST] += offset
    assert pckh(**values, threshold=0.5).pooled == found


@pytest.mark.parametrize(("threshold", "found"), [(0.1, 0.0), (0.4, 100.0), (0.39, 0.0)])
def test_the_threshold_is_in_head_sizes(threshold: float, found: float):
    values = people(1)
    values["labelled"][0, WRIST] = True
    values["predicted"][0, WRIST] += (0, 4)
    assert pckh(**values, threshold=threshold).pooled == found


def test_everyone_has_their_own_head_size():
    values = people(2)
    values["labelled"][:, WRIST] = True
    values["predicted"][:, WRIST] += (7, 0)
    values["head_size"][:] = 10, 20
    assert pckh(**values).per_joint[WRIST] == 50


def test_joints_without_label_are_ignored():
    values = people(2)
    values["labelled"][0, WRIST] = True
    values["predicted"][1] += 400
    score = pckh(**values)
    assert (score.pooled, score.mean, score.per_joint[WRIST]) == (100.0, 100.0, 100.0)
    assert score.labelled.tolist() == [0] * WRIST + [1] + [0] * 5


def test_a_joint_that_nobody_labelled_has_no_number():
    values = people(2)
    values["labelled"][:, WRIST] = True
    score = pckh(**values)
    assert np.isnan(score.per_joint).tolist() == [joint != WRIST for joint in range(16)]


def test_pooled_counts_joints_and_mean_counts_kinds_of_joints():
    values = people(4)
    values["labelled"][:3, WRIST] = True  # three of three found
    values["labelled"][3, KNEE] = True  # none of one
    values["predicted"][3, KNEE] += 100
    score = pckh(**values)
    assert score.pooled == 75.0
    assert score.mean == 50.0


@pytest.mark.parametrize("joint", [PELVIS, THORAX])
def test_pelvis_and_thorax_are_left_out_of_both_means(joint: int):
    values = people(2)
    values["labelled"][:, [joint, WRIST]] = True
    values["predicted"][:, joint] += 100
    score = pckh(**values)
    assert score.per_joint[joint] == 0
    assert (score.pooled, score.mean) == (100.0, 100.0)


def test_nobody_labelled_gives_no_number():
    values = people(2)
    values["labelled"][:, PELVIS] = True
    score = pckh(**values)
    assert np.isnan([score.pooled, score.mean]).all()


def test_no_people_give_no_number():
    score = pckh(**people(0))
    assert np.isnan([score.pooled, score.mean, *score.per_joint]).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("point", [(NAN, NAN), (NAN, 0.0), (INF, 0.0), (INF, -INF)])
def test_a_prediction_that_is_no_number_is_not_found(point: tuple[float, float]):
    values = people(2)
    values["labelled"][:, WRIST] = True
    values["predicted"][0, WRIST] = point
    score = pckh(**values)
    assert (score.pooled, score.per_joint[WRIST], score.labelled[WRIST]) == (50.0, 50.0, 2)


def test_arrays_may_be_lists_of_any_number_type():
    values = people(2)
    values["labelled"][:, WRIST] = True
    values["predicted"][0, WRIST] += 30
    score = pckh(
        values["predicted"].astype(np.float32),
        values["actual"].astype(int).tolist(),
        head_size=[10, 10],
        labelled=values["labelled"].astype(int),
    )
    assert score.pooled == 50


def test_head_size_per_scale_is_mpiis():
    # A head box of 30 × 40 px has a diagonal of 50; 0.6 of it is the head size of a person of
    # scale 1.2.
    np.testing.assert_allclose(HEAD_SIZE_PER_SCALE * 1.2, 0.6 * np.hypot(30, 40))


def test_groups_hold_the_14_counted_joints_once():
    joints = sorted(joint for _, group in MPII.groups for joint in group)
    assert joints == [joint for joint in range(16) if joint not in (PELVIS, THORAX)]


@pytest.mark.parametrize(
    ("group", "joints"),
    [
        ("Head", (9,)),
        ("Neck", (8,)),
        ("Shoulder", (12, 13)),
        ("Elbow", (11, 14)),
        ("Wrist", (10, 15)),
        ("Hip", (2, 3)),
        ("Knee", (1, 4)),
        ("Ankle", (0, 5)),
    ],
)
def test_a_groups_number_is_the_mean_of_its_joints(group: str, joints: tuple[int, ...]):
    values = people(4)
    values["labelled"][:] = True
    values["predicted"][:] += 100
    values["predicted"][:3, joints[0]] -= 100  # three of four
    values["predicted"][:1, joints[1:]] -= 100  # one of four
    assert pckh(**values).group(group) == {1: 75.0, 2: 50.0}[len(joints)]


def test_a_group_without_label_has_no_number():
    values = people(1)
    values["labelled"][0, WRIST] = True
    score = pckh(**values)
    assert np.isnan(score.group("Knee"))
    assert score.group("Wrist") == 100  # the other wrist is not labelled


def predict_through_heatmaps(offset: float) -> dict[str, np.ndarray]:
    """Perfect peaks for 200 people, decoded `offset` heatmap pixels off along both axes."""
    from hourglass.core.geometry import apply_affine, crop_matrix, from_grid, invert_affine, to_grid
    from hourglass.core.heatmaps import encode_heatmaps

    rng = np.random.default_rng(1)
    scale, center = rng.uniform(0.5, 5, 200), rng.uniform(200, 800, (200, 2))
    actual = center[:, None] + rng.uniform(-100, 100, (200, 16, 2)) * scale[:, None, None]
    labelled = np.ones((200, 16), bool)
    matrix = crop_matrix(center, scale, size=256)
    maps = encode_heatmaps(to_grid(apply_affine(matrix, actual)), labelled, size=64, sigma=1.0)
    decoded, _ = decode_heatmaps(maps, refine="quarter")
    return {
        "predicted": apply_affine(invert_affine(matrix), from_grid(decoded + offset)),
        "actual": actual,
        "head_size": HEAD_SIZE_PER_SCALE * scale,
        "labelled": labelled,
    }


@pytest.mark.parametrize(
    ("offset", "threshold", "lowest", "highest"),
    [
        (0.0, 0.5, 100, 100),
        (0.0, 0.1, 100, 100),
        (0.5, 0.5, 100, 100),  # the bug cannot be seen here
        (0.5, 0.1, 20, 50),
        (-0.5, 0.1, 20, 50),
    ],
)
def test_half_a_heatmap_pixel_shows_at_a_tenth_of_the_head(
    offset: float, threshold: float, lowest: float, highest: float
):
    score = pckh(**predict_through_heatmaps(offset), threshold=threshold)
    assert lowest <= score.pooled <= highest
    assert lowest <= score.mean <= highest


def test_pck_counts_in_its_reference_length():
    values = people(2)
    values["labelled"][:, WRIST] = True
    values["predicted"][:, WRIST] += (20, 0)
    score = pck(
        values["predicted"],
        values["actual"],
        reference=np.array([100.0, 99.0]),
        labelled=values["labelled"],
    )
    assert score.per_joint[WRIST] == 50  # 20 is 0.2 of 100, and more than 0.2 of 99


def test_pck_leaves_out_people_without_reference_length():
    values = people(3)
    values["labelled"][:, WRIST] = True
    values["predicted"][1:, WRIST] += 100
    score = pck(
        values["predicted"],
        values["actual"],
        reference=np.array([100.0, NAN, 100.0]),
        labelled=values["labelled"],
    )
    assert (score.pooled, score.labelled[WRIST]) == (50.0, 2)


@pytest.mark.filterwarnings("error")
def test_torso_size_is_right_shoulder_to_left_hip():
    points = np.random.default_rng(2).uniform(0, 9, (4, 16, 2))
    shoulder, hip = MPII.index("right_shoulder"), MPII.index("left_hip")
    points[:, shoulder], points[:, hip] = (100, 100), (130, 140)
    points[3, hip] = points[3, shoulder]
    labelled = np.ones((4, 16), bool)
    labelled[1, shoulder] = labelled[2, hip] = False
    np.testing.assert_array_equal(torso_size(points, labelled), [50, NAN, NAN, NAN])


def test_torso_size_needs_no_other_joint():
    points = np.zeros((1, 16, 2))
    points[0, 12] = (0, 7)
    labelled = np.zeros((1, 16), bool)
    labelled[0, [12, 3]] = True
    assert torso_size(points, labelled).tolist() == [7.0]


@pytest.mark.parametrize("size", [0.0, -3.0])
def test_a_head_without_size_names_its_person(size: float):
    values = people(3)
    values["head_size"][1] = size
    with pytest.raises(
        ValueError, match=rf"person 1: reference length is {size} px, it must be above 0"
    ):
        pckh(**values)


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("predicted", (2, 14, 2), r"predicted has shape \(2, 14, 2\), it must be \(2, 16, 2\)"),
        ("predicted", (2, 16, 3), r"predicted has shape \(2, 16, 3\), it must be \(2, 16, 2\)"),
        ("actual", (3, 16, 2), r"actual has shape \(3, 16, 2\), it must be \(2, 16, 2\)"),
        ("head_size", (3,), r"reference length has shape \(3,\), it must be \(2,\)"),
        ("head_size", (2, 1), r"reference length has shape \(2, 1\), it must be \(2,\)"),
        ("head_size", (), r"reference length has shape \(\), it must be \(2,\)"),
        ("labelled", (2,), r"labelled has shape \(2,\), it must be \(2, 16\)"),
        ("labelled", (16,), r"labelled has shape \(16,\), it must be \(2, 16\)"),
    ],
)
def test_arrays_that_do_not_fit_are_named(name: str, shape: tuple[int, ...], message: str):
    values = {**people(2), name: np.ones(shape)}
    with pytest.raises(ValueError, match=message):
        pckh(**values)


# Any skeleton.


DOOR = Skeleton("door", ("top_left", "top_right", "bottom"), left_out=(2,))


def labels(skeleton: Skeleton, count: int = 2, **changes: Any) -> Any:
    """People of scale 1 and 2 and so on, all joints labelled, as shards hold them."""
    joints = len(skeleton.joints)
    fields = {
        "points": np.random.default_rng(4).uniform(0, 500, (count, joints, 2)).astype(np.float32),
        "labelled": np.ones((count, joints), bool),
        "scale": np.arange(1, count + 1, dtype=np.float32),
        "skeleton": skeleton,
    }
    return SimpleNamespace(**{**fields, **changes})


def test_every_reference_has_a_measure():
    assert set(MEASURES) == set(REFERENCES)
    assert [measure_of(skeleton) for skeleton in (MPII, LSP, COCO)] == [HEADS, TORSOS, BOXES]


@pytest.mark.parametrize(
    ("measure", "title", "strict"),
    [
        (HEADS, "PCKh@0.5", "PCKh@0.1"),
        (TORSOS, "PCK@0.2", "PCK@0.1"),
        (BOXES, "PCK@0.1", "PCK@0.05"),
    ],
)
def test_a_measure_names_its_scores(measure: Any, title: str, strict: str):
    assert (measure.title, measure.column(measure.strict)) == (title, strict)


def test_the_reference_is_the_head_the_box_or_the_torso():
    np.testing.assert_array_equal(reference_size(labels(MPII)), [25, 50])
    np.testing.assert_array_equal(reference_size(labels(DOOR)), [200, 400])
    people = labels(LSP)
    shoulder, hip = LSP.index("right_shoulder"), LSP.index("left_hip")
    people.points[:, shoulder], people.points[:, hip] = (10, 10), (13, 14)
    people.labelled[1, hip] = False
    np.testing.assert_array_equal(reference_size(people), [5, NAN])


def test_a_skeleton_is_scored_by_its_own_reference():
    people = labels(DOOR)
    found = people.points + np.float32([20, 0])  # 0.1 of the first one's box, 0.05 of the other's
    assert skeleton_pck(found, people, 0.1).pooled == 100
    assert skeleton_pck(found, people, 0.05).pooled == 50
    assert skeleton_pck(found, people, 0.049).pooled == 0


def test_a_skeletons_left_out_joints_and_groups_are_its_own():
    people = labels(DOOR)
    found = people.points.copy()
    found[:, 2] += 1000
    found[0, 0] += 1000
    score = skeleton_pck(found, people, 0.1)
    assert score.per_joint.tolist() == [50, 100, 0]
    assert (score.pooled, score.mean) == (75, 75)
    assert score.group("Bottom") == 0


def test_the_table_of_mpii_is_as_the_field_prints_it():
    people = labels(MPII)
    scores = table_of_scores(people.points + np.float32([5, 0]), people)
    assert list(scores) == ["PCKh@0.5", "PCKh@0.1", "PCK@0.2"]
    assert (scores["PCKh@0.5"].pooled, scores["PCKh@0.1"].pooled) == (100, 50)
    torso = torso_size(people.points, people.labelled)
    own = pck(
        people.points + np.float32([5, 0]),
        people.points,
        reference=torso,
        labelled=people.labelled,
    )
    np.testing.assert_array_equal(scores["PCK@0.2"].per_joint, own.per_joint)


@pytest.mark.parametrize("skeleton", [LSP, COCO, DOOR])
def test_the_table_of_any_other_has_three_thresholds(skeleton: Skeleton):
    people = labels(skeleton)
    scores = table_of_scores(people.points, people)
    assert list(scores) == ["PCK@0.05", "PCK@0.1", "PCK@0.2"]
    assert all(score.pooled == 100 for score in scores.values())


def test_a_skeleton_without_torso_has_no_torso_size():
    with pytest.raises(ValueError, match="skeleton 'door' says of no two joints that they are"):
        torso_size(np.zeros((1, 3, 2)), np.ones((1, 3), bool), skeleton=DOOR)
