"""Folders with shares: how they are written, and that everybody gets their turn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hourglass.core.config import Config
from hourglass.data.mixture import (
    epoch_counts,
    first_turn,
    parse_folders,
    passes_needed,
    split_pattern,
    turns,
    turns_of_parts,
)


@pytest.mark.parametrize(
    ("text", "folders"),
    [
        ("tfrecords", {"tfrecords": None}),
        ("a,b", {"a": None, "b": None}),
        ("a:0.6, b/c:0.4", {"a": 0.6, "b/c": 0.4}),
        ("a:3,b:1", {"a": 3.0, "b": 1.0}),
        ("C:/data:2,b:1", {"C:/data": 2.0, "b": 1.0}),
    ],
)
def test_folders_are_read(text: str, folders: dict[str, float | None]):
    assert parse_folders(text) == folders


def test_a_folder_may_have_any_name(tmp_path: Path):
    folder = tmp_path / "one,two:3"
    folder.mkdir()
    assert parse_folders(str(folder)) == {str(folder): None}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a:0.6,b", "give every folder a share"),
        ("a:0,b:1", "the share '0' must be a number above 0"),
        ("a:-1,b:1", "the share '-1' must be"),
        ("a:x,b:1", "the share 'x' must be"),
        ("a:nan,b:1", "the share 'nan' must be"),
        ("a,,b", "a folder's name is missing"),
        (":1,b:1", "a folder's name is missing"),
        ("a,a", "a comes twice"),
        ("a:2,a/:1", "a comes twice"),
    ],
)
def test_other_texts_are_refused(text: str, problem: str):
    with pytest.raises(ValueError, match=problem) as error:
        parse_folders(text)
    assert str(error.value).startswith(f"--data {text!r}: ")


def test_a_splits_pattern_has_shares_where_they_mean_something():
    assert split_pattern({"a": None}, "train") == ["a/train*"]
    assert split_pattern({"a": 2.0}, "train") == ["a/train*"]
    assert split_pattern({"a/": None, "b": None}, "validation") == [
        "a/validation*",
        "b/validation*",
    ]
    assert split_pattern({"a": 2.0, "b": 1.0}, "train") == {"a/train*": 2.0, "b/train*": 1.0}


@pytest.mark.parametrize(
    ("shares", "people", "counts"),
    [
        ([0.6, 0.4], 100, [60, 40]),
        ([3, 1], 10, [8, 2]),  # 7.5 and 2.5: the first comes first
        ([1, 1, 1], 100, [34, 33, 33]),
        ([0.999, 0.001], 10, [10, 0]),
        ([1e-9, 1], 7, [0, 7]),
    ],
)
def test_an_epochs_people_are_shared_out(shares: list[float], people: int, counts: list[int]):
    assert epoch_counts(shares, people) == counts


def test_a_share_of_nobody_is_refused():
    assert turns_of_parts({"a*": 0.9, "b*": 0.1}, 10) == [9, 1]
    with pytest.raises(ValueError, match=r"b\*: its share 0.001 of 1 is none of the 10 people"):
        turns_of_parts({"a*": 0.999, "b*": 0.001}, 10)


@pytest.mark.parametrize(("size", "count"), [(10, 4), (10, 10), (3, 10), (7, 20), (1, 5), (5, 1)])
def test_everybody_gets_the_same_number_of_turns(size: int, count: int):
    epochs = [turns(size, count, epoch, seed=[1, 2]) for epoch in range(size)]
    assert {len(epoch) for epoch in epochs} == {count}
    everybody = np.concatenate(epochs)
    assert np.bincount(everybody).tolist() == [count] * size
    # No one comes again before everybody else has.
    for number in range(count):
        assert sorted(everybody[number * size : (number + 1) * size]) == list(range(size))


def test_turns_differ_from_pass_to_pass_and_seed_to_seed():
    one = turns(50, 100, 0, seed=[1, 2])
    assert (one[:50] != one[50:]).any()
    assert (one != turns(50, 100, 0, seed=[1, 3])).any()
    np.testing.assert_array_equal(one, turns(50, 100, 0, seed=[1, 2]))


@pytest.mark.parametrize(
    ("size", "count", "needed"), [(10, 4, 2), (10, 1, 1), (3, 10, 4), (7, 20, 4), (1, 5, 5)]
)
def test_as_many_passes_are_made_as_an_epoch_touches(size: int, count: int, needed: int):
    touched = [
        (first_turn(size, count, epoch)[1] + count - 1) // size + 1 for epoch in range(2 * size)
    ]
    assert passes_needed(size, count) == max(touched) == needed


# Through the pipelines.


def people_of(images: np.ndarray, labels: list[np.ndarray]) -> list[int]:
    """Which of the known pictures each row is."""
    known = np.stack(labels).astype(int)
    return [int(np.abs(known - image).mean(axis=(1, 2, 3)).argmin()) for image in images]


@pytest.fixture(scope="module")
def two_folders(tmp_path_factory: pytest.TempPathFactory, write_shards: Any) -> tuple[Path, Path]:
    """Three people in one shard, and nine in two."""
    root = tmp_path_factory.mktemp("mixture")
    write_shards(root / "few", "train", [3])
    write_shards(root / "many", "train", [4, 5], first=50)
    return root / "few", root / "many"


@pytest.mark.parametrize("way", ["tf.data", "loader"])
def test_folders_give_their_shares_of_every_epoch(
    two_folders: tuple[Path, Path], plain: Config, way: str
):
    if way == "tf.data":
        from hourglass.data.datasets import training_dataset as batches_of
        from hourglass.data.datasets import validation_dataset as in_order
    else:
        from hourglass.data.loader import training_batches as batches_of
        from hourglass.data.loader import validation_batches as in_order
    pattern = split_pattern({str(folder): 1.0 for folder in two_folders}, "train")
    known = [image for batch in in_order(list(pattern), plain) for image in np.asarray(batch[0])]
    found = [
        people_of(np.asarray(batch[0]), known) for batch in batches_of(pattern, plain, epochs=3)
    ]
    assert [len(batch) for batch in found] == [4] * 9
    counts = np.bincount(np.concatenate(found), minlength=12)
    assert counts.tolist() == [6] * 3 + [2] * 9
    for epoch in range(3):
        few = [
            person for batch in found[3 * epoch : 3 * epoch + 3] for person in batch if person < 3
        ]
        assert sorted(few) == [0, 0, 1, 1, 2, 2]
    assert found[:3] != found[3:6]
    later = batches_of(pattern, plain, epochs=1, first_epoch=2)
    assert [people_of(np.asarray(batch[0]), known) for batch in later] == found[6:]
