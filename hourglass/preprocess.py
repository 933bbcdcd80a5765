"""From shards to batches: crop, augment, draw targets, shuffle, and never lose a person.

The operations themselves are level-1 rooms (`geometry`, `augment`, `heatmaps`, `records`); here
they are put together into `tf.data` pipelines.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from hourglass import augment
from hourglass.config import STRIDE, Config
from hourglass.geometry import MAX_REDUCTION, from_grid, sample, to_grid
from hourglass.heatmaps import encode_heatmaps
from hourglass.records import parse_example
from hourglass.shards import count_people, find_shards, naming_damage
from hourglass.skeleton import MPII

STREAMS = 4
"""Kinds of augmentation that draw from each example's seed."""

WINDOW_MARGIN = 2
"""Pixels decoded around a crop's window: one for bilinear sampling, and one because the decoder
guesses the colour of a window's outermost pixels."""

Example = tuple[tf.Tensor, tf.Tensor, tf.Tensor]


class Preprocessor:
    """Turns a record into what the network trains on.

    Args:
        config: Sizes, sigma and augmentation.
        training: Augment; otherwise the crop is exactly the person's ROI.
    """

    def __init__(self, config: Config, *, training: bool) -> None:
        self._config = config
        self._training = training

    def __call__(self, serialized: tf.Tensor, seed: tf.Tensor | None = None) -> Example:
        """One example.

        Args:
            serialized: () string, a record.
            seed: (2,) int64, decides the augmentation; needed in training only.

        Returns:
            image (S, S, 3) uint8, heatmaps (S/4, S/4, 16) float32, weights (16,) float32: 1 for
            labelled joints, 0 for others.
        """
        person = parse_example(serialized)
        image, points = self._crop(person, seed)
        labelled = person["labelled"]
        if self._training:
            image, points, labelled = self._augment(image, points, labelled, seed)
        network = self._config.network
        heatmaps = encode_heatmaps(
            to_grid(points, STRIDE),
            labelled,
            size=network.heatmap_size,
            sigma=self._config.data.sigma,
        )
        return image, heatmaps, tf.cast(labelled, tf.float32)

    def _crop(
        self, person: dict[str, tf.Tensor], seed: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        size = self._config.network.input_size
        center, scale = person["center"], person["scale"]
        if self._training:
            matrix = augment.random_crop_matrix(
                center, scale, size=size, config=self._config.augment, seed=_stream(seed, 0)
            )
        else:
            matrix = augment.crop_matrix(center, scale, size=size)
        points = tf.linalg.matvec(matrix[:, :2], person["points"]) + matrix[:, 2]
        return decode_and_warp(person["encoded"], matrix, size=size), points

    def _augment(
        self, image: tf.Tensor, points: tf.Tensor, labelled: tf.Tensor, seed: tf.Tensor | None
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        choices = self._config.augment
        image, points, labelled = augment.random_flip(
            image,
            points,
            labelled,
            skeleton=MPII,
            probability=choices.flip_probability,
            seed=_stream(seed, 1),
        )
        image = augment.random_colour(image, config=choices, seed=_stream(seed, 2))
        if choices.cutout:
            image = augment.random_cutout(image, largest=choices.cutout, seed=_stream(seed, 3))
        return image, points, labelled


def _stream(seed: tf.Tensor | None, number: int) -> tf.Tensor:
    """A seed of its own for each kind of augmentation, so that they are independent."""
    if seed is None:
        raise ValueError("training examples need a seed, a (2,) integer tensor")
    return tf.stack([seed[0], seed[1] * STREAMS + number])


def decode_and_warp(encoded: tf.Tensor, matrix: tf.Tensor, *, size: int) -> tf.Tensor:
    """`geometry.warp` in TensorFlow, straight from a JPEG.

    Only the window that the crop shows is decoded, and a picture far larger than its crop is shrunk
    on the way, which averages where bilinear sampling would skip pixels.

    Args:
        encoded: () string, an RGB JPEG.
        matrix: (2, 3) float32 from picture to crop px.
        size: Side of the crop, px.

    Returns:
        (size, size, 3) uint8.
    """
    factors = [1, 2, 4, MAX_REDUCTION]
    shrinks = tf.sqrt(1 / tf.abs(tf.linalg.det(matrix[:, :2])))
    choice = tf.reduce_sum(tf.cast(shrinks >= tf.constant(factors[1:], tf.float32), tf.int32))
    factor = tf.gather(tf.constant(factors), choice)
    corner, extent = _window(tf.io.extract_jpeg_shape(encoded)[:2], matrix, factor, size)
    window = tf.concat([corner, extent], 0)
    picture = tf.switch_case(
        choice,
        [
            lambda ratio=ratio: tf.raw_ops.DecodeAndCropJpeg(
                contents=encoded, crop_window=window, channels=3, ratio=ratio
            )
            for ratio in factors
        ],
    )
    zoom = tf.cast(factor, tf.float32)
    origin = from_grid(tf.cast(corner[::-1], tf.float32), zoom)
    offset = tf.linalg.matvec(matrix[:, :2], origin) + matrix[:, 2]
    return _sample(picture, matrix[:, :2] * zoom, offset, size)


def _window(
    shape: tf.Tensor, matrix: tf.Tensor, factor: tf.Tensor, size: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """The part of a shrunk picture that a crop shows, and some pixels around it.

    Args:
        shape: (2,) int32, height and width of the whole picture, px.
        matrix: (2, 3) float32 from picture to crop px.
        factor: () int32 by which the picture shrinks.
        size: Side of the crop, px.

    Returns:
        Its first pixel and its extent, (2,) int32 (y, x) px of the shrunk picture; of a crop that
        shows nothing of the picture, one pixel at its border.
    """
    back = tf.linalg.inv(matrix[:, :2])
    last = float(size - 1)
    corners = tf.constant([[0.0, 0.0], [last, 0.0], [0.0, last], [last, last]])
    places = tf.linalg.matvec(back, corners - matrix[:, 2])[:, ::-1]
    cells = to_grid(places, tf.cast(factor, tf.float32))
    largest = (shape + factor - 1) // factor - 1
    # Far outside, a float would not fit into an integer.
    low, high = tf.reduce_min(cells, 0), tf.reduce_max(cells, 0)
    bound = tf.cast(largest, tf.float32)
    first = tf.cast(tf.clip_by_value(tf.floor(low) - WINDOW_MARGIN, 0.0, bound), tf.int32)
    end = tf.cast(tf.clip_by_value(tf.math.ceil(high) + WINDOW_MARGIN, 0.0, bound), tf.int32)
    return first, end - first + 1


def _sample(picture: tf.Tensor, linear: tf.Tensor, offset: tf.Tensor, size: int) -> tf.Tensor:
    """`geometry.sample`: OpenCV is several times as fast as TensorFlow's own operation."""
    matrix = tf.concat([linear, offset[:, None]], 1)
    crop = tf.numpy_function(
        lambda picture, matrix: sample(picture, matrix, size=size),
        [picture, matrix],
        tf.uint8,
        stateful=False,
    )
    return tf.ensure_shape(crop, (size, size, 3))


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

    def one_epoch(epoch: tf.Tensor) -> tf.data.Dataset:
        records = _shuffled_records(paths, config, epoch)
        kept = steps * batch_size
        return records.take(kept).enumerate(start=epoch * kept)

    preprocessor = Preprocessor(config, training=True)
    dataset = tf.data.Dataset.range(first_epoch, first_epoch + epochs).flat_map(one_epoch)
    dataset = dataset.map(
        lambda number, record: preprocessor(record, tf.stack([config.train.seed, number])),
        num_parallel_calls=tf.data.AUTOTUNE,
    )
    dataset = dataset.batch(batch_size, drop_remainder=True)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(steps * epochs))
    dataset = dataset.prefetch(tf.data.AUTOTUNE)
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
    batch_size = batch_size or config.train.batch_size
    preprocessor = Preprocessor(config, training=False)
    dataset = tf.data.TFRecordDataset(paths).map(
        preprocessor, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    )
    empty = tf.data.Dataset.from_tensors(
        tuple(tf.zeros(spec.shape, spec.dtype) for spec in dataset.element_spec)
    )
    people = count_people(paths)
    batches = -(-people // batch_size)
    padded = dataset.concatenate(empty.repeat(batches * batch_size - people))
    dataset = padded.batch(batch_size, drop_remainder=True)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(batches))
    return _with_options(dataset.prefetch(tf.data.AUTOTUNE))


def _with_options(dataset: tf.data.Dataset) -> tf.data.Dataset:
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return dataset.with_options(options)


@dataclass(frozen=True, eq=False)
class People:
    """The labels of many people.

    Attributes:
        points: (N, 16, 2) float32, 0-based px of the pictures.
        labelled: (N, 16) bool.
        center: (N, 2) float32 px.
        scale: (N,) float32.
        filename: N names.
    """

    points: np.ndarray
    labelled: np.ndarray
    center: np.ndarray
    scale: np.ndarray
    filename: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.scale)


def load_people(pattern: str) -> People:
    """All labels of the shards in `validation_dataset`'s order, without decoding a picture.

    Raises:
        ValueError: If no shard matches or one is damaged.
    """
    paths = find_shards(pattern)
    count_people(paths)

    def labels(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
        person = parse_example(serialized)
        return {key: person[key] for key in ("points", "labelled", "center", "scale", "filename")}

    with naming_damage(paths):
        rows = list(tf.data.TFRecordDataset(paths).map(labels).as_numpy_iterator())
    if not rows:
        raise ValueError(f"{pattern}: the shards hold no people")
    columns = {key: [row[key] for row in rows] for key in rows[0]}
    return People(
        filename=tuple(name.decode() for name in columns.pop("filename")),
        **{key: np.stack(values) for key, values in columns.items()},
    )
