"""`python -m benchmarks.ablation`: what each choice of the recipe is worth, at equal budgets.

Every run changes one thing about the base, trains with the same seed on the same people, and is
scored on people held out of the training set: the validation people choose nothing.
"""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import click

from benchmarks.hold_out import hold_out
from hourglass.console import command
from hourglass.core.config import Config
from hourglass.core.presets import preset
from hourglass.inference.estimator import SHIPPED_LITERT
from hourglass.scoring.evaluation import evaluate
from hourglass.training.run import train

BASE: dict[str, Any] = {
    "network.input_size": 128,
    "network.channels": 128,
    "augment.scale": 0.25,
    "augment.rotation": 30.0,
    "augment.shift": 0.05,
    **dict.fromkeys(
        [
            f"augment.{name}"
            for name in ("cutout", "paste", "half_body", "style", "grey", "blur", "jpeg")
        ],
        0.0,
    ),
    "data.sigma": 1.0,
    "train.averaging": 0.0,
    "train.foreground_weight": 81.0,
    "train.learning_rate": 1e-3,
}
"""What every run begins from, whatever the preset has learnt since: the paper's choices, and small
crops, which make room for many runs."""

RUNS: dict[str, dict[str, Any]] = {
    "base": {},
    "sigma-1.5": {"data.sigma": 1.5},
    "sigma-2": {"data.sigma": 2.0},
    "foreground-10": {"train.foreground_weight": 9.0},
    "foreground-none": {"train.foreground_weight": 0.0},
    "iou": {"train.loss": "iou"},
    "rate-3e-4": {"train.learning_rate": 3e-4},
    "rate-3e-3": {"train.learning_rate": 3e-3},
    "batch-16": {"train.batch_size": 16},
    "batch-64": {"train.batch_size": 64},
    "encoder-rate-0.1": {"train.encoder_rate": 0.1},
    "encoder-rate-0.3": {"train.encoder_rate": 0.3},
    "frozen-statistics": {"train.frozen_statistics": True},
    "averaging-0.99": {"train.averaging": 0.99},
    "no-warm-up": {"train.warmup_epochs": 0.0},
    "plateau-10": {"train.schedule": "plateau"},
    "plateau-2": {"train.schedule": "plateau", "train.plateau_factor": 0.5},
    "rotation-45": {"augment.rotation": 45.0},
    "rotation-90": {"augment.rotation": 90.0, "augment.rotation_probability": 1.0},
    "rotation-180": {"augment.rotation": 180.0, "augment.rotation_probability": 1.0},
    "scale-0.1": {"augment.scale": 0.1},
    "scale-0.4": {"augment.scale": 0.4},
    "no-colour": {"augment.colour": 0.0},
    "colour-0.5": {"augment.colour": 0.5},
    "cutout-0.4": {"augment.cutout": 0.4},
    "paste-0.2": {"augment.paste": 0.2},
    "half-body-0.3": {"augment.half_body": 0.3},
    "style-0.2": {"augment.style": 0.2},
    "grey-0.1": {"augment.grey": 0.1},
    "blur-0.15": {"augment.blur": 0.15},
    "jpeg-0.1": {"augment.jpeg": 0.1},
    "input-192": {"network.input_size": 192, "epochs": 4 / 9},
    "input-256": {"network.input_size": 256, "epochs": 1 / 4},
    "two-stacks": {"network.stacks": 2},
    "lite1": {"network.encoder": "lite1"},
    "lite2": {"network.encoder": "lite2"},
    "teachers-0.5": {"data.source_weights": "teachers=0.5"},
    "scratch": {"preset": "small"},
    "teacher": {"teacher": str(SHIPPED_LITERT)},
}
"""Name of each run, and what it changes; `epochs` multiplies the budget, for equal compute."""


def configuration(changes: dict[str, Any], *, base: str, epochs: int) -> Config:
    """The base preset with what `BASE` and then the run change."""
    config = preset(changes.get("preset", base))
    epochs = round(epochs * changes.get("epochs", 1))
    sections: dict[str, dict[str, Any]] = {"train": {"epochs": epochs}}
    for name, value in {**BASE, **changes}.items():
        if "." in name:
            section, field = name.split(".")
            sections.setdefault(section, {})[field] = value
    replaced = {
        section: dataclasses.replace(getattr(config, section), **fields)
        for section, fields in sections.items()
    }
    return dataclasses.replace(config, **replaced)


def measure(
    config: Config, *, data: Path, folder: Path, teacher: str | None = None
) -> dict[str, Any]:
    """Trains, and scores the last weights on the held-out people in each way of decoding."""
    began = time.monotonic()
    train(config, str(data), folder=folder, board=folder / "board", teacher=teacher)
    result: dict[str, Any] = {"seconds": round(time.monotonic() - began)}
    for refine in ("quarter", "dark"):
        evaluation = evaluate(
            f"{data}/validation*", folder / "last.keras", flip_test=True, refine=refine
        )
        for kind, scores in evaluation.scores.items():
            result[f"{refine} {kind}"] = {
                column: round(score.pooled, 2) for column, score in scores.items()
            }
    return result


def to_table(output: Path) -> str:
    """The results in a folder as Markdown, the best first: PCKh with flip test, by refinement."""
    results = [json.loads(path.read_text(encoding="utf-8")) for path in output.glob("*.json")]
    results = [result for result in results if "run" in result]
    results.sort(key=lambda result: -result["dark flip_test"]["PCKh@0.5"])
    lines = [
        "| changed | @0.5 quarter | @0.1 quarter | @0.5 dark | @0.1 dark |",
        "|---|---|---|---|---|",
    ]
    for result in results:
        numbers = [
            f"{result[f'{refine} flip_test'][column]:.1f}"
            for refine in ("quarter", "dark")
            for column in ("PCKh@0.5", "PCKh@0.1")
        ]
        lines.append(f"| {result['run']} | {' | '.join(numbers)} |")
    return "\n".join(lines)


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(RUNS)))
@click.option(
    "--data", type=click.Path(path_type=Path), default=Path("tfrecords"), help="Folder of shards."
)
@click.option(
    "--output", type=click.Path(path_type=Path), required=True, help="Folder of runs and results."
)
@click.option("--base", default="lite", show_default=True, help="Preset that the runs change.")
@click.option("--epochs", type=int, default=4, show_default=True, help="Epochs of the base.")
@command
def main(names: tuple[str, ...], data: Path, output: Path, base: str, epochs: int) -> None:
    """Runs the named changes, or all, one after another; a result per run in OUTPUT/NAME.json.

    Prints a table of all results that OUTPUT holds.
    """
    held_out = output / "held_out"
    hold_out(data, held_out)
    for name in names or RUNS:
        target = output / f"{name}.json"
        if target.exists():
            continue
        config = configuration(RUNS[name], base=base, epochs=epochs)
        teacher = RUNS[name].get("teacher")
        result = measure(config, data=held_out, folder=output / name, teacher=teacher)
        target.write_text(json.dumps({"run": name, **result}) + "\n", encoding="utf-8")
        click.echo(f"{name}: {json.dumps(result)}")
    click.echo(to_table(output))


if __name__ == "__main__":
    main()
