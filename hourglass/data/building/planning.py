"""What each shard is to hold, and a hash of all it is made from, by which a later run knows it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from loguru import logger

from hourglass.core.errors import InputError
from hourglass.core.person import Person
from hourglass.core.skeleton import Skeleton
from hourglass.core.storage import Entry, Place, Url
from hourglass.data.building.regions import REACH
from hourglass.data.building.shard_writer import Plan, picture_path
from hourglass.data.records import SCHEMA_VERSION
from hourglass.data.shards import shard_name

MISSING = "missing"
"""What stands for size and time of a picture that is not there."""


@dataclass(frozen=True)
class Recipe:
    """What shards are made from besides their people.

    Attributes:
        skeleton: Of the labels.
        store: One of `shard_writer.STORES`.
        signatures: Of each picture, as `picture_signatures` gives them.
    """

    skeleton: Skeleton
    store: str
    signatures: dict[str, str]

    def source_of(self, people: Iterable[Person]) -> str:
        """SHA-256 of these people, their pictures, and how they are stored."""
        kept = "" if self.store == "whole" else f" {self.store} {REACH}"
        described = f"schema {SCHEMA_VERSION}{kept} {self.skeleton.to_dict()}"
        digest = hashlib.sha256(described.encode())
        for person in people:
            about = (person.filename, self.signatures[person.filename], person.box, person.area)
            digest.update(f"{about} {person.source}\n".encode())
            digest.update(person.points.tobytes() + person.visibility.tobytes())
            digest.update(person.center.tobytes() + np.float64(person.scale).tobytes())
            if person.weights is not None:
                digest.update(person.weights.tobytes())
        return digest.hexdigest()


def picture_signatures(images: Place, people: dict[str, list[Person]]) -> dict[str, str]:
    """Size and time of every picture: cheap to read, and different once a picture changes.

    At a URL, one listing tells them; checksums take the place of times there.

    Raises:
        ValueError: If there is no such folder.
    """
    if not images.is_dir():
        raise InputError(f"{images}: no such folder of pictures")
    names = {person.filename: None for group in people.values() for person in group}
    if isinstance(images, Url):
        there = images.entries()
        return {name: _entry_signature(there.get(name)) for name in names}
    return {name: _picture_signature(picture_path(images, name)) for name in names}


def _entry_signature(entry: Entry | None) -> str:
    return f"{entry.size} {entry.version}" if entry else MISSING


def _picture_signature(path: str) -> str:
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # no file can have such a name
        return MISSING
    return f"{status.st_size} {status.st_mtime_ns}"


def plan_shards(
    split: str, people: list[Person], shards: int, recipe: Recipe, *, seed: int
) -> list[Plan]:
    """Shuffles the people and deals them out to shards of equal size ±1, bad pictures counted.

    Of fewer people than shards, each gets a shard of its own.
    """
    if shards > len(people):
        logger.warning(f"{shards} {split} shards for {len(people)} people: making {len(people)}")
        shards = len(people)
    order = np.random.default_rng(seed).permutation(len(people))
    plans = []
    for number, members in enumerate(np.array_split(order, shards), start=1):
        chosen = _by_picture([people[index] for index in members])
        name = shard_name(split, number, shards)
        plans.append(Plan(name, chosen, recipe.store, recipe.source_of(chosen)))
    return plans


def _by_picture(people: list[Person]) -> list[Person]:
    """The same order, but that those of one picture follow its first, so that it is read once."""
    groups: dict[str, list[Person]] = {}
    for person in people:
        groups.setdefault(person.filename, []).append(person)
    return [person for group in groups.values() for person in group]
