"""Sheets of labels: colours tell right from left, rings hidden joints, and nothing is cut off."""

from __future__ import annotations

import numpy as np
import pytest

from hourglass.core.skeleton import LEFT, MIDDLE, RIGHT, Skeleton
from hourglass.media.sheets import (
    GAP,
    LINE_HEIGHT,
    draw_labels,
    draw_legend,
    draw_sheet,
    joint_colours,
    sheet_width,
)

SKELETON = Skeleton.of_names("three", ("r_hip", "l_hip", "neck"), bones=((0, 1),))
POINTS = np.array([[20.0, 40.0], [100.0, 40.0], [60.0, 90.0]])
GREY = np.full((128, 128, 3), 90, np.uint8)


def test_right_left_and_middle_have_colours_of_their_own():
    assert joint_colours(SKELETON) == [RIGHT, LEFT, MIDDLE]


def test_dots_and_rings():
    drawn = draw_labels(GREY, POINTS, np.array([2, 1, 2]), skeleton=SKELETON)
    assert (GREY == 90).all()
    assert drawn[40, 20].tolist() == list(RIGHT)
    assert drawn[90, 60].tolist() == list(MIDDLE)
    assert drawn[40, 103].tolist() == list(LEFT)  # the ring
    assert drawn[40, 100].tolist() != list(LEFT)  # and what it is around


def test_joints_without_label_are_not_drawn():
    drawn = draw_labels(GREY, POINTS, np.array([0, 0, 0]), skeleton=SKELETON)
    np.testing.assert_array_equal(drawn, GREY)
    one_end = draw_labels(GREY, POINTS, np.array([2, 0, 0]), skeleton=SKELETON)
    assert one_end[40, 70].tolist() == [90, 90, 90]  # no half bone


def test_a_joint_has_its_number_beside_it():
    shown = np.array([0, 0, 2])
    drawn = draw_labels(GREY, POINTS, shown, skeleton=SKELETON)
    assert (drawn[84:97, 67:76] != GREY[84:97, 67:76]).any()


@pytest.mark.parametrize("place", [(1e12, -1e12), (-500.0, 70.0)])
def test_joints_far_outside_do_no_harm(place: tuple[float, float]):
    points = np.array([place, (5.0, 5.0), (6.0, 6.0)])
    drawn = draw_labels(GREY, points, np.array([2, 0, 0]), skeleton=SKELETON)
    assert drawn.shape == GREY.shape


def test_a_sheet_has_every_tile_in_its_place():
    tiles = [np.full((32, 32, 3), 10 * number, np.uint8) for number in range(1, 6)]
    width = sheet_width(32, 3)
    legend = draw_legend(SKELETON, width=width)
    sheet = draw_sheet(tiles, ["a" * 99] * 5, columns=3, legend=legend)
    step = 32 + LINE_HEIGHT + GAP
    assert sheet.shape == (2 * step + GAP + len(legend), width, 3)
    assert sheet.dtype == np.uint8
    for number, tile in enumerate(tiles):
        y, x = number // 3 * step + GAP, number % 3 * (32 + GAP) + GAP
        np.testing.assert_array_equal(sheet[y : y + 32, x : x + 32], tile)
        # A caption stays below its own tile.
        assert (sheet[y : y + step, x + 33 : x + 32 + GAP] == 250).all()


def test_a_legend_grows_with_its_joints():
    many = Skeleton.of_names("many", tuple(f"joint_{number}" for number in range(200)))
    narrow, wide = (draw_legend(many, width=width) for width in (200, 1600))
    assert narrow.shape[1] == 200
    assert wide.shape[0] < narrow.shape[0]
