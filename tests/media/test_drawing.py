"""Drawings: left and right told apart, lines that fit the picture, nothing doubtful shown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hourglass.core.geometry import apply_affine, crop_matrix
from hourglass.core.pose import Pose
from hourglass.core.skeleton import LEFT, MIDDLE, MPII, RIGHT
from hourglass.media.drawing import (
    DEFAULT_PARTS,
    ID_COLOURS,
    MIN_SCORE,
    PARTS,
    draw_heatmap,
    draw_heatmaps,
    draw_pose,
    draw_poses,
)

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


# Parts.


def changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Which pixels (H, W) differ."""
    return (before != after).any(axis=-1)


def test_bones_and_dots_are_drawn_by_default():
    assert set(DEFAULT_PARTS) < set(PARTS)
    pose = figure(300)
    both = draw_pose(black(300), pose, parts=("keypoints", "skeleton"))
    np.testing.assert_array_equal(draw_pose(black(300), pose), both)


def test_parts_are_drawn_alone():
    pose = figure(600)
    joint = pose.points[MPII.index("left_knee")].astype(int)
    bone = middle(pose, "left_knee", "left_ankle")
    drawn = {part: draw_pose(black(600), pose, parts=(part,)) for part in PARTS}
    at = {
        part: (drawn[part][joint[1], joint[0]].any(), drawn[part][bone[1], bone[0]].any())
        for part in PARTS
    }
    assert at == {
        "skeleton": (True, True),
        "keypoints": (True, False),
        "names": (False, False),
        "ids": (False, False),
    }
    assert drawn["names"].any()
    # Dots are outlined, bones are not.
    lightest = {part: drawn[part].min(axis=-1).max() for part in PARTS}
    assert lightest["keypoints"] > 180 > lightest["skeleton"]


