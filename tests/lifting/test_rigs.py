"""Rigs are known by their joints' names."""

from __future__ import annotations

import numpy as np
import pytest

from hourglass.lifting.body import BODY
from hourglass.lifting.rigs import RIGS, body_of, find_rig, plain_name

MIXAMO = [
    "mixamorig:Hips",
    "mixamorig:Spine",
    "mixamorig:Spine1",
    "mixamorig:Spine2",
    "mixamorig:Neck",
    "mixamorig:Head",
    "mixamorig:HeadTop_End",
    "mixamorig:LeftShoulder",
    "mixamorig:LeftArm",
    "mixamorig:LeftForeArm",
    "mixamorig:LeftHand",
    "mixamorig:RightShoulder",
    "mixamorig:RightArm",
    "mixamorig:RightForeArm",
    "mixamorig:RightHand",
    "mixamorig:LeftUpLeg",
    "mixamorig:LeftLeg",
    "mixamorig:LeftFoot",
    "mixamorig:RightUpLeg",
    "mixamorig:RightLeg",
    "mixamorig:RightFoot",
]

CMU = [
    "Hips",
    "LHipJoint",
    "LeftUpLeg",
    "LeftLeg",
    "LeftFoot",
    "RHipJoint",
    "RightUpLeg",
    "RightLeg",
    "RightFoot",
    "LowerBack",
    "Spine",
    "Spine1",
    "Neck",
    "Neck1",
    "Head",
    "Head_end",
    "LeftShoulder",
    "LeftArm",
    "LeftForeArm",
    "LeftHand",
    "RightShoulder",
    "RightArm",
    "RightForeArm",
    "RightHand",
]

BANDAI = [
    "joint_Root",
    "Hips",
    "Spine",
    "Chest",
    "Neck",
    "Head",
    "Shoulder_L",
    "UpperArm_L",
    "LowerArm_L",
    "Hand_L",
    "Shoulder_R",
    "UpperArm_R",
    "LowerArm_R",
    "Hand_R",
    "UpperLeg_L",
    "LowerLeg_L",
    "Foot_L",
    "UpperLeg_R",
    "LowerLeg_R",
    "Foot_R",
]


@pytest.mark.parametrize(
    ("names", "rig"),
    [
        (MIXAMO, "Mixamo"),
        (CMU, "CMU, as converted for MotionBuilder"),
        (BANDAI, "Bandai-Namco"),
    ],
)
def test_a_rig_is_found(names: list[str], rig: str) -> None:
    assert find_rig(names, where="test").name == rig


def test_every_rig_finds_itself() -> None:
    for rig in RIGS:
        assert find_rig(sorted(rig.needed), where="test") is rig


def test_names_lose_namespace_capitals_and_signs() -> None:
    assert plain_name("mixamorig:Left_UpLeg") == "leftupleg"
    assert plain_name("Head_end") == "head_end"


def test_joints_come_to_their_places() -> None:
    positions = np.zeros((2, len(CMU), 3))
    positions[..., 0] = np.arange(len(CMU))
    body = body_of(CMU, positions, where="test")[0]
    at = dict(zip(BODY.joints, body[:, 0], strict=True))
    assert at["left_knee"] == CMU.index("LeftLeg")
    assert at["right_shoulder"] == CMU.index("RightArm")
    assert at["pelvis"] == (CMU.index("LeftUpLeg") + CMU.index("RightUpLeg")) / 2
    # Twice from the skull's base to the end of the head; the forearm half as long again.
    assert at["head_top"] == CMU.index("Head") + 2
    assert at["left_wrist"] == CMU.index("LeftForeArm") + 1.5


def test_a_skeleton_without_hips_says_what_it_lacks() -> None:
    names = [name for name in CMU if "UpLeg" not in name] + ["Tail"]
    with pytest.raises(ValueError, match=r"clip\.bvh: no known rig") as raised:
        find_rig(names, where="clip.bvh")
    assert "leftupleg, rightupleg" in str(raised.value)
    assert "Tail" in str(raised.value)


def test_one_joint_only_is_no_rig() -> None:
    with pytest.raises(ValueError, match="the file's other joints are Root"):
        find_rig(["Root"], where="clip.bvh")
