"""`python -m benchmarks.hold_out`: sets some training people apart, to choose by and to calibrate.

Validation people choose nothing: recipes, the best epoch and the meaning of scores come from people
held out of the training set.
"""

from __future__ import annotations

from pathlib import Path

import click

from hourglass.console import command
from hourglass.core.errors import InputError
from hourglass.data.shards import find_shards

HELD_OUT_SHARDS = 7
"""Of 64 training shards: about 750 of 6,900 people."""


def hold_out(data: Path, target: Path) -> None:
    """Makes a folder of links in which the last training shards stand in for validation.

    Args:
        data: Folder of the shards.
        target: Folder of the links; those that are there stay.

    Raises:
        ValueError: If there are too few training shards.
    """
    shards = [Path(path) for path in find_shards(f"{data}/train*")]
    if len(shards) <= HELD_OUT_SHARDS:
        raise InputError(
            f"{data}: {len(shards)} training shards, more than {HELD_OUT_SHARDS} are needed"
        )
    target.mkdir(parents=True, exist_ok=True)
    groups = {"train": shards[:-HELD_OUT_SHARDS], "validation": shards[-HELD_OUT_SHARDS:]}
    for split, paths in groups.items():
        for number, path in enumerate(paths, start=1):
            link = target / f"{split}_{number:04d}_of_{len(paths):04d}.tfrecords"
            if not link.exists():
                link.symlink_to(path.resolve())


@click.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=Path("tfrecords"),
    show_default=True,
    help="Folder of the shards.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path("tfrecords/held_out"),
    show_default=True,
    help="Folder of the links.",
)
@command
def main(data: Path, output: Path) -> None:
    """Links DATA's training shards into OUTPUT, the last seven as validation shards."""
    hold_out(data, output)
    click.echo(f"{output}: the last {HELD_OUT_SHARDS} training shards stand in for validation")


if __name__ == "__main__":
    main()
