"""Films out, by PyAV (FFmpeg): kinds that browsers play, each frame at its time, with sound."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import av
import av.filter
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from hourglass.core.errors import InputError
from hourglass.core.files import aside, publish
from hourglass.core.storage import Place
from hourglass.media.sound import Sound
from hourglass.media.video import open_container

SMALLEST_SIDE = 16
"""Smallest side of a film that is written, px: below it codecs fail in ways of their own."""

TICKS = 90_000
"""Time steps per second: whole numbers of them for every common rate of frames."""

GIF_TICKS, GIF_SHORTEST = 100, 2
"""A GIF's time steps per second, and the fewest for which browsers show a picture."""

BT709 = 1
"""FFmpeg's number for the colours of high-definition films, which the file is marked with."""


@dataclass(frozen=True)
class Kind:
    """How films of an ending are written.

    Attributes:
        codec: FFmpeg's encoder of pictures.
        options: Its settings.
        sounds: Codecs of sound that are copied; None for every one.
        sound_codec: FFmpeg's encoder for others; None for a film without sound.
        container: Settings of the file.
    """

    codec: str
    options: dict[str, str]
    sounds: frozenset[str] | None = None
    sound_codec: str | None = None
    container: dict[str, str] = field(default_factory=dict)


H264 = {"crf": "20", "preset": "veryfast"}
VP9 = {"crf": "30", "b": "0", "deadline": "realtime", "cpu-used": "7", "row-mt": "1"}
PLAYED = frozenset({"aac", "mp3", "mp3float", "opus", "flac"})
FASTSTART = {"movflags": "+faststart"}

KINDS = {
    ".mp4": Kind("libx264", H264, PLAYED, "aac", FASTSTART),
    ".m4v": Kind("libx264", H264, PLAYED, "aac", FASTSTART),
    ".mov": Kind("libx264", H264, PLAYED, "aac", FASTSTART),
    ".mkv": Kind("libx264", H264, None, "aac"),
    ".webm": Kind("libvpx-vp9", VP9, frozenset({"opus", "vorbis"}), "libopus"),
    ".gif": Kind("gif", {}),
}
"""By the film's ending. H.264 in MP4 and VP9 in WebM play in every browser."""


