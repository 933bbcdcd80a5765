"""Films: frames come in their order and with their times, and what cannot be read is told."""

from __future__ import annotations

import functools
import http.server
import os
import socket
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from hourglass.core.errors import InputError
from hourglass.core.storage import Url
from hourglass.media.film_writer import KINDS, FilmWriter
from hourglass.media.inputs import FILM_SUFFIXES
from hourglass.media.video import DEFAULT_RATE, Camera, Film, MovingPicture, open_film

SIZE = (64, 48)
"""Width and height."""

NO_CAMERA = 90


def grey(number: int) -> np.ndarray:
    """A frame that says by its brightness which one it is, however lossy the film."""
    return np.full((SIZE[1], SIZE[0], 3), 20 + 8 * number, np.uint8)


def number_of(picture: np.ndarray) -> int:
    return round((float(picture.mean()) - 20) / 8)


@pytest.fixture
def film(tmp_path: Path) -> Callable[..., Path]:
    """`film(name, count, rate=25)` writes a film of grey frames."""

    def write(name: str = "film.mp4", count: int = 12, rate: float = 25.0) -> Path:
        with FilmWriter(tmp_path / name, rate=rate) as writer:
            for number in range(count):
                writer.write(grey(number))
        return tmp_path / name

    return write


class Capture:
    """Stands for a device: `frames` of them, of which those in `broken` cannot be decoded."""

    def __init__(
        self, frames: int, *, rate: float = 30.0, count: float = -1.0, broken: tuple[int, ...] = ()
    ) -> None:
        self.left, self.given = frames, -1
        self.broken, self.released = broken, False
        self.properties = {cv2.CAP_PROP_FPS: rate, cv2.CAP_PROP_FRAME_COUNT: count}

    def isOpened(self) -> bool:  # noqa: N802 (OpenCV's name)
        return True

    def get(self, what: int) -> float:
        return self.properties[what]

    def grab(self) -> bool:
        self.left, self.given = self.left - 1, self.given + 1
        return self.left >= 0 and not self.released

    def retrieve(self) -> tuple[bool, np.ndarray | None]:
        broken = self.given in self.broken
        return not broken, None if broken else grey(self.given)

    def release(self) -> None:
        self.released = True


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Capture]:
    """`device(...)` makes the `Capture` that is opened instead of any camera or film."""

    def make(*arguments: Any, **options: Any) -> Capture:
        capture = Capture(*arguments, **options)
        monkeypatch.setattr(cv2, "VideoCapture", lambda source: capture)
        return capture

    return make


# Films in and out.


@pytest.mark.parametrize("suffix", sorted(KINDS))
def test_a_film_that_was_written_is_read_frame_by_frame(film: Callable[..., Path], suffix: str):
    read = open_film(film(f"film{suffix}"))
    assert read.rate == pytest.approx(25)
    assert read.frames == 12
    frames = list(read)
    assert [frame.number for frame in frames] == list(range(12))
    assert [number_of(frame.picture) for frame in frames] == list(range(12))
    assert [frame.time for frame in frames] == pytest.approx([n / 25 for n in range(12)])
    for frame in frames:
        assert frame.picture.shape == (48, 64, 3)
        assert frame.picture.dtype == np.uint8


def test_frames_are_pictures_of_their_own(film: Callable[..., Path]):
    # Kept until all are read: none may be overwritten by the next.
    first, second, *_ = list(Film(film()))
    assert not np.shares_memory(first.picture, second.picture)
    assert (number_of(first.picture), number_of(second.picture)) == (0, 1)


@pytest.mark.parametrize(
    ("every", "numbers"), [(2, [0, 2, 4, 6, 8, 10]), (5, [0, 5, 10]), (99, [0])]
)
def test_some_frames_only_keep_their_numbers_and_times(
    film: Callable[..., Path], every: int, numbers: list[int]
):
    read = Film(film(), every=every)
    assert read.rate == pytest.approx(25 / every)
    assert read.frames == len(numbers)
    frames = list(read)
    assert [frame.number for frame in frames] == numbers
    assert [number_of(frame.picture) for frame in frames] == numbers
    assert [frame.time for frame in frames] == pytest.approx([n / 25 for n in numbers])


