"""Training on a cluster: the same losses whatever the number of workers, and no end when one dies.

A cluster of two nodes on this machine; each training in it takes minutes.
"""

from __future__ import annotations

import csv
import dataclasses
import importlib.util
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hourglass.core.config import Config
from hourglass.core.config_text import FILE
from hourglass.core.errors import InputError
from hourglass.core.files import write_file
from hourglass.core.storage import Place, Url
from hourglass.modelfiles.metadata import TrainingState
from hourglass.train import main
from hourglass.training import cluster
from hourglass.training.cluster import train_on_cluster

needs_ray_train = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("jax", "pyarrow"))), reason="no JAX, or no PyArrow"
)

STEPS = 10


@pytest.fixture(scope="module")
def ten_steps(micro_config: Config) -> Config:
    """An epoch is one step of 12 of the 13 people: its loss is the step's.

    Adam divides by a gradient's size, so that rounding grows with the learning rate: at 3e-3 the
    tenth loss differs by 1e-3.
    """
    choices = {"epochs": STEPS, "batch_size": 12, "learning_rate": 1e-4}
    return dataclasses.replace(
        micro_config, train=dataclasses.replace(micro_config.train, **choices)
    )


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def losses_of(folder: Path) -> list[float]:
    return [float(row["loss"]) for row in rows_of(folder)]


@pytest.fixture(scope="module")
def run_on(two_nodes: Any, shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """`run_on(config, workers, folder=None, **options)`: the `Run` of a training in the cluster."""

    def run(config: Config, workers: int, folder: Path | None = None, **options: Any) -> Any:
        folder = folder or tmp_path_factory.mktemp("cluster") / "run"
        return train_on_cluster(
            config,
            str(shards),
            address=two_nodes.address,
            workers=workers,
            folder=folder,
            board=folder.parent / "board",
            **options,
        )

    return run


@pytest.fixture(scope="module")
def one_worker(run_on: Any, ten_steps: Config) -> Any:
    return run_on(ten_steps, 1)


@pytest.mark.slow
@needs_ray_train
def test_two_workers_make_the_losses_of_one(run_on: Any, one_worker: Any, ten_steps: Config):
    two = run_on(ten_steps, 2)
    assert losses_of(two.folder) == pytest.approx(losses_of(one_worker.folder), abs=1e-4)
    for name in ("val_loss", "val_pckh@0.5", "learning_rate"):
        values = [[float(row[name]) for row in rows_of(run.folder)] for run in (one_worker, two)]
        assert values[0] == pytest.approx(values[1], abs=1e-3), name
    assert two.state.epoch == STEPS
    assert two.score == "PCKh@0.5"
    names = {FILE, "data.json", "history.csv", "best.keras", "last.keras"}
    assert {path.name for path in two.folder.iterdir()} == names
    assert len(list(two.board.glob("events*"))) == 1


@pytest.mark.slow
@needs_ray_train
def test_a_run_goes_on_with_another_number_of_workers(
    run_on: Any, one_worker: Any, ten_steps: Config, tmp_path: Path
):
    def until(epochs: int) -> Config:
        return dataclasses.replace(
            ten_steps,
            train=dataclasses.replace(ten_steps.train, epochs=epochs, schedule="plateau"),
        )

    whole = run_on(until(4), 1)
    run_on(until(2), 2, tmp_path / "run")
    resumed = run_on(until(4), 1, tmp_path / "run", resume=True)
    assert resumed.state.epoch == 4
    assert losses_of(resumed.folder) == pytest.approx(losses_of(whole.folder), abs=1e-4)


@pytest.mark.slow
@needs_ray_train
def test_a_run_goes_on_after_a_worker_was_killed(
    run_on: Any,
    one_worker: Any,
    ten_steps: Config,
    tmp_path: Path,
    processes_of_nodes: Callable[[str], list[int]],
):
    folder, killed = tmp_path / "run", []

    def kill() -> None:
        while not (folder / "history.csv").exists() or len(rows_of(folder)) < STEPS // 3:
            time.sleep(0.05)
        killed.append(processes_of_nodes("TrainWorker")[-1])
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    run = run_on(ten_steps, 2, folder)
    killer.join(timeout=1)
    assert len(killed) == 1
    assert run.state.epoch == STEPS
    assert losses_of(folder) == pytest.approx(losses_of(one_worker.folder), abs=1e-4)


@pytest.mark.slow
@needs_ray_train
def test_a_damaged_shard_is_one_line_and_not_tried_again(
    two_nodes: Any,
    damaged_shards: Callable[[str, str], Path],
    ten_steps: Config,
    tmp_path: Path,
):
    """The process that comes upon it is not the first one, which waits for its rows."""
    folder = damaged_shards("train", "damaged")
    with pytest.raises(InputError, match=rf"^{folder}/train_0002_of_0002.*record \d is damaged"):
        train_on_cluster(
            ten_steps,
            str(folder),
            address=two_nodes.address,
            workers=2,
            folder=tmp_path / "run",
            board=tmp_path / "board",
        )
    assert not (tmp_path / "run" / "last.keras").exists()


@pytest.mark.parametrize(
    ("gpus", "problem"),
    [
        (0, "the cluster at A has 2 CPUs in 1 node, --workers 3 needs 3"),
        (2, "the cluster at A has 4 GPUs in 1 node, --workers 3 --gpus-per-worker 2 needs 6"),
    ],
)
def test_more_than_the_cluster_has_is_refused(
    monkeypatch: pytest.MonkeyPatch, gpus: int, problem: str
):
    import ray

    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 2.0, "GPU": 4.0})
    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True}, {"Alive": False}])
    with pytest.raises(ValueError, match=f"^{problem}$"):
        cluster._require_room("A", 3, gpus)
    cluster._require_room("A", 2, gpus)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (
            ["--workers", "2"],
            "--workers and --gpus-per-worker are of a cluster: give --ray-address",
        ),
        (["--gpus-per-worker", "1"], "give --ray-address"),
        (["--gpus-per-worker", "0"], "give --ray-address"),
        (["--ray-address", "A"], "--ray-address A: say with --workers how many train together"),
    ],
)
def test_options_of_a_cluster_come_together(
    error_of: Callable[..., str], arguments: list[str], problem: str
):
    assert problem in error_of(main, *arguments)


