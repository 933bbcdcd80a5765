"""From shards to batches without TensorFlow: the twin of `hourglass.data.datasets`.

Processes make the batches ahead (`hourglass.data.makers`). The order and all numbers depend on the
seed alone, not on how many processes there are, be it to make batches on one machine or to train on
many.
"""

from __future__ import annotations

import contextlib
import functools
import os
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from hourglass.core.config import Config
from hourglass.core.errors import InputError
from hourglass.data.batches import InputClock, Share, steps_per_epoch
from hourglass.data.crops import require_stored
from hourglass.data.makers import SLOTS, Batch, Maker, Task
from hourglass.data.mixture import Pattern, describe, turns, turns_of_parts
from hourglass.data.shards import Place, count_people, find_records, find_shards


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
    require_stored(paths, config)
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
        self._makers: list[Maker] = []
        self._free: deque[tuple[Maker, int]] = deque()
        self._pending: deque[tuple[Maker, int]] = deque()
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
            maker = Maker(self._places, self._config, self._batch_size)
            weakref.finalize(self, maker.end)
            self._makers.append(maker)
            if len(self._makers) == self._processes:
                self._free.extend((one, slot) for slot in range(SLOTS) for one in self._makers)
