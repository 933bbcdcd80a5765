"""`python -m benchmarks.builder`: how fast shards are built, next to a plain loop.

The plain loop reads, decodes and writes the same pictures on as many processes, without checks,
labels or checksums. Ray's start is in no rate: it has a row of its own.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from PIL import Image

from benchmarks.comparison import Row, peak_memory, report, take_turns
from benchmarks.input_pipeline import make_batches
from benchmarks.made_up import LARGE, SMALL, made_up_pictures
from hourglass.console import command
from hourglass.core import cluster
from hourglass.core.config import Config
from hourglass.data.building.build import build
from hourglass.data.readers.labels import find_files

VALIDATION_SHARE = 8
WORKERS = (1, 2)
SESSIONS, ROUNDS = 2, 3
PLAIN_TARGETS = {"plain loop": ">= 0.8", "plain loop that waits for the disk": ""}
"""What the builder's rate is compared with, and what the ratio should be."""

MEMORY_LIMIT = 400
"""Megabytes that a worker may hold."""


@dataclass(frozen=True)
class Source:
    """Folders of annotations and pictures, and how many people they hold."""

    name: str
    annotations: Path
    images: Path
    people: int


def write_annotations(
    folder: Path, entries: list[dict[str, Any]], *, name: str, images: Path
) -> Source:
    """Writes `entries` in MPII's layout; every eighth is a validation person."""
    folder.mkdir(parents=True, exist_ok=True)
    validation = entries[::VALIDATION_SHARE]
    train = [entry for index, entry in enumerate(entries) if index % VALIDATION_SHARE]
    for split, people in (("train", train), ("validation", validation)):
        (folder / f"{split}.json").write_text(json.dumps(people), encoding="utf-8")
    return Source(name, folder, images, len(entries))


def read_entries(annotations: Path) -> list[dict[str, Any]]:
    """The people of both splits."""
    paths = [path for _, path in find_files(annotations, kind="mpii").values()]
    return [entry for path in paths for entry in json.loads(path.read_text(encoding="utf-8"))]


def take(data: Path, folder: Path, *, people: int) -> Source:
    """The first people of a data set that stands in MPII's layout."""
    entries = read_entries(data)
    return write_annotations(
        folder, entries[:people], name=f"pictures of {data.name}", images=data / "images"
    )


def draw(folder: Path, *, people: int, size: tuple[int, int]) -> Source:
    """Pictures that are made up, in MPII's layout.

    Args:
        folder: Where they go.
        people: One per picture, somewhere in it.
        size: Height and width, px.
    """
    height, width = size
    images = folder / "images"
    images.mkdir(parents=True)
    entries = []
    for picture in made_up_pictures(people, size):
        person = picture.person
        (images / person.filename).write_bytes(picture.encoded)
        entries.append(
            {
                "image": person.filename,
                "joints": person.points.tolist(),
                "joints_vis": [1] * len(person.points),
                "center": person.center.tolist(),
                "scale": person.scale,
            }
        )
    return write_annotations(
        folder / "annotations", entries, name=f"pictures of {width}×{height}", images=images
    )


def copy_plainly(paths: list[Path], folder: Path, sync: bool = False) -> None:
    """The plain loop of one process; `sync` waits, as the builder does, for the disk."""
    with (folder / "pictures").open("wb") as file:
        for path in paths:
            data = path.read_bytes()
            Image.open(io.BytesIO(data)).load()
            file.write(data)
        if sync:
            file.flush()
            os.fsync(file.fileno())


def _peak_memory() -> int:
    """Of this worker; it waits so that every worker gets a call."""
    time.sleep(0.2)
    return peak_memory()


@dataclass(frozen=True)
class Session:
    """What was measured while Ray ran with some number of workers.

    Attributes:
        start: Seconds that Ray took to start.
        seconds: Of the builder and of the plain loop, by the source's name and the side's.
        memory: Bytes that a worker held at most.
    """

    start: float
    seconds: dict[tuple[str, str], float]
    memory: int


def measure(sources: list[Source], *, workers: int) -> Session:
    """Starts Ray and as many plain processes, and lets them take turns."""
    began = time.perf_counter()
    spawn = multiprocessing.get_context("spawn")
    seconds: dict[tuple[str, str], float] = {}
    with cluster.started(None, workers), spawn.Pool(workers) as pool:
        start = time.perf_counter() - began
        for source in sources:
            for side, median in _rounds(source, pool, workers).items():
                seconds[source.name, side] = median
        peaks = cluster.in_parallel(_peak_memory, [()] * (4 * workers))
        memory = max(itertools.chain.from_iterable(peaks))
    return Session(start, seconds, memory)


def _rounds(source: Source, pool: Any, workers: int) -> dict[str, float]:
    """Median seconds of the builder and of the plain loop."""
    paths = sorted(source.images / entry["image"] for entry in read_entries(source.annotations))
    parts = [paths[first::workers] for first in range(workers)]
    with new_folders() as new_folder:
        # One shard of everybody: a worker's memory must not grow with it.
        build(source.annotations, source.images, output=new_folder(), train_shards=1, val_shards=1)

        def plain(sync: bool) -> None:
            pool.starmap(copy_plainly, [(part, new_folder(), sync) for part in parts])

        sides: dict[str, Callable[[], object]] = {
            "plain loop": lambda: plain(False),
            "plain loop that waits for the disk": lambda: plain(True),
            "builder": lambda: build(source.annotations, source.images, output=new_folder()),
        }
        return take_turns(sides, rounds=ROUNDS)


