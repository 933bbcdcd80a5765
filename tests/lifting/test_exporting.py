"""Numpy, LiteRT and ONNX Runtime say the same as Keras."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from hourglass.export import main
from hourglass.lifting.exporting import compare, export_lifter, format_parity
from hourglass.lifting.model_file import About, load_lifter, save_lifter
from hourglass.lifting.network import build_lifter, set_weights, weights_of
from hourglass.lifting.runtimes import NumpyRuntime, load_runtime
from hourglass.lifting.shape import LifterConfig

SMALL = LifterConfig(units=16)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file whose BatchNorms have statistics of their own, as after training."""
    rng = np.random.default_rng(0)
    weights = weights_of(build_lifter(SMALL))
    noisy = {
        name: value + ("_norm/" in name) * rng.uniform(0, 0.3, value.shape).astype(np.float32)
        for name, value in weights.items()
    }
    path = tmp_path_factory.mktemp("model") / "small.npz"
    save_lifter(path, noisy, About(SMALL, "made up"))
    return path


def people(count: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, 16, 3)).astype(np.float32)


def test_numpy_says_what_keras_says(model: Path) -> None:
    network = build_lifter(SMALL)
    set_weights(network, load_lifter(model)[0], where="test")
    expected = keras.ops.convert_to_numpy(network(people(5), training=False))
    np.testing.assert_allclose(NumpyRuntime(model)(people(5)), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["litert", "onnx"])
def test_an_export_says_what_its_model_says(model: Path, tmp_path: Path, kind: str) -> None:
    ending = {"litert": ".tflite", "onnx": ".onnx"}[kind]
    export = tmp_path / f"small{ending}"
    export_lifter(model, export, kind)
    runtime = load_runtime(export)
    assert runtime.about == About(SMALL, "made up")
    for count in (1, 3, 1):
        expected = NumpyRuntime(model)(people(count))
        np.testing.assert_allclose(runtime(people(count)), expected, rtol=1e-4, atol=1e-4)
    parity = compare(model, export)
    assert parity.difference < 1  # mm
    assert "small.npz" in format_parity(parity)
    with pytest.raises(ValueError, match="exists; replace it with --force"):
        export_lifter(model, export, kind)


def test_the_command_exports_a_lifting_network_too(model: Path, tmp_path: Path) -> None:
    copy = tmp_path / "small.npz"
    copy.write_bytes(model.read_bytes())
    done = CliRunner().invoke(main, ["--model", str(copy), "--format", "litert"])
    assert done.exit_code == 0, done.output
    assert "largest difference between their joints" in done.output
    assert (tmp_path / "small.tflite").is_file()
    refused = CliRunner().invoke(main, ["--model", str(copy), "--format", "litert", "--batch", "2"])
    assert refused.exit_code == 1
    assert "has no --outputs, --batch" in refused.output


def test_float16_weights_halve_a_litert_file(model: Path, tmp_path: Path) -> None:
    sizes = []
    for name, quantize in (("whole", None), ("half", "float16")):
        export_lifter(model, tmp_path / f"{name}.tflite", "litert", quantize=quantize)
        sizes.append((tmp_path / f"{name}.tflite").stat().st_size)
    assert sizes[1] < sizes[0]
    assert compare(model, tmp_path / "half.tflite").difference < 20


@pytest.mark.parametrize(
    ("name", "kind", "quantize", "told"),
    [
        ("x.onnx", "litert", None, r"must end in \.tflite"),
        ("x", "saved-model", None, "become litert or onnx"),
        ("x.onnx", "onnx", "int8", "for --format litert only"),
        ("none/x.onnx", "onnx", None, "there is no folder"),
    ],
)
def test_wrong_choices_are_refused(
    model: Path, tmp_path: Path, name: str, kind: str, quantize: str | None, told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        export_lifter(model, tmp_path / name, kind, quantize=quantize)


def test_files_that_are_no_lifting_networks_are_refused(tmp_path: Path) -> None:
    for name in ("x.tflite", "x.onnx", "x.npz"):
        with pytest.raises(ValueError, match=name):
            load_runtime(tmp_path / name)
        (tmp_path / name).write_bytes(b"something else")
        with pytest.raises(ValueError, match=name):
            load_runtime(tmp_path / name)
    with pytest.raises(ValueError, match=r"end in \.npz, \.tflite, \.onnx"):
        load_runtime(tmp_path / "x.keras")
