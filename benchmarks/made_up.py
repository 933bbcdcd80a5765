"""Pictures, people and shards that benchmarks make up, so that they run without any data.

Noise at several scales costs a JPEG decoder as much as a photograph does; nobody is to be seen in
it, and no accuracy can be measured on it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from hourglass.core.person import VISIBLE, Person
from hourglass.core.skeleton import MPII
from hourglass.data.records import frame, to_example
from hourglass.data.shards import shard_name

SMALL, LARGE = (300, 200), (720, 1280)
"""Height and width of pictures, px: such as sports sets hold, and MPII's usual."""

PERSON_HEIGHT = 250
"""px."""

QUALITY = 90
SCENES = 20
"""Pictures drawn from scratch; the others are these, shifted."""

SHARDS = 8


@dataclass(frozen=True)
class Picture:
    """A JPEG and the person said to be in it."""

    encoded: bytes
    person: Person


def made_up_pictures(people: int, size: tuple[int, int]) -> Iterator[Picture]:
    """One person per picture, somewhere in it.

    Args:
        people: How many.
        size: Height and width of the pictures, px.
    """
    random = np.random.default_rng(0)
    scenes = [made_up_scene(random, *size) for _ in range(min(people, SCENES))]
    for number in range(people):
        shifts = [int(random.integers(side)) for side in size]
        picture = np.roll(scenes[number % len(scenes)], shifts, axis=(0, 1))
        out = io.BytesIO()
        Image.fromarray(picture).save(out, "JPEG", quality=QUALITY)
        center = random.uniform(0.2, 0.8, 2) * size[::-1]
        reach = np.linspace(-0.5, 0.5, len(MPII.joints)) * PERSON_HEIGHT
        points = center + np.stack([np.zeros(len(reach)), reach], axis=-1)
        yield Picture(
            out.getvalue(),
            Person(
                filename=f"{number:06d}.jpg",
                points=points.astype(np.float32),
                visibility=np.full(len(points), VISIBLE, np.uint8),
                center=center.astype(np.float32),
                scale=PERSON_HEIGHT / 200,
            ),
        )


def made_up_scene(random: np.random.Generator, height: int, width: int) -> np.ndarray:
    """(H, W, 3) uint8: noise at five scales, the coarsest the strongest."""
    picture = 128 + random.normal(0, 2, (height, width, 3))
    for cell, strength in ((200, 50), (50, 25), (12, 10), (3, 5)):
        shape = (-(-height // cell), -(-width // cell), 3)
        noise = random.normal(0, strength, shape).astype(np.float32)
        picture += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(picture, 0, 255).astype(np.uint8)


def made_up_shards(folder: Path, *, people: int, size: tuple[int, int]) -> str:
    """Writes training shards of `made_up_pictures`, and gives their pattern.

    Args:
        folder: Where they go.
        people: How many.
        size: Height and width of the pictures, px.
    """
    folder.mkdir(parents=True, exist_ok=True)
    height, width = size
    shards = min(people, SHARDS)
    paths = [folder / shard_name("train", number + 1, shards) for number in range(shards)]
    files = [path.open("wb") for path in paths]
    for number, picture in enumerate(made_up_pictures(people, size)):
        record = to_example(picture.person, encoded=picture.encoded, height=height, width=width)
        files[number % shards].write(frame(record))
    for file in files:
        file.close()
    return f"{folder}/train*"