def has_colour(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    return (picture == colour).all(axis=-1)


def test_a_persons_number_stands_over_their_head_in_a_colour_of_its_own():
    drawn = {
        number: draw_pose(black(300), replace(figure(300), id=number), parts=("ids",))
        for number in (1, 2, len(ID_COLOURS) + 1, None)
    }
    assert not drawn[None].any()
    for number in (1, 2):
        rows, columns = np.nonzero(has_colour(drawn[number], ID_COLOURS[number - 1]))
        head_x, head_y = figure(300).points[MPII.index("head_top")]
        assert rows.max() < head_y
        assert abs(columns.mean() - head_x) < 3
        assert len(rows) > 50
    # Other digits, and after the last colour the first again.
    assert has_colour(drawn[len(ID_COLOURS) + 1], ID_COLOURS[0]).any()
    assert (drawn[1] != drawn[len(ID_COLOURS) + 1]).any()


@pytest.mark.parametrize("shift", [(0, -100), (-400, 0), (400, 400), (1e9, -1e9)])
def test_the_number_of_somebody_cut_off_stays_inside(shift: tuple[float, float]):
    moved = replace(figure(300), points=figure(300).points + np.float32(shift), id=7)
    tag = has_colour(draw_pose(black(300), moved, parts=("ids",)), ID_COLOURS[6])
    inside = has_colour(draw_pose(black(300), replace(figure(300), id=7)), ID_COLOURS[6])
    assert tag.sum() == inside.sum()


def test_nobodys_skeleton_covers_anothers_number():
    first, second = replace(figure(300), id=1), replace(figure(300), id=2)
    lower = replace(second, points=second.points + np.float32([0, -16]))
    tag = has_colour(draw_poses(black(300), [first], parts=("ids",)), ID_COLOURS[0])
    both = draw_poses(black(300), [first, replace(lower, id=None)])
    assert (has_colour(both, ID_COLOURS[0]) == tag).all()


def test_no_parts_are_the_picture_itself():
    picture = np.random.default_rng(0).integers(0, 256, (80, 100, 3), np.uint8)
    drawn = draw_pose(picture, figure(70), parts=())
    np.testing.assert_array_equal(drawn, picture)
    assert not np.shares_memory(drawn, picture)


def test_an_unknown_part_is_refused():
    with pytest.raises(
        ValueError, match=r"parts holds 'bones', allowed are skeleton, keypoints, names"
    ):
        draw_pose(black(100), figure(100), parts=("skeleton", "bones"))


def test_joints_of_no_bone_are_dots_too():
    # The pelvis is one end of a bone only if both ends are sure.
    low = tuple(name for name in MPII.joints if name != "left_wrist")
    pose = figure(300, low=low)
    drawn = draw_pose(black(300), pose)
    x, y = pose.points[MPII.index("left_wrist")].round().astype(int)
    assert tuple(drawn[y, x]) == LEFT


# Names.


@pytest.mark.parametrize("side", [200, 600, 3000])
def test_a_name_stands_at_the_right_of_its_joint(side: int):
    pose = figure(side, low=tuple(name for name in MPII.joints if name != "right_knee"))
    rows, columns = np.nonzero(changed(black(side), draw_pose(black(side), pose, parts=("names",))))
    x, y = pose.points[MPII.index("right_knee")]
    width = columns.max() - columns.min()
    height = rows.max() - rows.min()
    # A line of letters, that begins near the joint and does not cover it.
    assert x < columns.min() < x + 0.1 * side
    assert y - 0.1 * side < rows.min() < rows.max() < y + 0.1 * side
    assert width > 3 * height
    # Legible, and no larger than the picture bears.
    assert 7 < height < 0.06 * side + 8
    assert width < 0.4 * side


def test_names_can_be_read_on_black_and_on_white():
    pose = figure(600)
    for shade in (0, 255):
        picture = np.full((600, 600, 3), shade, np.uint8)
        seen = draw_pose(picture, pose, parts=("names",)).astype(int)
        letters = seen.max(axis=-1)
        assert (letters < 30).any()
        assert (letters > 225).any()


def test_joints_are_called_by_their_own_names():
    # The same place, another name: other letters. And only of joints that are sure.
    def named(name: str) -> np.ndarray:
        pose = figure(600, low=tuple(other for other in MPII.joints if other != name))
        pose.points[:] = [100, 300]
        return draw_pose(black(600), pose, parts=("names",))

    texts = [named(name).tobytes() for name in MPII.joints]
    assert len(set(texts)) == len(MPII.joints)
    assert not draw_pose(black(600), figure(600, low=MPII.joints), parts=("names",)).any()


def test_names_beyond_the_picture_do_no_harm():
    pose = figure(300)
    pose.points[MPII.index("left_wrist")] = [1e12, -3e9]
    pose.points[MPII.index("right_wrist")] = [298, 299]
    drawn = draw_pose(black(300), pose, parts=PARTS)
    assert drawn.shape == (300, 300, 3)


@pytest.mark.parametrize("side", [100, 8000])
def test_drawings_look_alike_in_small_and_large_pictures(side: int):
    step = max(1, side // 1000)  # every pixel of the largest would take its time

    def drawn(side: int, step: int = 1) -> np.ndarray:
        return draw_pose(black(side), figure(side))[::step, ::step].any(axis=-1)

    seen = drawn(side, step)
    usual = drawn(1000).mean()
    # Lines of 2 px, the least there is, are wide in a picture of 100 px.
    assert usual / 2 < seen.mean() < 5 * usual
    # Nothing is drawn far from the figure.
    assert not seen[: round(0.05 * len(seen))].any()


@pytest.mark.parametrize("shape", [(60, 8000), (8000, 60), (16, 16)])
def test_pictures_may_be_of_any_shape(shape: tuple[int, int]):
    picture = np.full((*shape, 3), 90, np.uint8)
    assert draw_pose(picture, figure(16), parts=PARTS).shape == picture.shape


# A heatmap over a picture.


def glow(
    picture: np.ndarray, center: tuple[float, float], side: float, cells: list[tuple[int, int]]
) -> tuple[np.ndarray, np.ndarray]:
    """The picture with peaks of 1 at cells (x, y) of a 64×64 heatmap; and where they lie."""
    heatmap = np.zeros((64, 64), np.float32)
    for x, y in cells:
        heatmap[y, x] = 1.0
    matrix = crop_matrix(np.array(center), side / 250, size=64)
    inverse = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2]
    return draw_heatmap(picture, heatmap, matrix), apply_affine(
        inverse, np.array(cells, float).reshape(-1, 2)
    )


@pytest.mark.parametrize("scale", [1, 5])
def test_a_heatmap_glows_where_its_peaks_are(scale: int):
    picture = np.full((120 * scale, 200 * scale, 3), 50, np.uint8)
    side = 128.0 * scale
    drawn, places = glow(picture, (90.0 * scale, 60.0 * scale), side, [(20, 30), (50, 12)])
    assert drawn.shape == picture.shape
    assert drawn.dtype == np.uint8
    light = changed(picture, drawn)
    y, x = np.nonzero(light)
    cell = side / 64
    for place in places:
        near = np.hypot(x - place[0], y - place[1]) < 1.5 * cell
        # As bright as can be at the peak, and its middle is the peak's.
        column, row = place.round().astype(int)
        assert drawn[row, column].astype(int).sum() > 500
        weight = (drawn[y[near], x[near]].astype(int) - 50).sum(axis=-1).clip(0)
        found = np.array([x[near] @ weight, y[near] @ weight]) / weight.sum()
        np.testing.assert_allclose(found, place, atol=0.15 * cell)
    far = np.min([np.hypot(x - place[0], y - place[1]) for place in places], axis=0)
    assert far.max() < 1.5 * cell


def test_a_heatmap_of_nothing_leaves_the_picture_as_it_is():
    picture = np.random.default_rng(0).integers(0, 256, (80, 100, 3), np.uint8)
    before = picture.copy()
    drawn, _ = glow(picture, (50, 40), 100, [])
    np.testing.assert_array_equal(drawn, picture)
    drawn, _ = glow(picture, (50, 40), 100, [(30, 30)])
    assert (drawn != picture).any()
    np.testing.assert_array_equal(picture, before)


@pytest.mark.parametrize(
    ("center", "side"),
    [((-20, 40), 100), ((100, 80), 60), ((50, 40), 2000), ((50, 40), 3), ((0, 0), 0.01)],
)
def test_a_heatmap_may_reach_beyond_the_picture(center: tuple[float, float], side: float):
    picture = np.full((80, 100, 3), 50, np.uint8)
    drawn, places = glow(picture, center, side, [(0, 0), (63, 63), (40, 31)])
    assert drawn.shape == picture.shape
    for x, y in places.round().astype(int):
        if 0 <= x < 100 and 0 <= y < 80 and side >= 100:
            assert drawn[y, x].astype(int).sum() > 300


def test_a_heatmap_beside_the_picture_is_not_drawn():
    picture = np.full((80, 100, 3), 50, np.uint8)
    for center in ((-500, 40), (50, 900), (9e6, -9e6)):
        drawn, _ = glow(picture, center, 100, [(10, 10)])
        np.testing.assert_array_equal(drawn, picture)


def test_values_beyond_0_and_1_are_shown_as_these():
    picture = np.full((80, 100, 3), 50, np.uint8)
    matrix = crop_matrix(np.array([50.0, 40.0]), 100 / 250, size=64)
    heatmap = np.zeros((64, 64), np.float32)
    heatmap[30, 30] = 1
    expected = draw_heatmap(picture, heatmap, matrix)
    np.testing.assert_array_equal(draw_heatmap(picture, 7 * heatmap, matrix), expected)
    heatmap[10:15, 10:15] = -3
    np.testing.assert_array_equal(draw_heatmap(picture, heatmap, matrix), expected)


@pytest.mark.parametrize("shape", [(60, 40_000), (40_000, 60)])
def test_a_heatmap_is_drawn_on_the_longest_pictures(shape: tuple[int, int]):
    # OpenCV's own places end at 32,767.
    picture = np.full((*shape, 3), 50, np.uint8)
    center = ((shape[1] - 1) / 2, (shape[0] - 1) / 2)
    drawn, places = glow(picture, center, 1.25 * 40_000, [(8, 8), (32, 32), (8, 32), (32, 8)])
    for x, y in places.round().astype(int):
        if 0 <= x < shape[1] and 0 <= y < shape[0]:
            assert drawn[y, x].astype(int).sum() > 300


def test_any_view_may_be_drawn_on():
    picture = np.random.default_rng(0).integers(0, 256, (80, 100, 3), np.uint8)
    view, whole = picture[:, ::-1, ::-1], np.ascontiguousarray(picture[:, ::-1, ::-1])
    np.testing.assert_array_equal(draw_pose(view, figure(70)), draw_pose(whole, figure(70)))
    one, _ = glow(view, (50, 40), 100, [(30, 30)])
    other, _ = glow(whole, (50, 40), 100, [(30, 30)])
    np.testing.assert_array_equal(one, other)
