"""How good a model is on labelled people: its keypoints, and their scores by every measure.

The command lines are `hourglass.evaluate`'s and `hourglass.calibrate`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from hourglass.core.calibration import FLIP_TEST, PLAIN, Calibration, Reliability, reliability
from hourglass.core.decoding import Refinement
from hourglass.core.errors import InputError
from hourglass.core.pose import Pose
from hourglass.core.progress import Progress
from hourglass.core.storage import Place
from hourglass.data.people import People, load_people
from hourglass.data.shards import find_ignored, find_shards
from hourglass.inference.estimator import PoseEstimator
from hourglass.modelfiles.runtimes import Runtime, load_runtime
from hourglass.scoring.diagnosis import relative_distances
from hourglass.scoring.oks import (
    Found,
    are_measured,
    average_precision,
    found_as,
    labels_of,
    picture_names,
)
from hourglass.scoring.pck import Measure, Score, measure_of, reference_size, table_of_scores
from hourglass.scoring.pictures import Stored, picture_batches, stored_pictures

NOWHERE = np.inf
"""Both coordinates of the keypoints of a person whom the detector did not find."""


@dataclass(frozen=True, eq=False)
class Keypoints:
    """What a model found on N labelled people.

    Attributes:
        points: (N, J, 2) float32, px of the pictures; `NOWHERE` of a person who was not found.
        scores: (N, J) float32 in [0, 1].
    """

    points: np.ndarray
    scores: np.ndarray

    @property
    def found(self) -> np.ndarray:
        """(N,) bool, who was found at all."""
        return np.isfinite(self.points).all(axis=(1, 2))


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One model on one set of people.

    Attributes:
        model: The model file.
        data: The shards' pattern.
        labels: The people's labels.
        keypoints: By `PLAIN` and, where asked for, `FLIP_TEST`.
        calibrated: Whether scores are calibrated, by the same names.
        scores: By the same names: a `Score` per column of the table.
        oks: By the same names: AP and AR, `hourglass.scoring.oks.MEASURES`; empty where the labels
            have neither areas nor boxes, unless people were looked for.
        detected: How many people the detector found; None: people were where the labels are.
    """

    model: str
    data: str
    labels: People
    keypoints: dict[str, Keypoints]
    calibrated: dict[str, bool]
    scores: dict[str, dict[str, Score]]
    oks: dict[str, dict[str, float]] = field(default_factory=dict)
    detected: int | None = None

    @property
    def measure(self) -> Measure:
        """What the skeleton's PCK is measured in."""
        return measure_of(self.labels.skeleton)

    @property
    def reference(self) -> np.ndarray:
        """(N,) px, a threshold of 1."""
        return reference_size(self.labels)

    @property
    def counted(self) -> np.ndarray:
        """(N, J) bool: labelled keypoints of people whose reference length is known."""
        return self.labels.labelled & np.isfinite(self.reference)[:, None]

    def distances(self, kind: str) -> np.ndarray:
        """(N, J) distances from the labels in reference lengths, of `PLAIN` or `FLIP_TEST`."""
        points = self.keypoints[kind].points
        return relative_distances(points, self.labels.points, reference=self.reference)

    def right(self, kind: str) -> np.ndarray:
        """(N, J) bool: keypoints within the measure's `right`, of `PLAIN` or `FLIP_TEST`."""
        return self.distances(kind) <= self.measure.right

    def reliability(self, kind: str, calibration: Calibration | None = None) -> Reliability:
        """How well scores say how often labelled keypoints are right.

        Args:
            kind: `PLAIN` or `FLIP_TEST`.
            calibration: Applied to the scores first.
        """
        scores, counted = self.keypoints[kind].scores, self.counted
        scores = calibration(scores) if calibration else scores
        return reliability(scores[counted], self.right(kind)[counted])


def evaluate(
    data: str,
    model: str | Place,
    *,
    flip_test: bool = False,
    refine: Refinement | None = None,
    calibrated: bool = True,
    runtime: Runtime | None = None,
    detect: bool = False,
) -> Evaluation:
    """Scores a model as its users meet it: the same crop, network and decoding as `predict`.

    Args:
        data: Glob of the shards, such as `tfrecords/validation*`.
        model: The model file.
        flip_test: Also score with heatmaps averaged over each crop and its mirror image.
        refine: How heatmaps are decoded; default: as the model's configuration says.
        calibrated: Turn peaks into scores by the model's calibration, if it has one.
        runtime: The model, if it is loaded already.
        detect: Look for people with the detector, instead of where the labels are. AP and AR are
            then those of COCO's protocol; PCK is that of whoever is most like each labelled person.

    Raises:
        ValueError: If shards or model are missing or unusable, or of different joints.
    """
    runtime = runtime or load_runtime(model)
    estimators = {
        kind: PoseEstimator(
            runtime, flip_test=kind == FLIP_TEST, refine=refine, calibrated=calibrated
        )
        for kind in ((PLAIN, FLIP_TEST) if flip_test else (PLAIN,))
    }
    people = load_people(data)
    _require_same_joints(runtime, people, model=model, data=data)
    if detect:
        pictures, poses = _detected(data, people, estimators)
        found = {kind: _found(pictures, one, people) for kind, one in poses.items()}
        keypoints = {kind: _matched(found[kind], one, people) for kind, one in poses.items()}
    else:
        keypoints = _at_labels(data, people, estimators)
        found = {kind: _as_found(one, people) for kind, one in keypoints.items()}
    labels = labels_of(people, find_ignored(find_shards(data)))
    sigmas = people.skeleton.oks_sigmas
    return Evaluation(
        model=str(model),
        data=data,
        labels=people,
        keypoints=keypoints,
        calibrated={kind: estimator.calibrated for kind, estimator in estimators.items()},
        scores={kind: table_of_scores(one.points, people) for kind, one in keypoints.items()},
        oks={
            kind: average_precision(one, labels, sigmas=sigmas)
            for kind, one in found.items()
            if detect or are_measured(people)
        },
        detected=len(found[PLAIN].scores) if detect else None,
    )


