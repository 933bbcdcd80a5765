"""Exports: what stands in each kind of file, what its own runtime makes of it, and the command."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from hourglass.core import calibration, config_text
from hourglass.core.config import Config
from hourglass.core.decoding import decode_heatmaps
from hourglass.core.geometry import from_grid
from hourglass.core.skeleton import MPII
from hourglass.data.datasets import validation_dataset
from hourglass.data.people import load_people
from hourglass.export import main
from hourglass.exporting.choices import ENDINGS, Choices, default_output
from hourglass.exporting.formats import (
    CALIBRATION_PEOPLE,
    calibration_crops,
    crop_keypoints,
    export_model,
)
from hourglass.exporting.operators import describe_operators, read_operators
from hourglass.exporting.parity import Column, Parity, compare, format_parity
from hourglass.exporting.quantization import CONVOLUTIONS, FIRST, LAST
from hourglass.inference.estimator import SHIPPED
from hourglass.modelfiles.keras_file import load_model, save_model
from hourglass.modelfiles.metadata import OUTPUTS, Metadata, from_texts, to_texts
from hourglass.modelfiles.runtimes import KerasRuntime, load_export

Exported = Callable[..., Path]


@pytest.fixture(scope="module")
def original(micro_file: Path) -> KerasRuntime:
    return KerasRuntime(micro_file)


@pytest.fixture(scope="module")
def expected_keypoints(original: KerasRuntime, crops: np.ndarray) -> np.ndarray:
    """What a keypoints export must give for `crops`, by this project's own decoding."""
    points, scores = decode_heatmaps(original.heatmaps(crops), refine="quarter")
    return np.concatenate([from_grid(points), scores[..., None]], axis=-1)


# What an export is, as a program without this project sees it.


def input_and_output(path: Path) -> list[tuple[str, Any, tuple[int | None, ...]]]:
    """Name, dtype and shape of input and output, read by the format's own runtime."""
    if path.suffix == ".onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(path)
        kinds = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32}
        values = (*session.get_inputs(), *session.get_outputs())
        return [(value.name, kinds[value.type], shape(value.shape)) for value in values]
    if path.suffix == ".tflite":
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(str(path))
        (signature,) = interpreter.get_signature_list().values()
        names = (*signature["inputs"], *signature["outputs"])
        values = (*interpreter.get_input_details(), *interpreter.get_output_details())
        return [
            (name, value["dtype"], shape(value["shape_signature"]))
            for name, value in zip(names, values, strict=True)
        ]
    import tensorflow as tf

    function = tf.saved_model.load(str(path)).signatures["serving_default"]
    values = {**function.structured_input_signature[1], **function.structured_outputs}
    return [
        (name, value.dtype.as_numpy_dtype, shape(value.shape)) for name, value in values.items()
    ]


def shape(sides: Any) -> tuple[int | None, ...]:
    """A shape with None for a side of any length, whatever the format calls that."""
    return tuple(None if side in ("batch", -1, None) else int(side) for side in sides)


@pytest.mark.parametrize("kind", ENDINGS)
def test_a_heatmaps_export_takes_any_number_of_uint8_crops(kind: str, exported: Exported):
    assert input_and_output(exported(kind)) == [
        ("image", np.uint8, (None, 32, 32, 3)),
        ("heatmaps", np.float32, (None, 8, 8, 16)),
    ]


@pytest.mark.parametrize("kind", ENDINGS)
def test_a_keypoints_export_of_a_fixed_batch_takes_that_many(kind: str, exported: Exported):
    assert input_and_output(exported(kind, outputs="keypoints", batch=2)) == [
        ("image", np.uint8, (2, 32, 32, 3)),
        ("keypoints", np.float32, (2, 16, 3)),
    ]


def texts_inside(path: Path) -> dict[str, str]:
    """The metadata, by the format's own means."""
    if path.suffix == ".onnx":
        import onnx

        return {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    if path.suffix == ".tflite":
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name).decode() for name in archive.namelist()}
    return {file.name: file.read_text() for file in (path / "assets.extra").iterdir()}


@pytest.mark.parametrize("kind", ENDINGS)
def test_an_export_says_what_it_is(kind: str, exported: Exported, original: KerasRuntime):
    for choices in ({}, {"outputs": "keypoints", "batch": 2}):
        texts = texts_inside(exported(kind, **choices))
        assert texts["hourglass.json"] == config_text.to_json(original.config)
        assert texts["calibration.json"] == calibration.to_json(original.calibrations)
        about = json.loads(texts["export.json"])
        outputs = choices.get("outputs", "heatmaps")
        assert (about["outputs"], about["batch"]) == (outputs, choices.get("batch"))
        assert about[outputs] == OUTPUTS[outputs]
        assert about["joints"] == list(MPII.joints)
        assert about["bones"] == [list(bone) for bone in MPII.bones]


