"""Writes the run's files after each epoch."""

from __future__ import annotations

import math
from pathlib import Path

import keras
import numpy as np

from hourglass.core import config_text
from hourglass.core.config import Config
from hourglass.core.errors import InputError
from hourglass.core.files import write_file
from hourglass.modelfiles.keras_file import save_model
from hourglass.modelfiles.metadata import TrainingState
from hourglass.networks.hourglass import build_network
from hourglass.scoring.pck import measure_of
from hourglass.training.callbacks.history import write_history
from hourglass.training.callbacks.names import (
    BEST,
    HISTORY,
    LAST,
    VALIDATION_LOSS,
    Logs,
    score_name,
)
from hourglass.training.callbacks.non_finite import refuse_non_finite
from hourglass.training.devices import on_this_process


class Checkpoint(keras.callbacks.Callback):
    """Writes `config.json`, `history.csv`, `best.keras` and, last of all, `last.keras`.

    Resuming trusts `last.keras`: what the other files hold beyond it is dropped. `best.keras` is of
    the highest validation score and, of several epochs with the same one, of the first, as Keras's
    own `ModelCheckpoint` keeps it: an epoch that is no better replaces nothing.

    Args:
        folder: The run's folder.
        choices: All choices of the run.
        state: Where the training stands at its start.
        history: Rows of the epochs done before.
    """

    def __init__(
        self, folder: Path, choices: Config, *, state: TrainingState, history: list[Logs]
    ) -> None:
        super().__init__()
        self.folder = folder
        self._config = choices
        self.state = state
        self.history = history
        with on_this_process():
            self._plain = build_network(choices.network)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        write_file(self.folder / config_text.FILE, config_text.to_json(self._config))

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        assert logs is not None
        weights = self.model.get_weights()
        loss = logs.get(VALIDATION_LOSS, 0.0)
        if not math.isfinite(loss) or not all(np.isfinite(weight).all() for weight in weights):
            what = f"weights or validation loss ({loss}) became nan or inf at the end"
            refuse_non_finite(what, epoch, self.folder)
        self._plain.set_weights(weights)
        self.history.append({"epoch": epoch + 1, **logs})
        saved = self.state.epoch
        try:
            self._save(epoch, logs)
        except InputError as error:
            left = (
                f"the run is saved up to epoch {saved}, from where --resume goes on"
                if saved
                else "no epoch is saved, so that --resume starts with the first"
            )
            raise InputError(f"{error}; {left}") from error

    def _save(self, epoch: int, logs: Logs) -> None:
        """The epoch's files; `last.keras` at the end, so that what it says is there."""
        write_history(self.folder / HISTORY, self.history)
        score = logs[score_name(measure_of(self._config.skeleton))]
        is_best = score > self.state.best_score or not self.state.best_epoch
        state = TrainingState(
            epoch=epoch + 1,
            best_score=score if is_best else self.state.best_score,
            best_epoch=epoch + 1 if is_best else self.state.best_epoch,
        )
        if is_best:
            save_model(self.folder / BEST, self._plain, self._config)
        save_model(
            self.folder / LAST,
            self._plain,
            self._config,
            state=state,
            optimizer=self.model.optimizer,
        )
        self.state = state
