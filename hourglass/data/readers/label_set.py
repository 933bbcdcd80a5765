"""What a reader of labels found: a skeleton, its people in their splits, and what was odd.

Every reader makes one; here they are split, joined, and left without those who cannot be used.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from hourglass.core.errors import InputError
from hourglass.core.geometry import box_to_crop
from hourglass.core.person import NOT_LABELLED, UNLABELLED_POINT, IgnoredArea, Person
from hourglass.core.pose import Box
from hourglass.core.skeleton import SKELETONS, Skeleton
from hourglass.media.pictures import save_picture
from hourglass.media.targets import make_folder

WHOLE = "all"
"""The split of a file that says nothing of training and validation."""

LARGEST = 1e6
"""No picture has as many px a side; larger numbers would not survive float32."""

POINTS_MARGIN = 1.25
"""Longer side of a box made from labelled points, over theirs: joints lie inside of a body."""


@dataclass(frozen=True)
class Labels:
    """People with labelled joints.

    Attributes:
        skeleton: Whose joints are labelled.
        people: By split, `"train"` and `"validation"`; `WHOLE` of what is not split yet.
        notes: What a user should know: what was left out or guessed, with counts.
        sizes: Width and height, px, of pictures of which the labels' file tells them.
        images: Folder of the pictures, where the labels' file tells it.
        frames: Pictures that are only in a film or in the labels' file: how to get each,
            (H, W, 3) uint8 RGB.
        ignored: Areas of all splits' pictures in which nobody counts.
    """

    skeleton: Skeleton
    people: dict[str, list[Person]]
    notes: list[str] = field(default_factory=list)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    images: Path | None = None
    frames: dict[str, Callable[[], np.ndarray]] = field(default_factory=dict)
    ignored: list[IgnoredArea] = field(default_factory=list)


def split_by_picture(labels: Labels, *, share: float, seed: int) -> Labels:
    """Labels whose people are split so that no picture is in both parts.

    Args:
        labels: Of one part, `WHOLE`.
        share: Of the pictures, for validation; at least one picture goes to either part.
        seed: Decides which.

    Raises:
        ValueError: If there are less than two pictures.
    """
    people = labels.people[WHOLE]
    pictures = sorted({person.filename for person in people})
    if len(pictures) < 2:
        raise InputError(
            f"a share of {share:g} for validation needs two pictures with labels or more, there "
            f"are {len(pictures)}"
        )
    count = min(max(round(share * len(pictures)), 1), len(pictures) - 1)
    order = np.random.default_rng(seed).permutation(len(pictures))
    held_out = {pictures[index] for index in order[:count]}
    return replace(
        labels,
        people={
            "train": [person for person in people if person.filename not in held_out],
            "validation": [person for person in people if person.filename in held_out],
        },
    )


def joined(parts: dict[str, Labels]) -> Labels:
    """One set of labels of a file for each split.

    Raises:
        ValueError: If their skeletons differ.
    """
    (first, *others) = parts.values()
    for other in others:
        if other.skeleton.joints != first.skeleton.joints:
            raise InputError(
                "the files of training and validation label different joints: "
                f"{', '.join(first.skeleton.joints)}; and {', '.join(other.skeleton.joints)}"
            )
    folders = [part.images for part in parts.values() if part.images]
    images = Path(os.path.commonpath(folders)) if folders else None
    parts = {split: _below(images, part) for split, part in parts.items()}
    return Labels(
        skeleton=first.skeleton,
        people={split: part.people[WHOLE] for split, part in parts.items()},
        notes=[note for part in parts.values() for note in part.notes],
        sizes={name: size for part in parts.values() for name, size in part.sizes.items()},
        images=images,
        frames={name: frame for part in parts.values() for name, frame in part.frames.items()},
        ignored=[area for part in parts.values() for area in part.ignored],
    )


def renamed(labels: Labels, name: Callable[[str], str]) -> Labels:
    """Labels whose pictures have other names.

    Args:
        labels: As read.
        name: A picture's new name, for its old one.
    """
    return replace(
        labels,
        people={
            split: [replace(one, filename=name(one.filename)) for one in people]
            for split, people in labels.people.items()
        },
        sizes={name(old): size for old, size in labels.sizes.items()},
        ignored=[replace(area, filename=name(area.filename)) for area in labels.ignored],
    )


def _below(images: Path | None, part: Labels) -> Labels:
    """A part with its pictures' names below a folder around its own."""
    if images is None or part.images is None or part.images == images:
        return part
    folder = part.images.relative_to(images).as_posix()
    return renamed(part, lambda name: name if name in part.frames else f"{folder}/{name}")


