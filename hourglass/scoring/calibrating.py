"""Calibrations of a model's scores from an evaluation, and how well they hold."""

from __future__ import annotations

import numpy as np

from hourglass.core.calibration import Calibration, Reliability, fit_calibration, reliability
from hourglass.scoring.evaluation import Evaluation


def calibrate(evaluation: Evaluation) -> dict[str, Calibration]:
    """A calibration for each way the model was run.

    Args:
        evaluation: Of people that the model was not trained on, with `calibrated=False`.

    Raises:
        ValueError: If there are too few of them.
    """
    counted, skeleton = evaluation.counted, evaluation.labels.skeleton
    return {
        kind: fit_calibration(keypoints.scores, evaluation.right(kind), counted, skeleton=skeleton)
        for kind, keypoints in evaluation.keypoints.items()
    }


def cross_checked(evaluation: Evaluation, kind: str) -> Reliability:
    """Reliability on each half of the people, calibrated by the other half.

    Raises:
        ValueError: If a half has too few people.
    """
    counted, right = evaluation.counted, evaluation.right(kind)
    heights = evaluation.keypoints[kind].scores
    scores = np.zeros_like(heights)
    for half in (0, 1):
        fitted, checked = slice(half, None, 2), slice(1 - half, None, 2)
        calibration = fit_calibration(
            heights[fitted], right[fitted], counted[fitted], skeleton=evaluation.labels.skeleton
        )
        scores[checked] = calibration(heights[checked])
    return reliability(scores[counted], right[counted])
