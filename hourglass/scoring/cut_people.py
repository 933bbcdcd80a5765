"""People of whom a picture shows the upper part only, as a webcam does: made of whole ones.

Whatever a model finds for a joint far below the end of the picture is invented: its score should
say so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hourglass.core.progress import Progress
from hourglass.data.augment import CUT, half_body
from hourglass.data.people import People, load_people
from hourglass.inference.estimator import PoseEstimator
from hourglass.modelfiles.runtimes import Runtime
from hourglass.scoring.diagnosis import relative_distances
from hourglass.scoring.pck import measure_of, reference_size
from hourglass.scoring.pictures import picture_batches, stored_pictures

SHARES = 8
"""Places between `CUT`'s ends where people are cut in turn."""


@dataclass(frozen=True, eq=False)
class CutPeople:
    """What a model found on N people of whom most are cut.

    Attributes:
        scores: (N, J) float32 in [0, 1].
        right: (N, J) bool, within the measure's `right`.
        inside: (N, J) bool, labelled joints that a cut person's picture still shows.
        outside: (N, J) bool, those so far below its end that nothing in it is right.
    """

    scores: np.ndarray
    right: np.ndarray
    inside: np.ndarray
    outside: np.ndarray

    @property
    def counted(self) -> np.ndarray:
        """(N, J) bool, joints inside and outside; those just below the end are neither."""
        return self.inside | self.outside


def regular_cuts(people: People) -> np.ndarray:
    """(N,) shares of their height, from `augment.CUT`'s one end to the other in turn."""
    return np.resize(np.linspace(*CUT, SHARES), len(people))


def cuts_at(people: People, joints: tuple[str, str]) -> np.ndarray:
    """(N,) shares of their height at which a picture ends in the middle of two joints.

    Args:
        people: Their labels.
        joints: Names, such as both hips. Who lacks a label of one is not cut: 1.
    """
    numbers = [people.skeleton.joints.index(name) for name in joints]
    known = people.labelled[:, numbers].all(axis=1)
    y = people.points[..., 1]
    top = y.min(axis=1, where=people.labelled, initial=np.inf)
    height = y.max(axis=1, where=people.labelled, initial=-np.inf) - top
    share = np.ones(len(people))
    below_top = y[:, numbers].mean(axis=1) - top
    return np.divide(below_top, height, out=share, where=known & (height > 0))


def find_cut_people(
    data: str, runtime: Runtime, *, shares: np.ndarray, flip_test: bool = False, calibrated: bool
) -> CutPeople:
    """Ends people's pictures, frames what is left of them, and looks for all their joints.

    Args:
        data: Glob of the shards.
        runtime: The model.
        shares: (N,) where each picture ends, as of `augment.half_body`.
        flip_test: Average heatmaps over each crop and its mirror image.
        calibrated: Turn peaks into scores by the model's calibration, if it has one.

    Raises:
        ValueError: If shards are missing or damaged.
    """
    estimator = PoseEstimator(runtime, flip_test=flip_test, calibrated=calibrated)
    people = load_people(data)
    points, scores = np.zeros_like(people.points), np.zeros(people.labelled.shape, np.float32)
    heights = np.zeros(len(people), np.int64)
    center, scale = people.center.copy(), people.scale.copy()
    cut = np.zeros(len(people), bool)
    with Progress("looking at cut people", total=len(people), unit="people") as progress:
        for places, pictures in picture_batches(stored_pictures(data)):
            whole = np.array([len(picture) for picture in pictures])
            center[places], scale[places], _, heights[places] = half_body(
                people.center[places],
                people.scale[places],
                people.points[places],
                people.labelled[places],
                whole,
                share=shares[places],
            )
            cut[places] = heights[places] < whole
            left = [
                picture[: heights[place]] for place, picture in zip(places, pictures, strict=True)
            ]
            points[places], scores[places] = estimator.predict_crops(
                left, center[places], scale[places]
            )
            progress.advance(len(pictures))
    return _judged(people, cut, heights, points, scores)


def _judged(
    people: People, cut: np.ndarray, heights: np.ndarray, points: np.ndarray, scores: np.ndarray
) -> CutPeople:
    reference, near = reference_size(people), measure_of(people.skeleton).right
    counted = people.labelled & np.isfinite(reference)[:, None]
    distances = relative_distances(points, people.points, reference=reference)
    below = (people.points[..., 1] - (heights[:, None] - 1)) / reference[:, None]
    counted &= cut[:, None]
    return CutPeople(scores, distances <= near, counted & (below <= 0), counted & (below > near))
