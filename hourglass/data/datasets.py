"""From shards to batches by tf.data: shuffled or in order, on all cores, never losing a person.

How a record becomes what the network trains on is `hourglass.data.preprocessing`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from hourglass.core.config import Config
from hourglass.core.geometry import crop_side, sample_in_one_thread
from hourglass.core.person import NOT_LABELLED, Person
from hourglass.core.processor import take_memory_as_needed
from hourglass.data import crops
from hourglass.data.batches import InputClock, OwnAugmentation, TargetChange, steps_per_epoch
from hourglass.data.mixture import (
    Pattern,
    describe,
    first_turn,
    passes_needed,
    turns_of_parts,
)
from hourglass.data.preprocessing import Example, Preprocessor
from hourglass.data.records import to_example
from hourglass.data.shards import count_people, find_shards

BLOCK = 64
"""Records planned at once: enough that a plan costs next to nothing, little memory."""

TOGETHER = 8
"""People rendered by one call into Python at most: as many as divide the batch. More gain nothing;
one by one, as in batches of a large prime number, they take a sixth longer."""


def training_dataset(
    pattern: Pattern,
    config: Config | None = None,
    *,
    epochs: int = 1,
    first_epoch: int = 0,
    clock: InputClock | None = None,
    change: OwnAugmentation | None = None,
    teacher: TargetChange | None = None,
) -> tf.data.Dataset:
    """Shuffled, augmented batches; what does not fill a batch at an epoch's end is dropped.

    Every epoch reads the shards in an order of its own, side by side, through a buffer of encoded
    records, and is the same for the same seed whichever epoch the dataset starts at.

    Args:
        pattern: Glob of the shards, such as `tfrecords/train*`; several; or several with the share
            of each in an epoch, by which people come several times or take turns.
        config: All choices; the batch size and the seed are the `train` section's.
        epochs: How many epochs the dataset lasts.
        first_epoch: The first one's number, when training is resumed.
        clock: Measures the wait for batches.
        change: What a program does to the crops besides.
        teacher: Changes the targets.

    Returns:
        Batches of image (B, S, S, 3) uint8, heatmaps (B, S/4, S/4, J) and weights (B, J) float32.

    Raises:
        ValueError: If no shard matches, one is damaged, or there are fewer people than a batch.
    """
    take_memory_as_needed()
    config = config or Config()
    paths = find_shards(pattern)
    crops.require_stored(paths, config)
    batch_size = config.train.batch_size
    steps = steps_per_epoch(count_people(paths), batch_size, describe(pattern))

    preprocessor = Preprocessor(config, training=True)
    kept = steps * batch_size
    parts = _parts(pattern, people=kept) if isinstance(pattern, Mapping) else []

    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        records = (
            _mixed_records(parts, config, epoch)
            if parts
            else _shuffled_records(paths, config, epoch).take(kept)
        )
        numbered = records.batch(BLOCK).enumerate(start=epoch * kept)
        return numbered.map(
            lambda number, records: preprocessor.plan(
                tf.stack([tf.constant(config.train.seed, tf.int64), number]), records
            )
        )

    planned = tf.data.Dataset.range(first_epoch, first_epoch + epochs).flat_map(one_epoch)
    count = steps * epochs
    dataset = _batches(
        planned, preprocessor, batch_size=batch_size, count=count, change=change, teacher=teacher
    )
    return _with_options(_watched(dataset, clock) if clock else dataset)


class _Part(NamedTuple):
    """One of several patterns: its shards, people in them, and people that an epoch takes."""

    paths: list[str]
    size: int
    turns: int


def _parts(shares: Mapping[str, float], *, people: int) -> list[_Part]:
    counts = turns_of_parts(shares, people)
    found = [find_shards(pattern) for pattern in shares]
    return [
        _Part(paths, count_people(paths), count) for paths, count in zip(found, counts, strict=True)
    ]


def _mixed_records(parts: list[_Part], config: Config, epoch: tf.Tensor) -> tf.data.Dataset:
    """An epoch's records: of each part those whose turn it is, in a random order of parts."""

    def shuffled(number: int, part: _Part) -> tf.data.Dataset:
        # Every pass over every part has an order of its own.
        first, skipped = first_turn(part.size, part.turns, epoch)
        passes = tf.data.Dataset.range(first, first + passes_needed(part.size, part.turns))
        records = passes.flat_map(
            lambda one: _shuffled_records(part.paths, config, one * len(parts) + number)
        )
        return records.skip(skipped).take(part.turns)

    numbers = np.repeat(np.arange(len(parts)), [part.turns for part in parts])
    seed = tf.stack([tf.constant(config.train.seed, tf.int64), epoch])
    order = tf.random.experimental.stateless_shuffle(numbers, seed=seed)
    return tf.data.Dataset.choose_from_datasets(
        [shuffled(number, part) for number, part in enumerate(parts)],
        tf.data.Dataset.from_tensor_slices(order),
        stop_on_empty_dataset=False,
    )


