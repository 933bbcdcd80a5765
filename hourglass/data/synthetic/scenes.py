"""A small drawn dataset in MPII's JSON layout, for tests, examples and first trainings.

Everything that invents a person lives here: the pose in space, the looks, the background, and the
annotation with its 1-based pixels. Reading annotations is the readers' work, not this module's.
Inside this module coordinates are the project's own, 0-based with a pixel's centre at its index;
`annotate` alone turns them into MPII's.

Space is measured in statures (the standing figure's height is 1): x to the right of the picture,
y down, z towards the viewer. A person that faces the viewer has the left side at positive x.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from hourglass.core.errors import InputError
from hourglass.core.files import write_file
from hourglass.core.geometry import REFERENCE_HEIGHT
from hourglass.core.skeleton import MPII
from hourglass.data.readers.mpii_json import CENTER_SHIFT
from hourglass.data.synthetic.figures import (
    random_figure,
    random_occluder,
    random_pose,
    random_view,
)
from hourglass.data.synthetic.painting import draw_part, find_hidden, random_background

SPLITS = ("train", "validation")


JPEG_QUALITY = 90


HIDDEN_LABELLED = 0.7
"""Share of the hidden joints that stay labelled, as MPII's occluded ones do."""


OCCLUDED_PICTURES = 0.3
"""Share of the pictures in which something stands in front of the person."""


CUT_PICTURES = 0.15
"""Share of the people that an edge of the picture cuts."""


@dataclass(frozen=True)
class Scene:
    """One picture and what is known about its person.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        points: (16, 2) float64, 0-based px, of every joint, labelled or not.
        hidden: (16,) bool, drawn over by something else.
        labelled: (16,) bool, in the annotation; never a joint outside of the picture.
        center: (2,) float64, 0-based px, the middle of the person's box.
        scale: Standing height in px / 200.
    """

    image: np.ndarray
    points: np.ndarray
    hidden: np.ndarray
    labelled: np.ndarray
    center: np.ndarray
    scale: float


def random_placement(
    rng: np.random.Generator, low: np.ndarray, high: np.ndarray, *, size: int
) -> tuple[tuple[int, int], np.ndarray]:
    """Picture (width, height) px, and where in it (2,) px a box from `low` to `high` moves."""
    extent, margin = high - low, 0.04 * size
    sides = np.maximum(rng.integers(round(0.62 * size), size + 1, 2), extent + 2.0 * margin)
    sides = np.ceil(sides).astype(int)
    offset = margin + rng.random(2) * (sides - extent - 2.0 * margin) - low
    if rng.random() < CUT_PICTURES:
        axis = rng.integers(2)
        overhang = extent[axis] * rng.uniform(0.05, 0.3)
        if rng.random() < 0.5:
            offset[axis] = -overhang - low[axis]
        else:
            offset[axis] = sides[axis] - 1.0 + overhang - high[axis]
    return (int(sides[0]), int(sides[1])), offset


def random_scene(rng: np.random.Generator, *, size: int) -> Scene:
    """Invent one picture of one person, on sides of about 0.6 to 1 times `size` px."""
    stature = size * rng.uniform(0.35, 0.65)
    view = random_view(rng)
    space = {name: stature * (view @ point) for name, point in random_pose(rng).items()}
    joints = np.stack([space[name][:2] for name in MPII.joints])
    low, high = joints.min(axis=0), joints.max(axis=0)
    (width, height), offset = random_placement(rng, low, high, size=size)
    space = {name: point + np.append(offset, 0.0) for name, point in space.items()}
    points = np.round(joints + offset, 2)
    parts = random_figure(rng, space, stature=stature)
    if rng.random() < OCCLUDED_PICTURES:
        parts.append(random_occluder(rng, space, stature=stature))
    hidden = find_hidden(parts, points)
    inside = np.all((points >= 0.0) & (points <= [width - 1, height - 1]), axis=1)
    labelled = inside & (~hidden | (rng.random(len(points)) < HIDDEN_LABELLED))
    image = random_background(rng, width=width, height=height)
    for part in parts:
        draw_part(image, part, rng=rng)
    return Scene(
        finish(rng, image),
        points,
        hidden,
        labelled,
        (low + high) / 2.0 + offset,
        stature / REFERENCE_HEIGHT,
    )


