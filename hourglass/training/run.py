"""One training: shards, network, optimizer and callbacks put together for `fit`.

The loop itself is Keras's. The command line is `hourglass.train`'s; what happens beside the steps
is `hourglass.training.callbacks`'.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
from loguru import logger

from hourglass.core.config import Config
from hourglass.core.copies import local_copy
from hourglass.core.errors import InputError
from hourglass.core.locking import alone_in
from hourglass.core.skeleton import MPII, Skeleton
from hourglass.core.storage import Place, place
from hourglass.data.batches import InputClock, steps_per_epoch
from hourglass.data.crops import require_stored
from hourglass.data.mixture import describe, split_pattern
from hourglass.data.people import load_people
from hourglass.data.shards import (
    count_people,
    find_shards,
    find_skeleton,
    naming_damage,
    with_validation,
)
from hourglass.media.targets import make_folder
from hourglass.modelfiles.keras_file import load_training
from hourglass.modelfiles.metadata import TrainingState
from hourglass.networks.hourglass import last_stack
from hourglass.scoring.pck import Measure, measure_of
from hourglass.training.callbacks.averaging import AverageWeights
from hourglass.training.callbacks.board import Board
from hourglass.training.callbacks.checkpoint import Checkpoint
from hourglass.training.callbacks.garbage import CollectGarbage
from hourglass.training.callbacks.history import read_history
from hourglass.training.callbacks.learning_rate import LearningRate
from hourglass.training.callbacks.names import HISTORY, LAST, score_name
from hourglass.training.callbacks.non_finite import StopOnNonFinite
from hourglass.training.callbacks.plateau import Plateau
from hourglass.training.callbacks.progress import ShowProgress
from hourglass.training.callbacks.throughput import Throughput
from hourglass.training.callbacks.upload import Upload
from hourglass.training.callbacks.validate import Validate
from hourglass.training.devices import Devices, find_devices
from hourglass.training.distillation import Teacher, with_teacher
from hourglass.training.feed import pairs, training_feed, validation_feed
from hourglass.training.folders import RunFolders
from hourglass.training.hooks import Augment, Hooks, Loss
from hourglass.training.metrics import everywhere, validation_model
from hourglass.training.model import compiled_network
from hourglass.training.outcome import Run, require_free
from hourglass.training.provenance import (
    Provenance,
    difference,
    folders_of,
    pinned,
    provenance_of,
    read_provenance,
    write_provenance,
)

MOST_NAMED = 20
"""Joints named in a log line."""

LEADERS = (Checkpoint, ShowProgress, Upload)
"""Callbacks of the first of several processes alone."""


class Session:
    """One training: its people, its devices, and the network made for them.

    Args:
        config: All choices.
        folders: Of the shards, with their shares, as `mixture.parse_folders` gives them.
        devices: What to train on.
        weights: Model file to start from; None: random, or ImageNet's in an encoder.
        teacher: Model file whose heatmaps are learnt from besides the labels.
        hooks: What the program adds.

    Raises:
        ValueError: If shards are missing, damaged or too few, or the batch does not divide equally.
    """

    def __init__(
        self,
        config: Config,
        folders: Mapping[str, float | None],
        devices: Devices,
        *,
        weights: Path | None = None,
        teacher: Path | None = None,
        hooks: Hooks | None = None,
    ) -> None:
        _require_divisible(config.train.batch_size, devices)
        self._hooks = hooks or Hooks()
        training = split_pattern(folders, "train")
        validation = split_pattern(with_validation(folders), "validation")
        people = count_people(find_shards(training))
        require_stored(find_shards(training), config)
        self._shards = [*find_shards(training), *find_shards(validation)]
        config = _on_skeleton(config, find_skeleton(self._shards), ", ".join(folders))
        self._config, self._devices, self._weights = config, devices, weights
        self._steps = steps_per_epoch(people, config.train.batch_size, describe(training))
        self.provenance = provenance_of(folders, steps=self._steps)
        self._people = load_people(validation)
        self._training = training
        self._validation = validation_feed(validation, config, share=devices.share)
        self._policy = devices.policy(config.train.precision)
        alone = devices.processes > 1
        self._teacher = (
            Teacher(teacher, config, precision=self._policy, alone=alone) if teacher else None
        )
        logger.info(
            f"{people} people to train on, {len(self._people)} to validate; "
            f"{devices.description}, {self._policy}"
        )

    @property
    def measure(self) -> Measure:
        """What the people's PCK is measured in."""
        return measure_of(self._people.skeleton)

    def require_same(self, before: Provenance, folder: Place, *, new_data: bool) -> None:
        """Refuses to go on with other data than a run began with, unless that is wanted.

        Raises:
            ValueError: If the data differ; says in what.
        """
        told = difference(before, self.provenance)
        if told is None:
            return
        if not new_data:
            raise InputError(
                f"{folder}: the run's data are not the same: {told}; --new-data would go on with "
                "them all the same"
            )
        logger.warning(f"going on with other data: {told}")

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
                self._config,
                self._devices,
                steps=self._steps,
                weights=self._weights,
                loss=self._hooks.loss,
            )
            refine: Any = self._config.data.refine
            validation = validation_model(network, network.loss, refine=refine)
            last = last_stack(network)
            if self._devices.processes > 1:
                validation, last = everywhere(validation), everywhere(last)
            state = self._restored(network, folder) if resume else TrainingState()
        if state.epoch >= epochs:
            raise InputError(
                f"{folder} has finished its {epochs} epochs; --epochs beyond {state.epoch} "
                "would go on"
            )
        history = read_history(folder / HISTORY, epochs=state.epoch)
        clock = InputClock()
        batches = training_feed(
            self._training,
            self._config,
            epochs=epochs - state.epoch,
            first_epoch=state.epoch,
            clock=clock,
            change=self._hooks.change,
            teacher=self._teacher,
            share=self._devices.share,
        )
        checkpoint = Checkpoint(folder, self._config, state=state, history=history)
        if self._devices.leads:
            write_provenance(folder, self.provenance)
        with naming_damage(self._shards):  # the board looks at pictures
            callbacks = self._callbacks(
                checkpoint, validation=validation, last=last, board=board, clock=clock
            )
        with _closing(callbacks), self._hooks.own_errors(), naming_damage(self._shards):
            network.fit(
                batches,
                epochs=epochs,
                initial_epoch=state.epoch,
                steps_per_epoch=self._steps,
                callbacks=callbacks,
                shuffle=False,
                verbose=0,
            )
        return checkpoint.state

    def _restored(self, network: keras.Model, folder: Path) -> TrainingState:
        """Where the run stands; a run that ended in its first epoch starts again."""
        if not (folder / LAST).exists():
            logger.warning(
                f"{folder / LAST} is not there: no epoch was saved, starting with epoch 1"
            )
            return TrainingState()
        state = load_training(folder / LAST, network, network.optimizer)
        logger.info(f"going on after epoch {state.epoch} of {folder / LAST}")
        # Of other data the epochs before had other steps; the learning rate's schedule counts them
        # from the start. Of those that float16's loss scaling passed over, one in 2000 or fewer, it
        # counts the ones before: it still ends with the run.
        optimizer = getattr(network.optimizer, "inner_optimizer", network.optimizer)
        optimizer.iterations.assign(state.epoch * self._steps)
        return state

    def _callbacks(
        self,
        checkpoint: Checkpoint,
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
        measure = self.measure
        average, plateau = choices.averaging > 0, choices.schedule == "plateau"
        leads, processes = self._devices.leads, self._devices.processes
        callbacks = [
            *([AverageWeights(resumed=bool(history))] if average else []),
            StopOnNonFinite(checkpoint.folder),
            Throughput(images, clock),
            Validate(validation, pairs(self._validation), self._people, input_size=size),
            LearningRate(),
            *(
                [
                    Plateau(
                        score_name(measure),
                        history,
                        factor=choices.plateau_factor,
                        epochs=choices.plateau_epochs,
                    )
                ]
                if plateau
                else []
            ),
            checkpoint,
            Board(
                board if leads else None,
                last,
                self._validation,
                self._people,
                batch_size=choices.batch_size // processes,
                input_size=size,
                processes=processes,
            ),
            ShowProgress(
                epochs=choices.epochs,
                first_epoch=checkpoint.state.epoch,
                images=images,
                batch_size=choices.batch_size,
                measure=measure,
            ),
            *self._hooks.callbacks,
            CollectGarbage(),
        ]
        return [one for one in callbacks if leads or not isinstance(one, LEADERS)]


@contextlib.contextmanager
def _closing(callbacks: Sequence[keras.callbacks.Callback]) -> Iterator[None]:
    """Closes the bar, whatever ends the training."""
    try:
        yield
    finally:
        for one in callbacks:
            if isinstance(one, ShowProgress):
                one.close()


def _on_skeleton(config: Config, skeleton: Skeleton, data: str) -> Config:
    """The choices with the shards' skeleton in the place of MPII's, which is the default.

    Raises:
        ValueError: If they are for another skeleton by choice.
    """
    if config.skeleton == skeleton:
        return config
    if config.skeleton != MPII:
        raise InputError(
            f"{data}: the shards have skeleton {skeleton.name!r} ({len(skeleton.joints)} joints), "
            f"the configuration is for {config.skeleton.name!r} ({len(config.skeleton.joints)})"
        )
    names = ", ".join(skeleton.joints[:MOST_NAMED])
    more = f" and {len(skeleton.joints) - MOST_NAMED} more" * (len(skeleton.joints) > MOST_NAMED)
    logger.info(f"skeleton {skeleton.name!r}, {len(skeleton.joints)} joints: {names}{more}")
    if not skeleton.mirrors and config.augment.flip_probability:
        logger.info("no left and right joints are known, so no picture is flipped")
    return config.with_skeleton(skeleton)


def _require_divisible(batch_size: int, devices: Devices) -> None:
    if batch_size % devices.replicas:
        raise InputError(
            f"a batch of {batch_size} cannot be shared equally by {devices.replicas} replicas; "
            f"--batch-size must be a multiple of {devices.replicas}"
        )


def train(
    config: Config,
    data: str | Place | None,
    *,
    folder: str | Place,
    board: str | Place | None = None,
    resume: bool = False,
    new_data: bool = False,
    weights: str | Place | None = None,
    teacher: str | Place | None = None,
    devices: Devices | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    loss: Loss | None = None,
    augment: Augment | None = None,
) -> Run:
    """Trains with `fit` on all devices, validating and saving each epoch.

    Every folder and file may be at a URL, such as s3://bucket/models/mine.

    Args:
        config: All choices.
        data: Folder of the shards, or several as `mixture.parse_folders` reads them. None: those
            of the run that is resumed.
        folder: Where model files, configuration and history go.
        board: Where TensorBoard logs go; default: `folder/logs`.
        resume: Go on from `folder/last.keras`, if it is there, with the run's arithmetic and data.
        new_data: Go on even if the data are not those that the run began with.
        weights: Model file to start from: its network has the same layers, for crops of any size,
            or the same encoder. Default: random, or ImageNet's in an encoder.
        teacher: Model file whose heatmaps are learnt from besides the labels, in the share that
            `train.teacher_share` says, or half. A resumed run needs it again.
        devices: What to train on; default: all GPUs, or the CPU.
        callbacks: More Keras callbacks. They run after the training's own, and see the numbers of
            those, such as validation's.
        loss: In place of the configuration's: a `HeatmapLoss`, or `loss(target, predicted)` of two
            tensors (B, H, W, J) that gives (B, J), of each stack; it adds over stacks. A resumed
            run needs it again.
        augment: Changes crops after the configuration's augmentation: `augment(images)` of a batch
            (B, S, S, 3) uint8 RGB gives as many of the same size. It is called for one batch after
            the other, and may not move pixels, since labels stay.

    Raises:
        ValueError: If a model file is missing, the data are unusable, the run exists, or the loss
            becomes infinite or NaN.
    """
    began = time.monotonic()
    _require_model_files(weights, teacher)
    folder = place(folder)
    board = place(board) if board else folder / "logs"
    config = with_teacher(config, teacher)
    folders = RunFolders(folder, board, resume=resume)
    with folders.uploaded():
        hooks = Hooks(callbacks=[*folders.callbacks, *callbacks], loss=loss, augment=augment)
        before = read_provenance(folder) if resume else None
        devices = devices or find_devices()
        session = Session(
            pinned(config, devices, folder, resume=resume),
            folders_of(data, folder, before),
            devices,
            weights=local_copy(weights) if weights else None,
            teacher=local_copy(teacher) if teacher else None,
            hooks=hooks,
        )
        if before:
            session.require_same(before, folder, new_data=new_data)
        make_folder(folder)
        with contextlib.ExitStack() as stack:
            if devices.leads:
                alone = stack.enter_context(alone_in(folder, doing="a training"))
                folders.upload.require_alone = alone
            require_free(folder, resume=resume)
            state = session.fit(folders.run, folders.board, resume=resume)
    return Run(folder, board, state, time.monotonic() - began, session.measure.title)


def _require_model_files(*given: str | Place | None) -> None:
    """Names a file that is missing before shards are looked for and read."""
    for one in given:
        if one and not place(one).is_file():
            raise InputError(f"{one}: no such model file")
