"""What happens beside the training: validation, saving, safety and the numbers that are kept."""

from __future__ import annotations

import csv
import dataclasses
import gc
import io
import weakref
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from loguru import logger

from hourglass.core.config import Config, NetworkConfig
from hourglass.core.skeleton import MPII
from hourglass.data.people import load_people
from hourglass.modelfiles.keras_file import TrainingState, load_training
from hourglass.networks.hourglass import build_network
from hourglass.scoring.pck import BOXES, HEADS, Measure
from hourglass.training.callbacks import checkpoint as checkpoint_room
from hourglass.training.callbacks import throughput
from hourglass.training.callbacks.averaging import AverageWeights
from hourglass.training.callbacks.checkpoint import Checkpoint
from hourglass.training.callbacks.garbage import CollectGarbage
from hourglass.training.callbacks.history import read_history, write_history
from hourglass.training.callbacks.learning_rate import LearningRate
from hourglass.training.callbacks.names import (
    BEST,
    HISTORY,
    LAST,
    VALIDATION_LOSS,
    score_name,
)
from hourglass.training.callbacks.non_finite import StopOnNonFinite
from hourglass.training.callbacks.plateau import Plateau
from hourglass.training.callbacks.progress import ShowProgress
from hourglass.training.callbacks.throughput import Throughput
from hourglass.training.callbacks.validate import Validate
from hourglass.training.feed import pairs, validation_feed

PCKH, PCKH_STRICT = "val_pckh@0.5", "val_pckh@0.1"

CONFIG = Config(NetworkConfig(stacks=1, channels=4, depth=1, input_size=8))


@pytest.fixture
def messages() -> Iterator[list[str]]:
    """Log lines."""
    lines: list[str] = []
    sink = logger.add(lambda line: lines.append(line.strip()), format="{message}")
    yield lines
    logger.remove(sink)


# Loss that is no number.


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), np.float32("nan")])
def test_a_loss_that_is_no_number_ends_the_training(tmp_path: Path, loss: float):
    callback = StopOnNonFinite(tmp_path)
    callback.on_epoch_begin(4)
    callback.on_train_batch_end(0, {"loss": 3.5})
    with pytest.raises(ValueError, match=r"became (nan|inf) in step 8 of epoch 5; no check"):
        callback.on_train_batch_end(7, {"loss": loss})
    (tmp_path / LAST).touch()
    with pytest.raises(ValueError, match=r"the last good checkpoint is .*/last\.keras; a lo"):
        callback.on_train_batch_end(7, {"loss": loss})


# Speed.


def test_speed_is_people_per_second_and_the_share_waited(monkeypatch: pytest.MonkeyPatch):
    now = [100.0]
    monkeypatch.setattr(throughput.time, "perf_counter", lambda: now[0])
    clock: Any = SimpleNamespace(waited=7.0)
    callback = Throughput(600, clock)
    for seconds, waited, rate, share in ((20, 5, 30, 0.25), (10, 0, 60, 0), (5, 80, 120, 1)):
        callback.on_epoch_begin(0)
        now[0] += seconds
        clock.waited += waited
        logs: dict[str, float] = {}
        callback.on_epoch_end(0, logs)
        assert logs == {"images_per_second": rate, "input_wait": share}


# Validation.


class KnownJoints:
    """In the place of `validation_model`: joints it was told, with nonsense for padded rows."""

    def __init__(self, cells: np.ndarray, losses: np.ndarray, *, rows: int) -> None:
        self._cells, self._losses, self._rows = cells, losses, rows

    def predict(self, dataset: tf.data.Dataset, **_: Any) -> dict[str, np.ndarray]:
        assert sum(len(batch[0][0]) for batch in dataset) == self._rows
        joints = np.full((self._rows, 16, 3), 1e6, np.float32)
        joints[: len(self._cells), :, :2] = self._cells
        losses = np.full((self._rows, *self._losses.shape[1:]), 1e6, np.float32)
        losses[: len(self._losses)] = self._losses
        return {"joints": joints, "losses": losses}


