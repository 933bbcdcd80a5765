"""The configuration that most tests of batches and crops use."""

from __future__ import annotations

import dataclasses

import pytest

from hourglass.core.config import AugmentConfig, Config, NetworkConfig, TrainConfig


@pytest.fixture(scope="session")
def config() -> Config:
    """Crops of 64 px, in batches of four."""
    return Config(
        NetworkConfig(stacks=1, channels=8, depth=1, input_size=64),
        train=TrainConfig(batch_size=4, seed=3),
    )


@pytest.fixture(scope="session")
def plain(config: Config) -> Config:
    """The same without augmentation."""
    nothing = AugmentConfig(
        scale=0, rotation=0, rotation_probability=0, flip_probability=0, shift=0, colour=0
    )
    return dataclasses.replace(config, augment=nothing)
