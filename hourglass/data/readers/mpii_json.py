"""Reads annotation files in MPII's JSON layout into `Person`s, and names what is wrong in them.

This is where MPII's own conventions end: pixels become 0-based, and `center` becomes the crop's
true centre.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hourglass.core.errors import InputError
from hourglass.core.person import NOT_LABELLED, VISIBLE, Person
from hourglass.core.skeleton import MPII
from hourglass.data.readers.label_set import (
    LARGEST,
    WHOLE,
    Labels,
    is_encodable,
    is_file_name,
    read_json,
    short,
)

FIRST_PIXEL = 1.0
"""MPII numbers pixels from 1."""

CENTER_SHIFT = 15.0
"""MPII's `center` sits this many px times `scale` above the middle of the body."""

MISSING = (-1.0, -1.0)
"""What a joint without label reads in the file, and in a `Person`."""

NUMBERS: dict[str, tuple[int, ...]] = {
    "joints": (len(MPII.joints), 2),
    "joints_vis": (len(MPII.joints),),
    "center": (2,),
    "scale": (),
}
"""An entry's fields of numbers, and their shapes."""


SOURCE, DISAGREEMENT = "label_source", "disagreement"
"""Fields that an entry may have besides: whose labels they are, and how far, in head sizes, those
who labelled each joint put it from each other (null where nobody says)."""

HALF_WEIGHT = 0.15
"""Disagreement, head sizes, at which a joint counts half: about what teachers that find 25 % of the
joints within 0.1 head sizes are usually off."""


def read(path: Path) -> Labels:
    """All people of one annotation file, in its order, as one part.

    Args:
        path: A JSON list of `{"image", "joints": [[x, y] * 16], "joints_vis": [0|1 * 16],
            "center": [x, y], "scale"}`. A joint at [-1, -1] or of `joints_vis` 0 has no label; any
            other one has, whether it is visible or occluded. An entry may say whose labels they are
            (`"label_source"`, a text), and how far their makers disagreed (`"disagreement"`, 16
            numbers of head sizes or null): a joint then counts 1 / (1 + (d / 0.15)²) in training.

    Raises:
        ValueError: If the file is not such a list; names the file, the person's index, the field,
            the value and what is allowed.
    """
    with _without_garbage_collection():
        entries = _read_entries(path)
        columns = _plain_columns(entries) or _checked_columns(entries, str(path))
        placed = ~(columns.joints == MISSING).all(axis=-1)
        unseen = int((placed & (columns.joints_vis <= 0)).sum())
        notes = [f"{path}: {unseen} joints have 'joints_vis' 0: not labelled"] if unseen else []
        people = [
            _with_source(person, entry, f"{path}: person {index}")
            for index, (person, entry) in enumerate(zip(_to_people(columns), entries, strict=True))
        ]
        return Labels(MPII, {WHOLE: people}, notes)


def _with_source(person: Person, entry: dict[str, Any], where: str) -> Person:
    """The person with what an entry says about its labels."""
    source, disagreement = entry.get(SOURCE, ""), entry.get(DISAGREEMENT)
    if not source and disagreement is None:
        return person
    if not isinstance(source, str) or not is_encodable(source):
        raise InputError(f"{where}: {SOURCE!r} is {short(source)}, it must be text")
    if disagreement is None:
        return dataclasses.replace(person, source=source)
    count = len(person.points)
    if not isinstance(disagreement, list) or len(disagreement) != count:
        raise InputError(
            f"{where}: {DISAGREEMENT!r} is {short(disagreement)}, it must be a list of {count}"
        )
    return dataclasses.replace(person, source=source, weights=_agreement(disagreement, where))


def _agreement(disagreement: list[Any], where: str) -> np.ndarray:
    """What each joint counts, (J,) float32."""
    known = [0.0 if value is None else value for value in disagreement]
    for value in known:
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not 0 <= value <= LARGEST
        ):
            raise InputError(
                f"{where}: {DISAGREEMENT!r} has {short(value)}, it must be null or a number "
                "of head sizes, 0 or more"
            )
    return (1 / (1 + (np.array(known, float) / HALF_WEIGHT) ** 2)).astype(np.float32)


@contextlib.contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Spares Python's search for cycles among a million small objects, which have none."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _read_entries(path: Path) -> list[Any]:
    entries = read_json(path)
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{path}: must be a list of people, got {short(entries)}")
    return entries


