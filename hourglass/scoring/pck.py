"""How right a pose is: PCK and PCKh, arrays in and numbers out.

Nothing here knows of files, networks or printing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hourglass.core.skeleton import MPII

HEAD_SIZE_PER_SCALE = 25.0
"""PCKh's head size, px, for a person of MPII scale 1: on MPII, 0.6 times the head box's diagonal
equals 25 · scale to four digits."""

LEFT_OUT = tuple(MPII.index(name) for name in ("pelvis", "thorax"))
"""Joints that no mean counts: MPII's protocol."""

GROUPS: dict[str, tuple[int, ...]] = {
    title: tuple(MPII.index(name) for name in names)
    for title, names in {
        "Head": ("head_top",),
        "Neck": ("upper_neck",),
        "Shoulder": ("right_shoulder", "left_shoulder"),
        "Elbow": ("right_elbow", "left_elbow"),
        "Wrist": ("right_wrist", "left_wrist"),
        "Hip": ("right_hip", "left_hip"),
        "Knee": ("right_knee", "left_knee"),
        "Ankle": ("right_ankle", "left_ankle"),
    }.items()
}
"""The joint groups of a PCKh table."""


@dataclass(frozen=True, eq=False)
class Score:
    """Share of joints found, in percent.

    Attributes:
        per_joint: (16,) float64, NaN for a joint that nobody has labelled.
        pooled: Over all joints of all people together, pelvis and thorax left out (HRNet, MMPose).
        mean: Plain mean of the joints' own numbers, pelvis and thorax left out (pytorch-pose).
        labelled: (16,) int64, how many people have each joint labelled.
    """

    per_joint: np.ndarray
    pooled: float
    mean: float
    labelled: np.ndarray

    def group(self, name: str) -> float:
        """The mean of a joint group's numbers, one of `GROUPS`; NaN if it was never labelled."""
        return _mean(self.per_joint[list(GROUPS[name])])


def pckh(
    predicted: np.ndarray,
    actual: np.ndarray,
    *,
    head_size: np.ndarray,
    labelled: np.ndarray,
    threshold: float = 0.5,
) -> Score:
    """Joints within `threshold` head sizes of their label (Andriluka et al., CVPR 2014).

    Args:
        predicted: (N, 16, 2) px.
        actual: (N, 16, 2) px.
        head_size: (N,) px, 0.6 times the head box's diagonal, or `HEAD_SIZE_PER_SCALE` · scale.
        labelled: (N, 16) bool; occluded joints that are labelled count.
        threshold: In head sizes; a distance equal to it counts as found.

    Raises:
        ValueError: If shapes do not fit each other, or a head size is not finite and above 0.
    """
    if not np.isfinite(head_size).all():
        raise ValueError("every head_size must be a finite number of px")
    return pck(predicted, actual, reference=head_size, labelled=labelled, threshold=threshold)


def pck(
    predicted: np.ndarray,
    actual: np.ndarray,
    *,
    reference: np.ndarray,
    labelled: np.ndarray,
    threshold: float = 0.2,
) -> Score:
    """Joints within `threshold` reference lengths of their label (Yang & Ramanan, PAMI 2013).

    Args:
        predicted: (N, 16, 2) px.
        actual: (N, 16, 2) px.
        reference: (N,) px, such as `torso_size`; people for whom it is NaN are left out.
        labelled: (N, 16) bool.
        threshold: In reference lengths; a distance equal to it counts as found.

    Raises:
        ValueError: If shapes do not fit each other, or a reference is not above 0.
    """
    predicted, actual = np.asarray(predicted, np.float64), np.asarray(actual, np.float64)
    reference, labelled = np.asarray(reference, np.float64), np.asarray(labelled, bool)
    _check(predicted, actual, reference, labelled)
    counted = labelled & np.isfinite(reference)[:, None]
    with np.errstate(invalid="ignore"):
        found = np.linalg.norm(predicted - actual, axis=-1) <= threshold * reference[:, None]
    return _score(found & counted, counted)


def torso_size(points: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """PCK's torso, right shoulder to left hip, px.

    Args:
        points: (N, 16, 2) px.
        labelled: (N, 16) bool.

    Returns:
        (N,) float64, NaN where either joint is not labelled or both are at one place.
    """
    ends = [MPII.index("right_shoulder"), MPII.index("left_hip")]
    shoulder, hip = np.moveaxis(np.asarray(points, np.float64)[:, ends], 1, 0)
    length = np.linalg.norm(shoulder - hip, axis=-1)
    usable = np.asarray(labelled, bool)[:, ends].all(axis=1) & (length > 0)
    return np.where(usable, length, np.nan)


def _check(
    predicted: np.ndarray, actual: np.ndarray, reference: np.ndarray, labelled: np.ndarray
) -> None:
    people, joints = len(predicted), len(MPII.joints)
    expected: dict[str, tuple[int, ...]] = {
        "predicted": (people, joints, 2),
        "actual": (people, joints, 2),
        "reference length": (people,),
        "labelled": (people, joints),
    }
    for (name, shape), array in zip(
        expected.items(), (predicted, actual, reference, labelled), strict=True
    ):
        if array.shape != shape:
            raise ValueError(f"{name} has shape {array.shape}, it must be {shape}")
    if (reference <= 0).any():
        person = int(np.argmax(reference <= 0))
        raise ValueError(
            f"person {person}: reference length is {reference[person]} px, it must be above 0"
        )


def _score(found: np.ndarray, counted: np.ndarray) -> Score:
    labelled = counted.sum(axis=0)
    with np.errstate(invalid="ignore"):
        per_joint = 100.0 * found.sum(axis=0) / labelled
    kept = np.delete(np.arange(found.shape[1]), LEFT_OUT)
    total = labelled[kept].sum()
    pooled = 100.0 * found[:, kept].sum() / total if total else np.nan
    return Score(
        per_joint=per_joint, pooled=float(pooled), mean=_mean(per_joint[kept]), labelled=labelled
    )


def _mean(values: np.ndarray) -> float:
    """Mean of the values that are not NaN; NaN if there is none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
