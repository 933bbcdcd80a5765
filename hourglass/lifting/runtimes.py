"""What runs a lifting network: numpy for its own files, LiteRT and ONNX Runtime for exports."""

from __future__ import annotations

import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from hourglass.core.copies import local_copy
from hourglass.core.errors import InputError
from hourglass.core.storage import Place, place
from hourglass.lifting.model_file import SUFFIX, About, load_lifter

ABOUT_MEMBER = "lifter.json"
"""The name of the description in an exported file."""

EPSILON = 1e-5
"""BatchNorm's, as the network is built with."""

ONNX_ERRORS_ONLY = 3


class LiftingRuntime(Protocol):
    """A lifting network, ready to run."""

    about: About

    def __call__(self, joints: np.ndarray) -> np.ndarray:
        """Metres about the pelvis (N, 16, 3) float32, of joints (N, 16, 3 or 2) float32."""
        ...


class NumpyRuntime:
    """A file of this project, by five matrix products: no package starts as fast.

    Args:
        path: The file.

    Raises:
        ValueError: If it cannot be used.
    """

    def __init__(self, path: str | Path) -> None:
        weights, self.about = load_lifter(path)
        config = self.about.config
        names = ["first", *(f"block{k}_{half}" for k in range(config.blocks) for half in "ab")]
        try:
            self._layers = [_folded(weights, name) for name in names]
            self._last = weights["last/kernel"], weights["last/bias"]
        except KeyError as error:
            raise InputError(f"{path}: its weights lack {error}") from error
        width = config.joints * (3 if config.masked else 2)
        shape = self._layers[0][0].shape
        if shape != (width, config.units):
            raise InputError(f"{path}: its first layer is {shape}, not {(width, config.units)}")

    def __call__(self, joints: np.ndarray) -> np.ndarray:
        """As `LiftingRuntime`'s."""
        x = _relu(joints.reshape(len(joints), -1), *self._layers[0])
        for first, second in zip(self._layers[1::2], self._layers[2::2], strict=True):
            x = x + _relu(_relu(x, *first), *second)
        kernel, bias = self._last
        return (x @ kernel + bias).reshape(len(joints), -1, 3)


def _folded(weights: dict[str, np.ndarray], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Kernel and bias of a dense layer with its BatchNorm multiplied in."""
    norm = f"{name}_norm"
    factor = weights[f"{norm}/gamma"] / np.sqrt(weights[f"{norm}/moving_variance"] + EPSILON)
    shift = weights[f"{norm}/beta"] - factor * weights[f"{norm}/moving_mean"]
    kernel, bias = weights[f"{name}_dense/kernel"], weights[f"{name}_dense/bias"]
    return kernel * factor, bias * factor + shift


def _relu(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    return np.maximum(x @ kernel + bias, 0)


class LiteRTRuntime:
    """A `.tflite` file of `hourglass.export`. May be shared by threads.

    Args:
        path: The file.

    Raises:
        ValueError: If it cannot be used, or the package is missing.
    """

    def __init__(self, path: str | Path) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise InputError(f"{path}: needs ai-edge-litert: pip install ai-edge-litert") from error
        self.about = _read_about(path)
        try:
            # One person is too little work to share between threads.
            self._interpreter = Interpreter(model_path=str(path), num_threads=1)
        except ValueError as error:
            raise InputError(f"{path}: LiteRT cannot open it ({error})") from error
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]
        self._shape: tuple[int, ...] = ()
        self._turn = threading.Lock()

    def __call__(self, joints: np.ndarray) -> np.ndarray:
        """As `LiftingRuntime`'s."""
        with self._turn:
            if joints.shape != self._shape:
                self._interpreter.resize_tensor_input(self._input, joints.shape)
                self._interpreter.allocate_tensors()
                self._shape = joints.shape
            self._interpreter.set_tensor(self._input, joints.astype(np.float32))
            self._interpreter.invoke()
            return self._interpreter.get_tensor(self._output)


class OnnxRuntime:
    """An `.onnx` file of `hourglass.export`.

    Args:
        path: The file.

    Raises:
        ValueError: If it cannot be used, or the package is missing.
    """

    def __init__(self, path: str | Path) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise InputError(f"{path}: needs onnxruntime: pip install onnxruntime") from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = ONNX_ERRORS_ONLY
        options.intra_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(str(path), options)
        except Exception as error:  # ONNX Runtime raises kinds of its own
            raise InputError(f"{path}: ONNX Runtime cannot open it ({error})") from error
        texts = self._session.get_modelmeta().custom_metadata_map
        if ABOUT_MEMBER not in texts:
            raise InputError(f"{path}: not a lifting network, {ABOUT_MEMBER} is not inside")
        self.about = About.from_text(texts[ABOUT_MEMBER], where=str(path))
        self._input = self._session.get_inputs()[0].name

    def __call__(self, joints: np.ndarray) -> np.ndarray:
        """As `LiftingRuntime`'s."""
        return self._session.run(None, {self._input: joints.astype(np.float32)})[0]


def _read_about(path: str | Path) -> About:
    if not Path(path).is_file():
        raise InputError(f"{path}: no such model file")
    try:
        with zipfile.ZipFile(path) as archive:
            text = archive.read(ABOUT_MEMBER).decode()
    except (OSError, KeyError, zipfile.BadZipFile, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a lifting network, {ABOUT_MEMBER} is not inside") from error
    return About.from_text(text, where=str(path))


def load_runtime(path: str | Place) -> LiftingRuntime:
    """What runs a file, here or at a URL, by its ending.

    Raises:
        ValueError: If the ending is unknown, or the file cannot be used.
    """
    kinds: dict[str, Callable[[str | Path], LiftingRuntime]] = {
        SUFFIX: NumpyRuntime,
        ".tflite": LiteRTRuntime,
        ".onnx": OnnxRuntime,
    }
    path = place(path)
    suffix = path.suffix.lower()
    if suffix not in kinds:
        raise InputError(f"{path}: lifting networks end in {', '.join(kinds)}")
    return kinds[suffix](local_copy(path))
