"""Shards whose bytes changed: named in a line, and never read as other people."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hourglass.core.config import Config, NetworkConfig, TrainConfig
from hourglass.core.errors import InputError
from hourglass.data.loader import validation_batches
from hourglass.data.people import load_people
from hourglass.data.shards import shard_name

CONFIG = Config(
    NetworkConfig(stacks=1, channels=4, depth=1, input_size=16), train=TrainConfig(batch_size=4)
)
FIRST, SECOND = shard_name("validation", 1, 2), shard_name("validation", 2, 2)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, write_shards: Callable[..., Any]) -> Path:
    """Nine people in two shards, without a manifest."""
    folder = tmp_path_factory.mktemp("whole")
    write_shards(folder, "validation", [5, 4])
    return folder


def read(folder: Path) -> str | tuple[Any, list[Any]]:
    """All people and batches, or the one error that a user is shown."""
    pattern = f"{folder}/validation*"
    try:
        return load_people(pattern), list(validation_batches(pattern, CONFIG))
    except InputError as error:
        return str(error)


@pytest.mark.parametrize("count", [20, pytest.param(300, marks=pytest.mark.slow)])
def test_a_spoilt_shard_is_named(
    count: int, whole: Path, tmp_path: Path, spoil: Callable[..., bytes]
):
    folder, rng = shutil.copytree(whole, tmp_path / "spoilt"), random.Random(count)
    data = (whole / SECOND).read_bytes()
    expected, _ = read(whole)
    named = 0
    for _ in range(count):
        changed = spoil(data, rng)
        (folder / SECOND).write_bytes(changed)
        outcome = read(folder)
        if isinstance(outcome, str):
            assert SECOND in outcome
            assert "\n" not in outcome
            named += 1
            continue
        people, batches = outcome  # nothing was changed, or whole records are gone
        assert changed == data or len(people) < len(expected)
        assert set(people.filename) <= set(expected.filename)
        assert all(np.isfinite(array).all() for batch in batches for array in batch)
    assert named >= 0.9 * count


@pytest.mark.parametrize("count", [4, pytest.param(40, marks=pytest.mark.slow)])
def test_tensorflow_reads_no_spoilt_shard_either(
    count: int, whole: Path, tmp_path: Path, spoil: Callable[..., bytes]
):
    from hourglass.data.datasets import validation_dataset
    from hourglass.data.shards import find_shards, naming_damage

    folder, rng = shutil.copytree(whole, tmp_path / "spoilt"), random.Random(count)
    data = (whole / SECOND).read_bytes()
    for _ in range(count):
        (folder / SECOND).write_bytes(spoil(data, rng))
        with (
            pytest.raises(InputError, match=SECOND),
            naming_damage(find_shards(f"{folder}/validation*")),
        ):
            list(validation_dataset(f"{folder}/validation*", CONFIG))


def test_a_shard_that_was_built_is_refused_where_records_are_gone(
    labels: Path, tmp_path: Path, build: Callable[..., Any]
):
    output = tmp_path / "out"
    build(labels, output)
    path = output / FIRST
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little") + 16
    assert 0 < length < len(data)
    for cut in (b"", data[:length], data + data[:length]):
        path.write_bytes(cut)
        told = read(output)
        assert isinstance(told, str)
        assert told.startswith(f"{path}: has {len(cut)} bytes, but manifest.json beside it says")
    path.write_bytes(data)
    assert not isinstance(read(output), str)


def test_a_training_shard_in_the_place_of_one_to_validate_is_refused(
    labels: Path, tmp_path: Path, build: Callable[..., Any]
):
    output = tmp_path / "out"
    build(labels, output)
    train, validation = output / shard_name("train", 1, 4), output / FIRST
    data = train.read_bytes()
    train.write_bytes(validation.read_bytes())
    validation.write_bytes(data)
    told = read(output)
    assert isinstance(told, str)
    assert "it was cut, or is another shard" in told
    assert build(labels, output).built == 2
    assert not isinstance(read(output), str)
