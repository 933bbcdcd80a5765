"""From a lifting network to LiteRT or ONNX, and how the two compare."""

from __future__ import annotations

import statistics
import tempfile
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from hourglass.core.errors import InputError
from hourglass.core.files import replacing
from hourglass.core.processor import take_memory_as_needed
from hourglass.core.storage import Place
from hourglass.lifting.model_file import WEIGHTS, About, load_lifter
from hourglass.lifting.network import build_lifter, set_weights
from hourglass.lifting.runtimes import ABOUT_MEMBER, NumpyRuntime, load_runtime

ENDINGS = {"litert": ".tflite", "onnx": ".onnx"}
"""The ending of each format's files."""

FLOAT16, INT8 = "float16", "int8"
QUANTIZATIONS = (FLOAT16, INT8)

ONNX_OPSET = 17

SIGNATURE = "serving_default"

COMPARED = 256
"""Random people that both files are run on."""

TIMED_RUNS = 200


def export_lifter(
    model: Path, output: Path, kind: str, *, quantize: str | None = None, force: bool = False
) -> None:
    """Writes an export that appears under its name only when it is whole.

    Args:
        model: A lifting network's own file.
        output: The file to write.
        kind: One of `ENDINGS`.
        quantize: `float16` or `int8` weights, LiteRT only; activations stay float32.
        force: Replace `output` if it exists.

    Raises:
        ValueError: If the model cannot be loaded, or `output` cannot be written.
    """
    _refuse_wrong(output, kind, quantize, force=force)
    take_memory_as_needed()
    weights, about = load_lifter(model)
    network = build_lifter(about.config)
    set_weights(network, weights, where=str(model))
    write = _write_onnx if kind == "onnx" else _write_litert
    with replacing(output) as temporary:
        write(temporary, _serving_function(network), about, quantize)


def default_output(model: Place, kind: str) -> Place:
    """Where an export goes: beside its model, or for the project's own into the working folder."""
    name = model.stem + ENDINGS.get(kind, "")
    own = model.resolve().parent == WEIGHTS
    return Path(name) if own else model.with_name(name)


def _refuse_wrong(output: Path, kind: str, quantize: str | None, *, force: bool) -> None:
    if keras.backend.backend() != "tensorflow":
        raise InputError(f"export needs KERAS_BACKEND=tensorflow, got {keras.backend.backend()!r}")
    if kind not in ENDINGS:
        raise InputError(f"--format {kind}: lifting networks become {' or '.join(ENDINGS)}")
    if quantize and kind != "litert":
        raise InputError(f"--quantize {quantize} is for --format litert only, got {kind}")
    if output.suffix != ENDINGS[kind]:
        raise InputError(f"--output {output}: the name of this export must end in {ENDINGS[kind]}")
    if not output.parent.is_dir():
        raise InputError(f"--output {output}: there is no folder {output.parent}")
    if output.exists() and not force:
        raise InputError(f"--output {output}: exists; replace it with --force, or name another")


def _serving_function(network: keras.Model) -> Any:
    """A `tf.function` from `joints` to a dictionary with `body`, its weights constants."""
    # Converters fold BatchNorm into constants only.
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    signature = tf.TensorSpec((None, *network.input_shape[1:]), tf.float32, name="joints")

    @tf.function(input_signature=[signature])
    def run(joints: tf.Tensor) -> tf.Tensor:
        return network(joints, training=False)

    frozen = convert_variables_to_constants_v2(run.get_concrete_function())

    @tf.function(input_signature=[signature])
    def serve(joints: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"body": frozen(joints)[0]}

    return serve


def _write_onnx(path: Path, serve: Any, about: About, quantize: str | None) -> None:
    try:
        import tf2onnx
    except ImportError as error:
        raise InputError(
            "--format onnx needs tf2onnx, onnx and onnxruntime: pip install tf2onnx onnx "
            "onnxruntime"
        ) from error
    model, _ = tf2onnx.convert.from_function(
        serve, input_signature=serve.input_signature, opset=ONNX_OPSET
    )
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    model.metadata_props.add(key=ABOUT_MEMBER, value=about.to_text())
    path.write_bytes(model.SerializeToString())


def _write_litert(path: Path, serve: Any, about: About, quantize: str | None) -> None:
    module = tf.Module()
    module.serve = serve
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures={SIGNATURE: serve})
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        if quantize:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if quantize == FLOAT16:
            converter.target_spec.supported_types = [tf.float16]
        path.write_bytes(converter.convert())
    # Readers of the model pass over an archive that follows it.
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(ABOUT_MEMBER, about.to_text())


@dataclass(frozen=True)
class Parity:
    """An export beside its model.

    Attributes:
        names: Both files'.
        megabytes: Of each, in units of 1,000,000 bytes.
        milliseconds: Of one person on one core, median, of each.
        difference: Largest one between their joints, mm.
    """

    names: tuple[str, str]
    megabytes: tuple[float, float]
    milliseconds: tuple[float, float]
    difference: float


def compare(model: Path, export: Path) -> Parity:
    """Runs both files on the same random people.

    Raises:
        ValueError: If a file cannot be used.
    """
    runs = (NumpyRuntime(model), load_runtime(export))
    config = runs[0].about.config
    rng = np.random.default_rng(0)
    people = rng.normal(size=(COMPARED, config.joints, 2)).astype(np.float32)
    if config.masked:
        known = (rng.random((COMPARED, config.joints, 1)) < 0.9).astype(np.float32)
        people = np.concatenate([people * known, known], axis=-1)
    outputs = [run(people) for run in runs]
    return Parity(
        names=(model.name, export.name),
        megabytes=(model.stat().st_size / 1e6, export.stat().st_size / 1e6),
        milliseconds=(_milliseconds(runs[0], people[:1]), _milliseconds(runs[1], people[:1])),
        difference=1000 * float(np.abs(outputs[1] - outputs[0]).max()),
    )


def _milliseconds(run: Any, person: np.ndarray) -> float:
    run(person)
    seconds = []
    for _ in range(TIMED_RUNS):
        began = time.perf_counter()
        run(person)
        seconds.append(time.perf_counter() - began)
    return 1000 * statistics.median(seconds)


def format_parity(parity: Parity) -> str:
    """The comparison as text: a row per file, then how far they differ."""
    width = max(map(len, parity.names))
    rows = zip(parity.names, parity.megabytes, parity.milliseconds, strict=True)
    lines = [f"{'':<{width}}{'MB':>9}{'ms/person':>12}"]
    lines += [f"{name:<{width}}{size:>9.2f}{time:>12.3f}" for name, size, time in rows]
    lines.append(
        f"largest difference between their joints {parity.difference:.2g} mm, on {COMPARED} random "
        "people; time of one person"
    )
    return "\n".join(lines)