@pytest.mark.parametrize(("offset", "coarse", "strict"), [(0, 100, 100), (0.2, 100, 0), (2, 0, 0)])
def test_validation_counts_every_person_once(
    shards: Path, micro_config: Config, offset: float, coarse: float, strict: float
):
    people = load_people(f"{shards}/validation*")
    side = 250 * people.scale[:, None, None]
    crop = (people.points - people.center[:, None]) * 32 / side + 15.5
    cells = (crop + 0.5) / 4 - 0.5 + [offset, 0]
    # Joints without a label are found anywhere, and cost what they may.
    cells[~people.labelled] = 3.3
    losses = np.ones((9, 2, 16)) * [[[0.25], [0.5]]]
    losses[~np.repeat(people.labelled[:, None], 2, axis=1)] = 9
    callback = Validate(
        KnownJoints(cells, losses, rows=12),
        pairs(validation_feed(f"{shards}/validation*", micro_config)),
        people,
        input_size=32,
    )
    logs = {"loss": 1.0}
    callback.on_epoch_end(0, logs)
    # An eighth of the crop's side is 31.25 · scale px a cell; a head is 25 · scale.
    assert logs[PCKH] == coarse
    assert logs[PCKH_STRICT] == strict
    assert logs[VALIDATION_LOSS] == pytest.approx(0.75 * people.labelled.mean())
    assert logs["loss"] == 1.0


def test_people_with_nothing_to_score_are_refused(shards: Path):
    people = load_people(f"{shards}/validation*")
    left_out = np.isin(np.arange(16), MPII.left_out)
    nobody = dataclasses.replace(people, visibility=people.visibility * left_out)
    with pytest.raises(
        ValueError, match="the 9 validation people have no labelled joint: there is"
    ):
        Validate(None, None, nobody, input_size=32)
    torsos = dataclasses.replace(MPII, reference="torso")
    without = people.visibility * (np.arange(16) != MPII.index("left_hip"))
    lame = dataclasses.replace(people, visibility=without, skeleton=torsos)
    with pytest.raises(ValueError, match="of a person whose right_shoulder and left_hip are label"):
        Validate(None, None, lame, input_size=32)


def test_validation_pools_joints_and_leaves_pelvis_and_thorax_out(
    shards: Path, micro_config: Config
):
    people = load_people(f"{shards}/validation*")
    side = 250 * people.scale[:, None, None]
    crop = (people.points - people.center[:, None]) * 32 / side + 15.5
    cells = (crop + 0.5) / 4 - 0.5
    wrong = [MPII.index(name) for name in ("pelvis", "thorax", "head_top")]
    cells[:, wrong] += 3
    callback = Validate(
        KnownJoints(cells, np.zeros((9, 2, 16)), rows=12),
        pairs(validation_feed(f"{shards}/validation*", micro_config)),
        people,
        input_size=32,
    )
    logs: dict[str, float] = {}
    callback.on_epoch_end(0, logs)
    counted = np.delete(people.labelled, wrong[:2], axis=1).sum()
    missed = people.labelled[:, wrong[2]].sum()
    assert logs[PCKH] == pytest.approx(100 * (1 - missed / counted))


# Averaged weights.


class Record(keras.callbacks.Callback):
    """Keeps the weights after every step, and what a checkpoint would hold after every epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[np.ndarray] = []
        self.epochs: list[tuple[list[np.ndarray], list[np.ndarray]]] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.steps.append(self.model.get_weights()[0])

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        state = [variable.numpy() for variable in self.model.optimizer.variables]
        self.epochs.append((self.model.get_weights(), state))


def fit_averaged(
    first: tuple[list[np.ndarray], list[np.ndarray]] | None = None, *, epoch: int = 0
) -> Record:
    """Fits a small model for three epochs of four steps, from the start or from a checkpoint."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(16, 3)), rng.normal(size=(16, 2))
    start = keras.initializers.GlorotUniform(seed=1)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, kernel_initializer=start)])
    optimizer = keras.optimizers.Adam(0.05, use_ema=True, ema_momentum=0.8)
    optimizer.build(model.trainable_variables)
    model.compile(optimizer, "mse", jit_compile=False)
    if first:
        model.set_weights(first[0])
        for variable, value in zip(optimizer.variables, first[1], strict=True):
            variable.assign(value)
    record = Record()
    model.fit(
        x,
        y,
        batch_size=4,
        epochs=3,
        initial_epoch=epoch,
        shuffle=False,
        verbose=0,
        callbacks=[AverageWeights(resumed=first is not None), record],
    )
    return record


