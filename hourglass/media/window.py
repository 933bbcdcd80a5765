"""A window on the screen that shows a film while it is made."""

from __future__ import annotations

import numpy as np

WINDOW = "hourglass"


QUIT_KEYS = frozenset({27, ord("q")})  # escape


class Window:
    """A window on the screen; a context manager."""

    def __enter__(self) -> Window:
        import cv2

        self._cv2 = cv2
        try:
            cv2.namedWindow(WINDOW, cv2.WINDOW_NORMAL)
        except cv2.error as error:
            raise ValueError(
                "--show: OpenCV can open no window here; it needs a display, and the package "
                "opencv-python in the place of opencv-python-headless"
            ) from error
        return self

    def __exit__(self, *error: object) -> None:
        self._cv2.destroyAllWindows()

    def show(self, picture: np.ndarray) -> bool:
        """Shows a frame; False once the user wants to end."""
        self._cv2.imshow(WINDOW, picture[..., ::-1])
        return self._cv2.waitKey(1) & 0xFF not in QUIT_KEYS
