"""The detector's benchmark: people are as large as it says, and where it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.detection import CANVAS, measure, placed
from hourglass.core.person import NOT_LABELLED, VISIBLE, Person

PICTURES = Path(__file__).parents[1] / "pictures"


def astronaut() -> Person:
    """Her box in the photograph, by eye, as two labelled joints."""
    points = np.full((16, 2), -1.0, np.float32)
    points[:2] = [50, 58], [320, 450]
    visibility = np.where(points[:, 0] < 0, NOT_LABELLED, VISIBLE).astype(np.uint8)
    return Person("astronaut.jpg", points, visibility, np.zeros(2, np.float32), 1.0)


@pytest.mark.parametrize("size", [600, 120, 25])
def test_a_person_is_as_large_as_it_says(size: int):
    picture, box = placed(astronaut(), PICTURES / "astronaut.jpg", size)
    assert picture.shape == (*CANVAS, 3)
    assert max(box[2:]) == pytest.approx(size)
    x, y, width, height = map(round, box)
    inside = picture[max(0, y) : y + height, max(0, x) : x + width]
    assert (inside != 128).any(axis=-1).mean() > 0.9


def test_who_is_large_is_found_and_who_is_tiny_is_not(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("benchmarks.detection.SIZES", (240, 4))
    rows = measure([astronaut()], PICTURES)
    told = {row.what: row.value for row in rows}
    for side in (416, 640):
        assert told[f"people of 240 px found with an input of {side} px"] == 100
        assert told[f"people of 4 px found with an input of {side} px"] == 0
        assert told[f"a look with {side} px"] > 0