def write_frames(labels: Labels, images: Path) -> int:
    """Writes the labelled frames of films as pictures, those that are not there yet.

    Args:
        labels: Their `frames` are written.
        images: Folder of the pictures; made if need be.

    Returns:
        How many were written.

    Raises:
        ValueError: If a frame cannot be read or written.
    """
    missing = [name for name in labels.frames if not (images / name).is_file()]
    if missing:
        make_folder(images)
    for name in missing:
        save_picture(labels.frames[name](), images / name)
    return len(missing)


def make_person(
    filename: str,
    points: np.ndarray,
    visibility: np.ndarray,
    *,
    box: Box | None,
    area: float | None = None,
) -> Person:
    """A person of a format without MPII's scale: the crop is that of the box.

    Args:
        filename: Below the pictures' folder.
        points: (J, 2) px, 0-based; anything where not labelled.
        visibility: (J,) 0, 1 or 2.
        box: (x, y, width, height) px of the whole person; None for that of the labelled points,
            which there must be two of, widened.
        area: px², where it is known.
    """
    visibility = np.asarray(visibility, np.uint8)
    labelled = visibility > NOT_LABELLED
    if box is None:
        box = points_box(np.asarray(points, np.float64)[labelled])
    center, scale = box_to_crop(box)
    return Person(
        filename=filename,
        points=np.where(labelled[:, None], points, UNLABELLED_POINT).astype(np.float32),
        visibility=visibility,
        center=center.astype(np.float32),
        scale=scale,
        box=box,
        area=area,
    )


def points_box(points: np.ndarray) -> Box:
    """The box (x, y, width, height) around points (N, 2) px, N >= 2 that differ.

    Each side is as far from them as makes the longer one `POINTS_MARGIN` times as long.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    around = (high - low).max() * (POINTS_MARGIN - 1) / 2
    x, y = low - around
    width, height = high - low + 2 * around + 1
    return float(x), float(y), float(width), float(height)


def has_extent(points: np.ndarray) -> bool:
    """Whether points (N, 2) px span a box: two of them a pixel or more apart."""
    return len(points) > 1 and bool(np.ptp(points, axis=0).max() >= 1)


def known_skeleton(name: str, joints: Iterable[str], **fields: Any) -> Skeleton:
    """The built-in skeleton of exactly these joints, or one of these names."""
    names = tuple(joints)
    for skeleton in SKELETONS.values():
        if skeleton.joints == names:
            return skeleton
    return Skeleton.of_names(name, names, **fields)


def joint_order(given: Skeleton, joints: tuple[str, ...], *, where: str) -> np.ndarray:
    """Where each joint of a skeleton that the user gives stands in a file's own list.

    Returns:
        (J,) int64: by name if both have the same names, else one by one.

    Raises:
        ValueError: If their numbers of joints differ.
    """
    if len(given.joints) != len(joints):
        raise InputError(
            f"{where}: has {len(joints)} joints ({', '.join(joints)}), but the skeleton "
            f"{given.name!r} has {len(given.joints)}"
        )
    if set(given.joints) == set(joints):
        return np.array([joints.index(joint) for joint in given.joints])
    return np.arange(len(joints))


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        ValueError: If it cannot be read or is none.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error})") from error


def is_file_name(value: Any) -> bool:
    """Whether an operating system could take it: text that encodes, without a NUL."""
    return isinstance(value, str) and bool(value) and "\0" not in value and is_encodable(value)


def is_encodable(value: str) -> bool:
    """Whether text can be written: half a letter of two cannot."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def short(value: Any) -> str:
    """A value as an error message shows it."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
