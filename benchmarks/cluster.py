"""What a second worker is worth: training and prediction on a cluster of two nodes, a core each.

Both nodes run on this machine, each kept to a core of its own, with all that it starts. Nothing
else may be busy on those two cores.
"""

from __future__ import annotations

import contextlib
import csv
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from benchmarks.comparison import Row, report
from benchmarks.made_up import LARGE, made_up_pictures, made_up_shards
from hourglass.console import PATH, command
from hourglass.core.config import Config, NetworkConfig, TrainConfig
from hourglass.core.errors import InputError
from hourglass.data.shards import find_shards, shard_name
from hourglass.inference.archive import PER_PART, How, predict_archive
from hourglass.inference.estimator import SHIPPED_LITERT
from hourglass.media.inputs import Inputs
from hourglass.training.cluster import train_on_cluster

PEOPLE, BATCH, EPOCHS = 512, 128, 4
"""Of the training; its first epoch, in which everything is compiled, does not count. The batch is
large: at every step the workers wait for each other at each BatchNorm."""

NETWORK = NetworkConfig(stacks=1, channels=64, depth=4, input_size=128)

PICTURES = 4 * PER_PART

WORKERS = (1, 2)


@contextlib.contextmanager
def two_cores() -> Iterator[str]:
    """A cluster of two nodes with a core each; its address."""
    os.environ.update(RAY_worker_niceness="0", RAY_USAGE_STATS_ENABLED="0")
    from ray.cluster_utils import Cluster

    folder = tempfile.mkdtemp(prefix="ray_cluster_", dir="/tmp")  # sockets' names must be short
    cores, own = sorted(os.sched_getaffinity(0)), os.sched_getaffinity(0)
    cluster = Cluster()
    try:
        for number, core in enumerate(cores[:2]):
            os.sched_setaffinity(0, {core})  # what a process starts keeps to its cores
            first: Any = {"temp_dir": folder, "include_dashboard": False} if not number else {}
            cluster.add_node(num_cpus=1, **first)
        os.sched_setaffinity(0, own)
        yield cluster.address
    finally:
        os.sched_setaffinity(0, own)
        cluster.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def training_rate(address: str, workers: int, data: Path, folder: Path) -> float:
    """People per second."""
    config = Config(
        NETWORK, train=TrainConfig(epochs=EPOCHS, batch_size=BATCH, precision="float32")
    )
    train_on_cluster(
        config,
        str(data),
        address=address,
        workers=workers,
        folder=folder / "run",
        board=folder / "board",
    )
    with (folder / "run" / "history.csv").open(newline="") as file:
        rates = [float(row["images_per_second"]) for row in csv.DictReader(file)]
    return statistics.median(rates[1:])


def prediction_rate(address: str, workers: int, pictures: list[Path], folder: Path) -> float:
    """Pictures per second, the start of Ray Data and of the models included."""
    began = time.perf_counter()
    predict_archive(
        Inputs(tuple(pictures), ()),
        How(SHIPPED_LITERT),
        folder=folder / "parts",
        address=address,
        workers=workers,
    )
    return len(pictures) / (time.perf_counter() - began)


def rows_of(what: str, unit: str, rates: dict[int, float]) -> list[Row]:
    """One worker's rate, and two workers' beside it."""
    one, two = (rates[workers] for workers in WORKERS)
    return [
        Row(f"{what}, 1 worker", one, unit),
        Row(f"{what}, 2 workers", two, unit, limit=2 * one, ratio=two / (2 * one)),
    ]


@click.command()
@click.option("--what", type=click.Choice(("training", "prediction")), multiple=True)
@click.option("--output", type=PATH, help="File of the numbers as JSON.")
@command
def main(what: tuple[str, ...], output: Path | None) -> None:
    """Measures training and prediction with one and with two workers, on a core each."""
    if len(os.sched_getaffinity(0)) < 2:
        raise InputError("two cores are needed, this program may use one")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name, two_cores() as address:
        folder = Path(name)
        if "training" in what or not what:
            shards = write_shards(folder / "shards")
            rows += rows_of(
                "training",
                "people/s",
                {n: training_rate(address, n, shards, folder / f"t{n}") for n in WORKERS},
            )
        if "prediction" in what or not what:
            pictures = write_pictures(folder / "pictures", PICTURES)
            rows += rows_of(
                "prediction",
                "pictures/s",
                {n: prediction_rate(address, n, pictures, folder / f"p{n}") for n in WORKERS},
            )
    report("cluster", rows, output=output)


def write_shards(folder: Path) -> Path:
    """People to train on, of whom some are for validation, too."""
    made_up_shards(folder, people=PEOPLE, size=LARGE)
    first = find_shards(f"{folder}/train*")[0]
    shutil.copy(first, folder / shard_name("validation", 1, 1))
    return folder


def write_pictures(folder: Path, count: int) -> list[Path]:
    """JPEG files of noise."""
    folder.mkdir()
    paths = []
    for picture in made_up_pictures(count, LARGE):
        path = folder / picture.person.filename
        path.write_bytes(picture.encoded)
        paths.append(path)
    return paths


if __name__ == "__main__":
    main()
