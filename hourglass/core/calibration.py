"""Scores that mean something: from a heatmap's peak to how often such a keypoint is right.

A network's peaks rank its keypoints well, but a height of 0.6 is no probability. A `Calibration`,
fitted on people that were not trained on, turns heights into the share of keypoints that are right:
within the threshold that `hourglass.scoring.pck` names for the skeleton, such as PCKh@0.5. Only
numbers live here; the fitting is run by `hourglass.calibrate`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from hourglass.core.errors import InputError
from hourglass.core.skeleton import MPII, Skeleton

PLAIN, FLIP_TEST = "plain", "flip_test"
"""The two ways to run a network: a peak averaged over two crops is lower, and means more."""

KEYPOINTS_PER_KNOT = 100
"""Keypoints of about one height whose share of right ones makes a knot: known to ±0.05."""

BINS = 10
"""Bins of the score, of equal width, in a reliability table."""

DIGITS = 4


@dataclass(frozen=True, eq=False)
class Calibration:
    """A rising line per joint, from peak heights to scores.

    Attributes:
        heights: For each of J joints, K ascending heights in [0, 1]; K differs between joints.
        rates: For each of them, the share of keypoints of that height that are right, never
            falling.

    Raises:
        ValueError: If the lines are not such.
    """

    heights: tuple[np.ndarray, ...]
    rates: tuple[np.ndarray, ...]

    def __post_init__(self) -> None:
        if len(self.heights) != len(self.rates) or not self.heights:
            raise InputError(
                f"a calibration needs a line per joint, got {len(self.heights)} arrays of heights "
                f"and {len(self.rates)} of rates"
            )
        for joint, (heights, rates) in enumerate(zip(self.heights, self.rates, strict=True)):
            if heights.shape != rates.shape or heights.ndim != 1 or not heights.size:
                raise InputError(
                    f"calibration of joint {joint}: heights {heights.shape} and rates "
                    f"{rates.shape} must be as many, at least one"
                )
            inside = all(((line >= 0) & (line <= 1)).all() for line in (heights, rates))
            if not inside or (np.diff(heights) <= 0).any() or (np.diff(rates) < 0).any():
                raise InputError(
                    f"calibration of joint {joint}: heights must ascend, rates must not fall, and "
                    "both must lie in [0, 1]"
                )

    def __call__(self, heights: np.ndarray) -> np.ndarray:
        """Scores (..., J) float32 in [0, 1] of peak heights (..., J).

        Raises:
            ValueError: If there is another number of joints.
        """
        if heights.shape[-1] != len(self.heights):
            raise InputError(
                f"heights {heights.shape} must end in the calibration's {len(self.heights)} joints"
            )
        scores = [
            np.interp(heights[..., joint], *line)
            for joint, line in enumerate(zip(self.heights, self.rates, strict=True))
        ]
        return np.stack(scores, axis=-1).astype(np.float32)


def fit_calibration(
    heights: np.ndarray, right: np.ndarray, labelled: np.ndarray, *, skeleton: Skeleton = MPII
) -> Calibration:
    """Isotonic regression (Zadrozny & Elkan, KDD 2002) over bins of equally many keypoints.

    The two joints of a mirror pair share a line, and a joint that has too few labels for a line of
    its own takes that of all joints together.

    Args:
        heights: (N, J) peaks of people that were not trained on.
        right: (N, J) bool, within the threshold.
        labelled: (N, J) bool, which keypoints have a label to be right about.
        skeleton: Of the J joints.

    Raises:
        ValueError: If fewer than `KEYPOINTS_PER_KNOT` keypoints are labelled.
    """
    require_enough(int(labelled.sum()))
    common = _line(heights[labelled], right[labelled])
    lines = [common] * len(skeleton.joints)
    partners = {joint: pair for pair in skeleton.mirror_pairs for joint in pair}
    for joint in range(len(lines)):
        joints = list(partners.get(joint, (joint,)))
        known = labelled[:, joints]
        if known.sum() >= KEYPOINTS_PER_KNOT:
            lines[joint] = _line(heights[:, joints][known], right[:, joints][known])
    return Calibration(*(tuple(part) for part in zip(*lines, strict=True)))


def require_enough(count: int) -> None:
    """Refuses to calibrate by fewer than `KEYPOINTS_PER_KNOT` labelled keypoints.

    Raises:
        InputError: If there are fewer.
    """
    if count < KEYPOINTS_PER_KNOT:
        raise InputError(
            f"{count} labelled keypoints are too few to calibrate scores, at least "
            f"{KEYPOINTS_PER_KNOT} are needed"
        )


def _line(heights: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Knots (K,) of the line through keypoints (M,): mean heights and rising shares of right."""
    from scipy.optimize import isotonic_regression

    heights = np.asarray(heights, float)
    order = np.argsort(heights, kind="stable")
    bins = np.array_split(order, max(1, len(order) // KEYPOINTS_PER_KNOT))
    middle = np.round([heights[chosen].mean() for chosen in bins], DIGITS)
    shares = np.array([right[chosen].mean() for chosen in bins])
    sizes = np.array([len(chosen) for chosen in bins], float)
    middle, position = np.unique(middle, return_inverse=True)
    weights = np.bincount(position, weights=sizes)
    shares = np.bincount(position, weights=sizes * shares) / weights
    rising = isotonic_regression(shares, weights=weights).x
    return np.clip(middle, 0.0, 1.0), np.clip(np.round(rising, DIGITS), 0.0, 1.0)


@dataclass(frozen=True, eq=False)
class Reliability:
    """How well scores say how often keypoints are right, by bins of the score.

    Attributes:
        score: (B,) mean score, NaN in an empty bin.
        share: (B,) share of right keypoints, NaN in an empty bin.
        count: (B,) int64, keypoints.
    """

    score: np.ndarray
    share: np.ndarray
    count: np.ndarray

    @property
    def error(self) -> float:
        """Expected calibration error (Naeini et al., AAAI 2015) in [0, 1]; NaN of no keypoints."""
        filled = self.count > 0
        if not filled.any():
            return float("nan")
        gaps = abs(self.score - self.share)[filled]
        return float(np.average(gaps, weights=self.count[filled]))


def reliability(scores: np.ndarray, right: np.ndarray) -> Reliability:
    """Compares scores with what they promise.

    Args:
        scores: (M,) of labelled keypoints, in [0, 1].
        right: (M,) bool.
    """
    bins = np.minimum((scores * BINS).astype(int), BINS - 1)
    count = np.bincount(bins, minlength=BINS)
    with np.errstate(invalid="ignore"):
        score = np.bincount(bins, weights=scores, minlength=BINS) / count
        share = np.bincount(bins, weights=right, minlength=BINS) / count
    return Reliability(score, share, count)


def to_json(calibrations: dict[str, Calibration]) -> str:
    """Calibrations by the way a network is run, `PLAIN` or `FLIP_TEST`, as JSON text."""
    return json.dumps(
        {
            name: {
                "heights": [line.tolist() for line in calibration.heights],
                "rates": [line.tolist() for line in calibration.rates],
            }
            for name, calibration in calibrations.items()
        }
    )


DAMAGED = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)
"""What JSON that is no calibration raises."""


def from_json(text: str, *, where: str) -> dict[str, Calibration]:
    """What `to_json` wrote.

    Raises:
        ValueError: If it is not that; names `where`.
    """
    try:
        return {name: _from_lists(lines) for name, lines in json.loads(text).items()}
    except DAMAGED as error:
        raise InputError(f"{where}: not a calibration of scores ({error})") from error


def _from_lists(lines: dict[str, Any]) -> Calibration:
    heights, rates = (
        tuple(np.array(line, float) for line in lines[name]) for name in ("heights", "rates")
    )
    return Calibration(heights, rates)
