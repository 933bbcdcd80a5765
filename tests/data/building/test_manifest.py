"""The builder's manifest: what is written is read back, and nothing half-written is ever seen."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from hourglass.core.person import IgnoredArea, Person
from hourglass.core.skeleton import MPII
from hourglass.data.building.manifest import (
    MANIFEST,
    Manifest,
    Shard,
    ignored_of,
    is_whole,
    read_manifest,
    write_manifest,
)
from hourglass.data.records import SCHEMA_VERSION
from hourglass.data.shards import find_ignored

DATA = b"records"
SHARD = Shard(
    name="train_0001_of_0001.tfrecords",
    people=3,
    size=len(DATA),
    checksum="a94e7bcfcbed3c846d491d4f47c948e53a23908d480248b3ffe9e126e83ea865",
    source="abc",
)
AREA = IgnoredArea("a.jpg", (1.5, 2.0, 30.0, 40.0), None, True)
SOMEBODY = Person("a.jpg", np.zeros((1, 2)), np.zeros(1, np.uint8), np.zeros(2), 1.0)
WRITTEN = Manifest(
    schema_version=SCHEMA_VERSION,
    source="def",
    skeleton=MPII.to_dict(),
    annotations="labels.json",
    people={"train": 4, "validation": 1},
    bad_pictures={"é.jpg": "é.jpg: picture is empty (0 bytes)"},
    shards={SHARD.name: SHARD},
    ignored=ignored_of([AREA, dataclasses.replace(AREA, filename="b.jpg")], [SOMEBODY]),
)


@pytest.mark.parametrize("for_now", [False, True])
def test_what_is_written_is_read(tmp_path: Path, for_now: bool):
    write_manifest(tmp_path, WRITTEN, for_now=for_now)
    assert read_manifest(tmp_path) == WRITTEN
    assert find_ignored([str(tmp_path / SHARD.name)]) == [AREA]
    assert [path.name for path in tmp_path.iterdir()] == [MANIFEST]


def test_the_last_manifest_is_easy_to_read(tmp_path: Path):
    write_manifest(tmp_path, WRITTEN, for_now=True)
    short = (tmp_path / MANIFEST).read_text()
    write_manifest(tmp_path, WRITTEN)
    long = (tmp_path / MANIFEST).read_text()
    assert json.loads(short) == json.loads(long)
    assert (short.count("\n"), long.count("\n") > 15) == (1, True)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"shards": {}}', '{"shards": {"a": {}}}'])
def test_what_is_no_manifest_is_none(tmp_path: Path, text: str):
    assert read_manifest(tmp_path) is None
    (tmp_path / MANIFEST).write_text(text)
    assert read_manifest(tmp_path) is None


def test_a_shard_is_whole_only_byte_for_byte(tmp_path: Path):
    path = tmp_path / SHARD.name
    assert not is_whole(SHARD, tmp_path)
    path.write_bytes(DATA)
    assert is_whole(SHARD, tmp_path)
    path.write_bytes(DATA[::-1])
    assert not is_whole(SHARD, tmp_path)
    path.write_bytes(DATA[:-1])
    assert not is_whole(SHARD, tmp_path)
