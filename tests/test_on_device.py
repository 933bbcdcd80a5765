"""docs/ON_DEVICE.md: its code and formulas are the library's arithmetic.

The Python runs as it stands there, C++ and Kotlin are compiled with stand-ins for LiteRT where
there is a compiler, and Kotlin and Swift must hold the formulas of the C++.
"""

from __future__ import annotations

import ctypes
import json
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hourglass.core.decoding import decode_heatmaps
from hourglass.core.geometry import (
    apply_affine,
    box_to_crop,
    crop_matrix,
    crop_to_picture,
    from_grid,
    invert_affine,
)
from hourglass.core.geometry import crop as library_crop
from hourglass.inference.estimator import SHIPPED_LITERT
from hourglass.media.pictures import read_picture
from hourglass.modelfiles.runtimes import LiteRTRuntime

pytest.importorskip("ai_edge_litert")

ROOT = Path(__file__).parents[1]
DOCUMENT = (ROOT / "docs" / "ON_DEVICE.md").read_text(encoding="utf-8")
PHOTOGRAPH = ROOT / "tests" / "pictures" / "astronaut.jpg"
S, M, J = 224, 56, 16

BOXES = [(60, 40, 120, 180), (-30, 150, 300, 240), (100, 30, 500, 640), (0, 0, 1200, 900)]
"""Smaller than the network's input, across the border, and averaged down by 2 and 4."""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT, re.DOTALL)


def where(box: tuple[int, int, int, int]) -> tuple[float, float, float]:
    """Centre and side of a box's crop, by the document's words."""
    text = " ".join(DOCUMENT.split())
    side, cx, cy = re.search(r"side `(.*?)` about the box's centre `(.*?)`, `(.*?)`", text).groups()
    names = dict(zip(("x", "y", "width", "height"), box, strict=True))
    return tuple(eval(formula, {"max": max}, names) for formula in (cx, cy, side))


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """(900, 1200, 3) uint8 of soft blots, with some detail."""
    rng = np.random.default_rng(0)
    coarse = rng.uniform(0, 255, (57, 76, 3)).repeat(16, 0).repeat(16, 1)[:900, :1200]
    return (0.8 * coarse + 0.2 * rng.uniform(0, 255, coarse.shape)).astype(np.uint8)


@pytest.fixture(scope="module")
def heatmaps() -> np.ndarray:
    """(8, M, M, J) of blots, each highest somewhere, at the border too."""
    rng = np.random.default_rng(1)
    x, y = rng.uniform(0, M - 1, (2, 8, 1, 1, J))
    rows, columns = np.arange(M)[:, None, None], np.arange(M)[:, None]
    distance = (columns - x) ** 2 + (rows - y) ** 2
    noise = rng.uniform(0.001, 0.002, distance.shape)
    return (np.exp(-distance / 4.5) * rng.uniform(0.3, 1.1, x.shape) + noise).astype(np.float32)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the document's Python defines, run as it stands, the file beside it."""
    folder = tmp_path_factory.mktemp("pi")
    shutil.copy(SHIPPED_LITERT, folder / "lite.tflite")
    (code,) = blocks("python")
    names: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        exec(compile(code, "ON_DEVICE.md", "exec"), names)
    return names


# Words and formulas.


def test_the_crops_square_is_the_librarys():
    for box in BOXES:
        center, scale = box_to_crop(box)
        np.testing.assert_allclose(where(box), (*center, 250 * scale))


def test_the_two_formulas_are_inverse_of_each_other_and_the_librarys():
    to_picture, from_cell = (
        re.search(pattern, DOCUMENT, re.MULTILINE)[1] for pattern in (r"^sx = (.*)$", r"^x = (.*)$")
    )
    center, scale = box_to_crop(BOXES[1])
    matrix = invert_affine(crop_matrix(center, scale, size=S))
    names = {"cx": center[0], "side": 250 * scale, "S": S}
    for place in (0.0, 13.25, 55.0):
        expected = apply_affine(matrix, np.array([[place, 0.0]]))[0, 0]
        assert eval(to_picture, {}, {**names, "u": place}) == pytest.approx(expected)
        expected = apply_affine(matrix, from_grid(np.array([[place, 0.0]])))[0, 0]
        assert eval(from_cell, {}, {**names, "h": place}) == pytest.approx(expected)


