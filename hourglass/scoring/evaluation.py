"""How good a model is on labelled people: its keypoints, and their scores by every measure.

The command lines are `hourglass.evaluate`'s and `hourglass.calibrate`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from hourglass.core.calibration import FLIP_TEST, PLAIN, Calibration, Reliability, reliability
from hourglass.core.decoding import Refinement
from hourglass.core.progress import Progress
from hourglass.core.skeleton import MPII, Skeleton
from hourglass.data.people import People, load_people
from hourglass.data.shards import find_shards, read_records
from hourglass.inference.estimator import BATCH_SIZE, PoseEstimator
from hourglass.media.pictures import decode_picture
from hourglass.modelfiles.runtimes import Runtime, load_runtime
from hourglass.scoring.diagnosis import THRESHOLD, head_distances
from hourglass.scoring.pck import GROUPS, HEAD_SIZE_PER_SCALE, Score, pck, pckh, torso_size

COLUMNS = ("PCKh@0.5", "PCKh@0.1", "PCK@0.2")


@dataclass(frozen=True, eq=False)
class Keypoints:
    """What a model found on N people.

    Attributes:
        points: (N, 16, 2) float32, px of the pictures.
        scores: (N, 16) float32 in [0, 1].
    """

    points: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One model on one set of people.

    Attributes:
        model: The model file.
        data: The shards' pattern.
        labels: The people's labels.
        keypoints: By `PLAIN` and, where asked for, `FLIP_TEST`.
        calibrated: Whether scores are calibrated, by the same names.
        scores: By the same names: a `Score` per column of `COLUMNS`.
    """

    model: str
    data: str
    labels: People
    keypoints: dict[str, Keypoints]
    calibrated: dict[str, bool]
    scores: dict[str, dict[str, Score]]

    @property
    def head_size(self) -> np.ndarray:
        """(N,) px."""
        return HEAD_SIZE_PER_SCALE * self.labels.scale

    def right(self, kind: str) -> np.ndarray:
        """(N, 16) bool: keypoints within PCKh@0.5, of `PLAIN` or `FLIP_TEST`."""
        points = self.keypoints[kind].points
        distance = head_distances(points, self.labels.points, head_size=self.head_size)
        return distance <= THRESHOLD

    def reliability(self, kind: str, calibration: Calibration | None = None) -> Reliability:
        """How well scores say how often labelled keypoints are right.

        Args:
            kind: `PLAIN` or `FLIP_TEST`.
            calibration: Applied to the scores first.
        """
        scores, labelled = self.keypoints[kind].scores, self.labels.labelled
        scores = calibration(scores) if calibration else scores
        return reliability(scores[labelled], self.right(kind)[labelled])


def evaluate(
    data: str,
    model: str | Path,
    *,
    flip_test: bool = False,
    refine: Refinement | None = None,
    calibrated: bool = True,
    runtime: Runtime | None = None,
) -> Evaluation:
    """Scores a model as its users meet it: the same crop, network and decoding as `predict`.

    Args:
        data: Glob of the shards, such as `tfrecords/validation*`.
        model: The model file.
        flip_test: Also score with heatmaps averaged over each crop and its mirror image.
        refine: How heatmaps are decoded; default: as the model's configuration says.
        calibrated: Turn peaks into scores by the model's calibration, if it has one.
        runtime: The model, if it is loaded already.

    Raises:
        ValueError: If shards or model are missing or unusable.
    """
    runtime = runtime or load_runtime(model)
    estimators = {
        kind: PoseEstimator(
            runtime, flip_test=kind == FLIP_TEST, refine=refine, calibrated=calibrated
        )
        for kind in ((PLAIN, FLIP_TEST) if flip_test else (PLAIN,))
    }
    people = load_people(data)
    _require_same_joints(runtime.config.skeleton, people.skeleton, model=str(model), data=data)
    found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {kind: [] for kind in estimators}
    with Progress("evaluating", total=len(people), unit="people") as progress:
        for start, pictures in _picture_batches(data):
            chosen = slice(start, start + len(pictures))
            for kind, estimator in estimators.items():
                found[kind].append(
                    estimator.predict_crops(pictures, people.center[chosen], people.scale[chosen])
                )
            progress.advance(len(pictures))
    keypoints = {
        kind: Keypoints(*(np.concatenate(part) for part in zip(*batches, strict=True)))
        for kind, batches in found.items()
    }
    return Evaluation(
        model=str(model),
        data=data,
        labels=people,
        keypoints=keypoints,
        calibrated={kind: estimator.calibrated for kind, estimator in estimators.items()},
        scores={kind: _scores(one.points, people) for kind, one in keypoints.items()},
    )


