"""Films that are written: whole or not at all, played by browsers, with the times and the sound."""

from __future__ import annotations

import base64
import importlib.util
import json
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from hourglass.media.film_writer import KINDS, FilmWriter
from hourglass.media.video import Film, open_film

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
HAS_BROWSER = bool(CHROMIUM) and importlib.util.find_spec("playwright") is not None
needs_ffprobe = pytest.mark.skipif(not shutil.which("ffprobe"), reason="needs ffprobe")


def grey(number: int) -> np.ndarray:
    """A frame that says by its brightness which one it is, however lossy the film."""
    return np.full((48, 64, 3), 20 + 8 * number, np.uint8)


def noise(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (48, 64, 3), np.uint8)


def write(path: Path, pictures: list[np.ndarray], **choices: Any) -> Path:
    with FilmWriter(path, rate=25, **choices) as writer:
        for picture in pictures:
            writer.write(picture)
    return path


def number_of(picture: np.ndarray) -> int:
    return round((float(picture.mean()) - 20) / 8)


# What is in the file.


def test_colours_come_back(tmp_path: Path):
    # A switch of red and blue would show, and so would a mistake of the kind of colours.
    for suffix in KINDS:
        for colour in ((200, 60, 20), (20, 200, 60), (10, 30, 220)):
            picture = np.broadcast_to(np.array(colour, np.uint8), (48, 64, 3))
            for frame in open_film(write(tmp_path / f"a{suffix}", [picture] * 2)):
                assert np.abs(frame.picture.astype(int) - picture).max() < 6


def test_what_is_written_may_be_any_view(tmp_path: Path):
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:, :32] = 200
    path = write(tmp_path / "a.mp4", [picture[:, ::-1], np.asfortranarray(picture)])
    one, other = (frame.picture.astype(int) for frame in Film(path))
    assert one[:, 40:].min() > 150 > 50 > one[:, :24].max()
    assert other[:, :24].min() > 150 > 50 > other[:, 40:].max()


@pytest.mark.parametrize("suffix", sorted(KINDS))
def test_frames_keep_their_times(tmp_path: Path, suffix: str):
    times = [0.0, 0.04, 0.07, 0.5, 0.53, 1.7]
    with FilmWriter(tmp_path / f"a{suffix}", rate=25) as writer:
        for number, time in enumerate(times):
            writer.write(grey(number), time)
    frames = list(open_film(tmp_path / f"a{suffix}"))
    assert [number_of(frame.picture) for frame in frames] == list(range(6))
    assert [frame.time for frame in frames] == pytest.approx(times, abs=1.1e-3)


def test_frames_without_times_follow_at_the_rate(tmp_path: Path):
    with FilmWriter(tmp_path / "a.mp4", rate=30000 / 1001) as writer:
        for number in range(12):
            writer.write(grey(number))
    film = Film(tmp_path / "a.mp4")
    assert film.rate == pytest.approx(30000 / 1001, rel=1e-4)
    assert [frame.time for frame in film] == pytest.approx([n * 1001 / 30000 for n in range(12)])


def test_a_gif_of_more_frames_than_browsers_show_leaves_some_out(tmp_path: Path):
    with FilmWriter(tmp_path / "a.gif", rate=100) as writer:
        for number in range(12):
            writer.write(grey(number))
    assert [number_of(frame.picture) for frame in open_film(tmp_path / "a.gif")] == [
        *(0, 2, 4, 6, 8, 10)
    ]


def test_pixels_that_are_no_squares_stay_so(tmp_path: Path):
    path = write(tmp_path / "a.mp4", [grey(0)] * 3, pixel_aspect=16 / 15)
    assert Film(path).pixel_aspect == pytest.approx(16 / 15)
    assert Film(write(tmp_path / "b.mp4", [grey(0)])).pixel_aspect == 1


def test_odd_sides_gain_a_pixel_and_lose_none(tmp_path: Path):
    picture = np.full((89, 97, 3), 100, np.uint8)
    with FilmWriter(tmp_path / "odd.mp4", rate=25) as writer:
        writer.write(picture)
        with pytest.raises(ValueError, match=r"a frame of 60×89 px in a film of 98×90"):
            writer.write(picture[:, :60])
    assert [frame.picture.shape for frame in Film(tmp_path / "odd.mp4")] == [(90, 98, 3)]


# Sound.


def tone(seconds: float, rate: int) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)


