"""The benchmark of predictions: what its rows compare, not how long anything takes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from benchmarks import predict as benchmark
from benchmarks.comparison import Row
from hourglass.core.decoding import decode_heatmaps
from hourglass.inference.estimator import BATCH_SIZE, SHIPPED, PoseEstimator
from hourglass.modelfiles.runtimes import Runtime
from hourglass.predict import main as predict_main


@pytest.fixture
def takes(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`takes(side=seconds)` makes every comparison take these times, after each side ran once."""

    def fix(**seconds: float) -> None:
        def take_turns(sides: Mapping[str, Callable[[], object]], *, rounds: int):
            for run in sides.values():
                run()
            return {side: seconds[side] for side in sides}

        monkeypatch.setattr(benchmark, "take_turns", take_turns)

    return fix


def test_a_ratio_of_speeds_grows_when_time_shrinks():
    row = benchmark.times_as_fast("crop", 0.25, 1.0, target=5)
    assert row == Row("crop", 250.0, "ms", 1000.0, 4.0, ">= 5 times as fast")


def test_a_ratio_of_times_grows_with_time():
    row = benchmark.times_as_long("start", 3.0, 2.0, target=2)
    assert row == Row("start", 3.0, "s", 2.0, 1.5, "<= 2 times as long")


def test_a_crop_alone_is_compared_with_its_share_of_a_batch(
    takes: Callable[..., None], dot_finder: Runtime
):
    takes(alone=3.2, batch=1.6)
    alone, batch = benchmark.batch_rows("dots", PoseEstimator(dot_finder), rounds=1)
    assert (alone.what, alone.value) == ("a crop alone, dots", 3200 / BATCH_SIZE)
    assert (batch.value, batch.limit, batch.ratio) == (1600 / BATCH_SIZE, alone.value, 2.0)


def test_growth_is_compared_with_the_same_people_in_parts(
    takes: Callable[..., None], monkeypatch: pytest.MonkeyPatch
):
    takes(**{"at once": 3.0, "in parts": 2.0})
    decoded: list[int] = []

    def decode(heatmaps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        decoded.append(len(heatmaps))
        return decode_heatmaps(heatmaps)

    monkeypatch.setattr(benchmark, "decode_heatmaps", decode)
    rows = benchmark.growth_rows(*benchmark.made_up_people(8), (2, 4, 8), rounds=1)
    assert decoded == [2, 2, 4, 2, 2, 8, 2, 2, 2, 2]
    assert [(row.value, row.limit, row.ratio) for row in rows] == [(3.0, 2.0, 1.5)] * 3
    assert rows[2].what == "evaluation of 8 people (4 × 2 people)"


def test_decoding_is_compared_with_argmax(takes: Callable[..., None]):
    takes(quarter=2.0, dark=3.0, argmax=1.0)
    rows = benchmark.decoding_rows(np.zeros((2, 8, 8, 3), np.float32), rounds=1)
    assert [row.ratio for row in rows] == [2.0, 3.0]


def test_made_up_people_stand_where_their_heatmaps_say():
    points, heatmaps = benchmark.made_up_people(3)
    decoded, _ = decode_heatmaps(heatmaps)
    assert benchmark.score(decoded, points).pooled == 100


def test_the_command_that_is_started_draws_a_pose(
    monkeypatch: pytest.MonkeyPatch, dot_finder: Runtime, tmp_path: Path
):
    monkeypatch.setattr("hourglass.modelfiles.runtimes.KerasRuntime", lambda path: dot_finder)
    picture = tmp_path / "picture.jpg"
    Image.fromarray(benchmark.made_up_picture()).save(picture)
    python, option, module, *words = benchmark.predict_command(picture, tmp_path / "dots.keras")
    assert (python, option, module) == (sys.executable, "-m", "hourglass.predict")
    for _ in range(2):  # every round overwrites what the one before has drawn
        ran = CliRunner().invoke(predict_main, words)
        assert ran.exit_code == 0, ran.output
    assert {path.name for path in tmp_path.iterdir()} == {"picture.jpg", "picture_pose.jpg"}


def test_a_command_that_fails_is_told_with_its_last_words():
    program = "import sys; print('one', file=sys.stderr); sys.exit('no such file')"
    with pytest.raises(ValueError, match=r"-c .*: no such file$"):
        benchmark.run_process([sys.executable, "-c", program])
    with pytest.raises(ValueError, match=r": exit status 3$"):
        benchmark.run_process([sys.executable, "-c", "raise SystemExit(3)"])


def test_everything_is_measured(monkeypatch: pytest.MonkeyPatch, dot_finder: Runtime):
    started: list[list[str]] = []
    monkeypatch.setattr(benchmark, "run_process", started.append)
    monkeypatch.setattr("hourglass.modelfiles.runtimes.KerasRuntime", lambda path: dot_finder)
    rows = benchmark.measure(
        rounds=1, network="tiny", starting="tiny", people=20, growing=(2, 4, 8)
    )
    whats = [row.what for row in rows]
    assert len(set(whats)) == len(whats) == 15
    assert whats[0] == "one crop, tiny (plain model(x))"
    assert all(row.value > 0 for row in rows)
    made_up, given, imported = started[-3:]
    assert "tiny.keras" in " ".join(made_up)
    assert str(SHIPPED) in given
    assert imported[-1] == "import tensorflow"


def test_the_table_is_printed_and_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def measure(*, rounds: int) -> list[Row]:
        return [Row("rounds", rounds, "turns")]

    monkeypatch.setattr(benchmark, "measure", measure)
    output = tmp_path / "predict.json"
    ran = CliRunner().invoke(benchmark.main, ["--rounds", "3", "--output", str(output)])
    assert ran.exit_code == 0, ran.output
    assert "| rounds | 3 turns |" in ran.output
    assert json.loads(output.read_text())["rows"][0]["value"] == 3


def test_no_round_is_refused():
    ran = CliRunner().invoke(benchmark.main, ["--rounds", "0"])
    assert ran.exit_code == 2
    assert "0 is not in the range x>=1" in ran.output
