"""The film's benchmark: its film shows who it says, and its rows say what they measure."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.film import PHOTOGRAPH, Taken, overlap_rows, run_mediapipe, write_film
from hourglass.core.errors import InputError
from hourglass.inference.detection import PeopleDetector
from hourglass.media.video import Film


@pytest.mark.parametrize("people", [1, 5])
def test_the_film_shows_as_many_people_as_it_says(tmp_path: Path, people: int):
    assert PHOTOGRAPH.is_file()
    boxes = write_film(tmp_path / "a.mp4", (360, 640), people, 5)
    frames = list(Film(tmp_path / "a.mp4"))
    assert len(frames) == 5
    assert len(boxes) == people
    assert len(PeopleDetector()(frames[2].picture)) == people


def test_the_whole_is_compared_with_the_slowest_stage_and_the_processor(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    seconds = {"reading": 1.0, "network": 4.0, "writing": 2.0, "whole": 5.0}
    processor = {"reading": 1.0, "network": 5.0, "writing": 3.0, "whole": 20.0}
    stage, allowed = overlap_rows("a film", Taken(seconds, processor), 100)
    assert (stage.value, stage.limit, stage.ratio) == (50.0, 40.0, 0.8)
    assert "network alone; reading 10.0, network 40.0, writing 20.0 ms" in stage.what
    assert (allowed.value, allowed.limit, allowed.ratio) == (50.0, 45.0, 0.9)
    # Where one stage is slower than all of the processor's time, it is the limit.
    _, allowed = overlap_rows("a film", Taken(seconds, dict.fromkeys(processor, 0.5)), 100)
    assert allowed.limit == 40.0


def test_another_pythons_word_is_taken_and_its_failure_told(tmp_path: Path):
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho noise\necho \'{"seconds": 2, "frames": 4, "found": 4}\'\n')
    python.chmod(0o755)
    assert run_mediapipe(python, tmp_path)["frames"] == 4
    python.write_text("#!/bin/sh\necho no mediapipe >&2\nexit 1\n")
    with pytest.raises(InputError, match="no mediapipe"):
        run_mediapipe(python, tmp_path)
