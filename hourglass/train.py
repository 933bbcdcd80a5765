"""`python -m hourglass.train`: trains a network on shards, and goes on where it was killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hourglass.console import PLACE, cluster_options, command, going_on, quiet_stderr
from hourglass.core.config import PRECISIONS, SCHEDULES, SECTIONS
from hourglass.core.errors import InputError
from hourglass.core.presets import PRESETS
from hourglass.core.storage import Place
from hourglass.training import cluster
from hourglass.training.choices import DEFAULT_PRESET, chosen_config, chosen_data, given_choices
from hourglass.training.outcome import how_to_go_on


@click.command()
@click.option(
    "--data",
    help="Folder of the TFRecord shards; several, such as A,B; or several with the share of each "
    "in an epoch, such as A:0.6,B:0.4. [default: tfrecords; with --resume, the run's own]",
)
@click.option(
    "--preset",
    "name",
    type=click.Choice(list(PRESETS)),
    help=f"Network, augmentation and recipe. [default: {DEFAULT_PRESET}]",
)
@click.option("--run", help="Name of the run. [default: the preset's name]")
@click.option("--resume", is_flag=True, help="Go on with the run, with its own choices.")
@click.option("--new-data", is_flag=True, help="With --resume: data other than the run's will do.")
@click.option(
    "--models", type=PLACE, default=Path("models"), show_default=True, help="Folder of all runs."
)
@click.option(
    "--logs",
    type=PLACE,
    default=Path("logs"),
    show_default=True,
    help="Folder of TensorBoard logs.",
)
@click.option(
    "--weights",
    type=PLACE,
    help="Model file to start from, of the same preset, whose crops may have another size; of "
    "another network with the same encoder, the encoder is taken.",
)
@click.option(
    "--teacher",
    type=PLACE,
    help="Model file, or an export, whose heatmaps are learnt from besides the labels "
    "(distillation); its crops may have another size.",
)
@click.option("--input-size", type=int, help="Side of the crops, px. [default: the preset's]")
@click.option("--epochs", type=int, help="Passes over the people. [default: the preset's]")
@click.option(
    "--batch-size", type=int, help="People per step, all devices together. [default: the preset's]"
)
@click.option(
    "--learning-rate", type=float, help="Adam's highest learning rate. [default: the preset's]"
)
@click.option(
    "--schedule",
    type=click.Choice(SCHEDULES),
    help="cosine: to 0 after a warm-up; plateau: lower after some epochs without a better "
    "validation score. [default: the preset's]",
)
@click.option("--warmup-epochs", type=float, help="Epochs of warm-up. [default: the preset's]")
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    help="Arithmetic of the layers; auto: bfloat16 where the device has it. [default: auto]",
)
@click.option(
    "--xla",
    type=click.Choice(["auto", "on", "off"]),
    help="Compile the step with XLA; auto: on one GPU. [default: auto]",
)
@click.option("--seed", type=int, help="Seed of weights, order and augmentation. [default: 0]")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="SECTION.FIELD=VALUE",
    help="Any other choice, such as augment.rotation=20; may be given several times. The sections "
    f"are {', '.join(SECTIONS)}; a run's config.json has all fields.",
)
@click.option("--summary", is_flag=True, help="Print the network's layers, and do not train.")
@cluster_options
@command
def main(
    data: str | None,
    name: str | None,
    run: str | None,
    resume: bool,
    new_data: bool,
    models: Place,
    logs: Place,
    weights: Place | None,
    teacher: Place | None,
    settings: tuple[str, ...],
    summary: bool,
    ray_address: str | None,
    workers: int | None,
    gpus_per_worker: int | None,
    **options: Any,
) -> None:
    """Trains a stacked hourglass on the shards that `hourglass.build` made."""
    if resume and weights:
        raise InputError("--weights starts a run and --resume goes on with one: give one of them")
    data = chosen_data(data, resume=resume, new_data=new_data)
    run = run or name or DEFAULT_PRESET
    folder, board = models / run, logs / run
    config = chosen_config(name, folder, resume, given_choices(options, settings), teacher)
    if summary:
        with quiet_stderr():
            from hourglass.networks.hourglass import build_network
            from hourglass.networks.summary import layer_table

            return click.echo(layer_table(build_network(config.network)))
    where: Any = {"folder": folder, "board": board, "resume": resume}
    where |= {"new_data": new_data, "weights": weights, "teacher": teacher}
    with going_on(lambda: how_to_go_on(folder)):
        if ray_address or workers or gpus_per_worker is not None:
            where |= {"workers": workers, "gpus_per_worker": gpus_per_worker or 0}
            done = cluster.train_on_cluster(config, data, address=ray_address, **where)
        else:
            with quiet_stderr():
                from hourglass.training.devices import find_devices
                from hourglass.training.run import train

                devices = find_devices()
            done = train(config, data, devices=devices, **where)
    click.echo(
        f"{done.state.epoch} epochs done, {done.seconds:.0f} s; best {done.score} "
        f"{done.state.best_score:.1f} after epoch {done.state.best_epoch}\n"
        f"best model   {folder / 'best.keras'}\n"
        f"last model   {folder / 'last.keras'}\n"
        f"history      {folder / 'history.csv'}\n"
        f"watch it     tensorboard --logdir {logs}"
    )


if __name__ == "__main__":
    main()
