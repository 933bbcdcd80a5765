"""A contact sheet of labels: the crops that training will see, with what it will learn on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hourglass.core.geometry import apply_affine, crop_matrix, warp
from hourglass.core.person import Person
from hourglass.core.skeleton import Skeleton
from hourglass.data.readers.label_set import WHOLE, Labels
from hourglass.media.pictures import read_picture
from hourglass.media.sheets import draw_labels, draw_legend, draw_sheet, sheet_width

TILE = 256
"""Side of a crop, px: what the networks take."""

COLUMNS = 6


def label_sheet(
    labels: Labels, images: Path, *, count: int, seed: int = 0, columns: int = COLUMNS
) -> np.ndarray:
    """People's crops with their labels, and a legend of the joints.

    Args:
        labels: Of any number of splits, of each of which a part is shown.
        images: Folder of the pictures.
        count: Most people to show.
        seed: Decides who is shown.
        columns: Crops in a row.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ValueError: If a picture cannot be read.
    """
    everyone = [(split, person) for split, people in labels.people.items() for person in people]
    order = np.random.default_rng(seed).permutation(len(everyone))[:count]
    chosen = [everyone[index] for index in sorted(order)]
    columns = min(columns, len(chosen))
    legend = draw_legend(labels.skeleton, width=sheet_width(TILE, columns))
    tiles = [draw_person(person, labels, images) for _, person in chosen]
    captions = [
        person.filename if split == WHOLE else f"{split}: {person.filename}"
        for split, person in chosen
    ]
    return draw_sheet(tiles, captions, columns=columns, legend=legend)


def draw_person(person: Person, labels: Labels, images: Path) -> np.ndarray:
    """One person's crop with labels, (256, 256, 3) uint8 RGB."""
    frame = labels.frames.get(person.filename)
    picture = frame() if frame else read_picture(images / person.filename)
    return draw_crop(picture, person, labels.skeleton)


def draw_crop(picture: np.ndarray, person: Person, skeleton: Skeleton) -> np.ndarray:
    """The crop of a person in a picture (H, W, 3) uint8 RGB, with labels."""
    matrix = crop_matrix(person.center, person.scale, size=TILE)
    points = apply_affine(matrix, person.points)
    return draw_labels(
        warp(picture, matrix, size=TILE), points, person.visibility, skeleton=skeleton
    )
