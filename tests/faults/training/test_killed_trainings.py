"""A killed training: no file is half written, and --resume ends it as if nothing had happened."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from hourglass.core.config import Config
from hourglass.core.config_text import from_json
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


EPOCHS = 5


@pytest.fixture
def call(shards: Path, tmp_path: Path) -> Callable[..., list[object]]:
    """`call(run)`: the command that trains the smallest network, or goes on with it."""
    choices = {
        "network.stacks": 1,
        "network.channels": 4,
        "network.depth": 1,
        "network.input_size": 16,
        "train.batch_size": 4,
        "train.learning_rate": 3e-3,
        "train.precision": "float32",
        "train.seed": 5,
    }
    settings = [word for pair in choices.items() for word in ("--set", "{}={}".format(*pair))]

    def make(run: str, *, epochs: int = EPOCHS) -> list[object]:
        folder = tmp_path / "models" / run
        where = ["--run", run, "--models", tmp_path / "models", "--logs", tmp_path / "logs"]
        begun = (folder / "config.json").exists()
        how = ["--resume"] if begun else ["--preset", "tiny", *settings, "--epochs", epochs]
        return ["hourglass.train", "--data", shards, *where, *how]

    return make


@pytest.mark.slow
def test_a_training_killed_at_random_moments_learns_the_same(
    tmp_path: Path,
    call: Callable[..., list[object]],
    forked: Callable[..., Any],
    undisturbed: Callable[..., tuple[float, float]],
    killed_at_random: Callable[..., int],
):
    """Killed while it trains; before, it only prepares itself."""
    expected, folder = (tmp_path / "models" / run for run in ("whole", "killed"))
    span = undisturbed(*call("whole"), begun=expected / "config.json")

    def look() -> None:
        if folder.exists():
            assert_nothing_half_written(folder)
            reached.append(state_of(folder).epoch if (folder / LAST).exists() else 0)

    def fresh() -> None:
        np.testing.assert_allclose(losses_of(folder), losses_of(expected), rtol=1e-4)
        assert state_of(folder).epoch == state_of(expected).epoch
        shutil.rmtree(folder)

    def start() -> Any:
        # A kill after the last epoch leaves a run that is finished, which --resume refuses.
        if (folder / LAST).exists() and state_of(folder).epoch == EPOCHS:
            fresh()
        return forked(*call("killed"))

    reached: list[int] = []
    killed_at_random(start, span, look, fresh)
    print(f"epochs saved at the kills: {reached}")
    assert len(set(reached)) > 2


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_training_that_is_asked_to_stop_says_how_to_go_on(
    number: signal.Signals,
    tmp_path: Path,
    call: Callable[..., list[object]],
    command: Callable[..., Any],
    wait_until: Callable[..., None],
):
    folder = tmp_path / "models" / "stopped"
    process = command(*call("stopped", epochs=10_000))
    wait_until((folder / LAST).exists, process)
    process.send_signal(number)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 130, output
    assert output.splitlines()[-1] == (
        f"Stopped: finished epochs are kept in {folder}; the same command with --resume goes on"
    )
    assert_nothing_half_written(folder)
    assert not list(folder.glob(".*"))


@pytest.mark.slow
def test_two_trainings_of_one_seed_are_the_same(
    tmp_path: Path, call: Callable[..., list[object]], finished: Callable[..., str]
):
    for run in ("one", "two"):
        finished(*call(run))
    one, other = (losses_of(tmp_path / "models" / run) for run in ("one", "two"))
    assert one.shape == (EPOCHS, 2)
    np.testing.assert_array_equal(one, other)
