"""Training: what a run writes, that it survives a kill, and what it refuses to do."""

from __future__ import annotations

import csv
import dataclasses
import errno
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner, Result
from loguru import logger

from hourglass.core import files
from hourglass.core.config import AugmentConfig, Config, NetworkConfig, TrainConfig
from hourglass.core.config_text import from_json, to_json
from hourglass.core.errors import InputError
from hourglass.core.files import aside
from hourglass.core.locking import alone_in
from hourglass.core.person import Person
from hourglass.core.presets import PRESETS, preset
from hourglass.data.datasets import training_dataset
from hourglass.data.loader import training_batches
from hourglass.data.records import frame, to_example
from hourglass.data.shards import MANIFEST
from hourglass.modelfiles.keras_file import OPTIMIZER_MEMBER, TrainingState, load_model, read_config
from hourglass.train import main
from hourglass.training.callbacks.names import VALIDATION_LOSS
from hourglass.training.devices import Devices, find_devices
from hourglass.training.provenance import (
    pinned,
    provenance_of,
    read_provenance,
    write_provenance,
)
from hourglass.training.run import Run, train

PCKH, PCKH_STRICT = "val_pckh@0.5", "val_pckh@0.1"

NUMBERS = [
    *("epoch", "loss", "loss_stack_1", "loss_stack_2"),
    *("images_per_second", "input_wait", VALIDATION_LOSS, PCKH, PCKH_STRICT, "learning_rate"),
]
NANO = Config(
    NetworkConfig(stacks=1, channels=4, depth=1, input_size=16, architecture="unet"),
    augment=AugmentConfig(0, 0, 0, 0, 0, 0),
    train=TrainConfig(epochs=2, batch_size=4, precision="float32"),
)
"""The cheapest training: a U-Net has half an hourglass's layers."""

LONGER = Config(
    NANO.network,
    train=dataclasses.replace(NANO.train, epochs=3, learning_rate=3e-3, seed=5),
)
"""Of three epochs, with pictures that are changed at random."""


pytestmark = pytest.mark.usefixtures("quick_graphs")


@pytest.fixture(scope="module")
def longer_run(tmp_path_factory: pytest.TempPathFactory, shards: Path, quick_graphs: None) -> Run:
    """A finished training of `LONGER`; not to be changed."""
    root = tmp_path_factory.mktemp("longer")
    return train(LONGER, shards, folder=root / "models" / "longer", board=root / "logs" / "longer")


@pytest.fixture
def copied_run(longer_run: Run, tmp_path: Path) -> Path:
    """The folder of a finished run of three epochs, to be changed."""
    folder = tmp_path / "models" / "longer"
    shutil.copytree(longer_run.folder, folder)
    return folder


def history_of(folder: Path) -> list[dict[str, float]]:
    with (folder / "history.csv").open(newline="") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def losses_of(folder: Path) -> np.ndarray:
    """Training and validation losses, a row per epoch."""
    names = ("loss", "loss_stack_1", VALIDATION_LOSS)
    return np.array([[row[name] for name in names] for row in history_of(folder)])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def state_of(folder: Path) -> dict[str, float]:
    with zipfile.ZipFile(folder / "last.keras") as archive:
        return json.loads(archive.read("training.json"))


def steps_of(folder: Path) -> int:
    """How many steps the schedule of the learning rate has counted."""
    with zipfile.ZipFile(folder / "last.keras") as archive:
        stored = np.load(io.BytesIO(archive.read(OPTIMIZER_MEMBER)))
    return int(stored[stored.files[0]])


def change(config: Config, **changes: Any) -> Config:
    return dataclasses.replace(config, train=dataclasses.replace(config.train, **changes))


def python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs a script of its own, for what cannot happen in this process."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False)


def events_of(board: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(board), size_guidance={"tensors": 0})
    events.Reload()
    return events


# What a run leaves behind.


def test_a_run_leaves_its_models_choices_and_history(micro_run: Run, micro_config: Config):
    names = {"config.json", "data.json", "history.csv", "best.keras", "last.keras"}
    assert {path.name for path in micro_run.folder.iterdir()} == names
    text = (micro_run.folder / "config.json").read_text(encoding="utf-8")
    assert from_json(text, where="config.json") == micro_config
    assert micro_run.seconds > 0
    rows = history_of(micro_run.folder)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert list(rows[0]) == NUMBERS
    for row in rows:
        assert np.isfinite(list(row.values())).all()
        assert row["loss"] == pytest.approx(row["loss_stack_1"] + row["loss_stack_2"], rel=1e-4)
        assert 0 <= row[PCKH_STRICT] <= row[PCKH] <= 100
        assert 0 <= row["input_wait"] <= 1
    assert rows[2]["loss"] < rows[0]["loss"]
    best = max(rows, key=lambda row: row[PCKH])
    assert micro_run.state == TrainingState(3, best[PCKH], int(best["epoch"]))
    assert state_of(micro_run.folder) == dataclasses.asdict(micro_run.state)
    for name in ("best.keras", "last.keras"):
        network, config = load_model(micro_run.folder / name)
        assert config == micro_config
        assert all(np.isfinite(weight).all() for weight in network.get_weights())


