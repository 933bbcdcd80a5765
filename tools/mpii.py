"""Reads annotation files in MPII's JSON layout into `Person`s, and names what is wrong in them.

This is where MPII's own conventions end: pixels become 0-based, and `center` becomes the crop's
true centre.
"""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from hourglass.records import Person
from hourglass.skeleton import MPII

FIRST_PIXEL = 1.0
"""MPII numbers pixels from 1."""

CENTER_SHIFT = 15.0
"""MPII's `center` sits this many px times `scale` above the middle of the body."""

FILES = {"train": ("train.json",), "validation": ("validation.json", "valid.json")}
"""File names of each split, as MPII users have them."""

LARGEST = 1e6
"""No picture has as many px a side; larger numbers would not survive float32."""

MISSING = (-1.0, -1.0)
"""What a joint without label reads in the file, and in a `Person`."""


def find_annotations(folder: Path) -> dict[str, Path]:
    """The annotation file of each split.

    Raises:
        ValueError: If the folder or a file is missing.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder of annotations")
    found = {}
    for split, names in FILES.items():
        paths = [folder / name for name in names if (folder / name).is_file()]
        if not paths:
            raise ValueError(f"{folder}: {' or '.join(names)} is missing")
        found[split] = paths[0]
    return found


def read_people(path: Path) -> list[Person]:
    """All people of one annotation file, in its order.

    Args:
        path: A JSON list of `{"image", "joints": [[x, y] * 16], "joints_vis": [0|1 * 16],
            "center": [x, y], "scale"}`. A joint at [-1, -1] has no label; any other one has,
            whether it is visible or occluded.

    Raises:
        ValueError: If the file is not such a list; names the file, the person's index, the field,
            the value and what is allowed.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not JSON ({error})") from error
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"{path}: must be a list of people, got {_short(entries)}")
    return [_person(entry, f"{path}: person {index}") for index, entry in enumerate(entries)]


def _person(entry: Any, where: str) -> Person:
    if not isinstance(entry, dict):
        raise ValueError(f"{where}: must be an object, got {_short(entry)}")
    for field in ("image", "joints", "joints_vis", "center", "scale"):
        if field not in entry:
            raise ValueError(f"{where}: field {field!r} is missing")
    image = entry["image"]
    if not _is_file_name(image):
        raise ValueError(f"{where}: 'image' is {_short(image)}, it must be a file name")
    joints = _numbers(entry["joints"], (len(MPII.joints), 2), "joints", where)
    _numbers(entry["joints_vis"], (len(MPII.joints),), "joints_vis", where)
    center = _numbers(entry["center"], (2,), "center", where)
    scale = float(_numbers(entry["scale"], (), "scale", where))
    if np.float32(scale) <= 0:
        raise ValueError(f"{where}: 'scale' is {scale}, it must be above 0 (height / 200 px)")
    labelled = ~(joints == MISSING).all(axis=1)
    return Person(
        filename=image,
        points=np.where(labelled[:, None], joints - FIRST_PIXEL, MISSING).astype(np.float32),
        labelled=labelled,
        center=(center - FIRST_PIXEL + (0, CENTER_SHIFT * scale)).astype(np.float32),
        scale=scale,
    )


def _numbers(value: Any, shape: tuple[int, ...], field: str, where: str) -> np.ndarray:
    """`value` as float64 of exactly this shape, every number finite."""
    numbers = _plain_numbers(value, shape)
    if numbers is not None:
        return numbers
    if not shape:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"{where}: {field!r} has {_short(value)}, it must be a number")
        if not abs(value) <= LARGEST:
            raise ValueError(
                f"{where}: {field!r} has {_short(value)}, it must be finite and {LARGEST:g} or less"
            )
        return np.float64(value)  # type: ignore[return-value]
    if not isinstance(value, list) or len(value) != shape[0]:
        count = f"{len(value)} entries" if isinstance(value, list) else _short(value)
        raise ValueError(f"{where}: {field!r} has {count}, it must have {shape[0]}")
    return np.array([_numbers(entry, shape[1:], field, where) for entry in value])


def _plain_numbers(value: Any, shape: tuple[int, ...]) -> np.ndarray | None:
    """The same at once, if nothing is wrong; None leaves it to `_numbers` to find what is."""
    rows = value if len(shape) == 2 else [value] if len(shape) == 1 else None
    if not isinstance(rows, list) or {*map(type, rows)} != {list}:
        return None
    flat = [*itertools.chain.from_iterable(rows)]
    if not {*map(type, flat)} <= {int, float} or {*map(len, rows)} != {shape[-1]}:
        return None
    if len(flat) != math.prod(shape) or not all(map(LARGEST.__ge__, map(abs, flat))):
        return None
    return np.array(flat, np.float64).reshape(shape)


def _is_file_name(value: Any) -> bool:
    """Whether an operating system could take it: text that encodes, without a NUL."""
    if not isinstance(value, str) or not value or "\0" in value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
