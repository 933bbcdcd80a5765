"""Shards: which there are, how many people they hold, and what is said of a damaged one."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from hourglass.core.errors import InputError
from hourglass.core.person import Person
from hourglass.core.skeleton import COCO, MPII, Skeleton
from hourglass.data.records import frame, to_example
from hourglass.data.shards import (
    MANIFEST,
    count_people,
    find_damage,
    find_ignored,
    find_reaches,
    find_shards,
    find_skeleton,
    fingerprint,
    is_without,
    naming_damage,
    shard_name,
    with_validation,
)

MakePerson = Callable[..., Person]


@pytest.fixture
def records(make_person: MakePerson) -> list[bytes]:
    """Four people's records of different lengths."""
    return [
        to_example(make_person(number), encoded=b"jpeg" * (5 + number), height=30, width=40)
        for number in range(4)
    ]


@pytest.fixture
def shard(tmp_path: Path, records: list[bytes]) -> Path:
    """A shard of the four people."""
    path = tmp_path / "train_0001_of_0001.tfrecords"
    path.write_bytes(b"".join(frame(record) for record in records))
    return path


def touch(folder: Path, *names: str) -> None:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"")


def damage(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 0x10
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("number", "total", "name"),
    [
        (1, 64, "train_0001_of_0064.tfrecords"),
        (64, 64, "train_0064_of_0064.tfrecords"),
        (12345, 20000, "train_12345_of_20000.tfrecords"),
    ],
)
def test_shard_name_is_golden(number: int, total: int, name: str):
    assert shard_name("train", number, total) == name


def test_shards_are_found_in_order(tmp_path: Path):
    names = [shard_name("train", number, 12) for number in range(1, 13)]
    touch(tmp_path, *reversed(names))
    found = find_shards(str(tmp_path / "train*"))
    assert found == [str(tmp_path / name) for name in names]


def test_other_files_and_other_splits_are_passed_over(tmp_path: Path):
    touch(tmp_path, "train_0001_of_0001.tfrecords", "validation_0001_of_0002.tfrecords")
    touch(tmp_path, "train.json", "train_0001_of_0001.tfrecords.tmp", "train.log")
    found = find_shards(str(tmp_path / "train*"))
    assert found == [str(tmp_path / "train_0001_of_0001.tfrecords")]


def test_files_with_names_of_their_own_are_shards_too(tmp_path: Path):
    touch(tmp_path, "mine.tfrecords", "more.tfrecords")
    found = find_shards(str(tmp_path / "*"))
    assert found == [str(tmp_path / "mine.tfrecords"), str(tmp_path / "more.tfrecords")]


def test_one_pattern_may_match_two_splits(tmp_path: Path):
    names = [shard_name(split, number, 2) for split in ("train", "validation") for number in (1, 2)]
    touch(tmp_path, *names)
    assert find_shards(str(tmp_path / "*")) == [str(tmp_path / name) for name in names]


def test_sets_of_two_folders_do_not_mix(tmp_path: Path):
    touch(tmp_path / "a", shard_name("train", 1, 1))
    touch(tmp_path / "b", shard_name("train", 1, 2), shard_name("train", 2, 2))
    assert len(find_shards(str(tmp_path / "*" / "train*"))) == 3


@pytest.mark.parametrize("present", [[], ["train.json", "train_0001_of_0001.tfrecord"]])
def test_no_match_says_the_pattern_and_how_to_build(tmp_path: Path, present: list[str]):
    touch(tmp_path, *present)
    pattern = str(tmp_path / "train*")
    message = f"no shards match '{pattern}'; build them with `python -m hourglass.build`"
    with pytest.raises(ValueError, match=re.escape(message)):
        find_shards(pattern)


@pytest.mark.parametrize(
    ("present", "message"),
    [
        ((1, 3), "1 of 3 shards are missing, the first is {folder}/train_0002_of_0003.tfrecords"),
        ((3,), "2 of 3 shards are missing, the first is {folder}/train_0001_of_0003.tfrecords"),
        ((1, 2), "1 of 3 shards are missing, the first is {folder}/train_0003_of_0003.tfrecords"),
    ],
)
def test_a_missing_shard_is_named(tmp_path: Path, present: tuple[int, ...], message: str):
    touch(tmp_path, *(shard_name("train", number, 3) for number in present))
    expected = message.format(folder=tmp_path)
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        find_shards(str(tmp_path / "train*"))


