"""Model files: what goes in comes out, plain Keras opens them, and a bad one says why it is."""

from __future__ import annotations

import dataclasses
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from hourglass.checkpoint import (
    CONFIG_MEMBER,
    OPTIMIZER_MEMBER,
    STATE_MEMBER,
    TrainingState,
    load_model,
    load_training,
    load_weights,
    read_config,
    save_model,
)
from hourglass.config import Config, DataConfig, NetworkConfig, TrainConfig, to_json
from hourglass.network import build_network

CONFIG = Config(
    NetworkConfig(stacks=2, channels=8, depth=1, input_size=16),
    DataConfig(sigma=1.25),
    train=TrainConfig(epochs=7, learning_rate=3e-4, seed=9),
)

SMALL = Config(NetworkConfig(stacks=1, channels=4, depth=1, input_size=8))


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)


@pytest.fixture(scope="module")
def network() -> keras.Model:
    """A network whose statistics and weights are not the initial ones."""
    model = build_network(CONFIG.network, seed=2)
    rng = np.random.default_rng(1)
    for weight in model.weights:
        weight.assign(np.abs(weight.numpy() + rng.normal(0, 0.05, weight.shape)))
    return model


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory, network: keras.Model) -> Path:
    """A model file without a training; not to be changed."""
    path = tmp_path_factory.mktemp("saved") / "best.keras"
    save_model(path, network, CONFIG)
    return path


@pytest.fixture
def rewritten(saved: Path, tmp_path: Path) -> Callable[..., Path]:
    """A copy of the model file with members changed (text or bytes) or left out (None)."""

    def rewrite(**changes: str | bytes | None) -> Path:
        path = tmp_path / "changed.keras"
        with zipfile.ZipFile(saved) as source, zipfile.ZipFile(path, "w") as target:
            for name in source.namelist():
                content = changes.get(name.replace(".", "_"), source.read(name))
                if content is not None:
                    target.writestr(name, content)
        return path

    return rewrite


def take_steps(network: keras.Model, optimizer: keras.Optimizer, steps: range) -> np.ndarray:
    """All weights after a few steps; step i has the same gradients whoever takes it."""
    variables = network.trainable_variables
    for step in steps:
        rng = np.random.default_rng(step)
        gradients = [rng.normal(size=one.shape).astype(np.float32) for one in variables]
        optimizer.apply([keras.ops.convert_to_tensor(one) for one in gradients], variables)
    return np.concatenate([weight.numpy().ravel() for weight in network.weights])


def test_a_model_comes_back_with_the_same_outputs_and_configuration(
    saved: Path, network: keras.Model, images: np.ndarray
):
    loaded, config = load_model(saved)
    assert config == CONFIG
    assert read_config(str(saved)) == CONFIG
    np.testing.assert_array_equal(loaded(images), network(images))


def test_a_model_opens_in_plain_keras(saved: Path, network: keras.Model, images: np.ndarray):
    plain = keras.saving.load_model(saved)
    np.testing.assert_array_equal(plain(images), network(images))
    assert all(weight.dtype == "float32" for weight in plain.weights)


