"""How right poses are by COCO's protocol: object keypoint similarity, and AP and AR over it.

The counting is pycocotools' own; here are its arrays, and which labelled person was found as whom.
Lin et al., "Microsoft COCO: Common Objects in Context" (ECCV 2014), and cocodataset.org.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hourglass.core.errors import InputError
from hourglass.core.person import IgnoredArea

if TYPE_CHECKING:
    from hourglass.data.people import People

MEASURES = ("AP", "AP50", "AP75", "APm", "APl", "AR", "AR50", "AR75", "ARm", "ARl")
"""In pycocotools' order: over OKS 0.5 to 0.95, at 0.5, at 0.75, of medium people (32² to 96² px²)
and of large ones; then the same of recall."""

BODY_SHARE = 0.53
"""Share of its box that a person covers, where no label gives the area: CrowdPose's and MMPose's
number."""

CATEGORY = 1
NOBODY = -1.0
"""What pycocotools gives where there is nobody to score."""


@dataclass(frozen=True, eq=False)
class Labels:
    """N labelled people, and the pictures that they are in.

    Attributes:
        pictures: N names.
        points: (N, J, 2) px.
        labelled: (N, J) bool. A person without any label is neither missed nor wrongly found.
        areas: (N,) px², of the segments where there are any; above 0.
        boxes: (N, 4) x, y, width and height px; None: around the labelled joints. They matter only
            for people without any label.
        crowd: (N,) bool, labels of a group that may be found any number of times; None: no one's.
    """

    pictures: Sequence[str]
    points: np.ndarray
    labelled: np.ndarray
    areas: np.ndarray
    boxes: np.ndarray | None = None
    crowd: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Found:
    """M people that were found.

    Attributes:
        pictures: M names, as those of `Labels`; others are pictures without anybody.
        points: (M, J, 2) px.
        scores: (M,), the surest person highest.
    """

    pictures: Sequence[str]
    points: np.ndarray
    scores: np.ndarray


def average_precision(found: Found, labels: Labels, *, sigmas: np.ndarray) -> dict[str, float]:
    """AP and AR over object keypoint similarities.

    Of a picture the 20 surest people count.

    Args:
        found: Who was found.
        labels: Who is there.
        sigmas: (J,) standard deviation of each joint's labels, in square roots of areas: a
            skeleton's `oks_sigmas`.

    Returns:
        Percent by `MEASURES`; NaN where there is nobody to score, such as large people.

    Raises:
        ValueError: If shapes do not fit each other, or an area or score is not finite.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    sigmas = np.asarray(sigmas, np.float64)
    _check(found, labels, sigmas)
    names = sorted({*labels.pictures, *found.pictures})
    numbers = {name: number for number, name in enumerate(names, start=1)}
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools tells its steps
        truth, results = COCO(), COCO()
        for coco, annotations in (
            (truth, _label_entries(labels, numbers)),
            (results, _found_entries(found, numbers)),
        ):
            coco.dataset = {
                "images": [{"id": number} for number in numbers.values()],
                "categories": [{"id": CATEGORY}],
                "annotations": annotations,
            }
            coco.createIndex()
        evaluation = COCOeval(truth, results, "keypoints")
        evaluation.params.kpt_oks_sigmas = sigmas
        if names:
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
    stats = evaluation.stats if names else [NOBODY] * len(MEASURES)
    return {
        name: float("nan") if value == NOBODY else 100.0 * float(value)
        for name, value in zip(MEASURES, stats, strict=True)
    }


def _check(found: Found, labels: Labels, sigmas: np.ndarray) -> None:
    people, others, joints = len(labels.pictures), len(found.pictures), len(sigmas)
    shapes: list[tuple[str, Any, tuple[int, ...]]] = [
        ("labels' points", labels.points, (people, joints, 2)),
        ("labelled", labels.labelled, (people, joints)),
        ("areas", labels.areas, (people,)),
        ("found points", found.points, (others, joints, 2)),
        ("scores", found.scores, (others,)),
    ]
    if labels.boxes is not None:
        shapes.append(("boxes", labels.boxes, (people, 4)))
    if labels.crowd is not None:
        shapes.append(("crowd", labels.crowd, (people,)))
    for name, array, shape in shapes:
        if np.shape(array) != shape:
            raise InputError(f"{name}: shape is {np.shape(array)}, it must be {shape}")
    if not np.isfinite(found.scores).all():
        raise InputError("scores: every one must be a finite number")
    good = np.isfinite(labels.areas) & (np.asarray(labels.areas) > 0)
    if not good.all():
        person = int(np.argmin(good))
        raise InputError(
            f"areas: person {person} of picture {labels.pictures[person]} has "
            f"{labels.areas[person]} px², it must be above 0"
        )


def _label_entries(labels: Labels, numbers: dict[str, int]) -> list[dict[str, Any]]:
    """COCO's annotations; numbered from 1, because pycocotools takes number 0 for nobody."""
    labelled = np.asarray(labels.labelled, bool)
    entries = []
    for person, picture in enumerate(labels.pictures):
        known = labelled[person]
        points = np.where(known[:, None], labels.points[person], 0.0)
        if labels.boxes is not None:
            box = np.asarray(labels.boxes[person], np.float64)
        else:
            box = _box_around(points[known]) if known.any() else np.zeros(4)
        entries.append(
            {
                "id": person + 1,
                "image_id": numbers[picture],
                "category_id": CATEGORY,
                "keypoints": np.column_stack([points, 2 * known]).ravel(),
                "num_keypoints": int(known.sum()),
                "area": float(labels.areas[person]),
                "bbox": box,
                "iscrowd": 0 if labels.crowd is None else int(labels.crowd[person]),
            }
        )
    return entries