@pytest.fixture
def sounding(tmp_path: Path) -> Callable[..., Path]:
    """`sounding(codec, name)` makes a film of 2 s, 25 frames a second, with a tone in it."""

    def make(
        codec: str = "aac", name: str = "sounding.mp4", start: float = 0.0, rate: int = 48_000
    ) -> Path:
        path = tmp_path / name
        with av.open(str(path), "w") as container:
            pictures = container.add_stream("libx264", rate=25)
            pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
            sound = container.add_stream(codec, rate=rate)
            sound.layout = "mono"
            sound.codec_context.open()
            kind = sound.codec_context.format.name
            samples = tone(2.0, rate)
            step = rate // 50
            for first in range(0, len(samples), step):
                part = samples[first : first + step].astype(np.float32)[None]
                frame = av.AudioFrame.from_ndarray(part, "flt", "mono")
                frame.rate, frame.pts, frame.time_base = rate, first, Fraction(1, rate)
                resampler = av.AudioResampler(kind, "mono", rate)
                for converted in resampler.resample(frame):
                    for packet in sound.encode(converted):
                        container.mux(packet)
                if first % (2 * step) == 0:
                    number = first // (2 * step)
                    picture = av.VideoFrame.from_ndarray(grey(number % 20), format="rgb24")
                    picture.pts = number + round(25 * start)
                    picture.time_base = Fraction(1, 25)
                    for packet in pictures.encode(picture):
                        container.mux(packet)
            for stream in (sound, pictures):
                for packet in stream.encode(None):
                    container.mux(packet)
        return path

    return make


def copied(source: Path, target: Path, *, frames: int = 50) -> Path:
    film = Film(source)
    with FilmWriter(
        target, rate=film.rate, sound=film.sound, pixel_aspect=film.pixel_aspect
    ) as writer:
        for frame in film:
            if frame.number < frames:
                writer.write(frame.picture, frame.time)
    return target


