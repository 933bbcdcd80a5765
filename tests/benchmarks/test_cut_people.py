"""The benchmark of people cut off by their picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks.cut_people import main, to_line
from hourglass.core.person import Person
from hourglass.modelfiles.runtimes import Runtime
from hourglass.scoring.cut_people import CutPeople


def test_a_row_tells_invented_and_real_joints_apart():
    scores = np.array([[0.9, 0.6, 0.4], [0.1, 0.35, 0.2], [1, 1, 1]], np.float32)
    inside = np.array([[1, 1, 0], [1, 0, 0], [0, 0, 0]], bool)
    outside = np.array([[0, 0, 1], [0, 1, 1], [0, 0, 0]], bool)
    found = CutPeople(scores, np.array([[1, 0, 0], [1, 0, 0], [0, 0, 0]], bool), inside, outside)
    row = to_line("hips", found)
    assert row == "| hips | 2 | 3 | 66.7 % | 0.0 % | 66.7 % | 66.7 % | 66.7 % |"


@pytest.mark.filterwarnings("error")
def test_a_row_of_nobody_is_told_as_such():
    nothing = np.zeros((2, 3), bool)
    row = to_line("knees", CutPeople(np.ones((2, 3), np.float32), nothing, nothing, nothing))
    assert row == "| knees | 0 | 0 | – | – | – | – | – |"


def test_nothing_is_invented_for_people_of_dots(
    tmp_path: Path,
    write_shards: Callable[..., list[Person]],
    dot_finder: Runtime,
    monkeypatch: pytest.MonkeyPatch,
):
    write_shards(tmp_path, "validation", [8])
    monkeypatch.setattr("benchmarks.cut_people.load_runtime", lambda path: dot_finder)
    result = CliRunner().invoke(main, ["--data", f"{tmp_path}/validation*"])
    assert result.exit_code == 0, result.output
    head, _, *rows = (line.strip("| ").split(" | ") for line in result.stdout.splitlines())
    assert head[:4] == ["picture ends at the", "people", "joints outside", "invented ≥ 0.3"]
    assert [row[0] for row in rows] == ["hips", "knees"]
    assert {row[3] for row in rows} == {"0.0 %"}