def test_the_film_is_closed_at_its_end_and_where_its_reader_stops(device: Callable[..., Capture]):
    capture = device(5)
    assert len(list(Camera(0))) == 5
    assert capture.released
    capture = device(5)
    frames = iter(Camera(0))
    next(frames)
    assert not capture.released
    frames.close()
    assert capture.released


def test_a_frame_that_cannot_be_decoded_does_not_shift_the_others(device: Callable[..., Capture]):
    device(6, broken=(2, 3))
    assert [(frame.number, number_of(frame.picture)) for frame in Camera(0)] == [
        (0, 0),
        (1, 1),
        (4, 4),
        (5, 5),
    ]


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf"), 90_000.0])
def test_a_camera_that_does_not_say_its_rate_gets_one(device: Callable[..., Capture], rate: float):
    device(3, rate=rate)
    assert Camera(0, every=2).rate == DEFAULT_RATE / 2


def test_a_cameras_frames_have_the_clocks_times(
    device: Callable[..., Capture], monkeypatch: pytest.MonkeyPatch
):
    # However many frames were lost because nobody took them.
    clock = iter([100.0, 100.5, 103.0])
    monkeypatch.setattr("hourglass.media.video.time.monotonic", lambda: next(clock))
    device(2)
    assert [frame.time for frame in Camera(0)] == [0.5, 3.0]


def test_a_camera_does_not_say_how_many_frames_come(device: Callable[..., Capture]):
    device(3, count=7.0)
    assert Camera(0).frames is None
    assert Camera(0).live
    assert Camera(0).sound is None


@pytest.mark.parametrize(("count", "every", "expected"), [(10, 1, 10), (10, 3, 4), (9, 3, 3)])
def test_frames_are_counted_with_the_last_of_them(
    film: Callable[..., Path], count: int, every: int, expected: int
):
    read = Film(film(count=count), every=every)
    assert read.frames == expected == len(list(read))


# Films as people have them.


OLD_KINDS = {
    ".3gp": ("h263", "yuv420p", (176, 144)),
    ".avi": ("mpeg4", "yuv420p", SIZE),
    ".flv": ("flv", "yuv420p", SIZE),
    ".mpg": ("mpeg2video", "yuv420p", SIZE),
    ".mts": ("libx264", "yuv420p", SIZE),
    ".ts": ("libx264", "yuv420p", SIZE),
    ".wmv": ("wmv2", "yuv420p", SIZE),
    ".mov": ("prores_ks", "yuv422p10le", SIZE),
}


def write_film(path: Path, pictures: list[np.ndarray], times: list[float], **choices: Any) -> None:
    """A film straight by FFmpeg, with anything that our own writer does not do."""
    codec, pixels = choices.get("codec", "libx264"), choices.get("pixels", "yuv420p")
    kind = {"format": "mpegts"} if path.suffix == ".mts" else {}
    with av.open(str(path), "w", **kind) as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = pixels
        base = Fraction(1, choices.get("ticks", 25))
        stream.codec_context.time_base = base
        stream.codec_context.sample_aspect_ratio = choices.get("aspect", Fraction(1))
        if choices.get("rotation"):
            stream.set_display_rotation(choices["rotation"])
        for picture, time in zip(pictures, times, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round(time / base), base
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)