class FilmWriter:
    """A film that grows frame by frame; a context manager.

    The file appears under its name when it is whole: at the end, or with what there is if the body
    failed.

    Args:
        path: The file; its ending says which kind.
        rate: Frames per second, of frames that come without a time.
        sound: The film whose sound goes along; None for silence.
        pixel_aspect: Width of a pixel over its height; may be set until the first frame comes.

    Raises:
        ValueError: If the ending is none that can be written.
    """

    def __init__(
        self,
        path: Place,
        *,
        rate: float,
        sound: Path | str | None = None,
        pixel_aspect: float = 1.0,
    ) -> None:
        self.path, self.pixel_aspect, self._rate = path, pixel_aspect, rate
        if path.suffix.lower() not in KINDS:
            raise InputError(
                f"{path}: films are written as {', '.join(KINDS)}, not {path.suffix or 'this'}"
            )
        self._kind = KINDS[path.suffix.lower()]
        self._temporary = aside(path)
        self._sound_source = sound if self._kind.sound_codec else None
        self._sound: Sound | None = None
        self._container: Any = None
        self._size = (0, 0)
        self._given, self._written, self._last = 0, 0, -1
        self._broken = False

    def __enter__(self) -> FilmWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._container is None:
            return
        try:
            if self._broken:
                with contextlib.suppress(av.error.FFmpegError, OSError):
                    self._container.close()
                return
            try:
                self._finish()
            finally:
                self._container.close()
            self._check()
            publish(self._temporary, self.path)
        except (av.error.FFmpegError, OSError) as failure:
            raise self._failed(failure) from failure
        finally:
            with contextlib.suppress(OSError):  # of a folder that cannot be written, as was told
                self._temporary.unlink(missing_ok=True)

    def write(self, picture: np.ndarray, time: float | None = None) -> None:
        """Adds a frame (H, W, 3) uint8 RGB; all have the size of the first.

        A side of an odd number of pixels gains one, which codecs demand.

        Args:
            picture: The frame.
            time: Seconds from the film's start; default: one step of the rate after the last.

        Raises:
            ValueError: If the film cannot be written, or the frame is of another size or too small.
        """
        height, width = picture.shape[:2]
        even = picture
        if height % 2 or width % 2:
            even = cv2.copyMakeBorder(picture, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        if self._container is None:
            self._size = (even.shape[1], even.shape[0])
            self._open()
        if (even.shape[1], even.shape[0]) != self._size:
            raise InputError(
                f"{self.path}: a frame of {width}×{height} px in a film of "
                f"{self._size[0]}×{self._size[1]}"
            )
        time = self._given / self._rate if time is None else time
        self._given += 1
        ticks = round(time * self._ticks)
        if self._is_gif and self._written and ticks < self._last + GIF_SHORTEST:
            return  # no GIF shows as many
        try:
            self._encode(np.ascontiguousarray(even), max(ticks, self._last + 1))
            if self._sound:
                self._sound.until(time)
        except (av.error.FFmpegError, OSError) as error:
            raise self._failed(error) from error

    @property
    def _is_gif(self) -> bool:
        return self._kind.codec == "gif"

    @property
    def _ticks(self) -> int:
        return GIF_TICKS if self._is_gif else TICKS

    def _open(self) -> None:
        width, height = self._size
        if min(width, height) < SMALLEST_SIDE:
            raise InputError(
                f"{self.path}: frames of {width}×{height} px, each side must be {SMALLEST_SIDE} "
                "or more"
            )
        try:
            self._container = av.open(
                f"file:{self._temporary}", "w", container_options=self._kind.container
            )
            self._stream = self._container.add_stream(
                self._kind.codec,
                rate=Fraction(self._rate).limit_denominator(1001),
                options=self._kind.options,
            )
        except (av.error.FFmpegError, ValueError, OSError) as error:
            self._container = None
            raise self._failed(error) from error
        self._describe()
        if self._sound_source is not None:
            self._sound = self._sound_of(self._sound_source)

    def _sound_of(self, source: Path | str) -> Sound:
        encoder = str(self._kind.sound_codec)
        try:
            return Sound(source, self._container, kept=self._kind.sounds, encoder=encoder)
        except (av.error.FFmpegError, ValueError, OSError) as error:
            raise self._failed(error) from error

    def _describe(self) -> None:
        """Tells the encoder what pictures are coming."""
        stream = self._stream
        stream.width, stream.height = self._size
        stream.codec_context.time_base = Fraction(1, self._ticks)
        if self._is_gif:
            stream.pix_fmt = "pal8"
            self._palette = _palette_graph(*self._size)
            return
        stream.pix_fmt = "yuv420p"
        aspect = Fraction(self.pixel_aspect).limit_denominator(1000)
        stream.codec_context.sample_aspect_ratio = aspect
        stream.codec_context.color_primaries = BT709
        stream.codec_context.color_trc = BT709
        stream.codec_context.colorspace = BT709
        stream.codec_context.color_range = ColorRange.MPEG

    def _encode(self, picture: np.ndarray, ticks: int) -> None:
        # Not copied: it is turned into the encoder's colours, or copied, before it is handed on.
        frame = av.VideoFrame.from_numpy_buffer(picture, format="rgb24")
        if self._is_gif:
            self._palette.push(frame)
            frame = cast(av.VideoFrame, self._palette.pull())
        else:
            frame = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, threads=0)
        frame.pts, frame.time_base = ticks, Fraction(1, self._ticks)
        frame.duration = max(1, round(self._ticks / self._rate))
        for packet in self._stream.encode(frame):
            self._container.mux(packet)
        self._written, self._last = self._written + 1, ticks

    def _finish(self) -> None:
        for packet in self._stream.encode(None):
            self._container.mux(packet)
        if self._sound:
            self._sound.until(self._last / self._ticks + 1 / self._rate)
            self._sound.close()

    def _check(self) -> None:
        """Reads the file back: FFmpeg does not tell of every byte that it could not write."""
        try:
            with open_container(self._temporary) as container:
                stream = container.streams.video[0]
                found = sum(1 for packet in container.demux(stream) if packet.size)
        except (ValueError, av.error.FFmpegError) as error:
            raise OSError(
                None, "the file that was written cannot be read; is the disk full?"
            ) from error
        if found < self._written:
            raise OSError(
                None, f"only {found} of {self._written} frames are in the file; is the disk full?"
            )

    def _failed(self, error: Exception) -> InputError:
        self._broken = True
        reason = getattr(error, "strerror", None) or str(error)
        return InputError(f"{self.path}: film cannot be written ({reason})")


def _palette_graph(width: int, height: int) -> av.filter.Graph:
    """Finds the 256 colours of each picture, which GIFs are made of."""
    graph = av.filter.Graph()
    start = graph.add_buffer(
        width=width, height=height, format=av.VideoFormat("rgb24"), time_base=Fraction(1, GIF_TICKS)
    )
    split = graph.add("split")
    colours = graph.add("palettegen", "stats_mode=single")
    used = graph.add("paletteuse", "new=1:dither=bayer")
    end = graph.add("buffersink")
    start.link_to(split)
    split.link_to(used, 0, 0)
    split.link_to(colours, 1, 0)
    colours.link_to(used, 0, 1)
    used.link_to(end)
    graph.configure()
    return graph
