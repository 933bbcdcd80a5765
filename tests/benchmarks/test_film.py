"""The film's benchmark: its film shows who it says, and its rows say what they measure."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.film import PHOTOGRAPH, overlap_row, write_film
from hourglass.inference.detection import PeopleDetector
from hourglass.media.video import Film


@pytest.mark.parametrize("people", [1, 5])
def test_the_film_shows_as_many_people_as_it_says(tmp_path: Path, people: int):
    assert PHOTOGRAPH.is_file()
    boxes = write_film(tmp_path / "a.mp4", (360, 640), people, 5)
    frames = list(Film(tmp_path / "a.mp4"))
    assert len(frames) == 5
    assert len(boxes) == people
    assert len(PeopleDetector()(frames[2].picture)) == people


def test_the_whole_is_compared_with_the_slowest_stage():
    seconds = {"reading": 1.0, "network": 4.0, "writing": 2.0, "whole": 5.0}
    row = overlap_row("a film", seconds, 100)
    assert (row.value, row.limit, row.ratio) == (50.0, 40.0, 0.8)
    assert "network alone; reading 10.0, network 40.0, writing 20.0 ms" in row.what
