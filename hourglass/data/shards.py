"""Which TFRecord shards there are, whether they are whole, and how many people they hold.

Shards are found, checked and counted here, by walking over the records' lengths without reading
pictures; their content is `hourglass.data.records`', their use `hourglass.data.datasets`'.
"""

from __future__ import annotations

import contextlib
import fnmatch
import glob
import hashlib
import json
import os
import re
import struct
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from hourglass.core.copies import local_copies, local_copy
from hourglass.core.errors import InputError
from hourglass.core.person import IgnoredArea
from hourglass.core.skeleton import MPII, Skeleton
from hourglass.core.storage import Url, is_url, place
from hourglass.data.records import Record, masked_checksum, read_example
from hourglass.media.pictures import decode_picture

SUFFIX = ".tfrecords"

MANIFEST = "manifest.json"
"""The file beside shards that says what they are."""

HEADER, CHECKSUM = 12, 4
"""Bytes before a record (its length and that one's checksum) and after it."""

_NAME = re.compile(r"(?P<split>.+)_(?P<number>\d+)_of_(?P<total>\d+)\.tfrecords")


def shard_name(split: str, number: int, total: int) -> str:
    """The file name of shard `number` (from 1) of `total`, such as train_0001_of_0064.tfrecords."""
    return f"{split}_{number:04d}_of_{total:04d}{SUFFIX}"


def find_shards(pattern: str | Iterable[str]) -> list[str]:
    """The shards that a glob pattern matches, in order; of several patterns, one after the other.

    Args:
        pattern: Such as `tfrecords/validation*`; files that are not shards are passed over. Shards
            at a URL, whose `*` stand in its last part, are copied to this machine.

    Raises:
        ValueError: If none matches, some of a set are missing, one is not as long as when it was
            built, or copies have no room.
        OSError: If shards at a URL cannot be fetched.
    """
    if not isinstance(pattern, str):
        return [path for one in pattern for path in find_shards(one)]
    where = place(pattern) if is_url(pattern) else None
    if isinstance(where, Url):
        return _copied(where)
    paths = sorted(path for path in glob.glob(str(where or pattern)) if path.endswith(SUFFIX))
    _require_some(paths, pattern)
    _require_complete(paths)
    _require_sizes(paths)
    return paths


def _copied(pattern: Url) -> list[str]:
    """Copies of the shards at a URL, and of the file beside them that says what they are."""
    folder = pattern.parent
    there = folder.children()
    names = fnmatch.filter((name for name in there if name.endswith(SUFFIX)), pattern.name)
    _require_some(names, str(pattern))
    _require_complete([str(folder / name) for name in names])
    wanted = [*names, *([MANIFEST] if MANIFEST in there else [])]
    copies = local_copies({folder / name: there[name] for name in wanted})
    paths = [str(copy) for copy in copies[: len(names)]]
    _require_sizes(paths)
    return paths


def _require_some(paths: list[str], pattern: str) -> None:
    if not paths:
        raise InputError(
            f"no shards match {pattern!r}; build them with `python -m hourglass.build`"
        )


def _require_complete(paths: list[str]) -> None:
    """A set with a shard missing would train or score on fewer people than its user believes."""
    numbers: dict[tuple[str, str, int], set[int]] = {}
    for path in paths:
        if match := _NAME.fullmatch(os.path.basename(path)):
            key = (os.path.dirname(path), match["split"], int(match["total"]))
            numbers.setdefault(key, set()).add(int(match["number"]))
    totals: dict[tuple[str, str], int] = {}
    for (folder, split, total), present in numbers.items():
        missing = sorted(set(range(1, total + 1)) - present)
        if missing:
            first = os.path.join(folder, shard_name(split, missing[0], total))
            raise InputError(f"{len(missing)} of {total} shards are missing, the first is {first}")
        other = totals.setdefault((folder, split), total)
        if other != total:
            raise InputError(
                f"{folder or '.'} holds two sets of {split} shards, of {other} and of {total}; "
                "remove one"
            )


def _require_sizes(paths: list[str]) -> None:
    """A shard cut between two records, or another one under its name, looks whole by itself."""
    manifests = {folder: _read_manifest(Path(folder) / MANIFEST) for folder in _folders(paths)}
    for path in paths:
        shards = manifests[os.path.dirname(path)].get("shards")
        entry = shards.get(os.path.basename(path)) if isinstance(shards, dict) else None
        built = entry.get("size") if isinstance(entry, dict) else None
        if built is not None and built != (size := os.path.getsize(path)):
            raise InputError(
                f"{path}: has {size} bytes, but {MANIFEST} beside it says {built}: it was cut, or "
                "is another shard; build it again"
            )


def _folders(paths: list[str]) -> list[str]:
    return sorted({os.path.dirname(path) for path in paths})


