"""A killed prediction on a film: what has a final name is whole, and the next run is right."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from hourglass.inference.estimator import SHIPPED_LITERT
from hourglass.media.film_writer import FilmWriter

FRAMES = 150


@pytest.mark.slow
def test_a_film_killed_at_random_moments_is_whole_or_not_there(
    tmp_path: Path,
    forked: Callable[..., Any],
    undisturbed: Callable[..., tuple[float, float]],
    killed_at_random: Callable[..., int],
):
    pytest.importorskip("ai_edge_litert")
    film = tmp_path / "a.mp4"
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    with FilmWriter(film, rate=25) as writer:
        for number in range(FRAMES):
            writer.write(np.roll(noise, number, axis=1))

    def call(folder: Path) -> list[object]:
        return [
            *("hourglass.predict", film, "--model", SHIPPED_LITERT, "--force"),
            *("--output", folder / "drawn.mp4", "--json", folder / "a.json"),
            *("--csv", folder / "a.csv"),
        ]

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
    span = undisturbed(*call(whole))
    expected = {name: (whole / name).read_text() for name in ("a.json", "a.csv")}

    def look() -> None:
        if (killed / "drawn.mp4").exists():
            with av.open(str(killed / "drawn.mp4")) as drawn:
                assert len(list(drawn.decode(video=0))) == FRAMES
        if (killed / "a.json").exists():
            assert len(json.loads((killed / "a.json").read_text())) == FRAMES
        if (killed / "a.csv").exists():
            with (killed / "a.csv").open(newline="") as file:
                assert len(list(csv.DictReader(file))) == FRAMES

    def fresh() -> None:
        look()
        for name, text in expected.items():
            assert (killed / name).read_text() == text
        assert {path.name for path in killed.iterdir()} == {"drawn.mp4", "a.json", "a.csv"}
        for path in list(killed.iterdir()):
            path.unlink()

    killed_at_random(lambda: forked(*call(killed)), span, look, fresh)
