"""What training watches, computed on the device: loss per stack, and joints from heatmaps.

The numbers of record are `hourglass.scoring.pck`'; here are only the Keras twins that keep whole
heatmaps from travelling to the host.
"""

from __future__ import annotations

from typing import Any

import keras

from hourglass.core.decoding import Refinement
from hourglass.networks.decoding import decode_on_device
from hourglass.networks.losses import HeatmapLoss


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


class Everywhere(keras.layers.Layer):
    """Gives each process all rows of what every one has some rows of."""

    def call(self, rows: Any) -> Any:
        """Rows of any shape (B, ...)."""
        distribution = keras.distribution.distribution()
        if distribution is None:
            return rows
        layout = keras.distribution.TensorLayout([None] * len(rows.shape), distribution.device_mesh)
        return keras.distribution.distribute_tensor(rows, layout)


def everywhere(model: keras.Model) -> keras.Model:
    """A model whose `predict` gives each process what all of them predict."""
    return keras.Model(
        model.inputs, keras.tree.map_structure(lambda one: Everywhere()(one), model.output)
    )


def validation_model(
    network: keras.Model, loss: HeatmapLoss, *, refine: Refinement = "quarter"
) -> keras.Model:
    """Wraps a network so that `predict` on a dataset returns small arrays.

    Args:
        network: Gives heatmaps (B, stacks, H, W, J).
        loss: Its loss.
        refine: How its heatmaps are decoded.

    Returns:
        A model from (image, heatmaps) to `joints` (B, J, 3), as `decode_on_device` of the last
        stack, and `losses` (B, stacks, J).
    """
    targets = keras.Input(network.output_shape[2:], name="target")
    predicted = network(network.input, training=False)
    outputs = {
        "joints": decode_on_device(predicted[:, -1], refine=refine),
        "losses": loss.per_stack(targets, predicted),
    }
    return keras.Model([network.input, targets], outputs, name="validation")
