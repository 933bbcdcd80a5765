"""Many pictures and films: in order, a few at a time, and no thread is left behind."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from hourglass.core.errors import InputError
from hourglass.core.person import Person
from hourglass.core.pose import Box, Pose
from hourglass.core.skeleton import MPII
from hourglass.inference.estimator import BATCH_SIZE, PoseEstimator
from hourglass.inference.films import see_film
from hourglass.inference.pipeline import (
    AHEAD,
    MOST_PIXELS,
    WRITERS,
    Failed,
    Seen,
    Writer,
    read_ahead,
    read_newest,
    see_pictures,
    whole_picture,
)
from hourglass.inference.smoothing import BRIDGED_SHARE, LONGEST_GAP, OneEuroFilter
from hourglass.inference.tracking import following_box
from hourglass.media.video import Frame
from hourglass.modelfiles.runtimes import Runtime

PATIENCE = 120.0
"""Seconds to wait for a thread that has nothing left to do: far more than it ever takes."""


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    if set(threading.enumerate()) - before:
        gc.collect()
    for thread in set(threading.enumerate()) - before:
        thread.join(PATIENCE)
        assert not thread.is_alive(), thread


def wait_until(true: Callable[[], bool]) -> None:
    """Lets other threads run until something holds."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, "has waited in vain"
        time.sleep(0.001)


class Estimator:
    """Puts every joint at the brightness of the picture it is given, and keeps the boxes.

    Args:
        scores: Of each call's people, in turn; the last goes on for ever.
    """

    def __init__(self, *scores: float | list[float]) -> None:
        self.calls: list[list[Box]] = []
        self._scores = list(scores) or [0.9]

    def poses(self, images: list[np.ndarray], boxes: list[Box]) -> list[Pose]:
        assert len(images) == len(boxes)
        self.calls.append(list(boxes))
        known = self._scores.pop(0) if len(self._scores) > 1 else self._scores[0]
        scores = np.broadcast_to(known, len(boxes))
        return [
            Pose(
                points_of(image[0, 0, 0]),
                np.full(16, score, np.float32),
                MPII,
                tuple(map(float, box)),
            )
            for image, box, score in zip(images, boxes, scores, strict=True)
        ]


def points_of(brightness: int) -> np.ndarray:
    """Sixteen joints in a square of 60 px, whose place says the brightness."""
    x, y = np.divmod(np.arange(16), 4)
    return (np.stack([x, y], axis=1) * 20 + [int(brightness), 0]).astype(np.float32)


def brightness_of(pose: Pose) -> int:
    return int(pose.points[0, 0])


@pytest.fixture
def pictures(monkeypatch: pytest.MonkeyPatch) -> Counted:
    counted = Counted()
    monkeypatch.setattr("hourglass.inference.pipeline.picture_size", counted.size)
    monkeypatch.setattr("hourglass.inference.pipeline.read_picture", counted.read)
    return counted


class Counted:
    """Stands for a folder of pictures, and counts those read and those still in memory.

    A picture's name is its brightness; one that is called `bad` cannot be read.
    """

    def __init__(self) -> None:
        self.read_so_far, self.alive, self.most_alive = 0, 0, 0
        self._lock = threading.RLock()  # a picture may go while one is counted

    pixels = 600

    def size(self, path: Path) -> tuple[int, int]:
        if path.name.startswith("bad"):
            raise InputError("no size")
        return self.pixels, 1

    def read(self, path: Path) -> np.ndarray:
        if path.name.startswith("bad"):
            raise InputError(f"{path}: picture is damaged")
        picture = np.full((20, 30, 3), int(path.name) % 256, np.uint8)
        with self._lock:
            self.read_so_far += 1
            self.alive += 1
            self.most_alive = max(self.most_alive, self.alive)
        weakref.finalize(picture, self._gone)
        return picture

    def _gone(self) -> None:
        with self._lock:
            self.alive -= 1


