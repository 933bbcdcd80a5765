"""People in three dimensions as other programs read them: JSON, CSV, BVH.

docs/LIFTING.md says what stands in each.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hourglass.core.errors import InputError
from hourglass.core.files import write_file
from hourglass.lifting.body import BODY
from hourglass.lifting.estimator import Body
from hourglass.media.results import Found
from hourglass.media.targets import make_folder
from hourglass.media.video import DEFAULT_RATE

DIGITS = 1
"""Decimals of millimetres in text."""


@dataclass(frozen=True, eq=False)
class Lifted:
    """The people of one picture or frame.

    Attributes:
        found: What was found in it.
        bodies: One per pose; None where too few joints were found.
    """

    found: Found
    bodies: Sequence[Body | None]

    @property
    def ids(self) -> list[int | None]:
        """Each body's number in the film; None of a picture."""
        return [pose.id for pose in self.found.poses] or [None] * len(self.bodies)

    def by_person(self) -> dict[int, Body | None]:
        """The bodies by the person's number in the film, or their place in the list."""
        return {
            place if own is None else own: body
            for place, (own, body) in enumerate(zip(self.ids, self.bodies, strict=True))
        }


def to_json(lifted: Sequence[Lifted]) -> str:
    """A list with an object per picture or frame; a person who was not lifted is null."""
    entries = []
    for one in lifted:
        entry = one.found.to_dict()
        entry["people"] = [
            body and {**({} if own is None else {"id": own}), **body.to_dict()}
            for own, body in zip(one.ids, one.bodies, strict=True)
        ]
        entries.append(entry)
    return json.dumps(entries, indent=1) + "\n"


def to_csv(lifted: Sequence[Lifted]) -> str:
    """A row per person who was lifted: where, who, then x, y, z and score of each joint."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    columns = [f"{name}_{part}" for name in BODY.joints for part in ("x", "y", "z", "score")]
    writer.writerow(["image", "frame", "person", "id", *columns])
    for one in lifted:
        frame = "" if one.found.frame is None else one.found.frame
        for number, (own, body) in enumerate(zip(one.ids, one.bodies, strict=True)):
            if body:
                person = [number, "" if own is None else own]
                scores = body.scores.round(3)[:, None]
                values = np.concatenate([body.points.round(DIGITS), scores], axis=1)
                writer.writerow([one.found.image, frame, *person, *map(_short, values.ravel())])
    return out.getvalue()


def _short(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")


def write_bvh(lifted: Sequence[Lifted], folder: Path) -> list[Path]:
    """Writes the motion of each person of each picture or film: `NAME.bvh`, `NAME_2.bvh`, …

    Frames in which a person was not lifted repeat the frame before. Where a name is taken by
    somebody of another input, the next number follows.

    Raises:
        ValueError: If a file cannot be written, or SciPy is not installed.
    """
    try:
        from hourglass.lifting.bvh import to_bvh
    except ImportError as error:
        raise InputError(f"{folder}: for BVH, {error.name} is needed: pip install scipy") from error
    make_folder(folder)
    written: list[Path] = []
    for (image, person), (points, rate) in motions(lifted).items():
        names = _names(Path(image).stem, first=person + 1)
        path = next(folder / name for name in names if folder / name not in written)
        write_file(path, to_bvh(points, rate=rate))
        written.append(path)
    return written


def _names(stem: str, *, first: int) -> Iterator[str]:
    for number in itertools.count(first):
        yield f"{stem}_{number}.bvh" if number > 1 else f"{stem}.bvh"


def motions(lifted: Sequence[Lifted]) -> dict[tuple[str, int], tuple[np.ndarray, float]]:
    """Poses (F, 17, 3) and frames per second, by the input's name and the person's place."""
    by_source: dict[str, list[Lifted]] = {}
    for one in lifted:
        by_source.setdefault(one.found.image, []).append(one)
    found: dict[tuple[str, int], tuple[np.ndarray, float]] = {}
    for image, frames in by_source.items():
        named = [one.by_person() for one in frames]
        for number, person in enumerate(sorted(set().union(*named))):
            points = [body.points for body in _filled([bodies.get(person) for bodies in named])]
            if points:
                found[image, number] = np.stack(points), _rate(frames)
    return found


def _filled(bodies: Sequence[Body | None]) -> list[Body]:
    """Gaps take the body before; those at the start are left out."""
    filled: list[Body] = []
    for body in bodies:
        if body or filled:
            filled.append(body or filled[-1])
    return filled


def _rate(frames: Sequence[Lifted]) -> float:
    times = [one.found.time for one in frames if one.found.time is not None]
    steps = np.diff(times)
    return float(1 / np.median(steps)) if len(steps) and np.median(steps) > 0 else DEFAULT_RATE
