"""From joints to heatmaps: the targets the network learns.

With `hourglass.core.decoding` this is the codec; a round trip of both is tested. Only numpy lives
here, so that targets are drawn the same way with and without TensorFlow.
"""

from __future__ import annotations

import numpy as np

FOREGROUND_SIGMAS = 3.0
"""Radius of a joint's foreground in standard deviations: where the target exceeds exp(-4.5)."""


def encode_heatmaps(
    points: np.ndarray, labelled: np.ndarray, *, size: int = 64, sigma: float = 1.0
) -> np.ndarray:
    """Draws one Gaussian of height 1 per joint, centred on the *unrounded* point.

    A Gaussian is the product of one along x and one along y, so that all maps are one product of
    two small arrays.

    Args:
        points: (..., J, 2) float, (x, y) in heatmap px.
        labelled: (..., J) bool or 0/1, joints to draw.
        size: Side of the square maps, heatmap px.
        sigma: Standard deviation, heatmap px.

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
    along = np.exp(-0.5 * ((points[..., None] - pixels) / np.float32(sigma)) ** 2)
    return _outer(along[..., 1, :], along[..., 0, :] * drawn)


def _outer(along_y: np.ndarray, along_x: np.ndarray) -> np.ndarray:
    """Products (..., size, size, J) of (..., J, size) along y and x.

    Filled row by row and multiplied in place: several times as fast as a broadcast over the short
    last axis, or as an einsum, which has to transpose.
    """
    *batch, joints, size = along_y.shape
    maps = np.tile(np.moveaxis(along_y, -2, -1), size)
    maps *= np.moveaxis(along_x, -2, -1).reshape(*batch, 1, size * joints)
    return maps.reshape(*batch, size, size, joints)
