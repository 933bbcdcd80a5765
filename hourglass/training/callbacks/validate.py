"""Validation loss and score after each epoch."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from hourglass.core.geometry import apply_affine, crop_matrix, from_grid, invert_affine
from hourglass.data.people import People
from hourglass.scoring.pck import HEAD_SIZE_PER_SCALE, pckh
from hourglass.training.callbacks.names import PCKH, PCKH_STRICT, VALIDATION_LOSS, Logs


class Validate(keras.callbacks.Callback):
    """Adds validation loss and PCKh in original pixels; every person counts exactly once.

    Args:
        model: `validation_model` of the network.
        pairs: `training.feed.pairs` of all people.
        people: The labels, in their order.
        input_size: Side of the crops, px.
    """

    def __init__(
        self,
        model: keras.Model,
        pairs: Any,
        people: People,
        *,
        input_size: int,
    ) -> None:
        super().__init__()
        self._validation = model
        self._pairs = pairs
        self._people = people
        self._back = invert_affine(crop_matrix(people.center, people.scale, size=input_size))

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        assert logs is not None
        people = self._people
        found = self._validation.predict(self._pairs, verbose=0)
        cells = np.asarray(found["joints"])[: len(people), :, :2]
        losses = np.asarray(found["losses"])[: len(people)]
        points = apply_affine(self._back, from_grid(cells))
        logs[VALIDATION_LOSS] = float((losses.sum(axis=1) * people.labelled).mean())
        for key, threshold in ((PCKH, 0.5), (PCKH_STRICT, 0.1)):
            logs[key] = pckh(
                points,
                people.points,
                head_size=HEAD_SIZE_PER_SCALE * people.scale,
                labelled=people.labelled,
                threshold=threshold,
            ).pooled
