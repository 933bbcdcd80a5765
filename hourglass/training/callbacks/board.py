"""What TensorBoard shows: every number, and eight people with labels, predictions and heatmaps."""

from __future__ import annotations

from pathlib import Path

import cv2
import keras
import numpy as np
import tensorflow as tf

from hourglass.core.decoding import decode_heatmaps
from hourglass.core.geometry import apply_affine, crop_matrix, from_grid
from hourglass.core.pose import Pose
from hourglass.core.skeleton import MPII
from hourglass.data.people import People
from hourglass.media.drawing import draw_heatmaps, draw_pose
from hourglass.training.callbacks.names import Logs

PICTURES = 8


PICTURE_SIDE = 256


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
