"""Where a film's people are drawn: a film to write, a window on the screen, or neither."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import numpy as np

from hourglass.core.errors import InputError
from hourglass.core.storage import Place
from hourglass.inference.estimator import PoseEstimator
from hourglass.inference.look import Look
from hourglass.inference.pipeline import Seen, Writer
from hourglass.media.film_writer import FilmWriter
from hourglass.media.video import Reader
from hourglass.media.window import Window


class Canvas:
    """Draws a film's people in a thread of its own, beside the network; a context manager.

    Args:
        film: What is looked at.
        drawn: The film to write, or None.
        look: How people are drawn.
        estimator: The network.
        show: Show the film in a window, too. Windows belong to the main thread, which then draws.

    Raises:
        ValueError: If the film cannot be written, or there is no window.
    """

    def __init__(
        self, film: Reader, drawn: Place | None, look: Look, estimator: PoseEstimator, *, show: bool
    ) -> None:
        self._source, self._look, self._estimator = film, look, estimator
        self._stack = ExitStack()
        self._film: FilmWriter | None = None
        self._window: Window | None = None
        if drawn:
            self._film = FilmWriter(drawn, rate=film.rate, sound=film.sound)
        if show:
            self._window = Window()
        self._writer = Writer(threads=1)

    def __enter__(self) -> Canvas:
        with ExitStack() as opened:
            for part in (self._film, self._window, self._writer):
                if part is not None:
                    opened.enter_context(part)
            self._stack = opened.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)
        self._refuse_failures()

    def draw(self, seen: Seen) -> bool:
        """Takes a frame; False once the user wants no more.

        Raises:
            ValueError: If an earlier frame could not be written.
        """
        self._refuse_failures()
        if self._window:
            picture = self._look.draw(seen.picture, seen.poses, self._estimator)
            self._write(picture, seen)
            return self._window.show(picture)
        if self._film:
            self._writer.submit(lambda: self._write(None, seen), pixels=seen.picture.size // 3)
        return True

    def _write(self, picture: np.ndarray | None, seen: Seen) -> None:
        if self._film:
            if picture is None:
                picture = self._look.draw(seen.picture, seen.poses, self._estimator)
            self._film.pixel_aspect = self._source.pixel_aspect
            self._film.write(picture, seen.frame.time if seen.frame else None)

    def _refuse_failures(self) -> None:
        if self._writer.failures:
            first = self._writer.failures[0]
            self._writer.failures.clear()
            raise InputError(first)
