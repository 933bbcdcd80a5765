"""`python -m hourglass.evaluate`: how many joints a model finds, joint group by joint group."""

from __future__ import annotations

import json

import click

from hourglass.console import PLACE, command, force_option, model_option, quiet_stderr
from hourglass.core.files import write_file
from hourglass.core.storage import Place
from hourglass.inference.estimator import default_model
from hourglass.media.targets import refuse_existing
from hourglass.modelfiles.runtimes import load_runtime
from hourglass.scoring.evaluation import evaluate
from hourglass.scoring.report import FILE, write_report
from hourglass.scoring.tables import format_people, format_table, to_dict


@click.command()
@click.option(
    "--data",
    default="tfrecords/validation*",
    show_default=True,
    help="Glob of the shards to score on.",
)
@model_option
@click.option("--flip-test", is_flag=True, help="Also score with mirrored crops averaged in.")
@click.option(
    "--detect",
    is_flag=True,
    help="Look for people with the detector, instead of where the labels are; in shards of whole "
    "pictures.",
)
@click.option("--json", "json_file", type=PLACE, help="File to write all numbers to.")
@click.option(
    "--report",
    type=PLACE,
    metavar="DIR",
    help="Folder to write a page to: curves, kinds of error, best and worst people, reliability.",
)
@force_option
@command
def main(
    data: str,
    model: Place | None,
    flip_test: bool,
    detect: bool,
    json_file: Place | None,
    report: Place | None,
    force: bool,
) -> None:
    """Prints how many labelled joints a model finds, percent, and AP and AR by COCO's protocol.

    MPII's people are scored by PCKh (threshold in head sizes) and PCK@0.2 (in torso lengths),
    others by PCK in what their skeleton names: head, torso, or the longer side of the box. Joints
    that the skeleton leaves out, MPII's pelvis and thorax, are in neither mean: "Mean, pooled" is
    over all joints of all people, "Mean of joints" the plain mean of the joints' own numbers. AP
    and AR are printed where the labels have boxes or areas.
    """
    refuse_existing([json_file, report and report / FILE], force)
    model = model or default_model()
    with quiet_stderr():
        runtime = load_runtime(model)
    evaluation = evaluate(data, model, flip_test=flip_test, runtime=runtime, detect=detect)
    click.echo(format_table(evaluation))
    click.echo(format_people(evaluation))
    if json_file:
        write_file(json_file, json.dumps(to_dict(evaluation), indent=1) + "\n")
        click.echo(f"numbers in {json_file}")
    if report:
        click.echo(f"report in {write_report(evaluation, report)}")


if __name__ == "__main__":
    main()