def test_an_epochs_end_sees_the_average_and_training_goes_on_with_the_weights():
    record = fit_averaged()
    averages = [record.steps[0]]
    for weights in record.steps[1:]:
        averages.append(0.8 * averages[-1] + 0.2 * weights)
    for epoch in range(3):
        kernel = record.epochs[epoch][0][0]
        np.testing.assert_allclose(kernel, averages[4 * epoch + 3], atol=1e-5)
        assert np.abs(kernel - record.steps[4 * epoch + 3]).max() > 1e-3


def test_averaging_goes_on_where_it_was():
    whole = fit_averaged()
    rest = fit_averaged(whole.epochs[0], epoch=1)
    np.testing.assert_allclose(rest.steps, whole.steps[4:], atol=1e-5)
    for mine, theirs in zip(rest.epochs[-1][0], whole.epochs[-1][0], strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)


# Learning rate.


def fake_model(learning_rate: Any) -> Any:
    optimizer = keras.optimizers.Adam(learning_rate)
    optimizer.build([keras.Variable([1.0])])
    return SimpleNamespace(optimizer=optimizer)


def test_the_learning_rate_of_an_epochs_end_is_noted():
    schedule = keras.optimizers.schedules.CosineDecay(0.01, 10)
    for rate, steps, expected in ((0.003, 0, 0.003), (schedule, 5, 0.005)):
        callback, model = LearningRate(), fake_model(rate)
        model.optimizer.iterations.assign(steps)
        callback.set_model(model)
        logs: dict[str, float] = {}
        callback.on_epoch_end(0, logs)
        assert logs == {"learning_rate": pytest.approx(expected)}


def plateau_rates(
    scores: list[float],
    *,
    history: list[dict[str, float]] | None = None,
    rate: float = 1e-2,
    epochs: int = 10,
) -> list[float]:
    """The learning rate that each epoch is trained with."""
    callback, model = Plateau(PCKH, history or [], epochs=epochs), fake_model(rate)
    callback.set_model(model)
    callback.on_train_begin()
    rates = []
    for epoch, score in enumerate(scores, start=len(history or [])):
        rates.append(float(model.optimizer.learning_rate))
        callback.on_epoch_end(epoch, {PCKH: score})
    return rates


FLAT = [10.0, 30.0] + [29.0] * 10 + [30.0] * 12 + [35.0] * 11
"""Better in epoch 2, then 10 epochs of nothing, 10 more, 2, better, and 10 of nothing."""

RATES = [1e-2] * 12 + [1e-3] * 10 + [1e-4] * 13


def test_a_plateau_of_ten_epochs_divides_the_learning_rate_by_ten():
    np.testing.assert_allclose(plateau_rates(FLAT), RATES, rtol=1e-5)
    assert plateau_rates(FLAT, epochs=40) == [pytest.approx(1e-2)] * len(FLAT)
    assert plateau_rates([1.0 + epoch for epoch in range(30)]) == [pytest.approx(1e-2)] * 30
    # The scores of 35 did not end a plateau that had been going on for two epochs only.
    assert plateau_rates([*FLAT, 35.0])[-1] == pytest.approx(1e-5)


@pytest.mark.parametrize("epochs", [1, 11, 12, 13, 24, 30])
def test_a_plateau_goes_on_where_it_was(epochs: int):
    history = [
        {"epoch": epoch + 1, "loss": 1.0, PCKH: score, "learning_rate": rate}
        for epoch, (score, rate) in enumerate(zip(FLAT[:epochs], RATES, strict=False))
    ]
    before = [dict(row) for row in history]
    rates = plateau_rates(FLAT[epochs:], history=history, rate=123.0)
    np.testing.assert_allclose(rates, RATES[epochs:], rtol=1e-5)
    assert history == before


# Saving.


