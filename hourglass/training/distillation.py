"""Learning from another network's heatmaps besides the labels (Hinton et al., arXiv 1503.02531).

A squared error towards the labels' heatmap and one towards the teacher's, added, are one squared
error towards a mean of both: so the teacher only changes a batch's targets, and the loss stays.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from pathlib import Path

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
"""From crops (B, S, S, 3) uint8 to heatmaps (B, S/4, S/4, J)."""


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

    Args:
        path: Its model file, of the same skeleton, whose network takes crops of the student's size;
            or an export of heatmaps that was made for such crops.
        config: The student's choices; `train.teacher_share` is the teacher's part in each target.
        precision: Keras dtype policy of its layers; an export has an arithmetic of its own.
        alone: Run on this process's rows alone, where several processes train together.

    Raises:
        ValueError: If it is of another skeleton, or cannot take such crops.
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
                self._heatmaps = _network(path, config, precision=precision)
        else:
            self._heatmaps = _export(path, config)
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
            found = np.asarray(self._heatmaps(images), np.float32)
        found = np.where(found < FAINTEST, np.float32(0), np.minimum(found, np.float32(1)))
        return mixed(heatmaps, weights, found, share=self._share)


def _network(path: str | Path, config: Config, *, precision: str) -> Heatmaps:
    """The teacher in a `.keras` file, built for crops of the student's size."""
    stored = read_config(path)
    _require_skeleton(path, stored, config)
    try:
        network = dataclasses.replace(stored.network, input_size=config.network.input_size)
    except InputError as error:
        raise InputError(f"{path}: the teacher cannot take the student's crops: {error}") from error
    whole = build_network(network, precision=precision)
    load_weights(path, whole)
    return last_stack(whole).predict_on_batch


def _export(path: str | Path, config: Config) -> Heatmaps:
    """The teacher in an exported file, whose crops have one size."""
    runtime = load_runtime(path)
    _require_skeleton(path, runtime.config, config)
    own, wanted = runtime.config.network.input_size, config.network.input_size
    if own != wanted:
        raise InputError(
            f"{path}: the teacher takes crops of {own} px, the student learns from {wanted} px; "
            f"export it with --input-size {wanted}"
        )
    return runtime.heatmaps


def _require_skeleton(path: str | Path, teacher: Config, student: Config) -> None:
    if teacher.skeleton.joints != student.skeleton.joints:
        raise InputError(
            f"{path}: the teacher knows the joints of skeleton {teacher.skeleton.name!r}, the "
            f"student learns those of {student.skeleton.name!r}; they must be the same"
        )


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
