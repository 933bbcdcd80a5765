"""Films, moving pictures, network streams and cameras in; frames are RGB arrays.

`open_film` chooses the reader: PyAV (FFmpeg, inside its wheel) for films and streams, Pillow for
moving pictures, OpenCV for cameras. Nothing is written here: that is `media.film_writer`.
"""

from __future__ import annotations

import contextlib
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from hourglass.core.copies import local_copy
from hourglass.core.errors import InputError
from hourglass.core.storage import Url, redacted
from hourglass.media.inputs import Source
from hourglass.media.kinds import is_animated
from hourglass.media.motion import Motion

SHORTEST = 0.9
"""A film of fewer of the frames that it promises is damaged; some promise a few too many."""

DEFAULT_RATE = 25.0
"""Frames per second where a camera or film does not say."""

FASTEST = 1000.0
"""Rates above it are mistakes, frames per second."""

TIME_BASE = 1_000_000
"""FFmpeg's time steps per second where no stream has its own."""

PATIENCE = 10.0
"""Seconds to wait for a network stream before giving up."""

CLOCK = re.compile(r"\d+:\d+:\d+(\.\d+)?$")
"""How Matroska notes for how long a stream lasts."""

LIVE_PROTOCOLS = ("rtsp", "rtsps", "rtmp", "rtmps", "srt", "udp", "rtp")
"""Of streams that go on by themselves, whether they are looked at or not."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a film.

    Attributes:
        picture: (H, W, 3) uint8 RGB.
        number: Its place in the film, from 0.
        time: Seconds since the film's first frame.
    """

    picture: np.ndarray
    number: int
    time: float


class Reader(ABC):
    """Something that gives frames; iterate over it once. `open_film` makes one.

    Attributes:
        name: What messages call it.
        live: Whether it goes on by itself, so that frames must not wait.
        sound: What `media.film_writer` can copy its sound from, or None.
        pixel_aspect: Width of a pixel over its height, which is 1 but in films of old formats. It
            is right once the first frame is there, which says whether it is turned.
    """

    name: str
    live = False
    sound: Path | str | None = None
    pixel_aspect = 1.0

    def __init__(self, *, every: int) -> None:
        self._every = every

    @property
    def rate(self) -> float:
        """Frames taken per second of film."""
        return self._source_rate() / self._every

    @property
    def frames(self) -> int | None:
        """How many frames there are to take, by the film's own word; None if it does not say."""
        count = self._promised()
        return -(-count // self._every) if count > 0 else None

    def _takes(self, number: int) -> bool:
        return number % self._every == 0

    @abstractmethod
    def _source_rate(self) -> float: ...

    @abstractmethod
    def _promised(self) -> int: ...

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]: ...


def open_film(source: Source, *, every: int = 1) -> Reader:
    """Opens a film, moving picture, camera or network stream.

    Args:
        source: A file, here or at a URL, a camera's number, or an address such as rtsp://...
        every: Take each `every`-th frame only.

    Raises:
        ValueError: If it cannot be opened.
    """
    if isinstance(source, int):
        return Camera(source, every=every)
    if isinstance(source, Url):
        film = open_film(_copied(source), every=every)
        film.name = str(source)
        return film
    if isinstance(source, Path) and is_animated(source):
        return MovingPicture(source, every=every)
    return Film(source, every=every)


def _copied(film: Url) -> Path:
    try:
        return local_copy(film)
    except OSError as error:
        raise InputError(str(error)) from error