def names(count: int) -> list[Path]:
    return [Path(str(number)) for number in range(count)]


# Pictures.


@pytest.mark.parametrize("count", [0, 1, BATCH_SIZE, BATCH_SIZE + 1, 3 * AHEAD + 5])
def test_pictures_come_back_in_their_order_each_with_its_own_pose(pictures: Counted, count: int):
    paths = names(count)[::-1]
    seen = list(see_pictures(paths, Estimator(), whole_picture))
    assert [one.path for one in seen] == paths
    for one in seen:
        number = int(one.path.name)
        assert [brightness_of(pose) for pose in one.poses] == [number]
        assert one.poses[0].box == (0, 0, 30, 20)
        assert (one.picture == number).all()
        assert one.frame is None


def test_the_network_runs_full_batches(pictures: Counted):
    estimator = Estimator()
    list(see_pictures(names(2 * BATCH_SIZE + 3), estimator, whole_picture))
    sizes = [len(call) for call in estimator.calls if call]
    assert sizes == [BATCH_SIZE, BATCH_SIZE, 3]


def test_pictures_may_show_any_number_of_people(pictures: Counted):
    def locate(picture: np.ndarray, path: Path | None) -> list[Box]:
        return [(0, 0, 5 + person, 5) for person in range(int(path.name) % 4)]

    seen = list(see_pictures(names(45), Estimator(), locate))
    assert [len(one.poses) for one in seen] == [number % 4 for number in range(45)]
    for number, one in enumerate(seen):
        assert [brightness_of(pose) for pose in one.poses] == [number] * (number % 4)
        assert [pose.box[2] for pose in one.poses] == [5 + person for person in range(number % 4)]


def test_a_bad_picture_is_told_in_its_place_and_the_others_done(pictures: Counted):
    paths = names(40)
    paths[3:3] = [Path("bad")]
    paths[30:30] = [Path("bad2")]
    paths.append(Path("bad3"))
    seen = list(see_pictures(paths, Estimator(), whole_picture))
    assert [one.path for one in seen] == paths
    failed = {place: one for place, one in enumerate(seen) if isinstance(one, Failed)}
    assert list(failed) == [3, 30, 42]
    assert str(failed[3].error) == "bad: picture is damaged"
    for one in seen:
        if isinstance(one, Seen):
            assert brightness_of(one.poses[0]) == int(one.path.name)


def test_all_pictures_may_be_bad(pictures: Counted):
    paths = [Path(f"bad{number}") for number in range(3 * AHEAD)]
    seen = list(see_pictures(paths, Estimator(), whole_picture))
    assert [one.path for one in seen] == paths
    assert all(isinstance(one, Failed) for one in seen)


def test_a_picture_whose_people_cannot_be_located_fails_alone(pictures: Counted):
    def locate(picture: np.ndarray, path: Path | None) -> list[Box]:
        if path.name == "7":
            raise InputError(f"{path}: no box")
        return whole_picture(picture, path)

    seen = list(see_pictures(names(20), Estimator(), locate))
    assert [str(one.error) for one in seen if isinstance(one, Failed)] == ["7: no box"]
    assert [int(one.path.name) for one in seen if isinstance(one, Seen)] == [
        number for number in range(20) if number != 7
    ]


def test_other_errors_are_not_taken_for_bad_pictures(pictures: Counted):
    def locate(picture: np.ndarray, path: Path | None) -> list[Box]:
        raise ZeroDivisionError("a mistake")

    with pytest.raises(ZeroDivisionError, match="a mistake"):
        list(see_pictures(names(5), Estimator(), locate))

    class Failing(Estimator):
        def poses(self, images: list[np.ndarray], boxes: list[Box]) -> list[Pose]:
            raise InputError("no memory on the device")

    with pytest.raises(ValueError, match="no memory on the device"):
        list(see_pictures(names(50), Failing(), whole_picture))