def _require_same_joints(found: Skeleton, labelled: Skeleton, *, model: str, data: str) -> None:
    if found.joints != labelled.joints:
        raise ValueError(
            f"{model} finds the {len(found.joints)} joints of {found.name!r}, {data} has labels of "
            f"{labelled.name!r} ({len(labelled.joints)} joints): score it on its own joints' labels"
        )


def _picture_batches(data: str) -> Iterator[tuple[int, list[np.ndarray]]]:
    """Index of the first person and pictures of each batch, decoded while the network runs."""
    records = read_records(find_shards(data))

    def next_batch(pool: ThreadPoolExecutor) -> Any:
        return [
            pool.submit(decode_picture, record.encoded, where=record.person.filename)
            for record in islice(records, BATCH_SIZE)
        ]

    start = 0
    with ThreadPoolExecutor() as pool:
        pending = next_batch(pool)
        while pending:
            following = next_batch(pool)
            pictures = [future.result() for future in pending]
            yield start, pictures
            start += len(pictures)
            pending = following


def load_pictures(data: str, people: Sequence[int]) -> list[np.ndarray]:
    """The pictures of some people, by their places in `load_people`'s order.

    Returns:
        One (H, W, 3) uint8 RGB per place, in the order asked for.
    """
    wanted = set(people)
    found: dict[int, np.ndarray] = {}
    for start, pictures in _picture_batches(data):
        found.update(
            (place, picture) for place, picture in enumerate(pictures, start) if place in wanted
        )
    return [found[place] for place in people]


def _scores(points: np.ndarray, people: People) -> dict[str, Score]:
    labels = {"labelled": people.labelled}
    head, torso = HEAD_SIZE_PER_SCALE * people.scale, torso_size(people.points, people.labelled)
    scores = (
        pckh(points, people.points, head_size=head, threshold=0.5, **labels),
        pckh(points, people.points, head_size=head, threshold=0.1, **labels),
        pck(points, people.points, reference=torso, threshold=0.2, **labels),
    )
    return dict(zip(COLUMNS, scores, strict=True))


def format_table(evaluation: Evaluation) -> str:
    """The scores as text: a row per joint group, then both means."""
    names = {PLAIN: "", FLIP_TEST: " flip"}
    titles = [column + names[kind] for kind in evaluation.scores for column in COLUMNS]
    columns = [scores[column] for scores in evaluation.scores.values() for column in COLUMNS]
    rows = [(group, [score.group(group) for score in columns]) for group in GROUPS]
    rows.append(("Mean, pooled", [score.pooled for score in columns]))
    rows.append(("Mean of joints", [score.mean for score in columns]))
    lines = [f"{'':<14}" + "".join(f"{title:>15}" for title in titles)]
    lines += [f"{name:<14}" + "".join(f"{value:>15.2f}" for value in row) for name, row in rows]
    return "\n".join(lines)


def to_dict(evaluation: Evaluation) -> dict[str, Any]:
    """The scores as plain numbers, ready for JSON; a joint that nobody has labelled is null."""

    def known(value: float) -> float | None:
        return None if np.isnan(value) else float(value)

    def plain(score: Score) -> dict[str, Any]:
        joints = zip(MPII.joints, score.per_joint, score.labelled, strict=True)
        return {
            "pooled": known(score.pooled),
            "mean": known(score.mean),
            "groups": {group: known(score.group(group)) for group in GROUPS},
            "joints": {
                name: {"percent": known(value), "labelled": int(count)}
                for name, value, count in joints
            },
        }

    return {
        "model": evaluation.model,
        "data": evaluation.data,
        "people": len(evaluation.labels),
        "calibration_error": {
            kind: known(evaluation.reliability(kind).error) for kind in evaluation.keypoints
        },
        "scores": {
            kind: {column: plain(score) for column, score in scores.items()}
            for kind, scores in evaluation.scores.items()
        },
    }
