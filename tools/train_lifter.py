"""`python -m tools.train_lifter`: trains a lifting network on what `tools.mocap` made."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click
import numpy as np

from hourglass.console import PATH, command, force_option, quiet_stderr
from hourglass.core.errors import InputError
from hourglass.core.progress import Progress
from hourglass.lifting.mocap import load_clips, split
from hourglass.lifting.model_file import About, save_lifter
from hourglass.lifting.shape import PRESETS, preset
from hourglass.media.targets import refuse_existing


@click.command()
@click.option("--data", type=PATH, multiple=True, required=True, help="File of tools.mocap.")
@click.option(
    "--preset", "name", type=click.Choice(list(PRESETS)), default="lift-lite", show_default=True
)
@click.option(
    "--hold-out",
    multiple=True,
    metavar="SUBJECT",
    help="Not to be trained on; several for several. [default: a fifth of the poses, drawn]",
)
@click.option("--epochs", type=click.IntRange(1), help="[default: the preset's]")
@click.option("--source", default="", help="Words on the data that the file is to carry.")
@click.option("--output", type=PATH, required=True, help="File to write, such as my-lift.npz.")
@click.option("--compact", is_flag=True, help="Round the weights to float16: half the size.")
@force_option
@command
def main(
    data: tuple[Path, ...],
    name: str,
    hold_out: tuple[str, ...],
    epochs: int | None,
    source: str,
    output: Path,
    compact: bool,
    force: bool,
) -> None:
    """Trains by the preset's recipe: seen by new virtual cameras in every epoch."""
    refuse_existing([output], force)
    if output.suffix != ".npz" or not output.parent.is_dir():
        raise InputError(f"--output {output}: must end in .npz, in a folder that exists")
    clips = [clip for path in data for clip in load_clips(path)]
    train, held = split(clips, hold_out)
    points = np.concatenate([clip.points for clip in train])
    click.echo(
        f"{len(points)} poses of {len(train)} clips to train on; held out are "
        f"{', '.join(sorted({clip.subject for clip in held}))}"
    )
    with quiet_stderr():
        from hourglass.lifting.network import weights_of
        from hourglass.lifting.training import RECIPES, train_lifter

    recipe = RECIPES[name]
    recipe = dataclasses.replace(recipe, epochs=epochs or recipe.epochs)
    with Progress("training", total=recipe.epochs, unit="epochs") as progress, quiet_stderr():
        network, history = train_lifter(
            points,
            preset(name),
            recipe,
            on_epoch=lambda epoch, network, logs: progress.advance(note=f"mse {logs['mse']:.5f}"),
        )
    mse = tuple(round(epoch["mse"], 6) for epoch in history)
    about = About(preset(name), source, mse)
    save_lifter(output, weights_of(network), about, compact=compact)
    click.echo(f"{output}: {name}, squared error {mse[0]:.4f} m² at first, {mse[-1]:.4f} at last")


if __name__ == "__main__":
    main()
