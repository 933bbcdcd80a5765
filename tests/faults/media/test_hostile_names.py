"""Names made to do harm: what is written for such files stays in the folder that is wanted."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image

from hourglass.predict import main

NAMES = [
    b"two\nlines.png",
    b"not-utf8-\xff.png",
    b"..png",
    b"...png",
    b"-rf.png",
    b"$(touch ran).png",
    b"%s%n.png",
    b"=1+1.png",
    b"a,b;'\".png",
    b"\xe2\x80\xaegnp.png",
]


def test_results_stay_where_they_are_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dot_finder: Any
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hourglass.modelfiles.runtimes.KerasRuntime", lambda path: dot_finder)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, name in enumerate(NAMES):
        Image.new("RGB", (40, 40), (number, 80, 80)).save(folder / os.fsdecode(name), "PNG")
    words = ["pictures", "--model", "dots.keras", "--output", "out/drawn", "--json", "out/a.json"]
    words += ["--csv", "out/a.csv", "--coco", "out/coco.json", "--openpose", "out/openpose"]
    Path("out").mkdir()
    result = CliRunner().invoke(main, words)
    seen = [path for path in folder.iterdir() if not path.name.startswith(".")]
    assert result.exit_code == 0, result.output
    assert {path.name for path in tmp_path.iterdir()} == {"pictures", "out"}
    assert len(list(folder.iterdir())) == len(NAMES)
    assert len(json.loads(Path("out/a.json").read_text())) == len(seen)
    with Path("out/a.csv").open(newline="", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == len(seen)
    assert len(list(Path("out/drawn").iterdir())) == len(seen)
    assert len(list(Path("out/openpose").iterdir())) == len(seen)


def test_a_name_of_several_lines_is_told_in_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dot_finder: Any, error_of: Any
):
    monkeypatch.setattr("hourglass.modelfiles.runtimes.KerasRuntime", lambda path: dot_finder)
    path = tmp_path / "one\nError: two.png"
    path.write_bytes(b"no picture")
    told = error_of(main, path, "--model", "dots.keras", "--output", tmp_path / "out")
    assert "not a picture" in told
