"""From records to examples in three steps, in numpy and OpenCV alone.

*Plan* decides for a block of records at once what each crop shows and how it is changed, *render*
samples the pixels of a person, *draw* makes a batch's targets. `preprocessing` runs the steps in
tf.data and `makers` without TensorFlow; the numbers are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from hourglass.core.config import STRIDE, Config, parse_weights
from hourglass.core.errors import InputError
from hourglass.core.geometry import (
    apply_affine,
    pixels_per_crop_pixel,
    reduction,
    sample,
    to_grid,
    window,
    window_matrix,
)
from hourglass.core.heatmaps import encode_heatmaps
from hourglass.data import appearance, augment
from hourglass.data.shards import find_reaches

REDUCED = (
    cv2.IMREAD_COLOR,
    cv2.IMREAD_REDUCED_COLOR_2,
    cv2.IMREAD_REDUCED_COLOR_4,
    cv2.IMREAD_REDUCED_COLOR_8,
)
"""How OpenCV decodes a picture that is halved 0 to 3 times on the way."""


class Labels(NamedTuple):
    """What a plan needs to know of N records.

    Attributes:
        center: (N, 2) float32, px.
        scale: (N,) float32, MPII scales.
        points: (N, J, 2) float32, px.
        weights: (N, J) float32, what each joint counts in the loss, 0 for one without label.
        height: (N,) int, the pictures' heights, px.
        width: (N,) int, their widths, px.
        source: (N,) str or UTF-8 bytes, whose labels they are.
    """

    center: np.ndarray
    scale: np.ndarray
    points: np.ndarray
    weights: np.ndarray
    height: np.ndarray
    width: np.ndarray
    source: np.ndarray


class Plan(NamedTuple):
    """What becomes of N records.

    Attributes:
        halvings: (N,) int32, how often each picture is halved while it is decoded, 0 to 3.
        window: (N, 4) int32, first pixel and extent (y, x, height, width) to be decoded, px of the
            halved picture.
        matrix: (N, 2, 3) float64 from the window to crop px.
        colours: (N, 3, 4) float64 as of `augment.tint`.
        style: (N, 3, 2) float64 as of `appearance.random_style`.
        pasting: (N, 5) float64 as of `appearance.random_pasting`.
        hiding: (N, 3) float64 as of `augment.random_hiding`.
        damages: (N, 2) float64 as of `appearance.random_damage`.
        cells: (N, J, 2) float32, the joints on the heatmap grid.
        weights: (N, J) float32 as of `Labels`.
    """

    halvings: np.ndarray
    window: np.ndarray
    matrix: np.ndarray
    colours: np.ndarray
    style: np.ndarray
    pasting: np.ndarray
    hiding: np.ndarray
    damages: np.ndarray
    cells: np.ndarray
    weights: np.ndarray

    def of(self, person: int) -> Plan:
        """One person's plan: every array without its first axis."""
        return Plan(*(column[person] for column in self))


Look = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""`Plan`'s colours, style, pasting, hiding and damages."""

EXTRA = 1
"""Marks the stream of random numbers of what is off in most presets, so that the other stream stays
as it is whether that is on or not."""


def plan(labels: Labels, config: Config, *, seed: Sequence[int] | np.ndarray | None) -> Plan:
    """Decides what the crops of N records show.

    Args:
        labels: The records'.
        config: Sizes and augmentation.
        seed: (2,) int, decides the augmentation of the whole block; None: each crop is exactly the
            person's ROI.
    """
    center, scale, points, weights, height, width, source = labels
    size, people = config.network.input_size, len(scale)
    if seed is None:
        matrix = augment.crop_matrices(center, scale, size=size)
        look = unchanged(people)
    else:
        choices, rng = config.augment, np.random.default_rng(seed)
        weights = weights * factors(source, config.data.source_weights)[:, None]
        extra = np.random.default_rng([*np.asarray(seed).tolist(), EXTRA])
        center, scale, points, height = augment.random_half_body(
            center, scale, points, weights > 0, height, probability=choices.half_body, rng=extra
        )
        matrix = augment.random_crop_matrices(center, scale, size=size, config=choices, rng=rng)
        matrix, points, weights = augment.random_flip(
            matrix,
            points,
            weights,
            size=size,
            skeleton=config.skeleton,
            probability=choices.flip_probability,
            rng=rng,
        )
        look = _random_look(people, config, rng=rng, extra=extra)
    cells = to_grid(apply_affine(matrix, points), STRIDE).astype(np.float32)
    decoding = plan_decoding(matrix, np.stack([height, width], axis=-1), size=size)
    return Plan(*decoding, *look, cells=cells, weights=weights)


