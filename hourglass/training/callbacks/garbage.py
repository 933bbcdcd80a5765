"""Frees what the end of an epoch leaves behind."""

from __future__ import annotations

import gc

import keras

from hourglass.training.callbacks.names import Logs


class CollectGarbage(keras.callbacks.Callback):
    """Lets Python collect at the end of each epoch what refers to itself in a circle.

    Each of Keras's predictions makes graphs of that kind, 0.2 MB of them. By itself Python collects
    them once a quarter of all objects is new: with TensorFlow's, after hundreds of epochs.
    """

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        gc.collect()
