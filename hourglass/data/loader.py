"""From shards to batches without TensorFlow: the twin of `hourglass.data.datasets`.

Each process makes whole batches, by the steps of `hourglass.data.crops`, in memory that it shares
with the training; the order and all numbers depend on the seed alone, not on how many processes
there are, be it to make batches on one machine or to train on many.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import functools
import multiprocessing
import os
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from hourglass.data.batches import InputClock, Share, steps_per_epoch
from hourglass.data.mixture import Pattern, describe, turns, turns_of_parts
from hourglass.data.shards import Place, count_people, find_records, find_shards, read_record

SLOTS = 2
"""Batches that each process makes ahead: one is filled while the other one waits to be taken."""

Batch = tuple[np.ndarray, np.ndarray, np.ndarray]


def training_batches(
    pattern: Pattern,
    config: Config | None = None,
    *,
    epochs: int = 1,
    first_epoch: int = 0,
    clock: InputClock | None = None,
    share: Share | None = None,
) -> Batches:
    """Shuffled, augmented batches; what does not fill a batch at an epoch's end is dropped.

    Every epoch has an order of its own, the same for the same seed whichever epoch the batches
    start at. Its people are cut, as they lie in the shards, into as many equal parts as a batch has
    rows, and each part is shuffled: so whoever makes some of the rows reads some of the shards.

    Args:
        pattern: Glob of the shards, such as `tfrecords/train*`; several; or several with the share
            of each in an epoch, by which people come several times or take turns.
        config: All choices; the batch size and the seed are the `train` section's.
        epochs: How many epochs the batches last.
        first_epoch: The first one's number, when training is resumed.
        clock: Measures the wait for batches.
        share: Make these rows of each batch alone; default: all.

    Returns:
        Batches of image (B, S, S, 3) uint8, heatmaps (B, S/4, S/4, J) and weights (B, J) float32.

    Raises:
        ValueError: If no shard matches, one is damaged, or there are fewer people than a batch.
    """
    config, share = config or Config(), share or Share()
    paths = find_shards(pattern)
    crops.require_stored(paths, config)
    places = find_records(paths)
    size, seed = config.train.batch_size, config.train.seed
    steps = steps_per_epoch(len(places), size, describe(pattern))
    parts = _parts(pattern, people=steps * size) if isinstance(pattern, Mapping) else []

    @functools.lru_cache(maxsize=1)
    def order(epoch: int) -> np.ndarray:
        rng = np.random.default_rng([seed, epoch])
        people = (
            _whose_turn(parts, epoch, seed=seed)
            if parts
            else rng.choice(len(places), steps * size, replace=False)
        )
        return rng.permuted(np.sort(people).reshape(size, steps), axis=1)

    rows = share.rows(size)

    def task(number: int) -> Task:
        number += first_epoch * steps
        epoch, step = divmod(number, steps)
        people = order(epoch)[rows.start : rows.stop, step]
        return Task(people.tolist(), (seed, number), first=rows.start, rows=size)

    return Batches(
        places,
        config,
        task,
        batch_size=len(rows),
        count=steps * epochs,
        clock=clock,
        processes=share.makers,
    )


def _parts(shares: Mapping[str, float], *, people: int) -> list[tuple[int, int]]:
    """Of each pattern, how many people it has, and how many of them an epoch takes."""
    sizes = [count_people(find_shards(pattern)) for pattern in shares]
    return list(zip(sizes, turns_of_parts(shares, people), strict=True))


def _whose_turn(parts: list[tuple[int, int]], epoch: int, *, seed: int) -> np.ndarray:
    """The people of an epoch, by their places in the list of all: so many of each part."""
    chosen, first = [], 0
    for part, (size, count) in enumerate(parts):
        chosen.append(first + turns(size, count, epoch, seed=[seed, part]))
        first += size
    return np.concatenate(chosen)


def validation_batches(
    pattern: Pattern,
    config: Config | None = None,
    *,
    batch_size: int | None = None,
    share: Share | None = None,
) -> Batches:
    """Batches in the shards' own order, the last one filled up with examples of zero weight.

    Args:
        pattern: Glob of the shards, such as `tfrecords/validation*`.
        config: All choices.
        batch_size: Default: the `train` section's.
        share: Make these rows of each batch alone; default: all.

    Returns:
        Batches as `training_batches`', all of the same size. Row i of their concatenation is
        person i of `load_people`; rows beyond the last person are empty.

    Raises:
        ValueError: If no shard matches or one is damaged.
    """
    config, share = config or Config(), share or Share()
    places = find_records(find_shards(pattern))
    size = batch_size or config.train.batch_size
    rows = share.rows(size)

    def task(number: int) -> Task:
        people = (number * size + row for row in rows)
        return Task([one for one in people if one < len(places)], seed=None)

    return Batches(
        places,
        config,
        task,
        batch_size=len(rows),
        count=-(-len(places) // size),
        processes=share.makers,
    )


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


class Batches:
    """Batches of numpy arrays, by their numbers; processes make those that follow ahead.

    The processes start with the first batch asked for and end with this object. Their programs
    import the main module: a script that trains keeps its own calls under
    `if __name__ == "__main__":`.

    Args:
        places: Where the records of all people lie.
        config: Sizes, sigma and augmentation.
        task: Which people make a batch, by its number.
        batch_size: Rows to be made of each batch.
        count: How many batches there are.
        clock: Measures the wait for batches.
        processes: Default: one per core.
    """

    def __init__(
        self,
        places: Sequence[Place],
        config: Config,
        task: Callable[[int], Task],
        *,
        batch_size: int,
        count: int,
        clock: InputClock | None = None,
        processes: int | None = None,
    ) -> None:
        self._places, self._config, self._task = list(places), config, task
        self._batch_size, self._count = batch_size, count
        self._clock = clock or InputClock()
        self._processes = min(processes or os.cpu_count() or 1, count)
        self._makers: list[_Maker] = []
        self._free: deque[tuple[_Maker, int]] = deque()
        self._pending: deque[tuple[_Maker, int]] = deque()
        self._first = self._next = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Batch]:
        return (self[number] for number in range(self._count))

    def __getitem__(self, number: int) -> Batch:
        """A batch; fast where it follows the one that was asked for last.

        Returns:
            image, heatmaps and weights, arrays of the caller's own.

        Raises:
            IndexError: If there is no batch of that number.
            ValueError: If a record or its picture is damaged; names the shard and the record.
        """
        if not 0 <= number < self._count:
            raise IndexError(f"batch {number} of {self._count}")
        self._start()
        if number != self._first:
            self._forget()
            self._first = self._next = number
        self._order()
        maker, slot = self._pending.popleft()
        self._free.append((maker, slot))
        self._first = (number + 1) % self._count
        self._clock.start()
        maker.wait()
        self._clock.stop()
        batch = maker.take(slot)
        self._order()
        return batch

    def _order(self) -> None:
        """Has the following batches made, as many as there are slots for."""
        while self._free and len(self._pending) < self._count:
            maker, slot = self._free.popleft()
            maker.begin(self._task(self._next), slot)
            self._pending.append((maker, slot))
            self._next = (self._next + 1) % self._count

    def _forget(self) -> None:
        """Waits for the batches that are being made, and has all slots free."""
        while self._pending:
            maker, slot = self._pending.popleft()
            with contextlib.suppress(InputError):
                maker.wait()
            self._free.append((maker, slot))

    def _start(self) -> None:
        """Starts the processes, unless they have been."""
        while len(self._makers) < self._processes:
            maker = _Maker(self._places, self._config, self._batch_size)
            weakref.finalize(self, maker.end)
            self._makers.append(maker)
            if len(self._makers) == self._processes:
                self._free.extend((one, slot) for slot in range(SLOTS) for one in self._makers)


class _Maker:
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
