"""Where things are: coordinates by hand, exact ways back, and pictures that agree."""

from __future__ import annotations

import re

import numpy as np
import pytest

from hourglass.core import geometry

INF, NAN = float("inf"), float("nan")


def make_blob(point: tuple[float, float], *, height: int, width: int, sigma: float) -> np.ndarray:
    """A black picture (H, W, 3) uint8 with a white Gaussian around a point."""
    along_x = np.exp(-0.5 * ((np.arange(width) - point[0]) / sigma) ** 2)
    along_y = np.exp(-0.5 * ((np.arange(height) - point[1]) / sigma) ** 2)
    values = np.round(255 * along_y[:, None] * along_x).astype(np.uint8)
    return np.repeat(values[..., None], 3, axis=2)


def find_blob(picture: np.ndarray, near: np.ndarray, *, reach: float) -> np.ndarray:
    """The centre of mass (x, y) of what is bright within `reach` px of a point."""
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]]
    weights = np.where(np.hypot(x - near[0], y - near[1]) <= reach, picture[..., 0], 0.0)
    return np.array([(weights * x).sum(), (weights * y).sum()]) / weights.sum()


@pytest.mark.parametrize(
    ("pixel", "cell"), [(-0.5, -0.5), (0.0, -0.375), (1.5, 0.0), (3.5, 0.5), (255.5, 63.5)]
)
def test_to_grid_is_golden(pixel: float, cell: float):
    assert geometry.to_grid(np.array(pixel)) == cell


@pytest.mark.parametrize("stride", [1, 2, 4, 8, 2.5])
def test_from_grid_undoes_to_grid(stride: float):
    points = np.random.default_rng(0).uniform(-100, 2000, (50, 2))
    back = geometry.from_grid(geometry.to_grid(points, stride), stride)
    np.testing.assert_allclose(back, points, atol=1e-9)


@pytest.mark.parametrize(("scale", "side"), [(1.0, 250.0), (0.5, 125.0), (3.2, 800.0)])
def test_crop_side_is_250_px_per_unit_of_scale(scale: float, side: float):
    assert geometry.crop_side(scale) == side


def test_crop_side_takes_many_scales():
    assert geometry.crop_side(np.array([[1.0, 2.0]], np.float32)).tolist() == [[250.0, 500.0]]


@pytest.mark.parametrize(
    ("picture_point", "crop_point"),
    [
        ((300.0, 200.0), (127.5, 127.5)),  # the centre
        ((300.0 - 250, 200.0 - 250), (-0.5, -0.5)),  # the ROI's outer edge is the crop's
        ((300.0 + 250, 200.0 + 250), (255.5, 255.5)),
        ((300.0 + 125, 200.0), (191.5, 127.5)),
        ((300.0, 200.0 - 62.5), (127.5, 95.5)),
    ],
)
def test_crop_matrix_is_golden(picture_point: tuple[float, float], crop_point: tuple[float, float]):
    matrix = geometry.crop_matrix(np.array([300.0, 200.0]), 2.0, size=256)
    mapped = geometry.apply_affine(matrix, np.array([picture_point]))
    np.testing.assert_allclose(mapped, [crop_point], atol=1e-9)


@pytest.mark.parametrize(
    ("rotation", "crop_point"),
    [
        (90.0, (31.5, 95.5)),  # right of the centre goes below it: clockwise on screen
        (180.0, (-32.5, 31.5)),
        (-90.0, (31.5, -32.5)),
        (360.0, (95.5, 31.5)),
    ],
)
def test_rotation_turns_the_content_clockwise(rotation: float, crop_point: tuple[float, float]):
    center = np.array([10.0, 20.0])
    matrix = geometry.crop_matrix(center, 1.0, size=64, rotation=rotation)
    mapped = geometry.apply_affine(matrix, center[None] + (250.0, 0.0))
    np.testing.assert_allclose(mapped, [crop_point], atol=1e-9)


