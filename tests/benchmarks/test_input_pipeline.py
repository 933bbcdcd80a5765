"""The benchmark of the input pipeline: every row on few people, and what it compares."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks import input_pipeline
from benchmarks.comparison import Row
from benchmarks.input_pipeline import decode_whole, main, make_batches, psnr
from benchmarks.made_up import SMALL, made_up_shards
from hourglass.core.config import Config, NetworkConfig, TrainConfig

FEW = Config(NetworkConfig(depth=1, input_size=16), train=TrainConfig(batch_size=4))


def test_both_sides_go_through_everybody(tmp_path: Path):
    pattern = made_up_shards(tmp_path, people=10, size=SMALL)
    assert decode_whole(pattern, epochs=3)() == 30
    assert make_batches(pattern, FEW)() == 2  # what does not fill a batch is dropped
    assert make_batches(pattern, FEW, epochs=3)() == 6


def test_psnr_is_golden():
    black, white = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 255, np.uint8)
    assert psnr(black, black) == np.inf
    assert psnr(black, white) == pytest.approx(0)
    assert psnr(black, black + np.uint8(1)) == pytest.approx(48.13, abs=0.01)


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, float]]:
    """`measured(*words)`: values by their rows of the command on few people."""
    for name, value in (
        ("PEOPLE", 16),
        ("GROWING_PEOPLE", 16),
        ("GROWTH", (1, 2)),
        ("PICTURES_COMPARED", 4),
        ("MEMORY_PEOPLE", 1),
        ("training_peak", len),
    ):
        monkeypatch.setattr(input_pipeline, name, value)

    def measure(*words: str) -> dict[str, float]:
        output = tmp_path / "rows.json"
        result = CliRunner().invoke(main, [*words, "--rounds", "1", "--output", str(output)])
        assert result.exit_code == 0, result.output
        return {row["what"]: row["value"] for row in json.loads(output.read_text())["rows"]}

    return measure


def test_the_command_measures_every_row(measured: Callable[..., dict[str, float]]):
    rows = measured()
    exactness = "worst of 4 64-px crops, 200×300 (from whole pictures)"
    assert list(rows) == [
        "training batches, 200×300 (decoding whole)",
        exactness,
        "training batches, 1280×720 (decoding whole)",
        "worst of 4 64-px crops, 1280×720 (from whole pictures)",
        "an epoch of 16 people (1 × 16 people)",
        "an epoch of 32 people (2 × 16 people)",
        "peak memory of training on 10 people (1)",
    ]
    assert rows[exactness] >= 32


def test_the_command_measures_shards_of_ones_own(
    measured: Callable[..., dict[str, float]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def remembered(name: str, pattern: str, **_: object) -> Row:
        return Row(f"{name} {pattern}", 1.0, "s")

    monkeypatch.setattr(input_pipeline, "rate_row", remembered)
    monkeypatch.setattr(input_pipeline, "growth_rows", lambda *_, **__: [])
    monkeypatch.setattr(input_pipeline, "LARGE", SMALL)
    made_up_shards(tmp_path / "own", people=16, size=SMALL)
    rows = measured("--data", f"{tmp_path}/own")
    exactness = "worst of 4 64-px crops, own (from whole pictures)"
    assert list(rows)[:2] == [f"own {tmp_path}/own/train*", exactness]
    assert rows[exactness] >= 32


def test_a_folder_without_shards_is_refused(tmp_path: Path):
    result = CliRunner().invoke(main, ["--data", str(tmp_path)])
    assert result.exit_code == 1
    assert "no shards match" in result.output
