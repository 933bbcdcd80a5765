"""Many pictures through one network: reading, running and writing side by side.

Each stage runs in threads of its own: decoding, OpenCV and the network leave Python's lock free.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from hourglass.core.errors import InputError
from hourglass.core.pose import Box, Pose
from hourglass.core.storage import Place, Url
from hourglass.inference.estimator import BATCH_SIZE, PoseEstimator, whole
from hourglass.media.pictures import picture_size, read_picture
from hourglass.media.results import Found
from hourglass.media.video import Frame

AHEAD = BATCH_SIZE
"""Pictures and frames read before they are needed, and drawn ones that wait to be written."""

MOST_PIXELS = 50_000_000
"""Of the pictures that are read ahead, that are looked at together, and that wait to be written:
large ones go in smaller batches, and one that is larger goes alone."""

USUAL_PIXELS = 2_000_000
"""What a picture is taken to have whose size is known only once it is read."""

WRITERS = 4
"""Threads that draw and write."""

Item = TypeVar("Item")

Locate = Callable[[np.ndarray, Place | None], list[Box]]
"""From a picture, and its file if it has one, to the boxes of its people."""


@dataclass(frozen=True, eq=False)
class Seen:
    """A picture and what was found in it.

    Attributes:
        picture: (H, W, 3) uint8 RGB.
        poses: One per person.
        path: The picture's file; None of a frame.
        frame: The frame; None of a picture.
    """

    picture: np.ndarray
    poses: list[Pose]
    path: Place | None = None
    frame: Frame | None = None

    def found(self, name: str) -> Found:
        """What was found, in the picture or film of that name."""
        height, width = self.picture.shape[:2]
        frame = self.frame
        number, time = (frame.number, round(frame.time, 4)) if frame else (None, None)
        return Found(name, width, height, self.poses, number, time)


@dataclass(frozen=True, eq=False)
class Failed:
    """A picture that could not be looked at, and why."""

    path: Place
    error: InputError


def see_pictures(
    paths: Sequence[Place], estimator: PoseEstimator, locate: Locate
) -> Iterator[Seen | Failed]:
    """Looks at pictures, in batches of people, in the order given.

    Args:
        paths: Picture files.
        estimator: The network.
        locate: Says where people are; what it refuses with an `InputError` fails alone.
    """
    waiting: list[Seen | Failed] = []
    boxes: list[list[Box]] = []
    people = pixels = 0
    for path, outcome in _read(paths, locate):
        if isinstance(outcome, InputError):
            waiting.append(Failed(path, outcome))
            boxes.append([])
        else:
            waiting.append(Seen(outcome[0], [], path))
            boxes.append(outcome[1])
        pixels += 0 if isinstance(outcome, InputError) else outcome[0].size // 3
        people += len(boxes[-1])
        if people >= BATCH_SIZE or len(waiting) >= AHEAD or pixels >= MOST_PIXELS:
            yield from _estimated(waiting, boxes, estimator)
            waiting, boxes, people, pixels = [], [], 0, 0
    yield from _estimated(waiting, boxes, estimator)


def _read(
    paths: Sequence[Place], locate: Locate
) -> Iterator[tuple[Place, tuple[np.ndarray, list[Box]] | InputError]]:
    """Pictures with their people's boxes, read ahead in threads; or why there are none."""

    def read(path: Place) -> tuple[np.ndarray, list[Box]] | InputError:
        try:
            picture = read_picture(path)
            return picture, locate(picture, path)
        except InputError as error:
            return error

    pending: deque[tuple[Place, int, Future]] = deque()
    pixels = 0
    pool = ThreadPoolExecutor()
    try:
        for path in paths:
            size = _pixels_of(path)
            while pending and (len(pending) >= AHEAD or pixels + size > MOST_PIXELS):
                first, done, future = pending.popleft()
                pixels -= done
                yield first, future.result()
            pending.append((path, size, pool.submit(read, path)))
            pixels += size
        while pending:
            first, _, future = pending.popleft()
            yield first, future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _pixels_of(path: Place) -> int:
    if isinstance(path, Url):
        return USUAL_PIXELS  # to know, all of it would be fetched twice
    try:
        width, height = picture_size(path)
    except InputError:
        return 0  # whoever reads it says why it cannot be
    return width * height