def test_a_cosine_rises_for_an_epoch_and_falls_to_0(micro_run: Run, micro_config: Config):
    rates = [row["learning_rate"] for row in history_of(micro_run.folder)]
    highest = micro_config.train.learning_rate
    np.testing.assert_allclose(rates, [highest, highest / 2, 0], atol=1e-9)


def test_tensorboard_has_every_number_and_the_pictures(micro_run: Run):
    events = events_of(micro_run.board)
    tags = {
        "loss": "loss/loss",
        "loss_stack_1": "loss/loss_stack_1",
        "loss_stack_2": "loss/loss_stack_2",
        VALIDATION_LOSS: "loss/val_loss",
        PCKH: "pckh/validation@0.5",
        PCKH_STRICT: "pckh/validation@0.1",
        "learning_rate": "training/learning_rate",
        "images_per_second": "training/images_per_second",
        "input_wait": "training/input_wait",
    }
    rows = history_of(micro_run.folder)
    for name, tag in tags.items():
        found = events.Tensors(tag)
        assert [one.step for one in found] == [1, 2, 3]
        values = [float(tf.make_ndarray(one.tensor_proto)) for one in found]
        np.testing.assert_allclose(values, [row[name] for row in rows], rtol=1e-5)
    (pictures,) = set(events.Tags()["tensors"]) - set(tags.values())
    for found in events.Tensors(pictures):
        width, height, *encoded = tf.make_ndarray(found.tensor_proto)
        assert (int(width), int(height), len(encoded)) == (768, 256, 8)
        panels = [tf.io.decode_png(one).numpy() for one in encoded]
        assert len({panel.tobytes() for panel in panels}) == 8
        # The first panel is a person's crop: its dots are as colourful as they were drawn.
        assert np.ptp(panels[0][:, :256].astype(int), axis=-1).max() > 200


# Going on.

KILLED = """
import os, signal, sys
import tensorflow as tf
tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})

from hourglass.training.callbacks.non_finite import StopOnNonFinite
from hourglass.core.config_text import from_json
from hourglass.core.presets import PRESETS
from hourglass.train import main

PRESETS["tiny"] = from_json(open(sys.argv[1]).read(), where=sys.argv[1])
real, steps = StopOnNonFinite.on_train_batch_end, []

def on_train_batch_end(self, batch, logs=None):
    real(self, batch, logs)
    steps.append(batch)
    if len(steps) == 5:  # the second of three steps of the second epoch
        os.kill(os.getpid(), signal.SIGKILL)

StopOnNonFinite.on_train_batch_end = on_train_batch_end
main(["--preset", "tiny", "--run", "longer", *sys.argv[2:]])
"""