def sound_of(path: Path) -> tuple[str, list[bytes], np.ndarray]:
    """The sound's codec, its packets, and its samples from the film's start, 48,000 a second."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        packets = [bytes(packet) for packet in container.demux(stream) if packet.size]
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("flt", "mono", 48_000)
        parts = [
            part.to_ndarray()[0]
            for frame in container.decode(audio=0)
            if frame.time is None or frame.time >= 0
            for part in resampler.resample(frame)
        ]
        return container.streams.audio[0].codec_context.name, packets, np.concatenate(parts)


def test_sound_is_copied_bit_by_bit(sounding: Callable[..., Path], tmp_path: Path):
    source = sounding("aac")
    codec, packets, _ = sound_of(copied(source, tmp_path / "out.mp4"))
    before = sound_of(source)
    assert codec == before[0] == "aac"
    # The last may lie beyond the last picture.
    assert len(before[1]) - 2 <= len(packets) <= len(before[1])
    assert packets == before[1][: len(packets)]


@pytest.mark.parametrize(
    ("codec", "name", "target", "expected"),
    [
        ("aac", "a.mp4", "o.webm", "opus"),
        ("pcm_s16le", "a.mkv", "o.mp4", "aac"),
        ("ac3", "a.mkv", "o.mp4", "aac"),
        ("pcm_s16le", "a.mkv", "o.mkv", "pcm_s16le"),
        ("libopus", "a.mkv", "o.webm", "opus"),
        ("libopus", "a.mkv", "o.mp4", "opus"),
    ],
)
def test_sound_that_does_not_fit_is_encoded_anew(
    sounding: Callable[..., Path],
    tmp_path: Path,
    codec: str,
    name: str,
    target: str,
    expected: str,
):
    source = sounding(codec, name)
    found, _, samples = sound_of(copied(source, tmp_path / target))
    assert found.removeprefix("lib") == expected
    assert len(samples) / 48_000 == pytest.approx(2.0, abs=0.06)
    middle = samples[24_000:72_000]
    spectrum = np.abs(np.fft.rfft(middle))
    assert np.argmax(spectrum) * 48_000 / len(middle) == pytest.approx(440, abs=2)
    assert len(list(Film(tmp_path / target))) == 50


@pytest.mark.parametrize("rate", [6_000, 192_000])
def test_sound_of_a_rate_that_the_encoder_lacks_gets_a_usual_one(
    sounding: Callable[..., Path], tmp_path: Path, rate: int
):
    source = sounding("pcm_s16le", "a.mkv", rate=rate)
    found, _, samples = sound_of(copied(source, tmp_path / "o.mp4"))
    assert found == "aac"
    assert len(samples) / 48_000 == pytest.approx(2.0, abs=0.06)


def test_damaged_sound_does_not_cost_the_film(sounding: Callable[..., Path], tmp_path: Path):
    source = sounding("aac")
    with av.open(str(source)) as container:
        packets = [packet for packet in container.demux(audio=0) if packet.size]
    data = bytearray(source.read_bytes())
    for packet in packets[20:24]:
        data[packet.pos : packet.pos + packet.size] = bytes(
            (97 * place + 31) % 256 for place in range(packet.size)
        )
    source.write_bytes(data)
    _, _, samples = sound_of(copied(source, tmp_path / "o.webm"))
    assert len(samples) / 48_000 == pytest.approx(2.0, abs=0.2)
    assert len(list(Film(tmp_path / "o.webm"))) == 50


def test_a_film_cut_short_has_as_much_sound(sounding: Callable[..., Path], tmp_path: Path):
    _, _, samples = sound_of(copied(sounding("aac"), tmp_path / "out.mp4", frames=20))
    assert len(samples) / 48_000 == pytest.approx(0.8, abs=0.05)


def test_a_gif_is_silent(sounding: Callable[..., Path], tmp_path: Path):
    with av.open(str(copied(sounding("aac"), tmp_path / "out.gif"))) as container:
        assert not container.streams.audio


# Played everywhere.


@needs_ffprobe
def test_a_film_has_what_every_player_knows(sounding: Callable[..., Path], tmp_path: Path):
    path = copied(sounding("aac"), tmp_path / "out.mp4")
    words = ["ffprobe", "-v", "error", "-show_streams", "-show_format", "-of", "json", str(path)]
    told = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)
    pictures, sound = told["streams"]
    assert pictures["codec_name"] == "h264"
    assert pictures["pix_fmt"] == "yuv420p"
    assert pictures["nb_frames"] == "50"
    assert pictures["avg_frame_rate"] == "25/1"
    assert pictures["color_space"] == "bt709"
    assert sound["codec_name"] == "aac"
    assert float(told["format"]["duration"]) == pytest.approx(2.0, abs=0.05)
    content = path.read_bytes()
    # Faststart: what a player needs first stands first.
    assert 0 < content.index(b"moov") < content.index(b"mdat")


@pytest.mark.skipif(not HAS_BROWSER, reason="needs playwright and a Chromium on the PATH")
def test_a_browser_plays_it(sounding: Callable[..., Path], tmp_path: Path):
    from playwright.sync_api import sync_playwright

    source = sounding("aac")
    play = """async (address) => {
        const film = document.createElement("video");
        film.muted = true;
        await new Promise((done, failed) => {
            film.onloadeddata = done;
            film.onerror = () => failed(new Error(film.error.message));
            film.src = address;
        });
        await film.play();
        await new Promise((done) => { film.onended = done; });
        return [film.videoWidth, film.videoHeight, film.duration];
    }"""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"], timeout=120_000
        )
        page = browser.new_page()
        for suffix, kind in ((".mp4", "video/mp4"), (".webm", "video/webm")):
            content = copied(source, tmp_path / f"out{suffix}", frames=25).read_bytes()
            address = f"data:{kind};base64,{base64.b64encode(content).decode()}"
            width, height, seconds = page.evaluate(play, address)
            assert (width, height) == (64, 48)
            assert seconds == pytest.approx(1.0, abs=0.1)
        browser.close()


# What is refused, and what fails.


@pytest.mark.parametrize("name", ["a.avi", "a.ogv", "a", "a.mp4.txt"])
def test_other_kinds_of_film_are_refused_before_they_are_written(tmp_path: Path, name: str):
    told = r"films are written as \.mp4, \.m4v, \.mov, \.mkv, \.webm, \.gif, not"
    with pytest.raises(ValueError, match=told):
        FilmWriter(tmp_path / name, rate=25)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["missing/a.mp4", "missing/a.webm", "missing/a.gif", "folder.mp4"])
def test_a_film_that_cannot_be_written_is_told(
    tmp_path: Path, capfd: pytest.CaptureFixture, name: str
):
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(ValueError, match=rf"{name}: film cannot be written \(.*directory"):
        write(tmp_path / name, [grey(0)])
    assert capfd.readouterr().err == ""
    assert [path.name for path in tmp_path.iterdir()] == ["folder.mp4"]


def test_a_film_of_no_frames_leaves_no_file(tmp_path: Path):
    write(tmp_path / "a.mp4", [])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_a_film_is_whole_though_its_maker_failed(tmp_path: Path, failure: type[BaseException]):
    def make() -> None:
        with FilmWriter(tmp_path / "a.mp4", rate=25) as writer:
            for number in range(5):
                writer.write(grey(number))
            assert not (tmp_path / "a.mp4").exists()
            raise failure("failed")

    with pytest.raises(failure, match="failed"):
        make()
    assert len(list(Film(tmp_path / "a.mp4"))) == 5
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_frames_too_small_for_a_codec_are_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="frames of 6×6 px, each side must be 16 or more"):
        write(tmp_path / "a.mp4", [np.zeros((5, 5, 3), np.uint8)])
    assert not list(tmp_path.iterdir())


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file of this process may grow beyond 20,000 bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("suffix", sorted(KINDS))
def test_a_film_that_the_disk_has_no_room_for_is_told_and_gone(
    tmp_path: Path, small_disk: None, suffix: str
):
    path = tmp_path / f"a{suffix}"
    with pytest.raises(ValueError, match=rf"a\{suffix}: film cannot be written \("):
        write(path, [noise(number) for number in range(40)])
    assert not list(tmp_path.iterdir())


def test_a_film_that_is_there_stays_where_the_new_one_fails(tmp_path: Path, small_disk: None):
    path = write(tmp_path / "a.mp4", [grey(number) for number in range(3)])
    with pytest.raises(ValueError, match="film cannot be written"):
        write(path, [noise(number) for number in range(40)])
    assert len(list(Film(path))) == 3
