"""Reads MPII's own annotations: `mpii_human_pose_v1_u12_1.mat`, the official download.

The split is the field's: 2,958 people for validation (`splits/mpii_validation.csv`; Tompson et al.,
CVPR 2015), and for training all other people of the official training pictures that stand
sufficiently apart (`single_person`) and have joints.

Relied on, from the file's own notes: `annolist` of `image.name` and `annorect`, of which each has
`scale` and `objpos` (where the person is), and in training pictures `annopoints.point` of `x`, `y`,
`id` (from 0, MPII's order) and `is_visible`; `img_train`; `single_person` counts from 1. MATLAB's
structures leave out what is empty: people come without points, `objpos` or `scale`, and
`is_visible` is a number, a text or nothing.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hourglass.core.errors import InputError
from hourglass.core.person import HIDDEN, UNLABELLED_POINT, VISIBLE, Person
from hourglass.core.skeleton import MPII
from hourglass.data.readers.label_set import Labels
from hourglass.data.readers.matlab import DamagedError, load
from hourglass.data.readers.mpii_json import CENTER_SHIFT, FIRST_PIXEL

VALIDATION = Path(__file__).resolve().parent / "splits" / "mpii_validation.csv"
"""The validation people: picture, number in it (from 0), `objpos` and `scale`."""

PLACE_TOLERANCE = 1.5
"""How far `objpos` may be, px, from the list's, which is rounded."""


@dataclass(frozen=True)
class Listed:
    """A person of the list of validation people.

    Attributes:
        image: The picture's name.
        person: Number in the picture's `annorect`, from 0.
        place: (2,) float64, `objpos`, 1-based px.
    """

    image: str
    person: int
    place: np.ndarray


def read(path: Path) -> Labels:
    """The people of the field's protocol.

    Raises:
        ValueError: If the file is not MPII's, or the list's people are not in it.
    """
    release = _load(path)
    listed = read_list()
    odd: Counter[str] = Counter()
    train: list[Person] = []
    validation: list[Person] = []
    for image, number, entry, single in _people(release, path):
        held_out = (image, number) in listed
        if not held_out and not single:
            odd["do not stand apart from others"] += 1
            continue
        person = _to_person(image, entry, odd)
        if person is None:
            continue
        if held_out:
            _check_place(listed.pop((image, number)), entry, path)
        (validation if held_out else train).append(person)
    if not train or not validation:
        raise InputError(
            f"{path}: holds {len(train)} people for training and {len(validation)} of the "
            f"{len(read_list())} for validation: it is not MPII's whole file"
        )
    notes = [f"{path}: {count} people {why}: left out" for why, count in odd.items()]
    if listed:
        notes.append(
            f"{path}: {len(listed)} of the field's validation people are not in it, first: person "
            f"{next(iter(listed))[1]} of {next(iter(listed))[0]}"
        )
    return Labels(MPII, {"train": train, "validation": validation}, notes)


def read_list(path: Path = VALIDATION) -> dict[tuple[str, int], Listed]:
    """The validation people by picture and number."""
    with path.open(encoding="utf-8", newline="") as file:
        people = [
            Listed(
                row["image"],
                int(row["person"]),
                np.array([float(row["center_x"]), float(row["center_y"])]),
            )
            for row in csv.DictReader(file)
        ]
    return {(one.image, one.person): one for one in people}


def _load(path: Path) -> Any:
    try:
        content = load(path, ["RELEASE"], struct_as_record=False, squeeze_me=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except DamagedError as error:
        raise InputError(f"{path}: not a MATLAB file that can be read ({error})") from error
    release = content.get("RELEASE")
    missing = [
        name for name in ("annolist", "img_train", "single_person") if not hasattr(release, name)
    ]
    if missing:
        raise InputError(
            f"{path}: holds no RELEASE.{missing[0]}; MPII's annotations are in "
            "mpii_human_pose_v1_u12_1.mat"
        )
    return release


def _people(release: Any, path: Path) -> Iterator[tuple[str, int, Any, bool]]:
    """Picture, number (from 0), entry and whether they stand apart, of all training pictures."""
    pictures, in_training = np.atleast_1d(release.annolist), np.atleast_1d(release.img_train)
    apart = np.atleast_1d(release.single_person)
    if not len(pictures) == len(in_training) == len(apart):
        raise InputError(
            f"{path}: annolist has {len(pictures)} pictures, img_train {len(in_training)} and "
            f"single_person {len(apart)}, they must be as many"
        )
    for index, (picture, training, singles) in enumerate(
        zip(pictures, in_training, apart, strict=True)
    ):
        name = _field(_field(picture, "image"), "name")
        if not isinstance(name, str) or not name:
            raise InputError(f"{path}: annolist({index + 1}).image.name is {name!r}, no file name")
        numbers = {int(one) for one in np.atleast_1d(singles).ravel()}
        if training:
            for number, entry in enumerate(_list(_field(picture, "annorect"))):
                yield name, number, entry, number + 1 in numbers


def _to_person(image: str, entry: Any, odd: Counter[str]) -> Person | None:
    points, visibility = _joints(entry)
    place, scale = _place(entry), _number(_field(entry, "scale"))
    if not visibility.any():
        odd["have no joints"] += 1
    elif place is None:
        odd["have no 'objpos'"] += 1
    elif scale is None or scale <= 0:
        odd["have no 'scale'"] += 1
    else:
        center = place - FIRST_PIXEL + [0.0, CENTER_SHIFT * scale]
        return Person(image, points, visibility, center.astype(np.float32), scale)
    return None


def _joints(entry: Any) -> tuple[np.ndarray, np.ndarray]:
    """Points (16, 2) float32, 0-based px, and visibility (16,) uint8."""
    points = np.full((len(MPII.joints), 2), UNLABELLED_POINT, np.float32)
    visibility = np.zeros(len(MPII.joints), np.uint8)
    for point in _list(_field(_field(entry, "annopoints"), "point")):
        joint, x, y = (_number(_field(point, name)) for name in ("id", "x", "y"))
        if joint is None or x is None or y is None or not 0 <= joint < len(MPII.joints):
            continue
        points[int(joint)] = x - FIRST_PIXEL, y - FIRST_PIXEL
        visibility[int(joint)] = VISIBLE if _number(_field(point, "is_visible")) else HIDDEN
    return points, visibility


def _place(entry: Any) -> np.ndarray | None:
    """`objpos` (2,) float64, 1-based px."""
    x, y = (_number(_field(_field(entry, "objpos"), name)) for name in ("x", "y"))
    return None if x is None or y is None else np.array([x, y])


def _check_place(listed: Listed, entry: Any, path: Path) -> None:
    """That the list and the file count the people of a picture alike."""
    place = _place(entry)
    if place is None or np.abs(place - listed.place).max() > PLACE_TOLERANCE:
        raise InputError(
            f"{path}: person {listed.person} (from 0) of {listed.image} has 'objpos' {place}, but "
            f"the field's validation person of this number is at {listed.place}: this is another "
            "edition of the file, by which no published score was measured"
        )


def _field(structure: Any, name: str) -> Any:
    """A field of a MATLAB structure; None where it, or the structure itself, is not there."""
    return getattr(structure, name, None)


def _list(value: Any) -> list[Any]:
    """The structures of an array, which is none where MATLAB has an empty one."""
    if value is None:
        return []
    return list(np.atleast_1d(value).ravel())


def _number(value: Any) -> float | None:
    """A finite number, also one written as text; None for an empty array or text."""
    if isinstance(value, np.ndarray):
        if value.size != 1:
            return None
        value = value.item()
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None
