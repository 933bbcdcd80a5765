"""The pictures of shards, decoded a batch ahead of whoever looks at them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np

from hourglass.data.shards import find_shards, read_records
from hourglass.inference.estimator import BATCH_SIZE
from hourglass.media.pictures import decode_picture


@dataclass(frozen=True)
class Stored:
    """A person's picture as a shard holds it.

    Attributes:
        place: The person's, in `load_people`'s order.
        filename: The picture's name.
        encoded: Its bytes.
        size: (height, width) px.
    """

    place: int
    filename: str
    encoded: bytes
    size: tuple[int, int]


def stored_pictures(data: str) -> Iterator[Stored]:
    """The pictures of all people of the shards that a glob matches, in order.

    Raises:
        ValueError: If no shard matches, or one is damaged.
    """
    for place, record in enumerate(read_records(find_shards(data))):
        yield Stored(place, record.person.filename, record.encoded, (record.height, record.width))


def picture_batches(stored: Iterable[Stored]) -> Iterator[tuple[list[int], list[np.ndarray]]]:
    """People's places and their pictures (H, W, 3) uint8 RGB, decoded while the last are looked at.

    Raises:
        ValueError: If one is no picture; names it.
    """
    remaining = iter(stored)

    def next_batch(pool: ThreadPoolExecutor) -> list[tuple[int, Future]]:
        return [
            (one.place, pool.submit(decode_picture, one.encoded, where=one.filename))
            for one in islice(remaining, BATCH_SIZE)
        ]

    with ThreadPoolExecutor() as pool:
        pending = next_batch(pool)
        while pending:
            following = next_batch(pool)
            yield [place for place, _ in pending], [future.result() for _, future in pending]
            pending = following


def load_pictures(data: str, people: Sequence[int]) -> list[np.ndarray]:
    """The pictures of some people, by their places in `load_people`'s order.

    Returns:
        One (H, W, 3) uint8 RGB per place, in the order asked for.
    """
    wanted = set(people)
    chosen = (one for one in stored_pictures(data) if one.place in wanted)
    found = {
        place: picture
        for places, pictures in picture_batches(chosen)
        for place, picture in zip(places, pictures, strict=True)
    }
    return [found[place] for place in people]
