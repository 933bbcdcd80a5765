"""`python -m tools.make_synthetic`: draws a small data set in MPII's JSON layout.

The work is `hourglass.data.synthetic`'s.
"""

from __future__ import annotations

from pathlib import Path

import click

from hourglass.console import command, force_option
from hourglass.data.synthetic.scenes import annotation_files, make_synthetic
from hourglass.media.targets import refuse_existing


@click.command()
@click.option(
    "--output", type=click.Path(path_type=Path), required=True, help="Folder that receives the set."
)
@click.option("--train", default=1200, show_default=True, help="Pictures to train on (count).")
@click.option(
    "--validation", default=200, show_default=True, help="Pictures to validate on (count)."
)
@click.option(
    "--seed", default=0, show_default=True, help="Any number from 0; same seed, same set."
)
@click.option("--size", default=260, show_default=True, help="Longest picture side (px).")
@force_option
@command
def main(output: Path, train: int, validation: int, seed: int, size: int, force: bool) -> None:
    """Draw a small synthetic pose dataset in MPII's JSON layout."""
    refuse_existing(annotation_files(output).values(), force)
    make_synthetic(output, train=train, validation=validation, seed=seed, size=size)
    click.echo(f"{train} training and {validation} validation pictures in {output}")


if __name__ == "__main__":
    main()
