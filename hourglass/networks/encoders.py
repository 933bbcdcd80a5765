"""EfficientNet-Lite as an encoder, in Keras on any backend.

Tan & Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019. The
Lite variants (the same authors' code, 2020) are made for small devices and quantisation: no
squeeze-and-excitation, ReLU6 in the place of swish, and a stem that all variants share. Only the
layers that make features live here: what comes after them is `networks.hourglass`'s, the file of
their ImageNet weights `networks.encoder_weights`'s.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers

from hourglass.core.errors import InputError
from hourglass.networks.normalization import batch_normalization
from hourglass.networks.shifts import depthwise_convolution

PIXEL_MEAN = 127.0
PIXEL_SCALE = 128.0
"""The weights were learnt on RGB pixels of (x - 127) / 128, all channels alike."""

RESCALING = {"scale": 1 / PIXEL_SCALE, "offset": -PIXEL_MEAN / PIXEL_SCALE}
"""What `keras.layers.Rescaling` needs to make the encoder's input from pixels of 0 to 255."""

BATCH_NORM: dict[str, Any] = {"momentum": 0.99, "epsilon": 1e-3}
"""As in the pretraining: the weights fit this epsilon only."""

DEPTHWISE_PRECISION = "float32"
"""Of depthwise convolutions and what feeds them, in mixed precision, too: memory and not computing
sets their pace, and CPUs take their gradient in bfloat16 five times as slowly."""

STRIDES = (4, 8, 16, 32)
"""Picture px per cell of the features that a whole encoder returns."""

STEM_CHANNELS = 32
CHANNEL_STEP = 8  # widths are multiples of it, which is what devices compute in
SEED_LIMIT = 2**31 - 2  # what the backends tell apart: TensorFlow's takes larger ones modulo this


@dataclass(frozen=True)
class Scaling:
    """How a variant grows from the smallest one.

    Attributes:
        width: Factor of the channels.
        depth: Factor of the blocks per stage.
    """

    width: float
    depth: float


VARIANTS = {"lite0": Scaling(1.0, 1.0), "lite1": Scaling(1.0, 1.1), "lite2": Scaling(1.1, 1.2)}


@dataclass(frozen=True)
class Stage:
    """Blocks of one width, before scaling; the first of them has the stride."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


STAGES = (
    Stage(repeats=1, kernel=3, stride=1, expansion=1, channels=16),
    Stage(repeats=2, kernel=3, stride=2, expansion=6, channels=24),
    Stage(repeats=2, kernel=5, stride=2, expansion=6, channels=40),
    Stage(repeats=3, kernel=3, stride=2, expansion=6, channels=80),
    Stage(repeats=3, kernel=5, stride=1, expansion=6, channels=112),
    Stage(repeats=4, kernel=5, stride=2, expansion=6, channels=192),
    Stage(repeats=1, kernel=3, stride=1, expansion=6, channels=320),
)
"""EfficientNet-B0's stages (table 1 of the paper), which Lite0 keeps."""


@dataclass(frozen=True)
class Block:
    """One inverted residual block (Sandler et al., "MobileNetV2", CVPR 2018).

    Attributes:
        name: What its layers' names start with, such as `lite0_stage2_block1`.
        kernel: Side of the depthwise kernel, cells.
        stride: Step of the depthwise convolution.
        expansion: Factor by which it widens its input; at 1 it has no layer for that.
        channels: Width of its output.
        total_stride: Picture px per cell of its output.
    """

    name: str
    kernel: int
    stride: int
    expansion: int
    channels: int
    total_stride: int


