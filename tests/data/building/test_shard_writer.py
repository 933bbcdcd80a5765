"""What Ray's workers run: plans that travel, and shards with what is left of a plan's people."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hourglass.core.person import Person
from hourglass.data.building.shard_writer import Plan, write_shard
from hourglass.data.shards import read_records

PLAN_NAME = "train_0001_of_0001.tfrecords"


@pytest.fixture
def plan(
    tmp_path: Path,
    dotted_person: Callable[..., tuple[Person, np.ndarray]],
    to_jpeg_bytes: Callable[[np.ndarray], bytes],
) -> Plan:
    """Three people whose pictures lie in `tmp_path`."""
    people = []
    for number in range(3):
        person, picture = dotted_person(number)
        (tmp_path / person.filename).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / person.filename).write_bytes(to_jpeg_bytes(picture))
        people.append(person)
    return Plan(PLAN_NAME, people, "whole", "source")


def test_a_plan_travels_unchanged(plan: Plan):
    arrived = pickle.loads(pickle.dumps(plan))
    assert (arrived.name, arrived.store, arrived.source) == (PLAN_NAME, "whole", "source")
    for before, after in zip(plan.people, arrived.people, strict=True):
        assert (after.filename, after.scale) == (before.filename, before.scale)
        for field in ("points", "visibility", "center"):
            one, other = getattr(before, field), getattr(after, field)
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype


def test_a_shard_waits_under_a_name_of_its_own(plan: Plan, tmp_path: Path):
    outcome = write_shard(tmp_path, tmp_path, plan, False)
    assert outcome.path
    assert outcome.path.name != PLAN_NAME
    assert not (tmp_path / PLAN_NAME).exists()
    data = outcome.path.read_bytes()
    assert outcome.shard
    assert (outcome.shard.people, outcome.shard.size) == (3, len(data))
    assert outcome.shard.checksum == hashlib.sha256(data).hexdigest()
    assert (outcome.bad_pictures, outcome.failure) == ({}, "")


def test_names_of_any_bytes_stay_as_they_are(plan: Plan, tmp_path: Path):
    name = os.fsdecode(b"bad\xff.jpg")
    (tmp_path / plan.people[0].filename).rename(tmp_path / name)
    people = [dataclasses.replace(plan.people[0], filename=name)]
    outcome = write_shard(tmp_path, tmp_path, dataclasses.replace(plan, people=people), False)
    assert outcome.bad_pictures == {}
    assert outcome.path
    (record,) = read_records([str(outcome.path)])
    assert record.person.filename == name


@pytest.mark.parametrize("name", ["zero\0byte.jpg", "half\ud800.jpg"])
def test_a_name_that_no_file_can_have_is_a_bad_picture(name: str, plan: Plan, tmp_path: Path):
    people = [dataclasses.replace(plan.people[0], filename=name)]
    outcome = write_shard(tmp_path, tmp_path, dataclasses.replace(plan, people=people), False)
    ((found, reason),) = outcome.bad_pictures.items()
    assert found == name
    assert f"{str(tmp_path / name)!r}: no file can have this name (" in reason


def test_a_plan_without_its_bad_pictures(plan: Plan, tmp_path: Path):
    bad = plan.people[1].filename
    (tmp_path / bad).write_bytes(b"no picture")
    assert write_shard(tmp_path, tmp_path, plan, False).shard is None
    assert not list(tmp_path.glob(f"{PLAN_NAME}*"))
    outcome = write_shard(tmp_path, tmp_path, plan, True)
    assert outcome.shard
    assert outcome.shard.people == 2
    assert list(outcome.bad_pictures) == [bad]
    assert "not a picture that can be read" in outcome.bad_pictures[bad]


def test_a_folder_that_cannot_be_written_is_named(plan: Plan, tmp_path: Path):
    missing = tmp_path / "missing"
    outcome = write_shard(missing, tmp_path, plan, False)
    assert outcome.shard is None
    assert (
        outcome.failure == f"{missing / PLAN_NAME}: cannot be written (No such file or directory)"
    )