@contextlib.contextmanager
def new_folders() -> Iterator[Callable[[], Path]]:
    """Gives a function that makes an empty folder at each call; all are removed at the end."""
    with tempfile.TemporaryDirectory() as name:
        yield lambda: Path(tempfile.mkdtemp(dir=name))


def rate_rows(sources: list[Source], sessions: dict[int, list[Session]]) -> list[Row]:
    """Pictures a second next to the plain loop's, and of two workers next to one's."""
    rows = []
    for source in sources:
        rates = {
            (side, workers): source.people
            / statistics.median(session.seconds[source.name, side] for session in group)
            for workers, group in sessions.items()
            for side in (*PLAIN_TARGETS, "builder")
        }
        for workers in sessions:
            for side, target in PLAIN_TARGETS.items():
                built, plain = rates["builder", workers], rates[side, workers]
                what = f"{source.name}, workers: {workers}; limit: {side}"
                rows.append(Row(what, built, "pictures/s", plain, built / plain, target))
        for side, target in (("plain loop", ""), ("builder", ">= 1.7")):
            one, two = (rates[side, workers] for workers in WORKERS)
            what = f"{source.name}, {side} on two; limit: on one"
            rows.append(Row(what, two, "pictures/s", one, two / one, target))
    return rows


def growth_rows(people: list[int], seconds: list[float]) -> list[Row]:
    """Seconds of more and more people; the limit is the least people's, grown in proportion."""
    rows = []
    for count, value in zip(people, seconds, strict=True):
        linear = seconds[0] * count / people[0]
        rows.append(Row(f"shards of {count} people", value, "s", linear, linear / value, ">= 1"))
    return rows


def measure_growth(source: Source) -> list[Row]:
    """1×, 4× and 16× people."""
    entries = read_entries(source.annotations)
    counts = [len(entries) // 16, len(entries) // 4, len(entries)]
    sides: dict[str, Callable[[], object]] = {}
    with new_folders() as new_folder:
        for count in counts:
            part = write_annotations(
                new_folder(), entries[:count], name=source.name, images=source.images
            )
            sides[str(count)] = lambda part=part: build(  # type: ignore[misc]
                part.annotations, part.images, output=new_folder()
            )
        return growth_rows(counts, list(take_turns(sides, rounds=ROUNDS).values()))


def measure_stores(source: Source) -> list[Row]:
    """What each store keeps of a person, and how fast training reads it."""
    kilobytes, sides = {}, {}
    with new_folders() as new_folder:
        for store in ("whole", "crop"):
            folder = new_folder()
            summary = build(source.annotations, source.images, output=folder, store=store)
            size = sum(shard.size for shard in summary.manifest.shards.values())
            kilobytes[store] = size / source.people / 1000
            sides[store] = make_batches(f"{folder}/train*", Config())
        seconds = take_turns(sides, rounds=ROUNDS)
    rows = []
    for what, unit, used in (("a record", "kB", kilobytes), ("an epoch", "s", seconds)):
        whole, crop = used["whole"], used["crop"]
        what = f"{source.name}, {what} with --store crop; limit: whole"
        rows.append(Row(what, crop, unit, whole, whole / crop))
    return rows


@click.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Small pictures, in MPII's layout. [default: made-up ones]",
)
@click.option(
    "--pictures",
    type=click.IntRange(64),
    default=2000,
    show_default=True,
    help="Small pictures; a quarter as many large ones.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="JSON file. [default: logs/benchmarks/builder.json]",
)
@command
def main(data: Path | None, pictures: int, output: Path | None) -> None:
    """Measures the shard builder; it takes a few minutes."""
    with new_folders() as new_folder:
        small = (
            take(data, new_folder(), people=pictures)
            if data
            else draw(new_folder(), people=pictures, size=SMALL)
        )
        large = draw(new_folder(), people=pictures // 4, size=LARGE)
        sources = [small, large]
        sessions: dict[int, list[Session]] = {workers: [] for workers in WORKERS}
        for _ in range(SESSIONS):
            for workers, group in sessions.items():
                group.append(measure(sources, workers=workers))
        everything = [session for group in sessions.values() for session in group]
        memory = max(session.memory for session in everything) / 1e6
        start = statistics.median(session.start for session in everything)
        rows = [
            *rate_rows(sources, sessions),
            Row("Ray's start, in no rate", start, "s"),
            Row("a worker's memory", memory, "MB", MEMORY_LIMIT, MEMORY_LIMIT / memory, ">= 1"),
        ]
        with cluster.started(None, None):
            rows += [row for source in sources for row in measure_stores(source)]
            rows += measure_growth(small)
    report("builder", rows, output=output)


if __name__ == "__main__":
    main()
