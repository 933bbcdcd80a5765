"""`manifest.json`: what an output folder of the builder holds, and whether it is still there.

It is written after every shard, so that a run that is cut short loses nothing that was finished.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loguru import logger

from hourglass.core.files import publish, write_aside
from hourglass.core.person import IgnoredArea, Person
from hourglass.core.storage import Place, Url
from hourglass.data.records import SCHEMA_VERSION
from hourglass.data.shards import MANIFEST

READ_SIZE = 2**20


@dataclass(frozen=True)
class Shard:
    """What a finished shard is: an entry of the manifest.

    Attributes:
        name: File name.
        people: Number of records.
        size: Bytes.
        checksum: SHA-256 of the file, hexadecimal.
        source: SHA-256 of what the shard was made from.
    """

    name: str
    people: int
    size: int
    checksum: str
    source: str


@dataclass(frozen=True)
class Manifest:
    """What an output folder holds.

    Attributes:
        schema_version: `records.SCHEMA_VERSION` of all shards.
        source: SHA-256 over the annotations and the pictures' sizes and times.
        skeleton: `Skeleton.to_dict` of what the joints are.
        annotations: The labels' file or folder.
        people: Number of people that the annotations hold, per split.
        reach: How much of each person's picture is kept, in sides of their crop
            (`regions.REACH`); None: all of it.
        bad_pictures: Reason for each picture that cannot be used.
        shards: Finished shards by name.
        ignored: By picture, the areas of validation pictures in which nobody counts:
            `IgnoredArea`'s fields but for the name.
    """

    schema_version: int
    source: str
    skeleton: dict[str, Any]
    annotations: str
    people: dict[str, int]
    bad_pictures: dict[str, str]
    shards: dict[str, Shard]
    reach: float | None = None
    ignored: dict[str, list[dict[str, Any]]] = field(default_factory=dict)


def ignored_of(
    areas: Iterable[IgnoredArea], people: Iterable[Person]
) -> dict[str, list[dict[str, Any]]]:
    """A manifest's `ignored`: the areas of those pictures that these people are in."""
    pictures = {person.filename for person in people}
    ignored: dict[str, list[dict[str, Any]]] = {}
    for one in areas:
        if one.filename in pictures:
            entry = {"box": list(one.box), "area": one.area, "crowd": one.crowd}
            ignored.setdefault(one.filename, []).append(entry)
    return ignored


def read_manifest(output: Place) -> Manifest | None:
    """The manifest, or None where there is none that this version can use."""
    path = output / MANIFEST
    if not path.exists():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        values["shards"] = {
            name: Shard(name=name, **entry) for name, entry in values["shards"].items()
        }
        manifest = Manifest(**values)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        logger.warning(f"{path}: not a manifest of this version, every shard is built again")
        return None
    return manifest if manifest.schema_version == SCHEMA_VERSION else None


def write_manifest(output: Place, manifest: Manifest, *, for_now: bool = False) -> None:
    """Replaces the manifest in one step.

    Args:
        output: Its folder.
        manifest: What it says.
        for_now: It is soon replaced by another: in one line, which takes a tenth of the time.
    """
    shards = {
        name: {key: value for key, value in vars(shard).items() if key != "name"}
        for name, shard in manifest.shards.items()
    }
    values = {**vars(manifest), "shards": shards}
    path, text = output / MANIFEST, json.dumps(values, indent=None if for_now else 1)
    publish(write_aside(path, [text.encode(), b"\n"]), path)


def is_whole(shard: Shard, output: Place) -> bool:
    """Whether a shard is there as it was written, every byte of it read; at a URL, by its size."""
    path = output / shard.name
    if isinstance(path, Url):
        return path.is_file() and path.entry().size == shard.size
    if not path.is_file() or path.stat().st_size != shard.size:
        return False
    return _checksum(path) == shard.checksum


def _checksum(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(READ_SIZE):
            digest.update(chunk)
    return digest.hexdigest()