def _found_entries(found: Found, numbers: dict[str, int]) -> list[dict[str, Any]]:
    """COCO's results; as pycocotools, the area of a found person is that around the joints."""
    entries = []
    for person, picture in enumerate(found.pictures):
        points = np.asarray(found.points[person], np.float64)
        box = _box_around(points)
        entries.append(
            {
                "id": person + 1,
                "image_id": numbers[picture],
                "category_id": CATEGORY,
                "keypoints": np.column_stack([points, np.ones(len(points))]).ravel(),
                "score": float(found.scores[person]),
                "bbox": box,
                "area": float(box[2] * box[3]),
            }
        )
    return entries


def _box_around(points: np.ndarray) -> np.ndarray:
    low, high = points.min(axis=0), points.max(axis=0)
    return np.concatenate([low, high - low])


def similarities(
    points: np.ndarray,
    actual: np.ndarray,
    *,
    labelled: np.ndarray,
    areas: np.ndarray,
    sigmas: np.ndarray,
) -> np.ndarray:
    """Object keypoint similarity of each found person to each labelled one.

    Args:
        points: (M, J, 2) px, found.
        actual: (N, J, 2) px, labelled.
        labelled: (N, J) bool.
        areas: (N,) px².
        sigmas: (J,).

    Returns:
        (M, N) float64 in [0, 1]; 0 for a person without any label.
    """
    away = np.asarray(points, np.float64)[:, None] - np.asarray(actual, np.float64)[None]
    spread = (2 * np.asarray(sigmas)) ** 2 * (np.asarray(areas)[:, None] + np.spacing(1))
    alike = np.exp(-(away**2).sum(axis=-1) / spread / 2)
    known = np.asarray(labelled, bool)
    total = np.where(known, alike, 0.0).sum(axis=-1)
    return total / np.maximum(known.sum(axis=-1), 1)


def found_as(found: Found, labels: Labels, *, sigmas: np.ndarray) -> np.ndarray:
    """Which found person each labelled one is: the pairing of the highest sum of similarities.

    Args:
        found: Who was found.
        labels: Who is there.
        sigmas: (J,).

    Returns:
        (N,) int, places in `found`, nobody's twice; -1 where nobody was found.
    """
    from scipy.optimize import linear_sum_assignment

    places = np.full(len(labels.pictures), -1)
    there, seen = _by_picture(labels.pictures), _by_picture(found.pictures)
    for picture in there.keys() & seen.keys():
        people, others = there[picture], seen[picture]
        alike = similarities(
            found.points[others],
            labels.points[people],
            labelled=labels.labelled[people],
            areas=labels.areas[people],
            sigmas=sigmas,
        )
        for other, person in zip(*linear_sum_assignment(alike, maximize=True), strict=True):
            if alike[other, person] > 0:
                places[people[person]] = others[other]
    return places


def _by_picture(pictures: Sequence[str]) -> dict[str, list[int]]:
    places: dict[str, list[int]] = {}
    for place, picture in enumerate(pictures):
        places.setdefault(picture, []).append(place)
    return places


def labels_of(people: People, ignored: Iterable[IgnoredArea] = ()) -> Labels:
    """The labels of shards, as COCO's protocol needs them.

    A person or an area whose label has no area gets `BODY_SHARE` of the box.

    Args:
        people: Who is there.
        ignored: Areas of the same pictures in which nobody counts; they come last.
    """
    areas, joints = list(ignored), people.points.shape[1]
    boxes = np.concatenate(
        [people.box, np.array([one.box for one in areas]).reshape(-1, 4)], dtype=np.float64
    )
    annotated = np.concatenate(
        [np.where(has_area(people), people.area, np.nan), [one.area or np.nan for one in areas]]
    )
    shares = BODY_SHARE * boxes[:, 2] * boxes[:, 3]
    return Labels(
        pictures=[*picture_names(people), *(_picture_name("", one.filename) for one in areas)],
        points=np.concatenate([people.points, np.zeros((len(areas), joints, 2))]),
        labelled=np.concatenate([people.labelled, np.zeros((len(areas), joints), bool)]),
        areas=np.where(np.isnan(annotated), shares, annotated),
        boxes=boxes,
        crowd=np.array([False] * len(people.points) + [one.crowd for one in areas], bool),
    )


def has_area(people: People) -> np.ndarray:
    """Whose label gives an area, (N,) bool."""
    return np.isfinite(people.area) & (np.nan_to_num(people.area) > 0)


def are_measured(people: People) -> bool:
    """Whether any label gives an area or a box; where none does, all boxes are squares."""
    return bool((has_area(people) | (people.box[:, 2] != people.box[:, 3])).any())


def picture_names(people: People) -> list[str]:
    """A name for each person's picture: two sources may have pictures of one name."""
    return list(map(_picture_name, people.source, people.filename))


def _picture_name(source: str, filename: str) -> str:
    return f"{source}/{filename}"
