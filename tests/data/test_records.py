"""The TFRecord schema: TensorFlow itself reads what is written here, and finds it unchanged."""

from __future__ import annotations

import dataclasses
import functools
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from hourglass.core.person import Person
from hourglass.data.records import (
    ADDED,
    FEATURES,
    frame,
    masked_checksum,
    parse_example,
    read_example,
    to_example,
)

MakePerson = Callable[..., Person]

parse = functools.partial(parse_example, joints=16)


def expected_example(person: Person, encoded: bytes, height: int, width: int) -> tf.train.Example:
    """The same example, made by TensorFlow's own classes."""

    def floats(values: Any) -> tf.train.Feature:
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))

    def integers(values: Any) -> tf.train.Feature:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    def text(value: bytes) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    features = {
        "image/encoded": text(encoded),
        "image/filename": text(person.filename.encode()),
        "image/height": integers([height]),
        "image/width": integers([width]),
        "image/depth": integers([3]),
        "image/object/parts/x": floats(person.points[:, 0]),
        "image/object/parts/y": floats(person.points[:, 1]),
        "image/object/parts/v": integers(person.visibility),
        "image/object/center/x": floats([person.center[0]]),
        "image/object/center/y": floats([person.center[1]]),
        "image/object/scale": floats([person.scale]),
        "image/object/parts/weight": floats(person.weights),
        "image/object/box": floats(person.box),
        "image/object/area": floats([person.area]),
        "image/object/source": text(person.source.encode()),
    }
    return tf.train.Example(features=tf.train.Features(feature=features))


def annotated(person: Person) -> Person:
    """The person with all that a label file may say of them."""
    return dataclasses.replace(
        person,
        visibility=(np.arange(16) % 3).astype(np.uint8),
        box=(1.5, -2.0, 30.0, 40.25),
        area=512.5,
        source="teachers",
        weights=np.linspace(0, 1, 16, dtype=np.float32),
    )


