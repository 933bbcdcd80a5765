"""Model files: what goes in comes out, plain Keras opens them, and a bad one says why it is."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from hourglass.core.calibration import FLIP_TEST, PLAIN, Calibration
from hourglass.core.config import Config, DataConfig, NetworkConfig, TrainConfig
from hourglass.core.config_text import to_json
from hourglass.core.errors import InputError
from hourglass.core.skeleton import COCO
from hourglass.modelfiles.keras_file import (
    CALIBRATION_MEMBER,
    CONFIG_MEMBER,
    OPTIMIZER_MEMBER,
    STATE_MEMBER,
    WEIGHTS_MEMBER,
    TrainingState,
    load_model,
    load_training,
    load_weights,
    read_calibrations,
    read_config,
    save_calibrated,
    save_model,
)
from hourglass.networks.hourglass import build_network

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


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"epoch": "3"}, "epoch is '3', it must be a whole number of 0 or more"),
        ({"epoch": 3.5}, "epoch is 3.5, it must be a whole number"),
        ({"epoch": True}, "epoch is True, it must be a whole number"),
        ({"epoch": None}, "epoch is None, it must be a whole number"),
        ({"best_epoch": -1}, "best_epoch is -1, it must be a whole number of 0 or more"),
        ({"best_score": "41"}, "best_score is '41', it must be a number"),
        ({"best_score": [41]}, r"best_score is \[41\], it must be a number"),
        ({"other": 1}, "unexpected keyword argument 'other'"),
        ([3], "must be a mapping"),
    ],
)
def test_where_a_training_stands_must_be_numbers(tmp_path: Path, values: object, told: str):
    path = tmp_path / "last.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(STATE_MEMBER, json.dumps(values))
    with pytest.raises(InputError, match=rf"last\.keras: training\.json inside .*{told}"):
        load_training(path, None, None)


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
    with pytest.raises(InputError, match=r"cannot be written \(No space left on device\)$"):
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


def test_what_a_killed_save_left_goes_with_the_next(tmp_path: Path, network: keras.Model):
    killed = (
        "import sys, pathlib; from hourglass.core.files import aside; "
        "print(aside(pathlib.Path(sys.argv[1])))"
    )
    words = [sys.executable, "-c", killed, str(tmp_path / "last.keras")]
    left = Path(subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip())
    left.write_bytes(b"half a file")
    save_model(tmp_path / "last.keras", network, CONFIG)
    assert [path.name for path in tmp_path.iterdir()] == ["last.keras"]
    load_model(tmp_path / "last.keras")


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


def test_a_model_knows_its_skeleton(tmp_path: Path):
    config = CONFIG.with_skeleton(COCO)
    path = tmp_path / "coco.keras"
    save_model(path, build_network(config.network), config)
    network, stored = load_model(path)
    assert stored.skeleton == COCO
    assert network.output_shape[-1] == 17


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


# Calibrations of scores.


def make_calibration(seed: int) -> Calibration:
    """Lines of two to five knots, other ones for every seed and joint."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, 6, 16)
    heights, rates = (tuple(np.sort(rng.uniform(size=size)) for size in sizes) for _ in range(2))
    return Calibration(heights, rates)


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert len(set(archive.namelist())) == len(archive.namelist())
        return {name: archive.read(name) for name in archive.namelist()}


def assert_calibrated(path: Path, expected: dict[str, Calibration]) -> None:
    found = read_calibrations(path)
    assert list(found) == list(expected)
    for name, calibration in expected.items():
        for field in ("heights", "rates"):
            pairs = zip(getattr(found[name], field), getattr(calibration, field), strict=True)
            for one, other in pairs:
                np.testing.assert_array_equal(one, other)


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file that is mostly random weights, from far below float16's range to far above."""
    config = Config(NetworkConfig(stacks=1, channels=64, depth=1, input_size=8))
    network = build_network(config.network, seed=3)
    rng = np.random.default_rng(4)
    for weight in network.weights:
        weight.assign(weight.numpy() + rng.normal(0, 0.05, weight.shape))
    first = network.weights[0]
    values = first.numpy()
    values.flat[:8] = [0.0, -0.0, 1.0, -1.5, 3e-30, -7e-12, 2e5, -9e25]
    first.assign(values)
    path = tmp_path_factory.mktemp("wide") / "best.keras"
    save_model(path, network, config)
    return path


