"""How many images a second are trained on, and how long the input is waited for."""

from __future__ import annotations

import time

import keras

from hourglass.data.batches import InputClock
from hourglass.training.callbacks.names import Logs


class Throughput(keras.callbacks.Callback):
    """Adds `images_per_second` and `input_wait`, the share of training time spent on input.

    Args:
        images: People per epoch.
        clock: Watches the training dataset.
    """

    def __init__(self, images: int, clock: InputClock) -> None:
        super().__init__()
        self._images = images
        self._clock = clock
        self._began = 0.0
        self._waited = 0.0

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._began, self._waited = time.perf_counter(), self._clock.waited

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        assert logs is not None
        seconds = time.perf_counter() - self._began
        logs["images_per_second"] = self._images / seconds
        logs["input_wait"] = min(1.0, (self._clock.waited - self._waited) / seconds)
