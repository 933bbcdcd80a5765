"""The sound of one film for another: copied as it is, or encoded anew where it would not fit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av

from hourglass.media.video import open_container

MOST_CHANNELS = 2
"""Of sound that is encoded anew."""

USUAL_RATE = 48_000
"""Samples per second: the only rate of opus that every player knows, and one that AAC has, too."""


class Sound:
    """Feeds a film that is written with the sound of another, as far as its pictures go.

    Args:
        source: The film that sounds.
        output: The film to be written, whose streams are not begun yet.
        kept: Codecs whose sound is copied bit by bit.
        encoder: The codec for others.

    Raises:
        ValueError: If the source cannot be opened.
    """

    def __init__(
        self, source: Path | str, output: Any, *, kept: frozenset[str] | None, encoder: str
    ) -> None:
        self._output = output
        self._input = open_container(source)
        self._stream = self._input.streams.audio[0]
        pictures = self._input.streams.video[0]
        self._origin = float((pictures.start_time or 0) * pictures.time_base)
        self._encodes = kept is not None and self._stream.codec_context.name not in kept
        if self._encodes:
            self._track, self._resampler = self._encoder(encoder)
        else:
            self._track = output.add_stream_from_template(self._stream)
        self._packets = self._made() if self._encodes else self._copied()
        self._next: tuple[float, Any] | None = next(self._packets, None)

    def until(self, seconds: float) -> None:
        """Writes the sound of the film's first `seconds`, from where the last call ended."""
        while self._next and self._next[0] < seconds:
            self._output.mux(self._next[1])
            self._next = next(self._packets, None)

    def close(self) -> None:
        """Ends with what has been written; closes the source."""
        self._next = None
        if self._encodes:
            for packet in self._track.encode(None):
                self._output.mux(packet)
        self._input.close()

    def _copied(self) -> Iterator[tuple[float, av.Packet]]:
        """Packets of the source, each with its time in the film."""
        for packet in self._input.demux(self._stream):
            if packet.dts is None or packet.pts is None:
                continue  # the end
            base = packet.time_base
            shift = round(self._origin / base)
            packet.pts -= shift
            packet.dts -= shift
            packet.stream = self._track
            yield float(packet.pts * base), packet

    def _made(self) -> Iterator[tuple[float, av.Packet]]:
        for frame in self._decoded():
            time = (frame.time or 0.0) - self._origin
            if time < 0 or frame.pts is None or frame.time_base is None:
                continue
            frame.pts -= round(self._origin / frame.time_base)
            for part in self._resampler.resample(frame):
                for packet in self._track.encode(part):
                    yield time, packet

    def _decoded(self) -> Iterator[av.AudioFrame]:
        """The source's sound; damaged parts are left out, as players do."""
        for packet in self._input.demux(self._stream):
            try:
                yield from packet.decode()
            except av.error.InvalidDataError:
                continue

    def _encoder(self, name: str) -> tuple[Any, av.AudioResampler]:
        source = self._stream.codec_context
        fits = name != "libopus" and source.rate in (av.Codec(name, "w").audio_rates or ())
        rate = source.rate if fits else USUAL_RATE
        track = self._output.add_stream(name, rate=rate)
        track.layout = "mono" if source.channels < MOST_CHANNELS else "stereo"
        context = track.codec_context
        context.open()
        return track, av.AudioResampler(
            context.format, context.layout, rate, frame_size=context.frame_size or None
        )