def test_two_sets_in_one_folder_are_refused(tmp_path: Path):
    touch(tmp_path, shard_name("train", 1, 1))
    touch(tmp_path, shard_name("train", 1, 2), shard_name("train", 2, 2))
    expected = f"{tmp_path} holds two sets of train shards, of 1 and of 2; remove one"
    with pytest.raises(ValueError, match=re.escape(expected)):
        find_shards(str(tmp_path / "train*"))


def test_people_are_counted_over_all_shards(tmp_path: Path, records: list[bytes]):
    paths = []
    for number, people in enumerate((records, records[:1], records[:3])):
        path = tmp_path / f"{number}.tfrecords"
        path.write_bytes(b"".join(frame(record) for record in people))
        paths.append(str(path))
    assert count_people(paths) == 8
    assert count_people(paths) == sum(1 for _ in tf.data.TFRecordDataset(paths))


def test_an_empty_shard_holds_nobody(tmp_path: Path):
    touch(tmp_path, "empty.tfrecords")
    assert count_people([str(tmp_path / "empty.tfrecords")]) == 0


@pytest.mark.parametrize("record", [0, 1, 3])
@pytest.mark.parametrize("within", [1, 7, 8, 11, 12, 13, 200, -5, -4, -1])
def test_a_truncated_shard_is_refused(shard: Path, records: list[bytes], record: int, within: int):
    sizes = [len(frame(one)) for one in records]
    start = sum(sizes[:record])
    cut = start + within % sizes[record]
    shard.write_bytes(shard.read_bytes()[:cut])
    with pytest.raises(ValueError, match=rf"^{re.escape(str(shard))}: truncated") as error:
        count_people([str(shard)])
    if within in range(12):
        assert f"(at byte {start})" in str(error.value)
    else:
        end = start + sizes[record]
        expected = f"truncated, record {record} ends at byte {end} of {cut}; build it again"
        assert expected in str(error.value)


@pytest.mark.parametrize(
    "content",
    [b"x", b"not a TFRecord file, only text", b"\x00" * 64, b'[{"center": [1.0, 2.0]}]' * 10],
    ids=["one byte", "text", "zeros", "JSON"],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes):
    path = tmp_path / "other.tfrecords"
    path.write_bytes(content)
    expected = f"{path}: truncated or not a TFRecord file (at byte 0)"
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        count_people([str(path)])


def test_a_record_without_a_feature_is_refused(tmp_path: Path, records: list[bytes]):
    example = tf.train.Example.FromString(records[0])
    del example.features.feature["image/object/scale"]
    path = tmp_path / "old.tfrecords"
    path.write_bytes(frame(example.SerializeToString()))
    expected = f"{path}: records of another schema, 'image/object/scale' is missing"
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        count_people([str(path)])


def test_a_record_with_fewer_joints_is_refused(tmp_path: Path, records: list[bytes]):
    example = tf.train.Example.FromString(records[0])
    del example.features.feature["image/object/parts/x"].float_list.value[14:]
    path = tmp_path / "lsp.tfrecords"
    path.write_bytes(frame(example.SerializeToString()))
    with pytest.raises(
        ValueError,
        match=rf"^{re.escape(str(path))}: records of another schema \(image/object/parts/y has 16",
    ):
        count_people([str(path)])


@pytest.mark.parametrize("content", [b"\xff\xff\xff\xff", b"", b"plain text"])
def test_a_record_that_is_no_example_is_refused(tmp_path: Path, content: bytes):
    path = tmp_path / "raw.tfrecords"
    path.write_bytes(frame(content))
    with pytest.raises(ValueError, match=rf"^{re.escape(str(path))}: records of another schema"):
        count_people([str(path)])


def test_a_shard_that_is_not_there_is_named(tmp_path: Path):
    path = str(tmp_path / "gone.tfrecords")
    with pytest.raises(ValueError, match=rf"^{re.escape(path)}: cannot be read \(No such file"):
        count_people([path])


def test_a_folder_is_no_shard(tmp_path: Path):
    path = tmp_path / "folder.tfrecords"
    path.mkdir()
    with pytest.raises(ValueError, match=rf"^{re.escape(str(path))}: cannot be read \(Is a dir"):
        count_people([str(path)])


@pytest.mark.parametrize("record", [0, 2, 3])
@pytest.mark.parametrize("within", [12, 100, -5, -4, -1], ids=str)
def test_a_changed_byte_of_a_record_is_found(
    shard: Path, records: list[bytes], record: int, within: int
):
    sizes = [len(frame(one)) for one in records]
    damage(shard, sum(sizes[:record]) + within % sizes[record])
    expected = f"{shard}: record {record} is damaged (checksum); build it again"
    assert find_damage([str(shard)]) == expected