def test_a_killed_run_goes_on_as_if_nothing_had_happened(
    longer_run: Run, shards: Path, tmp_path: Path
):
    models, logs = tmp_path / "models", tmp_path / "logs"
    folder = models / "longer"
    where = ("--data", shards, "--models", models, "--logs", logs)
    killed = python(KILLED, longer_run.folder / "config.json", *where)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert [row["epoch"] for row in history_of(folder)] == [1]
    assert state_of(folder)["epoch"] == 1
    # As a kill between the writing of two files would leave it: a row too many, half a file.
    with (folder / "history.csv").open("a") as file:
        file.write("2" + ",999" * (len(history_of(folder)[0]) - 1) + "\n")
    finished = subprocess.Popen([sys.executable, "-c", ""])
    finished.wait()
    name = aside(folder / "last.keras").name
    half = folder / name.replace(str(os.getpid()), str(finished.pid), 1)
    half.write_bytes(b"half a file")
    files._remove_left.cache_clear()

    arguments = ["--resume", "--run", "longer", *map(str, where)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "3 epochs done" in result.stdout
    assert f"best model   {folder / 'best.keras'}" in result.stdout

    assert not half.exists()
    assert [row["epoch"] for row in history_of(folder)] == [1, 2, 3]
    np.testing.assert_allclose(losses_of(folder), losses_of(longer_run.folder), rtol=1e-3)
    rates, expected = (
        [row["learning_rate"] for row in history_of(one)] for one in (folder, longer_run.folder)
    )
    np.testing.assert_allclose(rates, expected, atol=1e-9)
    assert state_of(folder) == pytest.approx(state_of(longer_run.folder))
    for name in ("best.keras", "last.keras"):
        one, other = (load_model(where / name)[0] for where in (folder, longer_run.folder))
        pictures = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
        np.testing.assert_allclose(one(pictures), other(pictures), atol=1e-2)
    steps = [one.step for one in events_of(logs / "longer").Tensors("loss/loss")]
    assert steps == [1, 2, 3]


def test_a_run_is_never_overwritten(copied_run: Path, shards: Path, error_of: Callable[..., str]):
    before = contents(copied_run)
    line = error_of(
        main,
        *("--preset", "tiny", "--batch-size", 4, "--run", "longer", "--data", shards),
        *("--models", copied_run.parent, "--logs", copied_run.parent.parent / "logs"),
    )
    assert line == (
        f"{copied_run} holds a run already; go on with --resume, or name another with --run"
    )
    assert contents(copied_run) == before


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--learning-rate", 0.5, "learning_rate is 0.003 and cannot become 0.5 when resuming"),
        ("--batch-size", 2, "batch_size is 4 and cannot become 2"),
        ("--seed", 6, "seed is 5 and cannot become 6"),
        ("--schedule", "plateau", "schedule is cosine and cannot become plateau"),
        ("--precision", "mixed_bfloat16", "precision is float32 and cannot become mixed_bfloat16"),
        ("--warmup-epochs", 3, "warmup_epochs is 1.0 and cannot become 3.0"),
        ("--preset", "hg8", "preset"),
        ("--input-size", 64, "input_size is 16 and cannot become 64"),
        ("--weights", "other.keras", "--weights starts a run and --resume goes on with one"),
    ],
)
def test_a_changed_choice_is_refused_when_resuming(
    copied_run: Path,
    shards: Path,
    error_of: Callable[..., str],
    option: str,
    value: object,
    told: str,
):
    before = contents(copied_run)
    where = ("--run", "longer", "--models", copied_run.parent, "--logs", copied_run.parent)
    line = error_of(main, "--resume", *where, "--data", shards, option, value)
    assert told in line
    assert contents(copied_run) == before


@pytest.mark.parametrize(
    "options",
    [
        ("--epochs", 2),
        ("--epochs", 3, "--learning-rate", 3e-3, "--precision", "auto"),  # its own
    ],
)
def test_a_finished_run_is_left_as_it_is(
    copied_run: Path, shards: Path, error_of: Callable[..., str], options: tuple[object, ...]
):
    before = contents(copied_run)
    where = ("--run", "longer", "--models", copied_run.parent, "--logs", copied_run.parent)
    line = error_of(main, "--resume", *where, "--data", shards, *options)
    assert f"{copied_run} has finished its" in line
    assert "--epochs beyond 3 would go on" in line
    assert contents(copied_run) == before


def test_a_run_that_is_not_there_cannot_be_resumed(
    shards: Path, tmp_path: Path, error_of: Callable[..., str]
):
    where = ("--models", tmp_path, "--logs", tmp_path, "--data", shards)
    line = error_of(main, "--resume", "--run", "none", *where)
    assert line == f"{tmp_path / 'none'}: no run to resume, config.json is missing"
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "config.json").write_text("{}")
    line = error_of(main, "--resume", "--run", "odd", *where)
    assert line.startswith(f"{tmp_path / 'odd' / 'config.json'}: not a configuration")


def test_two_trainings_of_one_name_are_not_let_in(copied_run: Path, shards: Path):
    before = contents(copied_run)
    with alone_in(copied_run, doing="a training"):
        result = resumed(copied_run, "--data", shards)
    assert result.exit_code == 1
    assert result.output.splitlines()[-1].startswith(
        f"Error: {copied_run}: a training is under way there already, by process {os.getpid()} on "
    )
    assert contents(copied_run) == before


# Disks that are full.


@pytest.fixture
def fill_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """`fill_disk(name)`: files of that name find no room any more."""

    def fill(name: str) -> None:
        publish = files.publish

        def refuse(temporary: Path, path: Path) -> None:
            if path.name == name:
                raise OSError(errno.ENOSPC, "No space left on device")
            publish(temporary, path)

        monkeypatch.setattr(files, "publish", refuse)

    return fill


