"""What all ways to feed a training share: how many batches there are, who makes which rows of them,
and who waits for them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hourglass.core.errors import InputError

TargetChange = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""From a batch's crops, heatmaps and weights to its new heatmaps and weights."""


def steps_per_epoch(people: int, batch_size: int, pattern: str) -> int:
    """Whole batches in an epoch.

    Raises:
        ValueError: If there is none.
    """
    if people < batch_size:
        raise InputError(
            f"{pattern}: {people} people do not fill one batch of {batch_size}; "
            "choose a smaller batch size"
        )
    return people // batch_size


@dataclass(frozen=True)
class Share:
    """What one of several processes makes of every batch: an equal part of its rows.

    Attributes:
        index: Which process, from 0.
        count: How many there are; they divide the batch size.
        makers: Processes that make the rows; None for one per core.
    """

    index: int = 0
    count: int = 1
    makers: int | None = None

    def rows(self, batch_size: int) -> range:
        """Its rows of a whole batch."""
        size = batch_size // self.count
        return range(self.index * size, (self.index + 1) * size)


class OwnAugmentation:
    """A program's own change of training crops, after all that the configuration asks for.

    It is called for one batch after the other, and for a few ahead that are never used. It may not
    move pixels: the labels do not follow.

    Args:
        change: From a batch's crops (B, S, S, 3) uint8 RGB to as many of the same size, uint8; it
            may change them in place.

    Attributes:
        error: What it failed with, if it did: TensorFlow hands on the text alone.
    """

    def __init__(self, change: Callable[[np.ndarray], np.ndarray]) -> None:
        self._change = change
        self.error: Exception | None = None

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """The batch's crops, changed.

        Raises:
            ValueError: If what it gives are no such crops.
        """
        given = images.shape
        try:
            changed = self._change(images)
            _require_crops(changed, given)
        except Exception as error:
            self.error = error
            raise
        return changed


def _require_crops(changed: object, shape: tuple[int, ...]) -> None:
    if not isinstance(changed, np.ndarray):
        kind = type(changed).__name__
    elif changed.shape != shape or changed.dtype != np.uint8:
        kind = f"{changed.shape} {changed.dtype}"
    else:
        return
    raise InputError(f"augment must give crops {shape} uint8, as it was given, got {kind}")


class InputClock:
    """Adds up the seconds that a training waits for its batches: `waited`."""

    def __init__(self) -> None:
        self.waited = 0.0
        self._asked = 0.0

    def start(self) -> None:
        """A batch is asked for."""
        self._asked = time.perf_counter()

    def stop(self) -> None:
        """It is there."""
        self.waited += time.perf_counter() - self._asked