def _estimated(
    waiting: list[Seen | Failed], boxes: list[list[Box]], estimator: PoseEstimator
) -> Iterator[Seen | Failed]:
    """The waiting pictures with their poses, all people in one call."""
    images = [
        one.picture
        for one, places in zip(waiting, boxes, strict=True)
        if isinstance(one, Seen)
        for _ in places
    ]
    poses = iter(estimator.poses(images, [box for places in boxes for box in places]))
    for one, places in zip(waiting, boxes, strict=True):
        yield replace(one, poses=[next(poses) for _ in places]) if isinstance(one, Seen) else one


def read_ahead(items: Iterable[Item], ahead: int = AHEAD) -> Iterator[Item]:
    """The same items, made by a thread up to `ahead` before they are asked for."""
    ready: queue.Queue[tuple[Item | None, BaseException | None]] = queue.Queue(ahead)
    stopped = threading.Event()

    def hand_over(item: Item | None, error: BaseException | None) -> None:
        while not stopped.is_set():
            try:
                return ready.put((item, error), timeout=0.1)
            except queue.Full:
                continue

    def work() -> None:
        try:
            for item in items:
                hand_over(item, None)
                if stopped.is_set():
                    return
            hand_over(None, StopIteration())
        except BaseException as error:  # whatever it is, the reader's side raises it
            hand_over(None, error)

    threading.Thread(target=work, daemon=True).start()
    try:
        while True:
            item, error = ready.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item  # type: ignore[misc]
    finally:
        stopped.set()


def read_newest(items: Iterable[Item]) -> Iterator[Item]:
    """The newest item each time, made by a thread; those that nobody asked for in time are lost.

    For cameras: what waits grows old.
    """
    newest: deque[Item] = deque(maxlen=1)
    changed = threading.Condition()
    ended: list[BaseException | None] = []
    stopped = threading.Event()

    def work() -> None:
        error: BaseException | None = None
        try:
            for item in items:
                with changed:
                    newest.append(item)
                    changed.notify()
                if stopped.is_set():
                    return
        except BaseException as raised:  # whatever it is, the reader's side raises it
            error = raised
        with changed:
            ended.append(error)
            changed.notify()

    threading.Thread(target=work, daemon=True).start()
    try:
        while True:
            with changed:
                while not newest and not ended:
                    changed.wait(0.1)  # so that Ctrl-C is heard
                if not newest:
                    if ended[0] is not None:
                        raise ended[0]
                    return
                item = newest.popleft()
            yield item
    finally:
        stopped.set()


class Writer:
    """Runs jobs in threads, a few waiting at most; a context manager that ends when all are done.

    A job that fails with an `InputError` is noted in `failures`, and the others go on.

    Args:
        threads: How many jobs run at once; with one they run in their order.
    """

    def __init__(self, *, threads: int = WRITERS) -> None:
        self.failures: list[str] = []
        self._pool = ThreadPoolExecutor(threads)
        self._pending: deque[tuple[Future, int]] = deque()
        self._pixels = 0

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *error: object) -> None:
        while self._pending:
            self._wait()
        self._pool.shutdown()

    def submit(self, job: Callable[[], object], *, pixels: int = 0) -> None:
        """Runs `job` soon; waits first if too many are waiting, so that memory stays bounded.

        Args:
            job: What to do.
            pixels: How many it holds.
        """
        while self._pending and (
            len(self._pending) >= AHEAD or self._pixels + pixels > MOST_PIXELS
        ):
            self._wait()
        self._pending.append((self._pool.submit(job), pixels))
        self._pixels += pixels

    def _wait(self) -> None:
        future, pixels = self._pending.popleft()
        self._pixels -= pixels
        try:
            future.result()
        except InputError as error:
            self.failures.append(str(error))


def whole_picture(picture: np.ndarray, path: Place | None) -> list[Box]:
    """A `Locate` for pictures that show one person each, who fills them."""
    return [whole(picture)]
