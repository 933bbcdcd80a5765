"""`python -m hourglass.calibrate`: makes a model's scores say how often its keypoints are right."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from hourglass.console import command, quiet_stderr
from hourglass.core.calibration import Calibration, Reliability, fit_calibration, reliability
from hourglass.inference.estimator import SHIPPED, default_model
from hourglass.modelfiles.metadata import SUFFIX
from hourglass.scoring.evaluation import Evaluation, evaluate


def calibrate(evaluation: Evaluation) -> dict[str, Calibration]:
    """A calibration for each way the model was run.

    Args:
        evaluation: Of people that the model was not trained on, with `calibrated=False`.

    Raises:
        ValueError: If there are too few of them.
    """
    labelled = evaluation.labels.labelled
    return {
        kind: fit_calibration(keypoints.scores, evaluation.right(kind), labelled)
        for kind, keypoints in evaluation.keypoints.items()
    }


def cross_checked(evaluation: Evaluation, kind: str) -> Reliability:
    """Reliability on each half of the people, calibrated by the other half.

    Raises:
        ValueError: If a half has too few people.
    """
    labelled, right = evaluation.labels.labelled, evaluation.right(kind)
    heights = evaluation.keypoints[kind].scores
    scores = np.zeros_like(heights)
    for half in (0, 1):
        fitted, checked = slice(half, None, 2), slice(1 - half, None, 2)
        calibration = fit_calibration(heights[fitted], right[fitted], labelled[fitted])
        scores[checked] = calibration(heights[checked])
    return reliability(scores[labelled], right[labelled])


@click.command()
@click.option(
    "--data",
    required=True,
    help="Glob of shards of people that the model was not trained on.",
)
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    help="Model file. [default: the newest models/*/best.keras, or the one that is shipped]",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write. [default: the model file itself, unless it is the shipped one]",
)
@click.option(
    "--compact", is_flag=True, help="Keep 11 significant bits of the weights, and compress."
)
@command
def main(data: str, model: Path | None, output: Path | None, compact: bool) -> None:
    """Stores in a model file what its heatmaps' peaks mean.

    From then on a keypoint's score is the share of keypoints so scored that lie within PCKh@0.5.
    Prints the expected calibration error of the peaks' heights, and of scores, each half of the
    people calibrated by the other half.
    """
    model = model or default_model()
    if model.resolve() == SHIPPED and not output:
        raise ValueError(f"{model} comes with the project and stays as it is: name an --output")
    target = output or model
    if target.suffix != SUFFIX:
        raise ValueError(f"--output {target}: a model file's name must end in {SUFFIX}")
    if not target.parent.is_dir():
        raise ValueError(f"--output {target}: there is no folder {target.parent}")
    evaluation = evaluate(data, model, flip_test=True, calibrated=False)
    for kind in evaluation.keypoints:
        before, after = evaluation.reliability(kind).error, cross_checked(evaluation, kind).error
        click.echo(f"{kind:<10} expected calibration error {before:.3f} -> {after:.3f}")
    with quiet_stderr():
        from hourglass.modelfiles.keras_file import save_calibrated
    save_calibrated(model, target, calibrate(evaluation), compact=compact)
    click.echo(f"{len(evaluation.labels)} people of {data}, calibrated model in {target}")


if __name__ == "__main__":
    main()
