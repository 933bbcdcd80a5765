"""The stacked hourglass network (Newell, Yang & Deng, ECCV 2016), in Keras on any backend.

Only layers live here: targets are `hourglass.heatmaps`', the loss `hourglass.losses`'. The network
takes uint8 pictures and rescales them itself, so that nobody can feed it the wrong range.
"""

from __future__ import annotations

import itertools

import keras
from keras import layers

from hourglass.config import NetworkConfig, preset

BATCH_NORM = {"momentum": 0.9, "epsilon": 1e-5}
"""The reference implementation's statistics: an average over about ten steps."""

SEEDS_PER_NETWORK = 10_000
"""More than any network has layers, so that networks of different seeds share none."""


def build_network(
    config: NetworkConfig | str = "hg4",
    *,
    precision: str = "float32",
    synchronized: bool = False,
    seed: int = 0,
) -> keras.Model:
    """Builds the network.

    Args:
        config: Its shape, or the name of a preset.
        precision: Keras dtype policy of all layers but the heatmaps, such as `mixed_bfloat16`.
        synchronized: Share BatchNorm's statistics between replicas (TensorFlow backend; on JAX a
            sharded batch's statistics are global already).
        seed: Seed of the initial weights.

    Returns:
        A functional model from pictures (B, S, S, 3) uint8 to heatmaps (B, stacks, S/4, S/4, J)
        float32.

    Raises:
        ValueError: If no preset has that name.
    """
    if isinstance(config, str):
        config = preset(config).network
    blocks = _Blocks(config, precision, synchronized, seed)

    images = keras.Input((config.input_size, config.input_size, 3), dtype="uint8", name="image")
    features = stem(images, blocks)
    outputs = []
    for stack in range(1, config.stacks + 1):
        inner = hourglass(features, config.depth, blocks)
        inner = residual(inner, config.channels, blocks)
        inner = blocks.normalized(blocks.conv(inner, config.channels, 1))
        heatmaps = blocks.heatmaps(inner, name=f"heatmaps_{stack}")
        outputs.append(heatmaps)
        if stack < config.stacks:
            features = blocks.add(
                features,
                blocks.conv(inner, config.channels, 1),
                blocks.conv(heatmaps, config.channels, 1),
            )
    return keras.Model(images, keras.ops.stack(outputs, axis=1), name="hourglass")


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


class _Blocks:
    """Makes the layers that every part shares, in one precision and each with a seed of its own."""

    def __init__(
        self, config: NetworkConfig, precision: str, synchronized: bool, seed: int
    ) -> None:
        self.config = config
        self._dtype = precision
        self._synchronized = {"synchronized": True} if synchronized else {}
        self._seeds = itertools.count(seed * SEEDS_PER_NETWORK)

    def conv(
        self, x: keras.KerasTensor, channels: int, kernel: int, *, strides: int = 1
    ) -> keras.KerasTensor:
        start = keras.initializers.HeNormal(seed=next(self._seeds))
        return layers.Conv2D(
            channels,
            kernel,
            strides=strides,
            padding="same",
            kernel_initializer=start,
            dtype=self._dtype,
        )(x)

    def normalized(self, x: keras.KerasTensor) -> keras.KerasTensor:
        x = layers.BatchNormalization(**BATCH_NORM, **self._synchronized, dtype=self._dtype)(x)
        return layers.ReLU(dtype=self._dtype)(x)

    def add(self, *terms: keras.KerasTensor) -> keras.KerasTensor:
        return layers.Add(dtype=self._dtype)(list(terms))

    def halved(self, x: keras.KerasTensor) -> keras.KerasTensor:
        return layers.MaxPooling2D(2, dtype=self._dtype)(x)

    def doubled(self, x: keras.KerasTensor) -> keras.KerasTensor:
        return layers.UpSampling2D(2, interpolation="nearest", dtype=self._dtype)(x)

    def heatmaps(self, x: keras.KerasTensor, *, name: str) -> keras.KerasTensor:
        """Heatmaps in float32 whatever the precision, near zero at the start: most pixels are."""
        start = keras.initializers.RandomNormal(stddev=1e-3, seed=next(self._seeds))
        joints = self.config.joints
        return layers.Conv2D(joints, 1, kernel_initializer=start, dtype="float32", name=name)(x)
