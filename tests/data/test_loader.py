"""Batches without TensorFlow: the same as by tf.data, everybody once, damage named."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest

from hourglass.core.config import Config, TrainConfig
from hourglass.data import makers
from hourglass.data.batches import InputClock, Share
from hourglass.data.loader import Batches, training_batches, validation_batches
from hourglass.data.makers import Batch
from hourglass.data.people import load_people
from hourglass.data.records import frame, parse_example, read_example, to_example
from hourglass.data.shards import find_records, find_shards, shard_name

SIZE = 64


@pytest.fixture(scope="module")
def trained(shards: Path, config: Config) -> list[tuple[np.ndarray, ...]]:
    """Two epochs."""
    return list(training_batches(f"{shards}/train*", config, epochs=2))


def made_here(batches: Batches) -> list[Batch]:
    """All batches as processes make them, but in this one: a process takes a second to start."""
    files: dict[str, BinaryIO] = {}
    made = []
    for task in map(batches._task, range(len(batches))):
        shapes = makers._shapes(batches._config, batches._batch_size)
        batch = shapes.arrays(bytearray(b"\1" * shapes.size))
        people = [batches._places[one] for one in task.people]
        makers.make_batch(people, batches._config, task, out=batch, files=files)
        made.append(batch)
    for file in files.values():
        file.close()
    return made


def assert_same_pictures(ours: np.ndarray, theirs: np.ndarray):
    """Up to what two JPEG decoders differ in."""
    difference = np.abs(ours.astype(int) - theirs)
    assert difference.max() <= 12
    assert difference.mean() < 0.5


def serialized_records(shards: Path, split: str) -> Iterator[bytes]:
    for place in find_records(find_shards(f"{shards}/{split}*")):
        with Path(place.path).open("rb") as file:
            file.seek(place.start)
            yield file.read(place.length)


def test_records_are_read_as_by_tensorflow(shards: Path):
    import tensorflow as tf

    for serialized in serialized_records(shards, "train"):
        ours, theirs = read_example(serialized), parse_example(tf.constant(serialized), joints=16)
        for name in ("filename", "points", "visibility", "center", "scale", "source"):
            value = getattr(ours.person, name)
            expected = theirs[name].numpy()
            np.testing.assert_array_equal(
                value.encode() if isinstance(value, str) else value, expected
            )
            if name in ("points", "center"):
                assert value.dtype == expected.dtype
        assert ours.encoded == theirs["encoded"].numpy()
        assert (ours.height, ours.width) == (theirs["height"].numpy(), theirs["width"].numpy())


def test_validation_is_what_tensorflow_makes_of_it(shards: Path, config: Config):
    from hourglass.data.datasets import validation_dataset

    ours = list(validation_batches(f"{shards}/validation*", config))
    theirs = list(validation_dataset(f"{shards}/validation*", config).as_numpy_iterator())
    assert len(ours) == len(theirs) == 3
    people = len(load_people(f"{shards}/validation*"))
    images = [np.concatenate([batch[0] for batch in side])[:people] for side in (ours, theirs)]
    assert_same_pictures(*images)
    for (_, heatmaps, weights), (_, other_heatmaps, other_weights) in zip(
        ours, theirs, strict=True
    ):
        np.testing.assert_array_equal(heatmaps, other_heatmaps)
        np.testing.assert_array_equal(weights, other_weights)
    assert not ours[-1][0][people % 4 :].any()


def test_batches_have_shapes_and_everybody_once_an_epoch(shards: Path, plain: Config):
    batches = training_batches(f"{shards}/train*", plain, epochs=2)
    assert len(batches) == 6
    made = made_here(batches)
    for image, heatmaps, weights in made:
        assert (image.shape, image.dtype) == ((4, SIZE, SIZE, 3), np.uint8)
        assert (heatmaps.shape, heatmaps.dtype) == ((4, 16, 16, 16), np.float32)
        assert (weights.shape, weights.dtype) == ((4, 16), np.float32)
    images = np.concatenate([image for image, _, _ in made])
    epochs = images.reshape(2, 12, -1)
    for epoch in epochs:
        assert len(np.unique(epoch, axis=0)) == 12
    assert (epochs[0] != epochs[1]).any()


def test_the_same_seed_makes_the_same_batches_with_any_number_of_processes(
    shards: Path, config: Config, trained: list[tuple[np.ndarray, ...]]
):
    again = training_batches(f"{shards}/train*", config, epochs=2)
    assert isinstance(again, Batches)
    again._processes = 1
    for one, other in zip(trained, again, strict=True):
        for array, same in zip(one, other, strict=True):
            np.testing.assert_array_equal(array, same)
    changed = dataclasses.replace(config, train=TrainConfig(batch_size=4, seed=4))
    other = made_here(training_batches(f"{shards}/train*", changed))[0]
    assert (other[0] != trained[0][0]).any()


def test_a_resumed_training_goes_on_with_the_second_epochs_batches(
    shards: Path, config: Config, trained: list[tuple[np.ndarray, ...]]
):
    resumed = training_batches(f"{shards}/train*", config, epochs=1, first_epoch=1)
    for one, other in zip(trained[3:], made_here(resumed), strict=True):
        np.testing.assert_array_equal(one[0], other[0])


def test_any_batch_may_be_asked_for(
    shards: Path, config: Config, trained: list[tuple[np.ndarray, ...]]
):
    batches = training_batches(f"{shards}/train*", config, epochs=2)
    for number in (0, 1, 0, 1, 2, 5, 3):
        np.testing.assert_array_equal(batches[number][0], trained[number][0])
    with pytest.raises(IndexError, match="batch 6 of 6"):
        batches[6]


def test_a_batch_is_not_changed_by_those_that_follow(shards: Path, config: Config):
    batches = training_batches(f"{shards}/train*", config, epochs=4)
    first = batches[0][0]
    kept = first.copy()
    for number in range(1, len(batches)):
        batches[number]
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("count", [2, 4])
def test_shares_are_the_rows_of_one_processs_batches(
    shards: Path, config: Config, trained: list[tuple[np.ndarray, ...]], count: int
):
    """The same people with the same augmentation, though 13 do not divide equally."""
    shares = [
        made_here(training_batches(f"{shards}/train*", config, epochs=2, share=Share(index, count)))
        for index in range(count)
    ]
    for whole, *parts in zip(trained, *shares, strict=True):
        for array, rows in zip(whole, zip(*parts, strict=True), strict=True):
            np.testing.assert_array_equal(array, np.concatenate(rows))


def test_validation_shares_hold_everybody_once(shards: Path, config: Config):
    """The last of three batches holds one of nine people: other shares' rows are empty."""
    whole = made_here(validation_batches(f"{shards}/validation*", config))
    shares = [
        made_here(validation_batches(f"{shards}/validation*", config, share=Share(index, 4)))
        for index in range(4)
    ]
    for arrays, *parts in zip(whole, *shares, strict=True):
        for array, rows in zip(arrays, zip(*parts, strict=True), strict=True):
            np.testing.assert_array_equal(array, np.concatenate(rows))


