"""`python -m tools.pseudo_label`: labels pictures by a model, for another one to learn from.

The work is `hourglass.inference.teaching`'s.
"""

from __future__ import annotations

import json
from pathlib import Path

import click
import numpy as np

from hourglass.console import command, force_option, quiet_stderr
from hourglass.core.errors import InputError
from hourglass.core.files import write_file
from hourglass.core.pose import Box
from hourglass.core.progress import Progress
from hourglass.core.storage import Place
from hourglass.inference.detection import PeopleDetector
from hourglass.inference.estimator import PoseEstimator, default_model
from hourglass.inference.teaching import label_pictures
from hourglass.media.inputs import find_inputs
from hourglass.media.targets import refuse_existing


@click.command()
@click.option("--images", type=click.Path(path_type=Path), required=True, help="Their folder.")
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    help="The teacher, any model file. [default: as hourglass.predict's]",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
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
    model: Path | None,
    output: Path,
    agreement: float,
    fewest: int,
    source: str | None,
    recursive: bool,
    force: bool,
) -> None:
    """Finds the people in pictures and labels them by a model, where it agrees with itself.

    `python -m hourglass.build` makes shards of what is written; the labels count the less there,
    the less the views agreed.
    """
    refuse_existing([output], force)
    found_there = find_inputs([str(images)], recursive=recursive).pictures
    paths = [path for path in found_there if isinstance(path, Path)]
    model = model or default_model()
    with quiet_stderr():
        estimator = PoseEstimator.load(model)
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
    output.parent.mkdir(parents=True, exist_ok=True)
    write_file(output, json.dumps(found) + "\n")
    joints = sum(sum(entry["joints_vis"]) for entry in found)
    click.echo(
        f"{len(found)} people with {joints} joints in {output}; {empty} of {len(paths)} pictures "
        f"show nobody who counts, {len(failures)} could not be read"
    )


if __name__ == "__main__":
    main()