def test_a_description_comes_back_unchanged(original: KerasRuntime):
    metadata = Metadata(original.config, {}, outputs="keypoints", batch=3)
    assert from_texts({**to_texts(metadata), "other": "text"}, where="here") == metadata


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("export.json", None, "here: not written by hourglass.export, export.json is not inside"),
        ("export.json", "{", "here: export.json inside is damaged"),
        ("export.json", "[]", "here: export.json inside is damaged"),
        ("export.json", '{"outputs": "masks", "batch": 1}', "here: outputs is 'masks'"),
        ("hourglass.json", "{}", "here: not a configuration"),
        ("calibration.json", "[1]", "here: not a calibration"),
    ],
)
def test_a_wrong_description_is_told(
    name: str, text: str | None, error: str, original: KerasRuntime
):
    texts = to_texts(Metadata(original.config, {}, outputs="heatmaps", batch=None))
    if text is None:
        del texts[name]
    else:
        texts[name] = text
    with pytest.raises(ValueError, match=f"^{re.escape(error)}"):
        from_texts(texts, where="here")


# Keypoints.


def test_keypoints_are_this_projects_own_decoding():
    rng = np.random.default_rng(0)
    heatmaps = rng.normal(0.3, 0.5, (200, 5, 6, 16)).astype(np.float32)
    heatmaps[0], heatmaps[1], heatmaps[2] = 0.0, -1.0, 0.5  # ties, and nothing above zero
    heatmaps[3:50] = np.round(heatmaps[3:50])
    points, scores = decode_heatmaps(heatmaps, refine="quarter")
    found = crop_keypoints(heatmaps).numpy()
    np.testing.assert_array_equal(found[..., :2], from_grid(points))
    np.testing.assert_array_equal(found[..., 2], scores)


@pytest.mark.parametrize("kind", ENDINGS)
def test_a_keypoints_export_decodes_as_this_project_does(
    kind: str, exported: Exported, crops: np.ndarray, expected_keypoints: np.ndarray
):
    keypoints = load_export(exported(kind, outputs="keypoints", batch=2)).run(crops)
    np.testing.assert_allclose(keypoints, expected_keypoints, atol=1e-4)
    assert np.ptp(keypoints[..., :2]) > 16