def read(path: Path) -> int:
    """Reads a shard as training does."""
    with naming_damage([str(path)]):
        return sum(1 for _ in tf.data.TFRecordDataset(str(path)))


@pytest.mark.parametrize("record", [0, 2])
@pytest.mark.parametrize("within", [0, 3, 8, 11])
def test_reading_over_a_changed_length_names_the_shard_and_the_byte(
    shard: Path, records: list[bytes], record: int, within: int
):
    start = sum(len(frame(one)) for one in records[:record])
    damage(shard, start + within)
    with pytest.raises(ValueError, match=rf"^{re.escape(str(shard))}: .*\(at byte {start}\)"):
        read(shard)


@pytest.mark.parametrize("record", [0, 2])
def test_reading_over_a_changed_record_names_the_shard_and_the_record(
    shard: Path, records: list[bytes], record: int
):
    damage(shard, sum(len(frame(one)) for one in records[:record]) + 50)
    with pytest.raises(ValueError, match=rf"^{re.escape(str(shard))}: record {record} is damaged"):
        read(shard)


def test_reading_a_whole_shard_is_left_alone(shard: Path):
    assert read(shard) == 4


def test_errors_that_are_no_damage_are_left_alone(shard: Path):
    with pytest.raises(KeyError, match="unknown"), naming_damage([str(shard)]):
        raise KeyError("unknown")


@pytest.mark.parametrize("missing", [1, 4, 5, 30])
def test_a_cut_off_record_is_found(shard: Path, missing: int):
    shard.write_bytes(shard.read_bytes()[:-missing])
    found = find_damage([str(shard)])
    assert found == f"{shard}: record 3 is damaged (checksum); build it again"


def test_the_damaged_one_of_many_shards_is_found(tmp_path: Path, records: list[bytes]):
    paths = [tmp_path / f"{number}.tfrecords" for number in range(3)]
    for path in paths:
        path.write_bytes(b"".join(frame(record) for record in records))
    damage(paths[1], len(frame(records[0])) + 40)
    found = find_damage([str(path) for path in paths])
    assert found == f"{paths[1]}: record 1 is damaged (checksum); build it again"


def test_whole_shards_are_not_blamed(shard: Path):
    found = find_damage([str(shard)])
    assert found == "the shards' checksums are right, but a record cannot be decoded"


def test_a_damaged_picture_does_not_change_the_count(shard: Path, records: list[bytes]):
    damage(shard, len(frame(records[0])) + 60)
    assert count_people([str(shard)]) == 4


def test_records_of_any_length_are_walked_over(tmp_path: Path, make_person: MakePerson):
    rng = np.random.default_rng(0)
    path = tmp_path / "many.tfrecords"
    with path.open("wb") as file:
        for number in range(50):
            encoded = rng.bytes(int(rng.integers(0, 5000)))
            file.write(frame(to_example(make_person(number), encoded=encoded, height=1, width=1)))
    assert count_people([str(path)]) == 50


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"width": 41}, "the picture of record 1 is 40×30 pixels, but the record says 41×30;"),
        ({"center": [np.nan, 3]}, "record 1 has center [nan  3.] and scale"),
        ({"scale": 0.0}, "and scale 0.0, which must be finite, the scale above 0;"),
        ({"encoded": b"text"}, "the picture of record 1 cannot be decoded;"),
    ],
)
def test_a_record_that_no_crop_can_be_made_of_is_named(
    tmp_path: Path,
    make_person: MakePerson,
    to_jpeg_bytes: Callable[[np.ndarray], bytes],
    changes: dict[str, Any],
    said: str,
):
    picture = to_jpeg_bytes(np.zeros((30, 40, 3), np.uint8))

    def record(*, width: int = 40, encoded: bytes = picture, **person: Any) -> bytes:
        person = {name: np.asarray(value, np.float32) for name, value in person.items()}
        return to_example(make_person(0, **person), encoded=encoded, height=30, width=width)

    path = tmp_path / "train_0001_of_0001.tfrecords"
    path.write_bytes(frame(record()) + frame(record(**changes)))
    with pytest.raises(ValueError, match=re.escape(said)) as error, naming_damage([str(path)]):
        raise tf.errors.InvalidArgumentError(None, None, "no crop")
    assert str(error.value).startswith(str(path))
    assert str(error.value).endswith("build it again")


# The skeleton.


def write_manifest(folder: Path, skeleton: Skeleton) -> None:
    (folder / MANIFEST).write_text(json.dumps({"skeleton": skeleton.to_dict()}))


