"""`python -m tools.lsp`: turns the Leeds Sports Pose downloads into MPII's JSON layout.

The work is `hourglass.data.readers.lsp`'s.
"""

from __future__ import annotations

from pathlib import Path

import click

from hourglass.console import command, force_option
from hourglass.data.readers.lsp import convert
from hourglass.media.targets import refuse_existing


@click.command()
@click.option(
    "--root",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder of the unpacked download, with joints.mat and images/.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="Folder for train.json and validation.json, made if missing. Default: ROOT.",
)
@click.option(
    "--train-list",
    type=click.Path(path_type=Path),
    help="Text file with the pictures for training, one file name per line. "
    "Default: the first half of LSP; the project's list for LSP-extended.",
)
@click.option(
    "--validation-list",
    type=click.Path(path_type=Path),
    help="Text file with the pictures for validation, one file name per line. "
    "Default: the last half of LSP; the project's list for LSP-extended.",
)
@force_option
@command
def main(
    root: Path,
    output: Path | None,
    train_list: Path | None,
    validation_list: Path | None,
    force: bool,
) -> None:
    """Turns the Leeds Sports Pose download (LSP or LSP-extended) into MPII's JSON layout."""
    refuse_existing([(output or root) / name for name in ("train.json", "validation.json")], force)
    click.echo(
        convert(root, output or root, train_list=train_list, validation_list=validation_list)
    )


if __name__ == "__main__":
    main()