@pytest.mark.parametrize("shares", [{}, {"train": 0.5, "validation": 0.5}])
def test_a_share_reads_its_part_of_the_shards(
    shards: Path, config: Config, shares: dict[str, float]
):
    """What one process reads in all epochs hardly overlaps with what another one reads."""
    weighed = {f"{shards}/{split}*": share for split, share in shares.items()}
    pattern = weighed or f"{shards}/train*"
    read = []
    for index in range(2):
        batches = training_batches(pattern, config, epochs=20, share=Share(index, 2))
        tasks = [batches._task(number) for number in range(len(batches))]
        assert {task.rows for task in tasks} == {4}
        assert {task.first for task in tasks} == {2 * index}
        read.append({person for task in tasks for person in task.people})
    assert len(read[0] & read[1]) <= 4
    assert read[0] | read[1] == set(range(13 + 9 * bool(shares)))


def test_the_clock_counts_waiting(shards: Path, config: Config):
    clock = InputClock()
    batches = training_batches(f"{shards}/train*", config, clock=clock)
    assert clock.waited == 0
    batches[0]
    assert clock.waited > 0


def test_too_few_people_for_a_batch_are_refused(shards: Path):
    with pytest.raises(ValueError, match="13 people do not fill one batch of 16"):
        training_batches(f"{shards}/train*")


@pytest.mark.parametrize("make", [training_batches, validation_batches])
def test_no_shards_are_refused(tmp_path: Path, make: Callable[..., Any]):
    with pytest.raises(ValueError, match=r"no shards match '.*/train\*'"):
        make(f"{tmp_path}/train*")


def test_a_damaged_record_is_named(damaged_shards: Callable[[str, str], Path], config: Config):
    folder = damaged_shards("validation", "damaged")
    with pytest.raises(
        ValueError, match=rf"{shard_name('validation', 2, 2)}: record \d is damaged"
    ):
        list(validation_batches(f"{folder}/validation*", config))


@pytest.mark.parametrize(
    ("serialized", "problem"),
    [
        (b"\n\x0b\n\t\n\x01x\x12\x04\x1a\x02\n\x00", ", 'image/encoded' is missing"),
        (b"\x0a\x7f\x00", r" \(cut off\)"),
        (b"\x08\x01", r" \(field of kind 0 at byte 0\)"),
    ],
)
def test_a_record_of_another_schema_is_refused(serialized: bytes, problem: str):
    with pytest.raises(ValueError, match=f"records of another schema{problem}"):
        read_example(serialized)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory, dotted_person: Any, to_jpeg_bytes: Any) -> Path:
    """Four people of two sources, whose joints count 0.5."""
    folder = tmp_path_factory.mktemp("mixed")
    with (folder / shard_name("train", 1, 1)).open("wb") as file:
        for number in range(4):
            person, picture = dotted_person(
                number,
                source="teachers" if number % 2 else "mpii",
                weights=np.full(16, 0.5, np.float32),
            )
            encoded, (height, width) = to_jpeg_bytes(picture), picture.shape[:2]
            file.write(frame(to_example(person, encoded=encoded, height=height, width=width)))
    return folder


@pytest.mark.parametrize("way", ["loader", "tf.data"])
def test_sources_count_in_training_as_they_are_told(mixed: Path, config: Config, way: str):
    from hourglass.data.datasets import training_dataset, validation_dataset

    both: tuple[Any, Any] = (training_batches, validation_batches)
    if way == "tf.data":
        both = training_dataset, validation_dataset
    weighed = config.replace("data.source_weights", "teachers=0.3,mpii=4")
    ((_, _, weights),) = (
        tuple(map(np.asarray, one)) for one in both[0](f"{mixed}/train*", weighed)
    )
    counts = [sorted({*row.tolist()}) for row in weights]
    expected = [[0, pytest.approx(0.15)]] * 2 + [[0, 2]] * 2
    assert sorted(counts) == expected
    ((_, _, weights),) = (
        tuple(map(np.asarray, one)) for one in both[1](f"{mixed}/train*", weighed)
    )
    assert {*weights.ravel().tolist()} == {0, 0.5}
