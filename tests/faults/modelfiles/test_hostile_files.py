"""Model files made to do harm: nothing in them runs, nothing is unpacked, memory stays small."""

from __future__ import annotations

import io
import json
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from hourglass.core.config import Config
from hourglass.core.errors import InputError
from hourglass.core.presets import PRESETS
from hourglass.modelfiles import archive
from hourglass.modelfiles.keras_file import (
    OPTIMIZER_MEMBER,
    WEIGHTS_MEMBER,
    fewest_bytes,
    load_model,
    load_weights,
    read_arrays,
    read_calibrations,
    read_config,
)
from hourglass.modelfiles.metadata import CALIBRATION_MEMBER, CONFIG_MEMBER, EXPORT_MEMBER
from hourglass.modelfiles.runtimes import load_runtime
from hourglass.networks.hourglass import build_network

DEEP = "[" * 100_000


class Trap:
    """Whoever unpickles it makes a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._path,)


@pytest.fixture
def changed(micro_file: Path, tmp_path: Path) -> Callable[..., Path]:
    """`changed({member: bytes})`: a copy of a model file with other members."""

    def write(members: dict[str, bytes]) -> Path:
        path = tmp_path / "hostile.keras"
        with zipfile.ZipFile(micro_file) as one, zipfile.ZipFile(path, "w") as other:
            for name in one.namelist():
                if name not in members:
                    other.writestr(name, one.read(name))
            for name, content in members.items():
                other.writestr(name, content, zipfile.ZIP_DEFLATED)
        return path

    return write


def with_claim(path: Path, name: str, size: int) -> Path:
    """The archive with a member that claims to unpack to so many bytes."""
    data = bytearray(path.read_bytes())
    place = data.rindex(b"PK\x01\x02", 0, data.rindex(name.encode()))
    data[place + 24 : place + 28] = size.to_bytes(4, "little")
    path.write_bytes(data)
    return path


def test_neither_code_is_run_nor_a_member_unpacked(changed: Callable[..., Path], tmp_path: Path):
    """A Lambda layer in Keras's own description, and members that name other places."""
    mark = tmp_path / "ran"
    layer = {
        "module": "keras.layers",
        "class_name": "Lambda",
        "config": {"name": "x", "function": f"lambda x: open({str(mark)!r}, 'w')"},
    }
    graph = {"module": "keras", "class_name": "Sequential", "config": {"layers": [layer]}}
    elsewhere = ("../../slipped.txt", "/slipped.txt", "assets/../../slipped.txt")
    members = {"config.json": json.dumps(graph).encode()} | dict.fromkeys(elsewhere, b"x")
    path = changed(members)
    before = set(tmp_path.rglob("*"))
    network, _ = load_model(path)
    assert {type(layer).__name__ for layer in network.layers} & {"Conv2D"}
    assert set(tmp_path.rglob("*")) == before
    for folder in (Path("/"), Path.cwd(), *tmp_path.parents):
        assert not (folder / "slipped.txt").exists()


def test_a_pickle_in_an_optimizer_is_not_opened(changed: Callable[..., Path], tmp_path: Path):
    mark, out = tmp_path / "ran", io.BytesIO()
    np.savez(out, np.array([Trap(mark)], dtype=object))
    path = changed({OPTIMIZER_MEMBER: out.getvalue()})
    with pytest.raises(InputError, match=r"optimizer\.npz inside is damaged"):
        read_arrays(path, OPTIMIZER_MEMBER, most=2**20)
    assert not mark.exists()


def test_a_bomb_inside_an_optimizer_is_not_unpacked(changed: Callable[..., Path]):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as inner:
        inner.writestr("arr_0.npy", bytes(50 * 2**20))
    assert len(out.getvalue()) < 2**20
    path = changed({OPTIMIZER_MEMBER: out.getvalue()})
    with pytest.raises(InputError, match=r"optimizer\.npz inside unpacks to more than"):
        read_arrays(path, OPTIMIZER_MEMBER, most=2**20)


@pytest.mark.parametrize("name", ["a.keras", "a.tflite"])
def test_a_pickle_by_another_name_is_not_opened(name: str, tmp_path: Path):
    mark = tmp_path / "ran"
    (tmp_path / name).write_bytes(pickle.dumps(Trap(mark)))
    with pytest.raises(InputError, match=name):
        load_runtime(tmp_path / name)
    assert not mark.exists()


@pytest.mark.parametrize("name", [CONFIG_MEMBER, CALIBRATION_MEMBER, WEIGHTS_MEMBER])
def test_a_member_that_would_fill_the_memory_is_not_unpacked(
    name: str, changed: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
):
    path = with_claim(changed({name: b"{}"}), name, 3 * 2**30)
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("it was unpacked"))
    with pytest.raises(InputError, match=rf"{name} inside has {3 * 2**30} bytes, at most"):
        archive.member(path, name, most=archive.LARGEST_ARRAYS)
    with pytest.raises(InputError, match=r"hostile\.keras: "):
        archive.text(path, name)


def test_a_bomb_of_zeros_costs_what_it_claims_at_most(changed: Callable[..., Path]):
    """A member that claims little and holds much ends at its claim."""
    path = with_claim(changed({CONFIG_MEMBER: bytes(50 * 2**20)}), CONFIG_MEMBER, 1000)
    with pytest.raises(InputError, match=r"hostile\.keras: "):
        read_config(path)


