"""What training minimises, in Keras on any backend."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

FOREGROUND_THRESHOLD = math.exp(-4.5)
"""A target above this is foreground: within 3 standard deviations of its joint."""

FOREGROUND_WEIGHT = 81.0
"""Extra weight of the foreground. A joint covers about 7×7 of 64×64 pixels, and (64/7)² - 1 ≈ 81
makes both halves of the loss equal; without it a network learns to predict zero everywhere."""


@keras.saving.register_keras_serializable(package="hourglass")
class ForegroundWeightedMSE(keras.losses.Loss):
    """Squared error per joint, weighted 1 + `foreground_weight` · [foreground], summed over stacks.

    `call` gives one value per person and joint, the mean over pixels; Keras multiplies those by the
    sample weights (B, J), which mask joints without label, and averages over all B · J, so that the
    loss changes neither with the batch size nor with the number of replicas.

    Args:
        foreground_weight: Added to the weight of 1 where the target exceeds exp(-4.5).
    """

    def __init__(
        self, foreground_weight: float = FOREGROUND_WEIGHT, name: str = "foreground_weighted_mse"
    ) -> None:
        super().__init__(name=name, reduction="sum_over_batch_size")
        self.foreground_weight = foreground_weight

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
        y_true = ops.expand_dims(y_true, 1)
        foreground = ops.cast(y_true > FOREGROUND_THRESHOLD, y_pred.dtype)
        weight = 1.0 + self.foreground_weight * foreground
        return ops.mean(weight * ops.square(y_pred - y_true), axis=(2, 3))

    def get_config(self) -> dict[str, Any]:
        return {"foreground_weight": self.foreground_weight, "name": self.name}
