"""The body's words, and other skeletons' keypoints under them."""

from __future__ import annotations

import numpy as np

from hourglass.core.skeleton import MPII
from hourglass.lifting.body import BODY, SEEN, from_joints, mirrored, normalised

COCO = [
    "nose",
    "left_eye",
    "right_eye",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
]


def test_parents_stand_before_their_children_and_every_joint_hangs_somewhere() -> None:
    assert sorted(child for _, child in BODY.bones) == list(range(1, 17))
    assert all(parent < child for parent, child in BODY.bones)


def test_sixteen_joints_are_seen_and_they_are_mpiis() -> None:
    assert {BODY.joints[joint] for joint in SEEN} == set(MPII.joints)


def test_mpiis_keypoints_come_under_their_names() -> None:
    points = np.arange(32, dtype=np.float32).reshape(16, 2)
    placed, known = from_joints(MPII.joints, points, np.ones(16, bool))
    assert known.all()
    for column, joint in enumerate(SEEN):
        np.testing.assert_array_equal(placed[column], points[MPII.index(BODY.joints[joint])])


def test_coco_gets_a_pelvis_and_a_thorax_but_no_head_is_made_up() -> None:
    points = np.zeros((17, 2), np.float32)
    points[COCO.index("left_hip")], points[COCO.index("right_hip")] = (4, 10), (2, 20)
    placed, known = from_joints(COCO, points, np.ones(17, bool))
    by_name = {BODY.joints[joint]: column for column, joint in enumerate(SEEN)}
    np.testing.assert_array_equal(placed[by_name["pelvis"]], [3, 15])
    assert known[by_name["thorax"]]
    assert not known[by_name["head_top"]]
    assert not known[by_name["upper_neck"]]


def test_a_middle_needs_both_its_ends() -> None:
    found = np.array([name != "left_hip" for name in COCO])
    _, known = from_joints(COCO, np.ones((17, 2), np.float32), found)
    assert not known[SEEN.index(BODY.index("pelvis"))]


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
