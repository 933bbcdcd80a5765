"""How a training picture is changed: each a deterministic operation and its thin random twin.

Contract of every twin `random_x`: it draws its numbers from `seed`, a (2,) integer tensor, and
calls `x`; the same seed draws the same numbers. Points are (16, 2) px of the picture that the
operation takes, and come back in px of the picture that it returns.
"""

from __future__ import annotations

import math

import tensorflow as tf

from hourglass.config import AugmentConfig
from hourglass.geometry import CROP_MARGIN, FILL, REFERENCE_HEIGHT
from hourglass.skeleton import Skeleton


def flip(
    image: tf.Tensor, points: tf.Tensor, labelled: tf.Tensor, *, skeleton: Skeleton
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Mirrors a picture left to right, and swaps its left and right joints.

    Args:
        image: (H, W, 3).
        points: (J, 2) px.
        labelled: (J,) bool.
        skeleton: Knows which joints mirror.
    """
    last = tf.cast(tf.shape(image)[1] - 1, points.dtype)
    mirrored = tf.stack([last - points[:, 0], points[:, 1]], axis=-1)
    order = skeleton.flip_order
    return image[:, ::-1], tf.gather(mirrored, order), tf.gather(labelled, order)


def random_flip(
    image: tf.Tensor,
    points: tf.Tensor,
    labelled: tf.Tensor,
    *,
    skeleton: Skeleton,
    probability: float,
    seed: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """`flip` for a share `probability` of the seeds."""
    return tf.cond(
        tf.random.stateless_uniform((), seed) < probability,
        lambda: flip(image, points, labelled, skeleton=skeleton),
        lambda: (image, points, labelled),
    )


def crop_matrix(
    center: tf.Tensor,
    scale: tf.Tensor,
    *,
    size: int,
    zoom: tf.Tensor | float = 1.0,
    rotation: tf.Tensor | float = 0.0,
    shift: tf.Tensor | tuple[float, float] = (0.0, 0.0),
) -> tf.Tensor:
    """`geometry.crop_matrix` in TensorFlow, with the crop itself changed.

    Args:
        center: (2,) px of the picture.
        scale: () MPII scale.
        size: Side of the crop, px.
        zoom: The crop's side is multiplied by this.
        rotation: Degrees by which the content turns clockwise.
        shift: (2,) by which the crop's centre moves, in sides of the crop.

    Returns:
        (2, 3) float32, from picture to crop px.
    """
    side = scale * (REFERENCE_HEIGHT * CROP_MARGIN) * zoom
    angle = rotation * (math.pi / 180)
    cosine, sine = tf.cos(angle) * size / side, tf.sin(angle) * size / side
    linear = tf.stack([tf.stack([cosine, -sine]), tf.stack([sine, cosine])])
    moved = center + side * shift
    offset = (size - 1) / 2 - tf.linalg.matvec(linear, moved)
    return tf.concat([linear, offset[:, None]], axis=1)


def random_crop_matrix(
    center: tf.Tensor, scale: tf.Tensor, *, size: int, config: AugmentConfig, seed: tf.Tensor
) -> tf.Tensor:
    """`crop_matrix` scaled, shifted and, for a share of the seeds, rotated."""
    draws = tf.random.stateless_uniform((5,), seed, -1.0, 1.0)
    rotates = (draws[4] + 1) / 2 < config.rotation_probability
    return crop_matrix(
        center,
        scale,
        size=size,
        zoom=1 + config.scale * draws[0],
        rotation=tf.where(rotates, config.rotation * draws[1], 0.0),
        shift=config.shift * draws[2:4],
    )


def colour(image: tf.Tensor, *, gain: tf.Tensor, brightness: tf.Tensor | float) -> tf.Tensor:
    """Multiplies each channel, adds brightness, and cuts off at black and white.

    Args:
        image: (H, W, 3) uint8.
        gain: (3,) float32, 1 changes nothing.
        brightness: () float32, a share of full white; 0 changes nothing.

    Returns:
        (H, W, 3) uint8.
    """
    changed = tf.cast(image, tf.float32) * gain + 255.0 * brightness
    return tf.cast(tf.round(tf.clip_by_value(changed, 0.0, 255.0)), tf.uint8)


def random_colour(image: tf.Tensor, *, config: AugmentConfig, seed: tf.Tensor) -> tf.Tensor:
    """`colour` with a gain per channel within ±colour, and brightness within ±colour / 2."""
    draws = config.colour * tf.random.stateless_uniform((4,), seed, -1.0, 1.0)
    return colour(image, gain=1 + draws[:3], brightness=draws[3] / 2)


def cutout(image: tf.Tensor, *, center: tf.Tensor, side: tf.Tensor | float) -> tf.Tensor:
    """Hides a square under mid-grey (DeVries & Taylor, 2017).

    Args:
        image: (H, W, 3) uint8.
        center: (2,) float32, (x, y) px.
        side: () float32 px; 0 changes nothing.
    """
    height, width = tf.unstack(tf.shape(image)[:2])
    x, y = tf.range(width, dtype=tf.float32), tf.range(height, dtype=tf.float32)
    hidden_x, hidden_y = 2 * tf.abs(x - center[0]) < side, 2 * tf.abs(y - center[1]) < side
    hidden = hidden_y[:, None, None] & hidden_x[None, :, None]
    return tf.where(hidden, tf.constant(FILL, tf.uint8), image)


def random_cutout(image: tf.Tensor, *, largest: float, seed: tf.Tensor) -> tf.Tensor:
    """`cutout` anywhere, of a side up to `largest`, a share of the picture's."""
    draws = tf.random.stateless_uniform((3,), seed)
    size = tf.cast(tf.shape(image)[:2], tf.float32)
    return cutout(image, center=draws[:2] * size[::-1], side=draws[2] * largest * size[0])
