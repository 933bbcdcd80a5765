"""A killed training: no file is half written, and --resume ends it as if nothing had happened."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from hourglass.core.config import Config, from_json, to_json
from hourglass.modelfiles.keras_file import STATE_MEMBER, TrainingState, read_config
from hourglass.networks.hourglass import build_network
from hourglass.training.callbacks.checkpoint import Checkpoint
from hourglass.training.callbacks.history import read_history
from hourglass.training.callbacks.names import BEST, HISTORY, LAST

NAMES = {"config.json", HISTORY, BEST, LAST}


def state_of(folder: Path) -> TrainingState:
    with zipfile.ZipFile(folder / LAST) as archive:
        return TrainingState(**json.loads(archive.read(STATE_MEMBER)))


def assert_nothing_half_written(folder: Path) -> None:
    """Whatever has a final name is whole, and the history holds all that the state claims."""
    there = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    for name in there & {BEST, LAST}:
        with zipfile.ZipFile(folder / name) as archive:
            assert archive.testzip() is None
        read_config(folder / name)
    if "config.json" in there:
        from_json((folder / "config.json").read_text(), where="config.json")
    if LAST in there:
        epochs = state_of(folder).epoch
        assert len(read_history(folder / HISTORY, epochs=epochs)) == epochs
        assert BEST in there


def test_epochs_killed_at_any_of_their_steps_are_whole(
    tmp_path: Path, camera: Any, micro_config: Config
):
    """What is written at the ends of three epochs, without the training between them."""
    network = build_network(micro_config.network, seed=0)
    network.compile(keras.optimizers.Adam(), loss="mse")
    network.optimizer.build(network.trainable_variables)
    folder, steps = tmp_path / "run", tmp_path / "steps"
    folder.mkdir()
    checkpoint = Checkpoint(folder, micro_config, state=TrainingState(), history=[])
    checkpoint.set_model(network)
    with camera(folder, steps):
        checkpoint.on_train_begin()
        for epoch, score in enumerate((10.0, 30.0, 20.0)):
            logs = {"loss": 1.0, "val_loss": 1.0, "val_pckh@0.5": score, "val_pckh@0.1": 1.0}
            checkpoint.on_epoch_end(epoch, logs)
    moments = sorted(steps.iterdir())
    assert len(moments) > 3 * 3  # of each epoch three or four files are written aside and renamed
    epochs = []
    for moment in moments:
        assert_nothing_half_written(moment)
        epochs.append(state_of(moment).epoch if (moment / LAST).exists() else 0)
    assert epochs == sorted(epochs)
    assert set(epochs) >= {0, 1, 2}


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / HISTORY).open(newline="") as file:
        return list(csv.DictReader(file))


def losses_of(folder: Path) -> np.ndarray:
    return np.array([[float(row["loss"]), float(row["val_loss"])] for row in rows_of(folder)])


@pytest.fixture
def call(shards: Path, tmp_path: Path, micro_config: Config) -> Callable[..., list[object]]:
    """`call(run)`: the command that trains it, or goes on with it."""
    network, train = micro_config.network, micro_config.train
    choices = {
        "network.stacks": network.stacks,
        "network.channels": network.channels,
        "network.depth": network.depth,
        "network.input_size": network.input_size,
        "train.epochs": 4,
        "train.batch_size": train.batch_size,
        "train.learning_rate": train.learning_rate,
        "train.precision": train.precision,
        "train.seed": train.seed,
    }
    assert to_json(micro_config)

    def make(run: str) -> list[object]:
        folder = tmp_path / "models" / run
        where = ["--run", run, "--models", tmp_path / "models", "--logs", tmp_path / "logs"]
        begun = (folder / "config.json").exists()
        settings = [word for pair in choices.items() for word in ("--set", "{}={}".format(*pair))]
        how = ["--resume"] if begun else ["--preset", "tiny", *settings]
        return ["hourglass.train", "--data", shards, *where, *how]

    return make


@pytest.mark.slow
def test_a_training_killed_at_random_moments_learns_the_same(
    tmp_path: Path,
    call: Callable[..., list[object]],
    finished: Callable[..., str],
    killed_at_random: Callable[..., int],
):
    began = time.monotonic()
    finished(*call("whole"))
    seconds, expected = time.monotonic() - began, tmp_path / "models" / "whole"
    folder = tmp_path / "models" / "killed"

    def look() -> None:
        if folder.exists():
            assert_nothing_half_written(folder)

    def fresh() -> None:
        np.testing.assert_allclose(losses_of(folder), losses_of(expected), rtol=1e-4)
        assert state_of(folder).epoch == state_of(expected).epoch
        shutil.rmtree(folder)

    def again() -> list[object]:
        # A kill after the last epoch leaves a run that is finished, which --resume refuses.
        if (folder / LAST).exists() and state_of(folder).epoch == 4:
            fresh()
        return call("killed")

    killed_at_random(again, seconds, look, fresh)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_training_that_is_asked_to_stop_says_how_to_go_on(
    number: signal.Signals,
    tmp_path: Path,
    call: Callable[..., list[object]],
    command: Callable[..., subprocess.Popen[str]],
    finished: Callable[..., str],
):
    folder = tmp_path / "models" / "stopped"
    process = command(*call("stopped"), "--epochs", "500")
    deadline = time.monotonic() + 300
    while not (folder / LAST).exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(number)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130, output
    assert output.splitlines()[-1] == (
        f"Stopped: finished epochs are kept in {folder}; the same command with --resume goes on"
    )
    assert_nothing_half_written(folder)
    assert not list(folder.glob(".*.keras"))


@pytest.mark.slow
def test_two_trainings_of_one_seed_are_the_same(
    tmp_path: Path, call: Callable[..., list[object]], finished: Callable[..., str]
):
    for run in ("one", "two"):
        finished(*call(run))
    one, other = (losses_of(tmp_path / "models" / run) for run in ("one", "two"))
    np.testing.assert_array_equal(one, other)