def test_few_of_many_pictures_are_in_memory(pictures: Counted):
    count = 40 * BATCH_SIZE
    done = 0
    for _ in see_pictures(names(count), Estimator(), whole_picture):
        done += 1
        # Those waiting for a full batch, and those that are read ahead of it.
        assert pictures.read_so_far - done < AHEAD + BATCH_SIZE
    assert done == pictures.read_so_far == count
    assert pictures.most_alive <= AHEAD + 2 * BATCH_SIZE


def test_fewer_large_pictures_are_in_memory(pictures: Counted):
    pictures.pixels = MOST_PIXELS // 4
    done = 0
    for _ in see_pictures(names(60), Estimator(), whole_picture):
        done += 1
        assert pictures.read_so_far - done <= AHEAD + 4
    assert done == 60
    pictures.pixels = 3 * MOST_PIXELS
    most = max(
        pictures.read_so_far - place
        for place, _ in enumerate(see_pictures(names(9), Estimator(), whole_picture), start=61)
    )
    assert most <= AHEAD


def test_pictures_that_show_nobody_do_not_pile_up(pictures: Counted):
    seen = see_pictures(names(20 * AHEAD), Estimator(), lambda picture, path: [])
    for done, one in enumerate(seen):
        assert one.poses == []
        assert pictures.read_so_far - done <= 2 * AHEAD + BATCH_SIZE


def test_who_stops_early_reads_no_more_pictures(pictures: Counted):
    seen = see_pictures(names(20 * AHEAD), Estimator(), whole_picture)
    next(seen)
    seen.close()
    there = pictures.read_so_far
    assert there <= AHEAD + BATCH_SIZE
    gc.collect()
    # Nothing goes on in the background: `no_thread_is_left` has a look, too.
    assert pictures.read_so_far == there
    assert pictures.alive == 0


def test_pictures_are_read_and_located_in_several_threads(pictures: Counted):
    # Two that wait for each other end only if they run side by side.
    meeting = threading.Barrier(2, timeout=PATIENCE)

    def locate(picture: np.ndarray, path: Path | None) -> list[Box]:
        meeting.wait()
        return whole_picture(picture, path)

    assert len(list(see_pictures(names(4), Estimator(), locate))) == 4


def test_dotted_people_are_found_where_they_are(
    tmp_path: Path,
    dotted_person: Callable[..., tuple[Person, np.ndarray]],
    dot_finder: Runtime,
):
    from PIL import Image

    people, paths = [], []
    for number in range(BATCH_SIZE + 2):
        person, picture = dotted_person(number)
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
        people.append(person)
        paths.append(tmp_path / f"{number}.png")
    (tmp_path / "3.png").write_text("no picture")
    seen = list(see_pictures(paths, PoseEstimator(dot_finder), whole_picture))
    assert isinstance(seen[3], Failed)
    for number, (one, person) in enumerate(zip(seen, people, strict=True)):
        if number != 3:
            (pose,) = one.poses
            assert np.abs(pose.points - person.points)[person.labelled].max() < 1


# Films.


def frames(count: int, *, rate: float = 25.0) -> Iterator[Frame]:
    for number in range(count):
        yield Frame(np.full((40, 120, 3), number % 256, np.uint8), number, number / rate)


class Locate:
    """Says the same boxes every time, and counts how often it was asked."""

    def __init__(self, *boxes: Box) -> None:
        self.boxes, self.asked = boxes, 0

    def __call__(self, picture: np.ndarray, path: Path | None) -> list[Box]:
        assert path is None
        self.asked += 1
        return list(self.boxes)


BEGIN = (0.0, 0.0, 120.0, 40.0)


def test_frames_come_in_order_each_with_its_own_pose():
    seen = list(see_film(frames(3 * AHEAD), Estimator(), Locate(BEGIN)))
    assert [one.frame.number for one in seen] == list(range(3 * AHEAD))
    for one in seen:
        assert one.path is None
        assert one.picture is one.frame.picture
        assert [brightness_of(pose) for pose in one.poses] == [one.frame.number]


