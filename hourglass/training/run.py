"""One training: shards, network, optimizer and callbacks put together for `fit`.

The loop itself is Keras's. The command line is `hourglass.train`'s; what happens beside the steps
is `hourglass.training.callbacks`'.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
from loguru import logger

from hourglass.core.config import Config, NetworkConfig, TrainConfig, same_layers
from hourglass.data.datasets import (
    InputClock,
    load_people,
    steps_per_epoch,
    training_dataset,
    validation_dataset,
)
from hourglass.data.shards import count_people, find_shards, naming_damage
from hourglass.modelfiles.keras_file import TrainingState, load_model, load_training, read_config
from hourglass.networks.encoders import VARIANTS, load_imagenet
from hourglass.networks.hourglass import build_network, last_stack
from hourglass.networks.losses import ForegroundWeightedMSE, HeatmapLoss, SoftIoU
from hourglass.training import callbacks
from hourglass.training.callbacks import HISTORY, LAST, read_history
from hourglass.training.devices import Devices
from hourglass.training.metrics import StackLoss, validation_model

ENCODER_PREFIXES = tuple(f"{variant}_" for variant in VARIANTS)


class Session:
    """One training: its people, its devices, and the network made for them.

    Args:
        config: All choices.
        data: Folder of the shards.
        devices: What to train on.
        weights: Model file to start from; None: random, or ImageNet's in an encoder.

    Raises:
        ValueError: If shards are missing, damaged or too few, or the batch does not divide equally.
    """

    def __init__(
        self, config: Config, data: str, devices: Devices, *, weights: Path | None = None
    ) -> None:
        _require_divisible(config.train.batch_size, devices)
        self._config, self._devices, self._weights = config, devices, weights
        self._train_pattern, validation = (
            f"{data.rstrip('/')}/train*",
            f"{data.rstrip('/')}/validation*",
        )
        people = count_people(find_shards(self._train_pattern))
        self._shards = [*find_shards(self._train_pattern), *find_shards(validation)]
        self._steps = steps_per_epoch(people, config.train.batch_size, self._train_pattern)
        self._people = load_people(validation)
        self._validation = validation_dataset(validation, config)
        self._policy = devices.policy(config.train.precision)
        logger.info(
            f"{people} people to train on, {len(self._people)} to validate; "
            f"{devices.description}, {self._policy}"
        )

    def fit(self, folder: Path, board: Path, *, resume: bool) -> TrainingState:
        """Trains from scratch or from `folder/last.keras` to the last epoch.

        Args:
            folder: Where model files and history go.
            board: Where TensorBoard logs go.
            resume: Go on from `folder/last.keras`, if it is there.

        Raises:
            ValueError: If the run is finished, its files are damaged, or the loss is no number.
        """
        epochs = self._config.train.epochs
        with self._devices.scope():
            network = compiled_network(
                self._config, self._devices, steps=self._steps, weights=self._weights
            )
            validation = validation_model(network, network.loss)
            last = last_stack(network)
            state = self._restored(network, folder) if resume else TrainingState()
        if state.epoch >= epochs:
            raise ValueError(
                f"{folder} has finished its {epochs} epochs; --epochs beyond {state.epoch} "
                "would go on"
            )
        history = read_history(folder / HISTORY, epochs=state.epoch)
        clock = InputClock()
        dataset = training_dataset(
            self._train_pattern,
            self._config,
            epochs=epochs - state.epoch,
            first_epoch=state.epoch,
            clock=clock,
        )
        checkpoint = callbacks.Checkpoint(folder, self._config, state=state, history=history)
        with naming_damage(self._shards):
            network.fit(
                dataset,
                epochs=epochs,
                initial_epoch=state.epoch,
                steps_per_epoch=self._steps,
                callbacks=self._callbacks(
                    checkpoint,
                    validation=validation,
                    last=last,
                    board=board,
                    clock=clock,
                ),
                shuffle=False,
                verbose=0,
            )
        return checkpoint.state

    def _restored(self, network: keras.Model, folder: Path) -> TrainingState:
        """Where the run stands; a run killed in its first epoch starts again."""

        if not (folder / LAST).exists():
            return TrainingState()
        state = load_training(folder / LAST, network, network.optimizer)
        logger.info(f"going on after epoch {state.epoch} of {folder / LAST}")
        return state

    def _callbacks(
        self,
        checkpoint: callbacks.Checkpoint,
        *,
        validation: keras.Model,
        last: keras.Model,
        board: Path,
        clock: InputClock,
    ) -> list[keras.callbacks.Callback]:
        """In the order in which they add to each epoch's numbers and write them."""
        choices, size = self._config.train, self._config.network.input_size
        images = self._steps * choices.batch_size
        history = list(checkpoint.history)
        average, plateau = choices.averaging > 0, choices.schedule == "plateau"
        return [
            *([callbacks.AverageWeights(resumed=bool(history))] if average else []),
            callbacks.StopOnNonFinite(checkpoint.folder),
            callbacks.Throughput(images, clock),
            callbacks.Validate(validation, self._validation, self._people, input_size=size),
            callbacks.LearningRate(),
            *([callbacks.Plateau(history, factor=choices.plateau_factor)] if plateau else []),
            checkpoint,
            callbacks.Board(board, last, self._validation, self._people, input_size=size),
            callbacks.ShowProgress(
                epochs=choices.epochs,
                first_epoch=checkpoint.state.epoch,
                images=images,
                batch_size=choices.batch_size,
            ),
        ]