@pytest.fixture
def checkpoint(tmp_path: Path) -> Callable[..., Checkpoint]:
    """A `Checkpoint` on a small network and its optimizer."""

    def make(precision: str = "float32", **choices: Any) -> Checkpoint:
        network = build_network(CONFIG.network, precision=precision, seed=1)
        network.optimizer = keras.optimizers.Adam()
        network.optimizer.build(network.trainable_variables)
        choices = {"state": TrainingState(), "history": [], **choices}
        callback = Checkpoint(tmp_path, CONFIG, **choices)
        callback.set_model(network)
        return callback

    return make


def logs_of(score: float) -> dict[str, float]:
    return {"loss": 100 - score, PCKH: score, "learning_rate": 1e-3}


def first_weight(path: Path) -> float:
    """What every element of the first kernel is, without building a network."""
    with (
        zipfile.ZipFile(path) as archive,
        h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as weights,
    ):
        return float(weights["layers/conv2d/vars/0"][()].ravel()[0])


def test_the_best_and_the_last_model_are_kept(
    tmp_path: Path, checkpoint: Callable[..., Checkpoint]
):
    callback = checkpoint()
    best = [(0.0, 1), (0.0, 1), (40.0, 3), (40.0, 3), (41.0, 5)]
    for epoch, score in enumerate((0.0, 0.0, 40.0, 39.0, 41.0)):
        weight = callback.model.weights[0]
        weight.assign(np.full(weight.shape, epoch + 1.0))
        callback.on_epoch_end(epoch, logs_of(score))
        assert callback.state == TrainingState(epoch + 1, *best[epoch])
        assert first_weight(tmp_path / LAST) == epoch + 1
        assert first_weight(tmp_path / BEST) == best[epoch][1]
    with (tmp_path / HISTORY).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert [float(row[PCKH]) for row in rows] == [0, 0, 40, 39, 41]
    assert {path.name for path in tmp_path.iterdir()} == {BEST, LAST, HISTORY}


def test_what_was_saved_goes_on(tmp_path: Path, checkpoint: Callable[..., Checkpoint]):
    first = checkpoint()
    first.model.optimizer.iterations.assign(77)
    first.on_epoch_end(0, logs_of(50.0))
    network = build_network(CONFIG.network)
    optimizer = keras.optimizers.Adam()
    optimizer.build(network.trainable_variables)
    state = load_training(tmp_path / LAST, network, optimizer)
    assert state == TrainingState(1, 50.0, 1)
    assert int(optimizer.iterations) == 77
    second = checkpoint(state=state, history=read_history(tmp_path / HISTORY, epochs=1))
    second.on_epoch_end(1, logs_of(45.0))
    assert second.state == TrainingState(2, 50.0, 1)
    assert [row["epoch"] for row in read_history(tmp_path / HISTORY, epochs=2)] == [1, 2]


def test_a_kill_between_two_files_loses_nothing(
    tmp_path: Path, checkpoint: Callable[..., Checkpoint], monkeypatch: pytest.MonkeyPatch
):
    # history.csv and best.keras may be an epoch ahead; last.keras alone says where the run stands.
    callback = checkpoint()
    callback.on_epoch_end(0, logs_of(10.0))
    real_save = checkpoint_room.save_model

    def killed(path: Path, *arguments: Any, **options: Any) -> None:
        if path.name == LAST:
            raise KeyboardInterrupt
        real_save(path, *arguments, **options)

    monkeypatch.setattr(checkpoint_room, "save_model", killed)
    with pytest.raises(KeyboardInterrupt):
        callback.on_epoch_end(1, logs_of(20.0))
    monkeypatch.undo()
    network = callback.model
    state = load_training(tmp_path / LAST, network, network.optimizer)
    assert state == TrainingState(1, 10.0, 1)
    history = read_history(tmp_path / HISTORY, epochs=state.epoch)
    assert [row[PCKH] for row in history] == [10.0]


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_a_network_trained_in_mixed_precision_is_saved_in_float32(
    tmp_path: Path, checkpoint: Callable[..., Checkpoint], precision: str
):
    callback = checkpoint(precision)
    callback.on_epoch_end(0, logs_of(1.0))
    plain = keras.saving.load_model(tmp_path / BEST)
    assert {layer.compute_dtype for layer in plain.layers if layer.weights} == {"float32"}
    for one, other in zip(plain.weights, callback.model.weights, strict=True):
        assert one.dtype == "float32"
        np.testing.assert_array_equal(one, other)


