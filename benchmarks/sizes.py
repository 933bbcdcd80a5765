"""`python -m benchmarks.sizes`: what models of several sizes weigh, take and score as LiteRT files.

Every model is exported in float32, float16 and, with people to measure ranges on, int8. A crop's
time is the median of turns that all files take one after another; the score is the float16 file's.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from benchmarks.comparison import machine, take_turns
from hourglass.console import PATH, command, quiet_stderr
from hourglass.core.calibration import FLIP_TEST, PLAIN
from hourglass.exporting.choices import FLOAT16, INT8, LITERT, Choices
from hourglass.modelfiles.keras_file import load_model
from hourglass.scoring.evaluation import evaluate

KINDS = ("float32", FLOAT16, INT8)
THREADS = (1, 2)
MEGABYTE = 1e6


@dataclass(frozen=True)
class File:
    """One model in one kind of arithmetic.

    Attributes:
        model: The model file that it was exported from.
        kind: One of `KINDS`.
        path: The LiteRT file.
        parameters: Of the network, BatchNorm's statistics included.
        size: Side of a crop, px.
    """

    model: Path
    kind: str
    path: Path
    parameters: int
    size: int


def export_all(models: list[Path], folder: Path, *, calibrate: str | None) -> list[File]:
    """Every model in every kind; int8 needs `calibrate`, a glob of training shards."""
    from hourglass.exporting.formats import export_model

    files = []
    for number, model in enumerate(models):
        network, config = load_model(model)
        for kind in KINDS if calibrate else KINDS[:2]:
            path = folder / f"{number}_{kind}.tflite"
            choices = Choices(
                LITERT,
                quantize=None if kind == "float32" else kind,
                calibrate=calibrate if kind == INT8 else None,
            )
            export_model(model, path, choices)
            files.append(File(model, kind, path, network.count_params(), config.network.input_size))
    return files


def crop_runner(file: File, threads: int) -> Callable[[], None]:
    """Runs one crop through the file's interpreter."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(file.path), num_threads=threads)
    (given,) = interpreter.get_input_details()
    interpreter.resize_tensor_input(given["index"], (1, file.size, file.size, 3), strict=True)
    interpreter.allocate_tensors()
    crop = np.random.default_rng(0).integers(0, 256, (1, file.size, file.size, 3), np.uint8)

    def run() -> None:
        interpreter.set_tensor(given["index"], crop)
        interpreter.invoke()

    return run


def to_line(files: list[File], seconds: dict[str, float], scores: dict[str, dict[str, str]]) -> str:
    """A model's row of the Markdown table, of its files in `KINDS`' order."""
    first = files[0]
    sizes = " / ".join(f"{file.path.stat().st_size / MEGABYTE:.2f}" for file in files)
    times = [
        " / ".join(f"{1000 * seconds[f'{file.path.name} {count}']:.1f}" for file in files)
        for count in THREADS
    ]
    scored = "".join(f" {cell} |" for cell in scores[str(first.model)].values())
    return (
        f"| {first.model.stem} | {first.size} | {first.parameters:,} | {sizes} | {times[0]} | "
        f"{times[1]} |{scored}"
    )


@click.command()
@click.option("--model", "models", multiple=True, required=True, type=PATH, help="Several times.")
@click.option("--data", "sets", multiple=True, help="Glob of validation shards; several times.")
@click.option("--calibrate", help="Glob of training shards: adds int8.")
@click.option("--rounds", type=click.IntRange(min=1), default=40, show_default=True)
@command
def main(
    models: tuple[Path, ...], sets: tuple[str, ...], calibrate: str | None, rounds: int
) -> None:
    """Prints one row per model: parameters, sizes, times on one and two threads, and PCKh."""
    with tempfile.TemporaryDirectory() as name, quiet_stderr():
        files = export_all(list(models), Path(name), calibrate=calibrate)
        sides = {
            f"{file.path.name} {count}": crop_runner(file, count)
            for file in files
            for count in THREADS
        }
        seconds = take_turns(sides, rounds=rounds)
        scores = {
            str(file.model): {data: _scored(data, file.path) for data in sets}
            for file in files
            if file.kind == FLOAT16
        }
        lines = [
            to_line([file for file in files if file.model == model], seconds, scores)
            for model in models
        ]
    kinds = " / ".join(KINDS if calibrate else KINDS[:2])
    heads = ["model", "px", "parameters", f"MB, {kinds}", f"ms, {kinds}, one thread", "two threads"]
    click.echo(machine()["processor"])
    click.echo(f"| {' | '.join([*heads, *sets])} |")
    click.echo("|---" * (len(heads) + len(sets)) + "|")
    click.echo("\n".join(lines))


def _scored(data: str, path: Path) -> str:
    """The first column of `evaluate`'s table and the strict one, plain, then with flip test."""
    evaluation = evaluate(data, path, flip_test=True)
    cells = []
    for kind in (PLAIN, FLIP_TEST):
        pooled = [f"{score.pooled:.1f}" for score in evaluation.scores[kind].values()][:2]
        cells.append(" / ".join(pooled))
    return "; flip ".join(cells)


if __name__ == "__main__":
    main()
