"""A window on the screen that shows a film while it is made."""

from __future__ import annotations

import time
from collections import deque

import numpy as np

from hourglass.core.errors import InputError

WINDOW = "hourglass"

COUNTED = 2.0
"""Seconds over which frames are counted."""

QUIT_KEYS = frozenset({27, ord("q")})  # escape


class Window:
    """A window on the screen, which tells how many frames a second it shows; a context manager."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()

    def __enter__(self) -> Window:
        import cv2

        self._cv2 = cv2
        try:
            cv2.namedWindow(WINDOW, cv2.WINDOW_NORMAL)
        except cv2.error as error:
            raise InputError(
                "--show: OpenCV can open no window here; it needs a display, and the package "
                "opencv-python in the place of opencv-python-headless"
            ) from error
        return self

    def __exit__(self, *error: object) -> None:
        self._cv2.destroyAllWindows()

    def show(self, picture: np.ndarray) -> bool:
        """Shows a frame; False once the user wants to end."""
        now = time.monotonic()
        self._times.append(now)
        while now - self._times[0] > COUNTED:
            self._times.popleft()
        passed = now - self._times[0]
        told = f"{(len(self._times) - 1) / passed:.1f} fps" if passed else ""
        self._cv2.imshow(WINDOW, self._with_text(picture[..., ::-1], told))
        return self._cv2.waitKey(1) & 0xFF not in QUIT_KEYS

    def _with_text(self, picture: np.ndarray, text: str) -> np.ndarray:
        """The picture (H, W, 3) with a text in its upper left, white around black."""
        shown = np.ascontiguousarray(picture).copy()
        size = max(0.5, max(shown.shape[:2]) / 1000)
        place, thick = (round(12 * size), round(36 * size)), max(1, round(2 * size))
        for colour, stroke in (((255, 255, 255), 3 * thick), ((0, 0, 0), thick)):
            font = self._cv2.FONT_HERSHEY_SIMPLEX
            self._cv2.putText(shown, text, place, font, size, colour, stroke, self._cv2.LINE_AA)
        return shown