def test_a_film_without_frames_is_seen_at_once():
    assert list(see_film([], Estimator(), Locate(BEGIN))) == []


def test_the_box_follows_from_the_last_frames_joints():
    locate, estimator = Locate(BEGIN), Estimator()
    seen = list(see_film(frames(10), estimator, locate))
    assert locate.asked == 1
    assert estimator.calls[0] == [BEGIN]
    for last, boxes in zip(seen, estimator.calls[1:], strict=False):
        assert boxes == [following_box(last.poses[0])]


def test_every_frame_is_located_anew_on_demand():
    locate, estimator = Locate(BEGIN), Estimator()
    list(see_film(frames(10), estimator, locate, follow=False))
    assert locate.asked == 10
    assert estimator.calls == [[BEGIN]] * 10


def test_somebody_lost_is_located_anew_in_the_next_frame():
    locate, estimator = Locate(BEGIN), Estimator(0.9, 0.9, 0.05, 0.9)
    seen = list(see_film(frames(8), estimator, locate))
    assert locate.asked == 2
    assert estimator.calls[3] == [BEGIN]
    assert all(boxes != [BEGIN] for boxes in (*estimator.calls[1:3], *estimator.calls[4:]))
    # What lies between is bridged; its scores say what it is worth.
    assert [len(one.poses) for one in seen] == [1] * 8
    assert seen[2].poses[0].score == pytest.approx(BRIDGED_SHARE * 0.9)
    assert [[pose.id for pose in one.poses] for one in seen] == [[1]] * 8


def test_as_long_as_nobody_is_found_every_frame_is_searched():
    locate = Locate(BEGIN)
    list(see_film(frames(6), Estimator(0.0), locate))
    assert locate.asked == 6
    nobody = Locate()
    seen = list(see_film(frames(6), Estimator(), nobody))
    assert nobody.asked == 6
    assert [one.poses for one in seen] == [[]] * 6


def test_several_people_are_followed_each_by_their_box():
    places = [(0.0, 0.0, 40.0, 40.0), (60.0, 0.0, 50.0, 40.0)]
    locate, estimator = Locate(*places), Estimator()
    seen = list(see_film(frames(5), estimator, locate))
    assert locate.asked == 1
    for last, boxes in zip(seen, estimator.calls[1:], strict=False):
        assert boxes == [following_box(pose) for pose in last.poses]
        assert boxes[0] != boxes[1]


def test_somebody_lost_does_not_cost_the_others_their_boxes():
    places = [(0.0, 0.0, 40.0, 40.0), (60.0, 0.0, 50.0, 40.0)]
    estimator = Estimator(0.9, 0.9, [0.9, 0.05], 0.9)
    seen = list(see_film(frames(6), estimator, Locate(*places)))
    assert estimator.calls[3] == [following_box(seen[2].poses[0]), places[1]]


def test_joints_are_smoothed_on_demand_and_boxes_are_not():
    plain = list(see_film(frames(20), Estimator(), Locate(BEGIN)))
    smooth = list(see_film(frames(20), Estimator(), Locate(BEGIN), smooth_at=25.0))
    smoothing = OneEuroFilter(25.0)
    for raw, one in zip(plain, smooth, strict=True):
        (before,), (after,) = raw.poses, one.poses
        assert after.box == before.box
        np.testing.assert_array_equal(after.scores, before.scores)
        expected = smoothing(before.points, size=max(before.box[2:]))
        np.testing.assert_array_equal(after.points, expected)
    assert np.abs(smooth[-1].poses[0].points - plain[-1].poses[0].points).max() > 0.01


