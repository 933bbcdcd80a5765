"""A killed export: what has a final name is whole, and the next run is right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hourglass.modelfiles.runtimes import load_export


@pytest.mark.slow
def test_an_export_killed_at_random_moments_is_whole_or_not_there(
    tmp_path: Path,
    micro_file: Path,
    forked: Callable[..., Any],
    undisturbed: Callable[..., tuple[float, float]],
    killed_at_random: Callable[..., int],
):
    def call(path: Path) -> list[object]:
        where = ["--model", micro_file, "--output", path, "--force"]
        return ["hourglass.export", "--format", "litert", *where]

    whole, killed = tmp_path / "whole.tflite", tmp_path / "killed" / "a.tflite"
    killed.parent.mkdir()
    span = undisturbed(*call(whole))

    def look() -> None:
        if killed.exists():
            load_export(killed)

    def fresh() -> None:
        assert killed.stat().st_size == pytest.approx(whole.stat().st_size, rel=0.01)
        look()
        killed.unlink()
        assert list(killed.parent.iterdir()) == []

    killed_at_random(lambda: forked(*call(killed)), span, look, fresh)
