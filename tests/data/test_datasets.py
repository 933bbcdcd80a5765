"""Batches by tf.data: orders that a seed decides, crops that none depends on, nobody lost."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from hourglass.core import geometry
from hourglass.core.config import Config, DataConfig, TrainConfig
from hourglass.core.person import Person
from hourglass.data import datasets
from hourglass.data.batches import InputClock, steps_per_epoch
from hourglass.data.datasets import training_dataset, validation_dataset
from hourglass.data.people import load_people
from hourglass.data.records import to_example

SIZE = 64


def batches(dataset: tf.data.Dataset) -> list[Any]:
    return list(dataset.as_numpy_iterator())


def rows(dataset: tf.data.Dataset) -> list[np.ndarray]:
    """Images, heatmaps and weights of all batches end to end."""
    return [np.concatenate(column) for column in zip(*batches(dataset), strict=True)]


def assert_equal(one: list[Any], other: list[Any]) -> None:
    assert len(one) == len(other)
    for left, right in zip(one, other, strict=True):
        for a, b in zip(left, right, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def numbered(
    tmp_path_factory: pytest.TempPathFactory,
    make_person: Callable[..., Person],
    to_jpeg_bytes: Callable[[np.ndarray], bytes],
) -> Path:
    """Four shards of 10, 10, 10 and 9 people, each of whom a plain picture's grey tells."""
    from hourglass.data.records import frame

    folder = tmp_path_factory.mktemp("numbered")
    number = 0
    for shard, count in enumerate((10, 10, 10, 9), start=1):
        with (folder / f"train_{shard:04d}_of_0004.tfrecords").open("wb") as file:
            for _ in range(count):
                picture = np.full((32, 32, 3), 6 * number, np.uint8)
                person = make_person(0, center=np.array([15.5, 15.5], np.float32), scale=0.1)
                encoded = to_jpeg_bytes(picture)
                file.write(frame(to_example(person, encoded=encoded, height=32, width=32)))
                number += 1
    return folder


@pytest.fixture
def numbered_config(plain: Config) -> Config:
    """Crops as small as can be."""
    return plain.replace("network.input_size", 8)


def order_of(folder: Path, config: Config, **choices: Any) -> list[int]:
    """The numbers of the people that a training dataset gives, in its order."""
    images, _, _ = rows(training_dataset(f"{folder}/train*", config, **choices))
    return [round(image.mean() / 6) for image in images]


# Training batches.


def test_training_batches_have_the_promised_shapes(shards: Path, config: Config):
    dataset = training_dataset(f"{shards}/train*", config, epochs=2)
    assert dataset.cardinality() == 6
    made = batches(dataset)
    assert len(made) == 6
    for image, heatmaps, weights in made:
        assert (image.shape, image.dtype) == ((4, SIZE, SIZE, 3), np.uint8)
        assert (heatmaps.shape, heatmaps.dtype) == ((4, 16, 16, 16), np.float32)
        assert (weights.shape, weights.dtype) == ((4, 16), np.float32)


def test_training_is_the_same_for_the_same_seed_and_another_for_another(
    shards: Path, config: Config
):
    one = batches(training_dataset(f"{shards}/train*", config))
    assert_equal(one, batches(training_dataset(f"{shards}/train*", config)))
    other = dataclasses.replace(config, train=dataclasses.replace(config.train, seed=4))
    different = batches(training_dataset(f"{shards}/train*", other))
    assert not np.array_equal(one[0][0], different[0][0])


def test_an_epoch_is_the_same_whichever_the_dataset_starts_at(shards: Path, config: Config):
    whole = batches(training_dataset(f"{shards}/train*", config, epochs=3))
    for first in (1, 2):
        rest = training_dataset(f"{shards}/train*", config, epochs=3 - first, first_epoch=first)
        assert_equal(batches(rest), whole[3 * first :])
    assert not np.array_equal(whole[0][0], whole[3][0])


@pytest.mark.parametrize("seed", [0, 12])  # 0 is a value of its own in TensorFlow
def test_training_does_not_depend_on_tensorflows_own_seed(
    numbered: Path, numbered_config: Config, seed: int
):
    expected = order_of(numbered, numbered_config)
    tf.random.set_seed(seed)
    try:
        assert order_of(numbered, numbered_config) == expected
    finally:
        tf.random.set_seed(None)


def test_every_epoch_has_every_person_once_but_for_the_remainder(
    numbered: Path, numbered_config: Config
):
    for epoch in range(3):
        order = order_of(numbered, numbered_config, first_epoch=epoch)
        assert len(order) == 36
        assert len(set(order)) == 36
        assert set(order) <= set(range(39))


def test_another_remainder_is_dropped_in_another_epoch(numbered: Path, numbered_config: Config):
    dropped = [
        frozenset(range(39)) - set(order_of(numbered, numbered_config, first_epoch=epoch))
        for epoch in range(4)
    ]
    assert len(set(dropped)) > 1


