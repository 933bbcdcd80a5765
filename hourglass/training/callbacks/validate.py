"""Validation loss and score after each epoch."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from hourglass.core.errors import InputError
from hourglass.core.geometry import crop_to_picture, from_grid
from hourglass.data.people import People
from hourglass.scoring.pck import measure_of, reference_size, skeleton_pck
from hourglass.training.callbacks.names import VALIDATION_LOSS, Logs, score_name


class Validate(keras.callbacks.Callback):
    """Adds validation loss and PCK in original pixels; every person counts exactly once.

    The PCK is the skeleton's own: of MPII, PCKh@0.5 and @0.1.

    Args:
        model: `validation_model` of the network.
        pairs: `training.feed.pairs` of all people.
        people: The labels, in their order.
        input_size: Side of the crops, px.

    Raises:
        ValueError: If there is nothing to score: no joint is labelled, or nobody's torso where the
            skeleton is scored in torsos.
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
        self._size = input_size
        self._measure = measure_of(people.skeleton)
        _require_scorable(people)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        assert logs is not None
        people = self._people
        found = self._validation.predict(self._pairs, verbose=0)
        cells = np.asarray(found["joints"])[: len(people), :, :2]
        losses = np.asarray(found["losses"])[: len(people)]
        points = crop_to_picture(from_grid(cells), people.center, people.scale, size=self._size)
        logs[VALIDATION_LOSS] = float((losses.sum(axis=1) * people.labelled).mean())
        for threshold in (self._measure.right, self._measure.strict):
            score = skeleton_pck(points, people, threshold)
            logs[score_name(self._measure, threshold)] = score.pooled


def _require_scorable(people: People) -> None:
    skeleton, measured = people.skeleton, np.isfinite(reference_size(people))
    if not people.labelled[measured][:, skeleton.counted].any():
        of_torsos = (
            f" of a person whose {skeleton.joints[skeleton.torso[0]]} and "
            f"{skeleton.joints[skeleton.torso[1]]} are labelled, in whose distance "
            f"skeleton {skeleton.name!r} is scored"
            if skeleton.reference == "torso" and skeleton.torso
            else ""
        )
        raise InputError(
            f"the {len(people)} validation people have no labelled joint{of_torsos}: there is "
            "nothing to validate on"
        )
