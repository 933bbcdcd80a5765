"""Shards of drawn people, for benchmarks that need input and are given none."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from hourglass.records import Person, frame, to_example
from hourglass.shards import shard_name
from tools.make_synthetic import JPEG_QUALITY, Scene, draw_person

PICTURE_SIZE = 960
"""Longest side of a picture, px: people are then about as tall as MPII's, 600 px."""

PICTURES = 16
"""Different pictures; more people have the same ones again, which costs a reader as much."""


def write_shard(folder: Path, people: int) -> None:
    """Writes one training shard.

    Args:
        folder: Where it goes.
        people: How many records it holds.
    """
    drawn = min(people, PICTURES)
    scenes = [draw_person(0, "train", index=index, size=PICTURE_SIZE) for index in range(drawn)]
    records = [frame(_record(scene, name=f"{index}.jpg")) for index, scene in enumerate(scenes)]
    with (folder / shard_name("train", 1, 1)).open("wb") as file:
        for number in range(people):
            file.write(records[number % drawn])


def _record(scene: Scene, *, name: str) -> bytes:
    quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    _, encoded = cv2.imencode(".jpg", scene.image[..., ::-1], quality)
    person = Person(
        filename=name,
        points=np.where(scene.labelled[:, None], scene.points, -1.0).astype(np.float32),
        labelled=scene.labelled,
        center=scene.center.astype(np.float32),
        scale=scene.scale,
    )
    height, width = scene.image.shape[:2]
    return to_example(person, encoded=encoded.tobytes(), height=height, width=width)
