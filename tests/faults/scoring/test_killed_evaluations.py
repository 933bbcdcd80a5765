"""A killed evaluation: its file is whole or not there, and the next run is right."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.slow
def test_an_evaluation_killed_at_random_moments_is_whole_or_not_there(
    tmp_path: Path,
    micro_file: Path,
    shards: Path,
    forked: Callable[..., Any],
    undisturbed: Callable[..., tuple[float, float]],
    killed_at_random: Callable[..., int],
):
    def call(path: Path) -> list[object]:
        where = ["--model", micro_file, "--data", f"{shards}/validation*"]
        return ["hourglass.evaluate", *where, "--json", path]

    whole, killed = tmp_path / "whole.json", tmp_path / "killed.json"
    span = undisturbed(*call(whole))
    expected = json.loads(whole.read_text())

    def look() -> None:
        if killed.exists():
            assert json.loads(killed.read_text()) == expected

    def fresh() -> None:
        look()
        killed.unlink()

    def start() -> Any:
        if killed.exists():  # the kill came after the last byte
            fresh()
        return forked(*call(killed))

    killed_at_random(start, span, look, fresh)
