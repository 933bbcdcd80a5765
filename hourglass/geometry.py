"""Where things are: the pixel convention, the crop of a person, and the way back.

Coordinates are (x, y) float, 0-based, with a pixel's *centre* at its index: a picture spans
[-0.5, W-0.5] × [-0.5, H-0.5]. Affine maps are (..., 2, 3) matrices from picture to crop pixels.
Arrays in, arrays out: no file is read here and no randomness drawn.
"""

from __future__ import annotations

import cv2
import numpy as np

from hourglass.config import STRIDE

REFERENCE_HEIGHT = 200.0
"""Height of a person of scale 1, px: MPII's definition of `scale`."""

CROP_MARGIN = 1.25
"""Side of the crop over the person's height: MPII's protocol."""

FILL = 128
"""What a crop shows outside the picture: mid-grey, near 0 after the network's rescaling."""

MAX_REDUCTION = 8
"""Largest integer reduction before warping: what a JPEG decoder can do while decoding."""


def to_grid(points: np.ndarray, stride: float = STRIDE) -> np.ndarray:
    """Pixel coordinates on a grid whose cells are `stride` pixels wide, any shape."""
    return (points + 0.5) / stride - 0.5


def from_grid(points: np.ndarray, stride: float = STRIDE) -> np.ndarray:
    """The exact inverse of `to_grid`."""
    return (points + 0.5) * stride - 0.5


def crop_side(scale: np.ndarray | float) -> np.ndarray:
    """Side of a person's square ROI, px of the picture, for MPII scales of any shape."""
    return np.asarray(scale, np.float64) * (REFERENCE_HEIGHT * CROP_MARGIN)


def crop_matrix(
    center: np.ndarray, scale: np.ndarray | float, *, size: int, rotation: float = 0.0
) -> np.ndarray:
    """The affine map from a picture to a person's crop.

    Args:
        center: (..., 2) the crop's true centre, px of the picture.
        scale: (...) MPII scale, person height / 200 px.
        size: Side of the square crop, px.
        rotation: Degrees by which the picture's content turns clockwise as seen on screen.

    Returns:
        (..., 2, 3) float64.
    """
    center = np.asarray(center, np.float64)
    zoom = size / crop_side(scale)
    cosine, sine = np.cos(np.deg2rad(rotation)), np.sin(np.deg2rad(rotation))
    linear = zoom[..., None, None] * np.array([[cosine, -sine], [sine, cosine]])
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
        raise ValueError(f"box {box}: x y w h must be finite, and w and h above 0 px")
    center = np.array([x + (width - 1) / 2, y + (height - 1) / 2])
    return center, max(width, height) / REFERENCE_HEIGHT


def reduction(pixels_per_crop_pixel: float) -> int:
    """By how much (1, 2, 4 or 8) a picture may shrink before the crop would lose resolution."""
    factor = 1
    while factor < MAX_REDUCTION and 2 * factor <= pixels_per_crop_pixel:
        factor *= 2
    return factor


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
    factor = reduction(1 / np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    if factor > 1:
        picture, matrix = _reduced(picture, matrix, factor)
    return sample(picture, matrix, size=size)


def sample(picture: np.ndarray, matrix: np.ndarray, *, size: int) -> np.ndarray:
    """Bilinear samples of a picture as it is, whatever the crop's resolution; else as `warp`."""
    return cv2.warpAffine(
        picture,
        matrix,
        (size, size),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(FILL, FILL, FILL),
    )


def _reduced(picture: np.ndarray, matrix: np.ndarray, factor: int) -> tuple[np.ndarray, np.ndarray]:
    height, width = picture.shape[:2]
    below, right = -height % factor, -width % factor
    whole = cv2.copyMakeBorder(picture, 0, below, 0, right, cv2.BORDER_REPLICATE)
    size = (whole.shape[1] // factor, whole.shape[0] // factor)
    small = cv2.resize(whole, size, interpolation=cv2.INTER_AREA)
    offset = apply_affine(matrix, from_grid(np.zeros((1, 2)), factor))[0]
    return small, np.concatenate([matrix[:, :2] * factor, offset[:, None]], axis=1)


def crop(picture: np.ndarray, center: np.ndarray, scale: float, *, size: int) -> np.ndarray:
    """A person's square ROI as the network sees it; (size, size, 3) uint8."""
    return warp(picture, crop_matrix(center, scale, size=size), size=size)
