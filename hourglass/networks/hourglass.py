"""The stacked hourglass network (Newell, Yang & Deng, ECCV 2016), in Keras on any backend.

Only layers live here: targets are `core.heatmaps`', the loss `networks.losses`'. The network takes
uint8 pictures and rescales them itself, so that nobody can feed it the wrong range.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

from hourglass.core.config import NetworkConfig, preset
from hourglass.networks.encoders import RESCALING, efficientnet_lite
from hourglass.networks.normalization import batch_normalization

BATCH_NORM: dict[str, Any] = {"momentum": 0.9, "epsilon": 1e-5}
"""The reference implementation's statistics: an average over about ten steps."""

LARGEST_SEED = 2**31 - 3
"""Beyond it some of Keras's backends overflow, and others repeat the numbers of small seeds."""


def build_network(
    config: NetworkConfig | str = "hg4",
    *,
    precision: str = "float32",
    synchronized: bool = False,
    frozen_statistics: bool = False,
    fused: bool = False,
    seed: int = 0,
) -> keras.Model:
    """Builds the network.

    Args:
        config: Its shape, or the name of a preset.
        precision: Keras dtype policy of all layers but the heatmaps, such as `mixed_bfloat16`.
        synchronized: Share BatchNorm's statistics between replicas (TensorFlow backend; on JAX a
            sharded batch's statistics are global already).
        frozen_statistics: Keep a pretrained encoder's BatchNorm statistics in training, too.
        fused: BatchNorm by a kernel made for training (`networks.normalization`): faster, but a
            network to be saved must do without.
        seed: Seed of the initial weights.

    Returns:
        A functional model from pictures (B, S, S, 3) uint8 to heatmaps (B, stacks, S/4, S/4, J)
        float32.

    Raises:
        ValueError: If no preset has that name.
    """
    if isinstance(config, str):
        config = preset(config).network
    blocks = _Blocks(config, precision, synchronized, frozen_statistics, fused, seed)

    images = keras.Input((config.input_size, config.input_size, 3), dtype="uint8", name="image")
    if config.encoder == "none":
        features = stem(images, blocks)
        inner = hourglass(features, config.depth, blocks)
    else:
        features = inner = pretrained_hourglass(images, blocks)
    outputs: list[keras.KerasTensor] = []
    for stack in range(1, config.stacks + 1):
        if stack > 1:
            features = blocks.add(
                features,
                blocks.conv(inner, config.channels, 1),
                blocks.conv(outputs[-1], config.channels, 1),
            )
            inner = hourglass(features, config.depth, blocks)
        inner = residual(inner, config.channels, blocks)
        inner = blocks.normalized(blocks.conv(inner, config.channels, 1))
        outputs.append(blocks.heatmaps(inner, name=f"heatmaps_{stack}"))
    return keras.Model(images, keras.ops.stack(outputs, axis=1), name="hourglass")


def last_stack(network: keras.Model) -> keras.Model:
    """What `build_network` built, giving the last stack's heatmaps alone, (B, S/4, S/4, J)."""
    stacks = network.output.shape[1]
    return keras.Model(network.input, network.get_layer(f"heatmaps_{stacks}").output)


def stem(images: keras.KerasTensor, blocks: _Blocks) -> keras.KerasTensor:
    """From a picture to features at a quarter of its side."""
    channels = blocks.config.channels
    x = layers.Rescaling(1 / 127.5, offset=-1.0, dtype="float32")(images)
    x = blocks.normalized(blocks.conv(x, channels // 4, 7, strides=2))
    x = residual(x, channels // 2, blocks)
    x = blocks.halved(x)
    x = residual(x, channels, blocks)
    return residual(x, channels, blocks)


def residual(x: keras.KerasTensor, channels: int, blocks: _Blocks) -> keras.KerasTensor:
    """A pre-activation bottleneck of half the width (He et al., ECCV 2016) beside a shortcut."""
    inner = blocks.conv(blocks.normalized(x), channels // 2, 1)
    inner = blocks.conv(blocks.normalized(inner), channels // 2, 3)
    inner = blocks.conv(blocks.normalized(inner), channels, 1)
    shortcut = x if x.shape[-1] == channels else blocks.conv(x, channels, 1)
    return blocks.add(shortcut, inner)


def hourglass(x: keras.KerasTensor, depth: int, blocks: _Blocks) -> keras.KerasTensor:
    """Halves the features `depth` times and comes back up, adding a side branch at every size."""
    channels = blocks.config.channels
    beside = residual(x, channels, blocks)
    below = residual(blocks.halved(x), channels, blocks)
    inner = hourglass(below, depth - 1, blocks) if depth > 1 else residual(below, channels, blocks)
    inner = residual(inner, channels, blocks)
    return blocks.add(beside, blocks.doubled(inner))


def pretrained_hourglass(images: keras.KerasTensor, blocks: _Blocks) -> keras.KerasTensor:
    """An hourglass whose way down, side branches included, is an EfficientNet-Lite.

    Each size's features come in through a 1×1 convolution, and the way up is `hourglass`'s own.
    """
    channels = blocks.config.channels
    rescaled = layers.Rescaling(**RESCALING, dtype="float32")(images)
    *beside, x = blocks.encoder(rescaled)
    x = residual(blocks.conv(x, channels, 1), channels, blocks)
    for features in reversed(beside):
        x = blocks.add(blocks.conv(features, channels, 1), blocks.doubled(x))
        x = residual(x, channels, blocks)
    return x


class _Blocks:
    """Makes the layers that every part shares, in one precision and each with a seed of its own."""

    def __init__(
        self,
        config: NetworkConfig,
        precision: str,
        synchronized: bool,
        frozen_statistics: bool,
        fused: bool,
        seed: int,
    ) -> None:
        self.config = config
        self._dtype = precision
        self._normalization = {"synchronized": synchronized, "fused": fused}
        self._frozen_statistics = frozen_statistics
        self._seed = seed
        self._random = np.random.default_rng(seed)

    def encoder(self, images: keras.KerasTensor) -> list[keras.KerasTensor]:
        return efficientnet_lite(
            images,
            self.config.encoder,
            precision=self._dtype,
            frozen_statistics=self._frozen_statistics,
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
        return layers.MaxPooling2D(2, dtype=self._dtype)(x)

    def doubled(self, x: keras.KerasTensor) -> keras.KerasTensor:
        return layers.UpSampling2D(2, interpolation="nearest", dtype=self._dtype)(x)

    def _layer_seed(self) -> int:
        return int(self._random.integers(LARGEST_SEED))

    def heatmaps(self, x: keras.KerasTensor, *, name: str) -> keras.KerasTensor:
        """Heatmaps in float32 whatever the precision, near zero at the start: most pixels are."""
        start = keras.initializers.RandomNormal(stddev=1e-3, seed=self._layer_seed())
        joints = self.config.joints
        return layers.Conv2D(joints, 1, kernel_initializer=start, dtype="float32", name=name)(x)
