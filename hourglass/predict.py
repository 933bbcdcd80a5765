"""`python -m hourglass.predict`: finds people's joints in pictures and films, and draws them."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from hourglass.console import command, quiet_stderr
from hourglass.core.boxes import read_boxes
from hourglass.core.pose import Box
from hourglass.inference.estimator import PoseEstimator, default_model
from hourglass.inference.locating import locator
from hourglass.inference.look import DRAWINGS, NOTHING, Look
from hourglass.inference.passes import predict_film, predict_pictures
from hourglass.media.drawing import MIN_SCORE
from hourglass.media.inputs import Inputs, find_inputs
from hourglass.media.results import Outputs, format_pose
from hourglass.media.targets import drawing_targets, make_folder, refuse_existing, refuse_shared

MOST_TOLD = 20
"""Failures told one by one; of more, their number."""


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option("--recursive", is_flag=True, help="Search the folders inside folders, too.")
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    help="Model file. [default: the newest models/*/best.keras, or the one that is shipped]",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path("predictions"),
    show_default=True,
    help="Folder of what is drawn; of a film, the film file if it is called like one.",
)
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
@click.option("--json", type=click.Path(path_type=Path), help="File to write all joints to.")
@click.option("--csv", type=click.Path(path_type=Path), help="The same as a table.")
@click.option("--coco", type=click.Path(path_type=Path), help="As COCO's keypoint results.")
@click.option("--openpose", type=click.Path(path_type=Path), help="Folder: as OpenPose's files.")
@click.option(
    "--box",
    "boxes",
    type=float,
    nargs=4,
    multiple=True,
    metavar="X Y W H",
    help="A person's box, px; several for several people. [default: the whole picture]",
)
@click.option(
    "--boxes",
    "boxes_file",
    type=click.Path(path_type=Path),
    help="JSON or CSV file of each picture's boxes.",
)
@click.option("--detect", is_flag=True, help="Find the people in each picture.")
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
    default=("skeleton", "keypoints"),
    show_default=True,
    help="What to draw; may be given several times.",
)
@click.option("--flip-test", is_flag=True, help="Average in each crop's mirror image.")
@click.option(
    "--every",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Of films, each N-th frame only.",
)
@click.option("--smooth", is_flag=True, help="Of films, filter joints against jitter.")
@click.option("--show", is_flag=True, help="Show films in a window while they are made.")
@command
def main(
    inputs: tuple[str, ...],
    recursive: bool,
    model: Path | None,
    output: Path,
    force: bool,
    boxes: tuple[Box, ...],
    boxes_file: Path | None,
    detect: bool,
    min_score: float,
    parts: tuple[str, ...],
    flip_test: bool,
    every: int,
    smooth: bool,
    show: bool,
    **files: Path | None,
) -> None:
    """Finds people's joints in pictures and films, and draws them.

    INPUT is a picture, a folder of pictures, a pattern in quotes, a film, a camera's number, or -
    for a list of pictures on standard input. Without --box, --boxes or --detect, each picture shows
    one person who fills it; in films, boxes follow from the last frame's joints.
    """
    if sum(map(bool, (boxes, boxes_file, detect))) > 1:
        raise ValueError("--box, --boxes and --detect all say where people are: give one of them")
    found_inputs = find_inputs(
        inputs, recursive=recursive, listed=sys.stdin if "-" in inputs else ()
    )
    if boxes_file and found_inputs.films:
        raise ValueError("--boxes is for pictures; of a film, --box says where to begin")
    outputs = Outputs(**files)
    look = Look(parts, min_score)
    drawn = drawing_targets(found_inputs, output, draws=NOTHING not in parts)
    targets = [*outputs.files(), *(path for path in drawn.values() if path)]
    refuse_shared(targets, [*found_inputs.pictures, *found_inputs.films, boxes_file])
    there = sorted(outputs.openpose.glob("*_keypoints.json")) if outputs.openpose else []
    refuse_existing([*targets, *there], force)
    model = model or default_model()
    with quiet_stderr():
        estimator = PoseEstimator.load(model, flip_test=flip_test)
    locate = locator(boxes, read_boxes(boxes_file) if boxes_file else None, detect)
    for target in drawn.values():
        if target:
            make_folder(target.parent)
    pictures = found_inputs.pictures
    found, failures = predict_pictures(
        pictures, estimator, locate, drawn=[drawn[path] for path in pictures], look=look
    )
    done = len(found)
    if len(pictures) == 1:
        for one in found:
            click.echo(format_pose(one, drawn[pictures[0]]))
    for film in found_inputs.films:
        try:
            more, failed = predict_film(
                film,
                estimator,
                locate,
                drawn=drawn[film],
                look=look,
                every=every,
                smooth=smooth,
                show=show,
            )
            found += more
            failures += failed
        except ValueError as error:
            failures.append(str(error))
    try:
        outputs.write(found)
    except ValueError as error:
        failures.append(str(error))
    _tell(done, len(found) - done, found_inputs, output if any(drawn.values()) else None, model)
    if failures:
        left = len(failures) - MOST_TOLD
        told = [*failures[:MOST_TOLD], *([f"and {left} more"] if left > 0 else [])]
        raise click.ClickException("\n".join(told))


def _tell(pictures: int, frames: int, inputs: Inputs, output: Path | None, model: Path) -> None:
    parts = []
    if inputs.pictures:
        parts.append(f"{pictures} of {len(inputs.pictures)} pictures")
    if inputs.films:
        parts.append(f"{frames} frames of {len(inputs.films)} films")
    where = f", drawn in {output}" if output else ""
    click.echo(f"{' and '.join(parts)} done{where}, model {model}")


if __name__ == "__main__":
    main()
