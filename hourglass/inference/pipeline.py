"""Many pictures and whole films through one network: reading, running and writing side by side.

Each stage runs in threads of its own: decoding, OpenCV and the network leave Python's lock free.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from hourglass.core.pose import Box, Pose
from hourglass.inference.estimator import BATCH_SIZE, PoseEstimator, whole
from hourglass.inference.tracking import OneEuroFilter, following_box
from hourglass.media.pictures import read_picture
from hourglass.media.video import Frame

AHEAD = BATCH_SIZE
"""Pictures and frames read before they are needed, and drawn ones that wait to be written."""

MOST_PIXELS = 100_000_000
"""Of the pictures that are looked at together: large ones go in smaller batches."""

SAME = 0.5
"""Boxes that share more (intersection over union) show the same person."""

WRITERS = 4
"""Threads that draw and write."""

Item = TypeVar("Item")

Locate = Callable[[np.ndarray, Path | None], list[Box]]
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
    path: Path | None = None
    frame: Frame | None = None


@dataclass(frozen=True, eq=False)
class Failed:
    """A picture that could not be looked at, and why."""

    path: Path
    error: ValueError


def see_pictures(
    paths: Sequence[Path], estimator: PoseEstimator, locate: Locate
) -> Iterator[Seen | Failed]:
    """Looks at pictures, in batches of people, in the order given.

    Args:
        paths: Picture files.
        estimator: The network.
        locate: Says where people are; what it refuses with a `ValueError` fails alone.
    """
    waiting: list[Seen | Failed] = []
    boxes: list[list[Box]] = []
    people = pixels = 0
    for path, outcome in _read(paths, locate):
        if isinstance(outcome, ValueError):
            waiting.append(Failed(path, outcome))
            boxes.append([])
        else:
            waiting.append(Seen(outcome[0], [], path))
            boxes.append(outcome[1])
        pixels += 0 if isinstance(outcome, ValueError) else outcome[0].size // 3
        people += len(boxes[-1])
        if people >= BATCH_SIZE or len(waiting) >= AHEAD or pixels >= MOST_PIXELS:
            yield from _estimated(waiting, boxes, estimator)
            waiting, boxes, people, pixels = [], [], 0, 0
    yield from _estimated(waiting, boxes, estimator)


def _read(
    paths: Sequence[Path], locate: Locate
) -> Iterator[tuple[Path, tuple[np.ndarray, list[Box]] | ValueError]]:
    """Pictures with their people's boxes, read ahead in threads; or why there are none."""

    def read(path: Path) -> tuple[np.ndarray, list[Box]] | ValueError:
        try:
            picture = read_picture(path)
            return picture, locate(picture, path)
        except ValueError as error:
            return error

    pending: deque[tuple[Path, Future]] = deque()
    pool = ThreadPoolExecutor()
    try:
        for path in paths:
            pending.append((path, pool.submit(read, path)))
            if len(pending) >= AHEAD:
                first, future = pending.popleft()
                yield first, future.result()
        for first, future in pending:
            yield first, future.result()
    finally:
        pool.shutdown(cancel_futures=True)


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


def see_film(
    frames: Iterable[Frame],
    estimator: PoseEstimator,
    locate: Locate,
    *,
    follow: bool = True,
    smooth_at: float | None = None,
    ahead: int = AHEAD,
) -> Iterator[Seen]:
    """Looks at a film, frame after frame.

    Args:
        frames: In order.
        estimator: The network.
        locate: Says where people are in the first frame, and whenever one of them is lost.
        follow: Let each person's box follow from the last frame's joints. Else `locate` is asked
            for every frame.
        smooth_at: Frames per second at which to filter joints against jitter; None for no filter.
        ahead: Frames read before they are needed; of a camera, each makes the picture older.
    """
    boxes: list[Box | None] = []
    filters: list[OneEuroFilter] = []
    for frame in read_ahead(frames, ahead):
        known = [box for box in boxes if box is not None]
        if not follow or not known or len(known) < len(boxes):
            known, kept = _relocated(boxes if follow else [], locate(frame.picture, None))
            if smooth_at:
                filters = [
                    filters[person] if person in kept else OneEuroFilter(smooth_at)
                    for person in range(len(known))
                ]
        poses = estimator.poses([frame.picture] * len(known), known)
        boxes = [following_box(pose) for pose in poses]
        if smooth_at:
            poses = [_smoothed(*pair) for pair in zip(poses, filters, strict=True)]
        yield Seen(frame.picture, poses, frame=frame)


def _relocated(boxes: list[Box | None], found: list[Box]) -> tuple[list[Box], set[int]]:
    """Boxes for the next frame, and the people who keep theirs: only the lost are looked for anew.

    Args:
        boxes: Where each person should be; None of one who is lost.
        found: What `locate` says now. If these are not as many, everything begins again.
    """
    kept = {person: box for person, box in enumerate(boxes) if box is not None}
    if len(found) != len(boxes):
        return found, set()
    # A detector's order is its own: what lies on somebody who is kept is no one lost.
    free = [box for box in found if all(_overlap(box, one) < SAME for one in kept.values())]
    known = []
    for person, again in enumerate(found):
        box = kept.get(person)
        if box is None:
            box = again if again in free or not free else free[0]
            free = [one for one in free if one != box]
        known.append(box)
    return known, set(kept)


def _overlap(one: Box, other: Box) -> float:
    """Intersection over union."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    shared = max(0.0, width) * max(0.0, height)
    return shared / (one[2] * one[3] + other[2] * other[3] - shared)


def _smoothed(pose: Pose, smoothing: OneEuroFilter) -> Pose:
    return replace(pose, points=smoothing(pose.points, size=max(pose.box[2:])))


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


class Writer:
    """Runs jobs in threads, a few waiting at most; a context manager that ends when all are done.

    A job that fails with a `ValueError` is noted in `failures`, and the others go on.
    """

    def __init__(self) -> None:
        self.failures: list[str] = []
        self._pool = ThreadPoolExecutor(WRITERS)
        self._pending: deque[Future] = deque()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *error: object) -> None:
        while self._pending:
            self._wait()
        self._pool.shutdown()

    def submit(self, job: Callable[[], object]) -> None:
        """Runs `job` soon; waits first if `AHEAD` are waiting, so that memory stays bounded."""
        while len(self._pending) >= AHEAD:
            self._wait()
        self._pending.append(self._pool.submit(job))

    def _wait(self) -> None:
        try:
            self._pending.popleft().result()
        except ValueError as error:
            self.failures.append(str(error))


def whole_picture(picture: np.ndarray, path: Path | None) -> list[Box]:
    """A `Locate` for pictures that show one person each, who fills them."""
    return [whole(picture)]