@pytest.mark.parametrize(
    "data", [{}, {"shuffle_buffer": 8}, {"read_shards": 1, "shuffle_buffer": 20}]
)
def test_people_are_shuffled_across_the_whole_epoch(
    numbered: Path, numbered_config: Config, data: dict[str, int]
):
    config = dataclasses.replace(numbered_config, data=DataConfig(**data))
    orders = [np.array(order_of(numbered, config, first_epoch=epoch)) for epoch in range(4)]
    for order in orders:
        # People that stood side by side are apart, and the file order is not to be seen.
        assert np.mean(np.diff(order) == 1) < 0.25
        assert len(set(order[:12] // 10)) > 1
        if not data:
            assert abs(np.corrcoef(order, np.arange(36))[0, 1]) < 0.6
    assert len({tuple(order) for order in orders}) == 4
    firsts = {int(order[0]) // 10 for order in orders}
    assert len(firsts) > 1


def test_shards_are_read_in_another_order_every_epoch(numbered: Path, numbered_config: Config):
    one_by_one = DataConfig(read_shards=1, shuffle_buffer=1)
    config = dataclasses.replace(numbered_config, data=one_by_one)
    orders = [order_of(numbered, config, first_epoch=epoch) for epoch in range(6)]
    assert len({tuple(number // 10 for number in order[::10]) for order in orders}) > 2


def test_a_person_looks_different_every_epoch(
    tmp_path: Path, config: Config, write_shards: Callable[..., list[Person]]
):
    write_shards(tmp_path, "train", [1])
    alone = dataclasses.replace(config, train=TrainConfig(batch_size=1))
    images, _, _ = rows(training_dataset(f"{tmp_path}/train*", alone, epochs=4))
    assert len({image.tobytes() for image in images}) == 4


def test_a_shuffle_holds_encoded_records(
    shards: Path, config: Config, monkeypatch: pytest.MonkeyPatch
):
    # Decoded pictures would fill the memory: the buffer's elements must be strings.
    seen = []
    original = tf.data.Dataset.shuffle

    def shuffle(self: tf.data.Dataset, *arguments: Any, **options: Any) -> tf.data.Dataset:
        seen.append(self.element_spec)
        return original(self, *arguments, **options)

    monkeypatch.setattr(tf.data.Dataset, "shuffle", shuffle)
    batches(training_dataset(f"{shards}/train*", config).take(1))
    assert seen
    assert all(spec == tf.TensorSpec((), tf.string) for spec in seen)


def test_fewer_people_than_a_batch_are_refused(shards: Path, config: Config):
    large = dataclasses.replace(config, train=TrainConfig(batch_size=14))
    with pytest.raises(ValueError, match=r"train\*: 13 people do not fill one batch of 14"):
        training_dataset(f"{shards}/train*", large)
    with pytest.raises(ValueError, match="0 people do not fill one batch of 1; choose a smaller"):
        steps_per_epoch(0, 1, "train*")
    assert steps_per_epoch(13, 4, "train*") == 3


@pytest.mark.parametrize("make", [training_dataset, validation_dataset, load_people])
def test_no_shards_are_refused(tmp_path: Path, make: Callable[..., Any]):
    with pytest.raises(ValueError, match=r"no shards match '.*/train\*'.*hourglass.build"):
        make(f"{tmp_path}/train*")


def test_the_clock_counts_waiting_and_changes_nothing(shards: Path, config: Config):
    clock = InputClock()
    plain = training_dataset(f"{shards}/train*", config)
    watched = training_dataset(f"{shards}/train*", config, clock=clock)
    assert watched.cardinality() == 3
    assert watched.element_spec == plain.element_spec
    assert clock.waited == 0
    assert_equal(batches(watched), batches(plain))
    assert clock.waited > 0


# Validation batches.


def test_validation_has_everybody_once_in_the_order_of_the_labels(
    shards: Path,
    config: Config,
    dotted_person: Callable[..., tuple[Person, np.ndarray]],
):
    dataset = validation_dataset(f"{shards}/validation*", config)
    assert dataset.cardinality() == 3
    assert {len(batch[0]) for batch in batches(dataset)} == {4}
    images, heatmaps, weights = rows(dataset)
    people = load_people(f"{shards}/validation*")
    assert len(people) == 9
    for index in range(9):
        person, picture = dotted_person(100 + index)
        assert people.filename[index] == person.filename
        np.testing.assert_array_equal(people.points[index], person.points)
        np.testing.assert_array_equal(people.labelled[index], person.labelled)
        np.testing.assert_array_equal(people.center[index], person.center)
        assert people.scale[index] == np.float32(person.scale)
        np.testing.assert_array_equal(weights[index], person.labelled)
        crop = geometry.crop(picture, person.center, person.scale, size=SIZE)
        assert np.square(images[index].astype(float) - crop).mean() < 20  # by JPEG
        np.testing.assert_array_equal(heatmaps[index].any(axis=(0, 1)), person.labelled)
    # The last batch is filled up with nobody.
    assert len(images) == 12
    assert not images[9:].any()
    assert not heatmaps[9:].any()
    assert not weights[9:].any()


@pytest.mark.parametrize(("batch_size", "count"), [(9, 1), (3, 3), (16, 1)])
def test_a_validation_batch_can_have_another_size(
    shards: Path, config: Config, batch_size: int, count: int
):
    made = batches(validation_dataset(f"{shards}/validation*", config, batch_size=batch_size))
    assert [len(batch[0]) for batch in made] == [batch_size] * count
    assert sum(batch[2].any(axis=1).sum() for batch in made) == 9


@pytest.mark.parametrize("batch_size", [2, 8, 9, 11, 16])
def test_people_look_the_same_in_batches_of_any_size(
    shards: Path, config: Config, batch_size: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(datasets, "BLOCK", 5)
    alone = rows(validation_dataset(f"{shards}/validation*", config, batch_size=1))
    together = rows(validation_dataset(f"{shards}/validation*", config, batch_size=batch_size))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other[:9])


def test_shards_without_people_are_refused(tmp_path: Path):
    (tmp_path / "validation_0001_of_0001.tfrecords").touch()
    with pytest.raises(ValueError, match=r"validation\*: the shards hold no people"):
        load_people(f"{tmp_path}/validation*")