@pytest.mark.usefixtures("eager_steps")
def test_an_epoch_that_cannot_be_saved_ends_the_run(
    shards: Path,
    tmp_path: Path,
    fill_disk: Callable[[str], None],
    error_of: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
):
    folder = tmp_path / "models" / "full"
    where = ("--run", "full", "--models", folder.parent, "--logs", tmp_path / "l", "--data", shards)
    words = ["--preset", "tiny", "--epochs", "1", "--batch-size", "4", "--input-size", "16"]
    words += [f"--set=network.{one}" for one in ("channels=4", "depth=1", "architecture=unet")]
    fill_disk("last.keras")
    line = error_of(main, *where, *words)
    assert line == (
        f"{folder / 'last.keras'}: cannot be written (No space left on device); no epoch is saved, "
        "so that --resume starts with the first"
    )
    names = {"config.json", "data.json", "history.csv", "best.keras"}
    assert {path.name for path in folder.iterdir()} == names
    monkeypatch.undo()
    own = where[:-2]  # the data of a run need not be named again
    result = CliRunner().invoke(main, [str(one) for one in ("--resume", *own)])
    assert result.exit_code == 0, result.output
    assert f"data of the run: {shards}" in result.output
    told = f"{folder / 'last.keras'} is not there: no epoch was saved, starting with epoch 1"
    assert told in result.output
    assert [row["epoch"] for row in history_of(folder)] == [1]


@pytest.mark.usefixtures("eager_steps")
def test_a_later_epoch_that_cannot_be_saved_says_what_is(
    copied_run: Path, fill_disk: Callable[[str], None]
):
    before = contents(copied_run)
    fill_disk("history.csv")
    result = resumed(copied_run)
    assert result.output.splitlines()[-1] == (
        f"Error: {copied_run / 'history.csv'}: cannot be written (No space left on device); the "
        "run is saved up to epoch 3, from where --resume goes on"
    )
    after = contents(copied_run)
    changed = {name for name in after if after[name] != before.get(name)}
    # TensorBoard's events lie in the run's own folder here.
    assert {name for name in changed if not name.startswith("events.")} == {"config.json"}


# The data and the arithmetic of a run that goes on.


def resumed(folder: Path, *words: object) -> Result:
    """What comes of going on with a finished run for one more epoch."""
    where = ("--run", folder.name, "--models", folder.parent, "--logs", folder.parent)
    arguments = ("--resume", *where, "--epochs", 4, *words)
    return CliRunner().invoke(main, [str(one) for one in arguments])


@pytest.fixture
def other(write_shards: Callable[..., Any], tmp_path: Path) -> Path:
    """Shards of other people to train on: eight, which are two steps an epoch in place of three."""
    folder = tmp_path / "other"
    write_shards(folder, "train", [4, 4], first=50)
    write_shards(folder, "validation", [5, 4], first=100)
    return folder


@pytest.mark.usefixtures("eager_steps")
def test_other_data_are_refused_unless_wanted(copied_run: Path, other: Path):
    before = contents(copied_run)
    result = resumed(copied_run, "--data", other)
    assert result.exit_code == 1
    assert result.output.splitlines()[-1].startswith(
        f"Error: {copied_run}: the run's data are not the same: 2 of 4 shards in {other} are not "
    )
    assert "--new-data would go on" in result.output
    assert contents(copied_run) == before
    result = resumed(copied_run, "--data", other, "--new-data")
    assert result.exit_code == 0, result.output
    assert "WARNING going on with other data: 2 of 4 shards" in result.output
    # The schedule counts as if it had always been so.
    assert steps_of(copied_run) == 8
    assert read_provenance(copied_run) == provenance_of({str(other): None}, steps=2)


@pytest.mark.usefixtures("eager_steps")
def test_a_run_goes_on_with_its_own_data_wherever_they_lie(
    copied_run: Path, other: Path, tmp_path: Path
):
    # As after a kill in the first epoch on other data: three epochs were on those before.
    write_provenance(copied_run, provenance_of({str(other): None}, steps=2))
    moved = other.rename(tmp_path / "moved")
    result = resumed(copied_run, "--data", moved)
    assert result.exit_code == 0, result.output
    assert "going on after epoch 3" in result.output
    assert state_of(copied_run)["epoch"] == 4
    assert steps_of(copied_run) == 8
    assert str(moved) in (copied_run / "data.json").read_text(encoding="utf-8")


def test_data_that_are_gone_are_told(copied_run: Path, error_of: Callable[..., str]):
    path = copied_run / "data.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    values["parts"][0]["folder"] = "/gone"
    path.write_text(json.dumps(values), encoding="utf-8")
    where = ("--run", "longer", "--models", copied_run.parent, "--logs", copied_run.parent)
    line = error_of(main, "--resume", "--epochs", 4, *where)
    assert line == (
        f"{copied_run}: the run's data are in /gone, which is not there; --data says where they "
        "are now"
    )
    path.unlink()  # as in a run from before its data were written down
    line = error_of(main, "--resume", "--epochs", 4, *where)
    assert line == f"{copied_run}: does not say which data the run is trained on; give --data"


