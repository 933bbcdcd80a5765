"""From heatmaps to joints: golden maps, and the round trip with `hourglass.core.heatmaps`."""

from __future__ import annotations

import re
import tracemalloc

import numpy as np
import pytest

from hourglass.core.decoding import BLOCK, Refinement, decode_heatmaps

REFINEMENTS = ("quarter", "dark", "none")
PLATEAU = np.array(
    [
        [0.01, 0.02, 0.03, 0.02, 0.01, 0.01],
        [0.01, 0.10, 0.20, 0.30, 0.20, 0.01],
        [0.01, 0.20, 0.40, 0.80, 0.60, 0.01],
        [0.01, 0.10, 0.20, 0.50, 0.30, 0.01],
        [0.01, 0.02, 0.03, 0.04, 0.05, 0.01],
    ]
)
"""A map 6 wide and 5 high; its peak is (3, 2), higher to the right and below."""


def gaussian(
    x: float, y: float, *, sigma: float = 1.0, height: int = 16, width: int = 16
) -> np.ndarray:
    """One map (1, H, W, 1) with a Gaussian of height 1 at a point."""
    along_x = np.exp(-0.5 * ((np.arange(width) - x) / sigma) ** 2)
    along_y = np.exp(-0.5 * ((np.arange(height) - y) / sigma) ** 2)
    return (along_y[:, None] * along_x).astype(np.float32)[None, ..., None]


def random_points(size: int) -> np.ndarray:
    """(240, 16, 2) float32 points of a map: anywhere, on the borders, and in the corners."""
    rng = np.random.default_rng(size)
    last = np.nextafter(np.float32(size - 0.5), np.float32(0))
    points = rng.uniform(-0.5, last, (240, 16, 2)).astype(np.float32)
    edges = np.array([-0.5, -0.49, -0.2, 0, 0.3, 0.5, 1, size - 1, size - 1.2, size - 0.7, last])
    points[80:160, :, 0] = rng.choice(edges, (80, 16))
    points[120:240, :, 1] = rng.choice(edges, (120, 16))
    return np.clip(points, np.float32(-0.5), last)


@pytest.mark.parametrize(
    ("refine", "worst"),
    [("quarter", 0.36), ("dark", 0.05), ("none", 0.71)],
)
@pytest.mark.parametrize("sigma", [1.0, 1.5, 2.0])
@pytest.mark.parametrize("size", [64, 32, 24])
def test_what_is_encoded_is_decoded(size: int, sigma: float, refine: Refinement, worst: float):
    from hourglass.core.heatmaps import encode_heatmaps

    points = random_points(size)
    labelled = np.ones(points.shape[:2], bool)
    maps = encode_heatmaps(points, labelled, size=size, sigma=sigma)
    decoded, scores = decode_heatmaps(maps, refine=refine)
    assert np.linalg.norm(decoded - points, axis=-1).max() <= worst
    assert scores.min() >= np.exp(-0.5 * 0.5 / sigma**2) - 1e-5  # half a cell off along both axes
    assert scores.max() <= 1


def test_the_random_points_reach_every_border():
    points = random_points(24)
    for axis in (0, 1):
        assert points[..., axis].min() == -0.5
        assert 23.49 < points[..., axis].max() < 23.5


@pytest.mark.parametrize(
    ("refine", "point"),
    [("none", (3.0, 2.0)), ("quarter", (3.25, 2.25))],
)
def test_decoding_is_golden(refine: Refinement, point: tuple[float, float]):
    points, scores = decode_heatmaps(PLATEAU[None, ..., None], refine=refine)
    assert points.tolist() == [[list(point)]]
    assert scores.tolist() == [[np.float32(0.8)]]


def test_dark_solves_the_hessian_of_the_logarithm():
    # Too near the border for smoothing, so that the raw 3×3 pixels decide; worked out by hand from
    # p = log of them: dx = log(0.6/0.4)/2, dxx = log(0.6 · 0.4/0.8²), and so on.
    dx, dy = np.log(0.6 / 0.4) / 2, np.log(0.5 / 0.3) / 2
    dxx, dyy = np.log(0.6 * 0.4 / 0.8**2), np.log(0.5 * 0.3 / 0.8**2)
    dxy = np.log(0.3 * 0.2 / (0.2 * 0.2)) / 4
    offset = -np.linalg.solve([[dxx, dxy], [dxy, dyy]], [dx, dy])
    points, _ = decode_heatmaps(PLATEAU[None, ..., None], refine="dark")
    np.testing.assert_allclose(points[0, 0], np.add(offset, (3, 2)), atol=1e-5)


