"""`python -m benchmarks.draw_results`: the pictures of docs/RESULTS.md from a finished run.

Draws a run's curve, and a strip of validation people with labelled and predicted skeletons; on a
plain background where the photographs themselves may not be passed on.
"""

from __future__ import annotations

from pathlib import Path

import click
import matplotlib
import numpy as np
from PIL import Image

from hourglass.console import command, quiet_stderr
from hourglass.core.config_text import FILE, from_json
from hourglass.inference.estimator import PoseEstimator
from hourglass.media.panels import PANEL, crop_panels
from hourglass.scoring.pck import measure_of
from hourglass.scoring.pictures import load_pictures
from hourglass.training.callbacks.names import HISTORY, VALIDATION_LOSS, score_name

GAP = 6


def draw_curve(run: Path, target: Path) -> None:
    """Losses and PCK over the epochs of a run's `history.csv`, as PNG."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    chosen = from_json((run / FILE).read_text(encoding="utf-8"), where=str(run))
    measure = measure_of(chosen.skeleton)
    rows = np.genfromtxt(run / HISTORY, delimiter=",", names=True, deletechars="", dtype=None)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    left.plot(rows["epoch"], rows["loss"], label="training")
    left.plot(rows["epoch"], rows[VALIDATION_LOSS], label="validation")
    left.set(xlabel="epoch", ylabel="loss", yscale="log")
    for threshold in (measure.right, measure.strict):
        line = rows[score_name(measure, threshold)]
        right.plot(rows["epoch"], line, label=measure.column(threshold))
    right.set(xlabel="epoch", ylabel="% of validation joints", ylim=(0, None))
    for axis in (left, right):
        axis.grid(alpha=0.3)
        axis.legend()
    figure.savefig(target, dpi=110)
    plt.close(figure)


def draw_strip(data: str, model: Path, target: Path, *, people: int, plain: bool) -> None:
    """Labelled (above) and predicted (below) skeletons of the first validation people, as PNG."""
    from hourglass.data.people import load_people

    estimator, labels = PoseEstimator.load(model), load_people(data)
    chosen = range(min(people, len(labels)))
    columns = []
    for place, picture in zip(chosen, load_pictures(data, chosen), strict=True):
        center, scale = labels.center[place], labels.scale[place]
        points, scores = estimator.predict_crops([picture], center[None], scale[None])
        poses = [(labels.points[place], labels.labelled[place]), (points[0], scores[0])]
        panels = crop_panels(
            picture, poses, center=center, scale=scale, skeleton=labels.skeleton, plain=plain
        )
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
