"""Where people are in a picture: YOLOX-Nano, run by OpenCV, so that nothing needs a download.

Ge et al., "YOLOX: Exceeding YOLO Series in 2021" (arXiv 2107.08430), trained on COCO. The file and
its licence: weights/README.md.
"""

from __future__ import annotations

import threading
from pathlib import Path

import cv2
import numpy as np

from hourglass.core.pose import Box

WEIGHTS = Path(__file__).resolve().parents[1] / "weights" / "yolox_nano.onnx"

LITERT_WEIGHTS = WEIGHTS.with_suffix(".tflite")
"""The same for LiteRT, as `tools.convert_detector` makes it: for the page in the browser."""

SMALL_SIDE, SIDE = 416, 640
"""Sides of the detector's square input, px: the first, as in its training, for pictures that are
hardly larger; the second for all others. Of people of 40 px in pictures of 640×480 px the first
finds 35 in 100, the second 65, in three times the time (docs/PERFORMANCE.md)."""

HARDLY_LARGER = 1.15

FILL = 114
"""What its input shows beside the picture, as in its training."""

STRIDES = (8, 16, 32)
"""Input px per cell of its three grids of predictions."""

PERSON = 0
"""COCO's class, after four numbers of the box and one that says whether there is an object."""

LOWEST_SCORE = 0.25
OVERLAP = 0.5
"""Boxes that share more (intersection over union) show the same person."""

ROOM = 0.3
"""Share of the picture's longer side that is added around it when nobody was found: a person who
fills a picture is seen better with some room around."""


class PeopleDetector:
    """Finds people; `detector(picture)` is a list of their boxes. May be shared by threads.

    Args:
        lowest_score: Detections scored lower are left out.
    """

    def __init__(self, *, lowest_score: float = LOWEST_SCORE) -> None:
        self._network = cv2.dnn.readNetFromONNX(str(WEIGHTS))
        self._lowest_score = lowest_score
        self._grids = {side: _grids(side) for side in (SMALL_SIDE, SIDE)}
        self._turn = threading.Lock()

    def __call__(self, picture: np.ndarray) -> list[Box]:
        """People in a picture.

        Args:
            picture: (H, W, 3) uint8 RGB.

        Returns:
            Boxes (x, y, width, height) px inside the picture, the surest person first; [] if there
            is none.
        """
        large = max(picture.shape[:2]) > HARDLY_LARGER * SMALL_SIDE
        found = self.find(picture, side=SIDE if large else SMALL_SIDE)
        if found:
            return found
        return self.find(picture, room=ROOM)

    def find(self, picture: np.ndarray, *, side: int = SMALL_SIDE, room: float = 0.0) -> list[Box]:
        """Looks once.

        Args:
            picture: (H, W, 3) uint8 RGB.
            side: Of the network's input, px: `SMALL_SIDE` or `SIDE`.
            room: Share of the picture's longer side that is added around it.

        Returns:
            As `__call__`.
        """
        # The picture is shrunk before it is put on its background, so that no large one is made.
        zoom = side / ((1 + 2 * room) * max(picture.shape[:2]))
        start = round(room * zoom * max(picture.shape[:2]))
        size = [max(1, round(length * zoom)) for length in picture.shape[1::-1]]
        method = cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR
        canvas = np.full((side, side, 3), FILL, np.uint8)
        canvas[start : start + size[1], start : start + size[0]] = cv2.resize(
            picture, size, interpolation=method
        )
        blob = canvas[..., ::-1].transpose(2, 0, 1)[None].astype(np.float32)
        with self._turn:
            self._network.setInput(np.ascontiguousarray(blob))
            rows = self._network.forward()[0]
        scores = rows[:, 4] * rows[:, 5 + PERSON]
        sure = scores >= self._lowest_score
        cells, strides = self._grids[side]
        centers = (rows[sure, :2] + cells[sure]) * strides[sure]
        sizes = np.exp(rows[sure, 2:4]) * strides[sure]
        boxes = np.concatenate([centers - sizes / 2 - start, sizes], axis=1) / zoom
        kept = cv2.dnn.NMSBoxes(boxes.tolist(), scores[sure].tolist(), self._lowest_score, OVERLAP)
        clipped = [_clipped(tuple(boxes[place].tolist()), picture.shape) for place in kept]
        return [box for box in clipped if box]


def _grids(side: int) -> tuple[np.ndarray, np.ndarray]:
    """Cell (x, y) of each prediction, (P, 2), and its stride, (P, 1)."""
    cells, strides = [], []
    for stride in STRIDES:
        count = side // stride
        rows, columns = np.mgrid[:count, :count]
        cells.append(np.stack([columns, rows], axis=-1).reshape(-1, 2))
        strides.append(np.full((count * count, 1), stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(strides).astype(np.float32)


def _clipped(box: Box, shape: tuple[int, ...]) -> Box | None:
    """The part of a box inside a picture of that shape, if there is one."""
    x, y, width, height = box
    left, top = max(0.0, x), max(0.0, y)
    right, bottom = min(float(shape[1]), x + width), min(float(shape[0]), y + height)
    return (left, top, right - left, bottom - top) if right > left and bottom > top else None