# The history.


def test_a_history_comes_back(tmp_path: Path):
    rows = [
        {"epoch": 1, "loss": 0.1 + 0.2, PCKH: 100 / 3, VALIDATION_LOSS: float("nan")},
        {"epoch": 2, "loss": 1e-17, PCKH: 0.0, VALIDATION_LOSS: float("inf")},
    ]
    write_history(tmp_path / HISTORY, rows)
    assert [path.name for path in tmp_path.iterdir()] == [HISTORY]
    np.testing.assert_equal(read_history(tmp_path / HISTORY, epochs=2), rows)
    np.testing.assert_equal(read_history(tmp_path / HISTORY, epochs=1), rows[:1])
    assert read_history(tmp_path / "none.csv", epochs=0) == []


def test_epochs_may_have_other_numbers_than_the_first(tmp_path: Path):
    rows: list[dict[str, float]] = [
        {"epoch": 1, "loss": 0.5, "only_at_first": 7.0},
        {"epoch": 2, "loss": 0.25, "added": 3.0},
    ]
    write_history(tmp_path / HISTORY, rows)
    assert (tmp_path / HISTORY).read_text().splitlines() == [
        "epoch,loss,only_at_first,added",
        "1,0.5,7.0,",
        "2,0.25,,3.0",
    ]
    assert read_history(tmp_path / HISTORY, epochs=2) == rows


def test_a_bad_history_is_told(tmp_path: Path):
    path = tmp_path / HISTORY
    with pytest.raises(ValueError, match=r"history\.csv: not the history of a run"):
        read_history(path, epochs=1)
    path.write_text("epoch,loss\n1,0.5\n")
    with pytest.raises(ValueError, match="holds 1 epochs, the checkpoint has 3"):
        read_history(path, epochs=3)
    for row in (",1", "1,many", "1", "1,2,3"):
        path.write_text(f"epoch,loss\n{row}\n")
        with pytest.raises(ValueError, match="not the history of a run"):
            read_history(path, epochs=1)


# Lines.


def test_progress_tells_an_epoch_in_a_line(messages: list[str]):
    callback = ShowProgress(epochs=9, first_epoch=2, images=12, batch_size=4, measure=HEADS)
    callback.on_epoch_begin(2)
    callback.on_train_batch_end(0, {"loss": 1.5})
    callback.on_epoch_end(
        2,
        {
            "loss": 1.25,
            VALIDATION_LOSS: 2.5,
            PCKH: 61.25,
            PCKH_STRICT: 7.5,
            "images_per_second": 99.6,
            "input_wait": 0.034,
        },
    )
    callback.close()
    assert messages == [
        "epoch 3/9: loss 1.2500, validation loss 2.5000, PCKh@0.5 61.2, @0.1 7.5, 100 images/s, "
        "3% of it waiting for input"
    ]


def test_progress_names_the_skeletons_own_score(messages: list[str]):
    callback = ShowProgress(epochs=9, first_epoch=0, images=12, batch_size=4, measure=BOXES)
    logs = {"loss": 1.0, VALIDATION_LOSS: 2.0, "images_per_second": 9.0, "input_wait": 0.5}
    callback.on_epoch_end(0, {**logs, "val_pck@0.1": 61.25, "val_pck@0.05": 7.5})
    callback.close()
    assert "PCK@0.1 61.2, @0.05 7.5, 9 images/s" in messages[0]


@pytest.mark.parametrize(
    ("measure", "name", "strict"),
    [(HEADS, PCKH, PCKH_STRICT), (BOXES, "val_pck@0.1", "val_pck@0.05")],
)
def test_a_scores_name_says_what_it_is(measure: Measure, name: str, strict: str):
    assert (score_name(measure), score_name(measure, measure.strict)) == (name, strict)


# Memory.


def test_an_epochs_end_leaves_no_garbage():
    class Circle:
        def __init__(self) -> None:
            self.itself = self

    circle = Circle()
    there = weakref.ref(circle)
    gc.disable()
    try:
        del circle
        assert there() is not None
        CollectGarbage().on_epoch_end(0)
    finally:
        gc.enable()
    assert there() is None
