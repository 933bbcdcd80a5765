"""Processes that make whole batches, by the steps of `hourglass.data.crops`, in shared memory."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import RawArray
from traceback import format_exc
from typing import Any, BinaryIO

import numpy as np

from hourglass.core.config import Config
from hourglass.core.errors import InputError
from hourglass.core.geometry import sample_in_one_thread
from hourglass.data import crops
from hourglass.data.shards import Place, read_record

SLOTS = 2
"""Batches that each process makes ahead: one is filled while the other one waits to be taken."""

Batch = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Task:
    """One batch to be made, or some rows of one.

    Attributes:
        people: Places of its people in the list of all; rows beyond them stay empty.
        seed: Decides the augmentation; None: there is none.
        first: Row of the whole batch that the first person is in.
        rows: Rows of the whole batch; None for as many as people.
    """

    people: list[int]
    seed: tuple[int, int] | None
    first: int = 0
    rows: int | None = None


class Maker:
    """A process that makes batches, seen from the training."""

    def __init__(self, places: list[Place], config: Config, batch_size: int) -> None:
        context = multiprocessing.get_context("spawn")
        shapes = _shapes(config, batch_size)
        memory = [RawArray(ctypes.c_byte, shapes.size) for _ in range(SLOTS)]
        self._slots = [shapes.arrays(one) for one in memory]
        self._connection, other = context.Pipe()
        self._process = context.Process(
            target=_make_batches, args=(other, memory, shapes), daemon=True
        )
        self._process.start()
        other.close()
        self._orders: tuple[list[Place], Config] | None = (places, config)

    def begin(self, task: Task, slot: int) -> None:
        """Asks for a batch in a free slot."""
        with contextlib.suppress(ConnectionError):  # which `wait` will tell
            # What is long waits until the process reads: by now all of them have been started.
            if self._orders:
                self._connection.send(self._orders)
                self._orders = None
            self._connection.send((task, slot))

    def wait(self) -> None:
        """Waits until the batch that was asked for first is there.

        Raises:
            ValueError: If it cannot be made.
            RuntimeError: If the program has a fault; with its traceback.
        """
        try:
            problem = self._connection.recv()
        except (EOFError, ConnectionError):
            raise InputError(
                "a process that makes batches ended; a script that trains must keep its own calls "
                'under `if __name__ == "__main__":`'
            ) from None
        if problem is not None:
            raise problem

    def take(self, slot: int) -> Batch:
        """A copy of a batch that is there."""
        image, heatmaps, weights = self._slots[slot]
        return image.copy(), heatmaps.copy(), weights.copy()

    def end(self) -> None:
        """Ends the process: it reads the end of its orders."""
        self._connection.close()
        self._process.join()


@dataclass(frozen=True)
class _Shapes:
    """How a batch lies in memory: image, heatmaps and weights one after the other."""

    image: tuple[int, ...]
    heatmaps: tuple[int, ...]
    weights: tuple[int, ...]

    @property
    def size(self) -> int:
        """Bytes."""
        image, heatmaps, weights = map(int, map(np.prod, dataclasses.astuple(self)))
        return image + 4 * (heatmaps + weights)

    def arrays(self, memory: Any) -> Batch:
        """The batch in `memory`."""
        image, heatmaps = int(np.prod(self.image)), 4 * int(np.prod(self.heatmaps))
        data = np.frombuffer(memory, np.uint8)
        return (
            data[:image].reshape(self.image),
            data[image : image + heatmaps].view(np.float32).reshape(self.heatmaps),
            data[image + heatmaps :].view(np.float32).reshape(self.weights),
        )


def _shapes(config: Config, batch_size: int) -> _Shapes:
    size, grid = config.network.input_size, config.network.heatmap_size
    joints = len(config.skeleton.joints)
    return _Shapes(
        (batch_size, size, size, 3), (batch_size, grid, grid, joints), (batch_size, joints)
    )


def _make_batches(
    connection: Connection,
    memory: list[Any],
    shapes: _Shapes,
) -> None:
    """What a process does: makes the batches that it is told to, until nobody tells it any more."""
    sample_in_one_thread()
    slots = [shapes.arrays(one) for one in memory]
    files: dict[str, BinaryIO] = {}
    with contextlib.suppress(EOFError, OSError, KeyboardInterrupt):
        places, config = connection.recv()
        while True:
            task, slot = connection.recv()
            problem: Exception | None = None
            try:
                people = [places[one] for one in task.people]
                make_batch(people, config, task, out=slots[slot], files=files)
            except (InputError, OSError) as error:
                problem = InputError(str(error))
            except Exception:
                # Of a fault, the training must tell where in this process it happened.
                problem = RuntimeError(f"in a process that makes batches:\n{format_exc()}")
            connection.send(problem)


def make_batch(
    places: Sequence[Place],
    config: Config,
    task: Task,
    *,
    out: Batch,
    files: dict[str, BinaryIO],
) -> None:
    """Makes one batch, or some rows of one.

    Args:
        places: Where its people's records lie.
        config: Sizes, sigma and augmentation.
        task: The people's augmentation, and where they are in the whole batch.
        out: image (B, S, S, 3), heatmaps (B, S/4, S/4, J) and weights (B, J), B at least the number
            of people: they are overwritten, with zeros beyond the people.
        files: The open shards by their paths; new ones are added.

    Raises:
        ValueError: If a record or its picture is damaged; names the shard and the record.
    """
    image, heatmaps, weights = out
    people = len(places)
    for array in out:
        array[people:] = 0
    if not people:  # the last batch may end before a share's first row
        return
    for place in places:
        if place.path not in files:
            files[place.path] = open(place.path, "rb")  # noqa: SIM115  # stays open
    records = [read_record(files[place.path], place) for place in places]
    persons = [record.person for record in records]
    labels = crops.Labels(
        center=np.stack([person.center for person in persons]),
        scale=np.array([person.scale for person in persons], np.float32),
        points=np.stack([person.points for person in persons]),
        weights=np.stack([person.loss_weights for person in persons]),
        height=np.array([record.height for record in records]),
        width=np.array([record.width for record in records]),
        source=np.array([person.source for person in persons]),
    )
    plan = _planned(labels, config, task)
    for row, (place, record) in enumerate(zip(places, records, strict=True)):
        try:
            picture = crops.decode(record.encoded, plan.halvings[row], plan.window[row])
        except InputError as error:
            raise InputError(f"{place.path}: record {place.number}: {error}") from error
        crops.render(picture, plan.of(row), out=image[row])
    _, weights[:people] = crops.draw(plan.cells, plan.weights, config, out=heatmaps[:people])


def _planned(labels: crops.Labels, config: Config, task: Task) -> crops.Plan:
    """The people's rows of the plan of their whole batch.

    Random numbers are drawn for all rows, whoever is in them: the people's are the same when
    somebody else, here the first of them, stands in the other rows.
    """
    first, people, rows = task.first, len(labels.scale), task.rows
    if rows is None or rows == people:
        return crops.plan(labels, config, seed=task.seed)

    def among_others(column: np.ndarray) -> np.ndarray:
        whole = np.repeat(column[:1], rows, axis=0)
        whole[first : first + people] = column
        return whole

    whole = crops.plan(crops.Labels(*map(among_others, labels)), config, seed=task.seed)
    return crops.Plan(*(column[first : first + people] for column in whole))
