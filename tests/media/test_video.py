"""Films: frames come in their order and with their times, and what cannot be read is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from hourglass.media.video import CODECS, DEFAULT_RATE, Film, FilmWriter

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

    def write(name: str = "film.avi", count: int = 12, rate: float = 25.0) -> Path:
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


@pytest.mark.parametrize("suffix", sorted(CODECS))
def test_a_film_that_was_written_is_read_frame_by_frame(film: Callable[..., Path], suffix: str):
    read = Film(film(f"film{suffix}"))
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


def test_colours_come_back(tmp_path: Path):
    # A switch of red and blue would show.
    colour = np.broadcast_to(np.array([200, 60, 20], np.uint8), (48, 64, 3))
    for suffix in (".avi", ".mp4"):
        with FilmWriter(tmp_path / f"a{suffix}", rate=10) as writer:
            writer.write(colour)
            writer.write(colour)
        for frame in Film(tmp_path / f"a{suffix}"):
            assert np.abs(frame.picture.astype(int) - colour).max() < 12


def test_what_is_written_may_be_any_view(film: Callable[..., Path], tmp_path: Path):
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:, :32] = 200
    with FilmWriter(tmp_path / "a.avi", rate=10) as writer:
        writer.write(picture[:, ::-1])
        writer.write(np.asfortranarray(picture))
    one, other = (frame.picture.astype(int) for frame in Film(tmp_path / "a.avi"))
    assert one[:, 40:].min() > 150 > 50 > one[:, :24].max()
    assert other[:, :24].min() > 150 > 50 > other[:, 40:].max()


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


def test_some_frames_written_at_their_rate_last_as_long(film: Callable[..., Path], tmp_path: Path):
    read = Film(film(count=12, rate=24), every=3)
    with FilmWriter(tmp_path / "less.avi", rate=read.rate) as writer:
        for frame in read:
            writer.write(frame.picture)
    less = Film(tmp_path / "less.avi")
    assert less.frames / less.rate == pytest.approx(12 / 24)


def test_the_film_is_closed_at_its_end_and_where_its_reader_stops(device: Callable[..., Capture]):
    capture = device(5)
    assert len(list(Film(0))) == 5
    assert capture.released
    capture = device(5)
    frames = iter(Film(0))
    next(frames)
    assert not capture.released
    frames.close()
    assert capture.released


def test_a_frame_that_cannot_be_decoded_does_not_shift_the_others(device: Callable[..., Capture]):
    device(6, broken=(2, 3))
    assert [(frame.number, number_of(frame.picture)) for frame in Film(0)] == [
        (0, 0),
        (1, 1),
        (4, 4),
        (5, 5),
    ]


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf"), 90_000.0])
def test_a_camera_that_does_not_say_its_rate_gets_one(device: Callable[..., Capture], rate: float):
    device(3, rate=rate)
    read = Film(0, every=2)
    assert read.rate == DEFAULT_RATE / 2
    assert [frame.time for frame in read] == pytest.approx([0, 2 / DEFAULT_RATE])


@pytest.mark.parametrize("count", [0.0, -1.0, -2.3e17])
def test_a_camera_does_not_say_how_many_frames_come(device: Callable[..., Capture], count: float):
    device(3, count=count)
    assert Film(0).frames is None


def test_frames_are_counted_with_the_last_of_them(device: Callable[..., Capture]):
    for count, every, expected in ((10, 1, 10), (10, 3, 4), (9, 3, 3), (1, 5, 1)):
        device(count, count=float(count))
        read = Film(0, every=every)
        assert read.frames == expected == len(list(read))


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
    # The line is all that is said: OpenCV's own are swallowed.
    assert capfd.readouterr().err == ""


def test_half_a_film_is_told(film: Callable[..., Path]):
    path = film("film.mp4")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"film\.mp4: no film, a damaged one"):
        Film(path)


def test_a_camera_that_is_not_there_is_told(capfd: pytest.CaptureFixture):
    with pytest.raises(ValueError, match=rf"^camera {NO_CAMERA}: cannot be opened; is it there"):
        Film(NO_CAMERA)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("number", [2**31, 10**20])
def test_a_number_beyond_all_cameras_is_told(number: int):
    with pytest.raises(ValueError, match=rf"^camera {number}: cannot be opened"):
        Film(number)


def test_a_film_without_a_frame_is_told(device: Callable[..., Capture]):
    capture = device(0)
    with pytest.raises(ValueError, match=r"^0: not one frame can be read|^camera 0: not one frame"):
        list(Film(0))
    assert capture.released


def test_a_film_that_ends_before_its_time_is_told(film: Callable[..., Path]):
    # Some kinds of film open though most of them is missing.
    path = film("film.avi", count=28)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    numbers = []
    with pytest.raises(ValueError, match=r"film\.avi: "):
        numbers.extend(frame.number for frame in Film(path))
    assert numbers == list(range(len(numbers)))
    assert 0 < len(numbers) < 28


@pytest.mark.parametrize("name", ["a.gif", "a.webm", "a", "a.mp4.txt"])
def test_other_kinds_of_film_are_refused_before_they_are_written(tmp_path: Path, name: str):
    with pytest.raises(ValueError, match=r"films are written as \.mp4, \.m4v, \.mov, \.avi, \.mkv"):
        FilmWriter(tmp_path / name, rate=25)
    assert not list(tmp_path.iterdir())


def test_a_film_that_cannot_be_written_is_told(tmp_path: Path, capfd: pytest.CaptureFixture):
    (tmp_path / "folder.mp4").mkdir()
    for name in ("missing/a.mp4", "missing/a.avi", "folder.mp4"):
        with (
            pytest.raises(ValueError, match=r"film cannot be written, or its codec is missing"),
            FilmWriter(tmp_path / name, rate=25) as writer,
        ):
            writer.write(grey(0))
    assert capfd.readouterr().err == ""


def test_a_film_of_no_frames_leaves_no_file(tmp_path: Path):
    with FilmWriter(tmp_path / "a.mp4", rate=25):
        pass
    assert not list(tmp_path.iterdir())


def test_a_film_is_whole_though_its_maker_failed(tmp_path: Path):
    def make() -> None:
        with FilmWriter(tmp_path / "a.mp4", rate=25) as writer:
            for number in range(5):
                writer.write(grey(number))
            raise RuntimeError("failed")

    with pytest.raises(RuntimeError, match="failed"):
        make()
    assert len(list(Film(tmp_path / "a.mp4"))) == 5


def test_odd_sides_gain_a_pixel_and_lose_none(tmp_path: Path):
    picture = np.full((89, 97, 3), 100, np.uint8)
    with FilmWriter(tmp_path / "odd.mp4", rate=25) as writer:
        writer.write(picture)
        with pytest.raises(ValueError, match=r"a frame of 60×89 px in a film of 98×90"):
            writer.write(picture[:, :60])
    assert [frame.picture.shape for frame in Film(tmp_path / "odd.mp4")] == [(90, 98, 3)]


def test_frames_too_small_for_a_codec_are_refused(tmp_path: Path):
    with (
        FilmWriter(tmp_path / "a.avi", rate=25) as writer,
        pytest.raises(ValueError, match="frames of 6×6 px, each side must be 16 or more"),
    ):
        writer.write(np.zeros((5, 5, 3), np.uint8))