def test_crop_matrices_of_many_people_are_those_of_each():
    rng = np.random.default_rng(1)
    centers, scales = rng.uniform(0, 900, (5, 2)), rng.uniform(0.3, 6, 5)
    together = geometry.crop_matrix(centers, scales, size=128, rotation=17.0)
    alone = [
        geometry.crop_matrix(center, float(scale), size=128, rotation=17.0)
        for center, scale in zip(centers, scales, strict=True)
    ]
    assert together.shape == (5, 2, 3)
    np.testing.assert_allclose(together, alone, rtol=1e-12)


def test_crop_matrix_is_computed_in_double_precision():
    center, scale = np.array([1, 2], np.float32), np.float32(1.5)
    assert geometry.crop_matrix(center, scale, size=256).dtype == np.float64


def test_apply_affine_is_golden():
    matrix = np.array([[2.0, 1.0, 10.0], [0.0, -1.0, 20.0]])
    points = np.array([[3, 4], [0, 0]])
    assert geometry.apply_affine(matrix, points).tolist() == [[20.0, 16.0], [10.0, 20.0]]


def test_apply_affine_gives_each_person_their_own_matrix():
    double = np.array([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
    move = np.array([[1.0, 0.0, 5.0], [0.0, 1.0, -5.0]])
    points = np.array([[[1.0, 2.0], [3.0, 4.0]]] * 2)
    assert geometry.apply_affine(np.stack([double, move]), points).tolist() == [
        [[2.0, 4.0], [6.0, 8.0]],
        [[6.0, -3.0], [8.0, -1.0]],
    ]


def test_invert_affine_is_golden():
    matrix = np.array([[2.0, 0.0, 10.0], [0.0, 4.0, -8.0]])
    assert geometry.invert_affine(matrix).tolist() == [[0.5, 0.0, -5.0], [0.0, 0.25, 2.0]]


@pytest.mark.parametrize("rotation", [0.0, 33.0, -150.0])
@pytest.mark.parametrize("size", [96, 256])
def test_crop_and_back_is_exact(size: int, rotation: float):
    rng = np.random.default_rng(2)
    centers, scales = rng.uniform(-50, 2000, (200, 2)), rng.uniform(0.1, 12, 200)
    points = (centers[:, None] + rng.uniform(-1500, 1500, (200, 16, 2))).astype(np.float32)
    matrices = geometry.crop_matrix(centers, scales, size=size, rotation=rotation)
    in_crop = geometry.apply_affine(matrices, points).astype(np.float32)
    back = geometry.apply_affine(geometry.invert_affine(matrices), in_crop)
    np.testing.assert_allclose(back, points, atol=1e-3)


def test_a_whole_picture_is_a_box():
    center, scale = geometry.box_to_crop((0, 0, 640, 480))
    assert center.tolist() == [319.5, 239.5]
    assert scale == 3.2


def test_a_boxs_longer_side_is_the_persons_height():
    center, scale = geometry.box_to_crop((10.0, 20.0, 51.0, 200.0))
    assert center.tolist() == [35.0, 119.5]
    assert scale == 1.0


def test_a_boxs_crop_leaves_an_equal_margin_at_both_ends():
    center, scale = geometry.box_to_crop((10.0, 20.0, 51.0, 200.0))
    matrix = geometry.crop_matrix(center, scale, size=250)
    ends = geometry.apply_affine(matrix, np.array([[35.0, 19.5], [35.0, 219.5]]))
    np.testing.assert_allclose(ends, [[124.5, 24.5], [124.5, 224.5]])


@pytest.mark.parametrize(
    "box",
    [
        (0, 0, 0, 10),
        (0, 0, 10, 0),
        (5, 5, -1, 10),
        (5, 5, 10, -1),
        (NAN, 0, 10, 10),
        (0, INF, 10, 10),
        (0, 0, NAN, 10),
        (0, 0, 10, INF),
    ],
)
def test_a_box_without_area_is_refused(box: tuple[float, float, float, float]):
    message = f"box {box}: x y w h must be finite, and w and h above 0 px"
    with pytest.raises(ValueError, match=re.escape(message)):
        geometry.box_to_crop(box)


@pytest.mark.parametrize(
    ("shrink", "factor"),
    [(0.2, 1), (1, 1), (1.99, 1), (2, 2), (3.99, 2), (4, 4), (7.99, 4), (8, 8), (16, 8), (100, 8)],
)
def test_reduction_never_loses_resolution(shrink: float, factor: int):
    assert geometry.reduction(shrink) == factor


def test_warp_by_the_identity_changes_nothing():
    picture = np.random.default_rng(3).integers(0, 256, (32, 32, 3), np.uint8)
    np.testing.assert_array_equal(geometry.warp(picture, np.eye(2, 3), size=32), picture)


def test_warp_moves_whole_pixels_and_fills_the_rest():
    picture = np.random.default_rng(4).integers(0, 256, (20, 30, 3), np.uint8)
    matrix = np.array([[1.0, 0.0, 3.0], [0.0, 1.0, -2.0]])
    expected = np.full((24, 24, 3), 128, np.uint8)
    expected[0:18, 3:24] = picture[2:20, 0:21]
    np.testing.assert_array_equal(geometry.warp(picture, matrix, size=24), expected)


def test_warp_blends_between_neighbouring_pixels():
    picture = np.zeros((1, 4, 3), np.uint8)
    picture[0, 1:] = 200
    half_a_pixel = np.array([[1.0, 0.0, -0.5], [0.0, 1.0, 0.0]])
    crop = geometry.warp(picture, half_a_pixel, size=3)
    np.testing.assert_allclose(crop[0, :, 0], [100, 200, 200], atol=1)


@pytest.mark.parametrize("center", [(-900.0, 50.0), (50.0, 900.0)])
@pytest.mark.parametrize("scale", [0.2, 1.0, 3.0])
def test_a_crop_beside_the_picture_is_all_fill(center: tuple[float, float], scale: float):
    picture = np.zeros((100, 100, 3), np.uint8)
    crop = geometry.crop(picture, np.array(center), scale, size=64)
    assert crop.shape == (64, 64, 3)
    assert (crop == geometry.FILL).all()


@pytest.mark.parametrize("scale", [0.8, 2.4, 5.0, 9.0])
def test_outside_the_picture_a_crop_is_filled(scale: float):
    side = round(250 * scale)
    picture = np.full((side, side, 3), 255, np.uint8)
    crop = geometry.crop(picture, np.array([-0.5, -0.5]), scale, size=64)
    assert (crop[:31] == geometry.FILL).all()
    assert (crop[:, :31] == geometry.FILL).all()
    assert (crop[33:, 33:] == 255).all()


@pytest.mark.parametrize(
    ("dot", "center", "scale", "size"),
    [
        ((130, 90), (124.5, 100.5), 1.0, 250),  # one crop pixel per pixel
        ((60, 140), (80.0, 120.0), 0.4, 300),  # three per pixel
        ((200, 33), (190.25, 40.75), 0.64, 256),  # 1.6 per pixel, off the grid
        ((201, 177), (210.0, 170.0), 1.2, 256),
    ],
)
def test_a_bright_dot_lands_where_the_matrix_says(
    dot: tuple[int, int], center: tuple[float, float], scale: float, size: int
):
    picture = np.zeros((330, 370, 3), np.uint8)
    picture[dot[1], dot[0]] = 255
    matrix = geometry.crop_matrix(np.array(center), scale, size=size)
    predicted = geometry.apply_affine(matrix, np.array([dot]))[0]
    crop = geometry.crop(picture, np.array(center), scale, size=size)
    y, x = np.unravel_index(crop[..., 0].argmax(), (size, size))
    assert np.abs(predicted - [x, y]).max() <= 0.51
    found = find_blob(crop, predicted, reach=2 * size / (250 * scale))
    np.testing.assert_allclose(found, predicted, atol=0.2)


@pytest.mark.parametrize(("side", "contrast"), [(1000, 25), (2000, 14), (4000, 8)])
def test_a_fine_fence_is_grey_in_a_small_crop(side: int, contrast: float):
    # However far a picture shrinks: pixels that are skipped would leave stripes of other widths.
    fence = np.zeros((side, side, 3), np.uint8)
    fence[:, np.arange(side) % 9 < 4] = 255
    center = np.array([side / 2, side / 2])
    crop = geometry.crop(fence, center, side / 260, size=64)
    inside = crop[4:-4, 4:-4]
    assert inside.std() < contrast
    assert inside.mean() == pytest.approx(255 * 4 / 9, abs=4)
    sampled = geometry.sample(fence, geometry.crop_matrix(center, side / 260, size=64), size=64)
    assert sampled[4:-4, 4:-4].std() < contrast


def test_a_crop_at_the_pictures_own_size_keeps_the_dots_pixel():
    picture = np.zeros((180, 250, 3), np.uint8)
    picture[90, 130] = (255, 100, 7)
    crop = geometry.crop(picture, np.array([124.5, 100.5]), 1.0, size=250)
    assert crop[90 - 100 + 124, 130 - 124 + 124].tolist() == [255, 100, 7]
    assert (crop == (255, 100, 7)).all(axis=-1).sum() == 1


@pytest.mark.parametrize("rotation", [0.0, 30.0, -100.0])
@pytest.mark.parametrize("scale", [1.0, 2.3, 4.7, 9.0, 12.0])
@pytest.mark.parametrize("point", [(700.3, 600.6), (933.4, 801.2)])
def test_shrinking_keeps_positions(scale: float, rotation: float, point: tuple[float, float]):
    shrink = 250 * scale / 256
    picture = make_blob(point, height=1111, width=1331, sigma=4 * shrink)
    center = np.array(point) + np.array([40.3, -25.6]) * shrink
    matrix = geometry.crop_matrix(center, scale, size=256, rotation=rotation)
    predicted = geometry.apply_affine(matrix, np.array([point]))[0]
    crop = geometry.warp(picture, matrix, size=256)
    np.testing.assert_allclose(find_blob(crop, predicted, reach=14), predicted, atol=0.05)


@pytest.mark.parametrize("scale", [2.1, 4.2, 8.4])
def test_shrinking_averages_what_bilinear_sampling_would_skip(scale: float):
    checkers = (np.indices((900, 900)).sum(axis=0) % 2 * 255).astype(np.uint8)
    picture = np.repeat(checkers[..., None], 3, axis=2)
    crop = geometry.crop(picture, np.array([449.5, 449.5]), scale, size=256)
    middle = crop[110:146, 110:146].astype(int)
    assert np.abs(middle - 127.5).max() <= 1


@pytest.mark.parametrize("scale", [2.1, 4.2, 8.4])
@pytest.mark.parametrize("corner", [0, 3])
def test_shrinking_counts_every_pixel(scale: float, corner: int):
    picture = np.zeros((900, 900, 3), np.uint8)
    picture[corner::4, corner::4] = 255
    crop = geometry.crop(picture, np.array([449.5, 449.5]), scale, size=256)
    assert abs(crop[100:156, 100:156].mean() - 255 / 16) <= 1


@pytest.mark.parametrize("scale", [0.7, 3.0])
def test_crop_is_warp_by_the_crop_matrix(scale: float):
    picture = np.random.default_rng(5).integers(0, 256, (90, 120, 3), np.uint8)
    center = np.array([50.3, 40.8])
    matrix = geometry.crop_matrix(center, scale, size=64)
    np.testing.assert_array_equal(
        geometry.crop(picture, center, scale, size=64), geometry.warp(picture, matrix, size=64)
    )


def test_warp_leaves_the_picture_and_the_matrix_alone():
    picture = np.random.default_rng(6).integers(0, 256, (300, 310, 3), np.uint8)
    matrix = geometry.crop_matrix(np.array([150.0, 140.0]), 1.2, size=64)
    before = picture.copy(), matrix.copy()
    geometry.warp(picture, matrix, size=64)
    np.testing.assert_array_equal(picture, before[0])
    np.testing.assert_array_equal(matrix, before[1])
