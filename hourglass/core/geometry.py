"""Where things are: the pixel convention, the crop of a person, and the way back.

Coordinates are (x, y) float, 0-based, with a pixel's *centre* at its index: a picture spans
[-0.5, W-0.5] × [-0.5, H-0.5]. Affine maps are (..., 2, 3) matrices from picture to crop pixels.
Arrays in, arrays out: no file is read here and no randomness drawn.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from hourglass.core.config import STRIDE
from hourglass.core.errors import InputError

REFERENCE_HEIGHT = 200.0
"""Height of a person of scale 1, px: MPII's definition of `scale`."""

CROP_MARGIN = 1.25
"""Side of the crop over the person's height: MPII's protocol."""

FILL = 128
"""What a crop shows outside the picture: mid-grey, near 0 after the network's rescaling."""

MAX_REDUCTION = 8
"""Largest integer reduction that a JPEG decoder can do while decoding; `sample` does the rest."""

WINDOW_MARGIN = 2
"""Pixels kept around the window that a crop shows: one for bilinear sampling, and one because JPEG
decoders guess the colour of a window's outermost pixels."""


def to_grid(points: np.ndarray, stride: np.ndarray | float = STRIDE) -> np.ndarray:
    """Pixel coordinates on a grid whose cells are `stride` pixels wide, any shape."""
    return (points + 0.5) / stride - 0.5


def from_grid(points: np.ndarray, stride: np.ndarray | float = STRIDE) -> np.ndarray:
    """The exact inverse of `to_grid`."""
    return (points + 0.5) * stride - 0.5


def crop_side(scale: np.ndarray | float) -> np.ndarray:
    """Side of a person's square ROI, px of the picture, for MPII scales of any shape."""
    return np.asarray(scale, np.float64) * (REFERENCE_HEIGHT * CROP_MARGIN)


def crop_matrix(
    center: np.ndarray,
    scale: np.ndarray | float,
    *,
    size: int,
    rotation: np.ndarray | float = 0.0,
) -> np.ndarray:
    """The affine map from a picture to a person's crop.

    Args:
        center: (..., 2) the crop's true centre, px of the picture.
        scale: (...) MPII scale, person height / 200 px.
        size: Side of the square crop, px.
        rotation: (...) degrees by which the picture's content turns clockwise as seen on screen.

    Returns:
        (..., 2, 3) float64.
    """
    center = np.asarray(center, np.float64)
    zoom, angle = size / crop_side(scale), np.deg2rad(rotation)
    cosine, sine = zoom * np.cos(angle), zoom * np.sin(angle)
    linear = np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], -2)
    offset = (size - 1) / 2 - np.einsum("...ij,...j->...i", linear, center)
    return np.concatenate([linear, offset[..., None]], axis=-1)


