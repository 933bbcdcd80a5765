"""Left and right in joints' names: as words, as letters, and where neither is meant."""

from __future__ import annotations

import pytest

from hourglass.core.sides import mirror_pairs_of, side_of


@pytest.mark.parametrize(
    ("joint", "side"),
    [
        ("left_hip", ("left", "hip")),
        ("hip_left", ("left", "hip")),
        ("LHip", ("left", "Hip")),
        ("hip_L", ("left", "hip")),
        ("r_knee", ("right", "knee")),
        ("Right Eye", ("right", "Eye")),
        ("rightEye", ("right", "Eye")),
        ("L_F_Paw", ("left", "F_Paw")),
        ("wingR", ("right", "wing")),
        ("forelegL2", ("left", "foreleg2")),
        ("lower_lip", None),
        ("relbow", None),
        ("rear", None),
        ("left", None),
        ("L", None),
        ("ROI", None),
        ("1", None),
    ],
)
def test_sides_are_read_from_names(joint: str, side: tuple[str, str] | None):
    assert side_of(joint) == side


def test_mirror_pairs_name_right_first_whatever_the_order_of_joints():
    joints = ("nose", "left_eye", "right_eye", "left_ear", "tail")
    assert mirror_pairs_of(joints) == ((2, 1),)
