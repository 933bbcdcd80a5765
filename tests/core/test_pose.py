"""The result type: its dictionary is plain, complete, and comes back unchanged."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from hourglass.core.pose import Pose
from hourglass.core.skeleton import COCO, H36M, LEFT, LSP, MPII, RIGHT, Skeleton

STICK = Skeleton(
    name="stick",
    joints=("nose", "right_hand", "left_hand"),
    bones=((0, 1), (0, 2)),
    mirror_pairs=((1, 2),),
    colours=(RIGHT, LEFT),
)


@pytest.fixture
def pose() -> Pose:
    return Pose(
        points=np.array([[1, 2], [-0.5, 40.25], [300, 0]], np.float32),
        scores=np.array([0.5, 1.0, 0.0], np.float32),
        skeleton=STICK,
        box=(10.0, 20.0, 30.0, 40.0),
    )


def test_score_is_the_mean_of_the_joints_scores(pose: Pose):
    assert pose.score == 0.5


def test_to_dict_is_golden(pose: Pose):
    assert pose.to_dict() == {
        "box": [10.0, 20.0, 30.0, 40.0],
        "score": 0.5,
        "keypoints": [
            {"name": "nose", "x": 1.0, "y": 2.0, "score": 0.5},
            {"name": "right_hand", "x": -0.5, "y": 40.25, "score": 1.0},
            {"name": "left_hand", "x": 300.0, "y": 0.0, "score": 0.0},
        ],
    }


def test_numpy_numbers_become_plain_ones(pose: Pose):
    pose = dataclasses.replace(pose, box=tuple(np.float32([1, 2, 3, 4])))
    assert json.loads(json.dumps(pose.to_dict()))["box"] == [1.0, 2.0, 3.0, 4.0]


def test_json_and_back_is_exact():
    rng = np.random.default_rng(0)
    pose = Pose(
        points=rng.uniform(-50, 2000, (16, 2)).astype(np.float32),
        scores=rng.uniform(0, 1, 16).astype(np.float32),
        skeleton=MPII,
        box=tuple(rng.uniform(0, 500, 4).tolist()),
    )
    back = Pose.from_dict(json.loads(json.dumps(pose.to_dict())), skeleton=MPII)
    np.testing.assert_array_equal(back.points, pose.points)
    np.testing.assert_array_equal(back.scores, pose.scores)
    assert back.points.dtype == back.scores.dtype == np.float32
    assert back.box == pose.box
    assert back.skeleton is MPII


@pytest.mark.parametrize(
    "names",
    [("nose", "left_hand", "right_hand"), ("nose", "right_hand"), ("nose", "right_hand", "foot")],
    ids=["another order", "one missing", "an unknown name"],
)
def test_keypoints_of_another_skeleton_are_refused(names: tuple[str, ...]):
    keypoints = [{"name": name, "x": 0.0, "y": 0.0, "score": 0.0} for name in names]
    with pytest.raises(
        ValueError, match=r"keypoints \('nose', .*\) are not those of skeleton 'stick'"
    ):
        Pose.from_dict({"box": [0, 0, 1, 1], "keypoints": keypoints}, skeleton=STICK)


@pytest.mark.parametrize(
    ("points", "scores", "got"),
    [
        ((2, 2), (3,), r"\(2, 2\) and \(3,\)"),
        ((3, 3), (3,), r"\(3, 3\) and \(3,\)"),
        ((3, 2), (2,), r"\(3, 2\) and \(2,\)"),
        ((1, 3, 2), (3,), r"\(1, 3, 2\) and \(3,\)"),
        ((3, 2), (3, 1), r"\(3, 2\) and \(3, 1\)"),
    ],
)
def test_arrays_must_have_the_skeletons_joints(
    points: tuple[int, ...], scores: tuple[int, ...], got: str
):
    with pytest.raises(
        ValueError,
        match=r"a pose on skeleton 'stick' needs points \(3, 2\) and scores \(3,\), got " + got,
    ):
        Pose(np.zeros(points), np.zeros(scores), STICK, (0, 0, 1, 1))


def test_a_pose_cannot_be_changed(pose: Pose):
    with pytest.raises(dataclasses.FrozenInstanceError):
        pose.scores = np.ones(3)


# On another skeleton.


@pytest.fixture
def numbered() -> Pose:
    """Joint j of MPII at (j, 10 j), scored (j + 1) / 16."""
    numbers = np.arange(16, dtype=np.float32)
    points = np.stack([numbers, 10 * numbers], axis=-1)
    return Pose(points, (numbers + 1) / 16, MPII, (1.0, 2.0, 3.0, 4.0), id=7)


def test_joints_of_one_name_keep_their_places(numbered: Pose):
    coco = numbered.to(COCO)
    assert coco.points[COCO.index("left_wrist")].tolist() == [15, 150]
    assert coco.scores[COCO.index("left_wrist")] == 1
    assert (coco.skeleton, coco.box, coco.id) == (COCO, numbered.box, 7)


def test_joints_that_cannot_be_made_are_scored_0(numbered: Pose):
    coco = numbered.to(COCO)
    faces = [COCO.index(name) for name in ("nose", "left_eye", "right_ear")]
    assert coco.scores[faces].tolist() == [0, 0, 0]
    assert coco.points[faces].tolist() == [[0, 0]] * 3


def test_midpoints_are_made_with_the_lower_score(numbered: Pose):
    back = numbered.to(COCO).to(MPII)
    pelvis, thorax = MPII.index("pelvis"), MPII.index("thorax")
    assert back.points[pelvis].tolist() == [2.5, 25]
    assert back.scores[pelvis] == pytest.approx(3 / 16)
    assert back.points[thorax].tolist() == [12.5, 125]
    assert back.scores[MPII.index("head_top")] == 0


def test_a_midpoint_of_midpoints(numbered: Pose):
    spine = numbered.to(LSP).to(H36M).points[H36M.index("spine")]
    assert spine.tolist() == [(2.5 + 12.5) / 2, (25 + 125) / 2]


def test_a_joints_own_place_comes_before_a_midpoint(numbered: Pose):
    assert numbered.to(H36M).points[H36M.index("pelvis")].tolist() == [6, 60]


def test_names_are_one_whatever_their_spelling(numbered: Pose):
    other = Skeleton.of_names("other", ("LWrist", "wrist_R", "Left Hip", "neck"))
    assert numbered.to(other).points[:, 0].tolist() == [15, 10, 3, 8]


def test_the_same_skeleton_is_the_same_pose(numbered: Pose):
    assert numbered.to(MPII) is numbered


def test_an_id_goes_to_json_and_back(numbered: Pose):
    values = numbered.to_dict()
    assert values["id"] == 7
    assert Pose.from_dict(values, skeleton=MPII).id == 7
