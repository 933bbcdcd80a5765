"""Learning from another network's heatmaps besides the labels (Hinton et al., arXiv 1503.02531).

A squared error towards the labels' heatmap and one towards the teacher's, added, are one squared
error towards a mean of both: so the teacher only changes a batch's targets, and the loss stays.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from hourglass.core.config import Config
from hourglass.core.errors import InputError
from hourglass.core.storage import Place
from hourglass.modelfiles.keras_file import load_weights, read_config
from hourglass.modelfiles.metadata import SUFFIX
from hourglass.modelfiles.runtimes import load_runtime
from hourglass.networks.hourglass import build_network, last_stack
from hourglass.training.devices import on_this_process

TEACHER_SHARE = 0.5
"""A teacher's part in the targets, as much as the labels'."""

FAINTEST = 0.05
"""A teacher's values below it are taken for 0: they are its background, and not joints."""


Heatmaps = Callable[[np.ndarray], np.ndarray]
"""From crops (B, T, T, 3) uint8 of a teacher's own size T to heatmaps (B, T/4, T/4, J)."""


def with_teacher(config: Config, teacher: str | Place | None) -> Config:
    """The choices with the usual share of a teacher's, where there is one.

    Raises:
        ValueError: If the run has learnt from a teacher that is not given.
    """
    if teacher and not config.train.teacher_share:
        return config.replace("train.teacher_share", TEACHER_SHARE)
    if config.train.teacher_share and not teacher:
        raise InputError(
            f"train.teacher_share is {config.train.teacher_share}: the run learns from a teacher, "
            "which --teacher must name again"
        )
    return config


class Teacher:
    """A trained network that makes training targets of its own for every crop.

    It looks at crops of the size that it was trained or exported for: networks find much less at
    other sizes. The student's crops are resized for it, and its heatmaps for the student.

    Args:
        path: Its model file or its export of heatmaps, of the same skeleton.
        config: The student's choices; `train.teacher_share` is the teacher's part in each target.
        precision: Keras dtype policy of its layers; an export has an arithmetic of its own.
        alone: Run on this process's rows alone, where several processes train together.

    Raises:
        ValueError: If it cannot be loaded, gives no heatmaps, or is of another skeleton.
    """

    def __init__(
        self,
        path: str | Path,
        config: Config,
        *,
        precision: str = "float32",
        alone: bool = False,
    ) -> None:
        self._where = on_this_process if alone else contextlib.nullcontext
        if Path(path).suffix == SUFFIX:
            with self._where():
                own, self._heatmaps = _network(path, precision=precision)
        else:
            own, self._heatmaps = _export(path)
        if own.skeleton.joints != config.skeleton.joints:
            raise InputError(
                f"{path}: the teacher knows the joints of skeleton {own.skeleton.name!r}, the "
                f"student learns those of {config.skeleton.name!r}; they must be the same"
            )
        self._size = own.network.input_size
        self._share = config.train.teacher_share

    def __call__(
        self, images: np.ndarray, heatmaps: np.ndarray, weights: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """A batch's targets with the teacher's part.

        Args:
            images: (B, S, S, 3) uint8 RGB.
            heatmaps: (B, S/4, S/4, J) float32, of the labels.
            weights: (B, J) float32, 0 for joints without a label.

        Returns:
            Heatmaps and weights of the same shapes; joints without a label are the teacher's alone.
        """
        with self._where():
            found = np.asarray(self._heatmaps(resized(images, self._size)), np.float32)
        found = resized(found, heatmaps.shape[1])
        found = np.where(found < FAINTEST, np.float32(0), np.minimum(found, np.float32(1)))
        return mixed(heatmaps, weights, found, share=self._share)


def _network(path: str | Path, *, precision: str) -> tuple[Config, Heatmaps]:
    """The choices and the network of a `.keras` file."""
    config = read_config(path)
    whole = build_network(config.network, precision=precision)
    load_weights(path, whole)
    return config, last_stack(whole).predict_on_batch


def _export(path: str | Path) -> tuple[Config, Heatmaps]:
    """The choices and the network of an exported file."""
    runtime = load_runtime(path)
    return runtime.config, runtime.heatmaps


def resized(maps: np.ndarray, size: int) -> np.ndarray:
    """Square maps resized, with their corners at the same places of the picture.

    So lie the grids of crops and heatmaps of any size (`core.geometry`): joints stay in place.

    Args:
        maps: (B, S, S, C) uint8 or float32.
        size: Cells a side.

    Returns:
        (B, size, size, C) of the same dtype; `maps` itself if they have that size.
    """
    batch, side, _, channels = maps.shape
    if side == size:
        return maps
    method = cv2.INTER_AREA if size < side else cv2.INTER_LINEAR
    # One channel at a time: OpenCV resizes no more than 128 together, and skeletons may have more.
    planes = np.ascontiguousarray(np.moveaxis(maps, -1, 1)).reshape(-1, side, side)
    others = np.stack([cv2.resize(plane, (size, size), interpolation=method) for plane in planes])
    return np.ascontiguousarray(np.moveaxis(others.reshape(batch, channels, size, size), 1, -1))


def mixed(
    heatmaps: np.ndarray, weights: np.ndarray, found: np.ndarray, *, share: float
) -> tuple[np.ndarray, np.ndarray]:
    """The one target and weight whose squared error is that of two together, but for a constant.

    Args:
        heatmaps: (B, H, W, J) float32, of the labels.
        weights: (B, J) float32, theirs.
        found: (B, H, W, J) float32, the teacher's.
        share: Weight of the teacher's, 0 to 1; the labels' is multiplied by what is left.
    """
    labelled = (1 - share) * weights
    whole = labelled + share
    part = (share / whole)[:, np.newaxis, np.newaxis]
    return (heatmaps + part * (found - heatmaps)).astype(np.float32), whole.astype(np.float32)
