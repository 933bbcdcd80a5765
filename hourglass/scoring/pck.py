"""How right a pose is: PCK and PCKh, arrays in and numbers out.

What a skeleton's PCK is measured in, and from which threshold on a keypoint is right, stands here
once, in `MEASURES`. Nothing here knows of files, networks or printing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hourglass.core.errors import InputError
from hourglass.core.geometry import REFERENCE_HEIGHT
from hourglass.core.skeleton import MPII, Skeleton

if TYPE_CHECKING:
    from hourglass.data.people import People

HEAD_SIZE_PER_SCALE = 25.0
"""PCKh's head size, px, for a person of MPII scale 1: on MPII, 0.6 times the head box's diagonal
equals 25 · scale to four digits."""

TORSO_THRESHOLD = 0.2
"""Of the sports sets' PCK, in torso lengths (Yang & Ramanan, PAMI 2013)."""


@dataclass(frozen=True)
class Measure:
    """What a PCK is measured in.

    Attributes:
        name: `"PCKh"` or `"PCK"`.
        unit: What a threshold of 1 is, in words, plural.
        right: Threshold within which a keypoint is right: it chooses the best model, and decides
            what a calibrated score and a kind of error mean.
        strict: The threshold at which an error of half a heatmap cell shows.
        thresholds: The columns of a table of scores.
    """

    name: str
    unit: str
    right: float
    strict: float
    thresholds: tuple[float, ...]

    @property
    def title(self) -> str:
        """The score that chooses the best model, such as `"PCKh@0.5"`."""
        return self.column(self.right)

    def column(self, threshold: float) -> str:
        """The title of the score at a threshold."""
        return f"{self.name}@{threshold:g}"


HEADS = Measure("PCKh", "head sizes", right=0.5, strict=0.1, thresholds=(0.5, 0.1))
TORSOS = Measure("PCK", "torso lengths", right=0.2, strict=0.1, thresholds=(0.05, 0.1, 0.2))
BOXES = Measure("PCK", "box sides", right=0.1, strict=0.05, thresholds=(0.05, 0.1, 0.2))

MEASURES = {"head": HEADS, "torso": TORSOS, "box": BOXES}
"""By a skeleton's `reference`."""


def measure_of(skeleton: Skeleton) -> Measure:
    """What the skeleton's own PCK is measured in."""
    return MEASURES[skeleton.reference]


@dataclass(frozen=True, eq=False)
class Score:
    """Share of joints found, in percent.

    Attributes:
        per_joint: (J,) float64, NaN for a joint that nobody has labelled.
        pooled: Over all joints of all people together, the skeleton's `left_out` left out (HRNet,
            MMPose).
        mean: Plain mean of the joints' own numbers, the same left out (pytorch-pose).
        labelled: (J,) int64, how many people have each joint labelled.
        skeleton: Of the J joints.
    """

    per_joint: np.ndarray
    pooled: float
    mean: float
    labelled: np.ndarray
    skeleton: Skeleton = MPII

    def group(self, title: str) -> float:
        """The mean of the numbers of one of the skeleton's `groups`; NaN if it was not labelled."""
        return _mean(self.per_joint[list(dict(self.skeleton.groups)[title])])


def skeleton_pck(points: np.ndarray, people: People, threshold: float) -> Score:
    """Joints within a share of their skeleton's own reference length.

    Args:
        points: (N, J, 2) px of the people's pictures.
        people: Their labels.
        threshold: In the unit of `measure_of` their skeleton.

    Raises:
        ValueError: If shapes do not fit each other.
    """
    return pck(
        points,
        people.points,
        reference=reference_size(people),
        labelled=people.labelled,
        threshold=threshold,
        skeleton=people.skeleton,
    )


def reference_size(people: People) -> np.ndarray:
    """The length that each person's PCK is measured in, px.

    Returns:
        (N,) float64: the head's size, 25 · scale; the longer side of the box, 200 · scale; or the
        torso's length, NaN where it is not labelled.
    """
    if people.skeleton.reference == "torso":
        return torso_size(people.points, people.labelled, skeleton=people.skeleton)
    per_scale = {"head": HEAD_SIZE_PER_SCALE, "box": REFERENCE_HEIGHT}
    return per_scale[people.skeleton.reference] * np.asarray(people.scale, np.float64)


def table_of_scores(points: np.ndarray, people: People) -> dict[str, Score]:
    """The scores that a table shows, by the titles of their columns.

    On MPII these are PCKh@0.5, PCKh@0.1 and, in torso lengths, PCK@0.2.

    Args:
        points: (N, J, 2) px of the people's pictures.
        people: Their labels.
    """
    skeleton = people.skeleton
    measure = measure_of(skeleton)
    scores = {
        measure.column(threshold): skeleton_pck(points, people, threshold)
        for threshold in measure.thresholds
    }
    if measure is HEADS and skeleton.torso:
        scores[TORSOS.column(TORSO_THRESHOLD)] = pck(
            points,
            people.points,
            reference=torso_size(people.points, people.labelled, skeleton=skeleton),
            labelled=people.labelled,
            threshold=TORSO_THRESHOLD,
            skeleton=skeleton,
        )
    return scores