@pytest.fixture(scope="module")
def dark_file(micro_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model, whose heatmaps are decoded by a Gaussian through the smoothed peak."""
    network, config = load_model(micro_file)
    path = tmp_path_factory.mktemp("dark") / "micro.keras"
    save_model(path, network, config.replace("data.refine", "dark"))
    return path


@pytest.mark.parametrize(
    ("kind", "batch", "quantize"),
    [
        ("litert", None, None),
        pytest.param("litert", 2, None, marks=pytest.mark.slow),
        pytest.param("litert", None, "float16", marks=pytest.mark.slow),
        pytest.param("onnx", None, None, marks=pytest.mark.slow),
        pytest.param("saved-model", None, None, marks=pytest.mark.slow),
    ],
)
def test_keypoints_are_decoded_as_the_model_says(
    kind: str,
    batch: int | None,
    quantize: str | None,
    dark_file: Path,
    crops: np.ndarray,
    tmp_path: Path,
):
    output = tmp_path / f"a{ENDINGS[kind]}"
    export_model(dark_file, output, Choices(kind, "keypoints", batch, quantize))
    found = load_export(output).run(crops)
    heatmaps = KerasRuntime(dark_file).heatmaps(crops)
    dark, quarter = (
        from_grid(decode_heatmaps(heatmaps, refine=refine)[0]) for refine in ("dark", "quarter")
    )
    assert np.abs(dark - quarter).max() > 1
    away = np.abs(found[..., :2] - dark).max(axis=-1)
    # 0.05 heatmap px; rounding to float16 may move a peak from one cell to another of its height.
    assert (away <= 4 * 0.05).mean() >= (0.9 if quantize else 1.0), away.max()


# Quantisation.


def test_float16_changes_little(
    exported: Exported, crops: np.ndarray, expected_keypoints: np.ndarray
):
    path = exported("litert", outputs="keypoints", quantize="float16")
    assert constants(path)[np.float16] > 1000
    keypoints = load_export(path).run(crops)
    # Rounding may move a peak from one cell to another of the same height.
    same = abs(keypoints[..., :2] - expected_keypoints[..., :2]).max(axis=-1) < 1e-3
    assert same.mean() > 0.9
    np.testing.assert_allclose(keypoints[..., 2], expected_keypoints[..., 2], atol=0.02)


def constants(path: Path) -> dict[type, int]:
    """Numbers of values inside a LiteRT file's tensors of more than one value, by dtype."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    counts: dict[type, int] = {}
    for tensor in interpreter.get_tensor_details():
        size = int(np.prod(tensor["shape"]))
        if size > 1:
            counts[tensor["dtype"]] = counts.get(tensor["dtype"], 0) + size
    return counts


def test_int8_computes_in_int8_but_for_the_ends(
    exported: Exported, shards: Path, original: KerasRuntime
):
    path = exported("litert", quantize="int8")
    taken, given = input_and_output(path)
    assert taken == ("image", np.uint8, (None, 32, 32, 3))
    assert given == ("heatmaps", np.float32, (None, 8, 8, 16))
    operators = read_operators(path)
    types = [one.inputs for one in operators if one.name in CONVOLUTIONS]
    assert len(types) > 10
    ends = types[:FIRST] + types[-LAST:]
    assert ends == [("FLOAT32",)] * (FIRST + LAST)
    assert types[FIRST:-LAST] == [("INT8",)] * (len(types) - FIRST - LAST)
    assert describe_operators(operators).startswith("all ")
    # Like the pictures that it was calibrated on: their values set the range of its integers.
    dataset = validation_dataset(f"{shards}/train*", original.config, batch_size=8)
    people = next(dataset.as_numpy_iterator())[0]
    expected = original.heatmaps(people)
    error = load_export(path).run(people) - expected
    assert error.std() < 0.1 * expected.std()
    assert abs(error).max() > 1e-4


def test_calibration_crops_are_the_first_peoples(shards: Path, original: KerasRuntime):
    pattern = f"{shards}/train*"
    dataset = validation_dataset(pattern, original.config, batch_size=1).as_numpy_iterator()
    expected = np.concatenate([images for images, *_ in dataset])
    assert len(expected) == 13 < CALIBRATION_PEOPLE
    for batch, people in ((1, 13), (4, 12), (13, 13)):
        crops = calibration_crops(pattern, original.config, batch=batch)
        for _ in range(2):  # the converter may ask twice
            inputs = list(crops())
            assert all(len(one) == 1 and len(one[0]) == batch for one in inputs)
            found = np.concatenate([one[0] for one in inputs])
            np.testing.assert_array_equal(found, expected[:people])
    with pytest.raises(ValueError, match=r"train\*: 13 people, at least 14 are needed"):
        calibration_crops(pattern, original.config, batch=14)


def test_calibration_stops_after_enough_people(
    shards: Path, original: KerasRuntime, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("hourglass.exporting.formats.CALIBRATION_PEOPLE", 5)
    crops = calibration_crops(f"{shards}/train*", original.config, batch=2)
    assert len(list(crops())) == 2


# Comparison.


def test_a_right_export_compares_as_equal(exported: Exported, micro_file: Path, shards: Path):
    path = exported("onnx")
    parity = compare(micro_file, path, data=f"{shards}/validation*")
    assert parity.crops == 9
    assert parity.difference < 1e-4
    assert parity.model.score == parity.export.score
    assert 0 <= parity.model.score <= 100
    assert parity.model.megabytes == micro_file.stat().st_size / 1e6
    assert parity.export.megabytes == path.stat().st_size / 1e6
    assert parity.export.milliseconds > 0


def test_keypoints_are_compared_in_pixels(exported: Exported, micro_file: Path):
    parity = compare(micro_file, exported("onnx", outputs="keypoints", batch=2))
    assert (parity.outputs, parity.batch, parity.crops) == ("keypoints", 2, 16)
    assert parity.difference < 1e-3
    assert parity.model.score is parity.export.score is None


def test_an_export_for_crops_of_another_size(exported: Exported, micro_file: Path):
    path = exported("onnx", input_size=48)
    assert input_and_output(path)[0] == ("image", np.uint8, (None, 48, 48, 3))
    assert load_export(path).config.network.input_size == 48
    parity = compare(micro_file, path)
    assert parity.crops == 16
    assert parity.difference < 1e-4


@pytest.mark.parametrize("value", [0.5, np.nan])
def test_a_wrong_export_shows(
    value: float, exported: Exported, micro_file: Path, monkeypatch: pytest.MonkeyPatch
):
    run = "hourglass.modelfiles.runtimes.OnnxRuntime.run"
    wrong = np.zeros((16, 8, 8, 16), np.float32)
    wrong[3, 2, 1, 0] = value
    monkeypatch.setattr(
        "hourglass.modelfiles.runtimes.KerasRuntime.heatmaps", lambda _, images: 0 * wrong
    )
    monkeypatch.setattr(run, lambda _, images: wrong[: len(images)])
    difference = compare(micro_file, exported("onnx")).difference
    np.testing.assert_equal(difference, value)


def test_perfect_keypoints_score_100(shards: Path):
    from hourglass.core.geometry import apply_affine, crop_matrix
    from hourglass.exporting.parity import _score

    people = load_people(f"{shards}/validation*")
    perfect = apply_affine(crop_matrix(people.center, people.scale, size=256), people.points)
    assert _score(perfect, f"{shards}/validation*", Config()) == 100
    assert _score(perfect + 100, f"{shards}/validation*", Config()) == 0


def test_the_table_has_a_row_per_file():
    model, export = Column("a.keras", 8.12, 25.5, 51.25), Column("longer.tflite", 2.0, 5.0, 50.5)
    text = format_parity(Parity(model, export, "PCKh@0.5", 0.0125, "heatmaps", 800, 1))
    assert text.splitlines() == [
        "               PCKh@0.5       MB  ms/crop",
        "a.keras           51.25     8.12    25.50",
        "longer.tflite     50.50     2.00     5.00",
        "largest difference between their heatmaps 0.013, on 800 crops of the validation people; "
        "time with 1 at once",
    ]


# The command.


@pytest.fixture
def model(micro_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model file in a folder of the test's own, where commands run."""
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copy(micro_file, "micro.keras"))


def test_the_command_writes_beside_the_model_and_compares(model: Path, shards: Path):
    arguments = ["--model", model, "--format", "litert", "--data", f"{shards}/validation*"]
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in Path().iterdir()) == ["micro.keras", "micro.tflite"]
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines[1:3]] == ["micro.keras", "micro.tflite"]
    assert float(lines[1].split()[1]) == float(lines[2].split()[1])
    assert "9 crops of the validation people" in lines[3]
    assert lines[4] == "all 6 kinds of operators run on GPU delegates and NNAPI"
    assert lines[5] == "heatmaps export of micro.keras in micro.tflite"


