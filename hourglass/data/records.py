"""The only TFRecord schema: one example per person, and how it becomes bytes and back.

No file is opened here. Writing needs no TensorFlow: a builder's workers would wait longer for its
import than for their work.
"""

from __future__ import annotations

import functools
import struct
from typing import TYPE_CHECKING, Any

import google_crc32c
import numpy as np

from hourglass.core.person import Person
from hourglass.core.skeleton import MPII

if TYPE_CHECKING:
    import tensorflow as tf

SCHEMA_VERSION = 1
"""Changes whenever a record written before can no longer be read, or means something else."""

NOT_LABELLED, LABELLED = 0, 2
"""Values of `image/object/parts/v`."""

FEATURES = (
    "image/encoded",
    "image/filename",
    "image/height",
    "image/width",
    "image/depth",
    "image/object/parts/x",
    "image/object/parts/y",
    "image/object/parts/v",
    "image/object/center/x",
    "image/object/center/y",
    "image/object/scale",
)


def to_example(person: Person, *, encoded: bytes, height: int, width: int) -> bytes:
    """A person and their picture as a serialised `tf.train.Example`.

    Args:
        person: The annotation.
        encoded: The whole picture as RGB JPEG.
        height: The picture's height, px.
        width: The picture's width, px.

    Returns:
        The same bytes for the same input, always.
    """
    x, y = np.ascontiguousarray(person.points.T, "<f4")
    center_x, center_y = person.center.tolist()
    visibility = np.where(person.labelled, LABELLED, NOT_LABELLED).tolist()
    values: tuple[bytes, ...] = (
        _bytes_feature(encoded),
        _bytes_feature(person.filename.encode()),
        _int_feature([height]),
        _int_feature([width]),
        _int_feature([3]),
        _float_feature(x.tobytes()),
        _float_feature(y.tobytes()),
        _int_feature(visibility),
        _float_feature(struct.pack("<f", center_x)),
        _float_feature(struct.pack("<f", center_y)),
        _float_feature(struct.pack("<f", person.scale)),
    )
    entries = [
        _field(1, key + _field(2, value)) for key, value in zip(_keys(), values, strict=True)
    ]
    return _field(1, b"".join(entries))


@functools.cache
def _keys() -> tuple[bytes, ...]:
    """The names in `FEATURES` as a map's keys: the same in every record."""
    return tuple(_field(1, name.encode()) for name in FEATURES)


def parse_example(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """Reads what `to_example` wrote, inside or outside a `tf.data` pipeline.

    Args:
        serialized: () string.

    Returns:
        `encoded` and `filename` () string; `height`, `width` () int64; `points` (16, 2) float32;
        `labelled` (16,) bool; `center` (2,) float32; `scale` () float32.
    """
    import tensorflow as tf

    return {
        name: values[0] for name, values in parse_examples(tf.expand_dims(serialized, 0)).items()
    }


def parse_examples(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """`parse_example` of (N,) records at once, in a fraction of the time; N is the first axis."""
    import tensorflow as tf

    joints = len(MPII.joints)
    shapes: dict[str, tuple[tuple[int, ...], Any]] = dict.fromkeys(FEATURES, ((), tf.int64))
    for name in ("image/encoded", "image/filename"):
        shapes[name] = ((), tf.string)
    for name in ("image/object/center/x", "image/object/center/y", "image/object/scale"):
        shapes[name] = ((), tf.float32)
    for name in ("image/object/parts/x", "image/object/parts/y"):
        shapes[name] = ((joints,), tf.float32)
    shapes["image/object/parts/v"] = ((joints,), tf.int64)
    features = tf.io.parse_example(
        serialized,
        {name: tf.io.FixedLenFeature(shape, kind) for name, (shape, kind) in shapes.items()},
    )
    parts, center = "image/object/parts/", "image/object/center/"
    return {
        "encoded": features["image/encoded"],
        "filename": features["image/filename"],
        "height": features["image/height"],
        "width": features["image/width"],
        "points": tf.stack([features[parts + "x"], features[parts + "y"]], axis=-1),
        "labelled": features[parts + "v"] > NOT_LABELLED,
        "center": tf.stack([features[center + "x"], features[center + "y"]], axis=-1),
        "scale": features["image/object/scale"],
    }


def frame(serialized: bytes) -> bytes:
    """One example as a TFRecord file holds it: length, checksum, bytes, checksum."""
    length = struct.pack("<Q", len(serialized))
    return length + masked_checksum(length) + serialized + masked_checksum(serialized)


def masked_checksum(data: bytes) -> bytes:
    """TFRecord's CRC-32C, rotated and offset so that a checksum of checksums stays sound."""
    checksum = google_crc32c.value(data)
    rotated = (checksum >> 15 | checksum << 17) & 0xFFFFFFFF
    return struct.pack("<I", (rotated + 0xA282EAD8) & 0xFFFFFFFF)


_TAGS = [bytes((number << 3 | 2,)) for number in range(16)]
"""How length-delimited fields begin, by their number."""


def _varint(number: int) -> bytes:
    if number <= 0x7F:
        return bytes((number,))
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _field(number: int, content: bytes) -> bytes:
    """A length-delimited protocol buffer field, `number` below 16."""
    return _TAGS[number] + _varint(len(content)) + content


def _bytes_feature(value: bytes) -> bytes:
    return _field(1, _field(1, value))


def _float_feature(values: bytes) -> bytes:
    """A list of float32, given as the bytes that they are stored as."""
    return _field(2, _field(1, values))


def _int_feature(values: list[int]) -> bytes:
    short = max(values) <= 0x7F
    return _field(3, _field(1, bytes(values) if short else b"".join(map(_varint, values))))