def test_somebody_found_again_is_not_drawn_towards_where_they_were_lost():
    lost = LONGEST_GAP + 1  # too long to be bridged
    scores = (0.9, 0.9, *[0.05] * lost, 0.9)
    plain = list(see_film(frames(12), Estimator(*scores), Locate(BEGIN)))
    smooth = list(see_film(frames(12), Estimator(*scores), Locate(BEGIN), smooth_at=25.0))
    assert plain[2].poses[0].score == pytest.approx(0.05)
    again = 2 + lost
    np.testing.assert_array_equal(smooth[again].poses[0].points, plain[again].poses[0].points)
    before, after = (seen[again + 1].poses[0].points[:, 0] for seen in (smooth, plain))
    assert (before < after).all()


def test_a_films_own_error_comes_after_its_good_frames():
    def failing() -> Iterator[Frame]:
        yield from frames(5)
        raise InputError("film.mp4: damaged")

    seen = []
    with pytest.raises(ValueError, match=r"film\.mp4: damaged"):
        seen.extend(see_film(failing(), Estimator(), Locate(BEGIN)))
    assert [one.frame.number for one in seen] == list(range(5))


def test_a_detector_is_asked_again_and_whoever_comes_is_found():
    # Somebody fills the left half from the start, another the right half from frame 30 on.
    def locate(picture: np.ndarray, path: Path | None) -> list[Box]:
        asked.append(int(picture[0, 0, 0]))
        return [(0.0, 0.0, 60.0, 40.0), (160.0, 0.0, 60.0, 40.0)][: 1 + (asked[-1] >= 30)]

    class Halves(Estimator):
        def poses(self, images: list[np.ndarray], boxes: list[Box]) -> list[Pose]:
            found = []
            for x, y, width, height in boxes:
                place = points_of(0) + ([160, 0] if x + width / 2 > 110 else [0, 0])
                scores = np.full(16, 0.9, np.float32)
                found.append(Pose(place.astype(np.float32), scores, MPII, (x, y, width, height)))
            return found

    def wide() -> Iterator[Frame]:
        for number in range(60):
            yield Frame(np.full((60, 240, 3), number, np.uint8), number, number / 25)

    asked: list[int] = []
    seen = list(see_film(wide(), Halves(), locate, detects=True))
    assert asked == [0, 9, 18, 27, 36, 45, 54]
    ids = [[pose.id for pose in one.poses] for one in seen]
    assert ids == [[1]] * 36 + [[1, 2]] * 24
    # Nothing is held back of a camera, and every frame that is looked at has its people.
    live = list(see_film(wide(), Halves(), locate, detects=True, live=True))
    assert live[-1].frame.number == 59
    assert live[-1].poses


def test_frames_held_back_come_before_an_interruption():
    def interrupted() -> Iterator[Frame]:
        yield from frames(20)
        raise KeyboardInterrupt

    seen = []
    with pytest.raises(KeyboardInterrupt):
        seen.extend(see_film(interrupted(), Estimator(), Locate(BEGIN)))
    assert len(seen) == 20


def test_what_cannot_be_located_ends_the_film():
    def locate(picture: np.ndarray, path: Path | None) -> list[Box]:
        raise InputError("--box: box lies outside the picture")

    with pytest.raises(ValueError, match=r"^--box: box lies outside"):
        list(see_film(frames(100), Estimator(), locate))


def test_who_stops_a_film_early_has_it_closed():
    closed = threading.Event()

    def endless() -> Iterator[Frame]:
        try:
            while True:
                yield from frames(100)
        finally:
            closed.set()

    seen = see_film(endless(), Estimator(), Locate(BEGIN))
    for _ in range(5):
        next(seen)
    seen.close()
    assert closed.wait(PATIENCE)


