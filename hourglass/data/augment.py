"""How training pictures are changed: each a deterministic operation and its thin random twin.

All but the last two work on N crops at once, before a pixel is decoded: what moves pixels is one
matrix per crop in the end, mirroring included. What they look like beyond a tint is
`hourglass.data.appearance`'s. Contract of every twin `random_x`: it draws its
numbers from `rng` and calls `x`.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from hourglass.core import geometry
from hourglass.core.config import AugmentConfig
from hourglass.core.geometry import FILL, REFERENCE_HEIGHT, crop_side
from hourglass.core.skeleton import Skeleton

WHITE = 255.0
"""The highest value of a picture."""

CUT = (0.35, 0.9)
"""Where half bodies end, as a share of the way from the highest joint to the lowest: between the
chest and the shins of somebody who stands."""

FEWEST_LEFT = 3
"""Labelled joints of which a half body has at least so many."""

TIGHTEST = 0.35
"""Of a half body's scale, as a share of the whole person's: somebody's head alone is no person."""

BOX_TO_SCALE = 0.9
"""A person's height over the extent of their joints, head top to ankle, turned round."""

FAR_AWAY = -1e6
"""Coordinate, px, of joints that a picture no longer shows: outside any crop."""


def crop_matrices(
    center: np.ndarray,
    scale: np.ndarray,
    *,
    size: int,
    zoom: np.ndarray | float = 1.0,
    rotation: np.ndarray | float = 0.0,
    shift: np.ndarray | float = 0.0,
) -> np.ndarray:
    """`geometry.crop_matrix` with the crops themselves changed.

    Args:
        center: (N, 2) px of the pictures.
        scale: (N,) MPII scales.
        size: Side of the crops, px.
        zoom: (N,) by which the crops' sides are multiplied.
        rotation: (N,) degrees by which the contents turn clockwise.
        shift: (N, 2) by which the crops' centres move, in sides of the crops.

    Returns:
        (N, 2, 3) float64, from picture to crop px.
    """
    zoomed = scale * zoom
    moved = center + crop_side(zoomed)[:, None] * shift
    return geometry.crop_matrix(moved, zoomed, size=size, rotation=rotation)


def random_crop_matrices(
    center: np.ndarray,
    scale: np.ndarray,
    *,
    size: int,
    config: AugmentConfig,
    rng: np.random.Generator,
) -> np.ndarray:
    """`crop_matrices` scaled, shifted and, for a share of the crops, rotated."""
    draws = rng.uniform(-1.0, 1.0, (len(scale), 4))
    rotates = rng.random(len(scale)) < config.rotation_probability
    return crop_matrices(
        center,
        scale,
        size=size,
        zoom=1 + config.scale * draws[:, 0],
        rotation=np.where(rotates, config.rotation * draws[:, 1], 0.0),
        shift=config.shift * draws[:, 2:],
    )


def farthest_reach(config: AugmentConfig) -> float:
    """How far from the centre of a person's own crop a changed one shows pixels, along an axis.

    `half_body`'s crops, which are framed by joints, are not counted.

    Returns:
        In sides of the person's own crop; 0.5 where nothing is changed.
    """
    turn = math.radians(min(config.rotation, 45.0)) if config.rotation_probability else 0.0
    half = (math.cos(turn) + math.sin(turn)) / 2
    return (1 + config.scale) * (half + config.shift)