def test_a_network_that_was_compiled_comes_back_too(tmp_path: Path):
    # A program that trains on its own need not know that Keras saves the optimizer as well.
    compiled = build_network(SMALL.network, seed=5)
    compiled.compile(keras.optimizers.Adam(), "mse")
    compiled.optimizer.build(compiled.trainable_variables)
    save_model(tmp_path / "own.keras", compiled, SMALL)
    loaded, _ = load_model(tmp_path / "own.keras")
    for one, other in zip(loaded.get_weights(), compiled.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_weights_fit_a_network_of_another_precision(
    saved: Path, network: keras.Model, images: np.ndarray
):
    mixed = build_network(CONFIG.network, precision="mixed_bfloat16", synchronized=True)
    load_weights(saved, mixed)
    for one, other in zip(mixed.weights, network.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    expected = network(images).numpy()
    assert np.abs(mixed(images) - expected).max() < 0.05 * np.abs(expected).max()


def test_a_file_holds_a_training_only_if_one_is_given(saved: Path):
    with zipfile.ZipFile(saved) as archive:
        names = set(archive.namelist())
    assert CONFIG_MEMBER in names
    assert names.isdisjoint({STATE_MEMBER, OPTIMIZER_MEMBER})
    network = build_network(CONFIG.network)
    with pytest.raises(ValueError, match=r"best\.keras: .*training\.json is not inside"):
        load_training(saved, network, keras.optimizers.Adam())


@pytest.mark.parametrize("kind", ["fixed", "cosine"])
def test_a_training_goes_on_as_if_it_had_never_stopped(tmp_path: Path, kind: str):
    def make() -> tuple[keras.Model, keras.Optimizer]:
        network = build_network(SMALL.network, seed=4)
        rate = keras.optimizers.schedules.CosineDecay(3e-3, 6) if kind == "cosine" else 3e-3
        optimizer = keras.optimizers.Adam(rate)
        if kind == "cosine":  # and scaled, as in float16
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        optimizer.build(network.trainable_variables)
        return network, optimizer

    state = TrainingState(epoch=3, best_score=41.5, best_epoch=2)
    network, optimizer = make()
    take_steps(network, optimizer, range(3))
    if kind == "fixed":
        optimizer.learning_rate = 7e-4  # as a plateau leaves it
    path = tmp_path / "last.keras"
    save_model(path, network, SMALL, state=state, optimizer=optimizer)
    expected = take_steps(network, optimizer, range(3, 6))

    other, fresh = make()
    assert load_training(path, other, fresh) == state
    assert int(fresh.iterations) == 3
    assert float(fresh.learning_rate) == pytest.approx({"fixed": 7e-4, "cosine": 1.5e-3}[kind])
    np.testing.assert_allclose(take_steps(other, fresh, range(3, 6)), expected, atol=1e-7)


def test_a_training_of_another_optimizer_or_network_is_refused(tmp_path: Path):
    network = build_network(SMALL.network)
    adam, momentum = keras.optimizers.Adam(), keras.optimizers.SGD(momentum=0.9)
    for optimizer in (adam, momentum):
        optimizer.build(network.trainable_variables)
    path = tmp_path / "last.keras"
    save_model(path, network, SMALL, state=TrainingState(1, 2.0, 1), optimizer=adam)
    with pytest.raises(ValueError, match=r"last\.keras: its optimizer state does not fit"):
        load_training(path, network, momentum)
    wider = build_network(dataclasses.replace(SMALL.network, channels=8))
    with pytest.raises(ValueError, match=r"last\.keras: "):
        load_training(path, wider, adam)


# Writing.


@pytest.mark.parametrize("failing", ["network", "disk"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    saved: Path,
    tmp_path: Path,
    network: keras.Model,
    monkeypatch: pytest.MonkeyPatch,
    failing: str,
):
    path = tmp_path / "last.keras"
    path.write_bytes(saved.read_bytes())

    def fail(*_: object, **__: object) -> None:
        assert path.read_bytes() == saved.read_bytes()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*{"network": (network, "save"), "disk": (os, "fsync")}[failing], fail)
    with pytest.raises(OSError, match="No space left"):
        save_model(path, network, dataclasses.replace(CONFIG, data=DataConfig(sigma=2.0)))
    assert path.read_bytes() == saved.read_bytes()
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_appears_under_its_name_when_it_is_whole(
    tmp_path: Path, network: keras.Model, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "best.keras"
    real_replace = Path.replace
    moved = []

    def replace(self: Path, target: Path) -> Path:
        assert not path.exists()
        assert load_model(self)[1] == CONFIG
        moved.append(target)
        return real_replace(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    save_model(path, network, CONFIG)
    assert moved == [path]
    assert list(tmp_path.iterdir()) == [path]


# Files that are no models.


def test_a_missing_file_is_named(tmp_path: Path):
    for load in (read_config, load_model):
        with pytest.raises(ValueError, match=r"none\.keras: no such model file"):
            load(tmp_path / "none.keras")
    with pytest.raises(ValueError, match="no such model file"):
        read_config(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a zip file at all", b"PK\x03\x04" + bytes(100)])
def test_a_file_of_another_kind_is_named(tmp_path: Path, content: bytes):
    path = tmp_path / "other.keras"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"other\.keras: not a model file"):
        load_model(path)


@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_a_truncated_file_is_named(saved: Path, tmp_path: Path, share: float):
    path = tmp_path / "cut.keras"
    content = saved.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r"cut\.keras: not a model file"):
        load_model(path)


def test_damaged_weights_are_named(saved: Path, tmp_path: Path):
    with zipfile.ZipFile(saved) as archive:
        weights = archive.getinfo("model.weights.h5")
    content = bytearray(saved.read_bytes())
    content[weights.header_offset + weights.compress_size // 2] ^= 0xFF
    path = tmp_path / "damaged.keras"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"damaged\.keras: .*or a damaged one .*CRC"):
        load_model(path)


def test_a_keras_file_of_another_program_is_told(tmp_path: Path, network: keras.Model):
    path = tmp_path / "plain.keras"
    network.save(path)
    with pytest.raises(
        ValueError, match=r"plain\.keras: not written by hourglass, hourglass\.json is not inside"
    ):
        load_model(path)


def test_a_model_of_other_joints_is_told(tmp_path: Path):
    config = Config(dataclasses.replace(CONFIG.network, joints=17))
    path = tmp_path / "coco.keras"
    save_model(path, build_network(config.network), config)
    with pytest.raises(
        ValueError, match=r"coco\.keras: the model has 17 joints, skeleton 'mpii' has 16"
    ):
        load_model(path)


@pytest.mark.parametrize(
    "change", [{"stacks": 3}, {"stacks": 1}, {"channels": 16}, {"channels": 4}, {"depth": 2}]
)
def test_weights_of_another_shape_than_the_configuration_are_refused(
    rewritten: Callable[..., Path], change: dict[str, int]
):
    other = Config(dataclasses.replace(CONFIG.network, **change))
    path = rewritten(hourglass_json=to_json(other))
    with pytest.raises(ValueError, match=r"changed\.keras: weights cannot be loaded"):
        load_model(path)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "not JSON"),
        ("[]", "not a configuration, its sections must be network"),
        (
            to_json(CONFIG).replace('"stacks": 2', '"stacks": 0'),
            "NetworkConfig.stacks is 0, it must be 1 or more",
        ),
        (to_json(CONFIG).replace('"stacks"', '"towers"'), "unexpected keyword argument 'towers'"),
    ],
)
def test_a_damaged_configuration_is_told(rewritten: Callable[..., Path], text: str, told: str):
    with pytest.raises(ValueError, match=rf"changed\.keras: .*{told}"):
        load_model(rewritten(hourglass_json=text))


def test_the_configuration_inside_is_the_runs_own_json(saved: Path):
    with zipfile.ZipFile(saved) as archive:
        assert archive.read(CONFIG_MEMBER).decode() == to_json(CONFIG)
        assert json.loads(archive.read("config.json"))["class_name"] == "Functional"
        assert archive.testzip() is None
