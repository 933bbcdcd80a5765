"""Joints from heatmaps in Keras operations: the device's twin of `core.decoding`."""

from __future__ import annotations

import math
from typing import Any

from keras import ops

from hourglass.core.decoding import QUARTER, TINY


def decode_on_device(heatmaps: Any) -> Any:
    """`decode_heatmaps(refine="quarter")` in Keras operations.

    Only such operations as the converters of `exporting.formats` know, for any batch: Keras's
    `argmax` and `take_along_axis` are not among them.

    Args:
        heatmaps: (B, H, W, J) float32.

    Returns:
        (B, J, 3) float32: x and y in heatmap px, and the peak's height in [0, 1].
    """
    height, width, joints = heatmaps.shape[1:]
    flat = ops.reshape(heatmaps, (-1, height * width, joints))
    top = ops.max(flat, axis=1)
    places = ops.reshape(ops.arange(height * width), (1, -1, 1))
    peak = ops.min(ops.where(flat >= top[:, None], places, height * width), axis=1)
    x, y = peak % width, peak // width
    row = ops.sum(heatmaps * ops.one_hot(y, height, axis=1)[:, :, None], axis=1)
    column = ops.sum(heatmaps * ops.one_hot(x, width, axis=1)[:, None], axis=2)
    return ops.stack([_refined(row, x), _refined(column, y), ops.clip(top, 0.0, 1.0)], axis=-1)


def _refined(line: Any, peak: Any) -> Any:
    """Positions (B, J), a quarter pixel from the peaks (B, J) of lines (B, L, J)."""
    length = line.shape[1]
    middle = ops.clip(peak, 1, length - 2)
    nearest = [
        ops.sum(line * ops.one_hot(middle + step, length, axis=1), axis=1) for step in (-1, 0, 1)
    ]
    return ops.cast(peak, "float32") + QUARTER * ops.sign(_slope(nearest, peak - middle))


def _slope(values: list[Any], offset: Any) -> Any:
    """Slope of the parabola through three logarithms, at `offset` from the middle one."""
    # `log(max(value, TINY))`, written so that no constant is too small for float16 exports.
    logs = (ops.log(ops.maximum(value, 0.0)) for value in values)
    before, middle, after = (ops.maximum(one, math.log(TINY)) for one in logs)
    return (after - before) / 2 + ops.cast(offset, "float32") * (before - 2 * middle + after)
