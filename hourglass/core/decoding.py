"""From heatmaps back to joints: the exact inverse of `hourglass.core.heatmaps`, vectorised.

Only numpy lives here, so that a picture becomes a pose without TensorFlow. Coordinates are heatmap
pixels; `hourglass.core.geometry` maps them back to the picture.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from hourglass.core.errors import InputError

Refinement = Literal["quarter", "dark", "none"]

QUARTER = 0.25
"""Shift towards the higher neighbour, heatmap px (Newell et al., ECCV 2016)."""

SMOOTHING_SIGMA = 1.0
"""Standard deviation of DARK's smoothing of a predicted map, heatmap px."""

SMOOTHING_RADIUS = 3
"""Reach of that smoothing, heatmap px: 3 sigma."""

TINY = 1e-10
"""Floor of heatmap values before their logarithm is taken."""

BLOCK = 16
"""People decoded together: their maps and what is worked out from them stay in a CPU's cache."""


def decode_heatmaps(
    heatmaps: np.ndarray, *, refine: Refinement = "quarter"
) -> tuple[np.ndarray, np.ndarray]:
    """Finds each joint's peak and refines it below one heatmap pixel.

    Args:
        heatmaps: (B, H, W, J) float, H and W at least 3.
        refine: `quarter` moves a quarter pixel towards the higher neighbour (Newell et al., ECCV
            2016), `dark` fits a Gaussian to the smoothed peak (DARK, Zhang et al., CVPR 2020),
            `none` keeps the peak's pixel. At the border, where a neighbour is missing, both
            continue the parabola through the logarithm of the three nearest pixels, which is exact
            for a Gaussian.

    Returns:
        Points (B, J, 2) float32 as (x, y), heatmap px, and scores (B, J) float32 in [0, 1], the
        peaks' heights.

    Raises:
        ValueError: If the array has another rank, is too small, or `refine` is unknown.
    """
    if heatmaps.ndim != 4 or min(heatmaps.shape[1:3]) < 3:
        raise InputError(f"heatmaps must be (B, H>=3, W>=3, J), got {heatmaps.shape}")
    if refine not in get_args(Refinement):
        raise InputError(f"refine is {refine!r}, it must be one of {get_args(Refinement)}")
    batch, joints = heatmaps.shape[0], heatmaps.shape[3]
    points = np.empty((batch, joints, 2), np.float32)
    scores = np.empty((batch, joints), np.float32)
    for start in range(0, batch, BLOCK):
        block = slice(start, start + BLOCK)
        points[block], scores[block] = _decode_block(heatmaps[block], refine)
    return points, scores


def _decode_block(heatmaps: np.ndarray, refine: Refinement) -> tuple[np.ndarray, np.ndarray]:
    """`decode_heatmaps` of a few people."""
    peaks, heights = _peaks(heatmaps)
    points = peaks.astype(np.float32)
    if refine == "quarter":
        points += QUARTER * np.sign(_slopes(heatmaps, peaks))
    elif refine == "dark":
        points = _gaussian_centres(heatmaps, peaks)
    return points, np.clip(heights, 0.0, 1.0)


def _peaks(heatmaps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The highest pixels (B, J, 2) int as (x, y), and their values (B, J)."""
    batch, height, width, joints = heatmaps.shape
    flat = heatmaps.reshape(batch, height * width, joints)
    index = flat.argmax(axis=1)
    heights = np.take_along_axis(flat, index[:, None], axis=1)[:, 0]
    return np.stack([index % width, index // width], axis=-1), heights


def _stencil_centres(heatmaps: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """The pixels nearest to the peaks that have neighbours on all sides."""
    height, width = heatmaps.shape[1:3]
    return np.clip(peaks, 1, [width - 2, height - 2])


def _values(heatmaps: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Heatmap values at pixels x, y (B, J, ...) of each person and joint."""
    batch, joints = heatmaps.shape[0], heatmaps.shape[3]
    inner = (1,) * (x.ndim - 2)
    person = np.arange(batch).reshape(batch, 1, *inner)
    joint = np.arange(joints).reshape(1, joints, *inner)
    return heatmaps[person, y, x, joint]


def _slopes(heatmaps: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """Slope of the logarithm along x and y at each peak, (B, J, 2)."""
    centres = _stencil_centres(heatmaps, peaks)
    x, y = centres[..., :1], centres[..., 1:]
    steps = np.arange(-1, 2)
    rows = [
        _values(heatmaps, x + steps, peaks[..., 1:] + 0 * steps),
        _values(heatmaps, peaks[..., :1] + 0 * steps, y + steps),
    ]
    before, middle, after = np.moveaxis(np.log(np.maximum(np.stack(rows, axis=-2), TINY)), -1, 0)
    offset = peaks - centres
    return (after - before) / 2 + offset * (before - 2 * middle + after)


def _gaussian_centres(heatmaps: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """Centres (B, J, 2) of the Gaussians whose logarithm fits 3×3 pixels at each peak."""
    centres = _stencil_centres(heatmaps, peaks)
    log = np.log(np.maximum(_smoothed(heatmaps, centres), TINY))
    dx = (log[..., 1, 2] - log[..., 1, 0]) / 2
    dy = (log[..., 2, 1] - log[..., 0, 1]) / 2
    dxx = log[..., 1, 2] - 2 * log[..., 1, 1] + log[..., 1, 0]
    dyy = log[..., 2, 1] - 2 * log[..., 1, 1] + log[..., 0, 1]
    dxy = (log[..., 2, 2] - log[..., 2, 0] - log[..., 0, 2] + log[..., 0, 0]) / 4
    determinant = dxx * dyy - dxy**2
    is_summit = (determinant > TINY) & (dxx < 0)
    safe = np.where(is_summit, determinant, 1.0)
    newton = np.stack([dxy * dy - dyy * dx, dxy * dx - dxx * dy], axis=-1) / safe[..., None]
    offset = np.clip(centres - peaks + newton, -1.0, 1.0)
    return (peaks + np.where(is_summit[..., None], offset, 0.0)).astype(np.float32)


def _smoothed(heatmaps: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """3×3 pixels (B, J, y, x) around each centre, smoothed where the kernel fits in the map.

    Smoothing zeros from beyond the border would pull a peak inwards, so there the raw map stays.
    """
    height, width = heatmaps.shape[1:3]
    reach = SMOOTHING_RADIUS + 1
    steps = np.arange(-reach, reach + 1)
    x, y = centres[..., 0, None] + steps, centres[..., 1, None] + steps
    fits = ((x >= 0) & (x < width) & (y >= 0) & (y < height)).all(axis=-1)
    x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    patch = _values(heatmaps, x[..., None, :], y[..., :, None]).astype(np.float64)
    shifts = np.arange(-1, 2)[:, None] - steps
    kernel = np.exp(-0.5 * (shifts / SMOOTHING_SIGMA) ** 2) * (abs(shifts) <= SMOOTHING_RADIUS)
    kernel /= kernel.sum(axis=1, keepdims=True)
    smooth = kernel @ (patch @ kernel.T)
    raw = patch[..., reach - 1 : reach + 2, reach - 1 : reach + 2]
    return np.where(fits[..., None, None], smooth, raw)
