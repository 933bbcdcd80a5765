"""Lowers the learning rate when the score no longer improves."""

from __future__ import annotations

import keras

from hourglass.training.callbacks.names import Logs


class Plateau(keras.callbacks.ReduceLROnPlateau):
    """Lowers the learning rate after some epochs in which the score did not improve.

    Args:
        score: The score's name among an epoch's numbers.
        history: Rows of the epochs done before a resume, which it goes through first.
        factor: What the learning rate is multiplied by.
        epochs: How many.
    """

    def __init__(
        self, score: str, history: list[Logs], *, factor: float = 0.1, epochs: int = 10
    ) -> None:
        super().__init__(monitor=score, mode="max", factor=factor, patience=epochs)
        self._history = history

    def on_train_begin(self, logs: Logs | None = None) -> None:
        super().on_train_begin(logs)
        for epoch, row in enumerate(self._history):
            self.model.optimizer.learning_rate = row["learning_rate"]
            self.on_epoch_end(epoch, dict(row))