def test_new_data_are_for_a_run_that_goes_on(shards: Path, error_of: Callable[..., str]):
    line = error_of(main, "--data", shards, "--new-data")
    assert line == "--new-data is for a run that goes on, with --resume"


@pytest.mark.usefixtures("eager_steps")
def test_a_choice_of_auto_is_written_as_what_it_became(shards: Path, tmp_path: Path):
    config = change(NANO, precision="auto", epochs=1)
    folder = tmp_path / "run"
    devices = dataclasses.replace(find_devices(["CPU:0"]), bfloat16=True)
    lines: list[str] = []
    handler = logger.add(lambda line: lines.append(str(line)), format="{message}")
    train(config, str(shards), folder=folder, board=tmp_path / "board", devices=devices)
    assert read_config(folder / "last.keras").train.precision == "mixed_bfloat16"
    assert '"precision": "mixed_bfloat16"' in (folder / "config.json").read_text(encoding="utf-8")
    elsewhere = dataclasses.replace(devices, bfloat16=False)
    assert pinned(config, elsewhere, folder, resume=True).train.precision == "mixed_bfloat16"
    logger.remove(handler)
    assert "the run goes on in mixed_bfloat16; this machine alone would choose float32\n" in lines


def test_parts_of_pictures_are_not_shown_beyond_what_is_stored(
    shards: Path, tmp_path: Path, error_of: Callable[..., str]
):
    data = tmp_path / "crops"
    shutil.copytree(shards, data)
    (data / "manifest.json").write_text('{"reach": 1.04}')
    where = ("--data", data, "--models", tmp_path / "m", "--logs", tmp_path / "l")
    rotated = ("--set", "augment.scale=0.5", "--set", "augment.rotation=60")
    line = error_of(main, "--preset", "tiny", "--batch-size", 4, *where, *rotated)
    assert line == (
        f"{data}: its shards keep 1.04 crop sides around each person (--store crop), but "
        "augmentation by scale 0.5, shift 0.03 and rotation 60 shows 1.106; lower one of them, or "
        "build the shards with --store whole"
    )
    assert not (tmp_path / "m").exists()
    for load in (training_dataset, training_batches):
        config = NANO.replace("augment.scale", 0.99).replace("augment.shift", 0.1)
        with pytest.raises(InputError, match=r"keep 1.04 crop sides .* shows 1.194; lower"):
            load(f"{data}/train*", config)


# Starting from a model file.


@pytest.mark.usefixtures("eager_steps")
def test_weights_of_another_run_are_where_a_run_starts_whatever_its_crops(
    longer_run: Run, shards: Path, tmp_path: Path
):
    still = change(LONGER, epochs=1, learning_rate=1e-12)
    config = still.replace("network.input_size", 32)
    best = longer_run.folder / "best.keras"
    train(config, str(shards), folder=tmp_path / "run", board=tmp_path / "log", weights=best)
    network, kept = load_model(tmp_path / "run" / "last.keras")
    assert kept == config
    before = {weight.path: weight.numpy() for weight in load_model(best)[0].trainable_weights}
    after = {weight.path: weight.numpy() for weight in network.trainable_weights}
    assert [value.shape for value in after.values()] == [value.shape for value in before.values()]
    for old, new in zip(before.values(), after.values(), strict=True):
        np.testing.assert_allclose(new, old, atol=1e-6)


def test_weights_of_another_network_are_refused(
    micro_run: Run, shards: Path, tmp_path: Path, error_of: Callable[..., str]
):
    best = micro_run.folder / "best.keras"
    where = ("--models", tmp_path / "m", "--logs", tmp_path / "l", "--data", shards)
    line = error_of(main, "--preset", "tiny", "--batch-size", 4, "--weights", best, *where)
    assert f"{best}: --weights are of another network" in line
    line = error_of(main, "--preset", "tiny", "--batch-size", 4, "--weights", "no.keras", *where)
    assert line == "no.keras: no such model file"


# Losses that are no numbers.


@pytest.mark.usefixtures("eager_steps")
def test_a_loss_that_is_no_number_stops_the_run_and_keeps_its_models(
    copied_run: Path, shards: Path, tmp_path: Path
):
    config = change(LONGER, epochs=5, learning_rate=1e30)
    before = contents(copied_run)
    last = copied_run / "last.keras"
    with pytest.raises(
        ValueError,
        match=rf"the loss became (nan|inf) in step [23] of epoch 4; the last good checkpoint is "
        rf"{last}; a lower --learning-rate may help",
    ):
        train(config, str(shards), folder=copied_run, board=tmp_path / "board", resume=True)
    after = contents(copied_run)
    for name in ("best.keras", "last.keras", "history.csv"):
        assert after[name] == before[name]


