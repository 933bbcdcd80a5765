"""The body's words, and other skeletons' keypoints under them."""

from __future__ import annotations

import numpy as np

from hourglass.core.pose import Pose
from hourglass.core.skeleton import COCO, MPII, Skeleton
from hourglass.lifting.body import BODY, SEEN, mirrored, normalised, seen_joints


def on(skeleton: Skeleton, scores: np.ndarray | None = None) -> Pose:
    joints = len(skeleton.joints)
    points = np.arange(2 * joints, dtype=np.float32).reshape(joints, 2) ** 2
    scores = np.ones(joints, np.float32) if scores is None else scores
    return Pose(points, scores, skeleton, (0, 0, 9, 9))


NAMES = [BODY.joints[joint] for joint in SEEN]


def test_parents_stand_before_their_children_and_every_joint_hangs_somewhere() -> None:
    assert sorted(child for _, child in BODY.bones) == list(range(1, 17))
    assert all(parent < child for parent, child in BODY.bones)


def test_sixteen_joints_are_seen_and_they_are_mpiis() -> None:
    same = {"upper_neck": "neck"}
    assert set(NAMES) == {same.get(name, name) for name in MPII.joints}


def test_mpiis_keypoints_come_under_their_names() -> None:
    pose = on(MPII)
    points, known = seen_joints(pose, min_score=0.5)
    assert known.all()
    for name, point in zip(NAMES, points, strict=True):
        own = "upper_neck" if name == "neck" else name
        np.testing.assert_array_equal(point, pose.points[MPII.index(own)])


def test_coco_gets_a_pelvis_and_a_thorax_but_no_neck_or_head_is_made_up() -> None:
    pose = on(COCO)
    points, known = seen_joints(pose, min_score=0.5)
    hips = pose.points[[COCO.index("left_hip"), COCO.index("right_hip")]]
    np.testing.assert_array_equal(points[NAMES.index("pelvis")], hips.mean(axis=0))
    unknown = {name for name, found in zip(NAMES, known, strict=True) if not found}
    assert unknown == {"neck", "head_top"}


def test_a_middle_needs_both_its_ends_and_a_place_needs_numbers() -> None:
    scores = np.array([name != "left_hip" for name in COCO.joints], np.float32)
    pose = on(COCO, scores)
    pose.points[COCO.index("right_knee")] = np.nan
    points, known = seen_joints(pose, min_score=0.0)
    assert np.isfinite(points).all()
    unknown = {name for name, found in zip(NAMES, known, strict=True) if not found}
    assert unknown == {"neck", "head_top", "left_hip", "pelvis", "right_knee"}


def test_a_mirror_twice_is_none(standing: np.ndarray) -> None:
    np.testing.assert_array_equal(mirrored(mirrored(standing)), standing)
    # The right hip stands where the left one's reflection is.
    np.testing.assert_array_equal(mirrored(standing)[0, 1], standing[0, 4] * [-1, 1, 1])


def test_normalised_joints_know_no_place_no_size_and_nothing_of_the_missing() -> None:
    rng = np.random.default_rng(0)
    pixels, known = rng.normal(size=(3, 16, 2)) * 50, np.ones((3, 16), bool)
    known[:, 4] = False
    plain = normalised(pixels, known, masked=True)
    moved = pixels * 3 + 700
    moved[:, 4] = -1e4
    np.testing.assert_allclose(normalised(moved, known, masked=True), plain, atol=1e-5)
    np.testing.assert_array_equal(plain[:, 4], 0)
    distances = (plain[..., :2] ** 2).sum(-1)
    np.testing.assert_allclose(distances.sum(1) / 15, 1, rtol=1e-5)
    assert normalised(pixels, known, masked=False).shape == (3, 16, 2)
