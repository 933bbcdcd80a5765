"""The window: what it shows, and how many frames a second it tells of."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from hourglass.media.window import Window


def test_frames_per_second_stand_in_the_upper_left(monkeypatch: pytest.MonkeyPatch):
    shown: list[np.ndarray] = []
    texts: list[str] = []
    put = cv2.putText
    now = [100.0]

    def noted(picture: np.ndarray, text: str, *rest: object) -> np.ndarray:
        texts.append(text)
        return put(picture, text, *rest)

    monkeypatch.setattr(cv2, "namedWindow", lambda *_: None)
    monkeypatch.setattr(cv2, "imshow", lambda name, picture: shown.append(picture))
    monkeypatch.setattr(cv2, "waitKey", lambda milliseconds: -1)
    monkeypatch.setattr(cv2, "destroyAllWindows", lambda: None)
    monkeypatch.setattr(cv2, "putText", noted)
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    picture = np.full((360, 640, 3), (10, 20, 30), np.uint8)
    with Window() as window:
        for step in (*[0.1] * 50, *[0.5] * 10):
            assert window.show(picture)
            now[0] += step
    assert (picture == (10, 20, 30)).all()
    assert not texts[0]
    assert texts[2 * 49] == "10.0 fps"
    assert texts[-1] == "2.0 fps"  # of the last two seconds alone
    np.testing.assert_array_equal(shown[0], picture[..., ::-1])
    changed = (shown[-1] != picture[..., ::-1]).any(axis=-1)
    rows, columns = np.nonzero(changed)
    assert 0 < rows.max() < 40
    assert 0 < columns.max() < 160