def find_skeleton(paths: list[str]) -> Skeleton:
    """What the joints of shards are, as their manifests say.

    Shards without a manifest, or of one from before there were several skeletons, are MPII's.

    Args:
        paths: Shards, as `find_shards` gives them.

    Raises:
        ValueError: If shards of several skeletons are mixed, a manifest cannot be read, or the
            records have another number of joints.
    """
    found: dict[Skeleton, str] = {}
    for folder in _folders(paths):
        found.setdefault(_manifests_skeleton(Path(folder) / MANIFEST), folder)
    if len(found) > 1:
        (one, here), (other, there) = list(found.items())[:2]
        raise InputError(
            f"{here} has skeleton {one.name!r}, {there} has {other.name!r}: shards of one skeleton "
            "are needed"
        )
    (skeleton,) = found
    for path in paths:
        with open(path, "rb") as file:
            for place in _places(path)[:1]:
                joints = len(read_record(file, place).person.visibility)
                if joints != len(skeleton.joints):
                    raise InputError(
                        f"{path}: records of {joints} joints, but skeleton {skeleton.name!r} has "
                        f"{len(skeleton.joints)}; {MANIFEST} beside the shards says which skeleton "
                        "they are of, copy it along with them"
                    )
    return skeleton


def is_without(folder: str, split: str) -> bool:
    """Whether a folder's shards were built without people of a split, as its manifest says.

    Args:
        folder: Here or at a URL.
        split: `train` or `validation`.

    Raises:
        ValueError: If the manifest cannot be read.
        OSError: If one at a URL cannot be fetched.
    """
    manifest = place(folder) / MANIFEST
    if isinstance(manifest, Url):
        if not manifest.exists():
            return False
        manifest = local_copy(manifest)
    people = _read_manifest(manifest).get("people")
    return isinstance(people, dict) and split not in people


def with_validation(folders: Mapping[str, float | None]) -> dict[str, float | None]:
    """The folders of shards, with their shares, that were built with people to validate on.

    Raises:
        ValueError: If there are none, or as `is_without`.
        OSError: Likewise.
    """
    found = {name: share for name, share in folders.items() if not is_without(name, "validation")}
    if not found:
        raise InputError(
            f"{', '.join(folders)}: built with --val-share 0, so that nobody is left to validate "
            "on; name a folder with validation shards, too, or build again with --val-share 0.1"
        )
    return found


def find_reaches(paths: list[str]) -> dict[str, float]:
    """How much of pictures is there where only a part was stored, by the shards' folder.

    Args:
        paths: Shards, as `find_shards` gives them.

    Returns:
        Of folders built with `--store crop`, how far from a person's crop's centre pixels are kept
        along each axis, in sides of the crop. Folders of whole pictures are left out.

    Raises:
        ValueError: If a manifest cannot be read.
    """
    reaches = {}
    for folder in _folders(paths):
        manifest = Path(folder) / MANIFEST
        reach = _read_manifest(manifest).get("reach")
        if reach is None:
            continue
        if isinstance(reach, bool) or not isinstance(reach, (int, float)) or not reach > 0:
            raise InputError(f"{manifest}: 'reach' is {reach!r}, it must be a number above 0")
        reaches[folder] = float(reach)
    return reaches


def find_ignored(paths: list[str]) -> list[IgnoredArea]:
    """The areas of shards' pictures in which nobody counts, as their manifests say.

    Args:
        paths: Shards, as `find_shards` gives them.

    Raises:
        ValueError: If a manifest cannot be read.
    """
    return [
        area for folder in _folders(paths) for area in _manifests_ignored(Path(folder) / MANIFEST)
    ]


def _manifests_ignored(manifest: Path) -> Iterator[IgnoredArea]:
    try:
        for name, entries in _read_manifest(manifest).get("ignored", {}).items():
            for entry in entries:
                x, y, width, height = map(float, entry["box"])
                area = None if entry["area"] is None else float(entry["area"])
                yield IgnoredArea(name, (x, y, width, height), area, bool(entry["crowd"]))
    except InputError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{manifest}: 'ignored' is not a list of areas ({error!r})") from error


def _manifests_skeleton(manifest: Path) -> Skeleton:
    stored = _read_manifest(manifest).get("skeleton")
    return MPII if stored is None else Skeleton.from_dict(stored, where=str(manifest))


