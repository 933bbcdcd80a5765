"""A film of panels: everybody has a place that stays, and there is room for all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hourglass.core.pose import Pose
from hourglass.core.skeleton import MPII
from hourglass.inference.pipeline import Seen
from hourglass.lifting.estimator import Body
from hourglass.lifting.panel_film import WIDTH, PanelFilm, Places, arranged
from hourglass.lifting.panels import SIZE
from hourglass.media.video import Film, Frame, Reader


def pose(number: int) -> Pose:
    points = np.random.default_rng(number).uniform(20, 60, (16, 2)).astype(np.float32)
    return Pose(points, np.ones(16, np.float32), MPII, (10, 10, 60, 60), number)


def test_a_place_is_kept_and_given_on_when_its_holder_is_gone() -> None:
    places = Places()
    assert places.of([pose(1), pose(2)]) == [0, 1]
    assert places.of([pose(2)]) == [1]
    assert places.of([pose(1), pose(2)]) == [0, 1]  # who comes back in time has it still
    assert places.of([pose(2), pose(3)]) == [1, 0]
    assert places.of([pose(4), pose(3), pose(2)]) == [2, 0, 1]
    assert places.count == 3
    assert places.of([]) == []
    assert places.count == 3


@pytest.mark.parametrize(
    ("count", "rows", "zoom"),
    [(1, 1, 1), (2, 3, 1), (2, 1, 1 / 2), (4, 1, 1 / 2), (5, 1, 1 / 3), (5, 4, 4 / 5)],
)
def test_panels_are_as_large_as_there_is_room_for(count: int, rows: int, zoom: float) -> None:
    panels = {
        place: np.full((SIZE, WIDTH, 3), 10 * (place + 1), np.uint8) for place in range(count)
    }
    picture = arranged(panels, count, rows=rows)
    assert picture.shape == (rows * SIZE, WIDTH, 3)
    for place in range(count):
        area = (picture[..., 0] == 10 * (place + 1)).sum()
        assert area == int(zoom * SIZE) * int(zoom * WIDTH)
    empty = arranged({}, count, rows=rows)
    assert (empty == 255).all()


class Sheets(Reader):
    name = "sheets"

    def _source_rate(self) -> float:
        return 10.0

    def _promised(self) -> int:
        return 3

    def __iter__(self) -> Iterator[Frame]:
        for number in range(3):
            yield Frame(np.full((90, 120, 3), 90, np.uint8), number, number / 10)


def test_people_who_come_later_are_in_the_film_too(tmp_path: Path, moving: np.ndarray) -> None:
    body = Body(moving[0].astype(np.float32), np.ones(17, np.float32))
    film = Sheets(every=1)
    with PanelFilm(tmp_path / "a.mp4", film, turn=30.0) as panels:
        for frame, count in zip(film, (1, 2, 2), strict=True):
            people = [pose(number + 1) for number in range(count)]
            panels.add(Seen(frame.picture, people, frame=frame), [body] * count)
    first, second, third = (frame.picture for frame in Film(tmp_path / "a.mp4"))
    assert first.shape == (SIZE, WIDTH, 3)

    def used(picture: np.ndarray) -> tuple[bool, bool]:
        dark = picture.min(axis=-1) < 200
        return bool(dark[: SIZE // 2].any()), bool(dark[SIZE // 2 :].any())

    assert used(first) == used(second) == used(third) == (True, True)
    # Half as large: the right half of the film is free.
    assert (first[:, WIDTH // 2 :].min(axis=-1) < 200).any()
    assert not (second[:, WIDTH // 2 + 8 :].min(axis=-1) < 200).any()


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    def write() -> None:
        film = Sheets(every=1)
        with PanelFilm(tmp_path / "none" / "a.mp4", film, turn=0.0) as panels:
            for frame in film:
                panels.add(Seen(frame.picture, [], frame=frame), [])

    with pytest.raises(ValueError, match=r"a\.mp4: film cannot be written"):
        write()
