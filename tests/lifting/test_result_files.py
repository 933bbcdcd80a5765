"""Files of lifted people: they grow, and are whole whatever happens."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest

from hourglass.lifting.bvh import read_bvh
from hourglass.lifting.estimator import Body
from hourglass.lifting.result_files import LiftedFiles, LiftedOutputs
from hourglass.lifting.results import Lifted
from hourglass.media.results import Found


@pytest.fixture
def frames(moving: np.ndarray) -> list[Lifted]:
    bodies = [Body(points.astype(np.float32), np.ones(17, np.float32)) for points in moving[:3]]
    return [
        Lifted(Found("walk.mp4", 640, 480, [], frame, frame / 20), [body, None])
        for frame, body in enumerate(bodies)
    ]


@pytest.mark.parametrize("failure", [None, KeyboardInterrupt, ValueError])
def test_everything_so_far_is_kept(
    frames: list[Lifted], tmp_path: Path, failure: type[BaseException] | None
) -> None:
    outputs = LiftedOutputs(tmp_path / "a.json", tmp_path / "a.csv", tmp_path / "bvh")
    files = LiftedFiles(outputs)

    def write() -> None:
        with files as results:
            for frame in frames:
                results.write(frame)
            assert not (tmp_path / "a.json").exists()
            if failure:
                raise failure

    with pytest.raises(failure) if failure else contextlib.nullcontext():
        write()
    assert (files.entries, files.people) == (3, 3)
    told = json.loads((tmp_path / "a.json").read_text())
    assert [one["frame"] for one in told] == [0, 1, 2]
    assert (tmp_path / "a.csv").read_text().count("\n") == 4
    motion = read_bvh(tmp_path / "bvh" / "walk.bvh")
    assert (len(motion.values), motion.frame_time) == (3, pytest.approx(0.05))


def test_lines_are_there_at_once(frames: list[Lifted], tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with LiftedFiles(LiftedOutputs(json=path)) as results:
        for number, frame in enumerate(frames, start=1):
            results.write(frame)
            assert path.read_text().count("\n") == number


def test_nothing_lifted_is_an_empty_list(tmp_path: Path) -> None:
    with LiftedFiles(LiftedOutputs(json=tmp_path / "a.json")):
        pass
    assert json.loads((tmp_path / "a.json").read_text()) == []


def test_what_is_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.bvh").touch()
    outputs = LiftedOutputs(bvh=tmp_path)
    with pytest.raises(ValueError, match=r"a\.bvh is there already"):
        outputs.refuse_wrong([], [], force=False)
    outputs.refuse_wrong([], [], force=True)
    with pytest.raises(ValueError, match="is looked at"):
        LiftedOutputs(json=tmp_path / "a").refuse_wrong([], [tmp_path / "a"], force=True)
    with pytest.raises(ValueError, match="there is no folder"):
        LiftedOutputs(csv=tmp_path / "none" / "a.csv").refuse_wrong([], [], force=False)