def test_the_command_trains_on_the_cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    from click.testing import CliRunner

    given: dict[str, Any] = {}

    def pretend(config: Config, data: str, **options: Any) -> Any:
        given.update(options, config=config, data=data)
        return SimpleNamespace(state=TrainingState(4, 61.25, 3), seconds=12.3, score="PCKh@0.5")

    monkeypatch.setattr(cluster, "train_on_cluster", pretend)
    options = "--preset tiny --run r --ray-address A:1 --workers 4 --gpus-per-worker 2"
    places = ["--data", "D:1,E:2", "--models", str(tmp_path), "--logs", "L"]
    result = CliRunner().invoke(main, [*options.split(), *places])
    assert result.exit_code == 0, result.output
    assert "4 epochs done, 12 s; best PCKh@0.5 61.2 after epoch 3" in result.output
    del given["config"]
    assert given == {
        "data": "D:1,E:2",
        "address": "A:1",
        "workers": 4,
        "gpus_per_worker": 2,
        "folder": tmp_path / "r",
        "board": Path("L/r"),
        "resume": False,
        "new_data": False,
        "weights": None,
        "teacher": None,
    }


def test_shares_of_folders_stay_when_paths_become_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    assert cluster._absolute("a:0.6,/b/c:0.4") == f"{tmp_path}/a:0.6,/b/c:0.4"
    assert cluster._absolute("a") == f"{tmp_path}/a"


def test_nothing_of_ray_trains_own_stays_in_a_runs_folder(tmp_path: Path, memory: Url):
    here, bucket = tmp_path / ".ray", memory / ".ray"
    for folder in (here, bucket):
        for name in ("run/one.json", "two.json"):
            write_into(folder / name)
        cluster._remove(folder)
        cluster._remove(folder)  # which is not there
    assert not here.exists()
    assert bucket.entries() == {}


def write_into(path: Place) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, "{}")