def finish(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Exposure and grain of a camera: float32 to uint8."""
    grain = np.frombuffer(rng.bytes(image.size), np.uint8).reshape(image.shape)
    amplitude = rng.uniform(0.02, 0.08)
    image = image * rng.uniform(0.85, 1.1) + amplitude * (grain.astype(np.float32) - 127.5)
    return np.clip(image, 0.0, 255.0).astype(np.uint8)


def draw_person(seed: int, split: str, *, index: int, size: int = 260) -> Scene:
    """Picture `index` of a split; it depends on nothing but these arguments."""
    return random_scene(np.random.default_rng([seed, SPLITS.index(split), index]), size=size)


def annotate(scene: Scene, *, image: str) -> dict[str, object]:
    """One entry of the JSON file: MPII's 1-based pixels and its raised centre."""
    raised = scene.center - [0.0, CENTER_SHIFT * scene.scale]
    joints = np.where(scene.labelled[:, None], scene.points + 1.0, -1.0)
    return {
        "image": image,
        "joints": joints.round(2).tolist(),
        "joints_vis": scene.labelled.astype(int).tolist(),
        "center": (raised + 1.0).round(2).tolist(),
        "scale": round(scene.scale, 6),
    }


def save_picture(path: Path, image: np.ndarray) -> None:
    _, encoded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    path.write_bytes(encoded.tobytes())


def check(output: Path, *, train: int, validation: int, seed: int, size: int) -> None:
    for option, value, least in (
        ("--train", train, 1),
        ("--validation", validation, 1),
        ("--seed", seed, 0),
        ("--size", size, 64),
    ):
        if value < least:
            raise InputError(f"{option}: received {value}, but at least {least} is needed")
    if output.exists() and not output.is_dir():
        raise InputError(
            f"--output: {output} is a file; a folder, or the name of a new one, is needed"
        )


@contextlib.contextmanager
def write_errors_told(output: Path) -> Iterator[None]:
    """Turn the system's refusal to write into one line."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"--output: cannot write to {error.filename or output} ({error.strerror}); "
            "a folder that can be written is needed"
        ) from error


def annotation_files(output: Path) -> dict[str, Path]:
    """Where each split's labels go."""
    return {split: output / "annotations" / f"{split}.json" for split in SPLITS}


def make_synthetic(
    output: Path, *, train: int, validation: int, seed: int, size: int = 260
) -> dict[str, Path]:
    """Draw both splits under `output`.

    Args:
        output: Folder for `annotations/` and `images/`; files of the same names are replaced.
        train: Pictures to train on, at least 1.
        validation: Pictures to validate on, at least 1.
        seed: Any number from 0; the same seed gives the same bytes.
        size: Longest side of a picture in px, at least 64.

    Returns:
        The annotation file of each split.

    Raises:
        ValueError: If an argument is out of range, `output` is a file or it cannot be written.
    """
    check(output, train=train, validation=validation, seed=seed, size=size)
    annotations = annotation_files(output)
    with write_errors_told(output):
        for folder in ("annotations", "images"):
            (output / folder).mkdir(parents=True, exist_ok=True)
        for split, count in zip(SPLITS, (train, validation), strict=True):
            # An older file must not outlive its pictures when this run is cut short.
            annotations[split].unlink(missing_ok=True)
            people = []
            for index in tqdm(range(count), desc=split, unit="picture", disable=None):
                scene = draw_person(seed, split, index=index, size=size)
                name = f"{split}_{index:05d}.jpg"
                save_picture(output / "images" / name, scene.image)
                people.append(annotate(scene, image=name))
            write_file(annotations[split], json.dumps(people) + "\n")
    return annotations
