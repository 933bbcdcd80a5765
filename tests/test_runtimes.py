"""Model files that run: a Keras file gives the last stack's heatmaps, whatever the batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hourglass.config import Config, NetworkConfig
from hourglass.runtimes import KerasRuntime, load_runtime

CONFIG = Config(NetworkConfig(stacks=2, channels=8, depth=1, input_size=16))


@pytest.fixture(scope="module")
def network() -> Any:
    from hourglass.network import build_network

    model = build_network(CONFIG.network, seed=1)
    for weight in model.weights:
        weight.assign(weight.numpy() + 0.01)
    return model


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory, network: Any) -> Path:
    from hourglass.checkpoint import save_model

    path = tmp_path_factory.mktemp("model") / "best.keras"
    save_model(path, network, CONFIG)
    return path


def test_a_keras_file_gives_the_last_stacks_heatmaps(path: Path, network: Any):
    images = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), np.uint8)
    outputs = network(images).numpy()
    assert np.abs(outputs[:, 0] - outputs[:, 1]).max() > 1e-3
    runtime = load_runtime(path)
    assert isinstance(runtime, KerasRuntime)
    assert runtime.config == CONFIG
    heatmaps = runtime.heatmaps(images)
    assert isinstance(heatmaps, np.ndarray)
    assert heatmaps.dtype == np.float32
    assert heatmaps.shape == (5, 4, 4, 16)
    np.testing.assert_allclose(heatmaps, outputs[:, -1], atol=1e-5)
    np.testing.assert_allclose(runtime.heatmaps(images[2:3]), heatmaps[2:3], atol=1e-5)


@pytest.mark.parametrize("name", ["model", "model.h5", "model.keras.zip"])
def test_another_ending_is_refused(tmp_path: Path, name: str):
    (tmp_path / name).touch()
    with pytest.raises(ValueError, match=rf"{name}: not a model file, its name must end in"):
        load_runtime(tmp_path / name)


def test_a_bad_keras_file_is_named(tmp_path: Path):
    with pytest.raises(ValueError, match=r"none\.keras: no such model file"):
        load_runtime(str(tmp_path / "none.keras"))
    (tmp_path / "text.keras").write_text("a text")
    with pytest.raises(ValueError, match=r"text\.keras: not a model file"):
        load_runtime(tmp_path / "text.keras")