class Film(Reader):
    """A film's file or a network stream, decoded by FFmpeg.

    Frames keep the times that the film gives them, and are turned as a phone's note says.

    Args:
        source: A file, or an address.
        every: Take each `every`-th frame only.
        patience: Seconds to wait for a network stream.

    Raises:
        ValueError: If it cannot be opened, or holds no pictures.
    """

    def __init__(self, source: Path | str, *, every: int = 1, patience: float = PATIENCE) -> None:
        super().__init__(every=every)
        self.name = redacted(str(source))
        self.live = isinstance(source, str) and source.startswith(LIVE_PROTOCOLS)
        if isinstance(source, Path) and not source.is_file():
            raise InputError(f"{source}: no such film")
        self._container = open_container(source, patience=patience)
        if not self._container.streams.video:
            self._container.close()
            raise InputError(f"{self.name}: no film, it holds no pictures")
        self._stream = self._container.streams.video[0]
        # Decoding whole frames side by side delays them by as many.
        self._stream.thread_type = "SLICE" if self.live else "AUTO"
        if self._container.streams.audio and not self.live:
            self.sound = source
        self._local = isinstance(source, Path)
        # Kept, because a stream must not be asked once its film is closed.
        stream = self._stream
        rates = (stream.average_rate, stream.guessed_rate, stream.base_rate)
        known = [float(rate) for rate in rates if rate and 0 < rate < FASTEST]
        self._known_rate = known[0] if known else DEFAULT_RATE
        self.pixel_aspect = float(stream.sample_aspect_ratio or 1.0)
        self._count = int(stream.frames)
        self._seconds = 0.0 if self.live else self._promised_seconds()

    def _source_rate(self) -> float:
        return self._known_rate

    def _promised(self) -> int:
        return self._count or round(self._seconds * self._known_rate)

    def _promised_seconds(self) -> float:
        """How long the pictures last, by the film's own word; 0 if it does not say."""
        stream, container = self._stream, self._container
        if stream.duration:
            return float(stream.duration * stream.time_base)
        for name, told in stream.metadata.items():
            if name.upper().startswith("DURATION") and CLOCK.match(told):
                hours, minutes, seconds = told.split(":")
                return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
        # The sound may be longer than the pictures.
        alone = container.duration and not container.streams.audio
        return container.duration / TIME_BASE if alone else 0.0

    def __iter__(self) -> Iterator[Frame]:
        """The frames, in order.

        Raises:
            ValueError: If there is not one, or the film ends too early; names it.
        """
        if self._container is None:
            raise InputError(f"{self.name}: has been read already")
        number = 0
        start: float | None = None
        seconds, step, aspect = 0.0, 1 / self._source_rate(), self.pixel_aspect
        try:
            for decoded in self._decoded():
                if decoded is not None:
                    if decoded.time is None:
                        seconds += step if number else 0.0
                    else:
                        start = decoded.time if start is None else start
                        seconds = decoded.time - start
                    self.pixel_aspect = 1 / aspect if _quarters(decoded) % 2 else aspect
                    if self._takes(number):
                        yield Frame(_upright(decoded), number, seconds)
                number += 1
            if not number:
                raise InputError(f"{self.name}: not one frame can be read")
            if self._local:
                self._require_end(number, seconds + step)
        finally:
            self._container.close()
            self._container = None

    def _require_end(self, number: int, seconds: float) -> None:
        if self._count and number < SHORTEST * self._count:
            told = f"{number} of {self._count} frames"
        elif not self._count and seconds < SHORTEST * self._seconds:
            told = f"{seconds:.1f} of {self._seconds:.1f} seconds"
        else:
            return
        raise InputError(f"{self.name}: film is damaged, it ends after {told}")

    def _decoded(self) -> Iterator[av.VideoFrame | None]:
        """Each frame, or None in the place of one that cannot be decoded."""
        try:
            for packet in self._container.demux(self._stream):
                try:
                    yield from packet.decode()
                except av.error.InvalidDataError:
                    yield None
        except av.error.InvalidDataError:
            # Where the data end; how many frames are missing is told by their number.
            with contextlib.suppress(av.error.InvalidDataError):
                yield from self._stream.codec_context.decode(None)
        except av.error.FFmpegError as error:
            raise InputError(f"{self.name}: {_reason(error)}") from error


