"""The stacked hourglass network (Newell, Yang & Deng, ECCV 2016), in Keras on any backend.

Only layers live here: targets are `core.heatmaps`', the loss `networks.losses`'. The network takes
uint8 pictures and rescales them itself, so that nobody can feed it the wrong range.
"""

from __future__ import annotations

import keras
from keras import layers

from hourglass.core.config import NetworkConfig
from hourglass.core.presets import preset
from hourglass.networks.blocks import Blocks, residual
from hourglass.networks.encoders import RESCALING
from hourglass.networks.unet import unet


def build_network(
    config: NetworkConfig | str = "hg4",
    *,
    precision: str = "float32",
    synchronized: bool = False,
    frozen_statistics: bool = False,
    fused: bool = False,
    shifted: bool = False,
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
        shifted: Depthwise convolutions and max pooling by `networks.shifts`: for training on JAX
            and a GPU; a network to be saved must do without.
        seed: Seed of the initial weights.

    Returns:
        A functional model from pictures (B, S, S, 3) uint8 to heatmaps (B, stacks, S/4, S/4, J)
        float32.

    Raises:
        ValueError: If no preset has that name.
    """
    if isinstance(config, str):
        config = preset(config).network
    blocks = Blocks(config, precision, synchronized, frozen_statistics, fused, shifted, seed)

    images = keras.Input((config.input_size, config.input_size, 3), dtype="uint8", name="image")
    if config.architecture == "unet":
        features = inner = unet(images, blocks)
    elif config.encoder == "none":
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


def stem(images: keras.KerasTensor, blocks: Blocks) -> keras.KerasTensor:
    """From a picture to features at a quarter of its side."""
    channels = blocks.config.channels
    x = layers.Rescaling(1 / 127.5, offset=-1.0, dtype="float32")(images)
    x = blocks.normalized(blocks.conv(x, channels // 4, 7, strides=2))
    x = residual(x, channels // 2, blocks)
    x = blocks.halved(x)
    x = residual(x, channels, blocks)
    return residual(x, channels, blocks)


def hourglass(x: keras.KerasTensor, depth: int, blocks: Blocks) -> keras.KerasTensor:
    """Halves the features `depth` times and comes back up, adding a side branch at every size."""
    channels = blocks.config.channels
    beside = residual(x, channels, blocks)
    below = residual(blocks.halved(x), channels, blocks)
    inner = hourglass(below, depth - 1, blocks) if depth > 1 else residual(below, channels, blocks)
    inner = residual(inner, channels, blocks)
    return blocks.add(beside, blocks.doubled(inner))


def pretrained_hourglass(images: keras.KerasTensor, blocks: Blocks) -> keras.KerasTensor:
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
