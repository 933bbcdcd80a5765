"""From joints to heatmaps: the targets the network learns, for `tf.data`.

With `hourglass.core.decoding` this is the codec; a round trip of both is tested.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

FOREGROUND_SIGMAS = 3.0
"""Radius of a joint's foreground in standard deviations: where the target exceeds exp(-4.5)."""


def encode_heatmaps(points: Any, labelled: Any, *, size: int = 64, sigma: float = 1.0) -> tf.Tensor:
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
    points = tf.cast(points, tf.float32)
    inside = tf.reduce_all((points >= -0.5) & (points < size - 0.5), axis=-1)
    drawn = (inside & tf.cast(labelled, tf.bool))[..., None]
    # A joint without label may have no number at all, and NaN times zero is not zero.
    points = tf.where(drawn, points, 0.0)
    pixels = tf.range(size, dtype=tf.float32)
    along = tf.exp(-0.5 * ((points[..., None] - pixels) / sigma) ** 2)
    along_x = along[..., 0, :] * tf.cast(drawn, tf.float32)
    maps = tf.numpy_function(_outer, [along[..., 1, :], along_x], tf.float32, stateful=False)
    return tf.ensure_shape(maps, (*points.shape[:-2], size, size, points.shape[-2]))


def _outer(along_y: np.ndarray, along_x: np.ndarray) -> np.ndarray:
    """Products (..., size, size, J) of (..., J, size) along y and x.

    Filled row by row and multiplied in place: several times as fast as a broadcast over the short
    last axis, or as TensorFlow's einsum, which has to transpose.
    """
    *batch, joints, size = along_y.shape
    maps = np.tile(np.moveaxis(along_y, -2, -1), size)
    maps *= np.moveaxis(along_x, -2, -1).reshape(*batch, 1, size * joints)
    return maps.reshape(*batch, size, size, joints)
