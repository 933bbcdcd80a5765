"""BVH files: chains worked out by hand, round trips, and files that are wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hourglass.lifting.body import BODY
from hourglass.lifting.bvh import positions, read_bvh, to_bvh
from hourglass.lifting.rigs import body_of

CHAIN = """HIERARCHY
ROOT Hips
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT Knee
  {
    OFFSET 0 -2 0
    CHANNELS 3 Xrotation Yrotation Zrotation
    End Site
    {
      OFFSET 0 -3 0
    }
  }
}
MOTION
Frames: 3
Frame Time: 0.04
0 0 0 0 0 0 0 0 0
1 2 3 90 0 0 0 0 0
0 0 0 0 0 0 90 0 90
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "chain.bvh"
    path.write_text(text)
    return path


def test_a_chain_by_hand(tmp_path: Path) -> None:
    motion = read_bvh(write(tmp_path, CHAIN))
    assert motion.names == ("Hips", "Knee", "Knee_end")
    assert motion.frame_time == 0.04
    found = positions(motion)
    expected = [
        [[0, 0, 0], [0, -2, 0], [0, -5, 0]],
        # A quarter turn about z takes (0, -1, 0) to (1, 0, 0).
        [[1, 2, 3], [3, 2, 3], [6, 2, 3]],
        # x first, then z: Rx·Rz takes (0, -1, 0) over (1, 0, 0) to (1, 0, 0).
        [[0, 0, 0], [0, -2, 0], [3, -2, 0]],
    ]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_order_of_the_channels_is_the_order_of_the_turns(tmp_path: Path) -> None:
    swapped = CHAIN.replace("Xrotation Yrotation Zrotation", "Zrotation Yrotation Xrotation")
    found = positions(read_bvh(write(tmp_path, swapped)))
    # z first, then x: Rz·Rx takes (0, -1, 0) over (0, 0, -1) to (0, 0, -1).
    np.testing.assert_allclose(found[2, 2], [0, -2, -3], atol=1e-6)


def test_a_position_channel_takes_the_place_of_the_offset(tmp_path: Path) -> None:
    text = CHAIN.replace("CHANNELS 3 Xrotation Yrotation Zrotation", "CHANNELS 1 Yposition")
    head, _, _ = text.partition("Frames:")
    text = head + "Frames: 1\nFrame Time: 0.1\n0 0 0 0 0 0 -7\n"
    found = positions(read_bvh(write(tmp_path, text)))
    np.testing.assert_allclose(found[0, 1:], [[0, -7, 0], [0, -10, 0]])


def test_what_is_written_comes_back(tmp_path: Path, moving: np.ndarray) -> None:
    body = (moving - moving[:, :1]) * [1, -1, -1]
    path = write(tmp_path, to_bvh(body, rate=25))
    motion = read_bvh(path)
    assert motion.frame_time == 0.04
    back = body_of(motion.names, positions(motion), where="test") * 10 * [1, -1, -1]
    parents, children = np.array(BODY.bones).T

    def bones(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        vectors = points[:, children] - points[:, parents]
        lengths = np.linalg.norm(vectors, axis=-1)
        return vectors / lengths[..., None], lengths

    directions, lengths = bones(body)
    back_directions, back_lengths = bones(back)
    # The pelvis is read as the middle of the hips, so the bones from it are not as written.
    apart = ~np.isin(children, [BODY.index(n) for n in ("right_hip", "left_hip", "spine")])
    np.testing.assert_allclose(back_directions[:, apart], directions[:, apart], atol=1e-4)
    mean = np.broadcast_to(lengths.mean(axis=0), lengths.shape)
    np.testing.assert_allclose(back_lengths[:, apart], mean[:, apart], rtol=1e-4)


def test_a_bone_that_points_straight_back_is_written_too(
    tmp_path: Path, standing: np.ndarray
) -> None:
    body = (standing - standing[:, :1]) * [1, -1, -1]
    hip, knee = BODY.index("right_hip"), BODY.index("right_knee")
    body[:, knee] = body[:, hip] + [0, -420, 0]  # up, where the rest pose has it down
    motion = read_bvh(write(tmp_path, to_bvh(body, rate=30)))
    found = dict(zip(motion.names, positions(motion)[0], strict=True))
    np.testing.assert_allclose(found["right_knee"] - found["right_hip"], [0, 42, 0], atol=1e-4)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("JOINT Knee", "JOINT Hips", "'Hips' stands twice in the hierarchy"),
        ("HIERARCHY", "", "no BVH file"),
        ("1 2 3 90", "1 nan 3 90", r"frame 1 has a number that is not finite \(1 such frames of 3"),
        ("Frames: 3", "Frames: 4", "27 numbers in its motion, 4 frames of 9 channels need 36"),
        ("Frames: 3", "Frames: 0", "0 frames"),
        ("Frame Time: 0.04", "Frame Time: 0", "0 s"),
        ("OFFSET 0 -2 0", "OFFSET 0 x 0", "OFFSET of 'Knee' is '0 x 0', numbers are needed"),
        ("3 Xrotation Yrotation", "3 Xrotation Xrotation", "none twice"),
        ("3 Xrotation", "nan Xrotation", "CHANNELS of 'Knee' counts 'nan', 0 to 6 are possible"),
        ("3 Xrotation", "3 Xscale", "CHANNELS of 'Knee' are Xscale"),
        ("JOINT Knee", "ROOT Knee", "a second ROOT"),
        ("    }\n  }\n}", "    }\n  }", "not closed"),
        ("End Site", "Site", "'Site' does not belong into a hierarchy there"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(tmp_path: Path, old: str, new: str, told: str) -> None:
    with pytest.raises(ValueError, match=told) as raised:
        read_bvh(write(tmp_path, CHAIN.replace(old, new, 1)))
    assert "chain.bvh" in str(raised.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        read_bvh(tmp_path / "none.bvh")
