"""A model as a teacher: labels for pictures that have none, and how far they can be trusted.

A joint counts where the model finds it at the same place in several views of a person: as they
are, mirrored, smaller and larger (data distillation, Radosavovic et al., CVPR 2018). What comes of
it are entries of MPII's JSON layout, from which another model can learn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hourglass.core.errors import InputError
from hourglass.core.geometry import box_to_crop
from hourglass.core.pose import Box, Pose
from hourglass.core.skeleton import MPII, Skeleton
from hourglass.core.storage import Place
from hourglass.inference.estimator import PoseEstimator
from hourglass.inference.pipeline import Locate
from hourglass.media.pictures import read_picture

ZOOMS = (0.85, 1.0, 1.2)
"""Sides of the views' crops, as shares of the person's own."""

HEAD_SIZE_PER_SCALE = 25.0
"""Px: MPII's head size of a person of scale 1."""

FIRST_PIXEL, CENTER_SHIFT, MISSING = 1.0, 15.0, -1.0
"""MPII numbers pixels from 1, puts `center` so many px times `scale` above the middle, and writes
the last where a joint has no label."""


@dataclass(frozen=True, eq=False)
class Taught:
    """A person that a model labelled.

    Attributes:
        points: (16, 2) float64, px of the picture, MPII's joints.
        disagreement: (16,) head sizes from the joint to the view that puts it farthest away; NaN
            where the model does not find it.
        center: (2,) px, the crop's centre.
        scale: MPII scale of the crop.
    """

    points: np.ndarray
    disagreement: np.ndarray
    center: np.ndarray
    scale: float


def teach(picture: np.ndarray, boxes: Sequence[Box], estimator: PoseEstimator) -> list[Taught]:
    """Labels the people of a picture.

    Args:
        picture: (H, W, 3) uint8 RGB.
        boxes: Their boxes (x, y, width, height) px.
        estimator: The teacher, of any skeleton: MPII's joints are made of its own by name.

    Returns:
        One for each box.
    """
    if not boxes:
        return []
    crops = [box_to_crop(box) for box in boxes]
    centers, scales = np.array([one for one, _ in crops]), np.array([one for _, one in crops])
    views = [
        view
        for zoom in ZOOMS
        for view in (
            _as_it_is(picture, centers, scales * zoom, estimator),
            *([_mirrored(picture, centers, scales * zoom, estimator)] * estimator.skeleton.mirrors),
        )
    ]
    points, scores = (np.stack(part) for part in zip(*views, strict=True))
    middle = np.median(points, axis=0)
    away = np.linalg.norm(points - middle, axis=-1).max(axis=0)
    disagreement = away / (HEAD_SIZE_PER_SCALE * scales[:, None])
    height, width = picture.shape[:2]
    inside = ((middle >= -0.5) & (middle < [width - 0.5, height - 0.5])).all(axis=-1)
    known = inside & (scores > 0).all(axis=0)
    rows = zip(middle, np.where(known, disagreement, np.nan), centers, scales.tolist(), strict=True)
    return [Taught(*row) for row in rows]


def _as_it_is(
    picture: np.ndarray, centers: np.ndarray, scales: np.ndarray, estimator: PoseEstimator
) -> tuple[np.ndarray, np.ndarray]:
    """MPII's joints (N, 16, 2) px, and scores (N, 16), of crops of a picture."""
    points, scores = estimator.predict_crops([picture] * len(scales), centers, scales)
    poses = [
        Pose(points=points[one], scores=scores[one], skeleton=estimator.skeleton, box=(0, 0, 1, 1))
        for one in range(len(scales))
    ]
    found = [pose.to(MPII) for pose in poses]
    return np.stack([one.points for one in found]), np.stack([one.scores for one in found])


def _mirrored(
    picture: np.ndarray, centers: np.ndarray, scales: np.ndarray, estimator: PoseEstimator
) -> tuple[np.ndarray, np.ndarray]:
    """The same, found in the mirror and brought back."""
    last = picture.shape[1] - 1
    seen = np.ascontiguousarray(picture[:, ::-1])
    points, scores = _as_it_is(seen, [last, 0] + centers * [-1, 1], scales, estimator)
    points = [last, 0] + points * [-1, 1]
    return points[:, MPII.flip_order], scores[:, MPII.flip_order]


def require_joints(skeleton: Skeleton, *, fewest: int, model: Place) -> None:
    """Refuses a teacher that could never label a person.

    Args:
        skeleton: The teacher's.
        fewest: Joints of MPII's that a person must have.
        model: The teacher's file, for the message.

    Raises:
        ValueError: If the teacher knows less joints of MPII's, by their names.
    """
    joints = len(skeleton.joints)
    pose = Pose(np.zeros((joints, 2)), np.ones(joints), skeleton, box=(0, 0, 1, 1))
    known = int((pose.to(MPII).scores > 0).sum())
    if known < fewest:
        raise InputError(
            f"{model}: its skeleton {skeleton.name!r} has {known} of MPII's 16 joints, by their "
            f"names, and {fewest} are needed (--fewest)"
        )


def to_entry(taught: Taught, *, image: str, source: str, most: float) -> dict[str, Any]:
    """A person as an entry of MPII's JSON layout.

    Args:
        taught: The person.
        image: The picture's name below the pictures' folder.
        source: Whose labels they are.
        most: Largest disagreement, head sizes, of a joint that counts.

    Returns:
        Besides the layout's fields `label_source`, and `disagreement` of each joint that counts.
    """
    counts = np.nan_to_num(taught.disagreement, nan=np.inf) <= most
    x, y = taught.center + FIRST_PIXEL - [0, CENTER_SHIFT * taught.scale]
    return {
        "image": image,
        "joints": [
            [round(float(value) + FIRST_PIXEL, 2) for value in point] if good else [MISSING] * 2
            for point, good in zip(taught.points, counts, strict=True)
        ],
        "joints_vis": counts.astype(int).tolist(),
        "center": [round(float(x), 2), round(float(y), 2)],
        "scale": round(taught.scale, 5),
        "label_source": source,
        "disagreement": [
            round(float(value), 3) if good else None
            for value, good in zip(taught.disagreement, counts, strict=True)
        ],
    }


def label_pictures(
    paths: Sequence[Path],
    estimator: PoseEstimator,
    locate: Locate,
    *,
    folder: Path,
    source: str,
    most: float,
    fewest: int,
) -> Iterator[list[dict[str, Any]] | InputError]:
    """Labels the people of many pictures, one picture after the other.

    Args:
        paths: The pictures.
        estimator: The teacher.
        locate: Says where people are.
        folder: What the entries' names are below.
        source: Whose labels they are.
        most: As `to_entry`'s.
        fewest: Joints that count, of a person that is kept.

    Yields:
        A picture's entries, or why it has none.
    """
    for path in paths:
        try:
            picture = read_picture(path)
            people = teach(picture, locate(picture, path), estimator)
        except InputError as error:
            yield error
            continue
        name = path.relative_to(folder).as_posix()
        entries = [to_entry(one, image=name, source=source, most=most) for one in people]
        yield [entry for entry in entries if sum(entry["joints_vis"]) >= fewest]
