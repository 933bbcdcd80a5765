"""Model files that find no room: the last good one stays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest

from hourglass.core.config import Config
from hourglass.core.errors import InputError
from hourglass.modelfiles.keras_file import TrainingState, read_config, save_model
from hourglass.networks.hourglass import build_network


@pytest.fixture(scope="module")
def network(micro_config: Config) -> keras.Model:
    return build_network(micro_config.network, seed=0)


@pytest.fixture(scope="module")
def optimizer(network: keras.Model) -> keras.Optimizer:
    optimizer = keras.optimizers.Adam()
    optimizer.build(network.trainable_variables)
    return optimizer


@pytest.mark.parametrize("share", [0.0, 0.6])
def test_a_full_disk_leaves_the_last_good_model(
    share: float,
    network: keras.Model,
    optimizer: keras.Optimizer,
    micro_config: Config,
    tmpfs: Callable[..., Path],
    leave_free: Callable[..., None],
    seen_in: Callable[..., Any],
):
    disk = tmpfs(2**22)
    path = disk / "last.keras"
    save_model(path, network, micro_config)
    before = seen_in(disk)
    leave_free(disk, int(share * len(before["last.keras"])) // 4096 * 4096)
    with pytest.raises((InputError, OSError)):
        save_model(path, network, micro_config, state=TrainingState(), optimizer=optimizer)
    assert seen_in(disk) == before
    assert read_config(path) == micro_config
    assert [one.name for one in disk.iterdir() if one.name[0] == "."] == [".filler"]
