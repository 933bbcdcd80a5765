"""`python -m tools.train_lifter`: a file of motion becomes a lifting network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from hourglass.lifting.mocap import Clip, save_clips
from hourglass.lifting.model_file import load_lifter
from hourglass.lifting.runtimes import NumpyRuntime
from tools.train_lifter import main


@pytest.fixture
def motion(tmp_path: Path) -> Path:
    """Six clips of three people, 600 poses."""
    rng = np.random.default_rng(0)
    body = np.cumsum(rng.uniform(40, 90, (17, 3)), axis=0)
    clips = [
        Clip(
            (body + rng.normal(0, 30, (100, 17, 3))).astype(np.float32),
            who,
            "walk",
            f"{who}{k}",
            30,
        )
        for who in "abc"
        for k in range(2)
    ]
    path = tmp_path / "motion.npz"
    save_clips(path, clips)
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_a_network_comes_out_that_can_run(motion: Path, tmp_path: Path) -> None:
    output = tmp_path / "own.npz"
    done = run(
        *("--data", motion, "--hold-out", "b", "--epochs", 2, "--output", output),
        *("--source", "made up", "--compact"),
    )
    assert done.exit_code == 0, done.output
    assert "400 poses of 4 clips to train on; held out are b" in done.output
    _, about = load_lifter(output)
    assert about.source == "made up"
    assert len(about.mse) == 2
    placed = NumpyRuntime(output)(np.ones((2, 16, 3), np.float32))
    assert placed.shape == (2, 16, 3)
    assert np.isfinite(placed).all()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--hold-out", "z"), "there are a, b, c"),
        (("--output", "own.keras"), "must end in .npz"),
    ],
)
def test_wrong_choices_are_one_line(
    motion: Path, tmp_path: Path, options: tuple[str, ...], told: str
) -> None:
    done = run("--data", motion, "--output", tmp_path / "own.npz", *options)
    assert done.exit_code == 1
    assert told in done.output


def test_a_file_that_is_no_motion_is_named(tmp_path: Path) -> None:
    done = run("--data", tmp_path / "none.npz", "--output", tmp_path / "own.npz")
    assert done.exit_code == 1
    assert "none.npz: not a file of tools.mocap" in done.output
