"""A sheet of labels shows the crops of training, whichever format they come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hourglass.core.skeleton import RIGHT, Skeleton
from hourglass.data.readers.label_set import WHOLE, Labels, make_person
from hourglass.data.sheets import TILE, draw_crop, label_sheet
from hourglass.media.pictures import save_picture
from hourglass.media.sheets import sheet_width

SKELETON = Skeleton.of_names("two", ("r_ear", "l_ear"))


def make_labels(count: int, **fields: object) -> Labels:
    people = [
        make_person(
            f"{n}.png",
            np.array([[30.0, 20.0], [70.0, 20.0]]),
            np.array([2, 0]),
            box=(0, 0, 100, 80),
        )
        for n in range(count)
    ]
    return Labels(SKELETON, {WHOLE: people}, **fields)  # type: ignore[arg-type]


def test_a_label_lies_where_the_crop_puts_it():
    picture = np.zeros((80, 100, 3), np.uint8)
    drawn = draw_crop(picture, make_labels(1).people[WHOLE][0], SKELETON)
    # The crop is 125 px wide around (49.5, 39.5), drawn on 256 px.
    u = (30 - 49.5) * TILE / 125 + (TILE - 1) / 2
    v = (20 - 39.5) * TILE / 125 + (TILE - 1) / 2
    assert drawn[round(v), round(u)].tolist() == list(RIGHT)
    assert drawn[0, 0].tolist() == [128, 128, 128]  # outside of the picture


def test_as_many_people_as_asked_for(tmp_path: Path):
    for number in range(5):
        save_picture(np.full((80, 100, 3), number, np.uint8), tmp_path / f"{number}.png")
    labels = make_labels(5)
    sheet = label_sheet(labels, tmp_path, count=3, seed=0)
    assert sheet.shape[1] == sheet_width(TILE, 3)
    assert label_sheet(labels, tmp_path, count=9).shape[1] == sheet_width(TILE, 5)
    np.testing.assert_array_equal(sheet, label_sheet(labels, tmp_path, count=3, seed=0))
    assert not np.array_equal(sheet, label_sheet(labels, tmp_path, count=3, seed=4))


def test_frames_of_films_need_no_pictures(tmp_path: Path):
    frames = {"0.png": lambda: np.full((80, 100, 3), 200, np.uint8)}
    sheet = label_sheet(make_labels(1, frames=frames), tmp_path, count=1)
    assert (sheet == 200).any()


def test_a_missing_picture_is_named(tmp_path: Path):
    with pytest.raises(ValueError, match=r"0\.png: picture cannot be read"):
        label_sheet(make_labels(1), tmp_path, count=1)