def test_shards_without_a_manifest_are_mpiis(shards: Path):
    assert find_skeleton(find_shards(f"{shards}/train*")) == MPII


def test_the_manifest_names_the_skeleton(shards: Path, tmp_path: Path):
    other = dataclasses.replace(MPII, name="other")
    shutil.copytree(shards, tmp_path / "shards")
    write_manifest(tmp_path / "shards", other)
    assert find_skeleton(find_shards(f"{tmp_path}/shards/train*")) == other


def test_records_of_other_joints_than_the_manifests_are_refused(shards: Path, tmp_path: Path):
    shutil.copytree(shards, tmp_path / "shards")
    write_manifest(tmp_path / "shards", COCO)
    with pytest.raises(ValueError, match=r"records of 16 joints, but skeleton 'coco' has 17; mani"):
        find_skeleton(find_shards(f"{tmp_path}/shards/train*"))


def test_shards_of_two_skeletons_are_not_mixed(shards: Path, tmp_path: Path):
    for name in ("one", "two"):
        shutil.copytree(shards, tmp_path / name)
        write_manifest(tmp_path / name, dataclasses.replace(MPII, name=name))
    with pytest.raises(ValueError, match="shards of one skeleton are needed"):
        find_skeleton(find_shards(f"{tmp_path}/*/train*"))


@pytest.mark.parametrize("text", ["{", "[]", '{"skeleton": {"name": "x"}}'])
def test_a_damaged_manifest_is_named(shards: Path, tmp_path: Path, text: str):
    shutil.copytree(shards, tmp_path / "shards")
    (tmp_path / "shards" / MANIFEST).write_text(text)
    with pytest.raises(ValueError, match=MANIFEST):
        find_skeleton(find_shards(f"{tmp_path}/shards/train*"))


# What shards hold, and how much of pictures.


def test_a_fingerprint_is_of_the_records_alone(shard: Path, records: list[bytes], tmp_path: Path):
    moved = tmp_path / "train_0002_of_0009.tfrecords"
    shutil.copy(shard, moved)
    assert fingerprint(str(moved)) == fingerprint(str(shard))
    others = [records[1:], records[::-1], [*records[:3], records[3][:-1] + b"\x07"]]
    words = {fingerprint(str(shard))}
    for order in others:
        moved.write_bytes(b"".join(frame(record) for record in order))
        words.add(fingerprint(str(moved)))
    assert len(words) == 4


def test_a_folder_says_how_much_of_pictures_it_holds(shard: Path):
    manifest = shard.parent / MANIFEST
    assert find_reaches([str(shard)]) == {}
    for text, reaches in [("{}", {}), ('{"reach": null}', {}), ('{"reach": 1.04}', {"": 1.04})]:
        manifest.write_text(text)
        expected = {str(shard.parent): reach for reach in reaches.values()}
        assert find_reaches([str(shard)]) == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"reach": "far"}', r"'reach' is 'far', it must be a number above 0"),
        ('{"reach": 0}', r"'reach' is 0, it must be a number above 0"),
        ("[1]", "not a manifest of shards"),
        ("{", "not a manifest of shards"),
    ],
)
def test_a_manifest_that_says_no_reach_is_named(shard: Path, text: str, told: str):
    (shard.parent / MANIFEST).write_text(text)
    with pytest.raises(InputError, match=f"{MANIFEST}: {told}"):
        find_reaches([str(shard)])


@pytest.mark.parametrize("text", ['{"ignored": [1]}', '{"ignored": {"a.jpg": [{"box": [1, 2]}]}}'])
def test_a_manifest_that_says_no_areas_is_named(shard: Path, text: str):
    (shard.parent / MANIFEST).write_text(text)
    with pytest.raises(InputError, match=f"{MANIFEST}: 'ignored' is not a list of areas"):
        find_ignored([str(shard)])


def test_folders_built_without_people_to_validate_on_are_known(tmp_path: Path):
    for name, people in {"own": {"train": 4}, "both": {"train": 4, "validation": 1}}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / MANIFEST).write_text(json.dumps({"people": people}))
    own, both, unknown = (str(tmp_path / name) for name in ("own", "both", "unknown"))
    assert is_without(own, "validation")
    assert not is_without(own, "train")
    assert with_validation({own: 0.2, both: 0.5, unknown: 0.3}) == {both: 0.5, unknown: 0.3}
    with pytest.raises(InputError, match=f"^{re.escape(own)}: built with --val-share 0, so that"):
        with_validation({own: None})
