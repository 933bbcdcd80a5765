"""`python -m hourglass.calibrate`: makes a model's scores say how often its keypoints are right."""

from __future__ import annotations

import click

from hourglass.console import PLACE, command, force_option, model_option, quiet_stderr
from hourglass.core.calibration import FLIP_TEST
from hourglass.core.errors import InputError
from hourglass.core.storage import Place, Url
from hourglass.inference.estimator import SHIPPED, default_model
from hourglass.media.targets import refuse_existing
from hourglass.modelfiles.metadata import SUFFIX
from hourglass.modelfiles.runtimes import load_runtime
from hourglass.scoring.calibrating import calibrate, cross_checked
from hourglass.scoring.cut_people import find_cut_people, regular_cuts
from hourglass.scoring.evaluation import evaluate


@click.command()
@click.option(
    "--data",
    required=True,
    help="Glob of shards of people that the model was not trained on.",
)
@model_option
@click.option(
    "--output",
    type=PLACE,
    help="File to write. [default: the model file itself, unless it is the shipped one]",
)
@click.option(
    "--compact", is_flag=True, help="Keep 11 significant bits of the weights, and compress."
)
@force_option
@command
def main(data: str, model: Place | None, output: Place | None, compact: bool, force: bool) -> None:
    """Stores in a model file what its heatmaps' peaks mean.

    From then on a keypoint's score is the share of keypoints so scored that are right: of MPII's
    people within PCKh@0.5, of others within PCK@0.2 of the torso or PCK@0.1 of the box. Each
    person is looked at once more with the lower part of the picture cut off, where joints are
    missing.
    Prints the expected calibration error of the peaks' heights, and of scores, each half of the
    people calibrated by the other half.
    """
    model = model or default_model()
    if model.resolve() == SHIPPED and not output:
        raise InputError(f"{model} comes with the project and stays as it is: name an --output")
    target = output or model
    if target.suffix != SUFFIX:
        raise InputError(f"--output {target}: a model file's name must end in {SUFFIX}")
    if not isinstance(target, Url) and not target.parent.is_dir():
        raise InputError(f"--output {target}: there is no folder {target.parent}")
    if target.resolve() != model.resolve():
        refuse_existing([target], force)
    with quiet_stderr():
        runtime = load_runtime(model)
    mirrors = runtime.config.skeleton.mirrors
    evaluation = evaluate(data, model, flip_test=mirrors, calibrated=False, runtime=runtime)
    cut = {
        kind: find_cut_people(
            data,
            runtime,
            shares=regular_cuts(evaluation.labels),
            flip_test=kind == FLIP_TEST,
            calibrated=False,
        )
        for kind in evaluation.keypoints
    }
    for kind, found in cut.items():
        before = evaluation.reliability(kind).error
        after = cross_checked(evaluation, kind, found).error
        click.echo(f"{kind:<10} expected calibration error {before:.3f} -> {after:.3f}")
    with quiet_stderr():
        from hourglass.modelfiles.keras_file import save_calibrated
    save_calibrated(model, target, calibrate(evaluation, cut), compact=compact)
    click.echo(f"{len(evaluation.labels)} people of {data}, calibrated model in {target}")


if __name__ == "__main__":
    main()
