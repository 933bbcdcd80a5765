"""The tables of lifting networks, on made-up motion and networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from click.testing import CliRunner

from benchmarks.lifting import HUMANEVA, main
from hourglass.lifting.mocap import Clip, save_clips
from hourglass.lifting.model_file import About, save_lifter
from hourglass.lifting.network import build_lifter, weights_of
from hourglass.lifting.shape import LifterConfig


def test_every_network_is_in_every_table(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    body = np.cumsum(rng.uniform(40, 90, (17, 3)), axis=0)
    clips = [
        Clip((body + rng.normal(0, 30, (9, 17, 3))).astype(np.float32), who, "walk", who, 30)
        for who in "ab"
    ]
    save_clips(tmp_path / "motion.npz", clips)
    models = tmp_path / "models"
    models.mkdir()
    for name, masked in (("ours", True), ("seed", False)):
        config = LifterConfig(units=8, masked=masked)
        about = About(config, mse=(0.5, 0.25))
        save_lifter(models / f"{name}.npz", weights_of(build_lifter(config)), about)
    key = "Train/S1/Walking 1 chunk0"
    views = {f"{key}/2d_camera{k}": rng.normal(size=(4, 15, 2)) for k in range(3)}
    np.savez(tmp_path / "eva.npz", **{f"{key}/3d": rng.normal(size=(4, 15, 3)), **views})
    words = ["--data", "motion.npz", "--models", "models", "--hold-out", "b"]
    words += ["--other", "motion.npz", "--humaneva", "eva.npz"]
    paths = [str(tmp_path / word) if "." in word or word == "models" else word for word in words]
    done = CliRunner().invoke(main, paths)
    assert done.exit_code == 0, done.output
    assert "ours: mse by epoch, m²: 0.5000 0.2500" in done.output
    tables = [
        line.split() for line in done.output.splitlines() if "ours" in line and ":" not in line
    ]
    assert ["mean", "pose", "nearest", "ours", "seed"] in tables
    rows = {line.split("  ")[0] for line in done.output.splitlines()}
    assert {"2 joints missing", "noise 20 px", "Walking", "walk", *HUMANEVA} <= rows


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["--data", "x.npz", "--models", str(tmp_path)])
    assert done.exit_code == 1
    assert "no lifting network in it" in done.output