class _Columns(NamedTuple):
    """Entries field by field, as the file has them."""

    images: list[str]
    joints: np.ndarray
    joints_vis: np.ndarray
    center: np.ndarray
    scale: np.ndarray


def _to_people(columns: _Columns) -> list[Person]:
    joints, scale = columns.joints, columns.scale
    labelled = ~(joints == MISSING).all(axis=-1) & (columns.joints_vis > 0)
    points = np.where(labelled[..., None], joints - FIRST_PIXEL, MISSING).astype(np.float32)
    # The layout does not tell hidden joints from seen ones.
    visibility = np.where(labelled, VISIBLE, NOT_LABELLED).astype(np.uint8)
    center = columns.center - FIRST_PIXEL
    center[:, 1] += CENTER_SHIFT * scale
    rows = zip(
        columns.images,
        points,
        visibility,
        center.astype(np.float32),
        scale.tolist(),
        strict=True,
    )
    return [Person(*row) for row in rows]


def _plain_columns(entries: list[Any]) -> _Columns | None:
    """All entries at once, in a fraction of the time, if nothing is wrong with any.

    None leaves it to `_checked_columns` to say what is.
    """
    try:
        images = [entry["image"] for entry in entries]
        values = [[entry[field] for entry in entries] for field in NUMBERS]
    except (KeyError, TypeError):
        return None
    columns = [
        _plain_numbers(value, (len(entries), *shape))
        for value, shape in zip(values, NUMBERS.values(), strict=True)
    ]
    if not all(map(is_file_name, images)) or any(column is None for column in columns):
        return None
    plain = _Columns(images, *columns)  # type: ignore[arg-type]
    return plain if (plain.scale.astype(np.float32) > 0).all() else None


def _plain_numbers(value: list[Any], shape: tuple[int, ...]) -> np.ndarray | None:
    """Nested lists as float64, if they are of this shape and hold numbers within the limits."""
    flat = value
    for length in shape[1:]:
        if {*map(type, flat)} != {list} or {*map(len, flat)} != {length}:
            return None
        flat = [*itertools.chain.from_iterable(flat)]
    if not {*map(type, flat)} <= {int, float}:
        return None
    try:
        numbers = np.array(flat, np.float64).reshape(shape)
    except OverflowError:
        return None
    return numbers if (np.abs(numbers) <= LARGEST).all() else None


def _checked_columns(entries: list[Any], path: str) -> _Columns:
    rows = [_checked(entry, f"{path}: person {index}") for index, entry in enumerate(entries)]
    images, *columns = zip(*rows, strict=True)
    return _Columns(list(images), *map(np.array, columns))


def _checked(entry: Any, where: str) -> tuple[Any, ...]:
    """One entry's fields."""
    if not isinstance(entry, dict):
        raise InputError(f"{where}: must be an object, got {short(entry)}")
    for field in ("image", *NUMBERS):
        if field not in entry:
            raise InputError(f"{where}: field {field!r} is missing")
    image = entry["image"]
    if not is_file_name(image):
        raise InputError(f"{where}: 'image' is {short(image)}, it must be a file name")
    numbers = [_numbers(entry[field], shape, field, where) for field, shape in NUMBERS.items()]
    scale = float(numbers[-1])
    if np.float32(scale) <= 0:
        raise InputError(f"{where}: 'scale' is {scale}, it must be above 0 (height / 200 px)")
    return image, *numbers


def _numbers(value: Any, shape: tuple[int, ...], field: str, where: str) -> np.ndarray:
    """`value` as float64 of exactly this shape, every number finite."""
    if not shape:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise InputError(f"{where}: {field!r} has {short(value)}, it must be a number")
        if not abs(value) <= LARGEST:
            raise InputError(
                f"{where}: {field!r} has {short(value)}, it must be finite and {LARGEST:g} or less"
            )
        return np.array(value, np.float64)
    if not isinstance(value, list) or len(value) != shape[0]:
        count = f"{len(value)} entries" if isinstance(value, list) else short(value)
        raise InputError(f"{where}: {field!r} has {count}, it must have {shape[0]}")
    return np.array([_numbers(entry, shape[1:], field, where) for entry in value])