def _watched(dataset: tf.data.Dataset, clock: InputClock) -> tf.data.Dataset:
    """`dataset`, unchanged but for the clock beside it."""

    def called(method: Callable[[], None]) -> tf.Tensor:
        def run() -> np.bool_:
            method()
            return np.bool_(True)

        return tf.numpy_function(run, [], tf.bool, stateful=True)

    asks = tf.data.Dataset.counter().map(lambda _: called(clock.start))

    def stop(_: tf.Tensor, example: Example) -> Example:
        with tf.control_dependencies([called(clock.stop)]):
            image, heatmaps, weights = example
            return tf.identity(image), heatmaps, weights

    return tf.data.Dataset.zip((asks, dataset)).map(stop)


def _shuffled_records(paths: list[str], config: Config, epoch: tf.Tensor) -> tf.data.Dataset:
    # TensorFlow would mix its global seed into the order, and fails where one is a tensor.
    tf.compat.v1.set_random_seed(None)
    seed = tf.stack([tf.constant(config.train.seed, tf.int64), epoch])
    order = tf.random.experimental.stateless_shuffle(paths, seed=seed)
    records = tf.data.Dataset.from_tensor_slices(order).interleave(
        tf.data.TFRecordDataset,
        cycle_length=min(config.data.read_shards, len(paths)),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    return records.shuffle(
        config.data.shuffle_buffer,
        seed=tf.random.stateless_uniform((), seed, maxval=2**31, dtype=tf.int64),
        reshuffle_each_iteration=False,
    )


def validation_dataset(
    pattern: Pattern, config: Config | None = None, *, batch_size: int | None = None
) -> tf.data.Dataset:
    """Batches in the shards' own order, the last one filled up with examples of zero weight.

    Args:
        pattern: Glob of the shards, such as `tfrecords/validation*`.
        config: All choices.
        batch_size: Default: the `train` section's.

    Returns:
        Batches as `training_dataset`'s, all of the same size. Row i of their concatenation is
        person i of `load_people`; rows beyond the last person are empty.

    Raises:
        ValueError: If no shard matches or one is damaged.
    """
    take_memory_as_needed()
    config = config or Config()
    paths = find_shards(pattern)
    people = count_people(paths)
    batch_size = batch_size or config.train.batch_size
    count = -(-people // batch_size)

    preprocessor = Preprocessor(config, training=False)
    no_seed = tf.zeros(2, tf.int64)
    nobody = tf.data.Dataset.from_tensors(_nobody(config)).repeat(count * batch_size - people)
    planned = (
        tf.data.TFRecordDataset(paths)
        .concatenate(nobody)
        .batch(BLOCK)
        .map(lambda records: preprocessor.plan(no_seed, records))
    )
    return _with_options(_batches(planned, preprocessor, batch_size=batch_size, count=count))


def _nobody(config: Config) -> bytes:
    """A record of a black crop without a person."""
    side = 16
    joints = len(config.skeleton.joints)
    person = Person(
        filename="",
        points=np.full((joints, 2), -1, np.float32),
        visibility=np.full(joints, NOT_LABELLED, np.uint8),
        center=np.full(2, side / 2, np.float32),
        scale=side / 2 / float(crop_side(1)),
    )
    black = tf.io.encode_jpeg(tf.zeros((side, side, 3), tf.uint8)).numpy()
    return to_example(person, encoded=black, height=side, width=side)


def _batches(
    planned: tf.data.Dataset,
    preprocessor: Preprocessor,
    *,
    batch_size: int,
    count: int,
    change: OwnAugmentation | None = None,
    teacher: TargetChange | None = None,
) -> tf.data.Dataset:
    """Batches of planned crops, in their order.

    Args:
        planned: Blocks of `Crops`, together `count` batches.
        preprocessor: Renders and draws them.
        batch_size: People in a batch.
        count: How many batches there are.
        change: What a program does to a batch's crops.
        teacher: Changes a batch's targets.
    """
    sample_in_one_thread()
    together = next(few for few in range(TOGETHER, 0, -1) if batch_size % few == 0)
    rendered = planned.rebatch(together, drop_remainder=True).map(
        preprocessor.render, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    rendered = rendered.rebatch(batch_size, drop_remainder=True)
    if change:
        rendered = _changed(rendered, change)
    dataset = rendered.map(preprocessor.draw)
    if teacher:
        dataset = _taught(dataset, teacher)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(count))
    return dataset.prefetch(tf.data.AUTOTUNE)


def _changed(rendered: tf.data.Dataset, change: OwnAugmentation) -> tf.data.Dataset:
    """Rendered batches whose crops a program has changed, in their order, one at a time."""

    def run(image: tf.Tensor, *labels: tf.Tensor) -> tuple[tf.Tensor, ...]:
        # What TensorFlow hands out may be read only.
        changed = tf.numpy_function(lambda crops: change(crops.copy()), [image], tf.uint8)
        return tf.ensure_shape(changed, image.shape), *labels

    return rendered.map(run)


def _taught(dataset: tf.data.Dataset, teacher: TargetChange) -> tf.data.Dataset:
    """Batches whose targets a teacher has changed, in their order, one at a time."""

    def run(image: tf.Tensor, heatmaps: tf.Tensor, weights: tf.Tensor) -> Example:
        targets, counts = tf.numpy_function(
            teacher, [image, heatmaps, weights], [tf.float32, tf.float32]
        )
        return (
            image,
            tf.ensure_shape(targets, heatmaps.shape),
            tf.ensure_shape(counts, weights.shape),
        )

    return dataset.map(run)


def _with_options(dataset: tf.data.Dataset) -> tf.data.Dataset:
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return dataset.with_options(options)
