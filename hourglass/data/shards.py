"""Which TFRecord shards there are, whether they are whole, and how many people they hold.

Shards are found, checked and counted here, by walking over the records' lengths without reading
pictures; their content is `hourglass.data.records`', their use `hourglass.data.datasets`'.
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hourglass.data.records import FEATURES, masked_checksum

SUFFIX = ".tfrecords"
_NAME = re.compile(r"(?P<split>.+)_(?P<number>\d+)_of_(?P<total>\d+)\.tfrecords")


def shard_name(split: str, number: int, total: int) -> str:
    """The file name of shard `number` (from 1) of `total`, such as train_0001_of_0064.tfrecords."""
    return f"{split}_{number:04d}_of_{total:04d}{SUFFIX}"


def find_shards(pattern: str) -> list[str]:
    """The shards that a glob pattern matches, in order.

    Args:
        pattern: Such as `tfrecords/validation*`; files that are not shards are passed over.

    Raises:
        ValueError: If none matches, or some of a set are missing.
    """
    paths = sorted(path for path in glob.glob(pattern) if path.endswith(SUFFIX))
    if not paths:
        raise ValueError(
            f"no shards match {pattern!r}; build them with `python -m hourglass.build`"
        )
    _require_complete(paths)
    return paths


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
            raise ValueError(f"{len(missing)} of {total} shards are missing, the first is {first}")
        other = totals.setdefault((folder, split), total)
        if other != total:
            raise ValueError(
                f"{folder or '.'} holds two sets of {split} shards, of {other} and of {total}; "
                "remove one"
            )


def count_people(paths: list[str]) -> int:
    """The number of records in `paths` together, after checking each shard.

    Raises:
        ValueError: If a shard cannot be read, is truncated, is no TFRecord file, or its records
            have another schema; names the file.
    """
    return sum(_count_records(path) for path in paths)


def _count_records(path: str) -> int:
    count, position = 0, 0
    try:
        size = os.path.getsize(path)
        with open(path, "rb") as file:
            while position < size:
                length = _record_length(file.read(12), path, position)
                if position + length + 16 > size:
                    raise ValueError(
                        f"{path}: truncated, record {count} ends at byte "
                        f"{position + length + 16} of {size}; build it again"
                    )
                if count == 0:
                    _require_schema(file.read(length), path)
                position += length + 16
                file.seek(position)
                count += 1
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from error
    return count


def _record_length(header: bytes, path: str, position: int) -> int:
    if len(header) < 12 or masked_checksum(header[:8]) != header[8:]:
        raise ValueError(f"{path}: truncated or not a TFRecord file (at byte {position})")
    return int(struct.unpack("<Q", header[:8])[0])


def _require_schema(serialized: bytes, path: str) -> None:
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    from hourglass.data.records import parse_example

    try:
        present = tf.train.Example.FromString(serialized).features.feature
        missing = [name for name in FEATURES if name not in present]
        if missing:
            raise ValueError(f"{path}: records of another schema, {missing[0]!r} is missing")
        parse_example(tf.constant(serialized))
    except (DecodeError, tf.errors.InvalidArgumentError) as error:
        raise ValueError(f"{path}: records of another schema ({error})") from error


@contextlib.contextmanager
def naming_damage(paths: list[str]) -> Iterator[None]:
    """Turns TensorFlow's word for damaged bytes into one that names the shard.

    Raises:
        ValueError: If the body came upon damage, or upon a picture that is none.
    """
    import tensorflow as tf

    try:
        yield
    except tf.errors.DataLossError as error:
        raise ValueError(find_damage(paths)) from error
    except tf.errors.InvalidArgumentError as error:
        bad = _find_bad_picture(paths)
        if bad is None:
            raise
        raise ValueError(bad) from error


def find_damage(paths: list[str]) -> str:
    """Reads every byte of every shard, and says which one is damaged and where.

    This is for after a failure: it takes as long as reading the data.

    Raises:
        ValueError: If a record's length is damaged, which says so itself.
    """
    for path in paths:
        with Path(path).open("rb") as file:
            count = 0
            while header := file.read(12):
                length = _record_length(header, path, file.tell() - len(header))
                serialized = file.read(length)
                if masked_checksum(serialized) != file.read(4):
                    return f"{path}: record {count} is damaged (checksum); build it again"
                count += 1
    return "the shards' checksums are right, but a record cannot be decoded"


def _find_bad_picture(paths: list[str]) -> str | None:
    """What is wrong with the first record that no crop can be made of, or None."""
    import tensorflow as tf

    from hourglass.data.records import parse_example

    for path in paths:
        for count, serialized in enumerate(tf.data.TFRecordDataset(path)):
            person = {key: value.numpy() for key, value in parse_example(serialized).items()}
            try:
                shape = tf.io.decode_jpeg(person["encoded"], 3).shape[:2]
            except tf.errors.InvalidArgumentError:
                return f"{path}: the picture of record {count} cannot be decoded; build it again"
            said = (person["height"], person["width"])
            if tuple(shape) != said:
                return (
                    f"{path}: the picture of record {count} is {shape[1]}×{shape[0]} pixels, but "
                    f"the record says {said[1]}×{said[0]}; build it again"
                )
            if not (
                np.isfinite([*person["center"], person["scale"]]).all() and person["scale"] > 0
            ):
                return (
                    f"{path}: record {count} has center {person['center']} and scale "
                    f"{person['scale']}, which must be finite, the scale above 0; build it again"
                )
    return None
