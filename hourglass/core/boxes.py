"""Where people are: boxes from a file, and whether a box fits its picture."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator
from typing import Any

from hourglass.core.errors import InputError
from hourglass.core.geometry import box_to_crop
from hourglass.core.pose import Box
from hourglass.core.storage import Place

LINES = ".jsonl"
"""The ending of a JSON file that has an object a line."""

COLUMNS = ("image", "x", "y", "width", "height")
"""Of a CSV file of boxes."""

ALLOWED = (
    'a JSON object {"a.jpg": [[x, y, width, height], ...]}, a JSON list of {"image": "a.jpg", '
    '"people": [{"box": [x, y, width, height]}, ...]}, or such an object a line in a .jsonl file, '
    "or a CSV file with the columns " + ",".join(COLUMNS)
)

FARTHEST = 1e9
"""Largest number in a box, px: with larger ones float32 joints would be infinite."""


class Boxes:
    """People's boxes by picture.

    Args:
        by_image: Boxes under each picture's path, or its name alone.
    """

    def __init__(self, by_image: dict[str, list[Box]]) -> None:
        self._by_image = by_image

    def of(self, image: Place) -> list[Box]:
        """The boxes of a picture, by its path as given or else by its name; [] if it has none."""
        for key in (str(image), image.as_posix(), image.name):
            if key in self._by_image:
                return self._by_image[key]
        return []

    def digest(self) -> str:
        """SHA-256 of all of them."""
        return hashlib.sha256(json.dumps(self._by_image).encode()).hexdigest()


def read_boxes(path: Place) -> Boxes:
    """Boxes from a JSON, JSON-lines or CSV file; what `predict --json` writes is such a file, too.

    Raises:
        ValueError: If it cannot be read or is something else; names the file and the place.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # spreadsheets write the mark
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: boxes cannot be read ({error})") from error
    read = {".csv": _csv_rows, LINES: _line_rows}.get(path.suffix.lower(), _json_rows)
    rows = read(text, path)
    by_image: dict[str, list[Box]] = {}
    for where, image, values in rows:
        if not isinstance(image, str):
            raise InputError(f"{path}: {where}: image must be a name; allowed: {ALLOWED}")
        by_image.setdefault(image, []).append(_box(values, where=f"{path}: {where}"))
    return Boxes(by_image)


def _csv_rows(text: str, path: Place) -> Iterator[tuple[str, str, Any]]:
    reader = csv.DictReader(text.splitlines())
    try:
        missing = set(COLUMNS) - set(reader.fieldnames or ())
        if missing:
            raise InputError(f"{path}: column {min(missing)} is missing; boxes are {ALLOWED}")
        for row in reader:
            yield f"line {reader.line_num}", row["image"], [row[name] for name in COLUMNS[1:]]
    except csv.Error as error:
        raise InputError(f"{path}: not a file of boxes ({error}); allowed: {ALLOWED}") from error


def _json_rows(text: str, path: Place) -> Iterator[tuple[str, str, Any]]:
    try:
        content = json.loads(text)
        if isinstance(content, dict):
            for image, boxes in content.items():
                for number, box in enumerate(boxes):
                    yield f"{image}, box {number}", image, box
        else:
            for entry in content:
                yield from _people(entry)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InputError(f"{path}: not a file of boxes ({error}); allowed: {ALLOWED}") from error


def _line_rows(text: str, path: Place) -> Iterator[tuple[str, str, Any]]:
    # Not `splitlines`, which also ends lines where JSON does not.
    for number, line in enumerate(text.split("\n"), start=1):
        try:
            if line.strip():
                yield from _people(json.loads(line))
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            told = f"{path}: line {number}: not of a file of boxes ({error}); allowed: {ALLOWED}"
            raise InputError(told) from error


def _people(entry: Any) -> Iterator[tuple[str, str, Any]]:
    for number, person in enumerate(entry["people"]):
        yield f"{entry['image']}, person {number}", entry["image"], person["box"]


def _box(values: Any, *, where: str) -> Box:
    try:
        if isinstance(values, str):
            raise TypeError
        x, y, width, height = (float(value) for value in values)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"{where}: box {values!r} must be four numbers x y width height"
        ) from error
    require_box((x, y, width, height), where=where)
    return x, y, width, height


def require_box(box: Box, *, where: str) -> None:
    """Refuses what is no box.

    Raises:
        ValueError: If a number is not finite or too large, or a side is not above 0; names `where`.
    """
    try:
        box_to_crop(box)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    if max(map(abs, box)) > FARTHEST:
        raise InputError(f"{where}: box {box}: x y w h must be at most {FARTHEST:g} px")


def require_overlap(box: Box, *, width: int, height: int, where: str) -> None:
    """Refuses a box that shows nothing of its picture.

    Raises:
        ValueError: If the box lies outside the picture of that size, px; names `where`.
    """
    require_box(box, where=where)
    x, y, box_width, box_height = box
    if x >= width or y >= height or x + box_width <= 0 or y + box_height <= 0:
        raise InputError(f"{where}: box {box} lies outside the picture of {width}×{height} px")
