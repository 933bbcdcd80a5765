"""The labels of many people, as arrays, without their pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from hourglass.core.decoding import BLOCK
from hourglass.data.records import parse_examples
from hourglass.data.shards import count_people, find_shards, naming_damage


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


def load_people(pattern: str) -> People:
    """All labels of the shards in `validation_dataset`'s order, without decoding a picture.

    Raises:
        ValueError: If no shard matches or one is damaged.
    """
    paths = find_shards(pattern)
    count_people(paths)

    def labels(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        people = parse_examples(serialized)
        return {key: people[key] for key in ("points", "labelled", "center", "scale", "filename")}

    blocks = tf.data.TFRecordDataset(paths).batch(BLOCK).map(labels)
    with naming_damage(paths):
        rows = list(blocks.as_numpy_iterator())
    if not rows:
        raise ValueError(f"{pattern}: the shards hold no people")
    columns = {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}
    return People(
        filename=tuple(name.decode() for name in columns.pop("filename")),
        **columns,
    )
