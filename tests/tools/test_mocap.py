"""`python -m tools.mocap`: folders of motion become one file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from click.testing import CliRunner, Result

from hourglass.lifting.mocap import load_clips
from tools.mocap import main


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def poses() -> np.ndarray:
    """A body that fans out: every bone has a length."""
    steps = np.random.default_rng(0).uniform(60, 120, (17, 3))
    body = np.cumsum(steps, axis=0)
    return np.repeat(body[None], 5, axis=0)


def test_a_folder_becomes_a_file(tmp_path: Path) -> None:
    for name in ("walk_1", "walk_2"):
        np.save(tmp_path / f"{name}.npy", poses())
    done = run("--input", tmp_path, "--output", tmp_path / "lift.npz", "--unit", "mm")
    assert done.exit_code == 0, done.output
    assert "10 poses of 2 clips and 1 subjects" in done.output
    assert [clip.action for clip in load_clips(tmp_path / "lift.npz")] == ["walk", "walk"]


def test_a_bad_file_ends_it_or_is_left_out(tmp_path: Path) -> None:
    np.save(tmp_path / "good.npy", poses())
    np.save(tmp_path / "bad.npy", poses()[:, :3])
    options = ("--input", tmp_path, "--output", tmp_path / "lift.npz", "--unit", "mm")
    stopped = run(*options)
    assert stopped.exit_code == 1
    assert "bad.npy: an array (5, 3, 3)" in stopped.output
    assert not (tmp_path / "lift.npz").exists()
    done = run(*options, "--skip-bad")
    assert done.exit_code == 0, done.output
    assert "left out: " in done.output
    assert "5 poses of 1 clips" in done.output


def test_a_wrong_output_is_refused_first(tmp_path: Path) -> None:
    done = run("--input", tmp_path, "--output", tmp_path / "lift.json")
    assert done.exit_code == 1
    assert "must end in .npz" in done.output
