"""`python -m hourglass.build`: turns annotations and pictures into TFRecord shards.

The work is `hourglass.data.building.build`'s.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hourglass.console import PLACE, command, going_on
from hourglass.core.skeleton import SKELETONS
from hourglass.data.building.build import build
from hourglass.data.building.regions import REACH
from hourglass.data.building.shard_writer import STORES
from hourglass.data.readers.labels import FORMATS


@click.command()
@click.option(
    "--annotations",
    type=PLACE,
    default=Path("data/mpii/annotations"),
    show_default=True,
    help="Labels: a folder of train.json and validation.json (or valid.json), or a file or folder "
    "of another format (docs/OWN_DATA.md).",
)
@click.option(
    "--images",
    type=PLACE,
    help="Folder of the pictures. [default: beside the labels, as data/mpii/images]",
)
@click.option("--format", type=click.Choice(FORMATS), default="auto", show_default=True)
@click.option("--category", help="Category of a COCO or YOLO set. [default: all]")
@click.option(
    "--skeleton",
    help=f"{', '.join(SKELETONS)}, or a JSON file, in place of the labels' own skeleton.",
)
@click.option(
    "--val-share",
    type=float,
    help="Share of the pictures for validation, where the labels are not split already; 0 for "
    "none: to train on beside other shards.",
)
@click.option(
    "--output",
    type=PLACE,
    default=Path("tfrecords"),
    show_default=True,
    help="Folder of the shards.",
)
@click.option(
    "--train-shards",
    type=click.IntRange(1),
    default=64,
    show_default=True,
    help="Number of training shards.",
)
@click.option(
    "--val-shards",
    type=click.IntRange(1),
    default=8,
    show_default=True,
    help="Number of validation shards.",
)
@click.option(
    "--store",
    type=click.Choice(STORES),
    default="whole",
    show_default=True,
    help="Keep whole pictures, or of each person the part that training can show: up to "
    f"{REACH:g} sides of the crop from its centre, at full resolution. This covers any rotation "
    f"and (1 + scale) * (0.71 + shift) <= {REACH:g}, so all presets; but half bodies of people as "
    "wide as high may show some grey.",
)
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Seed that deals people out to shards, and pictures to validation.",
)
@click.option("--force", is_flag=True, help="Remove shards of other labels from the folder.")
@click.option("--skip-bad", is_flag=True, help="Leave people with bad pictures out and go on.")
@click.option(
    "--workers", type=click.IntRange(1), help="Processes on this machine. [default: one per core]"
)
@click.option("--ray-address", help="Address of a running Ray cluster. [default: this machine]")
@command
def main(**options: Any) -> None:
    """Turns labels of any format and their pictures into TFRecord shards."""
    with going_on("finished shards are kept; run the same command again to go on"):
        summary = build(options.pop("annotations"), options.pop("images"), **options)
    shards = summary.manifest.shards.values()
    click.echo(
        f"{sum(shard.people for shard in shards)} people in {len(shards)} shards "
        f"({summary.built} built, {summary.kept} kept), "
        f"{sum(shard.size for shard in shards) / 1e6:.1f} MB in {options['output']}; "
        f"{summary.left_out} people left out"
    )


if __name__ == "__main__":
    main()