def open_container(source: Path | str, *, patience: float = PATIENCE) -> Any:
    """A film as FFmpeg sees it.

    Raises:
        ValueError: If it cannot be opened; names it.
    """
    options, local = {}, isinstance(source, Path)
    if isinstance(source, Path):
        # A file may be called like an address, and a list of files must not lead elsewhere.
        place: Any = f"file:{source}"
        options["protocol_whitelist"] = "file"
        try:
            place.encode()
        except UnicodeEncodeError:
            place = source.open("rb")
    else:
        place = source
        if source.startswith("rtsp"):
            options["rtsp_transport"] = "tcp"
    try:
        return av.open(place, options=options, timeout=None if local else patience)
    except av.error.FFmpegError as error:
        if isinstance(source, Path):
            told = f"no film, a damaged one, or one of a codec that FFmpeg lacks ({_reason(error)})"
        else:
            told = f"cannot be opened ({_reason(error)})"
        raise InputError(f"{redacted(str(source))}: {told}") from error


def _reason(error: av.error.FFmpegError) -> str:
    if isinstance(error, av.error.ExitError | av.error.TimeoutError):
        return f"no answer in {PATIENCE:.0f} s"
    return str(error.strerror)


def _upright(frame: av.VideoFrame) -> np.ndarray:
    """A frame's pixels (H, W, 3) uint8 RGB, turned as its note says, in quarters."""
    picture = frame.to_ndarray(format="rgb24", threads=0)
    quarters = _quarters(frame)
    return np.ascontiguousarray(np.rot90(picture, quarters)) if quarters % 4 else picture


def _quarters(frame: av.VideoFrame) -> int:
    """By how many quarters a frame is to be turned."""
    return round(frame.rotation / 90)


class MovingPicture(Reader):
    """A picture file that holds a film: GIF, APNG, WebP, AVIF.

    Raises:
        ValueError: If it cannot be opened.
    """

    def __init__(self, source: Path, *, every: int = 1) -> None:
        super().__init__(every=every)
        self.name = str(source)
        self._motion = Motion(source)

    def _source_rate(self) -> float:
        return min(FASTEST, 1 / self._motion.first_seconds)

    def _promised(self) -> int:
        return self._motion.count

    def __iter__(self) -> Iterator[Frame]:
        """The frames, in order.

        Raises:
            ValueError: If the film ends too early; names it.
        """
        start = 0.0
        for number, (picture, seconds) in enumerate(self._motion):
            if self._takes(number):
                yield Frame(picture, number, start)
            start += seconds


class Camera(Reader):
    """A camera of this machine; its frames' times are those of the clock.

    Args:
        source: Its number, from 0.
        every: Take each `every`-th frame only.

    Raises:
        ValueError: If it cannot be opened.
    """

    live = True

    def __init__(self, source: int, *, every: int = 1) -> None:
        super().__init__(every=every)
        self.name = f"camera {source}"
        refusal = f"camera {source}: cannot be opened; is it there, and free?"
        try:
            with _silent():
                self._capture = cv2.VideoCapture(source)
        except cv2.error as error:  # a number beyond C's
            raise InputError(refusal) from error
        if not self._capture.isOpened():
            raise InputError(refusal)

    def _source_rate(self) -> float:
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        return rate if np.isfinite(rate) and 0 < rate < FASTEST else DEFAULT_RATE

    def _promised(self) -> int:
        return 0

    def __iter__(self) -> Iterator[Frame]:
        """The frames as they come.

        Raises:
            ValueError: If there is not one.
        """
        number, start = 0, time.monotonic()
        try:
            grabbed = self._capture.grab()
            if not grabbed:
                raise InputError(f"{self.name}: not one frame can be read")
            while grabbed:
                if self._takes(number):
                    done, picture = self._capture.retrieve()
                    if done:
                        yield Frame(picture[..., ::-1], number, time.monotonic() - start)
                number += 1
                grabbed = self._capture.grab()
        finally:
            self._capture.release()


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keeps OpenCV from printing why it cannot open a camera: the error raised says so."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)
