"""One bar over the whole training, and a line per epoch."""

from __future__ import annotations

import math

import keras
from loguru import logger

from hourglass.core.progress import Progress
from hourglass.scoring.pck import Measure
from hourglass.training.callbacks.names import VALIDATION_LOSS, Logs, score_name


class ShowProgress(keras.callbacks.Callback):
    """One bar over the whole training, and a line per epoch.

    Args:
        epochs: The last epoch's number.
        first_epoch: Epochs done before.
        images: People per epoch.
        batch_size: People per step.
        measure: What the skeleton's PCK is measured in.
    """

    async_safe = True  # `Progress` locks itself

    def __init__(
        self, *, epochs: int, first_epoch: int, images: int, batch_size: int, measure: Measure
    ) -> None:
        super().__init__()
        self._measure = measure
        self._epochs, self._batch_size = epochs, batch_size
        self._progress = Progress(
            "training", total=epochs * images, unit="images", start=first_epoch * images
        )
        self._note = ""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._note = f"epoch {epoch + 1}/{self._epochs}"

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        loss = (logs or {}).get("loss", math.nan)
        self._progress.advance(self._batch_size, note=f"{self._note}, loss {loss:.4f}")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        assert logs is not None
        measure = self._measure
        score, strict = (
            logs[score_name(measure, threshold)] for threshold in (measure.right, measure.strict)
        )
        logger.info(
            f"epoch {epoch + 1}/{self._epochs}: loss {logs['loss']:.4f}, "
            f"validation loss {logs[VALIDATION_LOSS]:.4f}, {measure.title} {score:.1f}, "
            f"@{measure.strict:g} {strict:.1f}, {logs['images_per_second']:.0f} images/s, "
            f"{logs['input_wait']:.0%} of it waiting for input"
        )

    def close(self) -> None:
        """Ends the bar where it stands, also that of a training that failed."""
        self._progress.close()
