"""`python -m benchmarks.detection`: how many people the detector finds, by their size.

Each person's part of a picture is shrunk until they are so many pixels high (or wide, if lying),
and put into the middle of a grey picture of 640×480 px. Found is who has a detected box that shares
half of the union with the box around their labelled joints. Needs labels in MPII's JSON layout, of
pictures that show little besides their person, such as crops.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import click
import cv2
import numpy as np

from benchmarks.comparison import Row, report
from hourglass.console import PATH, command
from hourglass.core.errors import InputError
from hourglass.core.person import Person
from hourglass.core.pose import Box
from hourglass.data.readers.label_set import WHOLE
from hourglass.data.readers.mpii_json import read
from hourglass.inference.detection import SIDE, SMALL_SIDE, PeopleDetector
from hourglass.inference.tracking import MARGIN, overlap
from hourglass.media.pictures import read_picture

CANVAS = (480, 640)
"""Height and width of the pictures that are looked at, px."""

SIZES = (120, 60, 40, 25)
"""Of people: the longer side of their box, px."""

FOUND = 0.5
"""Intersection over union."""

FEWEST_JOINTS = 10
"""Labelled, so that the box around them is that of the person."""


def measure(people: Sequence[Person], images: Path) -> list[Row]:
    """A row for each size of people and of the detector's input.

    Args:
        people: Labelled.
        images: The folder of their pictures.
    """
    detector = PeopleDetector()
    rows = []
    for side in (SMALL_SIDE, SIDE):
        spent: list[float] = []
        for size in SIZES:
            found = 0
            for person in people:
                picture, box = placed(person, images / person.filename, size)
                began = time.perf_counter()
                boxes = detector.find(picture, side=side)
                spent.append(time.perf_counter() - began)
                found += any(overlap(one, box) >= FOUND for one in boxes)
            what = f"people of {size} px found with an input of {side} px"
            rows.append(Row(what, 100 * found / len(people), "%"))
        rows.append(Row(f"a look with {side} px", 1000 * float(np.median(spent)), "ms"))
    return rows


def placed(person: Person, path: Path, size: int) -> tuple[np.ndarray, Box]:
    """A picture (480, 640, 3) of the person so small, and their box in it."""
    picture = read_picture(path)
    box = box_of(person)
    zoom = size / max(box[2:])
    across, down = (max(1, round(zoom * length)) for length in picture.shape[1::-1])
    method = cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR
    small = cv2.resize(picture, (across, down), interpolation=method)
    left, top = (CANVAS[1] - across) // 2, (CANVAS[0] - down) // 2
    canvas = np.full((*CANVAS, 3), 128, np.uint8)
    inner = canvas[max(0, top) : top + down, max(0, left) : left + across]
    rows, columns = max(0, -top), max(0, -left)
    inner[:] = small[rows : rows + inner.shape[0], columns : columns + inner.shape[1]]
    x, y, width, height = box
    return canvas, (left + zoom * x, top + zoom * y, zoom * width, zoom * height)


def box_of(person: Person) -> Box:
    """The box around somebody's labelled joints, with a margin for head and feet."""
    points = person.points[person.labelled]
    low, high = points.min(axis=0), points.max(axis=0)
    margin = (MARGIN - 1) / 2 * (high - low).max()
    x, y = low - margin
    width, height = high - low + 2 * margin
    return float(x), float(y), float(width), float(height)


@click.command()
@click.option("--labels", type=PATH, required=True, help="Labels in MPII's JSON layout.")
@click.option("--images", type=PATH, required=True, help="Folder of the pictures.")
@click.option("--people", type=click.IntRange(1), default=100, show_default=True)
@click.option("--output", type=PATH, help="JSON file to write.")
@command
def main(labels: Path, images: Path, people: int, output: Path | None) -> None:
    """Measures the detector, and prints a table."""
    known = [one for one in read(labels).people[WHOLE] if one.labelled.sum() >= FEWEST_JOINTS]
    if not known:
        raise InputError(f"{labels}: nobody has {FEWEST_JOINTS} labelled joints")
    chosen = known[:: max(1, len(known) // people)][:people]
    report(
        "detection", measure(chosen, images), output=output, details={"people": str(len(chosen))}
    )


if __name__ == "__main__":
    main()
