"""The only TFRecord schema: one example per person, and how it becomes bytes and back.

No file is opened here. Writing needs no TensorFlow: a builder's workers would wait longer for its
import than for their work.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import google_crc32c
import numpy as np

from hourglass.core.errors import InputError
from hourglass.core.person import NOT_LABELLED, Person

if TYPE_CHECKING:
    import tensorflow as tf

SCHEMA_VERSION = 2
"""Changes whenever a record written before lacks something, or means something else."""

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
"""What every record holds, since the first schema."""

PARTS, OBJECT = "image/object/parts/", "image/object/"

ADDED = (PARTS + "weight", OBJECT + "box", OBJECT + "area", OBJECT + "source")
"""What the second schema holds besides. A record without these has weights of 1, and no box, area
or source."""

ANY_BYTES = "surrogateescape"
"""How Python keeps the bytes of file names that are not UTF-8."""

UNKNOWN = np.float32("nan")
"""What stands for a box or an area that nobody annotated."""


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
    weights = np.ones(len(x)) if person.weights is None else person.weights
    box = (UNKNOWN,) * 4 if person.box is None else person.box
    values: tuple[bytes, ...] = (
        _bytes_feature(encoded),
        _bytes_feature(person.filename.encode(errors=ANY_BYTES)),
        _int_feature([height]),
        _int_feature([width]),
        _int_feature([3]),
        _float_feature(x.tobytes()),
        _float_feature(y.tobytes()),
        _int_feature(person.visibility.tolist()),
        _float_feature(struct.pack("<f", center_x)),
        _float_feature(struct.pack("<f", center_y)),
        _float_feature(struct.pack("<f", person.scale)),
        _float_feature(np.asarray(weights, "<f4").tobytes()),
        _float_feature(struct.pack("<4f", *box)),
        _float_feature(struct.pack("<f", UNKNOWN if person.area is None else person.area)),
        _bytes_feature(person.source.encode()),
    )
    entries = [
        _field(1, key + _field(2, value)) for key, value in zip(_keys(), values, strict=True)
    ]
    return _field(1, b"".join(entries))


@functools.cache
def _keys() -> tuple[bytes, ...]:
    """The features' names as a map's keys: the same in every record."""
    return tuple(_field(1, name.encode()) for name in (*FEATURES, *ADDED))


def parse_example(serialized: tf.Tensor, *, joints: int) -> dict[str, tf.Tensor]:
    """Reads what `to_example` wrote, inside or outside a `tf.data` pipeline.

    Args:
        serialized: () string.
        joints: How many joints J the skeleton has.

    Returns:
        `encoded`, `filename` and `source` () string; `height`, `width` () int64; `points` (J, 2)
        float32; `visibility` (J,) int64; `labelled` (J,) bool; `weights` (J,) float32, 0 where not
        labelled; `center` (2,) float32; `scale` () float32.
    """
    import tensorflow as tf

    parsed = parse_examples(tf.expand_dims(serialized, 0), joints=joints)
    return {name: values[0] for name, values in parsed.items()}


def parse_examples(serialized: tf.Tensor, *, joints: int) -> dict[str, tf.Tensor]:
    """`parse_example` of (N,) records at once, in a fraction of the time; N is the first axis."""
    import tensorflow as tf

    def feature(shape: tuple[int, ...], kind: Any, default: Any = None) -> Any:
        return tf.io.FixedLenFeature(shape, kind, default)

    wanted: dict[str, Any] = dict.fromkeys(FEATURES, feature((), tf.int64))
    for name in ("image/encoded", "image/filename"):
        wanted[name] = feature((), tf.string)
    for name in ("image/object/center/x", "image/object/center/y", "image/object/scale"):
        wanted[name] = feature((), tf.float32)
    for name in (PARTS + "x", PARTS + "y"):
        wanted[name] = feature((joints,), tf.float32)
    wanted[PARTS + "v"] = feature((joints,), tf.int64)
    wanted[PARTS + "weight"] = feature((joints,), tf.float32, [1.0] * joints)
    wanted[OBJECT + "source"] = feature((), tf.string, "")
    features = tf.io.parse_example(serialized, wanted)
    center, visibility = OBJECT + "center/", features[PARTS + "v"]
    labelled = visibility > NOT_LABELLED
    return {
        "encoded": features["image/encoded"],
        "filename": features["image/filename"],
        "source": features[OBJECT + "source"],
        "height": features["image/height"],
        "width": features["image/width"],
        "points": tf.stack([features[PARTS + "x"], features[PARTS + "y"]], axis=-1),
        "visibility": visibility,
        "labelled": labelled,
        "weights": tf.where(labelled, features[PARTS + "weight"], 0.0),
        "center": tf.stack([features[center + "x"], features[center + "y"]], axis=-1),
        "scale": features[OBJECT + "scale"],
    }


@dataclass(frozen=True, eq=False)
class Record:
    """One example as it was read.

    Attributes:
        person: The annotation.
        encoded: The whole picture as RGB JPEG.
        height: The picture's height, px.
        width: The picture's width, px.
    """

    person: Person
    encoded: bytes
    height: int
    width: int


def read_example(serialized: bytes) -> Record:
    """Reads what `to_example` wrote, without TensorFlow.

    Raises:
        ValueError: If it is a record of another schema; says what is wrong with it.
    """
    try:
        values = _read_features(memoryview(serialized))
    except (IndexError, ValueError) as error:
        raise InputError(f"records of another schema ({error})") from error
    missing = [name for name in FEATURES if name not in values]
    if missing:
        raise InputError(f"records of another schema, {missing[0]!r} is missing")
    (height,), (width,) = (_numbers(values, f"image/{side}", 1) for side in ("height", "width"))
    joints = len(values[PARTS + "x"]) // 4
    points = [_floats(values, PARTS + axis, joints) for axis in "xy"]
    person = Person(
        filename=bytes(values["image/filename"]).decode(errors=ANY_BYTES),
        points=np.stack(points, axis=-1),
        visibility=np.array(_numbers(values, PARTS + "v", joints), np.uint8),
        center=np.concatenate([_floats(values, OBJECT + "center/" + axis, 1) for axis in "xy"]),
        scale=float(_floats(values, OBJECT + "scale", 1)[0]),
        **_added(values, joints),
    )
    return Record(person, bytes(values["image/encoded"]), height, width)


def _added(values: dict[str, memoryview], joints: int) -> dict[str, Any]:
    """A person's fields of the second schema; none for a record of the first."""
    if not set(ADDED) <= set(values):
        return {}
    box, area = (_floats(values, OBJECT + name, count) for name, count in (("box", 4), ("area", 1)))
    weights = _floats(values, PARTS + "weight", joints)
    return {
        "box": None if np.isnan(box).any() else tuple(box.tolist()),
        "area": None if np.isnan(area[0]) else float(area[0]),
        "source": bytes(values[OBJECT + "source"]).decode(),
        "weights": None if (weights == 1).all() else weights,
    }


