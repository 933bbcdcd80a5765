"""The benchmark of the recipe's choices: what each run changes, and the table of all."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks import ablation
from benchmarks.ablation import BASE, RUNS, configuration, main, to_table
from hourglass.core.config import SECTIONS, Config
from hourglass.core.presets import preset

NOT_IN_THE_CONFIGURATION = {"preset", "epochs", "teacher"}


def choices_of(config: Config) -> dict[str, Any]:
    """Values by SECTION.FIELD."""
    return {
        f"{section}.{name}": value
        for section in SECTIONS
        for name, value in dataclasses.asdict(getattr(config, section)).items()
    }


def test_the_base_is_the_preset_with_the_papers_choices():
    base = choices_of(configuration({}, base="lite", epochs=7))
    expected = {**choices_of(preset("lite")), **BASE, "train.epochs": 7}
    assert base == expected
    assert base["augment.cutout"] == 0 != preset("lite").augment.cutout


@pytest.mark.parametrize("name", RUNS)
def test_a_run_changes_what_it_says_and_nothing_else(name: str):
    changes = RUNS[name]
    run = choices_of(configuration(changes, base="lite", epochs=36))
    own = {key: value for key, value in changes.items() if key not in NOT_IN_THE_CONFIGURATION}
    before = choices_of(preset(changes.get("preset", "lite")))
    epochs = {"train.epochs": round(36 * changes.get("epochs", 1))}
    assert run == {**before, **BASE, **epochs, **own}
    assert all("." in key for key in own)
    if own:
        base = choices_of(configuration({}, base="lite", epochs=36))
        assert any(base[key] != value for key, value in own.items())


def test_larger_crops_have_the_same_budget():
    for size in (192, 256):
        config = configuration(RUNS[f"input-{size}"], base="lite", epochs=36)
        assert config.network.input_size**2 * config.train.epochs == 128**2 * 36


def result(run: str, *, quarter: float, dark: float) -> dict[str, Any]:
    scores = {
        f"{refine} {kind}": {"PCKh@0.5": at_05 - worse, "PCKh@0.1": at_05 - worse - 40}
        for refine, at_05 in (("quarter", quarter), ("dark", dark))
        for kind, worse in (("plain", 1), ("flip_test", 0))
    }
    return {"run": run, "seconds": 9, **scores}


def test_the_table_has_the_best_first(tmp_path: Path):
    for one in (
        result("middle", quarter=69.0, dark=70.25),
        result("worst", quarter=71.0, dark=60.0),
        result("best", quarter=68.04, dark=80.06),
    ):
        (tmp_path / f"{one['run']}.json").write_text(json.dumps(one))
    (tmp_path / "other.json").write_text('{"people": 3}')
    assert to_table(tmp_path).splitlines() == [
        "| changed | @0.5 quarter | @0.1 quarter | @0.5 dark | @0.1 dark |",
        "|---|---|---|---|---|",
        "| best | 68.0 | 28.0 | 80.1 | 40.1 |",
        "| middle | 69.0 | 29.0 | 70.2 | 30.2 |",
        "| worst | 71.0 | 31.0 | 60.0 | 20.0 |",
    ]


def test_the_command_runs_what_has_no_result_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked = []

    def measured(config: Config, *, data: Path, folder: Path, teacher: str | None) -> Any:
        asked.append((config, data, folder, teacher))
        return {**result("", quarter=50.0, dark=float(config.train.epochs)), "run": folder.name}

    monkeypatch.setattr(ablation, "measure", measured)
    held: list[tuple[Path, Path]] = []
    monkeypatch.setattr(ablation, "hold_out", lambda data, target: held.append((data, target)))
    (tmp_path / "iou.json").write_text(json.dumps(result("iou", quarter=9.0, dark=9.0)))
    words = ["base", "iou", "teacher", "input-256", "--epochs", "4", "--base", "hg1"]
    done = CliRunner().invoke(main, [*words, "--data", "shards", "--output", str(tmp_path)])
    assert done.exit_code == 0, done.output
    held_out = tmp_path / "held_out"
    assert held == [(Path("shards"), held_out)]
    assert asked == [
        (
            configuration(RUNS[name], base="hg1", epochs=4),
            held_out,
            tmp_path / name,
            RUNS["teacher"]["teacher"] if name == "teacher" else None,
        )
        for name in ("base", "teacher", "input-256")
    ]
    rows = [line.split(" | ")[0] for line in done.output.splitlines() if line.startswith("| ")]
    assert (rows[:2], rows[4:]) == (["| changed", "| iou"], ["| input-256"])
    assert sorted(rows[2:4]) == ["| base", "| teacher"]
    assert json.loads((tmp_path / "base.json").read_text())["run"] == "base"
