"""Joints from heatmaps in Keras operations: the device's twin of `core.decoding`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from keras import ops

from hourglass.core.decoding import QUARTER, SMOOTHING_RADIUS, SMOOTHING_SIGMA, TINY, Refinement


def decode_on_device(heatmaps: Any, *, refine: Refinement = "quarter") -> Any:
    """`decode_heatmaps` in Keras operations.

    Only such operations as the converters of `exporting.formats` know, for any batch: Keras's
    `argmax` and `take_along_axis` are not among them.

    Args:
        heatmaps: (B, H, W, J) float32.
        refine: As `decode_heatmaps`'.

    Returns:
        (B, J, 3) float32: x and y in heatmap px, and the peak's height in [0, 1].
    """
    height, width, joints = heatmaps.shape[1:]
    flat = ops.reshape(heatmaps, (-1, height * width, joints))
    top = ops.max(flat, axis=1)
    places = ops.reshape(ops.arange(height * width), (1, -1, 1))
    peak = ops.min(ops.where(flat >= top[:, None], places, height * width), axis=1)
    x, y = peak % width, peak // width
    if refine == "quarter":
        row, column = _row(heatmaps, y), _column(heatmaps, x)
        points = [_quarter(row, x), _quarter(column, y)]
    elif refine == "dark":
        points = _gaussian_centres(heatmaps, x, y)
    else:
        points = [ops.cast(x, "float32"), ops.cast(y, "float32")]
    return ops.stack([*points, ops.clip(top, 0.0, 1.0)], axis=-1)


def _row(heatmaps: Any, y: Any) -> Any:
    """Each joint's row y (B, J) of its map, (B, W, J)."""
    return ops.sum(heatmaps * ops.one_hot(y, heatmaps.shape[1], axis=1)[:, :, None], axis=1)


def _column(heatmaps: Any, x: Any) -> Any:
    """Each joint's column x (B, J) of its map, (B, H, J)."""
    return ops.sum(heatmaps * ops.one_hot(x, heatmaps.shape[2], axis=1)[:, None], axis=2)


def _at(line: Any, place: Any) -> Any:
    """Values (B, J) of lines (B, L, J) at places (B, J)."""
    return ops.sum(line * ops.one_hot(place, line.shape[1], axis=1), axis=1)


def _quarter(line: Any, peak: Any) -> Any:
    """Positions (B, J), a quarter pixel from the peaks (B, J) of lines (B, L, J)."""
    middle = ops.clip(peak, 1, line.shape[1] - 2)
    nearest = [_at(line, middle + step) for step in (-1, 0, 1)]
    return ops.cast(peak, "float32") + QUARTER * ops.sign(_slope(nearest, peak - middle))


def _slope(values: list[Any], offset: Any) -> Any:
    """Slope of the parabola through three logarithms, at `offset` from the middle one."""
    before, middle, after = map(_logarithm, values)
    return (after - before) / 2 + ops.cast(offset, "float32") * (before - 2 * middle + after)


def _logarithm(value: Any) -> Any:
    """`log(max(value, TINY))`, written so that no constant is too small for float16 exports."""
    return ops.maximum(ops.log(ops.maximum(value, 0.0)), math.log(TINY))


def _gaussian_centres(heatmaps: Any, x: Any, y: Any) -> list[Any]:
    """`dark`'s x and y (B, J), of peaks at x and y."""
    height, width = heatmaps.shape[1:3]
    # Whole numbers and booleans would run on few accelerators of phones.
    x, y = ops.cast(x, "float32"), ops.cast(y, "float32")
    middle_x, middle_y = ops.clip(x, 1.0, width - 2.0), ops.clip(y, 1.0, height - 2.0)
    # Where the kernel does not fit in the map, the raw values stay.
    room_x = ops.minimum(middle_x, width - 1.0 - middle_x)
    room_y = ops.minimum(middle_y, height - 1.0 - middle_y)
    room = ops.minimum(room_x, room_y)
    fits = ops.cast(room > SMOOTHING_RADIUS + 0.5, "float32")
    columns = [_weights(middle_x + step, width, smooth=fits) for step in (-1, 0, 1)]
    rows = [
        ops.sum(
            heatmaps * ops.expand_dims(_weights(middle_y + step, height, smooth=fits), 2), axis=1
        )
        for step in (-1, 0, 1)
    ]
    log = [[_logarithm(ops.sum(row * column, axis=1)) for column in columns] for row in rows]
    slope_x, slope_y = (log[1][2] - log[1][0]) / 2, (log[2][1] - log[0][1]) / 2
    bend_x = log[1][2] - 2 * log[1][1] + log[1][0]
    bend_y = log[2][1] - 2 * log[1][1] + log[0][1]
    twist = (log[2][2] - log[2][0] - log[0][2] + log[0][0]) / 4
    determinant = bend_x * bend_y - twist**2
    is_summit = (determinant > TINY) & (bend_x < 0)
    safe = ops.where(is_summit, determinant, 1.0)
    steps = (twist * slope_y - bend_y * slope_x, twist * slope_x - bend_x * slope_y)
    centres = []
    for peak, middle, step in zip((x, y), (middle_x, middle_y), steps, strict=True):
        offset = ops.clip(middle - peak + step / safe, -1.0, 1.0)
        centres.append(peak + ops.where(is_summit, offset, 0.0))
    return centres


def _weights(place: Any, length: int, *, smooth: Any) -> Any:
    """What each pixel of a line counts for the value at a place: (B, L, J) of places (B, J).

    That pixel alone or, where `smooth` (B, J) is 1, those around it. A smoothed map would be an
    einsum, which LiteRT's converter turns into shapes that overflow for any number of crops.
    """
    pixels = np.arange(length, dtype=np.float32).reshape(1, length, 1)
    away = ops.expand_dims(place, 1) - pixels
    reach = np.arange(-SMOOTHING_RADIUS, SMOOTHING_RADIUS + 1)
    whole = float(np.exp(-0.5 * (reach / SMOOTHING_SIGMA) ** 2).sum())
    kernel = ops.exp(-0.5 * ops.square(away / SMOOTHING_SIGMA)) / whole
    near = ops.cast(ops.abs(away) < SMOOTHING_RADIUS + 0.5, "float32")
    alone = ops.cast(ops.abs(away) < 0.5, "float32")
    smooth = ops.expand_dims(smooth, 1)
    return smooth * kernel * near + (1.0 - smooth) * alone
