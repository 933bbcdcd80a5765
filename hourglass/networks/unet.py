"""A U-Net for heatmaps (Ronneberger, Fischer & Brox, MICCAI 2015), to compare the hourglass with.

Two convolutions at each size; on the way up a transposed convolution, and the way down's features
beside it. The way up ends at the heatmaps' size, a quarter of the picture's.
"""

from __future__ import annotations

import keras
from keras import layers

from hourglass.networks.blocks import Blocks

HALVINGS_ABOVE = 2
"""Times the picture is halved before its features have the heatmaps' size."""


def unet(images: keras.KerasTensor, blocks: Blocks) -> keras.KerasTensor:
    """From pictures (B, S, S, 3) to features (B, S/4, S/4, channels).

    The width doubles with each halving: `channels` at the heatmaps' size, a quarter of it at the
    picture's, and 2^depth times as much at the bottom.
    """
    channels, depth = blocks.config.channels, blocks.config.depth
    x = layers.Rescaling(1 / 127.5, offset=-1.0, dtype="float32")(images)
    for halving in reversed(range(1, HALVINGS_ABOVE + 1)):
        x = blocks.halved(_twice(x, channels // 2**halving, blocks))
    beside = []
    for level in range(depth):
        beside.append(_twice(x, channels * 2**level, blocks))
        x = blocks.halved(beside[-1])
    x = _twice(x, channels * 2**depth, blocks)
    for features in reversed(beside):
        x = blocks.transposed(x, features.shape[-1])
        x = _twice(blocks.concatenated(features, x), features.shape[-1], blocks)
    return x


def _twice(x: keras.KerasTensor, channels: int, blocks: Blocks) -> keras.KerasTensor:
    for _ in range(2):
        x = blocks.normalized(blocks.conv(x, channels, 3))
    return x