@pytest.mark.usefixtures("eager_steps")
def test_weights_that_the_last_step_of_an_epoch_spoils_are_not_saved(shards: Path, tmp_path: Path):
    # One step an epoch: its loss is still a number, the weights after it are of no use.
    config = change(NANO, batch_size=13, learning_rate=1e30, warmup_epochs=0.0)
    folder = tmp_path / "run"
    with pytest.raises(ValueError, match=r"(nan|inf).*no checkpoint was made"):
        train(config, str(shards), folder=folder, board=tmp_path / "board")
    assert not list(folder.glob("*.keras"))


# Devices.

TWO_DEVICES = """
import json, sys
from pathlib import Path
import tensorflow as tf

cpu, = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})

from hourglass.training.callbacks.progress import ShowProgress
from hourglass.core.config_text import from_json
from hourglass.training.devices import find_devices
from hourglass.training.run import train

config = from_json(open(sys.argv[1]).read(), where=sys.argv[1])
losses = []
real = ShowProgress.on_train_batch_end

def on_train_batch_end(self, batch, logs=None):
    losses.append(float(logs["loss"]))
    real(self, batch, logs)

ShowProgress.on_train_batch_end = on_train_batch_end
replicas = []
for count in (1, 2):
    devices = find_devices([f"CPU:{number}" for number in range(count)])
    replicas.append(devices.replicas)
    root = Path(sys.argv[3]) / str(count)
    train(config, sys.argv[2], folder=root, board=root / "board", devices=devices)
print(json.dumps({"replicas": replicas, "losses": losses}))
"""


def test_one_and_two_devices_learn_the_same(write_shards: Callable[..., Any], tmp_path: Path):
    # 42 people are ten steps of four; 5 to validate leave one for the last batch, and nobody for
    # the second device.
    write_shards(tmp_path / "shards", "train", [22, 20])
    write_shards(tmp_path / "shards", "validation", [5], first=100)
    config = change(NANO, epochs=1, learning_rate=1e-4, schedule="plateau")
    (tmp_path / "config.json").write_text(to_json(config))
    done = python(TWO_DEVICES, tmp_path / "config.json", tmp_path / "shards", tmp_path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["replicas"] == [1, 2]
    losses = np.reshape(told["losses"], (2, 10))
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)
    assert len(set(losses[0])) == 10
    one, two = (history_of(tmp_path / count)[0] for count in "12")
    for name in ("loss", "loss_stack_1", VALIDATION_LOSS):
        assert one[name] == pytest.approx(two[name], rel=1e-3)
    assert one[PCKH] == pytest.approx(two[PCKH], abs=3)
    for mine, theirs in zip(
        *(load_model(tmp_path / count / "last.keras")[0].get_weights() for count in "12"),
        strict=True,
    ):
        np.testing.assert_allclose(mine, theirs, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize(("batch_size", "replicas"), [(1, 2), (3, 2), (4, 3), (2, 8)])
def test_a_batch_that_replicas_cannot_share_is_refused(
    shards: Path, tmp_path: Path, batch_size: int, replicas: int
):
    devices = Devices(replicas=replicas, description="CPU", gpus=0, bfloat16=False)
    with pytest.raises(
        ValueError,
        match=f"a batch of {batch_size} cannot be shared equally by {replicas} replicas; "
        f"--batch-size must be a multiple of {replicas}",
    ):
        train(
            change(NANO, batch_size=batch_size),
            str(shards),
            folder=tmp_path / "run",
            board=tmp_path / "board",
            devices=devices,
        )
    assert not (tmp_path / "run").exists()


# Data and folders that cannot be used.


@pytest.fixture
def arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], list[str]]:
    """The command's arguments for a new, very small run on a folder of shards."""
    monkeypatch.setitem(PRESETS, "tiny", NANO)

    def make(data: Path) -> list[str]:
        where = ["--models", str(tmp_path / "models"), "--logs", str(tmp_path / "logs")]
        return ["--preset", "tiny", "--data", str(data), *where]

    return make


@pytest.mark.usefixtures("eager_steps")
def test_several_folders_train_together(
    shards: Path, write_shards: Callable[..., Any], tmp_path: Path
):
    """13, 4 and 4 people make 5 batches, of which each folder fills a third; 9 and 3 are validated,
    and of the last folder nobody."""
    write_shards(tmp_path / "more", "train", [4], first=40)
    write_shards(tmp_path / "more", "validation", [3], first=50)
    write_shards(tmp_path / "taught", "train", [4], first=60)
    (tmp_path / "taught" / MANIFEST).write_text('{"people": {"train": 4}}')
    config = NANO.replace("train.epochs", 1)
    data = f"{shards}:1,{tmp_path}/more:1,{tmp_path}/taught:1"
    done = train(config, data, folder=tmp_path / "run", board=tmp_path / "board")
    assert done.state.epoch == 1
    (row,) = csv.DictReader((tmp_path / "run" / "history.csv").open())
    assert np.isfinite(float(row[PCKH]))


