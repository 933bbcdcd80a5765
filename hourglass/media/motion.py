"""Pictures that move, such as an animated GIF: their frames in turn, and how long each is shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from hourglass.core.errors import InputError
from hourglass.media.pictures import DECODER_ERRORS, opened, read_bytes, to_rgb

SHORTEST_SHOWN, USUALLY_SHOWN = 0.011, 0.1
"""Seconds: of a moving picture, browsers show what says less than the first for the second."""


class Motion:
    """The pictures of a file that moves, in turn, each with the seconds for which it is shown.

    Attributes:
        count: How many there are.
        first_seconds: For how long the first is shown.

    Raises:
        ValueError: As `read_picture`.
    """

    def __init__(self, path: Path) -> None:
        self._data, self._where = read_bytes(path), str(path)
        image = opened(self._data, self._where)
        self.first_seconds = _seconds_shown(image)
        try:
            self.count: int = getattr(image, "n_frames", 1)
        except DECODER_ERRORS as error:
            raise InputError(f"{self._where}: film is damaged ({error})") from error

    def __iter__(self) -> Iterator[tuple[np.ndarray, float]]:
        """Pictures (H, W, 3) uint8 RGB and seconds; one picture is decoded at a time.

        Raises:
            ValueError: Where the data end too early.
        """
        image = opened(self._data, self._where)
        for number in range(self.count):
            try:
                image.seek(number)
                image.load()
            except DECODER_ERRORS as error:
                raise InputError(
                    f"{self._where}: film is damaged, it ends after {number} of {self.count} frames"
                ) from error
            yield np.asarray(to_rgb(image)), _seconds_shown(image)


def _seconds_shown(image: Image.Image) -> float:
    seconds = float(image.info.get("duration") or 0) / 1000
    return seconds if seconds > SHORTEST_SHOWN else USUALLY_SHOWN
