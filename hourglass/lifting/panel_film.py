"""A film of panels: everybody's in every frame, each person's always in one place.

A film's frames have one size. It is that of the people in the first frame, a row of panels each;
where more people come, all become smaller, so that there is room for everybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import cv2
import numpy as np

from hourglass.core.errors import InputError
from hourglass.core.pose import Pose
from hourglass.core.storage import Place
from hourglass.inference.pipeline import Seen, Writer
from hourglass.lifting.estimator import Body
from hourglass.lifting.panels import PAPER, SIZE, draw_panels
from hourglass.media.film_writer import FilmWriter
from hourglass.media.video import Reader

WIDTH = 4 * SIZE
"""Of a row of panels, px."""

DEGREES_PER_SECOND = 40.0
"""How fast the last panel's eye goes around."""


class PanelFilm:
    """Draws a film of panels in a thread of its own, beside the networks; a context manager.

    Args:
        path: The film to write.
        film: What is looked at.
        turn: Degrees at which the last panel's eye begins.

    Raises:
        ValueError: If the film cannot be written.
    """

    def __init__(self, path: Place, film: Reader, *, turn: float) -> None:
        self._film = FilmWriter(path, rate=film.rate, sound=film.sound)
        self._writer = Writer(threads=1)
        self._places, self._turn = Places(), turn
        self._rows = 0
        self._stack = ExitStack()

    def __enter__(self) -> PanelFilm:
        self._stack.enter_context(self._film)
        self._stack.enter_context(self._writer)
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)
        self._refuse_failures()

    def add(self, seen: Seen, bodies: Sequence[Body | None]) -> None:
        """Takes a frame.

        Args:
            seen: The frame and its people.
            bodies: One per pose; None of one who was not lifted, whose place stays empty.

        Raises:
            ValueError: If an earlier frame could not be written.
        """
        self._refuse_failures()
        places = self._places.of(seen.poses)
        self._rows = self._rows or max(1, len(places))
        count = self._places.count
        self._writer.submit(
            lambda: self._write(seen, bodies, places, count), pixels=seen.picture.size // 3
        )

    def _write(
        self, seen: Seen, bodies: Sequence[Body | None], places: list[int], count: int
    ) -> None:
        time = seen.frame.time if seen.frame else 0.0
        turn = self._turn + DEGREES_PER_SECOND * time
        panels = {
            place: draw_panels(seen.picture, pose, body, turn=turn)
            for place, pose, body in zip(places, seen.poses, bodies, strict=True)
            if body
        }
        self._film.write(arranged(panels, count, rows=self._rows), time)

    def _refuse_failures(self) -> None:
        if self._writer.failures:
            first = self._writer.failures[0]
            self._writer.failures.clear()
            raise InputError(first)


class Places:
    """Who has which place; those of people who have gone are given to others.

    Attributes:
        count: How many places there have ever been.
    """

    def __init__(self) -> None:
        self._holders: list[int | None] = []

    @property
    def count(self) -> int:
        return len(self._holders)

    def of(self, poses: Sequence[Pose]) -> list[int]:
        """The place of each person in a frame, from 0."""
        present = {pose.id for pose in poses}
        for pose in poses:
            if pose.id not in self._holders:
                free = (n for n, holder in enumerate(self._holders) if holder not in present)
                place = next(free, None)
                if place is None:
                    self._holders.append(pose.id)
                else:
                    self._holders[place] = pose.id
        return [self._holders.index(pose.id) for pose in poses]


def arranged(panels: dict[int, np.ndarray], count: int, *, rows: int) -> np.ndarray:
    """Rows of panels in one picture.

    Args:
        panels: (SIZE, WIDTH, 3) uint8 RGB, by their place.
        count: Of places.
        rows: That the picture has room for in full size.

    Returns:
        (rows · SIZE, WIDTH, 3) uint8 RGB; a grid of smaller ones if there are more places.
    """
    canvas = np.full((rows * SIZE, WIDTH, 3), PAPER, np.uint8)
    columns, zoom = 1, 1.0
    if count > rows:
        # As many columns as leave the panels as large as can be.
        columns = max(range(1, count + 1), key=lambda many: _zoom(many, count, rows))
        zoom = _zoom(columns, count, rows)
    height, width = int(SIZE * zoom), int(WIDTH * zoom)
    for place, panel in panels.items():
        row, column = divmod(place, columns)
        if zoom < 1:
            panel = cv2.resize(panel, (width, height), interpolation=cv2.INTER_AREA)
        canvas[row * height : (row + 1) * height, column * width : (column + 1) * width] = panel
    return canvas


def _zoom(columns: int, count: int, rows: int) -> float:
    return min(1 / columns, rows / -(-count // columns))