def test_folders_of_which_only_some_have_a_share_are_refused(error_of: Callable[..., str]):
    error = error_of(main, "--data", "one:0.6,other", "--preset", "tiny", "--run", "refused")
    assert error == (
        "--data 'one:0.6,other': give every folder a share, such as A:0.6,B:0.4, or none"
    )


@pytest.mark.usefixtures("eager_steps")
def test_a_run_learns_from_a_teacher_and_needs_it_again(
    micro_run: Run, shards: Path, tmp_path: Path
):
    folder = tmp_path / "student"
    teacher = micro_run.folder / "last.keras"
    run = train(change(NANO, epochs=1), shards, folder=folder, teacher=teacher)
    assert run.state.epoch == 1
    stored = from_json((folder / "config.json").read_text(encoding="utf-8"), where="it")
    assert stored.train.teacher_share == 0.5
    with pytest.raises(ValueError, match=r"teacher_share is 0\.5: .* which --teacher must name"):
        train(change(stored, epochs=2), shards, folder=folder, resume=True)


def test_a_model_file_that_is_missing_is_named_before_the_shards(tmp_path: Path):
    for option in ("weights", "teacher"):
        with pytest.raises(InputError, match=r"gone\.keras: no such model file$"):
            train(
                NANO,
                tmp_path / "no_shards",
                folder=tmp_path / "run",
                **{option: tmp_path / "gone.keras"},
            )
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_is_stopped_says_what_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hourglass.training.run.train", stop)
    folder = tmp_path / "micro"
    words = ["--run", "micro", "--models", str(tmp_path)]
    again = CliRunner().invoke(main, words)
    assert (again.exit_code, again.output) == (
        130,
        f"Stopped: nothing of the run is in {folder} yet; the same command starts it again\n",
    )
    folder.mkdir()
    (folder / "config.json").touch()
    assert CliRunner().invoke(main, words).output == (
        f"Stopped: finished epochs are kept in {folder}; the same command with --resume goes on\n"
    )


def test_the_layers_are_told_without_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["--preset", "tiny", "--summary"])
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0].split() == ["layer", "kind", "output", "parameters", "MB"]
    assert lines[-1].startswith("all ")
    assert "heatmaps_1" in lines[-2]
    assert not list(tmp_path.iterdir())


def test_too_few_people_are_told(
    shards: Path, arguments: Callable[[Path], list[str]], error_of: Callable[..., str]
):
    line = error_of(main, *arguments(shards), "--batch-size", 14)
    assert line == (
        f"{shards}/train*: 13 people do not fill one batch of 14; choose a smaller batch size"
    )


@pytest.mark.parametrize("split", ["train", "validation"])
def test_missing_shards_are_told(
    shards: Path,
    tmp_path: Path,
    arguments: Callable[[Path], list[str]],
    error_of: Callable[..., str],
    split: str,
):
    data = tmp_path / "data"
    shutil.copytree(shards, data)
    (data / f"{split}_0002_of_0002.tfrecords").unlink()
    line = error_of(main, *arguments(data))
    assert line.startswith("1 of 2 shards are missing, the first is ")
    (data / f"{split}_0001_of_0002.tfrecords").unlink()
    line = error_of(main, *arguments(data))
    assert line.startswith(f"no shards match '{data}/{split}*'; build them with")
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("split", ["train", "validation"])
@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("truncated", r"truncated, record \d ends at byte \d+ of \d+; build it again"),
        ("another schema", "records of another schema, 'image/encoded' is missing"),
        ("damaged", r"record \d is damaged \(checksum\); build it again"),
    ],
)
def test_a_damaged_shard_is_named_in_a_line(
    damaged_shards: Callable[[str, str], Path],
    arguments: Callable[[Path], list[str]],
    error_of: Callable[..., str],
    split: str,
    how: str,
    told: str,
):
    data = damaged_shards(split, how)
    line = error_of(main, *arguments(data))
    assert re.fullmatch(rf"{data}/{split}_0002_of_0002\.tfrecords: {told}", line)


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_picture_that_cannot_be_decoded_is_told_in_a_line(
    shards: Path,
    tmp_path: Path,
    dotted_person: Callable[..., tuple[Person, np.ndarray]],
    arguments: Callable[[Path], list[str]],
    error_of: Callable[..., str],
    split: str,
):
    # Every checksum is right: the bytes were no picture when they were written.
    data = tmp_path / "data"
    shutil.copytree(shards, data)
    records = [
        frame(to_example(dotted_person(number)[0], encoded=b"no picture", height=88, width=96))
        for number in range(6)
    ]
    (data / f"{split}_0002_of_0002.tfrecords").write_bytes(b"".join(records))
    line = error_of(main, *arguments(data))
    assert f"{split}_0002_of_0002.tfrecords" in line or "cannot be decoded" in line


