"""The benchmark of the processor's settings: its sides, their turns, and what it makes of them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks import processor
from benchmarks.processor import MEASURED, SIDES, Cost, main, measured_in_a_process
from hourglass.core.processor import ONEDNN, OWN_SETTINGS


def test_ours_alone_sets_nothing_itself():
    """The other sides keep our settings away as a user would."""
    assert {name: sorted(variables) for name, variables in SIDES.items()} == {
        "ours": [],
        "no malloc settings": [OWN_SETTINGS[0]],
        "no settings at all": [OWN_SETTINGS[0], ONEDNN],
    }


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """`ended(stdout, stderr)`: measuring processes end so; returns how they were started."""

    def pretend(stdout: str, stderr: str = "") -> list[Any]:
        started: list[Any] = []

        def run(command: list[str], **options: Any) -> SimpleNamespace:
            started.append((command[1:], options["env"]))
            return SimpleNamespace(stdout=stdout, stderr=stderr)

        monkeypatch.setattr(subprocess, "run", run)
        return started

    return pretend


def test_a_process_measures_with_its_variables(
    ended: Callable[..., list[Any]], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("KEPT", "as it is")
    started = ended(f'notes\n{MEASURED}{{"seconds": 1.5, "faults": 20, "memory": 300}}\nmore\n')
    assert measured_in_a_process({"OWN": "1"}, "--network", "tiny") == Cost(1.5, 20, 300)
    ((command, environment),) = started
    assert command == ["-m", "benchmarks.processor", "--here", "--network", "tiny"]
    assert (environment["KEPT"], environment["OWN"]) == ("as it is", "1")


def test_a_process_that_fails_is_told(ended: Callable[..., list[Any]]):
    ended("notes\n", "Traceback\nno such preset")
    with pytest.raises(ValueError, match=r"^the measuring process failed: Traceback\nno such"):
        measured_in_a_process({})


def test_the_best_turn_of_each_side_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    turns: list[str] = []
    names = {str(environment): name for name, environment in SIDES.items()}
    seconds = {"ours": [2.0, 3.0], "no malloc settings": [9.0, 4.0], "no settings at all": [8, 8]}

    def measured(environment: dict[str, str], *arguments: str) -> Cost:
        assert arguments == ("--network", "tiny", "--batch-size", "4", "--precision", "bfloat16")
        name = names[str(environment)]
        turns.append(name)
        number = turns.count(name) - 1
        return Cost(seconds[name][number], 10 * seconds[name][number], 100 + number)

    monkeypatch.setattr(processor, "measured_in_a_process", measured)
    output = tmp_path / "numbers.json"
    words = ["--network", "tiny", "--batch-size", "4", "--precision", "bfloat16"]
    result = CliRunner().invoke(main, [*words, "--output", str(output)])
    assert result.exit_code == 0, result.output
    assert turns == [*SIDES, *SIDES]
    kept = json.loads(output.read_text())
    assert kept["machine"]["network"] == "tiny"
    rows = [
        (row["what"], row["unit"], row["value"], row["limit"], row["ratio"]) for row in kept["rows"]
    ]
    assert rows == [
        ("ours", "CPU s/step", 2, 8, 4),
        ("ours", "page faults/step", 20, None, None),
        ("ours", "MB at most", 100, None, None),
        ("no malloc settings", "CPU s/step", 4, 8, 2),
        ("no malloc settings", "page faults/step", 40, None, None),
        ("no malloc settings", "MB at most", 101, None, None),
        ("no settings at all", "CPU s/step", 8, 8, 1),
        ("no settings at all", "page faults/step", 80, None, None),
        ("no settings at all", "MB at most", 100, None, None),
    ]


@pytest.mark.slow
def test_a_step_is_measured():
    cost = measured_in_a_process({}, "--network", "tiny", "--batch-size", "2")
    assert cost.seconds > 0
    assert cost.memory > 100
