"""Good sets of choices, by name."""

from __future__ import annotations

from typing import Any

from hourglass.core.config import AugmentConfig, Config, DataConfig, NetworkConfig, TrainConfig
from hourglass.core.errors import InputError

_PHOTOGRAPHS = DataConfig(sigma=1.5, refine="dark")
_EVERY_AUGMENTATION = AugmentConfig(
    scale=0.35,
    rotation=40.0,
    shift=0.06,
    cutout=0.3,
    paste=0.2,
    half_body=0.3,
    style=0.2,
    grey=0.1,
    blur=0.15,
    jpeg=0.1,
)
_AVERAGED = TrainConfig(
    epochs=60, batch_size=32, learning_rate=2e-3, averaging=0.998, foreground_weight=9.0
)


def _lite(**network: Any) -> Config:
    """A network on EfficientNet-Lite0, and the recipe by which it learns from photographs."""
    return Config(
        NetworkConfig(stacks=1, encoder="lite0", **network),
        data=_PHOTOGRAPHS,
        augment=_EVERY_AUGMENTATION,
        train=_AVERAGED,
    )


PRESETS: dict[str, Config] = {
    "hg1": Config(NetworkConfig(stacks=1)),
    "hg2": Config(NetworkConfig(stacks=2)),
    "hg4": Config(NetworkConfig(stacks=4)),
    "hg8": Config(NetworkConfig(stacks=8)),
    "small": Config(
        NetworkConfig(stacks=2, channels=128, input_size=128),
        train=TrainConfig(epochs=60, batch_size=32),
    ),
    "lite": _lite(channels=112, depth=3, input_size=224),
    "nano": _lite(channels=96, depth=2, input_size=192, encoder_stages=5),
    "pico": _lite(channels=64, depth=2, input_size=160, encoder_stages=4),
    "unet": Config(
        NetworkConfig(architecture="unet", stacks=1, channels=32, depth=3, input_size=192),
        data=_PHOTOGRAPHS,
        augment=_EVERY_AUGMENTATION,
        train=TrainConfig(
            epochs=60,
            batch_size=32,
            schedule="plateau",
            plateau_factor=0.5,
            plateau_epochs=5,
            loss="iou",
        ),
    ),
    "tiny": Config(
        NetworkConfig(stacks=1, channels=64, depth=3, input_size=96),
        # The synthetic people's right limbs are striped and their left ones plain: a mirrored
        # picture with swapped names would contradict that, as no photograph does.
        augment=AugmentConfig(
            scale=0.15, rotation=20.0, flip_probability=0.0, shift=0.03, colour=0.2
        ),
        train=TrainConfig(epochs=12, batch_size=16, learning_rate=2e-3),
    ),
}
"""Named configurations: the paper's networks, `small` for training on CPUs, `lite` for everyday
use, `nano` and `pico` for browsers and phones, `unet` for comparison, `tiny` for demos."""


def preset(name: str) -> Config:
    """The configuration called `name`.

    Raises:
        ValueError: If there is none of that name.
    """
    if name not in PRESETS:
        raise InputError(f"no preset is called {name!r}; there are {', '.join(PRESETS)}")
    return PRESETS[name]
