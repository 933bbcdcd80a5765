"""The layers that every part of the network shares, in one precision and each with its own seed."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

from hourglass.core.config import NetworkConfig
from hourglass.networks.encoders import efficientnet_lite
from hourglass.networks.normalization import batch_normalization
from hourglass.networks.shifts import halving

BATCH_NORM: dict[str, Any] = {"momentum": 0.9, "epsilon": 1e-5}
"""The reference implementation's statistics: an average over about ten steps."""


LARGEST_SEED = 2**31 - 3
"""Beyond it some of Keras's backends overflow, and others repeat the numbers of small seeds."""


def residual(x: keras.KerasTensor, channels: int, blocks: Blocks) -> keras.KerasTensor:
    """A pre-activation bottleneck of half the width (He et al., ECCV 2016) beside a shortcut."""
    inner = blocks.conv(blocks.normalized(x), channels // 2, 1)
    inner = blocks.conv(blocks.normalized(inner), channels // 2, 3)
    inner = blocks.conv(blocks.normalized(inner), channels, 1)
    shortcut = x if x.shape[-1] == channels else blocks.conv(x, channels, 1)
    return blocks.add(shortcut, inner)


class Blocks:
    """Makes the layers that every part shares, in one precision and each with a seed of its own."""

    def __init__(
        self,
        config: NetworkConfig,
        precision: str,
        synchronized: bool,
        frozen_statistics: bool,
        fused: bool,
        shifted: bool,
        seed: int,
    ) -> None:
        self.config = config
        self._dtype = precision
        self._normalization = {"synchronized": synchronized, "fused": fused}
        self._frozen_statistics = frozen_statistics
        self._shifted = shifted
        self._seed = seed
        self._random = np.random.default_rng(seed)

    def encoder(self, images: keras.KerasTensor) -> list[keras.KerasTensor]:
        return efficientnet_lite(
            images,
            self.config.encoder,
            stages=self.config.encoder_stages,
            precision=self._dtype,
            frozen_statistics=self._frozen_statistics,
            shifted=self._shifted,
            seed=self._seed,
            **self._normalization,
        )

    def conv(
        self, x: keras.KerasTensor, channels: int, kernel: int, *, strides: int = 1
    ) -> keras.KerasTensor:
        start = keras.initializers.HeNormal(seed=self._layer_seed())
        return layers.Conv2D(
            channels,
            kernel,
            strides=strides,
            padding="same",
            kernel_initializer=start,
            dtype=self._dtype,
        )(x)

    def normalized(self, x: keras.KerasTensor) -> keras.KerasTensor:
        x = batch_normalization(**BATCH_NORM, **self._normalization, dtype=self._dtype)(x)
        return layers.ReLU(dtype=self._dtype)(x)

    def add(self, *terms: keras.KerasTensor) -> keras.KerasTensor:
        return layers.Add(dtype=self._dtype)(list(terms))

    def halved(self, x: keras.KerasTensor) -> keras.KerasTensor:
        return halving(shifted=self._shifted, dtype=self._dtype)(x)

    def transposed(self, x: keras.KerasTensor, channels: int) -> keras.KerasTensor:
        """Doubles the side by a transposed convolution."""
        start = keras.initializers.HeNormal(seed=self._layer_seed())
        return layers.Conv2DTranspose(
            channels,
            2,
            strides=2,
            padding="same",
            kernel_initializer=start,
            dtype=self._dtype,
        )(x)

    def concatenated(self, *terms: keras.KerasTensor) -> keras.KerasTensor:
        return layers.Concatenate(dtype=self._dtype)(list(terms))

    def doubled(self, x: keras.KerasTensor) -> keras.KerasTensor:
        return layers.UpSampling2D(2, interpolation="nearest", dtype=self._dtype)(x)

    def _layer_seed(self) -> int:
        return int(self._random.integers(LARGEST_SEED))

    def heatmaps(self, x: keras.KerasTensor, *, name: str) -> keras.KerasTensor:
        """Heatmaps in float32 whatever the precision, near zero at the start: most pixels are."""
        start = keras.initializers.RandomNormal(stddev=1e-3, seed=self._layer_seed())
        joints = self.config.joints
        return layers.Conv2D(joints, 1, kernel_initializer=start, dtype="float32", name=name)(x)
