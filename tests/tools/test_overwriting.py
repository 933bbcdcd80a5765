"""Commands that write never write over what is there, unless they are told to."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

COMMANDS = {
    "tools.make_synthetic": ("annotations/train.json", ["--output", "."]),
    "tools.lsp": ("validation.json", ["--root", "."]),
    "tools.mocap": ("out.npz", ["--input", ".", "--output", "./out.npz"]),
    "tools.train_lifter": ("out.npz", ["--data", "a.npz", "--output", "./out.npz"]),
    "tools.pseudo_label": ("out.json", ["--images", ".", "--output", "out.json"]),
    "tools.convert_backbone": ("out.npz", ["--output", "out.npz"]),
    "hourglass.evaluate": ("out.json", ["--json", "out.json"]),
    "hourglass.calibrate": ("out.keras", ["--data", "x", "--output", "out.keras"]),
}
"""Of each, a file that it would write and what it is told."""


@pytest.mark.parametrize("name", COMMANDS)
def test_a_file_is_kept(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error_of: Callable[..., str],
):
    monkeypatch.chdir(tmp_path)
    file, words = COMMANDS[name]
    Path(file).parent.mkdir(exist_ok=True)
    Path(file).write_text("a day's work")
    line = error_of(importlib.import_module(name).main, *words)
    assert line == f"{file} is there already; --force would overwrite"
    assert Path(file).read_text() == "a day's work"
    others = error_of(importlib.import_module(name).main, *words, "--force", "--nonsense")
    assert "--nonsense" in others


def test_an_evaluations_page_is_kept(tmp_path: Path, error_of: Callable[..., str]):
    (tmp_path / "report.html").touch()
    line = error_of(importlib.import_module("hourglass.evaluate").main, "--report", tmp_path)
    assert line == f"{tmp_path / 'report.html'} is there already; --force would overwrite"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose commands do nothing."""
    for name in ("Makefile", "setup.cfg", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    commands = tmp_path / ".venv" / "bin"
    commands.mkdir(parents=True)
    (commands / "python").write_text("#!/bin/sh\n")
    (commands / "python").chmod(0o755)
    (commands / ".installed").touch()
    return tmp_path


def make_demo(checkout: Path, folder: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "demo", f"DEMO={folder}"],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "MAKEFLAGS": ""},
    )


@pytest.mark.skipif(not shutil.which("make"), reason="needs make")
def test_the_demo_removes_no_folder_but_its_own(checkout: Path):
    photographs = checkout / "photographs"
    photographs.mkdir()
    (photographs / "a.jpg").touch()
    refused = make_demo(checkout, "photographs")
    assert refused.returncode != 0
    assert "photographs: is there and was not made by `make demo`" in refused.stdout
    assert (photographs / "a.jpg").exists()
    assert make_demo(checkout, "new").returncode == 0
    (checkout / "new" / "old.jpg").touch()
    assert make_demo(checkout, "new").returncode == 0
    assert not (checkout / "new" / "old.jpg").exists()
