"""How benchmarks compare: turns, medians, tables and JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import comparison
from benchmarks.comparison import Row, peak_memory, report, take_turns, to_table


def test_sides_take_turns():
    calls: list[str] = []
    sides = {"one": lambda: calls.append("one"), "two": lambda: calls.append("two")}
    take_turns(sides, rounds=2, warm_up=1)
    assert calls == ["one", "two"] * 3


def test_the_median_leaves_warm_up_and_outliers_out(monkeypatch: pytest.MonkeyPatch):
    # Each call reads the clock before and after: its readings differ by the seconds it took.
    durations = iter([100.0, 2.0, 50.0, 3.0])
    now = [0.0]

    def clock() -> float:
        return now[0]

    def work() -> None:
        now[0] += next(durations)

    monkeypatch.setattr(comparison.time, "perf_counter", clock)
    assert take_turns({"work": work}, rounds=3) == {"work": 3.0}


def test_a_side_may_measure_itself():
    durations = iter([100.0, 2.0, 50.0, 3.0])
    sides = {"work": lambda: next(durations)}
    assert take_turns(sides, rounds=3, measure=lambda run: run()) == {"work": 3.0}


def test_a_table_shows_what_is_compared_and_what_is_not():
    rows = [Row("decode", 1234.5, "images/s", 2469.0, 0.5, ">= 0.55"), Row("memory", 81, "MB")]
    assert to_table(rows).splitlines() == [
        "| what | measured | limit | ratio | target |",
        "|---|---|---|---|---|",
        "| decode | 1234 images/s | 2469 images/s | 0.50 | >= 0.55 |",
        "| memory | 81 MB |  |  |  |",
    ]


def test_a_report_is_printed_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    output = tmp_path / "new" / "numbers.json"
    report("builder", [Row("rate", 10.0, "pictures/s")], output=output)
    printed = capsys.readouterr().out
    assert "| rate | 10 pictures/s |" in printed
    assert f"{output}: written" in printed
    kept = json.loads(output.read_text())
    assert kept["benchmark"] == "builder"
    assert kept["machine"]["cores"] >= 1
    assert kept["rows"] == [
        {"what": "rate", "value": 10.0, "unit": "pictures/s", "limit": None, "ratio": None}
        | {"target": ""}
    ]


def test_a_report_keeps_what_else_the_numbers_depend_on(tmp_path: Path):
    output = tmp_path / "numbers.json"
    report("step", [], output=output, details={"device": "NVIDIA H200"})
    machine = json.loads(output.read_text())["machine"]
    assert machine["device"] == "NVIDIA H200"
    assert machine["cores"] >= 1


def test_a_process_answers_for_its_own_memory_alone():
    """`getrusage` would count the hundreds of megabytes of the one that started it."""
    held = b"x" * 300_000_000

    def peak_after(statement: str) -> int:
        program = (
            f"from benchmarks.comparison import peak_memory; {statement}; print(peak_memory())"
        )
        process = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
        return int(process.stdout)

    assert peak_memory() > len(held)
    assert peak_after("pass") < 150_000_000
    assert 150_000_000 < peak_after("held = b'x' * 150_000_000") < 300_000_000
