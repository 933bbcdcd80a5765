"""What runs a model file: one adapter per kind, each importing its runtime only when used."""

from __future__ import annotations

import functools
import os
import threading
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from loguru import logger

from hourglass.core.calibration import Calibration
from hourglass.core.config import Config
from hourglass.core.copies import local_copy
from hourglass.core.errors import InputError
from hourglass.core.files import read_text
from hourglass.core.processor import prepare_processor, take_memory_as_needed, thread_count
from hourglass.core.storage import Url
from hourglass.modelfiles import archive
from hourglass.modelfiles.metadata import HEATMAPS, MEMBERS, SUFFIX, Metadata, from_texts

WEIGHTS = Path(__file__).resolve().parents[1] / "weights"
"""The folder of the models that come with the project."""

EXTRA_FOLDER = "assets.extra"
"""Where TensorFlow keeps a SavedModel's files that are not its own."""

GRAPH_FILE = "saved_model.pb"
"""The file by which a folder is known to be a SavedModel."""

SIGNATURE = "serving_default"
"""The function that servers of SavedModels call."""

REACHING_OUT = frozenset(
    {"EagerPyFunc", "MatchingFiles", "PyFunc", "PyFuncStateless", "ReadFile", "WriteFile"}
)
"""TensorFlow's operations on files and programs that no network has. Those of checkpoints are left:
every SavedModel has them."""

MOST_SIDE_BY_SIDE = 8
"""LiteRT's interpreters that run a batch: each holds its own weights, some ten megabytes."""

ONNX_ERRORS_ONLY = 3
"""ONNX Runtime's log level that leaves notes and warnings out."""


class Runtime(Protocol):
    """A model file, ready to run."""

    config: Config
    calibrations: dict[str, Calibration]

    def heatmaps(self, images: np.ndarray) -> np.ndarray:
        """The last stack's heatmaps.

        Args:
            images: (B, S, S, 3) uint8.

        Returns:
            (B, S/4, S/4, J) float32.
        """


class KerasRuntime:
    """Runs a `.keras` file on Keras's backend, compiled; on TensorFlow without BatchNorms.

    Args:
        path: The model file.
        input_size: Side of the crops, px; None for that of its training.

    Raises:
        ValueError: If it is missing or no model of this project, it cannot take such crops, or
            Keras is not installed.
    """

    def __init__(self, path: str | Path, *, input_size: int | None = None) -> None:
        _require_file(path)
        prepare_processor()
        try:
            import keras
        except ImportError as error:
            raise InputError(
                f"{path}: to run it, TensorFlow and Keras are needed: pip install hourglass-pose; "
                "a LiteRT file (hourglass.export --format litert) runs without"
            ) from error

        from hourglass.modelfiles.keras_file import load_model, read_calibrations
        from hourglass.networks.hourglass import last_stack

        compiled = keras.backend.backend() == "tensorflow"
        if compiled:
            take_memory_as_needed()
        network, self.config = load_model(path, input_size=input_size)
        self.calibrations = read_calibrations(path)
        last = last_stack(network)
        self._predict = _compiled(_folded(last)) if compiled else last.predict_on_batch

    def heatmaps(self, images: np.ndarray) -> np.ndarray:
        return np.asarray(self._predict(images))


def _folded(network: Any) -> Callable[[Any], Any]:
    """The network with its BatchNorms folded; as it is, slower, where Keras does not let it."""
    from hourglass.networks.folding import CannotFoldError, folded

    try:
        return folded(network)
    except CannotFoldError as error:
        logger.info(f"BatchNorms stay, which is slower: another Keras is needed ({error})")
        return lambda images: network(images, training=False)


