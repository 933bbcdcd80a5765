"""From joints to heatmaps: the targets the network learns.

With `hourglass.core.decoding` this is the codec; a round trip of both is tested. Only numpy lives
here, so that targets are drawn the same way with and without TensorFlow.
"""

from __future__ import annotations

import numpy as np

FADED = 87.0
"""Squared distance in standard deviations from which on a Gaussian is 0 along an axis: products of
what lies farther out are numbers that processors take a hundred times as long for."""


def encode_heatmaps(
    points: np.ndarray,
    labelled: np.ndarray,
    *,
    size: int = 64,
    sigma: float = 1.0,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Draws one Gaussian of height 1 per joint, centred on the *unrounded* point.

    A Gaussian is the product of one along x and one along y, so that all maps are one product of
    two small arrays.

    Args:
        points: (..., J, 2) float, (x, y) in heatmap px.
        labelled: (..., J) bool or 0/1, joints to draw.
        size: Side of the square maps, heatmap px.
        sigma: Standard deviation, heatmap px.
        out: Where the maps go, a contiguous array of their shape; default: a new one.

    Returns:
        (..., size, size, J) float32 in [0, 1]; all zero for a joint that is not labelled or lies
        outside [-0.5, size - 0.5).
    """
    points = np.asarray(points, np.float32)
    inside = ((points >= -0.5) & (points < size - 0.5)).all(axis=-1)
    drawn = (inside & np.asarray(labelled, bool))[..., None]
    # A joint without label may have no number at all, and NaN times zero is not zero.
    points = np.where(drawn, points, np.float32(0))
    pixels = np.arange(size, dtype=np.float32)
    squares = ((points[..., None] - pixels) / np.float32(sigma)) ** 2
    along = np.exp(-0.5 * squares) * (squares < FADED)
    along_x = along[..., 0, :] * drawn
    if out is None:
        *batch, joints = drawn.shape[:-1]
        out = np.empty((*batch, size, size, joints), np.float32)
    _fill(np.moveaxis(along[..., 1, :], -2, -1), np.moveaxis(along_x, -2, -1), out)
    return out


def _fill(along_y: np.ndarray, along_x: np.ndarray, out: np.ndarray) -> None:
    """Products (..., size, size, J) of (..., size, J) along y and x.

    Every row is filled with its first value, twice as much at each step, and multiplied in place:
    several times as fast as a broadcast over the short last axis, or as an einsum, which has to
    transpose.
    """
    *batch, size, joints = along_y.shape
    rows, filled = out.reshape(*batch, size, size * joints), joints
    rows[..., :joints] = along_y
    while filled < size * joints:
        part = min(filled, size * joints - filled)
        rows[..., filled : filled + part] = rows[..., :part]
        filled += part
    rows *= along_x.reshape(*batch, 1, size * joints)
