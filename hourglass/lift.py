"""`python -m hourglass.lift`: people in pictures, films or files of joints, in three dimensions."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from hourglass.console import (
    PLACE,
    command,
    fail_with,
    film_options,
    flip_test_option,
    force_option,
    quiet_stderr,
    table_options,
    where_options,
)
from hourglass.core.boxes import read_boxes
from hourglass.core.errors import InputError
from hourglass.core.pose import Box
from hourglass.core.storage import Place
from hourglass.inference.estimator import PoseEstimator, default_predictor
from hourglass.inference.locating import locator
from hourglass.lifting.estimator import MIN_SCORE, SHIPPED, Lifter
from hourglass.lifting.keypoint_files import split_inputs
from hourglass.lifting.passes import lift_files, lift_films, lift_pictures
from hourglass.lifting.result_files import LiftedFiles, LiftedOutputs
from hourglass.media.inputs import LIST, Inputs, expanded, find_inputs
from hourglass.media.targets import drawing_targets, make_folders


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option(
    "--model", type=PLACE, help=f"Lifting network. [default: the shipped one, {SHIPPED.name}]"
)
@click.option(
    "--pose-model",
    type=PLACE,
    help="2D network. [default: the newest models/*/best.keras, or the one that is shipped]",
)
@click.option(
    "--output",
    type=PLACE,
    default=Path("lifted"),
    show_default=True,
    help="Folder of the panels; of one film, the film file if it is called like one.",
)
@force_option
@click.option("--no-drawing", is_flag=True, help="Draw no panels.")
@table_options
@click.option("--bvh", type=PLACE, help="Folder: a BVH file for each person.")
@where_options
@click.option(
    "--min-score",
    type=click.FloatRange(0, 1),
    default=MIN_SCORE,
    show_default=True,
    help="2D joints scored lower are taken as not found.",
)
@flip_test_option
@film_options
@command
def main(
    inputs: tuple[str, ...],
    model: Place | None,
    pose_model: Place | None,
    output: Place,
    force: bool,
    no_drawing: bool,
    boxes: tuple[Box, ...],
    boxes_file: Place | None,
    detect: bool,
    min_score: float,
    flip_test: bool,
    every: int,
    smooth: bool,
    **files_to_write: Place | None,
) -> None:
    """Places people's joints in space: millimetres about the pelvis, in the camera's frame.

    INPUT is a picture, a folder or pattern of pictures, a film, - for a list of them on standard
    input, or joints that were found before: a JSON file of hourglass.predict, of COCO's keypoints
    or of OpenPose, or a folder of OpenPose's.
    """
    names = expanded(inputs, sys.stdin if LIST in inputs else ())
    files, others = split_inputs(names)
    found = find_inputs(others) if others else Inputs((), ())
    if boxes_file and found.films:
        raise InputError("--boxes is for pictures; of a film, --box says where to begin")
    drawn = drawing_targets(found, output, draws=not no_drawing, ending="_lift")
    outputs = LiftedOutputs(**files_to_write)
    outputs.refuse_wrong(drawn.values(), [*drawn, *files, boxes_file], force=force)
    locate = locator(boxes, read_boxes(boxes_file) if boxes_file else None, detect)
    lifter = Lifter.load(model, min_score=min_score)
    if others:
        with quiet_stderr():
            estimator = PoseEstimator.load(pose_model or default_predictor(), flip_test=flip_test)
        make_folders(drawn.values())
    with LiftedFiles(outputs) as results:
        failures = lift_files(files, lifter, take=results.write)
        if others:
            how: dict[str, Any] = {"drawn": drawn, "take": results.write}
            failures += lift_pictures(found.pictures, estimator, lifter, locate, **how)
            how |= {"every": every, "smooth": smooth, "detects": detect}
            failures += lift_films(found.films, estimator, lifter, locate, **how)
    where = f", drawn in {output}" if any(drawn.values()) else ""
    people, entries = results.people, results.entries
    click.echo(f"{people} people in {entries} pictures and frames lifted{where}")
    fail_with(failures)


if __name__ == "__main__":
    main()
