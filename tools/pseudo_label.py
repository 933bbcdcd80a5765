"""`python -m tools.pseudo_label`: labels pictures by a model, for another one to learn from.

The work is `hourglass.inference.teaching`'s.
"""

from __future__ import annotations

import json
from pathlib import Path

import click
import numpy as np
from loguru import logger

from hourglass.console import PATH, PLACE, command, force_option, quiet_stderr
from hourglass.core.errors import InputError
from hourglass.core.files import write_file
from hourglass.core.pose import Box
from hourglass.core.progress import Progress
from hourglass.core.storage import Place
from hourglass.inference.detection import PeopleDetector
from hourglass.inference.estimator import PoseEstimator, default_model
from hourglass.inference.teaching import label_pictures, require_joints
from hourglass.media.inputs import find_inputs
from hourglass.media.targets import make_folder, refuse_existing, require_folders


@click.command()
@click.option("--images", type=PATH, required=True, help="Their folder.")
@click.option(
    "--model",
    type=PLACE,
    help="The teacher, any model file. [default: as hourglass.predict's]",
)
@click.option(
    "--output",
    type=PATH,
    default=Path("pseudo_labels/train.json"),
    show_default=True,
    help="File to write, in MPII's JSON layout.",
)
@click.option(
    "--agreement",
    type=click.FloatRange(0, min_open=True),
    default=0.35,
    show_default=True,
    help="A joint counts where the mirrored, smaller and larger views of a person put it no "
    "farther from their middle than so many head sizes.",
)
@click.option(
    "--fewest",
    type=click.IntRange(1, 16),
    default=5,
    show_default=True,
    help="Joints that count, of a person that is kept.",
)
@click.option("--source", help="`label_source` of the labels. [default: the model file's name]")
@click.option("--recursive", is_flag=True, help="Search the folders inside, too.")
@force_option
@command
def main(
    images: Path,
    model: Place | None,
    output: Path,
    agreement: float,
    fewest: int,
    source: str | None,
    recursive: bool,
    force: bool,
) -> None:
    """Finds the people in pictures and labels them by a model, where it agrees with itself.

    `python -m hourglass.build --val-share 0` makes shards of what is written, to train on beside
    others; the labels count the less there, the less the views agreed.
    """
    refuse_existing([output], force)
    paths = _pictures_in(images, recursive=recursive)
    make_folder(output.parent)
    require_folders([output])
    model = model or default_model()
    with quiet_stderr():
        estimator = PoseEstimator.load(model)
    require_joints(estimator.skeleton, fewest=fewest, model=model)
    detector = PeopleDetector()

    def locate(picture: np.ndarray, path: Place | None) -> list[Box]:
        return detector(picture)

    found, failures, empty = [], [], 0
    labelled = label_pictures(
        paths,
        estimator,
        locate,
        folder=images,
        source=source or model.stem,
        most=agreement,
        fewest=fewest,
    )
    with Progress("labelling", total=len(paths), unit="pictures") as progress:
        for outcome in labelled:
            if isinstance(outcome, InputError):
                failures.append(str(outcome))
            else:
                found += outcome
                empty += not outcome
            progress.advance()
    for failure in failures:
        click.echo(failure, err=True)
    if not found:
        raise InputError(f"{images}: nobody was found of whom {fewest} joints agree; none written")
    write_file(output, json.dumps(found) + "\n")
    joints = sum(sum(entry["joints_vis"]) for entry in found)
    click.echo(
        f"{len(found)} people with {joints} joints in {output}; {empty} of {len(paths)} pictures "
        f"show nobody who counts, {len(failures)} could not be read"
    )


def _pictures_in(folder: Path, *, recursive: bool) -> list[Path]:
    """The pictures of a folder; films in it are told and left out."""
    if not folder.is_dir():
        raise InputError(f"--images {folder}: no such folder of pictures")
    found = find_inputs([str(folder)], recursive=recursive)
    if found.films:
        logger.warning(
            f"{folder}: {len(found.films)} films in it are left out, first {found.films[0]}"
        )
    if not found.pictures:
        raise InputError(f"{folder}: no pictures in this folder")
    return [path for path in found.pictures if isinstance(path, Path)]


if __name__ == "__main__":
    main()
