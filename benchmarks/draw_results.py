"""`python -m benchmarks.draw_results`: the pictures of docs/RESULTS.md from a finished run.

Draws a run's curve, and a strip of validation people with labelled and predicted skeletons; on a
plain background where the photographs themselves may not be passed on.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import click
import matplotlib
import numpy as np
from PIL import Image

from hourglass.console import command, quiet_stderr
from hourglass.core.geometry import crop_matrix, warp
from hourglass.inference.estimator import PoseEstimator
from hourglass.media.pictures import decode_picture
from hourglass.scoring.report import PANEL, draw_panel

PAPER = 245
GAP = 6


def draw_curve(run: Path, target: Path) -> None:
    """Losses and PCKh over the epochs of a run's `history.csv`, as PNG."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from hourglass.training.callbacks.names import HISTORY, PCKH, PCKH_STRICT, VALIDATION_LOSS

    rows = np.genfromtxt(run / HISTORY, delimiter=",", names=True, deletechars="", dtype=None)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    left.plot(rows["epoch"], rows["loss"], label="training")
    left.plot(rows["epoch"], rows[VALIDATION_LOSS], label="validation")
    left.set(xlabel="epoch", ylabel="loss", yscale="log")
    right.plot(rows["epoch"], rows[PCKH], label="PCKh@0.5")
    right.plot(rows["epoch"], rows[PCKH_STRICT], label="PCKh@0.1")
    right.set(xlabel="epoch", ylabel="% of validation joints", ylim=(0, None))
    for axis in (left, right):
        axis.grid(alpha=0.3)
        axis.legend()
    figure.savefig(target, dpi=110)
    plt.close(figure)


def draw_strip(data: str, model: Path, target: Path, *, people: int, plain: bool) -> None:
    """Labelled (above) and predicted (below) skeletons of the first validation people, as PNG."""
    from hourglass.data.shards import find_shards, read_records

    estimator = PoseEstimator.load(model)
    columns = []
    for record in itertools.islice(read_records(find_shards(data)), people):
        person = record.person
        picture = decode_picture(record.encoded, where=person.filename)
        center, scale = person.center, person.scale
        points, scores = estimator.predict_crops([picture], center[None], np.array([scale]))
        matrix = crop_matrix(center, scale, size=PANEL)
        paper = np.full((PANEL, PANEL, 3), PAPER, np.uint8)
        canvas = paper if plain else warp(picture, matrix, size=PANEL)
        labelled = (person.points, person.labelled.astype(np.float32))
        panels = [draw_panel(canvas, matrix, *pose) for pose in (labelled, (points[0], scores[0]))]
        columns.append(np.vstack(panels))
    gaps = np.full((2 * PANEL, GAP, 3), 255, np.uint8)
    strip = np.hstack([part for column in columns for part in (column, gaps)][:-1])
    Image.fromarray(strip).save(target, optimize=True)


@click.command()
@click.option(
    "--run", type=click.Path(path_type=Path), required=True, help="Folder of the run, models/NAME."
)
@click.option(
    "--data", default="tfrecords/validation*", show_default=True, help="Glob of the shards."
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path("docs"),
    show_default=True,
    help="Folder of the pictures.",
)
@click.option(
    "--people", type=click.IntRange(1), default=6, show_default=True, help="People in the strip."
)
@click.option("--plain", is_flag=True, help="Leave the photographs out of the strip.")
@command
def main(run: Path, data: str, output: Path, people: int, plain: bool) -> None:
    """Draws NAME_curve.png and NAME_strip.png for docs/RESULTS.md."""
    curve, strip = output / f"{run.name}_curve.png", output / f"{run.name}_strip.png"
    with quiet_stderr():
        draw_curve(run, curve)
        draw_strip(data, run / "best.keras", strip, people=people, plain=plain)
    click.echo(f"{curve}\n{strip}")


if __name__ == "__main__":
    main()
