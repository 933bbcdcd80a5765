"""What happens beside the training: validation, checkpoints, TensorBoard, progress, safety.

Each class does one thing, and adds what it found to Keras's `logs`, so their order matters: what
measures comes before what writes.
"""

from __future__ import annotations

import csv
import math
import time
from pathlib import Path
from typing import NoReturn

import cv2
import keras
import numpy as np
import tensorflow as tf
from loguru import logger

from hourglass.console import Progress
from hourglass.core import config
from hourglass.core.config import Config
from hourglass.core.decoding import decode_heatmaps
from hourglass.core.geometry import apply_affine, crop_matrix, from_grid, invert_affine
from hourglass.core.pose import Pose
from hourglass.core.skeleton import MPII
from hourglass.data.datasets import InputClock, People
from hourglass.media.drawing import draw_heatmaps, draw_pose
from hourglass.modelfiles.keras_file import TrainingState, save_model
from hourglass.networks.hourglass import build_network
from hourglass.scoring.pck import HEAD_SIZE_PER_SCALE, pckh

PCKH, PCKH_STRICT, VALIDATION_LOSS = "val_pckh@0.5", "val_pckh@0.1", "val_loss"
BEST, LAST, HISTORY = "best.keras", "last.keras", "history.csv"
PICTURES = 8
PICTURE_SIDE = 256
PLATEAU_EPOCHS = 10

Logs = dict[str, float]


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
    raise ValueError(f"{what} of epoch {epoch + 1}; {good}; a lower --learning-rate may help")


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


class Validate(keras.callbacks.Callback):
    """Adds validation loss and PCKh in original pixels; every person counts exactly once.

    Args:
        model: `validation_model` of the network.
        dataset: `validation_dataset`.
        people: The labels, in the dataset's order.
        input_size: Side of the crops, px.
    """

    def __init__(
        self,
        model: keras.Model,
        dataset: tf.data.Dataset,
        people: People,
        *,
        input_size: int,
    ) -> None:
        super().__init__()
        self._validation = model
        self._dataset = dataset.map(lambda image, heatmaps, weights: ((image, heatmaps),))
        self._people = people
        self._back = invert_affine(crop_matrix(people.center, people.scale, size=input_size))

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        assert logs is not None
        people = self._people
        found = self._validation.predict(self._dataset, verbose=0)
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


class AverageWeights(keras.callbacks.SwapEMAWeights):
    """Puts the moving average of the weights in their place while an epoch's end looks at them.

    Args:
        resumed: The training goes on from a checkpoint, which holds them so.
    """

    def __init__(self, *, resumed: bool) -> None:
        super().__init__(swap_on_epoch=True)
        self._ema_weights_in_model = resumed

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Swaps after the last epoch as after any, so that a finished run can go on, too."""
        self._swap_variables()
        self._ema_weights_in_model = True

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Nothing: all predictions are made at an epoch's end, with the average in place."""

    on_predict_end = on_predict_begin


class Plateau(keras.callbacks.ReduceLROnPlateau):
    """Lowers the learning rate after 10 epochs in which PCKh did not improve.

    Args:
        history: Rows of the epochs done before a resume, which it goes through first.
        factor: What the learning rate is multiplied by.
    """

    def __init__(self, history: list[Logs], *, factor: float = 0.1) -> None:
        super().__init__(monitor=PCKH, mode="max", factor=factor, patience=PLATEAU_EPOCHS)
        self._history = history

    def on_train_begin(self, logs: Logs | None = None) -> None:
        super().on_train_begin(logs)
        for epoch, row in enumerate(self._history):
            self.model.optimizer.learning_rate = row["learning_rate"]
            self.on_epoch_end(epoch, dict(row))


class Checkpoint(keras.callbacks.Callback):
    """Writes `config.json`, `history.csv`, `best.keras` and, last of all, `last.keras`.

    Resuming trusts `last.keras`: what the other files hold beyond it is dropped.

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
        self._plain = build_network(choices.network)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        target = self.folder / config.FILE
        temporary = target.with_name(f".{target.name}")
        temporary.write_text(config.to_json(self._config), encoding="utf-8")
        temporary.replace(target)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        assert logs is not None
        weights = self.model.get_weights()
        loss = logs.get(VALIDATION_LOSS, 0.0)
        if not math.isfinite(loss) or not all(np.isfinite(weight).all() for weight in weights):
            what = f"weights or validation loss ({loss}) became nan or inf at the end"
            refuse_non_finite(what, epoch, self.folder)
        self._plain.set_weights(weights)
        self.history.append({"epoch": epoch + 1, **logs})
        write_history(self.folder / HISTORY, self.history)
        score = logs[PCKH]
        is_best = score > self.state.best_score or not self.state.best_epoch
        self.state = TrainingState(
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
            state=self.state,
            optimizer=self.model.optimizer,
        )


class LearningRate(keras.callbacks.Callback):
    """Adds `learning_rate`, the one that the epoch ended with."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        assert logs is not None
        rate = keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)
        logs["learning_rate"] = float(rate)