def _compiled(predict: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function of TensorFlow's operations, compiled for batches of any size."""
    import tensorflow as tf

    function = tf.function(predict, reduce_retracing=True, autograph=False)
    return lambda images: function(tf.constant(images))


class ExportRuntime(ABC):
    """What the adapters of exported files share: their description, and batches of a fixed size."""

    def __init__(self, metadata: Metadata) -> None:
        self.config = metadata.config
        self.calibrations = metadata.calibrations
        self.outputs = metadata.outputs
        self.batch = metadata.batch

    def run(self, images: np.ndarray) -> np.ndarray:
        """The file's one output, `hourglass.modelfiles.metadata.OUTPUTS` says which.

        Args:
            images: (B, S, S, 3) uint8, B at least 1.
        """
        size = self.batch or len(images)
        short = -len(images) % size
        filled = np.concatenate([images, np.zeros((short, *images.shape[1:]), np.uint8)])
        parts = [self._run(filled[start : start + size]) for start in range(0, len(filled), size)]
        return np.concatenate(parts)[: len(images)]

    def heatmaps(self, images: np.ndarray) -> np.ndarray:
        """The last stack's heatmaps, as `Runtime`'s, of a file whose output they are."""
        return self.run(images)

    @abstractmethod
    def _run(self, images: np.ndarray) -> np.ndarray:
        """The output for exactly as many images as the file takes."""


class OnnxRuntime(ExportRuntime):
    """Runs a `.onnx` file by ONNX Runtime, on whatever device the installed package is for.

    Args:
        path: The model file.

    Raises:
        ValueError: If it is missing, damaged or of another network, or onnxruntime is missing.
    """

    def __init__(self, path: str | Path) -> None:
        _require_file(path)
        try:
            import onnxruntime
        except ImportError as error:
            raise _missing_package(path, "onnxruntime") from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = ONNX_ERRORS_ONLY
        if "OMP_NUM_THREADS" in os.environ:
            options.intra_op_num_threads = thread_count()
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=onnxruntime.get_available_providers()
            )
        except Exception as error:  # ONNX Runtime's kinds have no common ancestor but this
            raise InputError(f"{path}: not an ONNX file, or a damaged one ({error})") from error
        texts = self._session.get_modelmeta().custom_metadata_map
        super().__init__(from_texts(texts, where=str(path)))

    def _run(self, images: np.ndarray) -> np.ndarray:
        return self._session.run([self.outputs], {"image": images})[0]


class LiteRTRuntime(ExportRuntime):
    """Runs a `.tflite` file by LiteRT: a crop alone on all cores, several on a core each.

    A crop on a core of its own waits for nobody, and what it computes stays in that core's cache.

    Args:
        path: The model file.

    Raises:
        ValueError: If it is missing, damaged or of another network, or ai-edge-litert is missing.
    """

    def __init__(self, path: str | Path) -> None:
        metadata = read_litert_metadata(path)
        cores = thread_count()
        self._alone = _Interpreter(path, threads=cores)
        side_by_side = min(cores, MOST_SIDE_BY_SIDE)
        self._each = _EachThread(path, threads=cores // side_by_side)
        self._pool = ThreadPoolExecutor(side_by_side) if side_by_side > 1 else None
        super().__init__(metadata)

    def _run(self, images: np.ndarray) -> np.ndarray:
        if self.batch or len(images) == 1 or self._pool is None:
            return self._alone(images)
        return np.concatenate([*self._pool.map(self._each, images[:, None])])


class _Interpreter:
    """LiteRT's interpreter of a file, which takes batches of any size that the file takes."""

    def __init__(self, path: str | Path, *, threads: int) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise _missing_package(path, "ai-edge-litert") from error
        try:
            self._interpreter = Interpreter(model_path=str(path), num_threads=threads)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise InputError(f"{path}: not a LiteRT file, or a damaged one ({error})") from error
        self._input = self._interpreter.get_input_details()[0]
        self._output = self._interpreter.get_output_details()[0]["index"]
        self._shape = tuple(self._input["shape"])

    def __call__(self, images: np.ndarray) -> np.ndarray:
        if images.shape != self._shape:
            self._interpreter.resize_tensor_input(self._input["index"], images.shape, strict=True)
            self._interpreter.allocate_tensors()
            self._shape = images.shape
        self._interpreter.set_tensor(self._input["index"], images)
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._output)


class _EachThread(threading.local):
    """An interpreter for each thread that calls, made at its first call."""

    def __init__(self, path: str | Path, *, threads: int) -> None:
        self._make = functools.partial(_Interpreter, path, threads=threads)
        self._own: _Interpreter | None = None

    def __call__(self, images: np.ndarray) -> np.ndarray:
        self._own = self._own or self._make()
        return self._own(images)