def blocks_of(variant: str, stages: int = len(STAGES)) -> tuple[Block, ...]:
    """The blocks of a variant, in order.

    Args:
        variant: One of `VARIANTS`.
        stages: Stages that are kept, from the first.

    Raises:
        ValueError: If there is no such variant.
    """
    if variant not in VARIANTS:
        raise InputError(f"no encoder is called {variant!r}; there are {', '.join(VARIANTS)}")
    blocks = []
    total_stride = 2  # the stem's
    for number, stage in enumerate(STAGES[:stages], start=1):
        total_stride *= stage.stride
        for position in range(1, _repeats(stage, VARIANTS[variant].depth) + 1):
            blocks.append(
                Block(
                    name=f"{variant}_stage{number}_block{position}",
                    kernel=stage.kernel,
                    stride=stage.stride if position == 1 else 1,
                    expansion=stage.expansion,
                    channels=_channels(stage, VARIANTS[variant].width),
                    total_stride=total_stride,
                )
            )
    return tuple(blocks)


def _repeats(stage: Stage, depth: float) -> int:
    """Blocks of a stage; Lite keeps the first and the last stage as they are."""
    return stage.repeats if stage in (STAGES[0], STAGES[-1]) else math.ceil(depth * stage.repeats)


def _channels(stage: Stage, width: float) -> int:
    """The nearest multiple of 8, or the next one if that takes more than a tenth away."""
    wanted = width * stage.channels
    nearest = max(CHANNEL_STEP, int(wanted + CHANNEL_STEP / 2) // CHANNEL_STEP * CHANNEL_STEP)
    return nearest if nearest >= 0.9 * wanted else nearest + CHANNEL_STEP


def efficientnet_lite(
    images: keras.KerasTensor,
    variant: str = "lite0",
    *,
    stages: int = len(STAGES),
    precision: str = "float32",
    synchronized: bool = False,
    frozen_statistics: bool = False,
    fused: bool = False,
    shifted: bool = False,
    seed: int = 0,
) -> list[keras.KerasTensor]:
    """Features of pictures at four sizes, from layers that `encoder_weights` can fill.

    Left out of the original network: the 1×1 convolution to 1280 channels with its BatchNorm, the
    pooling and the classifier, and the dropping of whole blocks while training.

    Args:
        images: Pictures (B, H, W, 3) RGB float, rescaled to (pixel - 127) / 128 (`RESCALING`), so
            -0.9922 to 1. With sides of a multiple of 32 every feature's side is exact; others
            round up at each halving, as in the original.
        variant: One of `VARIANTS`.
        stages: Stages that are kept, from the first: 7 are all.
        precision: Keras dtype policy of all layers.
        synchronized: Share BatchNorm's statistics between replicas (TensorFlow backend only).
        frozen_statistics: Normalise by the stored statistics in training, too, and keep all of
            BatchNorm's values, its factors as well.
        fused: BatchNorm by a kernel made for training (`hourglass.networks.normalization`).
        shifted: Depthwise convolutions by `hourglass.networks.shifts`, in the same precision.
        seed: Seed of the initial weights.

    Returns:
        The last block's output at each of `STRIDES` 4, 8, 16, 32 that the stages reach:
        (B, H/stride, W/stride, C) in the precision's compute dtype, without an activation, of any
        sign. C is 24, 40, 112, 320 for all of Lite0 and Lite1; 24, 48, 120, 352 for Lite2.

    Raises:
        ValueError: If there is no such variant.
    """
    blocks = blocks_of(variant, stages)
    make = _Layers(precision, synchronized, frozen_statistics, fused, shifted, seed)
    x = make.conv(images, STEM_CHANNELS, 3, strides=2, name=f"{variant}_stem")
    x = make.relu6(x, name=f"{variant}_stem")
    last = {}
    for block in blocks:
        x = _inverted_residual(x, block, make)
        last[block.total_stride] = x
    return [last[stride] for stride in STRIDES if stride in last]


def _inverted_residual(x: keras.KerasTensor, block: Block, make: _Layers) -> keras.KerasTensor:
    """Widens, looks around in every channel for itself, and narrows without an activation."""
    shortcut = x
    if block.expansion > 1:
        expand = f"{block.name}_expand"
        x = make.relu6(make.conv(x, x.shape[-1] * block.expansion, 1, name=expand), name=expand)
    depthwise = f"{block.name}_depthwise"
    x = make.depthwise(x, block.kernel, strides=block.stride, name=depthwise)
    x = make.relu6(x, name=depthwise)
    x = make.conv(x, block.channels, 1, name=f"{block.name}_project")
    if block.stride == 1 and shortcut.shape[-1] == block.channels:
        x = make.add(shortcut, x, name=block.name)
    return x


class _Layers:
    """Makes named layers in one precision, each with a seed of its own.

    Kernels start as in the pretraining, from the outputs per weight: counting the inputs, as He's
    rule does, Keras takes a depthwise kernel to sum over all channels and starts it far too small.
    """

    def __init__(
        self,
        precision: str,
        synchronized: bool,
        frozen_statistics: bool,
        fused: bool,
        shifted: bool,
        seed: int,
    ) -> None:
        self._dtype = precision
        self._shifted = shifted
        self._depthwise_dtype = precision if shifted else DEPTHWISE_PRECISION
        self._normalization = {"synchronized": synchronized, "fused": fused}
        self._frozen_statistics = frozen_statistics
        self._seeds = np.random.default_rng(seed)

    def conv(
        self, x: keras.KerasTensor, channels: int, kernel: int, *, name: str, strides: int = 1
    ) -> keras.KerasTensor:
        x = layers.Conv2D(
            channels,
            kernel,
            strides=strides,
            padding="same",
            use_bias=False,
            kernel_initializer=self._start(),
            dtype=self._dtype,
            name=f"{name}_conv",
        )(x)
        return self._normalized(x, name=name)

    def depthwise(
        self, x: keras.KerasTensor, kernel: int, *, strides: int, name: str
    ) -> keras.KerasTensor:
        x = depthwise_convolution(
            kernel,
            shifted=self._shifted,
            strides=strides,
            depthwise_initializer=self._start(),
            dtype=self._depthwise_dtype,
            name=f"{name}_conv",
        )(x)
        return self._normalized(x, name=name)

    def relu6(self, x: keras.KerasTensor, *, name: str) -> keras.KerasTensor:
        return layers.ReLU(max_value=6.0, dtype=self._depthwise_dtype, name=f"{name}_relu")(x)

    def add(self, *terms: keras.KerasTensor, name: str) -> keras.KerasTensor:
        return layers.Add(dtype=self._dtype, name=f"{name}_add")(list(terms))

    def _normalized(self, x: keras.KerasTensor, *, name: str) -> keras.KerasTensor:
        norm = batch_normalization(
            **BATCH_NORM, **self._normalization, dtype=self._dtype, name=f"{name}_norm"
        )
        # A call with `training=False` would not do: `fit` overrides it. Keras has no way to keep
        # the statistics and train the factors beside them.
        norm.trainable = not self._frozen_statistics
        return norm(x)

    def _start(self) -> keras.initializers.Initializer:
        seed = int(self._seeds.integers(SEED_LIMIT))
        return keras.initializers.VarianceScaling(
            2.0, mode="fan_out", distribution="untruncated_normal", seed=seed
        )


def encoder_layers(model: keras.Model) -> list[keras.Layer]:
    """The layers that `efficientnet_lite` made in `model`, in order, to fill or to freeze them.

    Raises:
        ValueError: If it made none.
    """
    prefixes = tuple(f"{variant}_" for variant in VARIANTS)
    found = [layer for layer in model.layers if layer.name.startswith(prefixes)]
    if not found:
        raise InputError(f"model {model.name!r} has no encoder; allowed are {', '.join(VARIANTS)}")
    return found


def encoder_variant(model: keras.Model) -> str:
    """The variant of the encoder in `model`.

    Raises:
        ValueError: If it has none.
    """
    return str(encoder_layers(model)[0].name).split("_")[0]
