"""What comes before a build: pictures are found or written, and the labels described."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from loguru import logger
from PIL import Image

from hourglass.core.skeleton import MPII, Skeleton
from hourglass.data.building.gathering import find_pictures, tell
from hourglass.data.readers.label_set import Labels, make_person


def make_labels(skeleton: Skeleton, **fields: object) -> Labels:
    points = np.random.default_rng(0).uniform(10, 50, (len(skeleton.joints), 2))
    visibility = np.full(len(points), 2)
    people = {
        split: [make_person(f"{split}.png", points, visibility, box=(5, 5, 50, 50))]
        for split in ("train", "validation")
    }
    return Labels(skeleton, people, **fields)  # type: ignore[arg-type]


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What is logged, with its level."""
    found: list[str] = []
    sink = logger.add(found.append, format="{level} {message}")
    yield found
    logger.remove(sink)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for split in ("train", "validation"):
        Image.new("RGB", (60, 60)).save(tmp_path / f"{split}.png")
    return tmp_path


def test_derived_mirror_pairs_are_printed(images: Path, lines: list[str]):
    tell(make_labels(Skeleton.of_names("fly", ("wingL", "wingR", "head"))), images)
    assert lines == [
        "INFO skeleton fly: 3 joints; mirrored: wingR/wingL\n",
        "INFO train: 1 people in 1 pictures\n",
        "INFO validation: 1 people in 1 pictures\n",
    ]


def test_a_skeleton_without_sides_says_that_nothing_is_flipped(images: Path, lines: list[str]):
    tell(make_labels(Skeleton.of_names("door", ("1", "2"))), images)
    assert "mirrored: none, so that training will not flip pictures" in lines[0]


def test_a_built_in_skeleton_is_known(images: Path, lines: list[str]):
    tell(make_labels(MPII), images)
    assert lines[0] == "INFO skeleton mpii: 16 joints\n"


def test_notes_and_findings_are_warnings(images: Path, lines: list[str]):
    labels = make_labels(MPII, notes=["2 annotations are crowds: left out"])
    people = {**labels.people, "validation": labels.people["train"]}
    tell(replace(labels, people=people), images)
    assert lines[3] == "WARNING 2 annotations are crowds: left out\n"
    assert lines[4].startswith("WARNING 1 pictures are in training and in validation")


def test_a_given_folder_is_taken(tmp_path: Path):
    assert find_pictures(make_labels(MPII), tmp_path, tmp_path / "there") == tmp_path / "there"


def test_frames_of_films_are_written_where_asked(tmp_path: Path, lines: list[str]):
    frames = {"train.png": lambda: np.zeros((60, 60, 3), np.uint8)}
    labels = make_labels(MPII, frames=frames)
    with pytest.raises(ValueError, match=r"labels 1 frames of films; say with --images into"):
        find_pictures(labels, tmp_path / "labels.slp", None)
    folder = tmp_path / "frames"
    assert find_pictures(labels, tmp_path / "labels.slp", folder) == folder
    assert (folder / "train.png").is_file()
    assert lines == [f"INFO 1 labelled frames written to {folder}\n"]
    find_pictures(labels, tmp_path / "labels.slp", folder)
    assert len(lines) == 1
