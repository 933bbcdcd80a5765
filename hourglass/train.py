"""`python -m hourglass.train`: trains a network on shards, and goes on where it was killed."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from loguru import logger

from hourglass.config import PRECISIONS, PRESETS, SCHEDULES, Config, from_json, preset, to_json
from hourglass.console import command, quiet_stderr

if TYPE_CHECKING:
    import keras

    from hourglass.callbacks import Logs
    from hourglass.checkpoint import TrainingState
    from hourglass.devices import Devices

CONFIG = "config.json"


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
    devices: Devices | None = None,
) -> Run:
    """Trains with `fit` on all devices, validating and saving each epoch.

    Args:
        config: All choices.
        data: Folder of the shards.
        folder: Where model files, configuration and history go.
        board: Where TensorBoard logs go.
        resume: Go on from `folder/last.keras`, if it is there.
        devices: What to train on; default: all GPUs, or the CPU.

    Raises:
        ValueError: If the data are unusable, the run exists, or the loss becomes infinite or NaN.
    """
    began = time.monotonic()
    with quiet_stderr():
        from hourglass.devices import find_devices

    devices = devices or find_devices()
    session = _Session(config, data, devices)
    _prepare_folder(folder, config, resume=resume)
    state = session.fit(folder, board, resume=resume)
    return Run(folder, board, state, time.monotonic() - began)


def _prepare_folder(folder: Path, config: Config, *, resume: bool) -> None:
    if folder.exists() and any(folder.iterdir()) and not resume:
        raise ValueError(
            f"{folder} holds a run already; go on with --resume, or name another with --run"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CONFIG).write_text(to_json(config), encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{folder}: cannot be written ({error.strerror})") from error


class _Session:
    """The datasets, the network and its optimizer, put together for one training."""

    def __init__(self, config: Config, data: str, devices: Devices) -> None:
        from hourglass import preprocess
        from hourglass.shards import count_people, find_shards

        choices = config.train
        _require_divisible(choices.batch_size, devices)
        self._config, self._devices = config, devices
        self._train_pattern = f"{data.rstrip('/')}/train*"
        validation_pattern = f"{data.rstrip('/')}/validation*"
        people = count_people(find_shards(self._train_pattern))
        self._steps = preprocess.steps_per_epoch(people, choices.batch_size, self._train_pattern)
        self._people = preprocess.load_people(validation_pattern)
        self._validation = preprocess.validation_dataset(validation_pattern, config)
        self._policy = devices.policy(choices.precision)
        logger.info(
            f"{people} people to train on, {len(self._people)} to validate; "
            f"{devices.description}, {self._policy}"
        )

    def fit(self, folder: Path, board: Path, *, resume: bool) -> TrainingState:
        from hourglass import preprocess
        from hourglass.callbacks import HISTORY, LAST, read_history
        from hourglass.checkpoint import TrainingState, load_training
        from hourglass.losses import ForegroundWeightedMSE
        from hourglass.shards import find_shards, naming_damage
        from hourglass.training_metrics import StackLoss, validation_model

        choices = self._config.train
        loss = ForegroundWeightedMSE(choices.foreground_weight)
        with self._devices.scope():
            network = self._network()
            optimizer = self._optimizer(network)
            network.compile(
                optimizer=optimizer,
                loss=loss,
                weighted_metrics=[
                    StackLoss(loss, stack) for stack in range(self._config.network.stacks)
                ],
                jit_compile=self._devices.jit(choices.xla),
            )
            validation = validation_model(network, loss)
            state = TrainingState()
            if resume and (folder / LAST).exists():
                state = load_training(folder / LAST, network, optimizer)
                logger.info(f"going on after epoch {state.epoch} of {folder / LAST}")
        history = read_history(folder / HISTORY, epochs=state.epoch)
        if state.epoch >= choices.epochs:
            raise ValueError(
                f"{folder} has finished its {choices.epochs} epochs; --epochs beyond {state.epoch} "
                "would go on"
            )
        clock = preprocess.InputClock()
        dataset = preprocess.training_dataset(
            self._train_pattern,
            self._config,
            epochs=choices.epochs - state.epoch,
            first_epoch=state.epoch,
            clock=clock,
        )
        callbacks = self._callbacks(validation, folder, board, state, history, clock)
        with naming_damage(find_shards(self._train_pattern)):
            network.fit(
                dataset,
                epochs=choices.epochs,
                initial_epoch=state.epoch,
                steps_per_epoch=self._steps,
                callbacks=callbacks.in_order,
                shuffle=False,
                verbose=0,
            )
        return callbacks.checkpoint.state

    def _network(self) -> keras.Model:
        from hourglass.network import build_network

        several = self._devices.strategy is not None and self._devices.replicas > 1
        return build_network(
            self._config.network,
            precision=self._policy,
            synchronized=several,
            seed=self._config.train.seed,
        )

    def _optimizer(self, network: keras.Model) -> keras.Optimizer:
        import keras

        choices = self._config.train
        rate: Any = choices.learning_rate
        if choices.schedule == "cosine":
            warm_up = min(
                round(choices.warmup_epochs * self._steps), choices.epochs * self._steps - 1
            )
            rate = keras.optimizers.schedules.CosineDecay(
                initial_learning_rate=0.0 if warm_up else choices.learning_rate,
                decay_steps=choices.epochs * self._steps - warm_up,
                warmup_target=choices.learning_rate if warm_up else None,
                warmup_steps=warm_up,
            )
        optimizer = keras.optimizers.Adam(rate)
        if self._policy == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        optimizer.build(network.trainable_variables)
        return optimizer

    def _callbacks(
        self,
        validation: keras.Model,
        folder: Path,
        board: Path,
        state: TrainingState,
        history: list[Logs],
        clock: Any,
    ) -> _Callbacks:
        from hourglass import callbacks

        choices, size = self._config.train, self._config.network.input_size
        images = self._steps * choices.batch_size
        checkpoint = callbacks.Checkpoint(folder, self._config, state=state, history=history)
        plateau = [callbacks.Plateau(history)] if choices.schedule == "plateau" else []
        in_order = [
            callbacks.StopOnNonFinite(folder),
            callbacks.Throughput(images, clock),
            callbacks.Validate(validation, self._validation, self._people, input_size=size),
            callbacks.LearningRate(),
            *plateau,
            checkpoint,
            callbacks.Board(board, self._validation, self._people, input_size=size),
            callbacks.ShowProgress(
                epochs=choices.epochs,
                first_epoch=state.epoch,
                images=images,
                batch_size=choices.batch_size,
            ),
        ]
        return _Callbacks(checkpoint, in_order)


@dataclass(frozen=True)
class _Callbacks:
    checkpoint: Any
    in_order: list[Any]


def _require_divisible(batch_size: int, devices: Devices) -> None:
    if batch_size % devices.replicas:
        raise ValueError(
            f"a batch of {batch_size} cannot be shared equally by {devices.replicas} replicas; "
            f"--batch-size must be a multiple of {devices.replicas}"
        )


def _chosen_config(name: str, folder: Path, resume: bool, changes: dict[str, Any]) -> Config:
    """The preset with the changes; or, when resuming, the run's own with more epochs at most."""
    given = {key: value for key, value in changes.items() if value is not None}
    if not resume:
        base = preset(name)
        return dataclasses.replace(base, train=dataclasses.replace(base.train, **given))
    path = folder / CONFIG
    if not path.exists():
        raise ValueError(f"{folder}: no run to resume, {CONFIG} is missing")
    config = from_json(path.read_text(encoding="utf-8"), where=str(path))
    for key, value in given.items():
        if key != "epochs" and value != getattr(config.train, key):
            raise ValueError(
                f"{path}: {key} is {getattr(config.train, key)} and cannot become {value} when "
                "resuming; only --epochs can"
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
    default="hg4",
    show_default=True,
    help="Network, augmentation and recipe.",
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
    name: str,
    run: str | None,
    resume: bool,
    models: Path,
    logs: Path,
    **changes: Any,
) -> None:
    """Trains a stacked hourglass on the shards that `tools.build_tfrecords` made."""
    run = run or name
    folder, board = models / run, logs / run
    config = _chosen_config(name, folder, resume, changes)
    done = train(config, data, folder=folder, board=board, resume=resume)
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
