"""`python -m hourglass.lift`: people in pictures, films or files of joints, in three dimensions."""

from __future__ import annotations

from pathlib import Path

import click

from hourglass.console import (
    PATH,
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
from hourglass.core.files import write_file
from hourglass.core.pose import Box
from hourglass.inference.estimator import PoseEstimator, default_model
from hourglass.inference.locating import locator
from hourglass.lifting.estimator import MIN_SCORE, SHIPPED, Lifter
from hourglass.lifting.keypoint_files import is_keypoints
from hourglass.lifting.passes import lift_files, lift_film, lift_pictures
from hourglass.lifting.results import to_csv, to_json, write_bvh
from hourglass.media.inputs import Inputs, find_inputs
from hourglass.media.targets import (
    drawn_names,
    film_targets,
    make_folders,
    refuse_existing,
    refuse_shared,
    require_folders,
)


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option(
    "--model", type=PATH, help=f"Lifting network. [default: the shipped one, {SHIPPED.name}]"
)
@click.option(
    "--pose-model",
    type=PATH,
    help="2D network. [default: the newest models/*/best.keras, or the one that is shipped]",
)
@click.option(
    "--output",
    type=PATH,
    default=Path("lifted"),
    show_default=True,
    help="Folder of the panels; of one film, the film file if it is called like one.",
)
@force_option
@click.option("--no-drawing", is_flag=True, help="Draw no panels.")
@table_options
@click.option("--bvh", type=PATH, help="Folder: a BVH file for each person.")
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
    model: Path | None,
    pose_model: Path | None,
    output: Path,
    force: bool,
    no_drawing: bool,
    json: Path | None,
    csv: Path | None,
    bvh: Path | None,
    boxes: tuple[Box, ...],
    boxes_file: Path | None,
    detect: bool,
    min_score: float,
    flip_test: bool,
    every: int,
    smooth: bool,
) -> None:
    """Places people's joints in space: millimetres about the pelvis, in the camera's frame.

    INPUT is a picture, a folder or pattern of pictures, a film, or joints that were found before:
    a JSON file of hourglass.predict, of COCO's keypoints or of OpenPose, or a folder of OpenPose's.
    """
    files = [Path(name) for name in inputs if is_keypoints(Path(name))]
    others = [name for name in inputs if Path(name) not in files]
    found = find_inputs(others) if others else Inputs((), ())
    pictures, films = found.pictures, found.films
    drawings = [] if no_drawing else drawn_names(pictures, output, "_lift.jpg")
    film_drawings = [] if no_drawing else film_targets(films, output, "_lift.mp4")
    if boxes_file and films:
        raise InputError("--boxes is for pictures; of a film, --box says where to begin")
    none: list[Path | None] = [None] * (len(pictures) + len(films))
    targets = [*drawings, *film_drawings, *(path for path in (json, csv) if path)]
    refuse_shared(targets, [*pictures, *films, *files, boxes_file])
    refuse_existing([*targets, *(sorted(bvh.glob("*.bvh")) if bvh else [])], force)
    require_folders(path for path in (json, csv) if path)
    locate = locator(boxes, read_boxes(boxes_file) if boxes_file else None, detect)
    lifter = Lifter.load(model, min_score=min_score)
    lifted, failures = lift_files(files, lifter)
    if others:
        with quiet_stderr():
            estimator = PoseEstimator.load(pose_model or default_model(), flip_test=flip_test)
        make_folders([*drawings, *film_drawings])
        more, failed = lift_pictures(
            pictures, estimator, lifter, locate, drawn=drawings or none[: len(pictures)]
        )
        lifted, failures = lifted + more, failures + failed
        for film, target in zip(films, film_drawings or none[: len(films)], strict=True):
            try:
                more, failed = lift_film(
                    film,
                    estimator,
                    lifter,
                    locate,
                    drawn=target,
                    every=every,
                    detects=detect,
                    smooth=smooth,
                )
                lifted, failures = lifted + more, failures + failed
            except InputError as error:
                failures.append(str(error))
    for path, to_text in ((json, to_json), (csv, to_csv)):
        if path:
            write_file(path, to_text(lifted))
    if bvh:
        write_bvh(lifted, bvh)
    people = sum(body is not None for one in lifted for body in one.bodies)
    where = f", drawn in {output}" if drawings or film_drawings else ""
    click.echo(f"{people} people in {len(lifted)} pictures and frames lifted{where}")
    fail_with(failures)


if __name__ == "__main__":
    main()