class Board(keras.callbacks.Callback):
    """Writes everything in `logs`, and pictures of the same eight people, for TensorBoard.

    Args:
        folder: The run's folder of logs.
        model: From pictures to the last stack's heatmaps.
        dataset: `validation_dataset`; its first people are drawn.
        people: The labels, in the dataset's order.
        input_size: Side of the crops, px.
    """

    def __init__(
        self,
        folder: Path,
        model: keras.Model,
        dataset: tf.data.Dataset,
        people: People,
        *,
        input_size: int,
    ) -> None:
        super().__init__()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(f"{folder}: cannot be written ({error.strerror})") from error
        self._writer = tf.summary.create_file_writer(str(folder))
        self._heatmaps = model
        count = min(PICTURES, len(people))
        # Whole batches: every replica must get a share of them.
        batch_size = dataset.element_spec[0].shape[0]
        batches = dataset.take(-(-count // batch_size)).map(lambda image, heatmaps, weights: image)
        self._batch_size = batch_size
        self._batches = np.concatenate(list(batches.as_numpy_iterator()))
        self._crops = self._batches[:count]
        matrices = crop_matrix(people.center[:count], people.scale[:count], size=input_size)
        self._labels = apply_affine(matrices, people.points[:count])
        self._labelled = people.labelled[:count]

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        found = self._heatmaps.predict(self._batches, batch_size=self._batch_size, verbose=0)
        heatmaps = np.asarray(found)[: len(self._crops)]
        with self._writer.as_default(step=epoch + 1):
            for name, value in (logs or {}).items():
                tf.summary.scalar(_board_name(name), value)
            pictures = draw_panels(self._crops, heatmaps, self._labels, self._labelled)
            tf.summary.image("labelled | predicted | heatmaps", pictures, max_outputs=len(pictures))
        self._writer.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._writer.close()


def _board_name(name: str) -> str:
    """Groups the scalars: losses together, speed together."""
    if "loss" in name:
        return f"loss/{name}"
    if "pckh" in name:
        return name.replace("val_pckh", "pckh/validation")
    return f"training/{name}"


def draw_panels(
    crops: np.ndarray, heatmaps: np.ndarray, labels: np.ndarray, labelled: np.ndarray
) -> np.ndarray:
    """One row per person: labelled skeleton, predicted skeleton, heatmaps.

    Args:
        crops: (N, S, S, 3) uint8.
        heatmaps: (N, S/4, S/4, 16) float.
        labels: (N, 16, 2) crop px.
        labelled: (N, 16) bool.

    Returns:
        (N, 256, 768, 3) uint8.
    """
    zoom = PICTURE_SIDE / crops.shape[1]
    cells, scores = decode_heatmaps(heatmaps)
    rows = []
    for person, crop in enumerate(crops):
        large = cv2.resize(crop, (PICTURE_SIDE, PICTURE_SIDE), interpolation=cv2.INTER_LINEAR)
        poses = [(labels[person], labelled[person]), (from_grid(cells[person]), scores[person])]
        panels = [
            draw_pose(large, _pose(from_grid(points, zoom), shown)) for points, shown in poses
        ]
        rows.append(np.hstack([*panels, draw_heatmaps(large, heatmaps[person])]))
    return np.stack(rows)


def _pose(points: np.ndarray, scores: np.ndarray) -> Pose:
    box = (0.0, 0.0, float(PICTURE_SIDE), float(PICTURE_SIDE))
    return Pose(points.astype(np.float32), scores.astype(np.float32), MPII, box)


class ShowProgress(keras.callbacks.Callback):
    """One bar over the whole training, and a line per epoch.

    Args:
        epochs: The last epoch's number.
        first_epoch: Epochs done before.
        images: People per epoch.
        batch_size: People per step.
    """

    async_safe = True  # `Progress` locks itself

    def __init__(self, *, epochs: int, first_epoch: int, images: int, batch_size: int) -> None:
        super().__init__()
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
        logger.info(
            f"epoch {epoch + 1}/{self._epochs}: loss {logs['loss']:.4f}, "
            f"validation loss {logs[VALIDATION_LOSS]:.4f}, PCKh@0.5 {logs[PCKH]:.1f}, "
            f"@0.1 {logs[PCKH_STRICT]:.1f}, {logs['images_per_second']:.0f} images/s, "
            f"{logs['input_wait']:.0%} of it waiting for input"
        )

    def on_train_end(self, logs: Logs | None = None) -> None:
        self._progress.close()


def write_history(path: Path, rows: list[Logs]) -> None:
    """All epochs as CSV, replaced as a whole."""
    temporary = path.with_name(f".{path.name}")
    with temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    temporary.replace(path)


def read_history(path: Path, *, epochs: int) -> list[Logs]:
    """The first `epochs` rows of a history; what a killed epoch left beyond them is dropped.

    Raises:
        ValueError: If rows are missing or not numbers.
    """
    if not epochs:
        return []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows: list[Logs] = [
                {key: int(value) if key == "epoch" else float(value) for key, value in row.items()}
                for row in csv.DictReader(file)
            ]
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(f"{path}: not the history of a run ({error})") from error
    if len(rows) < epochs:
        raise ValueError(f"{path}: holds {len(rows)} epochs, the checkpoint has {epochs}")
    return rows[:epochs]
