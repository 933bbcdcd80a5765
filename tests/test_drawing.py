"""Drawings: left and right told apart, lines that fit the picture, nothing doubtful shown."""

from __future__ import annotations

import numpy as np
import pytest

from hourglass.drawing import MIN_SCORE, draw_heatmaps, draw_pose
from hourglass.pose import Pose
from hourglass.skeleton import LEFT, MIDDLE, MPII, RIGHT

# A standing figure, (x, y) in a square of side 1.
FIGURE = {
    "right_ankle": (0.35, 0.9),
    "right_knee": (0.37, 0.75),
    "right_hip": (0.42, 0.6),
    "left_hip": (0.58, 0.6),
    "left_knee": (0.63, 0.75),
    "left_ankle": (0.65, 0.9),
    "pelvis": (0.5, 0.6),
    "thorax": (0.5, 0.35),
    "upper_neck": (0.5, 0.25),
    "head_top": (0.5, 0.1),
    "right_wrist": (0.15, 0.6),
    "right_elbow": (0.22, 0.48),
    "right_shoulder": (0.35, 0.35),
    "left_shoulder": (0.65, 0.35),
    "left_elbow": (0.78, 0.48),
    "left_wrist": (0.85, 0.6),
}


def figure(side: int, *, low: tuple[str, ...] = ()) -> Pose:
    points = np.array([FIGURE[name] for name in MPII.joints], np.float32) * side
    scores = np.array([0.1 if name in low else 0.9 for name in MPII.joints], np.float32)
    return Pose(points, scores, MPII, (0, 0, side, side))


def black(side: int) -> np.ndarray:
    return np.zeros((side, side, 3), np.uint8)


def middle(pose: Pose, start: str, end: str) -> np.ndarray:
    """The pixel (x, y) halfway along a bone."""
    return pose.points[[MPII.index(start), MPII.index(end)]].mean(axis=0).round().astype(int)


@pytest.mark.parametrize(
    ("bone", "colour"),
    [
        (("right_ankle", "right_knee"), RIGHT),
        (("right_knee", "right_hip"), RIGHT),
        (("right_wrist", "right_elbow"), RIGHT),
        (("right_elbow", "right_shoulder"), RIGHT),
        (("left_ankle", "left_knee"), LEFT),
        (("left_wrist", "left_elbow"), LEFT),
        (("left_shoulder", "left_elbow"), LEFT),
        (("pelvis", "thorax"), MIDDLE),
        (("upper_neck", "head_top"), MIDDLE),
    ],
)
def test_bones_are_drawn_in_the_colour_of_their_side(
    bone: tuple[str, str], colour: tuple[int, int, int]
):
    pose = figure(300)
    x, y = middle(pose, *bone)
    assert tuple(draw_pose(black(300), pose)[y, x]) == colour


def test_sides_are_told_apart_at_a_glance():
    for one, other in ((LEFT, RIGHT), (LEFT, MIDDLE), (RIGHT, MIDDLE)):
        assert np.abs(np.subtract(one, other)).max() >= 80


def test_joints_are_dots_in_the_colour_of_their_side():
    pose = figure(600)
    drawn = draw_pose(black(600), pose)
    for joint, colour in (("right_wrist", RIGHT), ("left_ankle", LEFT), ("head_top", MIDDLE)):
        x, y = pose.points[MPII.index(joint)].round().astype(int)
        np.testing.assert_array_equal(drawn[y, x], colour)


def test_the_picture_itself_is_left_as_it_was():
    picture = np.random.default_rng(0).integers(0, 256, (80, 100, 3), np.uint8)
    before = picture.copy()
    drawn = draw_pose(picture, figure(70))
    np.testing.assert_array_equal(picture, before)
    assert drawn.shape == picture.shape
    assert drawn.dtype == np.uint8
    # Far from the figure nothing changes.
    np.testing.assert_array_equal(drawn[:, 80:], before[:, 80:])


@pytest.mark.parametrize(("side", "width"), [(100, 2), (300, 2), (900, 6), (3000, 20)])
def test_lines_grow_with_the_picture(side: int, width: int):
    pose = figure(side)
    drawn = draw_pose(black(side), pose)
    row = drawn[round(0.47 * side)].max(axis=-1)
    trunk = row[round(0.4 * side) : round(0.6 * side)] > max(MIDDLE) / 2
    assert abs(int(trunk.sum()) - width) <= 1


def test_unsure_joints_and_their_bones_are_left_out():
    sure = draw_pose(black(300), figure(300))
    pose = figure(300, low=("left_elbow",))
    drawn = draw_pose(black(300), pose)
    for bone in (("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist")):
        x, y = middle(pose, *bone)
        assert sure[y, x].any()
        assert not drawn[y, x].any()
    x, y = pose.points[MPII.index("left_elbow")].astype(int)
    assert not drawn[y - 5 : y + 5, x - 5 : x + 5].any()
    x, y = pose.points[MPII.index("left_wrist")].astype(int)
    assert drawn[y, x].any()


def test_the_lowest_score_shown_is_the_callers():
    pose = figure(300, low=MPII.joints)
    assert 0.1 < MIN_SCORE < 0.9
    assert not draw_pose(black(300), pose).any()
    np.testing.assert_array_equal(
        draw_pose(black(300), pose, min_score=0.1), draw_pose(black(300), figure(300))
    )


def test_joints_far_outside_the_picture_do_no_harm():
    pose = figure(300)
    pose.points[MPII.index("left_wrist")] = [1e12, -3e9]
    pose.points[MPII.index("right_wrist")] = [-40, 310]
    drawn = draw_pose(black(300), pose)
    x, y = middle(pose, "pelvis", "thorax")
    assert tuple(drawn[y, x]) == MIDDLE
    inside = figure(300, low=("left_wrist", "right_wrist"))
    legs = slice(round(0.65 * 300), 300)
    np.testing.assert_array_equal(drawn[legs, 90:210], draw_pose(black(300), inside)[legs, 90:210])


def test_joints_lie_between_pixels():
    # A shift of half a pixel shows in the anti-aliased edges.
    pose = figure(300)
    moved = Pose(pose.points + np.float32(0.5), pose.scores, MPII, pose.box)
    one, other = (draw_pose(black(300), each).astype(int) for each in (pose, moved))
    assert (one != other).any()
    weight = [drawn.sum(axis=(0, 2)) @ np.arange(300) / drawn.sum() for drawn in (one, other)]
    assert weight[1] - weight[0] == pytest.approx(0.5, abs=0.1)


def test_heatmaps_are_laid_over_the_crop():
    picture = np.full((64, 64, 3), 100, np.uint8)
    heatmaps = np.zeros((16, 16, 16))
    heatmaps[4, 11, 3] = 1.0
    heatmaps[12, 2, 7] = 2.0  # shown as 1
    drawn = draw_heatmaps(picture, heatmaps)
    assert drawn.shape == (64, 64, 3)
    assert drawn.dtype == np.uint8
    light = drawn.astype(int).sum(axis=-1)
    cold = light[0, 0]
    for column, row in ((11, 4), (2, 12)):
        spot = light[4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
        assert spot.min() > cold + 100
    assert light[40, 50] == cold
    # The hot end of the colours is yellow, in RGB.
    red, _, blue = drawn[4 * 12 + 2, 4 * 2 + 1].astype(int)
    assert red > blue
