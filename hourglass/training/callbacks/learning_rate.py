"""The learning rate that an epoch ended with."""

from __future__ import annotations

import keras

from hourglass.training.callbacks.names import Logs


class LearningRate(keras.callbacks.Callback):
    """Adds `learning_rate`, the one that the epoch ended with."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        assert logs is not None
        rate = keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)
        logs["learning_rate"] = float(rate)
