"""Two thousand steps: memory hardly grows, and nothing is left open."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

STEPS, PEOPLE, EPOCHS = 2000, 800, 10

MOST = 1.0
"""MB by which memory may grow in 100 steps."""


@pytest.mark.slow
def test_memory_hardly_grows_over_two_thousand_steps(
    tmp_path: Path,
    write_shards: Callable[..., Any],
    command: Callable[..., Any],
    watch: Callable[..., Any],
):
    data = tmp_path / "shards"
    write_shards(data, "train", [PEOPLE // 2] * 2)
    write_shards(data, "validation", [8], first=PEOPLE)
    batch = PEOPLE * EPOCHS // STEPS
    settings = {
        "network.stacks": 1,
        "network.channels": 4,
        "network.depth": 1,
        "network.input_size": 16,
        "train.epochs": EPOCHS,
        "train.batch_size": batch,
        "train.precision": "float32",
    }
    process = command(
        *("hourglass.train", "--data", data, "--preset", "tiny", "--run", "long"),
        *("--models", tmp_path / "models", "--logs", tmp_path / "logs"),
        *(word for pair in settings.items() for word in ("--set", "{}={}".format(*pair))),
    )
    seen = watch(process)
    seen.until_its_end(1800)
    output = process.communicate()[0]
    assert process.returncode == 0, output
    growth = seen.growth()
    print(f"{growth:.1f} MB over half of {STEPS} steps; at its end {seen.seen[-2]}")
    assert growth <= 0.5 * STEPS / 100 * MOST
    middle, last = (seen.seen[int(share * len(seen.seen))] for share in (0.5, 0.95))
    assert last[1] <= middle[1] + 2
    assert last[2] <= middle[2]
