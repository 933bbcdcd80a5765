"""Pictures that move: every frame in its turn, shown for as long as a browser shows it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hourglass.media.motion import Motion

GREYS = (0, 120, 240)


@pytest.mark.parametrize(
    ("milliseconds", "seconds"), [(10, 0.1), (20, 0.02), (250, 0.25), (0, 0.1)]
)
def test_frames_come_in_turn_for_as_long_as_browsers_show_them(
    tmp_path: Path, milliseconds: int, seconds: float
):
    first, *others = (Image.new("L", (32, 16), grey) for grey in GREYS)
    path = tmp_path / "moving.gif"
    first.save(path, save_all=True, append_images=others, duration=milliseconds)
    motion = Motion(path)
    assert (motion.count, motion.first_seconds) == (3, seconds)
    frames = list(motion)
    assert [shown for _, shown in frames] == [seconds] * 3
    for (picture, _), grey in zip(frames, GREYS, strict=True):
        assert picture.shape == (16, 32, 3)
        assert np.abs(picture.astype(int) - grey).max() <= 1
    assert len(list(motion)) == 3  # again from the start


def test_a_picture_at_rest_is_one_frame(tmp_path: Path):
    Image.new("RGB", (32, 16)).save(tmp_path / "still.png")
    assert [picture.shape for picture, _ in Motion(tmp_path / "still.png")] == [(16, 32, 3)]


def test_what_is_no_picture_is_refused(tmp_path: Path):
    (tmp_path / "no.gif").write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match=r"no\.gif: not a picture"):
        Motion(tmp_path / "no.gif")