@pytest.fixture
def quick_writers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is converted: each export is a file or folder that says "new"."""

    def write(path: Path, *_: Any) -> None:
        if path.suffix:
            path.write_text("new")
        else:
            path.mkdir()
            (path / "saved_model.pb").write_text("new")

    monkeypatch.setattr("hourglass.exporting.formats._WRITERS", dict.fromkeys(ENDINGS, write))
    monkeypatch.setattr("hourglass.exporting.formats.serving_function", lambda *_, **__: None)


def content(path: Path) -> str:
    return (path / "saved_model.pb" if path.is_dir() else path).read_text()


@pytest.mark.parametrize("kind", ENDINGS)
def test_an_existing_export_is_replaced_by_force_only(kind: str, model: Path, quick_writers: None):
    output = default_output(model, kind)
    assert output.name == "micro" + ENDINGS[kind]
    if kind == "saved-model":
        output.mkdir()
        (output / "saved_model.pb").write_text("old")
        (output / "more").touch()
    else:
        output.write_text("old")
    with pytest.raises(ValueError, match=f"{output}: exists; replace it with --force"):
        export_model(model, output, Choices(kind))
    assert content(output) == "old"
    export_model(model, output, Choices(kind), force=True)
    assert content(output) == "new"
    assert not (output / "more").exists()
    assert len(list(Path().iterdir())) == 2


def test_force_never_removes_what_is_no_export(model: Path, quick_writers: None):
    Path("pictures").mkdir()
    Path("pictures/a.jpg").touch()
    Path("folder.onnx").mkdir()
    for kind, output in (("saved-model", "pictures"), ("onnx", "folder.onnx")):
        with pytest.raises(ValueError, match=f"{output}: exists and is no {kind} export"):
            export_model(model, Path(output), Choices(kind), force=True)
    assert Path("pictures/a.jpg").exists()


def test_a_failed_export_leaves_everything_as_it_was(
    model: Path, quick_writers: None, monkeypatch: pytest.MonkeyPatch
):
    def fail(path: Path, *_: Any) -> None:
        path.write_text("half")
        raise RuntimeError("the converter failed")

    monkeypatch.setattr("hourglass.exporting.formats._WRITERS", {"onnx": fail})
    Path("old.onnx").write_text("old")
    with pytest.raises(RuntimeError):
        export_model(model, Path("old.onnx"), Choices("onnx"), force=True)
    assert Path("old.onnx").read_text() == "old"
    assert sorted(path.name for path in Path().iterdir()) == ["micro.keras", "old.onnx"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ("--format onnx --quantize float16", "--quantize float16 is for --format litert only"),
        ("--format litert --quantize int8", "--quantize int8 needs --calibrate"),
        ("--format litert --calibrate x*", "--calibrate is for --quantize int8 only"),
        (
            "--format litert --quantize int8 --calibrate x* --outputs keypoints",
            "--quantize int8 would round coordinates",
        ),
        ("--format litert --quantize int8 --calibrate x*", "no shards match 'x*'"),
        ("--format onnx --data x*", "no shards match 'x*'"),
        ("--format onnx --output a.tflite", "--output a.tflite: the name of a onnx export must"),
        (
            "--format saved-model --output a.onnx",
            "--output a.onnx: the name of a saved-model export",
        ),
        ("--format onnx --output none/a.onnx", "--output none/a.onnx: there is no folder none"),
        ("--format onnx --model micro.tflite", "micro.tflite: only a .keras file can be exported"),
        ("--format onnx --model none.keras", "none.keras: no such model file"),
        ("--format onnx --batch 0", "Invalid value for '--batch'"),
        ("--format onnx --input-size 30", "micro.keras: it cannot take crops of 30 px: "),
        ("--format tensorrt", "Invalid value for '--format'"),
    ],
)
def test_wrong_arguments_are_told_in_one_line(
    arguments: str, error: str, model: Path, error_of: Callable[..., str]
):
    words = arguments.split()
    given = () if "--model" in words else ("--model", model)
    assert error_of(main, *given, *words).startswith(error)
    assert sorted(path.name for path in Path().iterdir()) == ["micro.keras"]


def test_what_names_alone_tell_is_told_before_anything_is_loaded(
    error_of: Callable[..., str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "hourglass.exporting.formats", None)
    for words, told in {
        "--format litert --quantize int8": "--quantize int8 needs --calibrate",
        "--format onnx --output none/a.onnx": "--output none/a.onnx: there is no folder none",
        "--format onnx --model a.tflite": "a.tflite: only a .keras file can be exported",
    }.items():
        assert error_of(main, *words.split()).startswith(told)


@pytest.mark.parametrize(
    ("option", "arguments"),
    [("--data", "--format onnx"), ("--calibrate", "--format litert --quantize int8")],
)
def test_shards_of_other_joints_are_told_before_anything_is_written(
    option: str, arguments: str, model: Path, shards: Path, error_of: Callable[..., str]
):
    shutil.copytree(shards, "others")
    names = [f"joint {number}" for number in range(16)]
    manifest = {"skeleton": {"name": "others", "joints": names}}
    Path("others/manifest.json").write_text(json.dumps(manifest))
    line = error_of(main, "--model", model, *arguments.split(), option, "others/train*")
    assert line == (
        f"{option} others/train*: the shards have the 16 joints of skeleton 'others', the model "
        "finds the 16 of 'mpii'"
    )
    assert sorted(path.name for path in Path().iterdir()) == ["micro.keras", "others"]


def test_a_name_with_dots_keeps_them(model: Path, quick_writers: None):
    dotted = Path(shutil.copy(model, "hg4.v2.keras"))
    for kind in ENDINGS:
        output = default_output(dotted, kind)
        assert output.name == "hg4.v2" + ENDINGS[kind]
        export_model(dotted, output, Choices(kind))
        assert content(output) == "new"


def test_an_export_of_the_shipped_model_goes_into_the_working_folder():
    for path in (SHIPPED, Path(os.path.relpath(SHIPPED))):
        assert default_output(path, "onnx") == Path("lite.onnx")


def test_another_backend_is_told(
    model: Path, error_of: Callable[..., str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    error = error_of(main, "--model", model, "--format", "onnx")
    assert error.startswith("export needs KERAS_BACKEND=tensorflow, got 'jax'")


def test_missing_packages_are_told(
    model: Path, error_of: Callable[..., str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    assert "pip install tf2onnx onnx onnxruntime" in error_of(
        main, "--model", model, "--format", "onnx"
    )