def test_a_model_that_was_not_calibrated_has_no_calibrations(saved: Path):
    assert CALIBRATION_MEMBER not in members(saved)
    assert read_calibrations(saved) == {}
    assert read_calibrations(str(saved)) == {}


@pytest.mark.parametrize("compact", [False, True])
def test_calibrations_come_back_and_the_source_stays(saved: Path, tmp_path: Path, compact: bool):
    before = saved.read_bytes()
    calibrations = {PLAIN: make_calibration(0), FLIP_TEST: make_calibration(1)}
    path = tmp_path / "calibrated.keras"
    save_calibrated(saved, path, calibrations, compact=compact)
    assert_calibrated(path, calibrations)
    assert saved.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_new_calibrations_take_the_place_of_older_ones(saved: Path, tmp_path: Path):
    path = tmp_path / "best.keras"
    path.write_bytes(saved.read_bytes())
    save_calibrated(path, path, {PLAIN: make_calibration(0), FLIP_TEST: make_calibration(1)})
    save_calibrated(path, path, {PLAIN: make_calibration(2)})
    assert_calibrated(path, {PLAIN: make_calibration(2)})
    assert list(members(path)) == [*members(saved), CALIBRATION_MEMBER]
    assert list(tmp_path.iterdir()) == [path]


def test_all_else_stays_as_it_was(saved: Path, tmp_path: Path):
    path = tmp_path / "calibrated.keras"
    save_calibrated(saved, path, {PLAIN: make_calibration(0)})
    after = members(path)
    del after[CALIBRATION_MEMBER]
    assert after == members(saved)


