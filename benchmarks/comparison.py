"""How benchmarks measure and report: the sides of a comparison take turns within one run.

Machines are noisy, so that seconds of two runs cannot be compared; what counts is the ratio of the
medians of sides that took turns. What is measured stands in the benchmark of each stage.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

RESULTS = Path("logs/benchmarks")
"""Where each benchmark leaves its JSON unless told otherwise."""


@dataclass(frozen=True)
class Row:
    """One line of a benchmark's table.

    Attributes:
        what: What was measured.
        value: The measured number.
        unit: Its unit.
        limit: The same work done the plain way, or by the physical limit, in the same unit.
        ratio: Value and limit by each other, 1 is equal; None where nothing is compared.
        target: What the ratio should be, or the value where there is none, such as `>= 0.55`;
            it says which way is good.
    """

    what: str
    value: float
    unit: str
    limit: float | None = None
    ratio: float | None = None
    target: str = ""


def peak_memory() -> int:
    """Bytes that this process has held at most.

    On Linux `getrusage` counts what the process that started this one held, too; `VmHWM` does not.
    """
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    for line in lines:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def timed(run: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def take_turns(
    sides: Mapping[str, Callable[[], Any]],
    *,
    rounds: int,
    warm_up: int = 1,
    measure: Callable[[Callable[[], Any]], float] = timed,
) -> dict[str, float]:
    """Median seconds of each side, the sides called one after another in every round.

    Args:
        sides: What to call, by name.
        rounds: Rounds that count, at least 1.
        warm_up: Rounds before them that do not.
        measure: Calls a side and gives its seconds; default: all that the call takes.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(warm_up + rounds):
        for name, run in sides.items():
            taken = measure(run)
            if number >= warm_up:
                seconds[name].append(taken)
    return {name: statistics.median(values) for name, values in seconds.items()}


def machine() -> dict[str, str | int | None]:
    """What the numbers were measured on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


def _processor() -> str:
    names = Path("/proc/cpuinfo")
    if names.is_file():
        for line in names.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def to_table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = ["| what | measured | limit | ratio | target |", "|---|---|---|---|---|"]
    for row in rows:
        limit = "" if row.limit is None else f"{row.limit:.4g} {row.unit}"
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        lines.append(
            f"| {row.what} | {row.value:.4g} {row.unit} | {limit} | {ratio} | {row.target} |"
        )
    return "\n".join(lines)


def report(
    name: str,
    rows: Sequence[Row],
    *,
    output: Path | None = None,
    details: Mapping[str, str] | None = None,
) -> None:
    """Prints the table, and writes it with the machine's name as JSON.

    Args:
        name: The benchmark's.
        rows: Its results.
        output: File to write; default: `RESULTS`/NAME.json.
        details: What else the numbers depend on, such as the graphics card, by name.
    """
    click.echo(to_table(rows))
    target = output or RESULTS / f"{name}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    values = {
        "benchmark": name,
        "machine": {**machine(), **(details or {})},
        "rows": [dataclasses.asdict(row) for row in rows],
    }
    target.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    click.echo(f"{target}: written")
