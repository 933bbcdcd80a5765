"""Writes one shard: reads, checks and stores the pictures of its people, each decoded once.

This is what the builder's workers run. Memory holds one picture and its people's records at a time,
however large the shard is; of pictures at a URL, `AHEAD` more.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hourglass.core.errors import InputError
from hourglass.core.files import publish, write_aside, write_error
from hourglass.core.person import Person
from hourglass.core.storage import Place, Url
from hourglass.data.building.manifest import Shard
from hourglass.data.building.regions import moved, reachable_region
from hourglass.data.records import frame, to_example
from hourglass.media.pictures import Jpeg, Region, cut_jpeg, read_bytes, to_jpeg

STORES = ("whole", "crop")
"""What is kept of each person's picture: all of it, or the part that training can show."""


AHEAD = 16
"""Pictures at a URL that are fetched before they are needed."""


@dataclass(frozen=True)
class Plan:
    """One shard to be.

    Attributes:
        name: File name.
        people: Those of one picture stand next to each other.
        store: One of `STORES`.
        source: SHA-256 of what the shard is made from.
    """

    name: str
    people: list[Person]
    store: str
    source: str

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as columns: arrays of each person take most of the time to hand a task out."""
        names = [field.name for field in dataclasses.fields(Person)]
        columns = [_column([getattr(person, name) for person in self.people]) for name in names]
        return _unpickled, (self.name, self.store, self.source, *columns)


def _column(values: list[Any]) -> Any:
    """One field of many people: one array, if each has an array."""
    arrays = all(isinstance(value, np.ndarray) for value in values)
    return np.array(values) if arrays else values


def _unpickled(name: str, store: str, source: str, *columns: Any) -> Plan:
    return Plan(name, [Person(*fields) for fields in zip(*columns, strict=True)], store, source)


@dataclass(frozen=True)
class Outcome:
    """What came of a plan.

    Attributes:
        shard: What was written; None if nothing was.
        path: Where it is until it is published under its own name; None if it is already.
        bad_pictures: The reason for each picture that cannot be used.
        failure: Why the file could not be written; empty if it could.
    """

    shard: Shard | None = None
    path: Path | None = None
    bad_pictures: dict[str, str] = field(default_factory=dict)
    failure: str = ""


class _IncompleteError(Exception):
    """Ends the writing of a shard that may not appear with people missing."""


def picture_path(images: Place, filename: str) -> str:
    """Where a person's picture lies: as text, which is joined in a tenth of the time."""
    if isinstance(images, Url):
        return f"{images}/{filename}"
    return os.path.join(images, filename)


def write_shard(output: Place, images: Place, plan: Plan, skip_bad: bool) -> Outcome:
    """Writes one shard, and finds all of its bad pictures.

    The file is not yet published: to wait until it is on the disk would leave the processor idle.
    But for a URL it is uploaded from here, as this may be another machine than that which steers.

    Args:
        output: Folder of the shard.
        images: Folder of the pictures.
        plan: What to write.
        skip_bad: Write the shard without people whose pictures are bad; otherwise bad pictures
            leave no shard.
    """
    digest = hashlib.sha256()
    size = people = 0
    bad: dict[str, str] = {}

    def records() -> Iterator[bytes]:
        nonlocal size, people
        for record in _records(images, plan, bad):
            digest.update(record)
            size += len(record)
            people += 1
            yield record
        if bad and not skip_bad:
            raise _IncompleteError

    target = output / plan.name
    path: Path | None = None
    try:
        path = write_aside(target, records())
        if isinstance(target, Url) and target.is_shared:
            publish(path, target)
            path = None
    except OSError as error:
        return Outcome(failure=str(write_error(target, error)))
    except _IncompleteError:
        return Outcome(bad_pictures=bad)
    shard = Shard(plan.name, people, size, digest.hexdigest(), plan.source)
    return Outcome(shard, path, bad)


def _records(images: Place, plan: Plan, bad: dict[str, str]) -> Iterator[bytes]:
    """The records of all people with good pictures; the reasons for others go into `bad`."""
    grouped = itertools.groupby(plan.people, lambda person: person.filename)
    groups = [(filename, list(group)) for filename, group in grouped]
    paths = [picture_path(images, filename) for filename, _ in groups]
    read = _read_ahead(paths) if isinstance(images, Url) else map(_content, paths)
    for (filename, group), path, data in zip(groups, paths, read, strict=True):
        try:
            if isinstance(data, InputError):
                raise data
            stored = _stored(data, path, group, plan.store)
        except InputError as error:
            bad[filename] = str(error)
            continue
        for person, picture in stored:
            example = to_example(
                person, encoded=picture.encoded, height=picture.height, width=picture.width
            )
            yield frame(example)


def _content(path: str) -> bytes | InputError:
    """A picture's bytes, or why there are none."""
    try:
        return read_bytes(path)
    except InputError as error:
        return error


def _read_ahead(paths: list[str]) -> Iterator[bytes | InputError]:
    """`_content` of pictures elsewhere, side by side: each takes some hundredths of a second."""
    waiting: deque[Future[bytes | InputError]] = deque()
    with ThreadPoolExecutor(AHEAD) as pool:
        for path in paths:
            waiting.append(pool.submit(_content, path))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _stored(data: bytes, path: str, people: list[Person], store: str) -> list[tuple[Person, Jpeg]]:
    """The people of one picture, each with what is kept of it."""
    whole = to_jpeg(data, where=path)
    if store == "whole":
        return [(person, whole) for person in people]
    regions = [
        reachable_region(person, height=whole.height, width=whole.width) for person in people
    ]
    parts = sorted({*regions} - {Region(0, 0, whole.width, whole.height)})
    cuts = dict(zip(parts, cut_jpeg(data, parts, where=path), strict=True)) if parts else {}
    stored = []
    for person, region in zip(people, regions, strict=True):
        cut = cuts.get(region, whole)
        smaller = len(cut.encoded) < len(whole.encoded)
        stored.append((moved(person, region), cut) if smaller else (person, whole))
    return stored