def apply_affine(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Maps points (..., J, 2) by matrices (..., 2, 3); float64."""
    points = np.asarray(points, np.float64)
    return np.einsum("...ij,...pj->...pi", matrix[..., :2], points) + matrix[..., None, :, 2]


def invert_affine(matrix: np.ndarray) -> np.ndarray:
    """The inverse maps of (..., 2, 3) matrices."""
    linear = np.linalg.inv(matrix[..., :2])
    offset = -np.einsum("...ij,...j->...i", linear, matrix[..., 2])
    return np.concatenate([linear, offset[..., None]], axis=-1)


def crop_to_picture(
    points: np.ndarray, center: np.ndarray, scale: np.ndarray | float, *, size: int
) -> np.ndarray:
    """Points of crops in the pixels of their pictures: the inverse of `crop_matrix`.

    Args:
        points: (..., J, 2) px of the crops; of heatmaps' cells, `from_grid` gives them.
        center: (..., 2) the crops' centres, px of the pictures.
        scale: (...) MPII scales.
        size: Side of the crops, px.

    Returns:
        (..., J, 2) float64.
    """
    return apply_affine(invert_affine(crop_matrix(center, scale, size=size)), points)


def box_to_crop(box: tuple[float, float, float, float]) -> tuple[np.ndarray, float]:
    """The crop that frames a person's box.

    Args:
        box: (x, y, width, height), px; x and y are the upper left pixel's index, so that a whole
            picture is (0, 0, W, H).

    Returns:
        The crop's centre (2,) float64 and its MPII scale: the box's longer side is taken for the
        person's height.

    Raises:
        ValueError: If a number is not finite or a side is not above 0.
    """
    x, y, width, height = box
    if not np.isfinite(box).all() or width <= 0 or height <= 0:
        raise InputError(f"box {box}: x y w h must be finite, and w and h above 0 px")
    center = np.array([x + (width - 1) / 2, y + (height - 1) / 2])
    return center, max(width, height) / REFERENCE_HEIGHT


def pixels_per_crop_pixel(matrix: np.ndarray) -> np.ndarray:
    """Picture px along one crop px, (...) of matrices (..., 2, 3)."""
    return 1 / np.sqrt(np.abs(np.linalg.det(matrix[..., :2])))


def reduction(pixels_per_crop_pixel: np.ndarray | float) -> np.ndarray:
    """By how much (1, 2, 4 or 8) a picture may shrink before the crop would lose resolution."""
    factors = 2 ** np.arange(1, int(np.log2(MAX_REDUCTION)) + 1)
    return 2 ** (np.asarray(pixels_per_crop_pixel)[..., None] >= factors).sum(axis=-1)


def window(
    matrix: np.ndarray, shape: np.ndarray, *, size: int, factor: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The parts of shrunk pictures that crops show, and `WINDOW_MARGIN` around them.

    Args:
        matrix: (..., 2, 3) from whole picture to crop px.
        shape: (..., 2) int, the whole pictures' heights and widths, px.
        size: Side of the crops, px.
        factor: (...) int by which the pictures shrink.

    Returns:
        Their first pixels and extents, both (..., 2) int (y, x) px of the shrunk pictures; of a
        crop that shows nothing of its picture, one pixel at the border.
    """
    last = size - 1
    corners = np.array([[0, 0], [last, 0], [0, last], [last, last]])
    places = apply_affine(invert_affine(matrix), corners)[..., ::-1]
    cells = to_grid(places, factor[..., None, None])
    bound = -(-shape // factor[..., None]) - 1
    first = np.clip(np.floor(cells.min(axis=-2)) - WINDOW_MARGIN, 0, bound).astype(np.int32)
    end = np.clip(np.ceil(cells.max(axis=-2)) + WINDOW_MARGIN, 0, bound).astype(np.int32)
    return first, end - first + 1


def window_matrix(matrix: np.ndarray, first: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """The maps to crops from windows of shrunk pictures, in place of from whole pictures.

    Args:
        matrix: (..., 2, 3) from whole picture to crop px.
        first: (..., 2) int, the windows' first pixels (y, x) as of `window`.
        factor: (...) int by which the pictures shrink.

    Returns:
        (..., 2, 3) float64.
    """
    zoom = factor[..., None]
    origin = from_grid(first[..., ::-1], zoom)[..., None, :]
    offset = apply_affine(matrix, origin)[..., 0, :]
    return np.concatenate([matrix[..., :2] * zoom[..., None], offset[..., None]], axis=-1)


def warp(picture: np.ndarray, matrix: np.ndarray, *, size: int) -> np.ndarray:
    """Resamples a picture into a square crop, bilinear, filled outside the picture.

    A picture far larger than the crop is first averaged down by a power of two, so that bilinear
    sampling never skips pixels.

    Args:
        picture: (H, W, 3) uint8.
        matrix: (2, 3) from picture to crop px.
        size: Side of the crop, px.

    Returns:
        (size, size, 3) uint8.
    """
    factor = reduction(pixels_per_crop_pixel(matrix))
    first, extent = window(matrix, np.array(picture.shape[:2]), size=size, factor=factor)
    (top, left), (bottom, right) = first * factor, (first + extent) * factor
    part = _reduced(picture[top:bottom, left:right], int(factor))
    return sample(part, window_matrix(matrix, first, factor), size=size)


def sample(picture: np.ndarray, matrix: np.ndarray, *, size: int) -> np.ndarray:
    """As `warp`, of a picture that is cut to what the crop shows, and mostly shrunk, already."""
    shrink = 1 / math.sqrt(abs(matrix[0][0] * matrix[1][1] - matrix[0][1] * matrix[1][0]))
    if shrink >= 2:
        factor = 2 ** int(math.log2(shrink))
        picture = _reduced(picture, factor)
        matrix = window_matrix(matrix, np.zeros(2), np.array(factor))
    # OpenCV samples four channels twice as fast as three, to the same values.
    crop = cv2.warpAffine(
        cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA),
        matrix,
        (size, size),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(FILL, FILL, FILL, FILL),
    )
    return cv2.cvtColor(crop, cv2.COLOR_RGBA2RGB)


def sample_in_one_thread() -> None:
    """Keeps OpenCV, in this process from now on, from sharing out single pictures among threads.

    For callers that sample pictures on all cores at once, where it would only cost.
    """
    cv2.setNumThreads(1)


def _reduced(picture: np.ndarray, factor: int) -> np.ndarray:
    """A picture averaged down; what is missing to whole cells repeats the border."""
    if factor == 1:
        return picture
    height, width = picture.shape[:2]
    below, right = -height % factor, -width % factor
    whole = cv2.copyMakeBorder(picture, 0, below, 0, right, cv2.BORDER_REPLICATE)
    size = (whole.shape[1] // factor, whole.shape[0] // factor)
    return cv2.resize(whole, size, interpolation=cv2.INTER_AREA)


def crop(picture: np.ndarray, center: np.ndarray, scale: float, *, size: int) -> np.ndarray:
    """A person's square ROI as the network sees it; (size, size, 3) uint8."""
    return warp(picture, crop_matrix(center, scale, size=size), size=size)
