"""From records to examples in three steps.

*Plan* decides for a block of records at once what each crop shows and how it is changed, *render*
decodes and samples the pixels of a few people, *draw* makes a batch's heatmaps.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from hourglass.core.config import STRIDE, Config
from hourglass.core.geometry import (
    MAX_REDUCTION,
    apply_affine,
    pixels_per_crop_pixel,
    reduction,
    sample,
    to_grid,
    window,
    window_matrix,
)
from hourglass.core.heatmaps import encode_heatmaps
from hourglass.core.skeleton import MPII
from hourglass.data import augment
from hourglass.data.records import parse_examples

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