def test_sizes_and_types_are_the_files():
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(SHIPPED_LITERT))
    (image,), (output,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert (image["dtype"], image["quantization"]) == (np.uint8, (1.0, 0))
    assert output["dtype"] == np.float32
    sizes = [int(number.replace(",", "")) for number in re.findall(r"\d+,\d{3}", DOCUMENT)]
    numbers = np.prod(output["shape"])
    assert sizes[:3] == [np.prod(image["shape"]), numbers, 4 * numbers]
    assert tuple(output["shape"]) == (1, M, M, J)


def test_androids_api_takes_the_file_and_its_bytes():
    compiled = pytest.importorskip("ai_edge_litert.compiled_model")
    model = compiled.CompiledModel.from_file(str(SHIPPED_LITERT))
    inputs, outputs = model.create_input_buffers(0), model.create_output_buffers(0)
    crop = library_crop(read_picture(PHOTOGRAPH), *box_to_crop((0, 0, 400, 400)), size=S)
    inputs[0].write(crop[None])
    model.run_by_index(0, inputs, outputs)
    heatmaps = outputs[0].read(M * M * J, np.float32).reshape(1, M, M, J)
    expected = LiteRTRuntime(SHIPPED_LITERT).heatmaps(crop[None])
    np.testing.assert_allclose(heatmaps, expected, atol=1e-5)


def test_scores_are_interpolated_from_the_files_text():
    with zipfile.ZipFile(SHIPPED_LITERT) as archive:
        lines = json.loads(archive.read("calibration.json"))["plain"]
    heights = np.random.default_rng(0).uniform(0, 1, (50, J))
    expected = LiteRTRuntime(SHIPPED_LITERT).calibrations["plain"](heights)
    found = [np.interp(heights[:, j], lines["heights"][j], lines["rates"][j]) for j in range(J)]
    np.testing.assert_allclose(np.stack(found, axis=-1), expected, atol=1e-6)


FORMULAS = """
(cx+(u+0.5-S/2)*side/S+0.5)/f-0.5
(cy+(v+0.5-S/2)*side/S+0.5)/f-0.5
f*2<=side/S
x<0||y<0||x*f>=p.width||y*f>=p.height
min(y*f+b,p.height-1)*p.width+min(x*f+a,p.width-1)
(v*S+u)*3+c
(y*M+x)*J+j
at(x,y)>at(px,py)
px>0&&px<M-1
py>0&&py<M-1
0.25*sign(at(px+1,py)-at(px-1,py))
0.25*sign(at(px,py+1)-at(px,py-1))
cx+((px+dx+0.5)*4-S/2)*side/S
cy+((py+dy+0.5)*4-S/2)*side/S
min(max(at(px,py),0),1)
""".strip().splitlines()
"""The arithmetic of the C++, which is compared with the library below."""


def plain(code: str) -> str:
    """Code without what only its language asks for: spaces, casts, their names, suffixes."""
    for name, value in re.findall(r"\b(\w+) = Float\(([^()]*)\)", code):
        code = re.sub(rf"\b{name}\b(?! =)", value, code)
    code = re.sub(r"Float\(([^()]*)\)", r"\1", code.replace("std::", ""))
    code = re.sub(r"(\d(?:\.\d+)?)f\b", r"\1", code)
    return re.sub(r"\s|\.toFloat\(\)", "", code).replace("0.0)", "0)").replace("1.0)", "1)")


@pytest.mark.parametrize("language", ["cpp", "kotlin", "swift"])
def test_every_language_holds_the_same_formulas(language: str):
    (code,) = blocks(language)
    assert [formula for formula in FORMULAS if formula not in plain(code)] == []


# Python.


@pytest.mark.parametrize("box", BOXES)
def test_pythons_crop_is_the_librarys(box: Any, python: dict, picture: np.ndarray):
    center, scale = box_to_crop(box)
    expected = library_crop(picture, center, scale, size=S).astype(int)
    difference = abs(python["crop"](picture, *where(box)) - expected)
    # OpenCV rounds places to 1/32 px.
    assert difference.max() <= 8
    assert difference.mean() < 0.5


def expected_joints(heatmaps: np.ndarray, box: Any) -> np.ndarray:
    center, scale = box_to_crop(box)
    points, scores = decode_heatmaps(heatmaps, refine="quarter")
    points = crop_to_picture(from_grid(points), center, scale, size=S)
    return np.concatenate([points, scores[..., None]], axis=-1)


def check_joints(decode: Callable[[np.ndarray, Any], np.ndarray], heatmaps: np.ndarray) -> None:
    """That joints lie where the library's do, at the border to a quarter of a cell."""
    box = BOXES[1]
    found = np.stack([decode(one, box) for one in heatmaps])
    expected = expected_joints(heatmaps, box)
    np.testing.assert_allclose(found[..., 2], expected[..., 2], atol=1e-6)
    peak = heatmaps.reshape(len(heatmaps), -1, J).argmax(1)
    border = (np.stack([peak % M, peak // M], axis=-1) + 1) % M <= 1
    assert 0 < border.sum() < border.size / 4
    difference = abs(found[..., :2] - expected[..., :2])
    assert difference[~border].max() < 1e-3
    quarter = 0.25 * 4 * where(box)[2] / S
    assert difference[border].max() <= quarter + 1e-3


def test_pythons_joints_are_the_librarys(python: dict, heatmaps: np.ndarray):
    check_joints(lambda one, box: python["decode"](one, *where(box)), heatmaps)


def test_python_finds_the_photographs_joints(python: dict):
    photograph = read_picture(PHOTOGRAPH)
    height, width = photograph.shape[:2]
    box = (0, 0, width, height)
    crop = library_crop(photograph, *box_to_crop(box), size=S)
    expected = expected_joints(LiteRTRuntime(SHIPPED_LITERT).heatmaps(crop[None]), box)[0]
    found = python["pose"](photograph, box)
    assert python["NAMES"][9] == "head_top"
    sure = expected[:, 2] > 0.5
    assert sure.sum() >= 4
    np.testing.assert_allclose(found[sure], expected[sure], atol=0.05 * where(box)[2] / S)


# C++.

STAND_IN = """
#include <cstdint>
#include <memory>
#include <vector>
#pragma once
namespace tflite {
struct Interpreter {
    std::vector<uint8_t> image = std::vector<uint8_t>(224 * 224 * 3);
    std::vector<float> heatmaps = std::vector<float>(56 * 56 * 16);
    void AllocateTensors() {}
    void Invoke() { for (size_t i = 0; i < heatmaps.size(); ++i) heatmaps[i] = image[i] / 255.0f; }
    template <class T> T* typed_input_tensor(int) { return image.data(); }
    template <class T> T* typed_output_tensor(int) { return heatmaps.data(); }
};
struct FlatBufferModel {
    static std::unique_ptr<FlatBufferModel> BuildFromFile(const char*) {
        return std::make_unique<FlatBufferModel>();
    }
};
namespace ops { namespace builtin { struct BuiltinOpResolver {}; } }
struct InterpreterBuilder {
    InterpreterBuilder(const FlatBufferModel&, const ops::builtin::BuiltinOpResolver&) {}
    void operator()(std::unique_ptr<Interpreter>* made) { *made = std::make_unique<Interpreter>(); }
};
}
"""
"""LiteRT's names with a network that gives the crop's first bytes as heatmaps."""

DOORS = """
extern "C" void crop_door(const uint8_t* rgb, int width, int height, float cx, float cy, float side,
                          uint8_t* image) {
    crop({rgb, width, height}, cx, cy, side, image);
}
extern "C" void decode_door(const float* heatmaps, float cx, float cy, float side, float* joints) {
    for (int j = 0; j < J; ++j)
        for (float value : decode(heatmaps, j, cx, cy, side)) *joints++ = value;
}
extern "C" int pose_door(const uint8_t* rgb, int width, int height, float cx, float cy, float side,
                         float* joints) {
    auto found = pose({rgb, width, height}, cx, cy, side);
    for (auto& joint : found) for (float value : joint) *joints++ = value;
    return found.size();
}
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("there is no g++ to compile the C++ with")
    folder = tmp_path_factory.mktemp("cpp")
    (code,) = blocks("cpp")
    for header in re.findall(r'#include "(.*)"', code):
        (folder / header).parent.mkdir(parents=True, exist_ok=True)
        (folder / header).write_text('#include "stand_in.h"\n')
    (folder / "stand_in.h").write_text(STAND_IN)
    (folder / "pose.cpp").write_text(code + DOORS)
    options = [
        "-std=c++17",
        "-O1",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-shared",
        "-fPIC",
        f"-I{folder}",
    ]
    command = [compiler, *options, "-o", folder / "pose.so", folder / "pose.cpp"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(folder / "pose.so"))


def call(function: Any, *arguments: Any) -> int:
    """A C function of arrays, ints and, for Python's floats, float32."""
    return function(
        *(
            one.ctypes.data_as(ctypes.c_void_p)
            if isinstance(one, np.ndarray)
            else ctypes.c_float(one)
            if isinstance(one, float)
            else ctypes.c_int(one)
            for one in arguments
        )
    )


@pytest.mark.parametrize("box", BOXES)
def test_cpps_crop_is_pythons(box: Any, library: ctypes.CDLL, python: dict, picture: np.ndarray):
    image = np.zeros((S, S, 3), np.uint8)
    center = [float(number) for number in where(box)]
    call(library.crop_door, picture, picture.shape[1], picture.shape[0], *center, image)
    difference = abs(image.astype(int) - python["crop"](picture, *where(box)))
    assert difference.max() <= 1
    assert difference.mean() < 0.01


def test_cpps_joints_are_the_librarys(library: ctypes.CDLL, heatmaps: np.ndarray):
    def decode(one: np.ndarray, box: Any) -> np.ndarray:
        joints = np.zeros((J, 3), np.float32)
        call(library.decode_door, one, *(float(number) for number in where(box)), joints)
        return joints

    check_joints(decode, heatmaps)


def test_cpps_pose_crops_runs_and_decodes(library: ctypes.CDLL, python: dict, picture: np.ndarray):
    place = [float(number) for number in where(BOXES[0])]
    joints = np.zeros((J, 3), np.float32)
    assert call(library.pose_door, picture, 1200, 900, *place, joints) == J
    image = np.zeros((S, S, 3), np.uint8)
    call(library.crop_door, picture, 1200, 900, *place, image)
    heatmaps = image.reshape(-1)[: M * M * J].reshape(M, M, J) / np.float32(255)
    np.testing.assert_allclose(joints, python["decode"](heatmaps, *place), atol=1e-3)


# Kotlin.

KOTLIN_STAND_INS = {
    "Context.kt": """
package android.content
import android.content.res.AssetManager
class Context { val assets = AssetManager() }
""",
    "AssetManager.kt": """
package android.content.res
class AssetManager
""",
    "LiteRT.kt": """
package com.google.ai.edge.litert
import android.content.res.AssetManager
enum class Accelerator { CPU, GPU }
class TensorBuffer {
    var bytes = ByteArray(0)
    fun writeInt8(data: ByteArray) { bytes = data }
    fun readFloat() = FloatArray(56 * 56 * 16) { (bytes[it].toInt() and 255) / 255f }
}
class CompiledModel private constructor() {
    class Options(vararg accelerators: Accelerator)
    fun createInputBuffers(signatureIndex: Int = 0) = listOf(TensorBuffer())
    fun createOutputBuffers(signatureIndex: Int = 0) = listOf(TensorBuffer())
    fun run(inputs: List<TensorBuffer>, outputs: List<TensorBuffer>, signatureIndex: Int = 0) {
        outputs[0].bytes = inputs[0].bytes
    }
    companion object {
        fun create(assets: AssetManager, name: String, options: Options) = CompiledModel()
    }
}
""",
    "Main.kt": """
import java.io.*
fun main(args: Array<String>) {
    val given = DataInputStream(BufferedInputStream(FileInputStream(args[0])))
    val out = DataOutputStream(BufferedOutputStream(FileOutputStream(args[1])))
    val (width, height) = List(2) { given.readInt() }
    val picture = Picture(IntArray(width * height) { given.readInt() }, width, height)
    val model = PoseModel(android.content.Context())
    fun write(joints: List<FloatArray>) = joints.forEach { for (value in it) out.writeFloat(value) }
    repeat(given.readInt()) {
        val (cx, cy, side) = List(3) { given.readFloat() }
        out.write(crop(picture, cx, cy, side))
        write(model.pose(picture, cx, cy, side))
    }
    val (cx, cy, side) = List(3) { given.readFloat() }
    repeat(given.readInt()) {
        val heatmaps = FloatArray(M * M * J) { given.readFloat() }
        write(List(J) { j -> decode(heatmaps, j, cx, cy, side) })
    }
    out.close()
}
""",
}
"""Android's and LiteRT's names, with a network as that of the C++, and a program that writes what
the document's functions give: of each box the crop and the joints, of each heatmap the joints."""


@pytest.mark.slow
def test_kotlins_crops_and_joints_are_the_librarys(
    tmp_path: Path, python: dict, picture: np.ndarray, heatmaps: np.ndarray
):
    compiler, java = shutil.which("kotlinc"), shutil.which("java")
    if compiler is None or java is None:
        pytest.skip("there is no kotlinc or no java to compile and run the Kotlin with")
    (code,) = blocks("kotlin")
    for name, text in {**KOTLIN_STAND_INS, "Pose.kt": code}.items():
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        [compiler, *sorted(tmp_path.glob("*.kt")), "-include-runtime", "-d", tmp_path / "pose.jar"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    red, green, blue = picture.astype(np.int32).transpose(2, 0, 1)
    places = np.array([where(box) for box in BOXES], ">f4")
    (tmp_path / "given").write_bytes(
        np.array([1200, 900], ">i4").tobytes()
        + (-1 << 24 | red << 16 | green << 8 | blue).astype(">i4").tobytes()
        + np.array([len(BOXES)], ">i4").tobytes()
        + places.tobytes()
        + places[1].tobytes()
        + np.array([len(heatmaps)], ">i4").tobytes()
        + heatmaps.astype(">f4").tobytes()
    )
    run = [java, "-jar", tmp_path / "pose.jar", tmp_path / "given", tmp_path / "found"]
    subprocess.run(run, check=True)
    found = (tmp_path / "found").read_bytes()
    length = S * S * 3 + J * 3 * 4
    for box, start in zip(BOXES, range(0, len(BOXES) * length, length), strict=True):
        image = np.frombuffer(found, np.uint8, S * S * 3, start).reshape(S, S, 3)
        difference = abs(image.astype(int) - python["crop"](picture, *where(box)))
        assert difference.max() <= 1
        assert difference.mean() < 0.01
        joints = np.frombuffer(found, ">f4", J * 3, start + S * S * 3).reshape(J, 3)
        maps = image.reshape(-1)[: M * M * J].reshape(M, M, J) / np.float32(255)
        np.testing.assert_allclose(joints, python["decode"](maps, *where(box)), atol=1e-3)
    last = np.frombuffer(found, ">f4", offset=len(BOXES) * length).reshape(len(heatmaps), J, 3)
    remaining = iter(last)
    check_joints(lambda one, box: next(remaining), heatmaps)
