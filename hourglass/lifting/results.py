"""People in three dimensions as other programs read them: JSON, CSV, BVH.

docs/LIFTING.md says what stands in each.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hourglass.core.files import write_file
from hourglass.core.storage import Place
from hourglass.lifting.body import BODY
from hourglass.lifting.estimator import Body
from hourglass.media.results import Found, csv_text
from hourglass.media.video import DEFAULT_RATE

DIGITS = 1
"""Decimals of millimetres in text."""


Identity = tuple[bool, int]
"""Who somebody is: their number in the film; or, if True comes first, their place in the list."""


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

    def by_person(self) -> dict[Identity, Body | None]:
        """The bodies by the person's number in the film, or their place in the list."""
        return {
            (own is None, place if own is None else own): body
            for place, (own, body) in enumerate(zip(self.ids, self.bodies, strict=True))
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and names, ready for JSON; a person who was not lifted is None."""
        people = [
            body and {**({} if own is None else {"id": own}), **body.to_dict()}
            for own, body in zip(self.ids, self.bodies, strict=True)
        ]
        return {**self.found.to_dict(), "people": people}


def csv_header() -> str:
    """The names of the columns."""
    columns = [f"{name}_{part}" for name in BODY.joints for part in ("x", "y", "z", "score")]
    return csv_text([["image", "frame", "person", "id", *columns]])


def csv_rows(lifted: Lifted) -> str:
    """A row per person who was lifted: where, who, then x, y, z and score of each joint."""
    frame = "" if lifted.found.frame is None else lifted.found.frame
    people = enumerate(zip(lifted.ids, lifted.bodies, strict=True))
    return csv_text(
        [lifted.found.image, frame, number, "" if own is None else own, *_values(body)]
        for number, (own, body) in people
        if body
    )


def _values(body: Body) -> list[str]:
    scores = body.scores.round(3)[:, None]
    return [*map(_short, np.concatenate([body.points.round(DIGITS), scores], axis=1).ravel())]


def _short(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")


class Motions:
    """How each person of each picture or film moves, gathered frame by frame.

    Frames in which a person was not lifted repeat the frame before.
    """

    def __init__(self) -> None:
        self._times: dict[str, list[float]] = {}
        self._people: dict[str, dict[Identity, list[np.ndarray]]] = {}

    def add(self, lifted: Lifted) -> None:
        """Takes the next picture or frame."""
        image, named = lifted.found.image, lifted.by_person()
        people = self._people.setdefault(image, {})
        for person in named.keys() - people.keys():
            people[person] = []
        for person, poses in people.items():
            if body := named.get(person):
                poses.append(body.points)
            elif poses:
                poses.append(poses[-1])
        times = self._times.setdefault(image, [])
        if lifted.found.time is not None:
            times.append(lifted.found.time)

    def __iter__(self) -> Iterator[tuple[str, int, np.ndarray, float]]:
        """The picture's or film's name, the person's place among its people, from 0, their poses
        (F, 17, 3) mm, and frames per second."""
        for image, people in self._people.items():
            for place, person in enumerate(sorted(people)):
                if people[person]:
                    yield image, place, np.stack(people[person]), _rate(self._times[image])


def _rate(times: Sequence[float]) -> float:
    steps = np.diff(times)
    return float(1 / np.median(steps)) if len(steps) and np.median(steps) > 0 else DEFAULT_RATE


def write_bvh(motions: Motions, folder: Place) -> list[Place]:
    """Writes the motion of each person of each picture or film: `NAME.bvh`, `NAME_2.bvh`, …

    Where a name is taken by somebody of another input, the next number follows.

    Raises:
        ValueError: If a file cannot be written.
    """
    from hourglass.lifting.bvh import to_bvh

    written: dict[Place, None] = {}
    for image, person, points, rate in motions:
        names = _names(Path(image).stem, first=person + 1)
        path = next(folder / name for name in names if folder / name not in written)
        write_file(path, to_bvh(points, rate=rate))
        written[path] = None
    return list(written)


def _names(stem: str, *, first: int) -> Iterator[str]:
    for number in itertools.count(first):
        yield f"{stem}_{number}.bvh" if number > 1 else f"{stem}.bvh"