def _floats(values: dict[str, memoryview], name: str, count: int) -> np.ndarray:
    """A feature's values, (count,) float32."""
    data = values[name]
    _require_count(name, len(data) / 4, count)
    return np.frombuffer(data, "<f4")


def _numbers(values: dict[str, memoryview], name: str, count: int) -> list[int]:
    """A feature's values, whole numbers of 0 or more."""
    numbers = _read_varints(values[name])
    _require_count(name, len(numbers), count)
    return numbers


def _require_count(name: str, count: float, wanted: int) -> None:
    if count != wanted:
        raise InputError(
            f"records of another schema ({name} has {count:g} values, it must have {wanted})"
        )


def _read_features(serialized: memoryview) -> dict[str, memoryview]:
    """Each feature's values by its name: the bytes of its one value, or of a packed list."""
    values = {}
    for _, features in _read_fields(serialized):
        for _, entry in _read_fields(features):
            (_, key), (_, feature) = _read_fields(entry)
            ((_, kind),) = _read_fields(feature)
            ((_, value),) = _read_fields(kind)
            values[bytes(key).decode()] = value
    return values


def _read_fields(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The numbers and contents of a message's fields, which must all be length-delimited."""
    position, end = 0, len(data)
    while position < end:
        tag = data[position]
        if tag & 7 != 2:
            raise InputError(f"field of kind {tag & 7} at byte {position}")
        length, shift = 0, 0
        while True:
            position += 1
            byte = data[position]
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        position += 1
        if position + length > end:
            raise InputError("cut off")
        yield tag >> 3, data[position : position + length]
        position += length


def _read_varints(data: memoryview) -> list[int]:
    numbers, number, shift = [], 0, 0
    for byte in data:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            numbers.append(number)
            number, shift = 0, 0
    return numbers


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
