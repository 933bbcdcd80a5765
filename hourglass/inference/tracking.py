"""One person after another frame: the box that follows from a pose, and a filter against jitter."""

from __future__ import annotations

import numpy as np

from hourglass.core.pose import Box, Pose

MARGIN = 1.2
"""Side of a person's box over that of the joints' own: head and feet go beyond their joints."""

STEADINESS = 0.5
"""Share of the last frame's box in the next one: a box that jumps makes joints jump."""

SURE_SCORE = 0.2
"""Joints scored lower do not say where the person is."""

LOST_SCORE = 0.2
"""A person whose mean score falls below it is taken to be lost."""

FEWEST_JOINTS = 4


def following_box(pose: Pose) -> Box | None:
    """Where to look for a person in the next frame.

    Returns:
        (x, y, width, height) px of the next frame, or None if the person is lost.
    """
    sure = pose.points[pose.scores >= SURE_SCORE]
    if pose.score < LOST_SCORE or len(sure) < FEWEST_JOINTS:
        return None
    low, high = sure.min(axis=0), sure.max(axis=0)
    # The longer side decides the crop, so that bending down does not shrink it to nothing.
    center, size = (low + high) / 2, (high - low).max() * MARGIN
    old_x, old_y, old_width, old_height = pose.box
    old_center = np.array([old_x + (old_width - 1) / 2, old_y + (old_height - 1) / 2])
    center = STEADINESS * old_center + (1 - STEADINESS) * center
    size = STEADINESS * max(old_width, old_height) + (1 - STEADINESS) * size
    x, y = center - (size - 1) / 2
    return float(x), float(y), float(size), float(size)


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