# Lengths around those at which a protocol buffer needs another byte for them.
@pytest.mark.parametrize("length", [0, 1, 127, 128, 16383, 16384, 70_000])
def test_an_example_is_what_tensorflow_would_make(make_person: MakePerson, length: int):
    person, encoded = annotated(make_person()), bytes(range(256)) * (length // 256 + 1)
    encoded = encoded[:length]
    written = to_example(person, encoded=encoded, height=length + 1, width=2 * length + 7)
    read = tf.train.Example.FromString(written)
    assert read == expected_example(person, encoded, length + 1, 2 * length + 7)


def test_the_schemas_features(make_person: MakePerson):
    written = to_example(make_person(), encoded=b"", height=1, width=1)
    assert set(tf.train.Example.FromString(written).features.feature) == {*FEATURES, *ADDED}
    assert (len(FEATURES), len(ADDED)) == (11, 4)


def test_all_that_is_annotated_comes_back(make_person: MakePerson):
    person = annotated(make_person())
    read = read_example(to_example(person, encoded=b"", height=1, width=1)).person
    for field in dataclasses.fields(Person):
        np.testing.assert_array_equal(
            getattr(read, field.name), getattr(person, field.name), err_msg=field.name
        )


def test_what_nobody_annotated_comes_back_as_nothing(make_person: MakePerson):
    read = read_example(to_example(make_person(), encoded=b"", height=1, width=1)).person
    assert (read.box, read.area, read.source, read.weights) == (None, None, "", None)


def test_records_of_the_first_schema_are_read(make_person: MakePerson):
    person = annotated(make_person())
    example = tf.train.Example.FromString(to_example(person, encoded=b"j", height=1, width=1))
    for name in ADDED:
        del example.features.feature[name]
    old = example.SerializeToString()
    assert read_example(old).person.weights is None
    np.testing.assert_array_equal(read_example(old).person.visibility, person.visibility)
    parsed = parse(tf.constant(old))
    np.testing.assert_array_equal(parsed["weights"], person.labelled)
    assert parsed["source"] == b""


def test_a_joint_without_label_has_no_weight(make_person: MakePerson):
    person = dataclasses.replace(make_person(), weights=np.full(16, 0.5, np.float32))
    parsed = parse(tf.constant(to_example(person, encoded=b"", height=1, width=1)))
    np.testing.assert_array_equal(parsed["weights"], 0.5 * person.labelled)
    np.testing.assert_array_equal(person.loss_weights, 0.5 * person.labelled)


@pytest.mark.parametrize("joints", [1, 4, 17, 200])
def test_any_number_of_joints(joints: int):
    rng = np.random.default_rng(joints)
    person = Person(
        filename="a.jpg",
        points=rng.uniform(0, 99, (joints, 2)).astype(np.float32),
        visibility=np.full(joints, 2, np.uint8),
        center=np.zeros(2, np.float32),
        scale=1.0,
    )
    written = to_example(person, encoded=b"", height=1, width=1)
    np.testing.assert_array_equal(read_example(written).person.points, person.points)
    parsed = parse_example(tf.constant(written), joints=joints)
    np.testing.assert_array_equal(parsed["points"], person.points)


def test_the_same_person_gives_the_same_bytes(make_person: MakePerson):
    one, other = (
        to_example(make_person(3), encoded=b"jpeg", height=30, width=40) for _ in range(2)
    )
    assert one == other


def test_the_arrays_precision_does_not_change_the_bytes(make_person: MakePerson):
    person = make_person()
    wide = make_person(
        points=person.points.astype(np.float64),
        center=person.center.astype(np.float64),
        visibility=person.visibility.astype(np.int64),
    )
    assert to_example(wide, encoded=b"j", height=3, width=4) == to_example(
        person, encoded=b"j", height=3, width=4
    )


def test_a_record_round_trip_through_a_tfrecord_file(make_person: MakePerson, tmp_path: Path):
    people = [make_person(number) for number in range(20)]
    path = tmp_path / "people.tfrecords"
    path.write_bytes(
        b"".join(
            frame(to_example(person, encoded=b"x" * 50 * number, height=300 + number, width=400))
            for number, person in enumerate(people)
        )
    )
    rows = list(tf.data.TFRecordDataset(str(path)).map(parse).as_numpy_iterator())
    assert len(rows) == 20
    for number, (person, row) in enumerate(zip(people, rows, strict=True)):
        assert row["encoded"] == b"x" * 50 * number
        assert row["filename"] == person.filename.encode()
        assert (row["height"], row["width"]) == (300 + number, 400)
        np.testing.assert_array_equal(row["points"], person.points)
        np.testing.assert_array_equal(row["labelled"], person.labelled)
        np.testing.assert_array_equal(row["center"], person.center)
        assert row["scale"] == np.float32(person.scale)


def test_parsing_is_the_same_inside_a_dataset(
    make_person: MakePerson, both_ways: Callable[..., Any]
):
    person = make_person(1)
    written = to_example(person, encoded=b"\xff\xd8", height=30, width=40)
    parsed = both_ways(parse, written)
    assert parsed["encoded"] == b"\xff\xd8"
    assert (parsed["height"], parsed["width"]) == (30, 40)
    np.testing.assert_array_equal(parsed["points"], person.points)
    np.testing.assert_array_equal(parsed["labelled"], person.labelled)


def test_parsed_shapes_and_types(make_person: MakePerson):
    parsed = parse(tf.constant(to_example(make_person(), encoded=b"j", height=30, width=40)))
    assert {name: (value.dtype, tuple(value.shape)) for name, value in parsed.items()} == {
        "encoded": (tf.string, ()),
        "filename": (tf.string, ()),
        "height": (tf.int64, ()),
        "width": (tf.int64, ()),
        "points": (tf.float32, (16, 2)),
        "source": (tf.string, ()),
        "visibility": (tf.int64, (16,)),
        "labelled": (tf.bool, (16,)),
        "weights": (tf.float32, (16,)),
        "center": (tf.float32, (2,)),
        "scale": (tf.float32, ()),
    }


def test_parsed_shapes_are_known_inside_a_dataset():
    dataset = tf.data.Dataset.from_tensors(b"").map(parse)
    assert dataset.element_spec["points"].shape == (16, 2)
    assert dataset.element_spec["labelled"].shape == (16,)
    assert dataset.element_spec["center"].shape == (2,)


def test_joints_without_label_keep_their_mark(make_person: MakePerson):
    person = make_person()
    parsed = parse(tf.constant(to_example(person, encoded=b"", height=1, width=1)))
    assert not person.labelled.all()
    assert (parsed["points"].numpy()[~person.labelled] == -1).all()


def test_a_filename_may_have_any_letters(make_person: MakePerson):
    person = make_person(filename="dir/ünïcode 图.jpg")
    parsed = parse(tf.constant(to_example(person, encoded=b"", height=1, width=1)))
    assert parsed["filename"].numpy().decode() == "dir/ünïcode 图.jpg"


def test_a_feature_that_is_missing_is_named(make_person: MakePerson):
    example = tf.train.Example.FromString(to_example(make_person(), encoded=b"", height=1, width=1))
    del example.features.feature["image/object/scale"]
    with pytest.raises(tf.errors.InvalidArgumentError, match="image/object/scale"):
        parse(tf.constant(example.SerializeToString()))


@pytest.mark.parametrize("length", [0, 1, 12, 5000])
def test_a_frame_is_what_tensorflow_writes(tmp_path: Path, length: int):
    record = np.random.default_rng(length).bytes(length)
    path = tmp_path / "one.tfrecords"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(record)
    assert frame(record) == path.read_bytes()


def test_a_frame_starts_with_the_records_length():
    framed = frame(b"x" * 1000)
    assert struct.unpack("<Q", framed[:8]) == (1000,)
    assert framed[12:-4] == b"x" * 1000
    assert len(framed) == 1016


def test_masked_checksum_is_golden():
    # CRC-32C of "123456789" is 0xE3069283; rotated right by 15 bits it is 0x2507C60D, and adding
    # 0xA282EAD8 gives 0xC78AB0E5, written with its lowest byte first.
    assert masked_checksum(b"123456789") == bytes.fromhex("e5b08ac7")


@pytest.mark.parametrize("position", [0, 7, 8, 11, 12, 40, -5, -4, -1])
def test_tensorflow_notices_any_changed_byte(
    make_person: MakePerson, tmp_path: Path, position: int
):
    data = bytearray(frame(to_example(make_person(), encoded=b"jpeg", height=3, width=4)))
    data[position] ^= 1
    path = tmp_path / "damaged.tfrecords"
    path.write_bytes(data)
    with pytest.raises(tf.errors.DataLossError):
        list(tf.data.TFRecordDataset(str(path)))
