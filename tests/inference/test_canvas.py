"""Where a film's people are drawn: with the pixels' shape that the film's first frame tells."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hourglass.inference.canvas import Canvas
from hourglass.inference.look import Look
from hourglass.inference.pipeline import Seen
from hourglass.media.video import Film, Frame, Reader


class Turned(Reader):
    """A film that says with its first frame that its pixels lie on their side."""

    name = "turned"
    pixel_aspect = 2.0

    def _source_rate(self) -> float:
        return 25.0

    def _promised(self) -> int:
        return 3

    def __iter__(self) -> Iterator[Frame]:
        self.pixel_aspect = 0.5
        for number in range(3):
            yield Frame(np.full((48, 64, 3), 90, np.uint8), number, number / 25)


def test_pixels_that_are_no_squares_are_drawn_as_the_frames_are(tmp_path: Path):
    film = Turned(every=1)
    with Canvas(film, tmp_path / "a.mp4", Look(), None, show=False) as canvas:  # type: ignore[arg-type]
        for frame in film:
            assert canvas.draw(Seen(frame.picture, [], frame=frame))
    assert Film(tmp_path / "a.mp4").pixel_aspect == pytest.approx(0.5)