@pytest.mark.parametrize("compact", [False, True])
def test_a_calibrated_training_goes_on(tmp_path: Path, compact: bool):
    network, optimizer = build_network(SMALL.network, seed=4), keras.optimizers.Adam(3e-3)
    optimizer.build(network.trainable_variables)
    take_steps(network, optimizer, range(2))
    state, path = TrainingState(epoch=3, best_score=41.5, best_epoch=2), tmp_path / "last.keras"
    save_model(path, network, SMALL, state=state, optimizer=optimizer)
    before = members(path)
    save_calibrated(path, path, {PLAIN: make_calibration(0)}, compact=compact)
    after = members(path)
    assert after[STATE_MEMBER] == before[STATE_MEMBER]
    assert after[OPTIMIZER_MEMBER] == before[OPTIMIZER_MEMBER]
    other, fresh = build_network(SMALL.network, seed=9), keras.optimizers.Adam()
    fresh.build(other.trainable_variables)
    assert load_training(path, other, fresh) == state
    for one, stored in zip(fresh.variables, optimizer.variables, strict=True):
        np.testing.assert_array_equal(one, stored)
    for one, stored in zip(other.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_allclose(one, stored, rtol=2**-11 if compact else 0)


def test_a_calibrated_model_opens_in_plain_keras(
    saved: Path, tmp_path: Path, network: keras.Model, images: np.ndarray
):
    path = tmp_path / "calibrated.keras"
    save_calibrated(saved, path, {PLAIN: make_calibration(0)}, compact=True)
    outputs = network(images).numpy()
    for loaded in (keras.saving.load_model(path), load_model(path)[0]):
        assert np.abs(loaded(images) - outputs).max() < 0.01 * np.abs(outputs).max()
    assert read_config(path) == CONFIG


def test_a_compact_file_is_far_smaller(wide: Path, tmp_path: Path):
    path = tmp_path / "compact.keras"
    save_calibrated(wide, path, {PLAIN: make_calibration(0)}, compact=True)
    assert path.stat().st_size < 0.7 * wide.stat().st_size
    save_calibrated(wide, path, {PLAIN: make_calibration(0)})
    assert path.stat().st_size > 0.95 * wide.stat().st_size


def test_compact_weights_are_the_nearest_of_11_significant_bits(wide: Path, tmp_path: Path):
    path = tmp_path / "compact.keras"
    save_calibrated(wide, path, {PLAIN: make_calibration(0)}, compact=True)
    loaded, config = load_model(path)
    original, expected = load_model(wide)
    assert config == expected
    changed = 0
    for weight, before in zip(loaded.get_weights(), original.get_weights(), strict=True):
        np.testing.assert_array_less(abs(weight - before), 2**-11 * abs(before) + 1e-38)
        assert (weight.view(np.uint32) & 0x1FFF == 0).all()
        assert (np.signbit(weight) == np.signbit(before)).all()
        changed += int((weight != before).sum())
    # Of random weights all but one in 8192 have other bits at their ends.
    assert changed > 0.9 * original.count_params()
    assert loaded.get_weights()[0].flat[:4].tolist() == [0.0, 0.0, 1.0, -1.5]
    others = {name: content for name, content in members(path).items() if name != WEIGHTS_MEMBER}
    del others[CALIBRATION_MEMBER]
    kept = members(wide)
    del kept[WEIGHTS_MEMBER]
    assert others == kept


def test_a_compact_file_stays_the_same_when_it_is_made_compact_again(wide: Path, tmp_path: Path):
    once, twice = tmp_path / "once.keras", tmp_path / "twice.keras"
    save_calibrated(wide, once, {PLAIN: make_calibration(0)}, compact=True)
    save_calibrated(once, twice, {PLAIN: make_calibration(1)}, compact=True)
    for one, other in zip(
        load_model(once)[0].get_weights(), load_model(twice)[0].get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("failing", ["writing", "moving"])
def test_a_failed_calibration_leaves_the_model_and_nothing_else(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
):
    path = tmp_path / "best.keras"
    path.write_bytes(saved.read_bytes())

    def fail(*_: object, **__: object) -> None:
        assert path.read_bytes() == saved.read_bytes()
        assert len(list(tmp_path.iterdir())) == 2
        raise OSError(28, "No space left on device")

    owner, name = {"writing": (zipfile.ZipFile, "writestr"), "moving": (Path, "replace")}[failing]
    monkeypatch.setattr(owner, name, fail)
    with pytest.raises(InputError, match=r"cannot be written \(No space left on device\)$"):
        save_calibrated(path, path, {PLAIN: make_calibration(0)})
    assert path.read_bytes() == saved.read_bytes()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("compact", [False, True])
def test_a_damaged_model_is_not_calibrated(saved: Path, tmp_path: Path, compact: bool):
    with zipfile.ZipFile(saved) as archive:
        weights = archive.getinfo(WEIGHTS_MEMBER)
    content = bytearray(saved.read_bytes())
    content[weights.header_offset + weights.compress_size // 2] ^= 0xFF
    path = tmp_path / "damaged.keras"
    path.write_bytes(content)
    for target in (path, tmp_path / "calibrated.keras"):
        with pytest.raises(ValueError, match=r"damaged\.keras: .*or a damaged one .*CRC"):
            save_calibrated(path, target, {PLAIN: make_calibration(0)}, compact=compact)
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_of_another_kind_is_not_calibrated(tmp_path: Path):
    path = tmp_path / "other.keras"
    path.write_bytes(b"not a zip file at all")
    for use in (read_calibrations, lambda path: save_calibrated(path, path, {})):
        with pytest.raises(ValueError, match=r"other\.keras: not a model file"):
            use(path)
    assert path.read_bytes() == b"not a zip file at all"
    with pytest.raises(ValueError, match=r"none\.keras: not a model file"):
        read_calibrations(tmp_path / "none.keras")


@pytest.mark.parametrize("text", ["{", "[]", '{"plain": {"heights": [[0.5]], "rates": [[2]]}}'])
def test_a_damaged_calibration_is_told(saved: Path, tmp_path: Path, text: str):
    path = tmp_path / "changed.keras"
    path.write_bytes(saved.read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(CALIBRATION_MEMBER, text)
    with pytest.raises(ValueError, match=r"changed\.keras: not a calibration of scores"):
        read_calibrations(path)
    save_calibrated(path, path, {PLAIN: make_calibration(0)})
    assert_calibrated(path, {PLAIN: make_calibration(0)})


def test_an_exported_file_is_not_calibrated(exported: Callable[..., Path], tmp_path: Path):
    path = Path(shutil.copy(exported("litert"), tmp_path / "small.tflite"))
    content = path.read_bytes()
    with pytest.raises(ValueError, match=r"small\.tflite: only a \.keras file can be calibrated"):
        save_calibrated(path, path, {PLAIN: make_calibration(0)})
    assert path.read_bytes() == content
