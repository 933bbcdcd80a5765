"""The labels of many people, as arrays, without their pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hourglass.data.mixture import Pattern, describe
from hourglass.data.shards import find_shards, read_records


@dataclass(frozen=True, eq=False)
class People:
    """The labels of many people.

    Attributes:
        points: (N, 16, 2) float32, 0-based px of the pictures.
        labelled: (N, 16) bool.
        center: (N, 2) float32 px.
        scale: (N,) float32.
        filename: N names.
    """

    points: np.ndarray
    labelled: np.ndarray
    center: np.ndarray
    scale: np.ndarray
    filename: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.scale)


def load_people(pattern: Pattern) -> People:
    """All labels of the shards in `validation_dataset`'s order, without decoding a picture.

    Raises:
        ValueError: If no shard matches or one is damaged.
    """
    people = [record.person for record in read_records(find_shards(pattern))]
    if not people:
        raise ValueError(f"{describe(pattern)}: the shards hold no people")
    return People(
        points=np.stack([person.points for person in people]),
        labelled=np.stack([person.labelled for person in people]),
        center=np.stack([person.center for person in people]),
        scale=np.array([person.scale for person in people], np.float32),
        filename=tuple(person.filename for person in people),
    )