def compiled_network(
    config: Config, devices: Devices, *, steps: int, weights: Path | None = None
) -> keras.Model:
    """The network that a training fits, to be called within the devices' scope.

    Args:
        config: All choices.
        devices: What to train on.
        steps: Steps per epoch, which the learning rate's schedule counts in.
        weights: Model file to start from; None: random, or ImageNet's in an encoder.

    Raises:
        ValueError: If `weights` are of another network.
    """
    choices, policy = config.train, devices.policy(config.train.precision)
    network = build_network(
        config.network,
        precision=policy,
        synchronized=devices.strategy is not None and devices.replicas > 1,
        frozen_statistics=choices.frozen_statistics,
        fused=True,
        seed=choices.seed,
    )
    if weights:
        _start_from(weights, network, config.network)
    elif config.network.encoder != "none":
        load_imagenet(network)
    loss = heatmap_loss(choices)
    optimizer = _optimizer(choices, steps, loss_scaling=policy == "mixed_float16")
    optimizer.build(network.trainable_variables)
    network.compile(
        optimizer=optimizer,
        loss=loss,
        weighted_metrics=[StackLoss(loss, stack) for stack in range(config.network.stacks)],
        jit_compile=devices.jit(choices.xla),
    )
    return network


def heatmap_loss(choices: TrainConfig) -> HeatmapLoss:
    """The loss that `choices` name."""
    return SoftIoU() if choices.loss == "iou" else ForegroundWeightedMSE(choices.foreground_weight)


def _optimizer(
    choices: TrainConfig, steps_per_epoch: int, *, loss_scaling: bool
) -> keras.Optimizer:
    rate: Any = choices.learning_rate
    if choices.schedule == "cosine":
        steps = choices.epochs * steps_per_epoch
        warm_up = min(round(choices.warmup_epochs * steps_per_epoch), steps - 1)
        rate = keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0 if warm_up else choices.learning_rate,
            decay_steps=steps - warm_up,
            warmup_target=choices.learning_rate if warm_up else None,
            warmup_steps=warm_up,
        )
    optimizer = EncoderAdam(
        rate,
        encoder_rate=choices.encoder_rate,
        use_ema=choices.averaging > 0,
        ema_momentum=choices.averaging or 0.99,
    )
    return keras.optimizers.LossScaleOptimizer(optimizer) if loss_scaling else optimizer


class EncoderAdam(keras.optimizers.Adam):
    """Adam (Kingma & Ba, ICLR 2015) with a learning rate of its own for the pretrained encoder.

    Args:
        encoder_rate: The encoder's learning rate as a share of the others'.
    """

    def __init__(self, *arguments: Any, encoder_rate: float = 1.0, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._encoder_rate = encoder_rate
        self._encoder: set[int] = set()

    def build(self, variables: list[keras.Variable]) -> None:
        """Keras's, and notes which variables are the encoder's: by their layers' names."""
        self._encoder = {
            index
            for index, variable in enumerate(variables)
            if variable.path.startswith(ENCODER_PREFIXES)
        }
        super().build(variables)

    def update_step(self, gradient: Any, variable: keras.Variable, learning_rate: Any) -> None:
        """One variable's step, as Keras's."""
        if self._get_variable_index(variable) in self._encoder:
            learning_rate = learning_rate * self._encoder_rate
        super().update_step(gradient, variable, learning_rate)


def _start_from(path: Path, network: keras.Model, wanted: NetworkConfig) -> None:
    """Fills a network with a model file's weights, which may be for crops of another size."""
    stored = read_config(path).network
    if not same_layers(stored, wanted):
        raise ValueError(
            f"{path}: --weights are of another network ({stored}), it must be {wanted}"
        )
    network.set_weights(load_model(path)[0].get_weights())
    logger.info(f"starting from the weights of {path}")


def _require_divisible(batch_size: int, devices: Devices) -> None:
    if batch_size % devices.replicas:
        raise ValueError(
            f"a batch of {batch_size} cannot be shared equally by {devices.replicas} replicas; "
            f"--batch-size must be a multiple of {devices.replicas}"
        )