@pytest.mark.parametrize("option", ["--models", "--logs"])
def test_a_folder_that_cannot_be_written_is_told(
    shards: Path,
    tmp_path: Path,
    arguments: Callable[[Path], list[str]],
    error_of: Callable[..., str],
    option: str,
):
    (tmp_path / "file").touch()
    line = error_of(main, *arguments(shards), option, tmp_path / "file")
    assert line.startswith(f"{tmp_path / 'file' / 'tiny'}: cannot be written (")


# The command's options.


def test_every_option_reaches_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked: list[Any] = []

    def fake(config: Config, data: str, **where: Any) -> Run:
        assert where.pop("devices").replicas >= 1
        asked.append((config, data, where))
        return Run(where["folder"], where["board"], TrainingState(4, 61.25, 3), 12.3, "PCKh@0.5")

    monkeypatch.setattr("hourglass.training.run.train", fake)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, [])
    assert result.exit_code == 0, result.output
    expected: dict[str, Any] = {"folder": Path("models/hg4"), "board": Path("logs/hg4")}
    expected |= {"resume": False, "new_data": False, "weights": None, "teacher": None}
    assert asked[-1] == (preset("hg4"), "tfrecords", expected)
    assert result.stdout.splitlines() == [
        "4 epochs done, 12 s; best PCKh@0.5 61.2 after epoch 3",
        "best model   models/hg4/best.keras",
        "last model   models/hg4/last.keras",
        "history      models/hg4/history.csv",
        "watch it     tensorboard --logdir logs",
    ]
    options = {
        "epochs": 9,
        "batch_size": 8,
        "learning_rate": 0.02,
        "schedule": "plateau",
        "warmup_epochs": 2.5,
        "precision": "mixed_bfloat16",
        "xla": "on",
        "seed": 77,
    }
    words = ["--preset", "small", "--run", "r", "--models", "m", "--logs", "l", "--data", "d"]
    words += ["--weights", "w.keras", "--teacher", "t.keras", "--input-size", "192"]
    words += [
        word
        for name, value in options.items()
        for word in (f"--{name.replace('_', '-')}", str(value))
    ]
    CliRunner().invoke(main, words, catch_exceptions=False)
    expected = {"folder": Path("m/r"), "board": Path("l/r")}
    expected |= {
        "resume": False,
        "new_data": False,
        "weights": Path("w.keras"),
        "teacher": Path("t.keras"),
    }
    config = change(preset("small"), **options)
    network = dataclasses.replace(config.network, input_size=192)
    assert asked[-1] == (dataclasses.replace(config, network=network), "d", expected)
    settings = {"augment.rotation": 20.0, "network.depth": 3, "train.frozen_statistics": True}
    words = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    CliRunner().invoke(main, [word.lower() for word in words], catch_exceptions=False)
    assert asked[-1][0] == preset("hg4").with_choices(settings)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--epochs", "0"], "TrainConfig.epochs is 0, it must be 1 or more"),
        (["--batch-size", "0"], "TrainConfig.batch_size is 0, it must be 1 or more"),
        (["--learning-rate", "0"], "TrainConfig.learning_rate is 0.0, it must be above 0"),
        (["--learning-rate", "nan"], "TrainConfig.learning_rate is nan, it must be a finite float"),
        (["--seed", "-1"], "TrainConfig.seed is -1, it must be 0 to 2147483647"),
        (["--set", "epochs9"], "--set epochs9: it must be SECTION.FIELD=VALUE, such as train."),
        (["--set", "train.epochs=x"], "train.epochs=x: train.epochs is 'x', it must be a finite"),
        (["--set", "train.epoch=9"], "no choice is called 'train.epoch'; train has epochs, "),
        (["--set", "augment.shift=2"], "AugmentConfig.shift is 2.0, it must be at least 0 and"),
        (["--epochs", "9", "--set", "train.epochs=9"], "train.epochs is given twice"),
        (["--preset", "huge"], "Invalid value for '--preset': 'huge' is not one of"),
    ],
)
def test_choices_that_cannot_be_are_told(
    words: list[str], told: str, error_of: Callable[..., str], tmp_path: Path
):
    assert told in error_of(main, *words, "--models", tmp_path)
    assert not list(tmp_path.iterdir())
