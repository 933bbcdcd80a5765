"""Model files that run: each kind gives the last stack's heatmaps, whatever the batch.

What is in an exported file is tested in test_export.py.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hourglass.core.config import Config, NetworkConfig
from hourglass.modelfiles.metadata import HEATMAPS, Metadata
from hourglass.modelfiles.runtimes import (
    ExportRuntime,
    KerasRuntime,
    LiteRTRuntime,
    OnnxRuntime,
    SavedModelRuntime,
    load_runtime,
)

ROOT = Path(__file__).parents[2]

CONFIG = Config(NetworkConfig(stacks=2, channels=8, depth=1, input_size=16))


@pytest.fixture(scope="module")
def network() -> Any:
    from hourglass.networks.hourglass import build_network

    model = build_network(CONFIG.network, seed=1)
    for weight in model.weights:
        weight.assign(weight.numpy() + 0.01)
    return model


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory, network: Any) -> Path:
    from hourglass.modelfiles.keras_file import save_model

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
    rounding = 1e-5 * np.abs(outputs).max()
    np.testing.assert_allclose(heatmaps, outputs[:, -1], atol=rounding)
    np.testing.assert_allclose(runtime.heatmaps(images[2:3]), heatmaps[2:3], atol=rounding)


@pytest.mark.parametrize("name", ["model", "model.h5", "model.keras.zip", "saved_model.pb"])
def test_another_ending_is_refused(tmp_path: Path, name: str):
    (tmp_path / name).touch()
    with pytest.raises(ValueError, match=rf"{name}: not a model file, its name must end in"):
        load_runtime(tmp_path / name)


def test_a_shipped_model_s_name_alone_tells_its_file():
    with pytest.raises(ValueError, match=r"^nano: no such model file; \S+/weights/nano\.tflite is"):
        load_runtime("nano")


def test_a_bad_keras_file_is_named(tmp_path: Path):
    with pytest.raises(ValueError, match=r"none\.keras: no such model file"):
        load_runtime(str(tmp_path / "none.keras"))
    (tmp_path / "text.keras").write_text("a text")
    with pytest.raises(ValueError, match=r"text\.keras: not a model file"):
        load_runtime(tmp_path / "text.keras")


# Exported files.

ADAPTERS = {"saved-model": SavedModelRuntime, "onnx": OnnxRuntime, "litert": LiteRTRuntime}


@pytest.mark.parametrize(("kind", "adapter"), ADAPTERS.items())
def test_an_exported_file_gives_the_keras_files_heatmaps(
    kind: str,
    adapter: type,
    exported: Callable[..., Path],
    micro_file: Path,
    crops: np.ndarray,
):
    original, runtime = load_runtime(micro_file), load_runtime(str(exported(kind)))
    assert isinstance(runtime, adapter)
    assert runtime.config == original.config
    expected = original.heatmaps(crops)
    assert expected.std() > 1e-2
    for batch in (crops, crops[:1], crops[1:4], crops[:1]):
        heatmaps = runtime.heatmaps(batch)
        assert heatmaps.dtype == np.float32
        np.testing.assert_allclose(heatmaps, original.heatmaps(batch), atol=1e-4)
    kept = runtime.heatmaps(crops[:1])
    runtime.heatmaps(crops[1:2])
    np.testing.assert_allclose(kept, expected[:1], atol=1e-4)


@pytest.mark.parametrize("cores", [1, 2, 20])
def test_litert_gives_the_same_on_any_number_of_cores(
    cores: int,
    exported: Callable[..., Path],
    crops: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("OMP_NUM_THREADS", str(cores))
    runtime = load_runtime(exported("litert"))
    one_by_one = np.concatenate([runtime.heatmaps(crop[None]) for crop in crops])
    np.testing.assert_allclose(runtime.heatmaps(crops), one_by_one, atol=1e-6)
    np.testing.assert_array_equal(runtime.heatmaps(crops[::-1])[::-1], runtime.heatmaps(crops))


@pytest.mark.parametrize("kind", ADAPTERS)
def test_an_exported_file_has_the_keras_files_calibrations(
    kind: str, exported: Callable[..., Path], micro_file: Path
):
    heights = np.random.default_rng(0).uniform(size=(4, 16))
    (expected,) = load_runtime(micro_file).calibrations.items()
    (found,) = load_runtime(exported(kind)).calibrations.items()
    assert found[0] == expected[0] == "plain"
    np.testing.assert_array_equal(found[1](heights), expected[1](heights))


class Doubler(ExportRuntime):
    """Takes exactly three images at a time, and gives twice their values."""

    def __init__(self) -> None:
        super().__init__(Metadata(CONFIG, {}, outputs=HEATMAPS, batch=3))
        self.seen: list[int] = []

    def _run(self, images: np.ndarray) -> np.ndarray:
        self.seen.append(len(images))
        return 2.0 * images


@pytest.mark.parametrize(("count", "runs"), [(1, 1), (3, 1), (4, 2), (6, 2), (7, 3)])
def test_a_fixed_batch_is_filled_up_and_cut(count: int, runs: int):
    runtime = Doubler()
    images = np.random.default_rng(0).integers(0, 100, (count, 4, 4, 3), np.uint8)
    np.testing.assert_array_equal(runtime.heatmaps(images), 2 * images)
    assert runtime.seen == [3] * runs


@pytest.mark.parametrize("kind", ["onnx", "litert"])
def test_predict_runs_an_export_without_tensorflow_and_keras(
    kind: str, exported: Callable[..., Path], tmp_path: Path
):
    photo, model = tmp_path / "photo.png", exported(kind)
    Image.fromarray(np.full((60, 50, 3), 90, np.uint8)).save(photo)
    arguments = [str(photo), "--model", str(model), "--output", str(tmp_path)]
    program = (
        "import sys\n"
        "for name in ('tensorflow', 'keras', 'jax', 'onnx', 'tf2onnx'):\n"
        "    sys.modules[name] = None\n"  # to import it fails, as where it is not installed
        "from hourglass.predict import main\n"
        f"main({arguments})\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr
    assert ran.stdout.splitlines()[-1].startswith("1 of 1 pictures done")
    assert (tmp_path / "photo_pose.jpg").is_file()


@pytest.mark.parametrize(
    ("kind", "module", "package"),
    [
        ("onnx", "onnxruntime", "onnxruntime"),
        ("litert", "ai_edge_litert.interpreter", "ai-edge-litert"),
    ],
)
def test_a_missing_runtime_is_named(
    kind: str,
    module: str,
    package: str,
    exported: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setitem(sys.modules, module, None)
    path = exported(kind)
    with pytest.raises(ValueError, match=f"{path}: .*{package} is needed: pip install {package}$"):
        load_runtime(path)


@pytest.mark.parametrize("name", ["none.onnx", "none.tflite"])
def test_a_missing_exported_file_is_named(tmp_path: Path, name: str):
    with pytest.raises(ValueError, match=f"{name}: no such model file"):
        load_runtime(tmp_path / name)


@pytest.mark.parametrize("kind", ["onnx", "litert"])
@pytest.mark.parametrize("how", ["empty", "text", "truncated"])
def test_a_damaged_exported_file_is_named(
    kind: str, how: str, exported: Callable[..., Path], tmp_path: Path
):
    content = exported(kind).read_bytes()
    path = tmp_path / exported(kind).name
    path.write_bytes(
        {"empty": b"", "text": b"a text", "truncated": content[: len(content) // 2]}[how]
    )
    with pytest.raises(ValueError, match=rf"{path.name}: (not|its metadata is damaged)"):
        load_runtime(path)


def test_a_litert_file_with_a_damaged_graph_is_named(exported: Callable[..., Path], tmp_path: Path):
    path = tmp_path / "damaged.tflite"
    content = bytearray(exported("litert").read_bytes())
    content[:64] = bytes(64)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"damaged\.tflite: not a LiteRT file, or a damaged one"):
        load_runtime(path)


def test_a_damaged_saved_model_is_named(exported: Callable[..., Path], tmp_path: Path):
    folder = tmp_path / "damaged"
    shutil.copytree(exported("saved-model"), folder)
    (folder / "saved_model.pb").write_bytes(b"a text")
    with pytest.raises(ValueError, match="damaged: not a SavedModel, or a damaged one"):
        load_runtime(folder)


def test_another_projects_file_is_named(exported: Callable[..., Path], tmp_path: Path):
    import onnx

    foreign = onnx.load(exported("onnx"))
    del foreign.metadata_props[:]
    onnx.save(foreign, tmp_path / "foreign.onnx")
    litert = exported("litert").read_bytes()
    with zipfile.ZipFile(exported("litert")) as archive:
        start = min(member.header_offset for member in archive.infolist())
    (tmp_path / "foreign.tflite").write_bytes(litert[:start])
    shutil.copytree(exported("saved-model"), tmp_path / "foreign")
    shutil.rmtree(tmp_path / "foreign" / "assets.extra")
    for name in ("foreign.onnx", "foreign.tflite", "foreign"):
        with pytest.raises(ValueError, match=rf"{name}: not written by hourglass\.export"):
            load_runtime(tmp_path / name)


def test_a_file_that_gives_keypoints_is_refused(exported: Callable[..., Path]):
    path = exported("litert", outputs="keypoints", batch=2)
    with pytest.raises(ValueError, match=f"{path}: it gives keypoints"):
        load_runtime(path)
