"""The labels of many people, as arrays, without their pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hourglass.core.errors import InputError
from hourglass.core.geometry import CROP_MARGIN, crop_side
from hourglass.core.person import NOT_LABELLED, Person
from hourglass.core.skeleton import Skeleton
from hourglass.data.mixture import Pattern, describe
from hourglass.data.shards import find_shards, find_skeleton, read_records


@dataclass(frozen=True, eq=False)
class People:
    """The labels of N people.

    Attributes:
        points: (N, J, 2) float32, 0-based px of the pictures.
        visibility: (N, J) uint8, 0 not labelled, 1 labelled though hidden, 2 labelled and seen.
        center: (N, 2) float32 px.
        scale: (N,) float32.
        filename: N names.
        skeleton: Names the J joints.
        box: (N, 4) float32 (x, y, width, height) px: as annotated, or else a square as high as the
            person.
        area: (N,) float32 px²: as annotated, NaN where nobody did.
        source: N names of label sources, "" where the data set does not say.
    """

    points: np.ndarray
    visibility: np.ndarray
    center: np.ndarray
    scale: np.ndarray
    filename: tuple[str, ...]
    skeleton: Skeleton
    box: np.ndarray
    area: np.ndarray
    source: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.scale)

    @property
    def labelled(self) -> np.ndarray:
        """(N, J) bool; hidden joints with a label are labelled."""
        return self.visibility > NOT_LABELLED


def load_people(pattern: Pattern) -> People:
    """All labels of the shards in `validation_dataset`'s order, without decoding a picture.

    Raises:
        ValueError: If no shard matches, one is damaged, or they hold another skeleton than their
            manifest says.
    """
    paths = find_shards(pattern)
    people = [record.person for record in read_records(paths)]
    if not people:
        raise InputError(f"{describe(pattern)}: the shards hold no people")
    return gather(people, find_skeleton(paths))


def gather(people: list[Person], skeleton: Skeleton) -> People:
    """The labels of some people as arrays."""
    return People(
        points=np.stack([person.points for person in people]),
        visibility=np.stack([person.visibility for person in people]),
        center=np.stack([person.center for person in people]),
        scale=np.array([person.scale for person in people], np.float32),
        filename=tuple(person.filename for person in people),
        skeleton=skeleton,
        box=np.array([person.box or _square(person) for person in people], np.float32),
        area=np.array([person.area or np.nan for person in people], np.float32),
        source=tuple(person.source for person in people),
    )


def _square(person: Person) -> tuple[float, float, float, float]:
    """A box as high as the person, around the crop's centre."""
    side = float(crop_side(person.scale)) / CROP_MARGIN
    x, y = person.center - (side - 1) / 2
    return float(x), float(y), side, side
