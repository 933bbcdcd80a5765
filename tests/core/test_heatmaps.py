"""From joints to heatmaps: hand-computed pixels, and which joints are drawn at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hourglass.core.heatmaps import encode_heatmaps


def encode_one(x: float, y: float, *, labelled: bool = True, **options: Any) -> np.ndarray:
    """The map (size, size) of a single joint."""
    points = np.array([[x, y]], np.float32)
    return encode_heatmaps(points, np.array([labelled]), **options)[..., 0]


def test_a_peak_on_the_grid_is_exactly_1_with_golden_neighbours():
    expected = [
        [0.3678794, 0.6065307, 0.3678794, 0.0820850, 0.0067379],  # exp of -1, -1/2, -1, -5/2, -5
        [0.6065307, 1.0000000, 0.6065307, 0.1353353, 0.0111090],  # -1/2, 0, -1/2, -2, -9/2
        [0.3678794, 0.6065307, 0.3678794, 0.0820850, 0.0067379],
        [0.0820850, 0.1353353, 0.0820850, 0.0183156, 0.0015034],  # -5/2, -2, -5/2, -4, -13/2
        [0.0067379, 0.0111090, 0.0067379, 0.0015034, 0.0001234],  # -5, -9/2, -5, -13/2, -9
    ]
    heatmap = encode_one(1, 1, size=5, sigma=1.0)
    assert heatmap[1, 1] == 1
    np.testing.assert_allclose(heatmap, expected, atol=1e-7)


@pytest.mark.parametrize(
    ("x", "y", "row", "column", "value"),
    [
        (1.5, 2.0, 2, 1, 0.8824969),  # exp(-1/8), half a pixel to either side
        (1.5, 2.0, 2, 2, 0.8824969),
        (1.5, 1.5, 1, 2, 0.7788008),  # exp(-1/4)
        (0.75, 2.0, 2, 1, 0.9692333),  # exp(-1/32)
        (0.75, 2.0, 2, 0, 0.7548396),  # exp(-9/32)
        (-0.5, 2.0, 2, 0, 0.8824969),
    ],
)
def test_the_gaussian_sits_at_the_unrounded_point(
    x: float, y: float, row: int, column: int, value: float
):
    assert encode_one(x, y, size=4, sigma=1.0)[row, column] == pytest.approx(value, abs=2e-7)


@pytest.mark.parametrize(
    ("sigma", "neighbour"), [(0.5, 0.1353353), (1.0, 0.6065307), (2.0, 0.8824969)]
)
def test_sigma_is_in_heatmap_pixels(sigma: float, neighbour: float):
    heatmap = encode_one(3, 3, size=8, sigma=sigma)
    assert heatmap[3, 3] == 1
    np.testing.assert_allclose(heatmap[[3, 3, 2, 4], [2, 4, 3, 3]], neighbour, atol=1e-7)


def test_maps_are_laid_out_as_row_column_joint():
    points = np.array([[[5, 1], [0, 6]]], np.float32)
    heatmaps = encode_heatmaps(points, np.ones((1, 2)), size=8)
    assert heatmaps.shape == (1, 8, 8, 2)
    assert heatmaps.dtype == np.float32
    assert np.argwhere(heatmaps == 1).tolist() == [[0, 1, 5, 0], [0, 6, 0, 1]]


@pytest.mark.parametrize("leading", [(), (3,), (2, 3)])
def test_any_leading_shape_is_kept(leading: tuple[int, ...]):
    rng = np.random.default_rng(0)
    points = rng.uniform(-1, 9, (*leading, 4, 2)).astype(np.float32)
    labelled = rng.random((*leading, 4)) < 0.7
    heatmaps = encode_heatmaps(points, labelled, size=8)
    assert heatmaps.shape == (*leading, 8, 8, 4)
    for place in np.ndindex(leading):
        alone = encode_heatmaps(points[place], labelled[place], size=8)
        np.testing.assert_allclose(heatmaps[place], alone, atol=1e-7)


def test_a_joint_that_is_not_labelled_has_a_zero_map():
    assert not encode_one(3, 3, labelled=False, size=8).any()


@pytest.mark.parametrize(
    "point",
    [
        (-0.51, 3),
        (3, -0.51),
        (7.5, 3),
        (3, 7.5),
        (-1, -1),
        (900, 3),
        (3, -1e6),
        (float("inf"), 3),
    ],
)
def test_a_labelled_joint_outside_the_crop_has_a_zero_map(point: tuple[float, float]):
    heatmap = encode_one(*point, size=8, sigma=2.0)
    np.testing.assert_array_equal(heatmap, np.zeros((8, 8)))


@pytest.mark.parametrize("point", [(-0.5, 3), (3, -0.5), (7.499, 3), (3, 7.499), (-0.5, 7.499)])
def test_a_joint_on_the_crops_outermost_pixels_is_drawn(point: tuple[float, float]):
    assert encode_one(*point, size=8).max() > 0.77


@pytest.mark.parametrize("labelled", [0, 1])
def test_a_joint_without_coordinates_has_a_zero_map(labelled: int):
    points = np.array([[np.nan, np.nan], [2, 2]], np.float32)
    heatmaps = encode_heatmaps(points, np.array([labelled, 1]), size=4)
    np.testing.assert_array_equal(heatmaps[..., 0], np.zeros((4, 4)))
    assert heatmaps[2, 2, 1] == 1


def test_joints_do_not_touch_each_others_maps():
    points = np.array([[2, 2], [-9, 2], [4, 1]], np.float32)
    heatmaps = encode_heatmaps(points, np.array([True, True, False]), size=8)
    np.testing.assert_array_equal(heatmaps[..., 0], encode_one(2, 2, size=8))
    assert not heatmaps[..., 1:].any()


@pytest.mark.parametrize("kind", [np.bool_, np.int64, np.float32])
def test_labels_may_be_truths_or_numbers(kind: type):
    points = np.array([[2, 2], [2, 2]], np.float32)
    heatmaps = encode_heatmaps(points, np.array([1, 0]).astype(kind), size=8)
    np.testing.assert_array_equal(heatmaps.max(axis=(0, 1)), [1, 0])


@pytest.mark.parametrize("sigma", [1.0, 1.5])
def test_foreground_is_what_lies_within_3_sigma(sigma: float):
    heatmap = encode_one(15.31, 14.67, size=32, sigma=sigma)
    y, x = np.mgrid[:32, :32]
    within = np.hypot(x - 15.31, y - 14.67) < 3 * sigma
    np.testing.assert_array_equal(heatmap > np.exp(-4.5), within)


def test_every_pixel_is_the_gaussian_of_its_distance():
    rng = np.random.default_rng(1)
    points = rng.uniform(-0.5, 11.5, (3, 16, 2)).astype(np.float32)
    heatmaps = encode_heatmaps(points, np.ones((3, 16)), size=12, sigma=1.3)
    for person, row, column, joint in np.ndindex(heatmaps.shape):
        x, y = points[person, joint].astype(float)
        expected = np.exp(-((column - x) ** 2 + (row - y) ** 2) / (2 * 1.3**2))
        assert heatmaps[person, row, column, joint] == pytest.approx(expected, abs=1e-6)


def test_a_map_is_empty_unless_its_joint_is_labelled_and_inside():
    rng = np.random.default_rng(2)
    points = rng.uniform(-2, 26, (16, 2)).astype(np.float32)
    labelled = rng.random(16) < 0.7
    heatmaps = encode_heatmaps(points, labelled, size=24, sigma=1.2)
    assert heatmaps.shape == (24, 24, 16)
    inside = ((points >= -0.5) & (points < 23.5)).all(axis=1)
    np.testing.assert_array_equal(heatmaps.any(axis=(0, 1)), labelled & inside)