def test_a_dotted_person_is_followed_through_a_film(
    dotted_person: Callable[..., tuple[Person, np.ndarray]], dot_finder: Runtime
):
    person, picture = dotted_person(0)
    starts = [(20 + 3 * number, 10 + number) for number in range(40)]

    def film() -> Iterator[Frame]:
        for number, (left, top) in enumerate(starts):
            frame = np.full((160, 260, 3), 128, np.uint8)
            frame[top : top + 88, left : left + 96] = picture
            yield Frame(frame, number, number / 25)

    locate = Locate((20.0, 10.0, 96.0, 88.0))
    seen = list(see_film(film(), PoseEstimator(dot_finder), locate))
    assert locate.asked == 1
    for one, start in zip(seen, starts, strict=True):
        (pose,) = one.poses
        error = np.abs(pose.points - person.points - start)[person.labelled]
        assert error.max() < 1.5
    # Smoothed joints stay near, too.
    smooth = list(see_film(film(), PoseEstimator(dot_finder), locate, smooth_at=25.0))
    for one, start in zip(smooth, starts, strict=True):
        error = np.abs(one.poses[0].points - person.points - start)[person.labelled]
        assert error.max() < 6


# Reading ahead.


@pytest.mark.parametrize("count", [0, 1, AHEAD, 5 * AHEAD])
def test_items_come_in_order(count: int):
    assert list(read_ahead(range(count))) == list(range(count))


def test_items_may_be_anything():
    items = [None, 0, StopIteration(), ValueError("an item"), ()]
    assert list(read_ahead(items)) == items


def test_items_are_made_by_another_thread():
    def items() -> Iterator[int]:
        yield threading.get_ident()

    (maker,) = read_ahead(items())
    assert maker != threading.get_ident()


@pytest.mark.parametrize("kind", [ValueError, ZeroDivisionError, SystemExit, KeyboardInterrupt])
def test_an_error_comes_through_after_the_items_before_it(kind: type[BaseException]):
    def items() -> Iterator[int]:
        yield from range(3)
        raise kind("came through")

    got = []
    with pytest.raises(kind, match="came through"):
        got.extend(read_ahead(items()))
    assert got == [0, 1, 2]


def test_what_cannot_be_iterated_over_is_an_error_and_no_hang():
    with pytest.raises(TypeError, match="not iterable"):
        list(read_ahead(3))


def test_items_are_made_before_they_are_asked_for_but_not_many():
    made = [0]

    def items() -> Iterator[int]:
        for number in range(10 * AHEAD):
            made[0] += 1
            yield number

    ahead = read_ahead(items())
    for taken in range(1, 3 * AHEAD):
        assert next(ahead) == taken - 1
        if taken in (1, AHEAD):
            wait_until(lambda taken=taken: made[0] - taken >= AHEAD)
        # A full queue, and the one that waits to be put in.
        assert made[0] - taken <= AHEAD + 1
    ahead.close()
    assert made[0] < 10 * AHEAD


def test_nothing_is_made_before_the_first_is_asked_for():
    made = []

    def items() -> Iterator[int]:
        made.append(1)
        yield 1

    ahead = read_ahead(items())
    ahead.close()
    del ahead
    assert made == []


@pytest.mark.parametrize("taken", [1, 3])
def test_who_stops_early_leaves_no_thread(taken: int):
    before = set(threading.enumerate())
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            number = 0
            while True:
                yield (number := number + 1)
        finally:
            closed.set()

    for count, _ in enumerate(read_ahead(items()), start=1):
        if count == taken:
            break
    gc.collect()
    assert closed.wait(PATIENCE)
    wait_until(lambda: set(threading.enumerate()) <= before)


def test_a_reader_that_fails_leaves_no_thread():
    before = set(threading.enumerate())

    def read() -> None:
        for _ in read_ahead(iter(int, 1)):
            raise RuntimeError("reader")

    with pytest.raises(RuntimeError, match="reader"):
        read()
    gc.collect()
    wait_until(lambda: set(threading.enumerate()) <= before)


# The newest only.


