"""From shards to batches: crop, augment, draw targets, shuffle, and never lose a person.

Three steps make an example: *plan* decides for a block of records at once what each crop shows
and how it is changed, *render* decodes and samples the pixels of a few people, *draw* makes a
batch's heatmaps. The operations themselves are level-1 rooms (`geometry`, `augment`, `heatmaps`,
`records`); here they are put together into `tf.data` pipelines.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from hourglass.core.config import STRIDE, Config
from hourglass.core.geometry import (
    MAX_REDUCTION,
    apply_affine,
    crop_side,
    pixels_per_crop_pixel,
    reduction,
    sample,
    sample_in_one_thread,
    to_grid,
    window,
    window_matrix,
)
from hourglass.core.heatmaps import encode_heatmaps
from hourglass.core.skeleton import MPII
from hourglass.data import augment
from hourglass.data.records import Person, parse_examples, to_example
from hourglass.data.shards import count_people, find_shards, naming_damage

BLOCK = 64
"""Records planned at once: enough that a plan costs next to nothing, little memory."""

TOGETHER = 8
"""People rendered by one call into Python at most: as many as divide the batch. More gain nothing;
one by one, as in batches of a large prime number, they take a sixth longer."""

Example = tuple[tf.Tensor, tf.Tensor, tf.Tensor]


class Crops(NamedTuple):
    """What becomes of N records.

    Attributes:
        encoded: (N,) string, the pictures as RGB JPEG.
        halvings: (N,) int32, how often each picture is halved while it is decoded, 0 to 3.
        window: (N, 4) int32, first pixel and extent (y, x, height, width) to be decoded, px of the
            halved picture.
        matrix: (N, 2, 3) float64 from the window to crop px.
        colours: (N, 3, 4) float64 as of `augment.tint`.
        hiding: (N, 3) float64 as of `augment.random_hiding`.
        cells: (N, 16, 2) float32, the joints on the heatmap grid.
        labelled: (N, 16) bool.
    """

    encoded: tf.Tensor
    halvings: tf.Tensor
    window: tf.Tensor
    matrix: tf.Tensor
    colours: tf.Tensor
    hiding: tf.Tensor
    cells: tf.Tensor
    labelled: tf.Tensor


class Preprocessor:
    """Turns records into what the network trains on.

    Args:
        config: Sizes, sigma and augmentation.
        training: Augment; otherwise the crop is exactly the person's ROI.
    """

    def __init__(self, config: Config, *, training: bool) -> None:
        self._config = config
        self._size = config.network.input_size
        self._training = training

    def __call__(self, serialized: tf.Tensor, seed: tf.Tensor | None = None) -> Example:
        """One example, to be looked at.

        Args:
            serialized: () string, a record.
            seed: (2,) int64, decides the augmentation; needed in training only.

        Returns:
            image (S, S, 3) uint8, heatmaps (S/4, S/4, 16) float32, weights (16,) float32: 1 for
            labelled joints, 0 for others.

        Raises:
            ValueError: If a training example has no seed.
        """
        if self._training and seed is None:
            raise ValueError("training examples need a seed, a (2,) integer tensor")
        crops = self.plan(
            tf.zeros(2, tf.int64) if seed is None else seed, tf.expand_dims(serialized, 0)
        )
        image, heatmaps, weights = self.draw(*self.render(crops))
        return image[0], heatmaps[0], weights[0]

    def plan(self, seed: tf.Tensor, serialized: tf.Tensor) -> Crops:
        """Decides what the crops of N records show.

        Args:
            seed: (2,) int64, decides the augmentation of the whole block.
            serialized: (N,) string.
        """
        person = parse_examples(serialized)
        planned = tf.numpy_function(
            self._plan,
            [
                seed,
                person["center"],
                person["scale"],
                person["points"],
                person["labelled"],
                person["height"],
                person["width"],
            ],
            [tf.int32, tf.int32, tf.float64, tf.float64, tf.float64, tf.float32, tf.bool],
            stateful=False,
        )
        joints = len(MPII.joints)
        shapes = [(), (4,), (2, 3), (3, 4), (3,), (joints, 2), (joints,)]
        for column, shape in zip(planned, shapes, strict=True):
            column.set_shape((serialized.shape[0], *shape))
        return Crops(person["encoded"], *planned)

    def _plan(
        self,
        seed: np.ndarray,
        center: np.ndarray,
        scale: np.ndarray,
        points: np.ndarray,
        labelled: np.ndarray,
        height: np.ndarray,
        width: np.ndarray,
    ) -> tuple[np.ndarray, ...]:
        if self._training:
            choices, rng = self._config.augment, np.random.default_rng(seed)
            matrix = augment.random_crop_matrices(
                center, scale, size=self._size, config=choices, rng=rng
            )
            matrix, points, labelled = augment.random_flip(
                matrix,
                points,
                labelled,
                size=self._size,
                skeleton=MPII,
                probability=choices.flip_probability,
                rng=rng,
            )
            colours = augment.random_tint(len(scale), config=choices, rng=rng)
            hiding = augment.random_hiding(
                len(scale), size=self._size, largest=choices.cutout, rng=rng
            )
        else:
            matrix = augment.crop_matrices(center, scale, size=self._size)
            colours = augment.tint(np.ones((len(scale), 3)), np.zeros(len(scale)))
            hiding = np.zeros((len(scale), 3))
        return (
            *plan_decoding(matrix, np.stack([height, width], axis=-1), size=self._size),
            colours,
            hiding,
            to_grid(apply_affine(matrix, points), STRIDE).astype(np.float32),
            labelled,
        )

    def render(self, crops: Crops) -> Example:
        """The pixels of a few people: decodes the windows that their crops show, and samples them.

        Args:
            crops: Of K people, a number that the tensors' shapes tell.

        Returns:
            image (K, S, S, 3) uint8; the crops' cells and labelled.
        """
        people = zip(
            *(tf.unstack(column) for column in (crops.encoded, crops.halvings, crops.window)),
            strict=True,
        )
        pictures = [_decode(*person) for person in people]
        # OpenCV is several times as fast as TensorFlow's own operations.
        image = tf.numpy_function(
            self._render,
            [crops.matrix, crops.colours, crops.hiding, *pictures],
            tf.uint8,
            stateful=False,
        )
        shape = (len(pictures), self._size, self._size, 3)
        return tf.ensure_shape(image, shape), crops.cells, crops.labelled

    def _render(
        self, matrix: np.ndarray, colours: np.ndarray, hiding: np.ndarray, *pictures: np.ndarray
    ) -> np.ndarray:
        images = np.empty((len(pictures), self._size, self._size, 3), np.uint8)
        for person, picture in enumerate(pictures):
            image = sample(picture, matrix[person], size=self._size)
            augment.colour(image, colours[person], out=images[person])
            augment.cutout(images[person], hiding[person])
        return images

    def draw(self, image: tf.Tensor, cells: tf.Tensor, labelled: tf.Tensor) -> Example:
        """The targets of one example or of a batch.

        Args:
            image: (..., S, S, 3) uint8.
            cells: (..., 16, 2) float32, the joints on the heatmap grid.
            labelled: (..., 16) bool.

        Returns:
            image, heatmaps (..., S/4, S/4, 16) float32, weights (..., 16) float32.
        """
        heatmaps = encode_heatmaps(
            cells,
            labelled,
            size=self._config.network.heatmap_size,
            sigma=self._config.data.sigma,
        )
        return image, heatmaps, tf.cast(labelled, tf.float32)


def _decode(encoded: tf.Tensor, halvings: tf.Tensor, window: tf.Tensor) -> tf.Tensor:
    """One person's part of a JPEG, (H, W, 3) uint8; the arguments as of `Crops`."""
    return tf.switch_case(
        halvings,
        [
            lambda ratio=2**number: tf.raw_ops.DecodeAndCropJpeg(
                contents=encoded, crop_window=window, channels=3, ratio=ratio
            )
            for number in range(MAX_REDUCTION.bit_length())
        ],
    )


def plan_decoding(
    matrix: np.ndarray, shape: np.ndarray, *, size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What to decode of JPEGs for their crops: no more than they show, nor more finely.

    Args:
        matrix: (N, 2, 3) from whole picture to crop px.
        shape: (N, 2) int, heights and widths of the whole pictures, px.
        size: Side of the crops, px.

    Returns:
        `Crops`' halvings (N,) int32, window (N, 4) int32 and matrix (N, 2, 3) float64.
    """
    factor = reduction(pixels_per_crop_pixel(matrix))
    first, extent = window(matrix, shape, size=size, factor=factor)
    return (
        np.log2(factor).astype(np.int32),
        np.concatenate([first, extent], axis=-1),
        window_matrix(matrix, first, factor),
    )


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
        people = parse_examples(serialized)
        return {key: people[key] for key in ("points", "labelled", "center", "scale", "filename")}

    blocks = tf.data.TFRecordDataset(paths).batch(BLOCK).map(labels)
    with naming_damage(paths):
        rows = list(blocks.as_numpy_iterator())
    if not rows:
        raise ValueError(f"{pattern}: the shards hold no people")
    columns = {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}
    return People(
        filename=tuple(name.decode() for name in columns.pop("filename")),
        **columns,
    )
