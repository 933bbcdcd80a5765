"""Ends a training whose loss is no number any more."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NoReturn

import keras

from hourglass.core.errors import InputError
from hourglass.training.callbacks.names import LAST, Logs


class StopOnNonFinite(keras.callbacks.Callback):
    """Ends a training whose loss is no number any more, before anything is saved.

    Args:
        folder: The run's folder, for the message.
    """

    async_safe = True  # else Keras waits for the device after every step

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            refuse_non_finite(
                f"the loss became {loss} in step {batch + 1}", self._epoch, self._folder
            )


def refuse_non_finite(what: str, epoch: int, folder: Path) -> NoReturn:
    """Raises the error of a training that went wrong in `epoch`, counted from 0."""
    last = folder / LAST
    good = f"the last good checkpoint is {last}" if last.exists() else "no checkpoint was made"
    raise InputError(f"{what} of epoch {epoch + 1}; {good}; a lower --learning-rate may help")
