"""Two thousand frames: memory stays flat, and nothing is left open."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hourglass.inference.estimator import SHIPPED_LITERT
from hourglass.media.film_writer import FilmWriter

FRAMES = 2000


@pytest.mark.slow
def test_memory_stays_flat_over_two_thousand_frames(
    tmp_path: Path, command: Callable[..., Any], watch: Callable[..., Any]
):
    pytest.importorskip("ai_edge_litert")
    film, drawn, table = tmp_path / "a.mp4", tmp_path / "drawn.mp4", tmp_path / "a.json"
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    with FilmWriter(film, rate=25) as writer:
        for number in range(FRAMES):
            writer.write(np.roll(noise, number, axis=1))
    process = command(
        *("hourglass.predict", film, "--model", SHIPPED_LITERT),
        *("--output", drawn, "--json", table),
    )
    seen = watch(process)
    seen.until_its_end(1800)
    output = process.communicate()[0]
    assert process.returncode == 0, output
    assert len(json.loads(table.read_text())) == FRAMES
    growth = seen.growth()
    print(f"{growth:.1f} MB over half of {FRAMES} frames; at its end {seen.seen[-2]}")
    assert growth <= 0.5 * FRAMES / 100
    middle, last = (seen.seen[int(share * len(seen.seen))] for share in (0.5, 0.9))
    assert last[1] <= middle[1] + 2
