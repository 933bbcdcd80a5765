"""`python -m tools.show_labels`: a contact sheet of labels, as training will see them.

The work is `hourglass.data`'s.
"""

from __future__ import annotations

from pathlib import Path

import click

from hourglass.console import command
from hourglass.core.skeleton import read_skeleton
from hourglass.data.readers.checks import check_labels, read_sizes
from hourglass.data.readers.labels import FORMATS, read_unsplit
from hourglass.data.readers.picture_folders import find_images, with_folders
from hourglass.data.sheets import label_sheet
from hourglass.media.pictures import save_picture
from hourglass.media.targets import refuse_existing


@click.command()
@click.option(
    "--annotations",
    type=click.Path(path_type=Path),
    required=True,
    help="File or folder of labels, of any format that tools.build_tfrecords reads.",
)
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    help="Folder of the pictures. [default: beside the labels]",
)
@click.option("--format", "kind", type=click.Choice(FORMATS), default="auto", show_default=True)
@click.option("--category", help="Category of a COCO or YOLO set. [default: all]")
@click.option("--skeleton", help="Built-in skeleton or JSON file. [default: the labels' own]")
@click.option(
    "--count", type=click.IntRange(1), default=24, show_default=True, help="Most people to show."
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Decides who is shown."
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path("labels.png"),
    show_default=True,
    help="Picture to write.",
)
@click.option("--force", is_flag=True, help="Overwrite the picture.")
@command
def main(
    annotations: Path,
    images: Path | None,
    kind: str,
    category: str | None,
    skeleton: str | None,
    count: int,
    seed: int,
    output: Path,
    force: bool,
) -> None:
    """Draws crops with their labels: right, left and middle joints in different colours, hidden
    ones as rings, each with its number in the legend."""
    refuse_existing([output], force)
    labels = read_unsplit(
        annotations,
        kind=kind,
        category=category,
        skeleton=read_skeleton(skeleton) if skeleton else None,
    )
    if images is None:
        images = annotations if labels.frames else find_images(labels, annotations)
    labels = with_folders(labels, images)
    people = [person for group in labels.people.values() for person in group]
    sheet = label_sheet(labels, images, count=count, seed=seed)
    save_picture(sheet, output)
    warnings = check_labels(labels, read_sizes(images, [person.filename for person in people]))
    for line in [*labels.notes, *warnings]:
        click.echo(line)
    joints, pairs = len(labels.skeleton.joints), len(labels.skeleton.mirror_pairs)
    flips = "" if pairs else " (training will not flip pictures)"
    click.echo(
        f"{labels.skeleton.name}: {joints} joints, {pairs} mirrored pairs{flips}; {len(people)} "
        f"people, {min(count, len(people))} of them in {output}"
    )


if __name__ == "__main__":
    main()
