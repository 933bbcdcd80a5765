"""What training minimises, in Keras on any backend."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from hourglass.core.errors import InputError

FOREGROUND_THRESHOLD = math.exp(-4.5)
"""A target above this is foreground: within 3 standard deviations of its joint."""

FOREGROUND_WEIGHT = 81.0
"""Extra weight of the foreground. A joint covers about 7×7 of 64×64 pixels, and (64/7)² - 1 ≈ 81
makes both halves of the loss equal; without it a network learns to predict zero everywhere."""

IOU_SMOOTHING = 1.0
"""Added above and below, heatmap px: an empty target then has a gradient."""


class HeatmapLoss(keras.losses.Loss):
    """A loss per person, stack and joint, summed over stacks.

    `call` gives one value per person and joint; Keras multiplies those by the sample weights
    (B, J), which mask joints without label, and averages over all B · J, so that the loss changes
    neither with the batch size nor with the number of replicas.
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Loss per person and joint.

        Args:
            y_true: (B, H, W, J) float in [0, 1].
            y_pred: (B, stacks, H, W, J) float.

        Returns:
            (B, J) float.
        """
        return ops.sum(self.per_stack(y_true, y_pred), axis=1)

    def per_stack(self, y_true: Any, y_pred: Any) -> Any:
        """The same before the sum: (B, stacks, J)."""
        raise NotImplementedError


class OwnLoss(HeatmapLoss):
    """A program's own function of the targets and of one stack's heatmaps.

    Args:
        function: `function(target, predicted)` of two tensors (B, H, W, J) gives the loss per
            person and joint, (B, J); by `keras.ops` it runs on any backend.
    """

    def __init__(self, function: Callable[[Any, Any], Any], name: str = "own_loss") -> None:
        super().__init__(name=name, reduction="sum_over_batch_size")
        self._function = function

    def per_stack(self, y_true: Any, y_pred: Any) -> Any:
        found = [self._function(y_true, y_pred[:, stack]) for stack in range(y_pred.shape[1])]
        shape = tuple(getattr(found[0], "shape", ()))
        if len(shape) != 2 or shape[1] != y_pred.shape[-1]:
            raise InputError(
                f"loss must give (B, {y_pred.shape[-1]}), a value per person and joint, got {shape}"
            )
        return ops.stack(found, axis=1)


@keras.saving.register_keras_serializable(package="hourglass")
class ForegroundWeightedMSE(HeatmapLoss):
    """Mean over pixels of the squared error, weighted 1 + `foreground_weight` · [foreground].

    Args:
        foreground_weight: Added to the weight of 1 where the target exceeds exp(-4.5).
    """

    def __init__(
        self, foreground_weight: float = FOREGROUND_WEIGHT, name: str = "foreground_weighted_mse"
    ) -> None:
        super().__init__(name=name, reduction="sum_over_batch_size")
        self.foreground_weight = foreground_weight

    def per_stack(self, y_true: Any, y_pred: Any) -> Any:
        y_true = ops.expand_dims(y_true, 1)
        foreground = ops.cast(y_true > FOREGROUND_THRESHOLD, y_pred.dtype)
        weight = 1.0 + self.foreground_weight * foreground
        return ops.mean(weight * ops.square(y_pred - y_true), axis=(2, 3))

    def get_config(self) -> dict[str, Any]:
        return {"foreground_weight": self.foreground_weight, "name": self.name}


@keras.saving.register_keras_serializable(package="hourglass")
class SoftIoU(HeatmapLoss):
    """1 - overlap / union of target and prediction, both as soft sets (Rahman & Wang, ISVC 2016).

    The union is that of squares, so that only a prediction equal to the target has no loss.
    """

    def __init__(self, name: str = "soft_iou") -> None:
        super().__init__(name=name, reduction="sum_over_batch_size")

    def per_stack(self, y_true: Any, y_pred: Any) -> Any:
        y_true = ops.expand_dims(y_true, 1)
        overlap = ops.sum(y_true * y_pred, axis=(2, 3))
        squares = ops.sum(ops.square(y_true) + ops.square(y_pred), axis=(2, 3))
        return 1.0 - (overlap + IOU_SMOOTHING) / (squares - overlap + IOU_SMOOTHING)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}
