"""`python -m tools.mocap`: recorded motion becomes one file of 3D poses to train lifting on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from hourglass.console import command, force_option
from hourglass.core.errors import InputError
from hourglass.core.progress import Progress
from hourglass.lifting.mocap import RATE, UNITS, Clip, find_files, read_clips, save_clips
from hourglass.media.targets import refuse_existing


@click.command()
@click.option(
    "--input",
    "source",
    type=click.Path(path_type=Path),
    required=True,
    help="Motion file, or a folder of them: .bvh, .npz or .npy.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="File to write, such as lift.npz.",
)
@click.option(
    "--unit",
    type=click.Choice(list(UNITS)),
    help="Of the files. [default: the one in which the person has a person's height]",
)
@click.option(
    "--up",
    type=click.Choice(("y", "z")),
    help="The axis that points up. [default: y, and z in Human3.6M's own file]",
)
@click.option("--skip-bad", is_flag=True, help="Pass over files that cannot be used, and say so.")
@force_option
@command
def main(
    source: Path,
    output: Path,
    unit: str | None,
    up: str | None,
    skip_bad: bool,
    force: bool,
) -> None:
    """Reads BVH files of the usual rigs, arrays of poses, or Human3.6M's data_3d_h36m.npz.

    Every pose becomes the 17 joints of Human3.6M, in millimetres with y up.
    """
    if output.suffix != ".npz" or not output.parent.is_dir():
        raise InputError(f"--output {output}: must end in .npz, in a folder that exists")
    refuse_existing([output], force)
    clips: list[Clip] = []
    bad: list[str] = []
    files = find_files(source)
    with Progress("reading", total=len(files), unit="files") as progress:
        for path in files:
            try:
                clips += read_clips(path, unit=unit, up=up)
            except InputError as error:
                if not skip_bad:
                    raise
                bad.append(str(error))
            progress.advance()
    for line in bad:
        click.echo(f"left out: {line}")
    if not clips:
        raise InputError(f"{source}: no file in it can be used")
    save_clips(output, clips)
    subjects = Counter(clip.subject for clip in clips)
    frames = sum(len(clip.points) for clip in clips)
    click.echo(
        f"{output}: {frames} poses of {len(clips)} clips and {len(subjects)} subjects, at most "
        f"{RATE:g} a second"
    )


if __name__ == "__main__":
    main()