@pytest.mark.parametrize("suffix", sorted(OLD_KINDS))
def test_films_of_every_kind_are_read(tmp_path: Path, suffix: str):
    codec, pixels, (width, height) = OLD_KINDS[suffix]
    assert suffix in FILM_SUFFIXES
    path = tmp_path / f"film{suffix}"
    pictures = [np.full((height, width, 3), 20 + 8 * number, np.uint8) for number in range(12)]
    write_film(path, pictures, [n / 25 for n in range(12)], codec=codec, pixels=pixels)
    frames = list(open_film(path))
    assert [number_of(frame.picture) for frame in frames] == list(range(12))
    assert [frame.time for frame in frames] == pytest.approx([n / 25 for n in range(12)], abs=2e-3)


def test_frames_keep_the_times_of_a_film_of_no_fixed_rate(tmp_path: Path):
    times = [0.0, 0.04, 0.05, 0.5, 0.52, 1.7]
    path = tmp_path / "phone.mp4"
    write_film(path, [grey(number) for number in range(6)], times, ticks=1000)
    assert [frame.time for frame in Film(path)] == pytest.approx(times, abs=1e-3)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_phones_film_is_turned_once(tmp_path: Path, degrees: int):
    corner = np.zeros((48, 64, 3), np.uint8)
    corner[:24, :32] = 250  # upper left as people see it
    path = tmp_path / "phone.mp4"
    stored = np.ascontiguousarray(np.rot90(corner, -degrees // 90))
    write_film(path, [stored] * 3, [0, 0.04, 0.08], rotation=degrees)
    for frame in Film(path):
        assert frame.picture.shape == corner.shape
        assert np.abs(frame.picture.astype(int) - corner).mean() < 6
    # And no more once it has been written.
    with FilmWriter(tmp_path / "again.mp4", rate=25) as writer:
        for frame in Film(path):
            writer.write(frame.picture, frame.time)
    for frame in Film(tmp_path / "again.mp4"):
        assert np.abs(frame.picture.astype(int) - corner).mean() < 6


@pytest.mark.parametrize(("degrees", "aspect"), [(0, 1.6), (90, 0.625), (180, 1.6), (270, 0.625)])
def test_pixels_that_are_no_squares_are_turned_with_their_film(
    tmp_path: Path, degrees: int, aspect: float
):
    path = tmp_path / "old.mp4"
    pictures = [grey(number) for number in range(3)]
    write_film(path, pictures, [0, 0.04, 0.08], rotation=degrees, aspect=Fraction(8, 5))
    film = Film(path)
    next(iter(film))
    assert film.pixel_aspect == pytest.approx(aspect)


@pytest.mark.parametrize(("suffix", "kind"), [(".gif", "GIF"), (".webp", "WEBP"), (".png", "PNG")])
def test_moving_pictures_are_films(tmp_path: Path, suffix: str, kind: str):
    path = tmp_path / f"moving{suffix}"
    pictures = [Image.fromarray(grey(number)) for number in range(5)]
    durations = [40, 200, 100, 100, 60]
    pictures[0].save(path, kind, save_all=True, append_images=pictures[1:], duration=durations)
    film = open_film(path, every=2)
    assert isinstance(film, MovingPicture)
    assert film.frames == 3
    frames = list(film)
    assert [frame.number for frame in frames] == [0, 2, 4]
    assert [number_of(frame.picture) for frame in frames] == [0, 2, 4]
    assert [frame.time for frame in frames] == pytest.approx([0, 0.24, 0.44])


def test_a_moving_picture_that_ends_early_is_told(tmp_path: Path):
    path = tmp_path / "moving.gif"
    noise = np.random.default_rng(0).integers(0, 256, (6, 48, 64, 3), np.uint8)
    pictures = [Image.fromarray(picture) for picture in noise]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=100)
    path.write_bytes(path.read_bytes()[:-3000])
    seen = []
    with pytest.raises(ValueError, match=r"moving\.gif: film is damaged, it ends after \d of \d"):
        seen.extend(open_film(path))
    assert seen


def test_a_film_may_be_called_like_an_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    name = Path("http:a.mp4")
    with FilmWriter(Path("plain.mp4"), rate=25) as writer:
        writer.write(grey(3))
    Path("plain.mp4").rename(name)
    assert len(list(Film(name))) == 1


def test_a_name_may_be_of_any_bytes(film: Callable[..., Path], tmp_path: Path):
    name = tmp_path / os.fsdecode(b"film\xff.mp4")
    film("plain.mp4").rename(name)
    assert len(list(Film(name))) == 12


@pytest.fixture
def address(film: Callable[..., Path]) -> Iterator[str]:
    """A film on a server of this machine."""
    path = film("film.mp4")
    handler = functools.partial(Quiet, directory=str(path.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/film.mp4"
        server.shutdown()
        thread.join()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words: Any) -> None:
        pass


def test_a_film_is_read_from_its_address(address: str):
    read = open_film(address)
    assert not read.live
    assert [number_of(frame.picture) for frame in read] == list(range(12))


def test_an_address_that_does_not_answer_is_told(address: str):
    with pytest.raises(ValueError, match=r"^http://127.*none\.mp4: cannot be opened \("):
        open_film(address.replace("film.mp4", "none.mp4"))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"http://127.0.0.1:{silent.getsockname()[1]}/film.mp4"
        with pytest.raises(ValueError, match=r"film\.mp4: cannot be opened \(no answer in"):
            Film(place, patience=0.3)


# What is refused.


def test_a_film_that_is_not_there_is_told(tmp_path: Path):
    with pytest.raises(ValueError, match=r"none\.mp4: no such film$"):
        Film(tmp_path / "none.mp4")
    with pytest.raises(ValueError, match=r"no such film$"):
        Film(tmp_path)


@pytest.mark.parametrize("content", [b"", b"This is no film.\n" * 500, bytes(5000)])
def test_what_is_no_film_is_told(tmp_path: Path, content: bytes, capfd: pytest.CaptureFixture):
    path = tmp_path / "a01.mp4"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a01\.mp4: no film, a damaged one, or one of a codec"):
        Film(path)
    # The line is all that is said: FFmpeg's own are swallowed.
    assert capfd.readouterr().err == ""


def test_a_camera_that_is_not_there_is_told(capfd: pytest.CaptureFixture):
    with pytest.raises(ValueError, match=rf"^camera {NO_CAMERA}: cannot be opened; is it there"):
        Camera(NO_CAMERA)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("number", [2**31, 10**20])
def test_a_number_beyond_all_cameras_is_told(number: int):
    with pytest.raises(ValueError, match=rf"^camera {number}: cannot be opened"):
        Camera(number)


def test_a_film_without_a_frame_is_told(device: Callable[..., Capture]):
    capture = device(0)
    with pytest.raises(ValueError, match=r"^camera 0: not one frame can be read"):
        list(Camera(0))
    assert capture.released


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_a_film_that_ends_before_its_time_is_told(tmp_path: Path, suffix: str):
    path, rng = tmp_path / f"film{suffix}", np.random.default_rng(0)
    with FilmWriter(path, rate=25) as writer:
        for _ in range(28):
            writer.write(rng.integers(0, 256, (48, 64, 3), np.uint8))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    numbers = []
    with pytest.raises(
        ValueError, match=rf"film\{suffix}: film is damaged, it ends after [0-9.]+ of "
    ):
        numbers.extend(frame.number for frame in Film(path))
    assert numbers == list(range(len(numbers)))
    assert 0 < len(numbers) < 28


def test_a_film_of_sound_alone_is_told(tmp_path: Path):
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), "fltp", "mono")
        frame.rate = 8000
        for part in (frame, None):
            for packet in stream.encode(part):
                container.mux(packet)
    with pytest.raises(ValueError, match=r"sound\.mp4: no film, it holds no pictures"):
        Film(tmp_path / "sound.mp4")


def test_a_film_that_is_not_at_its_url_is_told(memory: Url):
    with pytest.raises(InputError, match=rf"^{memory}/none\.mp4: no such file"):
        open_film(memory / "none.mp4")