def _read_manifest(manifest: Path) -> dict[str, Any]:
    """What a manifest says; nothing if there is none."""
    if not manifest.is_file():
        return {}
    try:
        values = json.loads(manifest.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{manifest}: not a manifest of shards ({error})") from error
    if not isinstance(values, dict):
        raise InputError(f"{manifest}: not a manifest of shards (a {type(values).__name__})")
    return values


@dataclass(frozen=True)
class Place:
    """Where a record lies.

    Attributes:
        path: The shard.
        number: Which of its records, from 0.
        start: Its first byte there, after its length and that one's checksum.
        length: Bytes.
    """

    path: str
    number: int
    start: int
    length: int


def count_people(paths: list[str]) -> int:
    """The number of records in `paths` together, after checking each shard.

    Raises:
        ValueError: As `find_records`.
    """
    return len(find_records(paths))


def find_records(paths: list[str]) -> list[Place]:
    """Where all records of `paths` lie, after checking each shard; no picture is read.

    Raises:
        ValueError: If a shard cannot be read, is truncated, is no TFRecord file, or its records
            have another schema; names the file.
    """
    return [place for path in paths for place in _places(path)]


def _places(path: str) -> list[Place]:
    places: list[Place] = []
    position = 0
    try:
        size = os.path.getsize(path)
        with open(path, "rb") as file:
            while position < size:
                length = _record_length(file.read(HEADER), path, position)
                end = position + HEADER + length + CHECKSUM
                if end > size:
                    raise InputError(
                        f"{path}: truncated, record {len(places)} ends at byte {end} of {size}; "
                        "build it again"
                    )
                if not places:
                    _require_schema(file.read(length), path)
                places.append(Place(path, len(places), position + HEADER, length))
                position = end
                file.seek(position)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    return places


def fingerprint(path: str) -> str:
    """What a shard holds, in one word: the same for the same records wherever they lie.

    Made of the records' lengths and checksums alone, so that no picture is read.

    Raises:
        ValueError: As `find_records`.
    """
    digest = hashlib.sha256()
    places = _places(path)
    with open(path, "rb") as file:
        for place in places:
            file.seek(place.start + place.length)
            digest.update(struct.pack("<Q", place.length) + file.read(CHECKSUM))
    return digest.hexdigest()


def _record_length(header: bytes, path: str, position: int) -> int:
    if len(header) < HEADER or masked_checksum(header[:8]) != header[8:]:
        raise InputError(f"{path}: truncated or not a TFRecord file (at byte {position})")
    return int(struct.unpack("<Q", header[:8])[0])


def _require_schema(serialized: bytes, path: str) -> None:
    try:
        read_example(serialized)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def read_record(file: BinaryIO, place: Place) -> Record:
    """One record.

    Args:
        file: `place.path`, open.
        place: Where it lies.

    Raises:
        ValueError: If it is damaged; names the file and the record.
    """
    file.seek(place.start)
    serialized = file.read(place.length)
    if masked_checksum(serialized) != file.read(CHECKSUM):
        raise InputError(_damaged(place.path, place.number))
    try:
        return read_example(serialized)
    except InputError as error:
        raise InputError(f"{place.path}: record {place.number}: {error}") from error


def read_records(paths: list[str]) -> Iterator[Record]:
    """All records, in order.

    Raises:
        ValueError: As `find_records` and `read_record`.
    """
    for path in paths:
        places = _places(path)
        with open(path, "rb") as file:
            for place in places:
                yield read_record(file, place)


def _damaged(path: str, number: int) -> str:
    return f"{path}: record {number} is damaged (checksum); build it again"


@contextlib.contextmanager
def naming_damage(paths: list[str]) -> Iterator[None]:
    """Turns TensorFlow's word for damaged bytes into one that names the shard.

    Raises:
        ValueError: If the body came upon damage, or upon a picture that is none.
    """
    try:
        yield
    except Exception as error:
        # TensorFlow may not be there, and then none of its errors can have been raised.
        errors = getattr(sys.modules.get("tensorflow"), "errors", None)
        if errors and isinstance(error, errors.DataLossError):
            raise InputError(find_damage(paths)) from error
        bad = None
        if errors and isinstance(error, errors.InvalidArgumentError):
            bad = _find_bad_picture(paths)
        if bad is None:
            raise
        raise InputError(bad) from error


def find_damage(paths: list[str]) -> str:
    """Reads every byte of every shard, and says which one is damaged and where.

    This is for after a failure: it takes as long as reading the data.

    Raises:
        ValueError: If a record's length is damaged, which says so itself.
    """
    for path in paths:
        with Path(path).open("rb") as file:
            count = 0
            while header := file.read(HEADER):
                length = _record_length(header, path, file.tell() - len(header))
                serialized = file.read(length)
                if masked_checksum(serialized) != file.read(CHECKSUM):
                    return _damaged(path, count)
                count += 1
    return "the shards' checksums are right, but a record cannot be decoded"


def _find_bad_picture(paths: list[str]) -> str | None:
    """What is wrong with the first record that no crop can be made of, or None."""
    for path in paths:
        for count, record in enumerate(read_records([path])):
            person, said = record.person, (record.height, record.width)
            try:
                shape = decode_picture(record.encoded, where=path).shape[:2]
            except InputError:
                return f"{path}: the picture of record {count} cannot be decoded; build it again"
            if shape != said:
                return (
                    f"{path}: the picture of record {count} is {shape[1]}×{shape[0]} pixels, but "
                    f"the record says {said[1]}×{said[0]}; build it again"
                )
            if not (np.isfinite([*person.center, person.scale]).all() and person.scale > 0):
                return (
                    f"{path}: record {count} has center {person.center} and scale "
                    f"{person.scale}, which must be finite, the scale above 0; build it again"
                )
    return None
