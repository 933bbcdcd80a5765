"""The words for the body, against MPII's published joint numbers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from hourglass.core.skeleton import LEFT, MIDDLE, MPII, RIGHT, Skeleton

MPII_JOINTS = {
    0: "right_ankle",
    1: "right_knee",
    2: "right_hip",
    3: "left_hip",
    4: "left_knee",
    5: "left_ankle",
    6: "pelvis",
    7: "thorax",
    8: "upper_neck",
    9: "head_top",
    10: "right_wrist",
    11: "right_elbow",
    12: "right_shoulder",
    13: "left_shoulder",
    14: "left_elbow",
    15: "left_wrist",
}


def make_skeleton(**changes: object) -> Skeleton:
    fields = {
        "name": "stick",
        "joints": ("nose", "right_hand", "left_hand"),
        "bones": ((0, 1), (0, 2)),
        "mirror_pairs": ((1, 2),),
        "colours": (RIGHT, LEFT),
    }
    return Skeleton(**{**fields, **changes})


def other_side(joint: str) -> str:
    if joint.startswith("right_"):
        return joint.replace("right_", "left_")
    return joint.replace("left_", "right_")


def test_mpii_has_the_published_joints_in_their_order():
    assert MPII.joints == tuple(MPII_JOINTS[number] for number in range(16))


@pytest.mark.parametrize(("number", "joint"), MPII_JOINTS.items())
def test_index_is_the_position_on_the_joint_axis(number: int, joint: str):
    assert MPII.index(joint) == number


def test_index_of_an_unknown_joint_lists_the_known_ones():
    with pytest.raises(
        ValueError,
        match=r"skeleton 'stick' has no joint 'tail'; it has nose, right_hand, left_hand$",
    ):
        make_skeleton().index("tail")


def test_mpii_flip_order_is_golden():
    assert MPII.flip_order.tolist() == [5, 4, 3, 2, 1, 0, 6, 7, 8, 9, 15, 14, 13, 12, 11, 10]


def test_flip_order_swaps_every_right_name_with_its_left_name():
    assert [MPII.joints[joint] for joint in MPII.flip_order] == [
        other_side(joint) for joint in MPII.joints
    ]


def test_flipping_twice_changes_nothing():
    names = np.array(MPII.joints)
    order = MPII.flip_order
    np.testing.assert_array_equal(names[order][order], names)


def test_changing_a_flip_order_does_not_change_the_skeleton():
    MPII.flip_order[:] = 0
    assert MPII.flip_order[0] == 5


def test_joints_without_a_mirror_pair_keep_their_place():
    assert make_skeleton(mirror_pairs=()).flip_order.tolist() == [0, 1, 2]


def test_mirror_pairs_name_the_right_joint_first():
    for right, left in MPII.mirror_pairs:
        assert MPII.joints[right].startswith("right_")
        assert MPII.joints[left] == other_side(MPII.joints[right])


def test_mpii_bones_connect_all_joints_without_a_loop():
    groups = {joint: {joint} for joint in range(len(MPII.joints))}
    for start, end in MPII.bones:
        assert groups[start] is not groups[end], f"bone {(start, end)} closes a loop"
        groups[start] |= groups[end]
        for joint in groups[end]:
            groups[joint] = groups[start]
    assert groups[0] == set(range(16))


def test_mpii_bones_look_the_same_in_a_mirror():
    order = MPII.flip_order
    bones = {frozenset(bone) for bone in MPII.bones}
    assert {frozenset(int(order[joint]) for joint in bone) for bone in bones} == bones


@pytest.mark.parametrize("bone", range(len(MPII.bones)))
def test_a_bone_has_the_colour_of_its_side(bone: int):
    names = " ".join(MPII.joints[joint] for joint in MPII.bones[bone])
    expected = RIGHT if "right_" in names else LEFT if "left_" in names else MIDDLE
    assert MPII.colours[bone] == expected


def test_the_three_colours_differ():
    assert len({RIGHT, LEFT, MIDDLE}) == 3


@pytest.mark.parametrize("pair", [(0, 3), (-1, 0)])
@pytest.mark.parametrize("field", ["bones", "mirror_pairs"])
def test_an_index_that_is_no_joint_is_refused(field: str, pair: tuple[int, int]):
    with pytest.raises(
        ValueError,
        match=rf"skeleton 'stick': {field} has \({pair[0]}, {pair[1]}\), "
        r"but joints are numbered 0 to 2$",
    ):
        make_skeleton(**{field: (pair,)})


@pytest.mark.parametrize("count", [0, 1, 3])
def test_there_must_be_one_colour_per_bone(count: int):
    with pytest.raises(
        ValueError, match=rf"skeleton 'stick': {count} colours for 2 bones, one per bone is needed"
    ):
        make_skeleton(colours=(RIGHT,) * count)


def test_a_skeleton_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        MPII.name = "coco"
