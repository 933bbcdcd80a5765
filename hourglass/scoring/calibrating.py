"""Calibrations of a model's scores from an evaluation, and how well they hold."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hourglass.core.calibration import (
    Calibration,
    Reliability,
    fit_calibration,
    reliability,
    require_enough,
)
from hourglass.scoring.cut_people import CutPeople
from hourglass.scoring.evaluation import Evaluation


def calibrate(evaluation: Evaluation, cut: Mapping[str, CutPeople]) -> dict[str, Calibration]:
    """A calibration for each way the model was run.

    Every person counts twice, whole and cut: of whole ones alone even the lowest peak is right now
    and then, and a low peak means nothing where a joint is outside the picture.

    Args:
        evaluation: Of people that the model was not trained on, with `calibrated=False`.
        cut: The same people cut, by the same names, not calibrated either.

    Raises:
        ValueError: If there are too few of them.
    """
    return {
        kind: _fitted(evaluation, kind, cut[kind], slice(None)) for kind in evaluation.keypoints
    }


def cross_checked(evaluation: Evaluation, kind: str, cut: CutPeople) -> Reliability:
    """Reliability on each half of the whole people, calibrated by the other half.

    Raises:
        ValueError: If a half has too few people.
    """
    counted, right = evaluation.counted, evaluation.right(kind)
    heights = evaluation.keypoints[kind].scores
    scores = np.zeros_like(heights)
    for half in (0, 1):
        fitted, checked = slice(half, None, 2), slice(1 - half, None, 2)
        scores[checked] = _fitted(evaluation, kind, cut, fitted)(heights[checked])
    return reliability(scores[counted], right[counted])


def _fitted(evaluation: Evaluation, kind: str, cut: CutPeople, people: slice) -> Calibration:
    require_enough(int(evaluation.counted[people].sum()))  # the cut ones are the same people
    heights, right = evaluation.keypoints[kind].scores, evaluation.right(kind)
    return fit_calibration(
        np.concatenate([heights[people], cut.scores[people]]),
        np.concatenate([right[people], cut.right[people]]),
        np.concatenate([evaluation.counted[people], cut.counted[people]]),
        skeleton=evaluation.labels.skeleton,
    )
