"""`python -m hourglass.train`: trains a network on shards, and goes on where it was killed."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hourglass.console import command, quiet_stderr
from hourglass.core.config import (
    FILE,
    PRECISIONS,
    PRESETS,
    SCHEDULES,
    Config,
    from_json,
    preset,
    same_layers,
)

if TYPE_CHECKING:
    from hourglass.modelfiles.keras_file import TrainingState
    from hourglass.training.devices import Devices

DEFAULT_PRESET = "hg4"
RUN_FILES = ("last.keras", "best.keras", "history.csv")


@dataclass(frozen=True)
class Run:
    """A finished training.

    Attributes:
        folder: Where its model files, configuration and history lie.
        board: Where its TensorBoard logs lie.
        state: Epochs done, best score and epoch.
        seconds: Time taken, of this call alone.
    """

    folder: Path
    board: Path
    state: TrainingState
    seconds: float


def train(
    config: Config,
    data: str,
    *,
    folder: Path,
    board: Path,
    resume: bool = False,
    weights: Path | None = None,
    devices: Devices | None = None,
) -> Run:
    """Trains with `fit` on all devices, validating and saving each epoch.

    Args:
        config: All choices.
        data: Folder of the shards.
        folder: Where model files, configuration and history go.
        board: Where TensorBoard logs go.
        resume: Go on from `folder/last.keras`, if it is there.
        weights: Model file to start from: its network has the same layers, for crops of any size.
            Default: random, or ImageNet's in an encoder.
        devices: What to train on; default: all GPUs, or the CPU.

    Raises:
        ValueError: If the data are unusable, the run exists, or the loss becomes infinite or NaN.
    """
    began = time.monotonic()
    with quiet_stderr():
        from hourglass.training.devices import find_devices
        from hourglass.training.run import Session

        devices = devices or find_devices()
    session = Session(config, data, devices, weights=weights)
    _prepare_folder(folder, resume=resume)
    state = session.fit(folder, board, resume=resume)
    return Run(folder, board, state, time.monotonic() - began)


def _prepare_folder(folder: Path, *, resume: bool) -> None:
    if not resume and any((folder / name).exists() for name in RUN_FILES):
        raise ValueError(
            f"{folder} holds a run already; go on with --resume, or name another with --run"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"{folder}: cannot be written ({error.strerror})") from error


def _chosen_config(name: str | None, folder: Path, resume: bool, changes: dict[str, Any]) -> Config:
    """The preset with the changes; or, when resuming, the run's own with more epochs at most."""
    given = {key: value for key, value in changes.items() if value is not None}
    if not resume:
        base = preset(name or DEFAULT_PRESET)
        size = given.pop("input_size", base.network.input_size)
        return dataclasses.replace(
            base,
            network=dataclasses.replace(base.network, input_size=size),
            train=dataclasses.replace(base.train, **given),
        )
    path = folder / FILE
    if not path.exists():
        raise ValueError(f"{folder}: no run to resume, {FILE} is missing")
    config = from_json(path.read_text(encoding="utf-8"), where=str(path))
    own = {**dataclasses.asdict(config.train), "input_size": config.network.input_size}
    if name and not same_layers(preset(name).network, config.network):
        raise ValueError(f"{path}: the run's network is not that of --preset {name}")
    for key, value in given.items():
        if key != "epochs" and value != own[key]:
            raise ValueError(
                f"{path}: {key} is {own[key]} and cannot become {value} when resuming; only "
                "--epochs can"
            )
    epochs = given.get("epochs", config.train.epochs)
    return dataclasses.replace(config, train=dataclasses.replace(config.train, epochs=epochs))


@click.command()
@click.option(
    "--data", default="tfrecords", show_default=True, help="Folder of the TFRecord shards."
)
@click.option(
    "--preset",
    "name",
    type=click.Choice(list(PRESETS)),
    help=f"Network, augmentation and recipe. [default: {DEFAULT_PRESET}]",
)
@click.option("--run", help="Name of the run. [default: the preset's name]")
@click.option("--resume", is_flag=True, help="Go on with the run, with its own choices.")
@click.option(
    "--models",
    type=click.Path(path_type=Path),
    default=Path("models"),
    show_default=True,
    help="Folder of all runs.",
)
@click.option(
    "--logs",
    type=click.Path(path_type=Path),
    default=Path("logs"),
    show_default=True,
    help="Folder of TensorBoard logs.",
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    help="Model file to start from, of the same preset; its crops may have another size.",
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
    help="cosine: to 0 after a warm-up; plateau: ÷10 after 10 epochs without a better "
    "validation PCKh. [default: the preset's]",
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
@command
def main(
    data: str,
    name: str | None,
    run: str | None,
    resume: bool,
    models: Path,
    logs: Path,
    weights: Path | None,
    **changes: Any,
) -> None:
    """Trains a stacked hourglass on the shards that `tools.build_tfrecords` made."""
    if resume and weights:
        raise ValueError("--weights starts a run and --resume goes on with one: give one of them")
    run = run or name or DEFAULT_PRESET
    folder, board = models / run, logs / run
    config = _chosen_config(name, folder, resume, changes)
    done = train(config, data, folder=folder, board=board, resume=resume, weights=weights)
    click.echo(
        f"{done.state.epoch} epochs done, {done.seconds:.0f} s; best PCKh@0.5 "
        f"{done.state.best_score:.1f} after epoch {done.state.best_epoch}\n"
        f"best model   {folder / 'best.keras'}\n"
        f"last model   {folder / 'last.keras'}\n"
        f"history      {folder / 'history.csv'}\n"
        f"watch it     tensorboard --logdir {logs}"
    )


if __name__ == "__main__":
    main()
