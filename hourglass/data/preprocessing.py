"""From records to crops and targets: `hourglass.data.crops`' steps as operations of TensorFlow."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from hourglass.core.config import Config
from hourglass.core.errors import InputError
from hourglass.core.geometry import MAX_REDUCTION
from hourglass.data import crops
from hourglass.data.records import parse_examples

Example = tuple[tf.Tensor, tf.Tensor, tf.Tensor]


class Crops(NamedTuple):
    """What becomes of N records: `crops.Plan` as tensors, and the pictures beside it.

    Attributes:
        encoded: (N,) string, the pictures as RGB JPEG.
        The others: As of `crops.Plan`.
    """

    encoded: tf.Tensor
    halvings: tf.Tensor
    window: tf.Tensor
    matrix: tf.Tensor
    colours: tf.Tensor
    style: tf.Tensor
    pasting: tf.Tensor
    hiding: tf.Tensor
    damages: tf.Tensor
    cells: tf.Tensor
    weights: tf.Tensor


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
            image (S, S, 3) uint8, heatmaps (S/4, S/4, J) float32, weights (J,) float32: 0 for
            joints without label.

        Raises:
            ValueError: If a training example has no seed.
        """
        if self._training and seed is None:
            raise InputError("training examples need a seed, a (2,) integer tensor")
        planned = self.plan(
            tf.zeros(2, tf.int64) if seed is None else seed, tf.expand_dims(serialized, 0)
        )
        image, heatmaps, weights = self.draw(*self.render(planned))
        return image[0], heatmaps[0], weights[0]

    def plan(self, seed: tf.Tensor, serialized: tf.Tensor) -> Crops:
        """Decides what the crops of N records show.

        Args:
            seed: (2,) int64, decides the augmentation of the whole block.
            serialized: (N,) string.
        """
        joints = len(self._config.skeleton.joints)
        person = parse_examples(serialized, joints=joints)
        planned = tf.numpy_function(
            self._plan,
            [seed, *(person[name] for name in crops.Labels._fields)],
            [tf.int32, tf.int32, *[tf.float64] * 6, tf.float32, tf.float32],
            stateful=False,
        )
        looks = [(3, 4), (3, 2), (5,), (3,), (2,)]
        shapes = [(), (4,), (2, 3), *looks, (joints, 2), (joints,)]
        for column, shape in zip(planned, shapes, strict=True):
            column.set_shape((serialized.shape[0], *shape))
        return Crops(person["encoded"], *planned)

    def _plan(self, seed: np.ndarray, *labels: np.ndarray) -> crops.Plan:
        return crops.plan(
            crops.Labels(*labels), self._config, seed=seed if self._training else None
        )

    def render(self, planned: Crops) -> Example:
        """The pixels of a few people: decodes the windows that their crops show, and samples them.

        Args:
            planned: Of K people, a number that the tensors' shapes tell.

        Returns:
            image (K, S, S, 3) uint8; the crops' cells and weights.
        """
        people = zip(
            *(tf.unstack(column) for column in (planned.encoded, planned.halvings, planned.window)),
            strict=True,
        )
        pictures = [_decode(*person) for person in people]
        # OpenCV is several times as fast as TensorFlow's own operations.
        image = tf.numpy_function(
            self._render,
            [*planned[1:], *pictures],
            tf.uint8,
            stateful=False,
        )
        shape = (len(pictures), self._size, self._size, 3)
        return tf.ensure_shape(image, shape), planned.cells, planned.weights

    def _render(self, *columns: np.ndarray) -> np.ndarray:
        plan = crops.Plan(*columns[: len(crops.Plan._fields)])
        pictures = columns[len(plan) :]
        images = np.empty((len(pictures), self._size, self._size, 3), np.uint8)
        for person, picture in enumerate(pictures):
            crops.render(picture, plan.of(person), out=images[person])
        return images

    def draw(self, image: tf.Tensor, cells: tf.Tensor, weights: tf.Tensor) -> Example:
        """The targets of one example or of a batch.

        Args:
            image: (..., S, S, 3) uint8.
            cells: (..., J, 2) float32, the joints on the heatmap grid.
            weights: (..., J) float32; joints of weight 0 are not drawn.

        Returns:
            image, heatmaps (..., S/4, S/4, J) float32, weights (..., J) float32.
        """
        heatmaps, kept = tf.numpy_function(
            lambda places, known: crops.draw(places, known, self._config),
            [cells, weights],
            [tf.float32, tf.float32],
            stateful=False,
        )
        size, joints = self._config.network.heatmap_size, weights.shape[-1]
        heatmaps = tf.ensure_shape(heatmaps, (*weights.shape[:-1], size, size, joints))
        return image, heatmaps, tf.ensure_shape(kept, weights.shape)


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
