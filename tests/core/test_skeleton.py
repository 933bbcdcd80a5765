"""The words for the body, against MPII's published joint numbers."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from hourglass.core.skeleton import (
    COCO,
    H36M,
    LEFT,
    LSP,
    MIDDLE,
    MPII,
    RIGHT,
    SKELETONS,
    Skeleton,
    read_skeleton,
)

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


@pytest.mark.parametrize("count", [1, 3])
def test_there_must_be_one_colour_per_bone(count: int):
    with pytest.raises(
        ValueError, match=rf"skeleton 'stick': {count} colours for 2 bones, one per bone is needed"
    ):
        make_skeleton(colours=(RIGHT,) * count)


def test_a_skeleton_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        MPII.name = "coco"


# Skeletons as data.


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS.keys())
def test_a_built_in_skeleton_is_sound(skeleton: Skeleton):
    assert {"mpii": 16, "coco": 17, "lsp": 14, "h36m": 17}[skeleton.name] == len(skeleton.joints)
    assert skeleton.mirrors
    assert skeleton.mirror_pairs == Skeleton.of_names("x", skeleton.joints).mirror_pairs
    grouped = [joint for _, joints in skeleton.groups for joint in joints]
    assert sorted(grouped) == skeleton.counted.tolist()
    connected = {joint for bone in skeleton.bones for joint in bone}
    assert connected == set(range(len(skeleton.joints)))


def test_published_joint_numbers():
    assert [COCO.index(name) for name in ("nose", "left_shoulder", "right_ankle")] == [0, 5, 16]
    assert [LSP.index(name) for name in ("right_ankle", "right_wrist", "head_top")] == [0, 6, 13]
    assert [H36M.index(name) for name in ("pelvis", "left_hip", "right_wrist")] == [0, 4, 16]


def test_cocos_sigmas_are_the_published_ones():
    expected = [26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]
    np.testing.assert_allclose(COCO.oks_sigmas, np.array(expected) / 1000)


def test_unknown_sigmas_are_a_tenth():
    assert make_skeleton().oks_sigmas.tolist() == [0.1, 0.1, 0.1]
    assert make_skeleton().sigmas == ()


def test_a_skeleton_without_sides_does_not_mirror():
    corners = Skeleton.of_names("door", ("1", "2", "3", "4"))
    assert not corners.mirrors
    assert corners.flip_order.tolist() == [0, 1, 2, 3]
    assert [title for title, _ in corners.groups] == ["1", "2", "3", "4"]


def test_groups_and_colours_are_derived_from_mirror_pairs():
    skeleton = make_skeleton(colours=())
    assert skeleton.groups == (("Nose", (0,)), ("Hand", (1, 2)))
    assert skeleton.colours == (RIGHT, LEFT)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"joints": ("nose", "nose", "tail")}, "joint 'nose' comes more than once"),
        ({"joints": ()}, "has 0 joints, 1 to 200 are allowed"),
        ({"joints": tuple(map(str, range(201)))}, "has 201 joints, 1 to 200 are allowed"),
        ({"joints": ("nose", " ", "tail")}, "' ' is no name of a joint"),
        (
            {"mirror_pairs": ((1, 2), (0, 1))},
            r"mirror_pairs name joint 1 \('right_hand'\) more than once",
        ),
        ({"mirror_pairs": ((1, 1),)}, "mirror_pairs name joint 1"),
        ({"sigmas": (0.1,)}, "1 sigmas for 3 joints"),
        ({"sigmas": (0.1, 0.0, 0.1)}, "each must be above 0"),
        ({"reference": "foot"}, "reference is 'foot', it must be one of head, torso, box"),
        ({"reference": "torso"}, "reference 'torso' needs the pair of joints"),
        ({"left_out": (3,)}, r"left_out has \(3,\), but joints are numbered 0 to 2"),
        ({"groups": (("All", (0, 7)),)}, r"groups has \(0, 7\)"),
    ],
)
def test_a_wrong_skeleton_is_refused(changes: dict[str, object], error: str):
    with pytest.raises(ValueError, match=f"skeleton 'stick'.*{error}"):
        make_skeleton(**changes)


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS.keys())
def test_json_and_back_changes_nothing(skeleton: Skeleton):
    text = json.dumps(skeleton.to_dict())
    assert Skeleton.from_dict(json.loads(text), where="a.json") == skeleton


def test_names_are_enough(tmp_path: Path):
    path = tmp_path / "cat.json"
    path.write_text('{"name": "cat", "joints": ["nose", "left_paw", "right_paw"]}')
    assert read_skeleton(path).mirror_pairs == ((2, 1),)
    assert read_skeleton("coco") is COCO


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[]", "a skeleton must be a JSON object"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"name": "cat"}', "needs the fields 'name' and 'joints'"),
        ('{"name": "cat", "joints": "nose"}', "must be a list of names"),
        ('{"name": "cat", "joints": ["a"], "legs": 4}', "has no field 'legs'"),
        ('{"name": "cat", "joints": ["a"], "bones": [[0]]}', "must be two joints' numbers"),
        ('{"name": "cat", "joints": ["a"], "bones": [[0, 1]]}', "joints are numbered 0 to 0"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str, error: str):
    path = tmp_path / "cat.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=error) as raised:
        read_skeleton(path)
    assert str(raised.value).startswith(str(path))


def test_what_is_neither_a_name_nor_a_file_says_what_there_is():
    with pytest.raises(ValueError, match="neither one of mpii, coco, lsp, h36m nor a file"):
        read_skeleton("cocco")
