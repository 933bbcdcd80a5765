"""From joints to heatmaps: the targets the network learns, as one TensorFlow expression.

With `hourglass.decoding` this is the codec; a round trip of both is tested.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

FOREGROUND_SIGMAS = 3.0
"""Radius of a joint's foreground in standard deviations: where the target exceeds exp(-4.5)."""


def encode_heatmaps(points: Any, labelled: Any, *, size: int = 64, sigma: float = 1.0) -> tf.Tensor:
    """Draws one Gaussian of height 1 per joint, centred on the *unrounded* point.

    A Gaussian is the product of one along x and one along y, so that all maps are one einsum of two
    small arrays.

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
    return tf.einsum("...jy,...jx->...yxj", along[..., 1, :], along_x)