def read_litert_metadata(path: str | Path) -> Metadata:
    """What a `.tflite` file says about itself; no package that runs it is needed.

    Raises:
        ValueError: If it is missing, or holds no such metadata or damaged ones.
    """
    _require_file(path)
    return from_texts(_appended_texts(path), where=str(path))


def _appended_texts(path: str | Path) -> dict[str, str]:
    """The texts in the zip archive at a `.tflite` file's end, empty if there is none."""
    if not zipfile.is_zipfile(path):
        return {}
    try:
        there = set(archive.members(path))
        return {name: archive.text(path, name) for name in MEMBERS if name in there}
    except InputError as error:
        raise InputError(f"{path}: its metadata is damaged ({error})") from error


class SavedModelRuntime(ExportRuntime):
    """Runs a SavedModel's folder by TensorFlow, without Keras.

    Args:
        path: The folder.

    Raises:
        ValueError: If it is damaged or of another network.
    """

    def __init__(self, path: str | Path) -> None:
        prepare_processor()
        import tensorflow as tf

        take_memory_as_needed()
        super().__init__(from_texts(_texts_beside(Path(path)), where=str(path)))
        try:
            _refuse_reaching_out(Path(path))
            # The functions live only as long as what was loaded.
            self._loaded = tf.saved_model.load(str(path))
            self._serve = self._loaded.signatures[SIGNATURE]
        except InputError:
            raise
        except Exception as error:  # TensorFlow, protobuf and zlib each raise kinds of their own
            raise InputError(f"{path}: not a SavedModel, or a damaged one ({error})") from error

    def _run(self, images: np.ndarray) -> np.ndarray:
        import tensorflow as tf

        return self._serve(image=tf.constant(images))[self.outputs].numpy()


def _texts_beside(folder: Path) -> dict[str, str]:
    texts = {}
    for name in MEMBERS:
        path = folder / EXTRA_FOLDER / name
        if path.is_file() and path.stat().st_size <= archive.LARGEST_TEXT:
            texts[name] = read_text(path)
    return texts


def _refuse_reaching_out(folder: Path) -> None:
    """Refuses a graph that would read or write files or call Python: a network does neither."""
    from tensorflow.core.protobuf import saved_model_pb2

    content = saved_model_pb2.SavedModel.FromString((folder / GRAPH_FILE).read_bytes())
    for graph in (one.graph_def for one in content.meta_graphs):
        nodes = [*graph.node, *(node for one in graph.library.function for node in one.node_def)]
        if reaching := sorted({node.op for node in nodes} & REACHING_OUT):
            raise InputError(f"{folder}: not a network alone, its graph calls {reaching[0]}")


def _require_file(path: str | Path) -> None:
    if not Path(path).is_file():
        raise InputError(f"{path}: no such model file")


def _missing_package(path: str | Path, package: str) -> InputError:
    return InputError(f"{path}: to run it, {package} is needed: pip install {package}")


def load_export(path: str | Path | Url) -> ExportRuntime:
    """The runtime for an exported file, here or at a URL, whatever its output is.

    Raises:
        ValueError: If the ending is none that is known, or the file cannot be loaded.
    """
    path = local_copy(path)
    if path.suffix == ".onnx":
        return OnnxRuntime(path)
    if path.suffix == ".tflite":
        return LiteRTRuntime(path)
    if (path / GRAPH_FILE).is_file():
        return SavedModelRuntime(path)
    shipped = WEIGHTS / f"{path.name}.tflite"
    if shipped.is_file() and not path.exists():
        raise InputError(f"{path}: no such model file; {shipped} is the one that is shipped")
    raise InputError(
        f"{path}: not a model file, its name must end in .keras, .onnx or .tflite, or it must be a "
        "SavedModel's folder"
    )


def load_runtime(path: str | Path | Url) -> Runtime:
    """The runtime for a model file, here or at a URL, by its ending.

    Raises:
        ValueError: If the ending is none that is known, the file cannot be loaded, or it was
            exported to give keypoints.
    """
    path = local_copy(path)
    if path.suffix == SUFFIX:
        return KerasRuntime(path)
    runtime = load_export(path)
    if runtime.outputs != HEATMAPS:
        raise InputError(
            f"{path}: it gives {runtime.outputs}, for programs of other projects; here only files "
            f"exported with --outputs {HEATMAPS} run"
        )
    return runtime
