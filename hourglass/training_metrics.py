"""What training watches, computed on the device: loss per stack, and joints from heatmaps.

The numbers of record are `hourglass.metrics`'; here are only the Keras twins that keep whole
heatmaps from travelling to the host.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from hourglass.decoding import QUARTER, TINY
from hourglass.losses import HeatmapLoss


class StackLoss(keras.metrics.Mean):
    """Mean loss of one stack over the epoch.

    Args:
        loss: The loss of the whole network.
        stack: Which stack, from 0.
    """

    def __init__(self, loss: HeatmapLoss, stack: int) -> None:
        super().__init__(name=f"loss_stack_{stack + 1}")
        self._loss = loss
        self._stack = stack

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds a batch: heatmaps (B, H, W, J), (B, stacks, H, W, J), weights (B, J)."""
        one_stack = y_pred[:, self._stack : self._stack + 1]
        values = self._loss.call(y_true, one_stack)
        super().update_state(values if sample_weight is None else values * sample_weight)


def decode_on_device(heatmaps: Any) -> Any:
    """`decode_heatmaps(refine="quarter")` in Keras operations.

    Args:
        heatmaps: (B, H, W, J) float32.

    Returns:
        (B, J, 3) float32: x and y in heatmap px, and the peak's height in [0, 1].
    """
    height, width, joints = heatmaps.shape[1:]
    flat = ops.reshape(heatmaps, (-1, height * width, joints))
    peak = ops.argmax(flat, axis=1)

    def value(x: Any, y: Any) -> Any:
        return ops.take_along_axis(flat, ops.expand_dims(y * width + x, 1), axis=1)[:, 0]

    x, y = peak % width, peak // width
    middle_x, middle_y = ops.clip(x, 1, width - 2), ops.clip(y, 1, height - 2)
    along_x = [value(middle_x + step, y) for step in (-1, 0, 1)]
    along_y = [value(x, middle_y + step) for step in (-1, 0, 1)]
    points = [
        ops.cast(x, "float32") + QUARTER * ops.sign(_slope(along_x, x - middle_x)),
        ops.cast(y, "float32") + QUARTER * ops.sign(_slope(along_y, y - middle_y)),
    ]
    return ops.stack([*points, ops.clip(value(x, y), 0.0, 1.0)], axis=-1)


def _slope(values: list[Any], offset: Any) -> Any:
    """Slope of the parabola through three logarithms, at `offset` from the middle one."""
    before, middle, after = (ops.log(ops.maximum(value, TINY)) for value in values)
    return (after - before) / 2 + ops.cast(offset, "float32") * (before - 2 * middle + after)


def validation_model(network: keras.Model, loss: HeatmapLoss) -> keras.Model:
    """Wraps a network so that `predict` on a dataset returns small arrays.

    Returns:
        A model from (image, heatmaps) to `joints` (B, J, 3), as `decode_on_device` of the last
        stack, and `losses` (B, stacks, J).
    """
    targets = keras.Input(network.output_shape[2:], name="target")
    predicted = network(network.input, training=False)
    outputs = {
        "joints": decode_on_device(predicted[:, -1]),
        "losses": loss.per_stack(targets, predicted),
    }
    return keras.Model([network.input, targets], outputs, name="validation")