def test_who_is_slow_gets_the_newest_item():
    taken, made = threading.Event(), threading.Event()

    def items() -> Iterator[int]:
        yield 0
        assert taken.wait(PATIENCE)
        yield from range(1, 50)
        made.set()

    newest = read_newest(items())
    assert next(newest) == 0
    taken.set()
    assert made.wait(PATIENCE)
    assert next(newest) == 49
    with pytest.raises(StopIteration):
        next(newest)


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_an_error_comes_through_after_the_newest_item(kind: type[BaseException]):
    def items() -> Iterator[int]:
        yield 7
        raise kind("came through")

    got = []
    with pytest.raises(kind, match="came through"):
        got.extend(read_newest(items()))
    assert got == [7]


def test_who_stops_early_ends_what_is_newest():
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            number = 0
            while True:
                yield (number := number + 1)
                time.sleep(0.001)
        finally:
            closed.set()

    for number in read_newest(items()):
        if number > 3:
            break
    gc.collect()
    assert closed.wait(PATIENCE)


# Writing.


def test_with_one_thread_jobs_run_in_their_order():
    done = []
    with Writer(threads=1) as writer:
        for number in range(5 * AHEAD):
            writer.submit(lambda number=number: done.append(number))
    assert done == list(range(5 * AHEAD))


def test_few_pixels_wait_at_a_time():
    waiting, most, lock = [0], [0], threading.Lock()

    def job(pixels: int) -> None:
        time.sleep(0.002)
        with lock:
            waiting[0] -= pixels

    with Writer() as writer:
        for pixels in [MOST_PIXELS // 3] * 12 + [2 * MOST_PIXELS] + [MOST_PIXELS // 3] * 6:
            writer.submit(lambda pixels=pixels: job(pixels), pixels=pixels)
            with lock:
                waiting[0] += pixels
                most[0] = max(most[0], waiting[0])
    assert most[0] <= 2 * MOST_PIXELS


def test_all_jobs_are_done_at_the_end():
    done = []
    with Writer() as writer:
        for number in range(5 * AHEAD):
            writer.submit(lambda number=number: done.append(number))
    assert sorted(done) == list(range(5 * AHEAD))
    assert writer.failures == []


def test_a_job_that_fails_is_told_and_the_others_are_done():
    done = []

    def job(number: int) -> None:
        if number % 10 == 3:
            raise InputError(f"{number}: cannot be written")
        done.append(number)

    with Writer() as writer:
        for number in range(2 * AHEAD):
            writer.submit(lambda number=number: job(number))
    bad = [number for number in range(2 * AHEAD) if number % 10 == 3]
    assert writer.failures == [f"{number}: cannot be written" for number in bad]
    assert sorted(done) == [number for number in range(2 * AHEAD) if number not in bad]


def test_other_errors_of_a_job_are_raised():
    with pytest.raises(ZeroDivisionError), Writer() as writer:
        writer.submit(lambda: 1 / 0)


def test_few_jobs_wait_at_a_time():
    # What they hold, such as a picture each, is in memory.
    counts = {"submitted": 0, "finished": 0}
    lock = threading.Lock()

    def job() -> None:
        time.sleep(0.001)
        with lock:
            counts["finished"] += 1

    with Writer() as writer:
        for _ in range(4 * AHEAD):
            writer.submit(job)
            with lock:
                counts["submitted"] += 1
                assert counts["submitted"] - counts["finished"] <= AHEAD
    assert counts["finished"] == 4 * AHEAD


def test_jobs_run_side_by_side():
    meeting = threading.Barrier(WRITERS, timeout=PATIENCE)
    with Writer() as writer:
        for _ in range(WRITERS):
            writer.submit(meeting.wait)


def test_jobs_are_done_though_the_caller_fails():
    done = []

    def call() -> None:
        with Writer() as writer:
            for number in range(8):
                writer.submit(lambda number=number: done.append(number))
            raise RuntimeError("caller")

    with pytest.raises(RuntimeError, match="caller"):
        call()
    assert sorted(done) == list(range(8))


def test_a_picture_as_a_whole_is_one_person():
    assert whole_picture(np.zeros((20, 30, 3), np.uint8), Path("a.jpg")) == [(0, 0, 30, 20)]