def half_body(
    center: np.ndarray,
    scale: np.ndarray,
    points: np.ndarray,
    labelled: np.ndarray,
    height: np.ndarray,
    *,
    share: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Ends pictures above some people's feet, and frames what is left of them.

    A joint below the end stays labelled, for it is outside: nothing is to be found there. People of
    whom fewer than `FEWEST_LEFT` joints would be left stay whole.

    Args:
        center: (N, 2) px of the pictures.
        scale: (N,) MPII scales.
        points: (N, J, 2) px of the pictures.
        labelled: (N, J) bool.
        height: (N,) int, the pictures' heights, px.
        share: (N,) where each ends, as a share of the way from the highest labelled joint to the
            lowest; 1 ends nothing.

    Returns:
        Centres, scales and points, and the heights of what is left of the pictures.
    """
    y = points[..., 1]
    top = np.where(labelled, y, -FAR_AWAY).min(axis=1)
    end = top + share * (np.where(labelled, y, FAR_AWAY).max(axis=1) - top)
    left = labelled & (y <= end[:, None])
    cut = (share < 1) & (left.sum(axis=1) >= FEWEST_LEFT) & (end >= 0) & (end < height)
    lowest = np.where(left[..., None], points, -FAR_AWAY).min(axis=1)
    highest = np.where(left[..., None], points, FAR_AWAY).max(axis=1)
    highest[:, 1] = end
    framed = (highest - lowest).max(axis=1) / REFERENCE_HEIGHT / BOX_TO_SCALE
    framed = np.clip(framed, TIGHTEST * scale, scale)
    gone = cut[:, None] & labelled & ~left
    return (
        np.where(cut[:, None], (lowest + highest) / 2, center),
        np.where(cut, framed, scale),
        np.where(gone[..., None], FAR_AWAY, points),
        np.where(cut, np.floor(end).astype(height.dtype) + 1, height),
    )


def random_half_body(
    center: np.ndarray,
    scale: np.ndarray,
    points: np.ndarray,
    labelled: np.ndarray,
    height: np.ndarray,
    *,
    probability: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """`half_body` for a share `probability` of the people, ending anywhere within `CUT`."""
    share = rng.uniform(*CUT, len(scale))
    share = np.where(rng.random(len(scale)) < probability, share, 1.0)
    return half_body(center, scale, points, labelled, height, share=share)


def flip(
    matrix: np.ndarray,
    points: np.ndarray,
    weights: np.ndarray,
    *,
    flipped: np.ndarray,
    size: int,
    skeleton: Skeleton,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mirrors crops left to right, and swaps their people's left and right joints.

    Args:
        matrix: (N, 2, 3) from picture to crop px.
        points: (N, J, 2) px of the pictures.
        weights: (N, J), any numbers of the joints, such as their weights in the loss.
        flipped: (N,) bool, which crops.
        size: Side of the crops, px.
        skeleton: Knows which joints mirror.

    Returns:
        The matrices to the mirrored crops; points, still px of the pictures, and weights under
        their joints' new names.
    """
    mirrored = matrix.copy()
    mirrored[flipped, 0] *= -1
    mirrored[flipped, 0, 2] += size - 1
    order = np.where(flipped[:, None], skeleton.flip_order, np.arange(points.shape[1]))
    return (
        mirrored,
        np.take_along_axis(points, order[..., None], axis=1),
        np.take_along_axis(weights, order, axis=1),
    )


def random_flip(
    matrix: np.ndarray,
    points: np.ndarray,
    weights: np.ndarray,
    *,
    size: int,
    skeleton: Skeleton,
    probability: float,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`flip` for a share `probability` of the crops."""
    flipped = rng.random(len(matrix)) < probability
    return flip(matrix, points, weights, flipped=flipped, size=size, skeleton=skeleton)


def tint(gain: np.ndarray, brightness: np.ndarray) -> np.ndarray:
    """What `colour` does to pictures: a gain per channel, and brightness added.

    Args:
        gain: (N, 3), 1 changes nothing.
        brightness: (N,) shares of full white; 0 changes nothing.

    Returns:
        (N, 3, 4) float64 from colours to colours.
    """
    added = np.broadcast_to(WHITE * brightness[:, None], gain.shape)
    return np.concatenate([gain[..., None] * np.eye(3), added[..., None]], axis=-1)


def random_tint(count: int, *, config: AugmentConfig, rng: np.random.Generator) -> np.ndarray:
    """`tint` with a gain per channel within ±colour, and brightness within ±colour / 2."""
    draws = config.colour * rng.uniform(-1.0, 1.0, (count, 4))
    return tint(1 + draws[:, :3], draws[:, 3] / 2)


def random_hiding(count: int, *, size: int, largest: float, rng: np.random.Generator) -> np.ndarray:
    """What `cutout` hides: squares anywhere, of sides up to `largest`, a share of the crops'.

    Returns:
        (N, 3) centre (x, y) and side, px.
    """
    return size * rng.random((count, 3)) * [1.0, 1.0, largest]


def colour(image: np.ndarray, colours: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """Maps each pixel's colour, rounds, and cuts off at black and white.

    Args:
        image: (H, W, 3) uint8.
        colours: (3, 4), one of `tint`'s.
        out: Where the result goes, (H, W, 3) uint8; default: a new array.

    Returns:
        (H, W, 3) uint8.
    """
    return cv2.transform(image, colours, dst=out)


def cutout(image: np.ndarray, hiding: np.ndarray) -> np.ndarray:
    """Hides a square under mid-grey (DeVries & Taylor, 2017), in place.

    Args:
        image: (H, W, 3) uint8.
        hiding: (3,) centre (x, y) and side, px; a side of 0 hides nothing.
    """
    x, y, side = hiding
    if side <= 0:
        return image
    left, top = max(np.floor(x - side / 2) + 1, 0), max(np.floor(y - side / 2) + 1, 0)
    right, bottom = max(np.ceil(x + side / 2), 0), max(np.ceil(y + side / 2), 0)
    image[int(top) : int(bottom), int(left) : int(right)] = FILL
    return image