def _require_same_joints(
    runtime: Runtime, people: People, *, model: str | Place, data: str
) -> None:
    own, other = runtime.config.skeleton, people.skeleton
    if own.joints != other.joints:
        raise InputError(
            f"{model} finds the {len(own.joints)} joints of skeleton {own.name!r}, the people of "
            f"{data} have the {len(other.joints)} of {other.name!r}: a model is scored on labels "
            "of its own joints"
        )


def _at_labels(
    data: str, people: People, estimators: dict[str, PoseEstimator]
) -> dict[str, Keypoints]:
    """What is found in the crops of the labels."""
    found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {kind: [] for kind in estimators}
    with Progress("evaluating", total=len(people), unit="people") as progress:
        for places, pictures in picture_batches(stored_pictures(data)):
            for kind, estimator in estimators.items():
                found[kind].append(
                    estimator.predict_crops(pictures, people.center[places], people.scale[places])
                )
            progress.advance(len(pictures))
    return {
        kind: Keypoints(*(np.concatenate(part) for part in zip(*batches, strict=True)))
        for kind, batches in found.items()
    }


def _as_found(keypoints: Keypoints, people: People) -> Found:
    """Each labelled person as somebody found, scored by the mean of the keypoints' scores."""
    names, scores = picture_names(people), keypoints.scores.mean(axis=1)
    labelled = np.flatnonzero(people.labelled.any(axis=1))
    return Found(
        [names[person] for person in labelled], keypoints.points[labelled], scores[labelled]
    )


def _detected(
    data: str, people: People, estimators: dict[str, PoseEstimator]
) -> tuple[list[str], dict[str, list[Pose]]]:
    """Everyone whom the detector finds, every picture looked at once.

    Returns:
        The pictures' names of M people, and their poses for each way to run the model.

    Raises:
        ValueError: If the shards hold parts of pictures.
    """
    from hourglass.inference.detection import PeopleDetector

    detector, names = PeopleDetector(), picture_names(people)
    seen: list[str] = []
    poses: dict[str, list[Pose]] = {kind: [] for kind in estimators}
    with Progress("evaluating", total=len(set(names)), unit="pictures") as progress:
        for places, pictures in picture_batches(_first_of_each(stored_pictures(data), names)):
            boxes = [(place, box) for place, one in enumerate(pictures) for box in detector(one)]
            seen += [names[places[place]] for place, _ in boxes]
            for kind, estimator in estimators.items():
                images = [pictures[place] for place, _ in boxes]
                poses[kind] += estimator.poses(images, [box for _, box in boxes])
            progress.advance(len(pictures))
    return seen, poses


def _first_of_each(stored: Iterator[Stored], names: Sequence[str]) -> Iterator[Stored]:
    sizes: dict[str, tuple[int, int]] = {}
    for one in stored:
        name = names[one.place]
        if name not in sizes:
            sizes[name] = one.size
            yield one
        elif sizes[name] != one.size:
            raise InputError(
                f"{one.filename}: the shards hold a part of it for each person, and people can be "
                "looked for in whole pictures only: build shards with --store whole"
            )


def _found(pictures: list[str], poses: list[Pose], people: People) -> Found:
    points = np.array([pose.points for pose in poses]).reshape(-1, *people.points.shape[1:])
    return Found(pictures, points, np.array([pose.score for pose in poses]))


def _matched(found: Found, poses: list[Pose], people: People) -> Keypoints:
    """Whoever is most like each labelled person, or nobody."""
    places = found_as(found, labels_of(people), sigmas=people.skeleton.oks_sigmas)
    points = np.full(people.points.shape, NOWHERE, np.float32)
    scores = np.zeros(people.labelled.shape, np.float32)
    for person in np.flatnonzero(places >= 0):
        pose = poses[places[person]]
        points[person], scores[person] = pose.points, pose.scores
    return Keypoints(points, scores)
