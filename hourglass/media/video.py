"""Films and cameras in, films out, by OpenCV; frames are RGB arrays."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

SHORTEST = 0.9
"""A film of fewer of the frames that it promises is damaged; some promise a few too many."""

DEFAULT_RATE = 25.0
"""Frames per second where a camera or film does not say."""

SMALLEST_SIDE = 16
"""Smallest side of a film that is written, px: below it codecs fail in ways of their own."""

CODECS = {".mp4": "mp4v", ".m4v": "mp4v", ".mov": "mp4v", ".avi": "MJPG", ".mkv": "mp4v"}
"""What OpenCV's own builds can write everywhere, by the file's ending."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a film.

    Attributes:
        picture: (H, W, 3) uint8 RGB.
        number: Its place in the film, from 0.
        time: Seconds since the film's start.
    """

    picture: np.ndarray
    number: int
    time: float


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keeps OpenCV from printing why it cannot open a file: the error raised says so."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


class Film:
    """A film or camera, opened; iterate over it for its frames.

    Args:
        source: A film's file, or a camera's number.
        every: Take each `every`-th frame only.

    Raises:
        ValueError: If it cannot be opened.
    """

    def __init__(self, source: Path | int, *, every: int = 1) -> None:
        self._every, self._source = every, source
        self._name = f"camera {source}" if isinstance(source, int) else str(source)
        if isinstance(source, int):
            refusal = f"camera {source}: cannot be opened; is it there, and free?"
        else:
            refusal = f"{source}: no film, a damaged one, or one of a codec that OpenCV lacks"
            if not source.is_file():
                raise ValueError(f"{source}: no such film")
        try:
            with _silent():
                self._capture = cv2.VideoCapture(source if isinstance(source, int) else str(source))
        except cv2.error as error:  # a number beyond C's
            raise ValueError(refusal) from error
        if not self._capture.isOpened():
            raise ValueError(refusal)
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self._source_rate = rate if np.isfinite(rate) and 0 < rate < 1000 else DEFAULT_RATE

    @property
    def rate(self) -> float:
        """Frames taken per second of film."""
        return self._source_rate / self._every

    @property
    def frames(self) -> int | None:
        """How many frames there are to take, by the film's own word; None if it does not say."""
        count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        return -(-count // self._every) if count > 0 else None

    def __iter__(self) -> Iterator[Frame]:
        """The frames, in order.

        Raises:
            ValueError: If there is not one.
        """
        number = 0
        promised = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        try:
            grabbed = self._capture.grab()
            if not grabbed:
                raise ValueError(f"{self._name}: not one frame can be read")
            while grabbed:
                if number % self._every == 0:
                    done, picture = self._capture.retrieve()
                    if done:
                        yield Frame(picture[..., ::-1], number, number / self._source_rate)
                number += 1
                grabbed = self._capture.grab()
            if isinstance(self._source, Path) and number < SHORTEST * promised:
                raise ValueError(
                    f"{self._name}: film is damaged, it ends after {number} of "
                    f"{promised:.0f} frames"
                )
        finally:
            self._capture.release()


class FilmWriter:
    """A film that grows frame by frame; a context manager.

    Args:
        path: The file; its ending says which kind.
        rate: Frames per second.

    Raises:
        ValueError: If the ending is none that can be written.
    """

    def __init__(self, path: Path, *, rate: float) -> None:
        self.path, self._rate = path, rate
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)
        if path.suffix.lower() not in CODECS:
            raise ValueError(
                f"{path}: films are written as {', '.join(CODECS)}, not {path.suffix or 'this'}"
            )

    def __enter__(self) -> FilmWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._writer:
            self._writer.release()

    def write(self, picture: np.ndarray) -> None:
        """Adds a frame (H, W, 3) uint8 RGB; all have the size of the first.

        A side of an odd number of pixels gains one, which codecs demand.

        Raises:
            ValueError: If the film cannot be written, or the frame is of another size or too small.
        """
        height, width = picture.shape[:2]
        even = cv2.copyMakeBorder(picture, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        if self._writer is None:
            self._size = (even.shape[1], even.shape[0])
            self._writer = self._open(*self._size)
        if (even.shape[1], even.shape[0]) != self._size:
            raise ValueError(
                f"{self.path}: a frame of {width}×{height} px in a film of "
                f"{self._size[0]}×{self._size[1]}"
            )
        self._writer.write(np.ascontiguousarray(even[..., ::-1]))

    def _open(self, width: int, height: int) -> cv2.VideoWriter:
        if min(width, height) < SMALLEST_SIDE:
            raise ValueError(
                f"{self.path}: frames of {width}×{height} px, each side must be {SMALLEST_SIDE} "
                "or more"
            )
        codec = cv2.VideoWriter.fourcc(*CODECS[self.path.suffix.lower()])
        with _silent():
            writer = cv2.VideoWriter(str(self.path), codec, self._rate, (width, height))
        if not writer.isOpened():
            raise ValueError(f"{self.path}: film cannot be written, or its codec is missing")
        return writer