def require_stored(paths: list[str], config: Config) -> None:
    """Refuses augmentation whose crops would show more of pictures than the shards hold.

    Args:
        paths: Shards to train on.
        config: All choices.

    Raises:
        ValueError: If it does; names the folder.
    """
    choices, needed = config.augment, augment.farthest_reach(config.augment)
    for folder, reach in find_reaches(paths).items():
        if needed > reach:
            raise InputError(
                f"{folder}: its shards keep {reach:g} crop sides around each person (--store "
                f"crop), but augmentation by scale {choices.scale:g}, shift {choices.shift:g} and "
                f"rotation {choices.rotation:g} shows {needed:.3f}; lower one of them, or build "
                "the shards with --store whole"
            )


def factors(source: np.ndarray, weights: str) -> np.ndarray:
    """What N people's labels count, (N,) float32, by their sources and `DataConfig`'s text."""
    known = parse_weights(weights) or {}
    names = (one.decode() if isinstance(one, bytes) else str(one) for one in source)
    return np.array([known.get(name, 1.0) for name in names], np.float32)


def unchanged(people: int) -> Look:
    """A look that changes nothing."""
    return (
        augment.tint(np.ones((people, 3)), np.zeros(people)),
        np.tile(appearance.NO_STYLE, (people, 1, 1)),
        np.zeros((people, 5)),
        np.zeros((people, 3)),
        np.zeros((people, 2)),
    )


def _random_look(
    people: int, config: Config, *, rng: np.random.Generator, extra: np.random.Generator
) -> Look:
    """A look, drawn."""
    choices, size = config.augment, config.network.input_size
    colours = augment.random_tint(people, config=choices, rng=rng)
    hiding = augment.random_hiding(people, size=size, largest=choices.cutout, rng=rng)
    return (
        appearance.random_grey(colours, probability=choices.grey, rng=extra),
        appearance.random_style(people, probability=choices.style, rng=extra),
        appearance.random_pasting(people, size=size, largest=choices.paste, rng=extra),
        hiding,
        appearance.random_damage(
            people, size=size, blur=choices.blur, jpeg=choices.jpeg, rng=extra
        ),
    )


def plan_decoding(
    matrix: np.ndarray, shape: np.ndarray, *, size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What to decode of JPEGs for their crops: no more than they show, nor more finely.

    Args:
        matrix: (N, 2, 3) from whole picture to crop px.
        shape: (N, 2) int, heights and widths of the whole pictures, px.
        size: Side of the crops, px.

    Returns:
        `Plan`'s halvings (N,) int32, window (N, 4) int32 and matrix (N, 2, 3) float64.
    """
    factor = reduction(pixels_per_crop_pixel(matrix))
    first, extent = window(matrix, shape, size=size, factor=factor)
    return (
        np.log2(factor).astype(np.int32),
        np.concatenate([first, extent], axis=-1),
        window_matrix(matrix, first, factor),
    )


def decode(encoded: bytes, halvings: int, window: np.ndarray) -> np.ndarray:
    """One person's part of a JPEG, without TensorFlow.

    Args:
        encoded: The picture.
        halvings: As of `Plan`.
        window: (4,) as of `Plan`.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ValueError: If the picture cannot be decoded, or is smaller than the window says.
    """
    flags = REDUCED[halvings] | cv2.IMREAD_IGNORE_ORIENTATION
    picture = cv2.imdecode(np.frombuffer(encoded, np.uint8), flags)
    if picture is None:
        raise InputError("its picture cannot be decoded")
    top, left, height, width = window
    part = picture[top : top + height, left : left + width]
    if part.shape[:2] != (height, width):
        raise InputError(
            f"its picture has {picture.shape[1]}×{picture.shape[0]} pixels, fewer than it says"
        )
    return cv2.cvtColor(part, cv2.COLOR_BGR2RGB)


def render(picture: np.ndarray, plan: Plan, *, out: np.ndarray) -> None:
    """The pixels of one person's crop.

    Args:
        picture: (H, W, 3) uint8, the window of the picture that the plan asks for.
        plan: One person's.
        out: (S, S, 3) uint8, where they go.
    """
    crop = sample(picture, plan.matrix, size=len(out))
    colours = appearance.after(plan.colours, appearance.restyle(crop, plan.style))
    augment.colour(crop, colours, out=out)
    appearance.paste(out, plan.pasting)
    augment.cutout(out, plan.hiding)
    appearance.damage(out, plan.damages)


def draw(
    cells: np.ndarray, weights: np.ndarray, config: Config, *, out: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The targets of one example or of a batch.

    Args:
        cells: (..., J, 2) float32, the joints on the heatmap grid.
        weights: (..., J) float32; joints of weight 0 are not drawn.
        config: Sizes and sigma.
        out: Where the heatmaps go; default: a new array.

    Returns:
        heatmaps (..., S/4, S/4, J) float32, and the weights (..., J) float32.
    """
    heatmaps = encode_heatmaps(
        cells, weights > 0, size=config.network.heatmap_size, sigma=config.data.sigma, out=out
    )
    return heatmaps, weights.astype(np.float32)
