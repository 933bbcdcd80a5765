"""From shards to batches: crop, augment, draw targets, shuffle, and never lose a person.

Three steps make an example: *plan* decides for a block of records at once what each crop shows
and how it is changed, *render* decodes and samples the pixels of a few people, *draw* makes a
batch's heatmaps. The operations themselves are level-1 rooms (`geometry`, `augment`, `heatmaps`,
`records`); here they are put together into `tf.data` pipelines.
"""

from __future__ import annotations

import time

import numpy as np
import tensorflow as tf

from hourglass.core.config import Config
from hourglass.core.geometry import crop_side, sample_in_one_thread
from hourglass.core.person import Person
from hourglass.core.skeleton import MPII
from hourglass.data.crops import Example, Preprocessor
from hourglass.data.records import to_example
from hourglass.data.shards import count_people, find_shards

BLOCK = 64
"""Records planned at once: enough that a plan costs next to nothing, little memory."""

TOGETHER = 8
"""People rendered by one call into Python at most: as many as divide the batch. More gain nothing;
one by one, as in batches of a large prime number, they take a sixth longer."""


class InputClock:
    """Adds up the seconds that a dataset's consumer waits for its batches."""

    def __init__(self) -> None:
        self.waited = 0.0
        self._asked = 0.0

    def watch(self, dataset: tf.data.Dataset) -> tf.data.Dataset:
        """`dataset`, unchanged but for the clock beside it."""
        asks = tf.data.Dataset.counter().map(
            lambda _: tf.numpy_function(self._start, [], tf.bool, stateful=True)
        )

        def stop(_: tf.Tensor, example: Example) -> Example:
            with tf.control_dependencies([tf.numpy_function(self._stop, [], tf.bool)]):
                image, heatmaps, weights = example
                return tf.identity(image), heatmaps, weights

        return tf.data.Dataset.zip((asks, dataset)).map(stop)

    def _start(self) -> np.bool_:
        self._asked = time.perf_counter()
        return np.bool_(True)

    def _stop(self) -> np.bool_:
        self.waited += time.perf_counter() - self._asked
        return np.bool_(True)


def training_dataset(
    pattern: str,
    config: Config | None = None,
    *,
    epochs: int = 1,
    first_epoch: int = 0,
    clock: InputClock | None = None,
) -> tf.data.Dataset:
    """Shuffled, augmented batches; what does not fill a batch at an epoch's end is dropped.

    Every epoch reads the shards in an order of its own, side by side, through a buffer of encoded
    records, and is the same for the same seed whichever epoch the dataset starts at.

    Args:
        pattern: Glob of the shards, such as `tfrecords/train*`.
        config: All choices; the batch size and the seed are the `train` section's.
        epochs: How many epochs the dataset lasts.
        first_epoch: The first one's number, when training is resumed.
        clock: Measures the wait for batches.

    Returns:
        Batches of image (B, S, S, 3) uint8, heatmaps (B, S/4, S/4, 16) and weights (B, 16) float32.

    Raises:
        ValueError: If no shard matches, one is damaged, or there are fewer people than a batch.
    """
    config = config or Config()
    paths = find_shards(pattern)
    batch_size = config.train.batch_size
    steps = steps_per_epoch(count_people(paths), batch_size, pattern)

    preprocessor = Preprocessor(config, training=True)
    kept = steps * batch_size

    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        blocks = _shuffled_records(paths, config, epoch).take(kept).batch(BLOCK)
        numbered = blocks.enumerate(start=epoch * kept)
        return numbered.map(
            lambda number, records: preprocessor.plan(
                tf.stack([tf.constant(config.train.seed, tf.int64), number]), records
            )
        )

    planned = tf.data.Dataset.range(first_epoch, first_epoch + epochs).flat_map(one_epoch)
    dataset = _batches(planned, preprocessor, batch_size=batch_size, count=steps * epochs)
    return _with_options(clock.watch(dataset) if clock else dataset)


def steps_per_epoch(people: int, batch_size: int, pattern: str) -> int:
    """Whole batches in an epoch.

    Raises:
        ValueError: If there is none.
    """
    if people < batch_size:
        raise ValueError(
            f"{pattern}: {people} people do not fill one batch of {batch_size}; "
            "choose a smaller batch size"
        )
    return people // batch_size


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
    pattern: str, config: Config | None = None, *, batch_size: int | None = None
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
    config = config or Config()
    paths = find_shards(pattern)
    people = count_people(paths)
    batch_size = batch_size or config.train.batch_size
    count = -(-people // batch_size)

    preprocessor = Preprocessor(config, training=False)
    no_seed = tf.zeros(2, tf.int64)
    nobody = tf.data.Dataset.from_tensors(_nobody()).repeat(count * batch_size - people)
    planned = (
        tf.data.TFRecordDataset(paths)
        .concatenate(nobody)
        .batch(BLOCK)
        .map(lambda records: preprocessor.plan(no_seed, records))
    )
    return _with_options(_batches(planned, preprocessor, batch_size=batch_size, count=count))


def _nobody() -> bytes:
    """A record of a black crop without a person."""
    side = 16
    joints = len(MPII.joints)
    person = Person(
        filename="",
        points=np.full((joints, 2), -1, np.float32),
        labelled=np.zeros(joints, bool),
        center=np.full(2, side / 2, np.float32),
        scale=side / 2 / float(crop_side(1)),
    )
    black = tf.io.encode_jpeg(tf.zeros((side, side, 3), tf.uint8)).numpy()
    return to_example(person, encoded=black, height=side, width=side)


def _batches(
    planned: tf.data.Dataset, preprocessor: Preprocessor, *, batch_size: int, count: int
) -> tf.data.Dataset:
    """Batches of planned crops, in their order.

    Args:
        planned: Blocks of `Crops`, together `count` batches.
        preprocessor: Renders and draws them.
        batch_size: People in a batch.
        count: How many batches there are.
    """
    sample_in_one_thread()
    together = next(few for few in range(TOGETHER, 0, -1) if batch_size % few == 0)
    rendered = planned.rebatch(together, drop_remainder=True).map(
        preprocessor.render, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    dataset = rendered.rebatch(batch_size, drop_remainder=True).map(preprocessor.draw)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(count))
    return dataset.prefetch(tf.data.AUTOTUNE)


def _with_options(dataset: tf.data.Dataset) -> tf.data.Dataset:
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return dataset.with_options(options)