@pytest.fixture(scope="module")
def network(micro_config: Config) -> keras.Model:
    return build_network(micro_config.network)


def weights_with(add: Callable[[h5py.File], None], original: bytes) -> bytes:
    out = io.BytesIO(original)
    with h5py.File(out, "r+") as file:
        add(file)
    return out.getvalue()


@pytest.mark.parametrize(
    ("add", "told"),
    [
        (
            lambda file: file.create_dataset(
                "zeros", (2**18, 2**14), np.float32, compression="gzip", chunks=(64, 64)
            ),
            "17179905872 bytes|at most",
        ),
        (lambda file: file.__setitem__("soft", h5py.SoftLink("/layers")), "soft lies elsewhere"),
        (
            lambda file: file.__setitem__("far", h5py.ExternalLink("/etc/passwd", "/")),
            "far lies elsewhere",
        ),
        (
            lambda file: file.create_dataset(
                "outside", (16,), np.uint8, external=[("/etc/hostname", 0, 16)]
            ),
            "outside lies elsewhere",
        ),
    ],
)
def test_weights_that_reach_out_or_fill_the_memory_are_refused(
    add: Callable[[h5py.File], None],
    told: str,
    changed: Callable[..., Path],
    micro_file: Path,
    network: keras.Model,
):
    with zipfile.ZipFile(micro_file) as one:
        original = one.read(WEIGHTS_MEMBER)
    path = changed({WEIGHTS_MEMBER: weights_with(add, original)})
    with pytest.raises(InputError, match=rf"hostile\.keras: weights cannot be loaded \(.*({told})"):
        load_weights(path, network)


@pytest.mark.parametrize("field", ["stacks", "channels", "joints", "depth", "input_size"])
def test_a_network_far_larger_than_its_weights_is_not_built(
    field: str, changed: Callable[..., Path], micro_file: Path, monkeypatch: pytest.MonkeyPatch
):
    values = json.loads(archive.text(micro_file, CONFIG_MEMBER))
    values["network"][field] = 2**22
    if field == "joints":
        values["skeleton"] = None
    path = changed({CONFIG_MEMBER: json.dumps(values).encode()})
    monkeypatch.setattr(
        "hourglass.modelfiles.keras_file.build_network", lambda *_: pytest.fail("it was built")
    )
    with pytest.raises(InputError, match=r"hostile\.keras"):
        load_model(path)


@pytest.mark.parametrize(
    ("name", "parameters"), [("hg1", 3_586_960), ("hg8", 25_594_624), ("tiny", 190_576)]
)
def test_no_preset_is_taken_for_such_a_network(name: str, parameters: int):
    assert fewest_bytes(PRESETS[name].network) < 4 * parameters


@pytest.mark.parametrize("name", [CONFIG_MEMBER, CALIBRATION_MEMBER])
@pytest.mark.parametrize("content", [DEEP.encode(), b"\xff\xfe", b"9" * 100_000, b'{"a": NaN}'])
def test_json_that_is_none_is_named(name: str, content: bytes, changed: Callable[..., Path]):
    read = read_config if name == CONFIG_MEMBER else read_calibrations
    with pytest.raises(InputError, match=r"hostile\.keras"):
        read(changed({name: content}))


@pytest.mark.slow
@pytest.mark.parametrize("name", [CONFIG_MEMBER, CALIBRATION_MEMBER, EXPORT_MEMBER])
def test_an_exported_file_of_deep_json_is_named(
    name: str, exported: Callable[..., Path], tmp_path: Path
):
    path = tmp_path / "deep.tflite"
    path.write_bytes(exported("litert").read_bytes())
    with (
        pytest.warns(UserWarning, match="Duplicate name"),
        zipfile.ZipFile(path, "a") as file,
    ):
        file.writestr(name, DEEP)
    with pytest.raises(InputError, match=r"deep\.tflite"):
        load_runtime(path)


@pytest.mark.slow
def test_an_onnx_file_that_takes_weights_from_elsewhere_is_refused(
    exported: Callable[..., Path], tmp_path: Path
):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(exported("onnx"))
    tensor = max(model.graph.initializer, key=lambda one: len(one.raw_data))
    (tmp_path / "secret.bin").write_bytes(tensor.raw_data)
    folder = tmp_path / "models"
    folder.mkdir()
    for place in ("../secret.bin", str(tmp_path / "secret.bin")):
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        del tensor.external_data[:]
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", place
        (folder / "outside.onnx").write_bytes(model.SerializeToString())
        with pytest.raises(InputError, match=r"outside\.onnx: not an ONNX file, or a damaged one"):
            load_runtime(folder / "outside.onnx")


@pytest.mark.slow
def test_a_saved_model_that_writes_files_is_refused(tmp_path: Path, exported: Callable[..., Path]):
    import tensorflow as tf

    mark = tmp_path / "ran"

    class Writer(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, 32, 32, 3), tf.uint8, "image")])
        def serve(self, image: Any) -> dict[str, Any]:
            tf.io.write_file(str(mark), "x")
            return {"heatmaps": tf.zeros((1, 8, 8, 16))}

    module, folder = Writer(), tmp_path / "writer"
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})
    shutil.copytree(exported("saved-model") / "assets.extra", folder / "assets.extra")
    mark.unlink(missing_ok=True)
    with pytest.raises(InputError, match="writer: not a network alone, its graph calls WriteFile"):
        load_runtime(folder)
    assert not mark.exists()