def test_points_are_x_then_y():
    maps = np.zeros((1, 7, 12, 1))
    maps[0, 5, 10, 0] = 1
    assert decode_heatmaps(maps, refine="none")[0].tolist() == [[[10.0, 5.0]]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("refine", REFINEMENTS)
def test_shapes_and_types(refine: Refinement, dtype: type):
    points, scores = decode_heatmaps(np.ones((2, 8, 9, 5), dtype), refine=refine)
    assert (points.shape, scores.shape) == ((2, 5, 2), (2, 5))
    assert points.dtype == scores.dtype == np.float32


@pytest.mark.parametrize(("peak", "score"), [(1.7, 1.0), (-0.3, 0.0), (0.25, 0.25)])
def test_scores_stay_between_0_and_1(peak: float, score: float):
    maps = np.full((1, 5, 5, 1), -1.0)
    maps[0, 2, 3, 0] = peak
    points, scores = decode_heatmaps(maps, refine="none")
    assert scores.tolist() == [[score]]
    assert points.tolist() == [[[3.0, 2.0]]]


def test_quarter_stays_between_equal_neighbours():
    maps = gaussian(5, 7)
    assert decode_heatmaps(maps, refine="quarter")[0].tolist() == [[[5.0, 7.0]]]


def test_quarter_goes_to_the_higher_neighbour_of_any_map():
    maps = np.random.default_rng(0).uniform(0.01, 1, (20, 12, 14, 8)).astype(np.float32)
    points, _ = decode_heatmaps(maps, refine="quarter")
    checked = 0
    for person, joint in np.ndindex(20, 8):
        one = maps[person, :, :, joint]
        y, x = np.unravel_index(one.argmax(), one.shape)
        if 0 < x < 13 and 0 < y < 11:
            expected_x = x + 0.25 * np.sign(one[y, x + 1] - one[y, x - 1])
            expected_y = y + 0.25 * np.sign(one[y + 1, x] - one[y - 1, x])
            assert points[person, joint].tolist() == [expected_x, expected_y]
            checked += 1
    assert checked > 80


@pytest.mark.parametrize(
    ("x", "y", "point"),
    [
        (-0.3, 4.0, (-0.25, 4.0)),
        (0.3, 4.0, (0.25, 4.0)),
        (15.3, 4.0, (15.25, 4.0)),
        (14.7, 4.0, (14.75, 4.0)),
        (4.0, -0.3, (4.0, -0.25)),
        (4.0, 15.3, (4.0, 15.25)),
        (-0.4, 15.4, (-0.25, 15.25)),
    ],
)
def test_quarter_at_the_border_looks_at_the_side_that_is_there(
    x: float, y: float, point: tuple[float, float]
):
    assert decode_heatmaps(gaussian(x, y), refine="quarter")[0].tolist() == [[list(point)]]


@pytest.mark.parametrize(
    "point", [(7.3, 8.4), (0.0, 0.2), (-0.45, 7.7), (15.45, 15.1), (2.6, 14.49)]
)
@pytest.mark.parametrize("height", [1.0, 0.2, 3.0])
def test_dark_finds_a_gaussian_of_any_height(point: tuple[float, float], height: float):
    points, _ = decode_heatmaps(height * gaussian(*point, sigma=1.5), refine="dark")
    np.testing.assert_allclose(points[0, 0], point, atol=2e-3)


def test_dark_smooths_noise_away():
    rng = np.random.default_rng(1)
    truth = rng.uniform(6, 17, (200, 2))
    maps = np.concatenate([gaussian(x, y, sigma=2, height=24, width=24) for x, y in truth])
    noisy = maps + rng.normal(0, 0.02, maps.shape).astype(np.float32)
    error = {
        refine: np.linalg.norm(decode_heatmaps(noisy, refine=refine)[0][:, 0] - truth, axis=-1)
        for refine in REFINEMENTS
    }
    assert error["dark"].mean() < 0.1
    assert error["dark"].mean() < error["quarter"].mean() / 2


@pytest.mark.parametrize("refine", REFINEMENTS)
def test_refining_never_leaves_the_peaks_neighbourhood(refine: Refinement):
    maps = np.random.default_rng(2).normal(0, 1, (40, 9, 7, 16)).astype(np.float32)
    peaks, _ = decode_heatmaps(maps, refine="none")
    points, _ = decode_heatmaps(maps, refine=refine)
    assert np.abs(points - peaks).max() <= {"none": 0, "quarter": 0.25, "dark": 1}[refine]


@pytest.mark.parametrize("value", [0.0, 0.5, -2.0])
@pytest.mark.parametrize("refine", REFINEMENTS)
def test_a_flat_map_has_a_point_on_its_grid_and_its_own_score(refine: Refinement, value: float):
    points, scores = decode_heatmaps(np.full((1, 8, 8, 1), value), refine=refine)
    assert points.tolist() == [[[0.0, 0.0]]]
    assert scores.tolist() == [[max(value, 0.0)]]


@pytest.mark.parametrize("refine", REFINEMENTS)
@pytest.mark.parametrize("place", [(0, 0), (3, 4), (7, 7), (0, 5)])
def test_a_single_bright_pixel_is_its_own_centre(place: tuple[int, int], refine: Refinement):
    maps = np.zeros((1, 8, 8, 1))
    maps[0, place[1], place[0], 0] = 1
    points, _ = decode_heatmaps(maps, refine=refine)
    assert np.abs(points[0, 0] - place).max() <= 0.5


@pytest.mark.parametrize("refine", REFINEMENTS)
def test_people_and_joints_do_not_mix(refine: Refinement):
    maps = np.random.default_rng(3).uniform(0, 1, (4, 10, 11, 3)).astype(np.float32)
    points, scores = decode_heatmaps(maps, refine=refine)
    for person, joint in np.ndindex(4, 3):
        one = maps[person : person + 1, :, :, joint : joint + 1]
        point, score = decode_heatmaps(one, refine=refine)
        np.testing.assert_allclose(points[person, joint], point[0, 0], atol=1e-6)
        assert scores[person, joint] == score[0, 0]


@pytest.mark.parametrize("people", [0, 1, BLOCK - 1, BLOCK, 2 * BLOCK, 2 * BLOCK + 3])
@pytest.mark.parametrize("refine", REFINEMENTS)
def test_any_number_of_people_is_decoded(refine: Refinement, people: int):
    maps = np.random.default_rng(5).uniform(0, 1, (people, 12, 10, 3)).astype(np.float32)
    points, scores = decode_heatmaps(maps, refine=refine)
    assert (points.shape, scores.shape) == ((people, 3, 2), (people, 3))
    for person in range(people):
        point, score = decode_heatmaps(maps[person : person + 1], refine=refine)
        np.testing.assert_allclose(points[person], point[0], atol=1e-6)
        np.testing.assert_array_equal(scores[person], score[0])


def test_of_equal_peaks_the_first_counts():
    maps = np.random.default_rng(6).integers(0, 4, (2 * BLOCK, 9, 11, 5)).astype(np.float32)
    points, _ = decode_heatmaps(maps, refine="none")
    rows, columns = np.unravel_index(maps.reshape(2 * BLOCK, 99, 5).argmax(axis=1), (9, 11))
    np.testing.assert_array_equal(points, np.stack([columns, rows], axis=-1))


def test_a_map_with_nan_has_no_score():
    maps = np.ones((1, 5, 5, 2), np.float32)
    maps[0, 2, 3, 1] = np.nan
    points, scores = decode_heatmaps(maps, refine="none")
    assert points[0, 1].tolist() == [3, 2]
    np.testing.assert_array_equal(scores, [[1, np.nan]])


@pytest.mark.parametrize("refine", REFINEMENTS)
def test_heatmaps_of_many_people_are_not_copied(refine: Refinement):
    maps = np.zeros((20 * BLOCK, 32, 32, 16), np.float32)
    tracemalloc.start()
    try:
        decode_heatmaps(maps, refine=refine)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < maps.nbytes / 2


@pytest.mark.parametrize("refine", REFINEMENTS)
def test_decoding_leaves_the_heatmaps_alone(refine: Refinement):
    maps = np.random.default_rng(4).normal(0, 1, (2, 9, 9, 2))
    before = maps.copy()
    decode_heatmaps(maps, refine=refine)
    np.testing.assert_array_equal(maps, before)


@pytest.mark.parametrize("shape", [(8, 8, 16), (1, 2, 8, 8, 16), (1, 2, 8, 16), (1, 8, 2, 16)])
def test_arrays_of_another_shape_are_refused(shape: tuple[int, ...]):
    message = f"heatmaps must be (B, H>=3, W>=3, J), got {shape}"
    with pytest.raises(ValueError, match=re.escape(message)):
        decode_heatmaps(np.zeros(shape))


def test_an_unknown_refinement_lists_the_known_ones():
    with pytest.raises(
        ValueError,
        match=r"refine is 'half', it must be one of \('quarter', 'dark', 'none'\)",
    ):
        decode_heatmaps(np.zeros((1, 8, 8, 1)), refine="half")
