"""The detector as a LiteRT file: the shipped one, and the tool that made it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hourglass.inference.detection import LITERT_WEIGHTS, SIDE, SMALL_SIDE, WEIGHTS
from hourglass.media.pictures import read_picture
from tools import convert_detector

PHOTOGRAPH = Path(__file__).parents[1] / "pictures" / "mechanics.jpg"


def shown(side: int) -> np.ndarray:
    picture = read_picture(PHOTOGRAPH)[:side, :side]
    height, width = picture.shape[:2]
    return np.pad(picture, [(0, side - height), (0, side - width), (0, 0)], constant_values=114)


def original(image: np.ndarray) -> np.ndarray:
    """The ONNX file's predictions, people alone."""
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(str(WEIGHTS))
    pixels = image[..., ::-1].transpose(2, 0, 1)[None].astype(np.float32)
    return session.run(None, {"images": pixels})[0][0, :, :6]


def predictions(path: Path, image: np.ndarray) -> np.ndarray:
    interpreter: Any = pytest.importorskip("ai_edge_litert.interpreter").Interpreter(str(path))
    run = interpreter.get_signature_runner(f"side_{len(image)}")
    return run(image=image[None])["predictions"][0]


def test_the_shipped_file_finds_what_the_original_finds():
    path = LITERT_WEIGHTS
    assert path.stat().st_size <= 2_000_000
    image = shown(SMALL_SIDE)
    found, expected = predictions(path, image), original(image)
    likely = expected[:, 4] * expected[:, 5] > 0.2
    assert likely.sum() > 5
    np.testing.assert_allclose(found[likely], expected[likely], atol=0.1)
    scores = found[:, 4] * found[:, 5], expected[:, 4] * expected[:, 5]
    np.testing.assert_allclose(*scores, atol=0.02)
    assert predictions(path, shown(SIDE)).shape == (8400, 6)


@pytest.mark.slow
def test_the_file_is_made_anew(tmp_path: Path):
    output = tmp_path / "float32.tflite"
    convert_detector.main(["--float32", "--output", str(output)], standalone_mode=False)
    image = shown(SMALL_SIDE)
    np.testing.assert_allclose(predictions(output, image), original(image), atol=1e-4)
