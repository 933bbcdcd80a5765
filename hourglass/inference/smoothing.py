"""A film's poses are better than its frames': gaps bridged from both sides, and less jitter."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from hourglass.core.pose import Pose
from hourglass.inference.tracking import LOST_SCORE, SURE_SCORE

LONGEST_GAP = 5
"""Frames over which a joint, or a person, is bridged: longer ones may hide anything."""

BRIDGED_SHARE = 0.5
"""Score of what was bridged over the lower score at its ends."""


def bridged(frames: Iterable[Sequence[Pose]]) -> Iterator[list[Pose]]:
    """The people of each frame, with what was lost between two frames put in along the straight.

    A joint that is sure before and after at most `LONGEST_GAP` frames in which it is not lies
    between its two places there, scored lower; likewise a whole person. Frames come `LONGEST_GAP` +
    1 later than they are given.

    Args:
        frames: People with ids.
    """
    waiting: deque[dict[int, Pose]] = deque()
    for people in frames:
        present = {pose.id: pose for pose in people if pose.id is not None}
        for number, pose in present.items():
            _bridge_person(waiting, number, pose)
        waiting.append(present)
        if len(waiting) > LONGEST_GAP + 1:
            yield list(waiting.popleft().values())
    for present in waiting:
        yield list(present.values())


def _bridge_person(waiting: deque[dict[int, Pose]], number: int, after: Pose) -> None:
    """Fills what `after` now shows to have been a gap."""
    places = [place for place, present in enumerate(waiting) if number in present]
    if not places:
        return
    before = waiting[places[-1]][number]
    for place in range(places[-1] + 1, len(waiting)):
        share = (place - places[-1]) / (len(waiting) - places[-1])
        waiting[place][number] = _between(before, after, share)
    for joint in np.flatnonzero(after.scores >= SURE_SCORE):
        _bridge_joint(waiting, number, after, int(joint))


def _bridge_joint(waiting: deque[dict[int, Pose]], number: int, after: Pose, joint: int) -> None:
    last = next(
        (
            place
            for place in range(len(waiting) - 1, -1, -1)
            if number not in waiting[place] or waiting[place][number].scores[joint] >= SURE_SCORE
        ),
        -1,
    )
    if last < 0 or number not in waiting[last]:
        return
    before = waiting[last][number]
    for place in range(last + 1, len(waiting)):
        share = (place - last) / (len(waiting) - last)
        pose = waiting[place][number]
        points, scores = pose.points.copy(), pose.scores.copy()
        points[joint] = (1 - share) * before.points[joint] + share * after.points[joint]
        scores[joint] = BRIDGED_SHARE * min(before.scores[joint], after.scores[joint])
        waiting[place][number] = replace(pose, points=points, scores=scores)


def _between(before: Pose, after: Pose, share: float) -> Pose:
    """A person at a share of the way from one frame to a later one."""
    x, y, width, height = (1 - share) * np.array(before.box) + share * np.array(after.box)
    return replace(
        before,
        points=((1 - share) * before.points + share * after.points).astype(np.float32),
        scores=BRIDGED_SHARE * np.minimum(before.scores, after.scores),
        box=(float(x), float(y), float(width), float(height)),
    )


class Smoother:
    """Filters everybody's joints, each person's by themselves.

    Args:
        rate: Frames per second.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._filters: dict[int | None, OneEuroFilter] = {}

    def __call__(self, people: Sequence[Pose]) -> list[Pose]:
        """The people of the next frame; one who was lost in the last begins anew."""
        smooth, filters = [], {}
        for pose in people:
            known = self._filters.get(pose.id) or OneEuroFilter(self._rate)
            smooth.append(replace(pose, points=known(pose.points, size=max(pose.box[2:]))))
            if pose.score >= LOST_SCORE:
                filters[pose.id] = known
        self._filters = filters
        return smooth


class OneEuroFilter:
    """Smooths slow joints much and fast ones little (Casiez, Roussel & Vogel, CHI 2012).

    Args:
        rate: Frames per second.
        cutoff: Lowest cutoff frequency, Hz: lower smooths still joints more.
        speed_share: Hz that the cutoff gains per box side per second: higher lags less.
    """

    SPEED_CUTOFF = 1.0  # Hz, as in the paper

    def __init__(self, rate: float, *, cutoff: float = 1.0, speed_share: float = 10.0) -> None:
        self._rate, self._cutoff, self._speed_share = rate, cutoff, speed_share
        self._points: np.ndarray | None = None
        self._speed = np.zeros(2)

    def __call__(self, points: np.ndarray, *, size: float) -> np.ndarray:
        """The smoothed joints of the next frame.

        Args:
            points: (J, 2) px.
            size: Side of the person's box, px: speeds are measured in it.

        Returns:
            (J, 2) float32 px.
        """
        points = np.asarray(points, float)
        if self._points is None:
            self._points, self._speed = points, np.zeros_like(points)
            return points.astype(np.float32)
        speed = (points - self._points) * self._rate
        self._speed += self._share(self.SPEED_CUTOFF) * (speed - self._speed)
        pace = np.linalg.norm(self._speed, axis=-1, keepdims=True) / size
        share = self._share(self._cutoff + self._speed_share * pace)
        self._points = self._points + share * (points - self._points)
        return self._points.astype(np.float32)

    def _share(self, cutoff: float | np.ndarray) -> float | np.ndarray:
        """Weight of the newest value in a low-pass filter of that cutoff frequency."""
        step = 2 * np.pi * cutoff / self._rate
        return step / (step + 1)
