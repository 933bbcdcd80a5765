"""Everybody in a film, frame after frame.

Reading and detecting run ahead of the network in a thread of their own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from hourglass.core.pose import Box, Pose
from hourglass.inference.estimator import PoseEstimator
from hourglass.inference.pipeline import Locate, Seen, read_ahead, read_newest
from hourglass.inference.smoothing import Smoother, bridged
from hourglass.inference.tracking import Tracker, following_box
from hourglass.media.video import Frame

AGAIN = 1 / 3
"""Seconds after which everybody is looked for again: so long may somebody go unseen who comes."""

FRAMES_AHEAD = 8
"""Frames read before they are needed."""


def see_film(
    frames: Iterable[Frame],
    estimator: PoseEstimator,
    locate: Locate,
    *,
    detects: bool = False,
    follow: bool = True,
    smooth_at: float | None = None,
    live: bool = False,
) -> Iterator[Seen]:
    """Looks at a film, frame after frame.

    Args:
        frames: In order.
        estimator: The network.
        locate: Says where people are.
        detects: Whether `locate` finds everybody in a frame: it is asked again every `AGAIN`
            seconds and when somebody is lost, and people may come and go. Else it says where the
            people begin: it is asked for the first frame and whenever one of them is lost.
        follow: Let each person's box follow from the last frame's joints. Else `locate` is asked
            for every frame.
        smooth_at: Frames per second at which to filter joints against jitter; None for no filter.
        live: Look at the newest frame each time, and hold none back to bridge gaps.

    Yields:
        Each frame with its people, who have ids from 1.
    """
    if detects:
        seen = _everybody(frames, estimator, locate, again=AGAIN if follow else 0.0, live=live)
    else:
        seen = _the_given(_read(frames, live), estimator, locate, follow=follow)
    if not live:
        seen = _bridged(seen)
    return _smoothed(seen, Smoother(smooth_at)) if smooth_at else seen


def _read(frames: Iterable, live: bool) -> Iterator:
    return read_newest(frames) if live else read_ahead(frames, FRAMES_AHEAD)


def _the_given(
    frames: Iterator[Frame], estimator: PoseEstimator, locate: Locate, *, follow: bool
) -> Iterator[Seen]:
    """As many people as `locate` says, each told of in every frame, however unsure."""
    boxes: list[Box | None] = []
    for frame in frames:
        if not follow or None in boxes or not boxes:
            found = locate(frame.picture, None)
            followed = boxes if follow and len(boxes) == len(found) else [None] * len(found)
            boxes = [box or again for box, again in zip(followed, found, strict=True)]
        known = [box for box in boxes if box is not None]
        poses = estimator.poses([frame.picture] * len(known), known)
        boxes = [following_box(pose) for pose in poses]
        people = [replace(pose, id=number) for number, pose in enumerate(poses, start=1)]
        yield Seen(frame.picture, people, frame=frame)


def _everybody(
    frames: Iterable[Frame],
    estimator: PoseEstimator,
    locate: Locate,
    *,
    again: float,
    live: bool,
) -> Iterator[Seen]:
    """Whoever is there, from the frame in which they come to that in which they go."""
    everybody = Everybody(estimator, locate)
    for frame, detected in _read(_detected(frames, locate, again), live):
        people = everybody.see(frame.picture, frame.time, detected=detected)
        yield Seen(frame.picture, people, frame=frame)


class Everybody:
    """Whoever is in the pictures that come one after the other, each with an id.

    Args:
        estimator: The network.
        locate: Finds everybody in a picture.
    """

    def __init__(self, estimator: PoseEstimator, locate: Locate) -> None:
        self._estimator, self._locate = estimator, locate
        self._tracker = Tracker()
        self._last: float | None = None

    def see(self, picture: np.ndarray, time: float, *, detected: list[Box] | None) -> list[Pose]:
        """The people in the next picture.

        Args:
            picture: (H, W, 3) uint8 RGB, of the size of the last.
            time: Seconds.
            detected: Boxes of everybody in it, if somebody has looked; without, `locate` is asked
                only when somebody is lost.
        """
        if detected is None and self._tracker.needs_detection:
            detected = self._locate(picture, None)
        if detected is not None:
            self._tracker.detect(detected)
        boxes = self._tracker.expected(time)
        poses = self._estimator.poses([picture] * len(boxes), boxes)
        height, width = picture.shape[:2]
        return self._tracker.update(poses, time, width=width, height=height)

    def look(self, picture: np.ndarray, time: float) -> list[Pose]:
        """As `see`; everybody is looked for again every `AGAIN` seconds."""
        detected = None
        if self._last is None or time - self._last >= AGAIN:
            detected, self._last = self._locate(picture, None), time
        return self.see(picture, time, detected=detected)


def _detected(
    frames: Iterable[Frame], locate: Locate, again: float
) -> Iterator[tuple[Frame, list[Box] | None]]:
    """Frames, every so often with the boxes of everybody in them."""
    last: float | None = None
    for frame in frames:
        due = last is None or frame.time - last >= again
        if due:
            last = frame.time
        yield frame, locate(frame.picture, None) if due else None


def _bridged(seen: Iterator[Seen]) -> Iterator[Seen]:
    """What is held back comes before what ends the film, be it an error or Ctrl-C."""
    waiting: deque[Seen] = deque()
    ends: list[BaseException] = []

    def people() -> Iterator[list[Pose]]:
        try:
            for one in seen:
                waiting.append(one)
                yield one.poses
        except (Exception, KeyboardInterrupt) as error:
            ends.append(error)

    for poses in bridged(people()):
        yield replace(waiting.popleft(), poses=poses)
    if ends:
        raise ends[0]


def _smoothed(seen: Iterator[Seen], smoother: Smoother) -> Iterator[Seen]:
    for one in seen:
        yield replace(one, poses=smoother(one.poses))
