"""`python -m hourglass.predict`: finds people's joints in pictures and films, and draws them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from hourglass.console import (
    PLACE,
    archive_options,
    command,
    fail_with,
    film_options,
    flip_test_option,
    force_option,
    model_option,
    quiet_stderr,
    table_options,
    where_options,
)
from hourglass.core.boxes import read_boxes
from hourglass.core.errors import InputError
from hourglass.core.pose import Box
from hourglass.core.storage import Place
from hourglass.inference.archive import How, portable, predict_archive
from hourglass.inference.estimator import PoseEstimator, default_predictor
from hourglass.inference.locating import locator
from hourglass.inference.look import DRAWINGS, NOTHING, Look
from hourglass.inference.passes import predict_films, predict_pictures
from hourglass.media.drawing import DEFAULT_PARTS, MIN_SCORE
from hourglass.media.inputs import find_inputs
from hourglass.media.result_files import Outputs, ResultFiles
from hourglass.media.results import Found, format_pose
from hourglass.media.targets import drawing_targets, make_folders


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("--recursive", is_flag=True, help="Search the folders inside folders, too.")
@model_option
@click.option(
    "--output",
    type=PLACE,
    default=Path("predictions"),
    show_default=True,
    help="Folder of what is drawn; of a film, the film file if it is called like one.",
)
@force_option
@table_options
@click.option("--coco", type=PLACE, help="As COCO's keypoint results.")
@click.option("--openpose", type=PLACE, help="Folder: as OpenPose's files.")
@where_options
@click.option(
    "--min-score",
    type=click.FloatRange(0, 1),
    default=MIN_SCORE,
    show_default=True,
    help="Joints scored lower are not drawn.",
)
@click.option(
    "--draw",
    "parts",
    type=click.Choice(DRAWINGS),
    multiple=True,
    default=DEFAULT_PARTS,
    show_default=True,
    help="What to draw; may be given several times.",
)
@flip_test_option
@film_options
@click.option("--show", is_flag=True, help="Show films in a window while they are made.")
@archive_options
@command
def main(
    inputs: tuple[str, ...],
    recursive: bool,
    model: Place | None,
    output: Place,
    force: bool,
    boxes: tuple[Box, ...],
    boxes_file: Place | None,
    detect: bool,
    min_score: float,
    parts: tuple[str, ...],
    flip_test: bool,
    every: int,
    smooth: bool,
    show: bool,
    ray_address: str | None,
    archive: Path | None,
    kind: str,
    workers: int | None,
    **files: Place | None,
) -> None:
    """Finds people's joints in pictures and films, and draws them.

    INPUT is a picture, a folder of pictures, a pattern in quotes, a film, a camera's number, a
    stream's address, or - for a list of pictures on standard input. Without --box, --boxes or
    --detect, each picture shows one person who fills it; in films, boxes follow from the last
    frame's joints.
    """
    asked = find_inputs(inputs, recursive=recursive, listed=sys.stdin if "-" in inputs else ())
    if boxes_file and asked.films:
        raise InputError("--boxes is for pictures; of a film, --box says where to begin")
    listed = read_boxes(boxes_file) if boxes_file else None
    if ray_address or archive or workers:
        if not (ray_address and archive) or show or any(files.values()):
            raise InputError("--ray-address needs --parts, and goes without --show and other files")
        way = How(portable(model), flip_test, boxes, listed, detect, every, smooth)
        options: Any = {"kind": kind, "address": ray_address, "workers": workers}
        summary = predict_archive(asked, way, folder=archive, **options)
        click.echo(f"{summary.told}, in {archive}, model {way.model}")
        return fail_with(summary.failures)
    outputs = Outputs(**files)
    drawn = drawing_targets(asked, output, draws=NOTHING not in parts)
    outputs.refuse_wrong(drawn.values(), [*drawn, boxes_file], force=force)
    locate = locator(boxes, listed, detect)
    model = model or default_predictor()
    with quiet_stderr():
        estimator = PoseEstimator.load(model, flip_test=flip_test)
    make_folders(drawn.values())
    pictures, films = asked.pictures, asked.films
    shown: list[Found] = []
    with ResultFiles(outputs, estimator.skeleton, pictures=pictures, films=len(films)) as results:

        def take(found: Found) -> None:
            results.write(found)
            if len(pictures) == 1 and found.frame is None:
                shown.append(found)

        how: dict[str, Any] = {"drawn": drawn, "look": Look(parts, min_score), "take": take}
        done, failures = predict_pictures(pictures, estimator, locate, **how)
        how |= {"every": every, "smooth": smooth, "show": show, "detects": detect}
        filmed = predict_films(films, estimator, locate, **how)
    for found in shown:
        click.echo(format_pose(found, drawn[pictures[0]]))
    told = [f"{done} of {len(pictures)} pictures"] if pictures else []
    told += [f"{filmed.frames} frames of {len(films)} films"] if films else []
    where = f", drawn in {output}" if any(drawn.values()) else ""
    click.echo(f"{' and '.join(told)} done{where}, model {model}")
    fail_with([*failures, *filmed.failures])


if __name__ == "__main__":
    main()
