"""Learning from another network's heatmaps besides the labels (Hinton et al., arXiv 1503.02531).

A squared error towards the labels' heatmap and one towards the teacher's, added, are one squared
error towards a mean of both: so the teacher only changes a batch's targets, and the loss stays.
"""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path

import keras
import numpy as np

from hourglass.core.config import Config
from hourglass.core.errors import InputError
from hourglass.core.storage import Place
from hourglass.modelfiles.keras_file import load_weights, read_config
from hourglass.networks.hourglass import build_network, last_stack
from hourglass.training.devices import on_this_process

TEACHER_SHARE = 0.5
"""A teacher's part in the targets, as much as the labels'."""

FAINTEST = 0.05
"""A teacher's values below it are taken for 0: they are its background, and not joints."""


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
        path: Its model file, of the same skeleton; it takes crops of the student's size.
        config: The student's choices; `train.teacher_share` is the teacher's part in each target.
        precision: Keras dtype policy of its layers.
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
        stored = read_config(path)
        if stored.skeleton.joints != config.skeleton.joints:
            raise InputError(
                f"{path}: the teacher knows the joints of skeleton {stored.skeleton.name!r}, the "
                f"student learns those of {config.skeleton.name!r}; they must be the same"
            )
        size = config.network.input_size
        try:
            network = dataclasses.replace(stored.network, input_size=size)
        except InputError as error:
            raise InputError(f"{path}: the teacher cannot take the student's crops: {error}") from (
                error
            )
        self._where = on_this_process if alone else contextlib.nullcontext
        with self._where():
            whole = build_network(network, precision=precision)
        load_weights(path, whole)
        self._network: keras.Model = last_stack(whole)
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
            found = np.asarray(self._network.predict_on_batch(images), np.float32)
        found = np.where(found < FAINTEST, np.float32(0), np.minimum(found, np.float32(1)))
        return mixed(heatmaps, weights, found, share=self._share)


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