def pckh(
    predicted: np.ndarray,
    actual: np.ndarray,
    *,
    head_size: np.ndarray,
    labelled: np.ndarray,
    threshold: float = 0.5,
    skeleton: Skeleton = MPII,
) -> Score:
    """Joints within `threshold` head sizes of their label (Andriluka et al., CVPR 2014).

    Args:
        predicted: (N, J, 2) px.
        actual: (N, J, 2) px.
        head_size: (N,) px, 0.6 times the head box's diagonal, or `HEAD_SIZE_PER_SCALE` · scale.
        labelled: (N, J) bool; occluded joints that are labelled count.
        threshold: In head sizes; a distance equal to it counts as found.
        skeleton: Of the J joints.

    Raises:
        ValueError: If shapes do not fit each other, or a head size is not finite and above 0.
    """
    if not np.isfinite(head_size).all():
        raise InputError("every head_size must be a finite number of px")
    return pck(
        predicted,
        actual,
        reference=head_size,
        labelled=labelled,
        threshold=threshold,
        skeleton=skeleton,
    )


def pck(
    predicted: np.ndarray,
    actual: np.ndarray,
    *,
    reference: np.ndarray,
    labelled: np.ndarray,
    threshold: float = TORSO_THRESHOLD,
    skeleton: Skeleton = MPII,
) -> Score:
    """Joints within `threshold` reference lengths of their label (Yang & Ramanan, PAMI 2013).

    Args:
        predicted: (N, J, 2) px.
        actual: (N, J, 2) px.
        reference: (N,) px, such as `torso_size`; people for whom it is NaN are left out.
        labelled: (N, J) bool.
        threshold: In reference lengths; a distance equal to it counts as found.
        skeleton: Of the J joints.

    Raises:
        ValueError: If shapes do not fit each other, or a reference is not above 0.
    """
    predicted, actual = np.asarray(predicted, np.float64), np.asarray(actual, np.float64)
    reference, labelled = np.asarray(reference, np.float64), np.asarray(labelled, bool)
    _check(predicted, actual, reference, labelled, skeleton)
    counted = labelled & np.isfinite(reference)[:, None]
    with np.errstate(invalid="ignore"):
        found = np.linalg.norm(predicted - actual, axis=-1) <= threshold * reference[:, None]
    return _score(found & counted, counted, skeleton)


def torso_size(
    points: np.ndarray, labelled: np.ndarray, *, skeleton: Skeleton = MPII
) -> np.ndarray:
    """PCK's torso, px; on MPII from right shoulder to left hip.

    Args:
        points: (N, J, 2) px.
        labelled: (N, J) bool.
        skeleton: Of the J joints; its `torso` says which two.

    Returns:
        (N,) float64, NaN where either joint is not labelled or both are at one place.

    Raises:
        ValueError: If the skeleton has no torso.
    """
    if skeleton.torso is None:
        raise InputError(f"skeleton {skeleton.name!r} says of no two joints that they are a torso")
    ends = list(skeleton.torso)
    one, other = np.moveaxis(np.asarray(points, np.float64)[:, ends], 1, 0)
    length = np.linalg.norm(one - other, axis=-1)
    usable = np.asarray(labelled, bool)[:, ends].all(axis=1) & (length > 0)
    return np.where(usable, length, np.nan)


def _check(
    predicted: np.ndarray,
    actual: np.ndarray,
    reference: np.ndarray,
    labelled: np.ndarray,
    skeleton: Skeleton,
) -> None:
    people, joints = len(predicted), len(skeleton.joints)
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
            raise InputError(f"{name} has shape {array.shape}, it must be {shape}")
    if (reference <= 0).any():
        person = int(np.argmax(reference <= 0))
        raise InputError(
            f"person {person}: reference length is {reference[person]} px, it must be above 0"
        )


def _score(found: np.ndarray, counted: np.ndarray, skeleton: Skeleton) -> Score:
    labelled = counted.sum(axis=0)
    with np.errstate(invalid="ignore"):
        per_joint = 100.0 * found.sum(axis=0) / labelled
    kept = skeleton.counted
    total = labelled[kept].sum()
    pooled = 100.0 * found[:, kept].sum() / total if total else np.nan
    return Score(
        per_joint=per_joint,
        pooled=float(pooled),
        mean=_mean(per_joint[kept]),
        labelled=labelled,
        skeleton=skeleton,
    )


def _mean(values: np.ndarray) -> float:
    """Mean of the values that are not NaN; NaN if there is none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
