"""What TensorBoard shows: every number, and eight people with labels, predictions and heatmaps."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
from loguru import logger
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.image.metadata import create_summary_metadata
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.util.tensor_util import make_tensor_proto

from hourglass.core.files import write_error
from hourglass.core.geometry import apply_affine, crop_matrix
from hourglass.data.people import People
from hourglass.media.panels import draw_rows
from hourglass.training.callbacks.events import EventFile
from hourglass.training.callbacks.names import Logs

PICTURES = 8


class Board(keras.callbacks.Callback):
    """Writes everything in `logs`, and pictures of the same eight people, for TensorBoard.

    Where several processes train together, all of them predict, and the first one draws the
    first people of its rows.

    An epoch that cannot be written is told of, and missing in the log: the run's models are worth
    more than it.

    Args:
        folder: The run's folder of logs; None where another process writes them.
        model: From pictures to the last stack's heatmaps.
        batches: What `validation_dataset` gives, or its twin; its first people are drawn.
        people: The labels, in the dataset's order.
        batch_size: Rows of a batch that this process has.
        input_size: Side of the crops, px.
        processes: How many train together.

    Raises:
        ValueError: If nothing can be written to the folder.
    """

    def __init__(
        self,
        folder: Path | None,
        model: keras.Model,
        batches: Iterable[Any],
        people: People,
        *,
        batch_size: int,
        input_size: int,
        processes: int = 1,
    ) -> None:
        super().__init__()
        self._events = _event_file(folder) if folder else None
        self._heatmaps = model
        # Of several processes the first has the first people in the first batch alone.
        count = min(PICTURES, len(people), batch_size if processes > 1 else PICTURES)
        # Whole batches: every replica must get a share of them.
        first = islice(batches, -(-count // batch_size))
        self._batch_size = batch_size
        self._batches = np.concatenate([np.asarray(image) for image, _, _ in first])
        self._crops = self._batches[:count]
        matrices = crop_matrix(people.center[:count], people.scale[:count], size=input_size)
        self._labels = apply_affine(matrices, people.points[:count])
        self._labelled, self._skeleton = people.labelled[:count], people.skeleton

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        found = self._heatmaps.predict(self._batches, batch_size=self._batch_size, verbose=0)
        if self._events is None:
            return
        heatmaps = np.asarray(found)[: len(self._crops)]
        panels = draw_rows(
            self._crops, heatmaps, self._labels, self._labelled, skeleton=self._skeleton
        )
        summary = Summary()
        for name, value in (logs or {}).items():
            summary.MergeFrom(scalar_pb(_board_name(name), value))
        summary.MergeFrom(_pictures("labelled | predicted | heatmaps", panels))
        try:
            self._events.add(Event(wall_time=time.time(), step=epoch + 1, summary=summary))
        except OSError as error:
            told = write_error(self._events.path.parent, error)
            logger.warning(f"{told}; TensorBoard will not show epoch {epoch + 1}")


def _event_file(folder: Path) -> EventFile:
    try:
        return EventFile(folder)
    except OSError as error:
        raise write_error(folder, error) from error


def _pictures(name: str, pictures: np.ndarray) -> Summary:
    """Pictures (N, H, W, 3) uint8 RGB as TensorBoard's own summary writes them."""
    height, width = pictures.shape[1:3]
    sizes = [str(width).encode(), str(height).encode()]
    encoded = [cv2.imencode(".png", cv2.cvtColor(one, cv2.COLOR_RGB2BGR))[1] for one in pictures]
    tensor = make_tensor_proto([*sizes, *(one.tobytes() for one in encoded)])
    summary = Summary()
    metadata = create_summary_metadata(display_name=None, description=None)
    summary.value.add(tag=name, metadata=metadata, tensor=tensor)
    return summary


def _board_name(name: str) -> str:
    """Groups the scalars: losses together, speed together."""
    if "loss" in name:
        return f"loss/{name}"
    score = re.fullmatch(r"val_(pckh?)(@.*)", name)
    if score:
        return f"{score[1]}/validation{score[2]}"
    return f"training/{name}"
