"""Crops beside each other: what is drawn where, and on what."""

from __future__ import annotations

import numpy as np
import pytest

from hourglass.core.pose import Pose
from hourglass.core.skeleton import LEFT, MPII, RIGHT
from hourglass.media.drawing import draw_pose
from hourglass.media.panels import PANEL, PAPER, crop_panels, draw_panel, draw_rows


def assert_colour(pixel: np.ndarray, colour: tuple[int, int, int]) -> None:
    """A small dot's white outline bleeds into its middle."""
    assert np.abs(pixel.astype(int) - colour).max() < 60


def test_panels_show_labels_prediction_and_heatmaps():
    crops = np.zeros((2, 64, 64, 3), np.uint8)
    labels = np.tile(np.array([20.0, 20.0]), (2, 16, 1))
    labels[:, 3] = 50, 20  # a left hip
    labelled = np.zeros((2, 16), bool)
    labelled[0, [2, 3]] = True
    heatmaps = np.zeros((2, 16, 16, 16), np.float32)
    heatmaps[1, 12, 3, 0] = 0.9  # a right ankle
    panels = draw_rows(crops, heatmaps, labels, labelled, skeleton=MPII)
    assert panels.shape == (2, 256, 768, 3)
    assert panels.dtype == np.uint8
    left, middle, right = np.split(panels, 3, axis=2)
    # 64 px become 256: px 20 lies at (20 + 0.5) · 4 - 0.5.
    assert_colour(left[0, 82, 82], RIGHT)
    assert_colour(left[0, 82, 202], LEFT)
    assert not left[1].any()
    assert not middle[0].any()
    # A cell is 16 px wide here.
    assert_colour(middle[1, 12 * 16 + 8, 3 * 16 + 8], RIGHT)
    assert right[1, 12 * 16 + 8, 3 * 16 + 8].sum() > right[1, 30, 200].sum() + 100


def test_a_crop_is_shown_once_for_each_pose():
    picture = np.random.default_rng(0).integers(0, 100, (300, 400, 3), np.uint8)
    points = np.full((16, 2), 150.0)
    points[2:4] = (200, 120), (250, 180)
    seen, unseen = np.ones(16, bool), np.zeros(16, bool)
    center, scale = np.array([200.0, 150.0]), 1.0
    first, second = crop_panels(
        picture, [(points, seen), (points, unseen)], center=center, scale=scale, skeleton=MPII
    )
    assert first.shape == second.shape == (PANEL, PANEL, 3)
    # 250 px of the picture become 224: its px 200 is the middle.
    where = np.abs(first.astype(int) - second).sum(axis=-1) > 60
    rows, columns = np.nonzero(where)
    assert 111 in columns
    assert columns.max() < (250 - 200) * PANEL / 250 + 112 + 6
    assert rows.min() > (120 - 150) * PANEL / 250 + 112 - 6


def test_a_plain_panel_hides_the_photograph():
    picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    pose = (np.zeros((16, 2)), np.zeros(16))
    (panel,) = crop_panels(
        picture, [pose], center=np.array([32.0, 32.0]), scale=0.3, skeleton=MPII, plain=True
    )
    assert (panel == PAPER).all()


@pytest.mark.filterwarnings("error")
def test_somebody_who_was_not_found_is_not_drawn():
    picture = np.zeros((64, 64, 3), np.uint8)
    center = np.array([32.0, 32.0])
    nobody = (np.full((16, 2), np.inf), np.ones(16))
    (panel,) = crop_panels(picture, [nobody], center=center, scale=0.2, skeleton=MPII)
    (empty,) = crop_panels(
        picture, [(np.zeros((16, 2)), np.zeros(16))], center=center, scale=0.2, skeleton=MPII
    )
    np.testing.assert_array_equal(panel, empty)


def test_a_panel_is_the_drawing_of_a_pose():
    canvas = np.zeros((100, 100, 3), np.uint8)
    points = np.random.default_rng(1).uniform(10, 90, (16, 2)).astype(np.float32)
    panel = draw_panel(canvas, points, np.ones(16, bool), skeleton=MPII)
    assert not canvas.any()
    pose = Pose(points, np.ones(16, np.float32), MPII, (0, 0, 100, 100))
    np.testing.assert_array_equal(panel, draw_pose(canvas, pose))
