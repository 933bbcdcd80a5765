"""From a trained model to a file that other runtimes open: SavedModel, ONNX or LiteRT.

Every export is the same frozen function, from a person's crop to the last stack's heatmaps or to
keypoints, with `modelfiles.metadata`'s texts in the file. `modelfiles.runtimes` runs the files.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import keras
import numpy as np
import tensorflow as tf

from hourglass.core.config import Config
from hourglass.core.decoding import Refinement
from hourglass.core.errors import InputError
from hourglass.core.files import folder_aside, upload
from hourglass.core.geometry import from_grid
from hourglass.core.processor import take_memory_as_needed
from hourglass.core.storage import Place, Url
from hourglass.data.datasets import validation_dataset
from hourglass.data.shards import count_people, find_shards, find_skeleton
from hourglass.exporting.choices import (
    FLOAT16,
    INT8,
    LITERT,
    ONNX,
    SAVED_MODEL,
    Choices,
    free_output,
)
from hourglass.exporting.pixels import with_quantised_pixels
from hourglass.exporting.quantization import int8_content
from hourglass.modelfiles.keras_file import load_model, read_calibrations
from hourglass.modelfiles.metadata import HEATMAPS, Metadata, to_texts
from hourglass.modelfiles.runtimes import EXTRA_FOLDER, GRAPH_FILE, SIGNATURE
from hourglass.networks.decoding import decode_on_device
from hourglass.networks.hourglass import last_stack

CALIBRATION_PEOPLE = 200
"""Crops that show the converter the range of every layer's values: 100 to 500 are usual."""

ONNX_OPSET = 17
"""Old enough for the runtimes in use, and far beyond what the network needs."""


def export_model(model: Path, output: Place, choices: Choices, *, force: bool = False) -> None:
    """Writes an export that appears under its name only when it is whole.

    Args:
        model: A `.keras` file of this project.
        output: File or, for a SavedModel, folder to write, here or at a URL.
        choices: What to export.
        force: Replace `output` if it exists.

    Raises:
        ValueError: If the model cannot be loaded, or take crops of the chosen size; `output` has
            another format's ending, exists or cannot be written; a package is missing; or there
            are no people to calibrate with.
    """
    if keras.backend.backend() != "tensorflow":
        raise InputError(
            f"export needs KERAS_BACKEND=tensorflow, got {keras.backend.backend()!r}; the model "
            "file is the same for all"
        )
    free_output(model, output, choices.format, force=force)
    take_memory_as_needed()
    network, config = load_model(model, input_size=choices.input_size)
    metadata = Metadata(config, read_calibrations(model), choices.outputs, choices.batch)
    serve = serving_function(network, config, outputs=choices.outputs, batch=choices.batch)
    with folder_aside(output) as folder:
        written = folder / output.name
        _WRITERS[choices.format](written, serve, to_texts(metadata), choices, config)
        if isinstance(output, Url):
            upload(written, output, last=GRAPH_FILE)
            return
        if output.is_dir():
            shutil.rmtree(output)
        written.replace(output)


class DoubledByResize(keras.layers.Layer):
    """`UpSampling2D(2, interpolation="nearest")`, in the one operation that every format has.

    Keras's own repeats along each axis, which converters turn into shapes computed at run time.
    """

    def call(self, x: Any) -> Any:
        """(B, 2H, 2W, C) of (B, H, W, C)."""
        size = [2 * x.shape[1], 2 * x.shape[2]]
        return tf.raw_ops.ResizeNearestNeighbor(images=x, size=size)


class DoubledByConvolution(keras.layers.Layer):
    """A transposed convolution of 2×2 pixels in steps of 2, without its own operator.

    Converters give that one an output shape that is computed at run time, which accelerators do
    not take. A 1×1 convolution makes the four pixels as channels, and they are moved apart.

    Args:
        original: The layer that it stands for, of which it uses the weights.
    """

    def __init__(self, original: keras.layers.Conv2DTranspose) -> None:
        super().__init__(name=original.name)
        self.original = original

    def call(self, x: Any) -> Any:
        """(B, 2H, 2W, C) of (B, H, W, D)."""
        kernel = tf.transpose(tf.convert_to_tensor(self.original.kernel), (3, 0, 1, 2))
        pixels = tf.nn.conv2d(x, tf.reshape(kernel, (1, 1, kernel.shape[0], -1)), 1, "VALID")
        bias = tf.tile(tf.convert_to_tensor(self.original.bias), [4])
        return tf.nn.depth_to_space(tf.nn.bias_add(pixels, bias), 2)


def serving_function(
    network: keras.Model, config: Config, *, outputs: str, batch: int | None
) -> Callable[..., dict[str, tf.Tensor]]:
    """The function that is exported, with its weights as constants.

    Args:
        network: As `load_model`'s.
        config: Its configuration.
        outputs: `HEATMAPS` or `KEYPOINTS`.
        batch: Fixed number of crops; None for any.

    Returns:
        A `tf.function` from `image` (B, S, S, 3) uint8 to a dictionary with the one output.
    """
    # Converters lose Keras's variables, and fold BatchNorm into constants only.
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    model = keras.models.clone_model(last_stack(network), clone_function=_exportable_layer)
    side, refine = config.network.input_size, cast(Refinement, config.data.refine)
    signature = tf.TensorSpec((batch, side, side, 3), tf.uint8, name="image")

    @tf.function(input_signature=[signature])
    def run(image: tf.Tensor) -> tf.Tensor:
        heatmaps = model(image, training=False)
        return heatmaps if outputs == HEATMAPS else crop_keypoints(heatmaps, refine=refine)

    frozen = convert_variables_to_constants_v2(run.get_concrete_function())

    @tf.function(input_signature=[signature])
    def serve(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {outputs: frozen(image)[0]}

    return serve


def _exportable_layer(layer: keras.layers.Layer) -> keras.layers.Layer:
    if isinstance(layer, keras.layers.UpSampling2D):
        return DoubledByResize(name=layer.name)
    transposed = isinstance(layer, keras.layers.Conv2DTranspose)
    if transposed and layer.kernel_size == layer.strides == (2, 2):
        return DoubledByConvolution(layer)
    return layer


def crop_keypoints(heatmaps: tf.Tensor, *, refine: Refinement = "quarter") -> tf.Tensor:
    """Keypoints (B, J, 3), x and y in px of the crop and score, of heatmaps (B, H, W, J)."""
    decoded = decode_on_device(heatmaps, refine=refine)
    return tf.concat([from_grid(decoded[..., :2]), decoded[..., 2:]], axis=-1)


def _write_saved_model(
    path: Path, serve: Any, texts: dict[str, str], choices: Choices, config: Config
) -> None:
    module = tf.Module()
    module.serve = serve
    tf.saved_model.save(module, str(path), signatures={SIGNATURE: serve})
    folder = path / EXTRA_FOLDER
    folder.mkdir()
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")


def _write_onnx(
    path: Path, serve: Any, texts: dict[str, str], choices: Choices, config: Config
) -> None:
    try:
        import tf2onnx
    except ImportError as error:
        raise InputError(
            f"--format {ONNX} needs tf2onnx, onnx and onnxruntime: pip install tf2onnx onnx "
            "onnxruntime"
        ) from error
    model, _ = tf2onnx.convert.from_function(
        serve, input_signature=serve.input_signature, opset=ONNX_OPSET
    )
    for value in (*model.graph.input, *model.graph.output):
        if choices.batch is None:
            value.type.tensor_type.shape.dim[0].dim_param = "batch"
    for name, text in texts.items():
        model.metadata_props.add(key=name, value=text)
    path.write_bytes(model.SerializeToString())


def _write_litert(
    path: Path, serve: Any, texts: dict[str, str], choices: Choices, config: Config
) -> None:
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        # Only a SavedModel's signature gives the file names for its input and output.
        _write_saved_model(Path(folder) / "model", serve, {}, choices, config)
        converter = tf.lite.TFLiteConverter.from_saved_model(f"{folder}/model")
        if choices.quantize == INT8:
            crops = calibration_crops(str(choices.calibrate), config, batch=choices.batch or 1)
            content = int8_content(converter, crops)
        else:
            if choices.quantize == FLOAT16:
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
                converter.target_spec.supported_types = [tf.float16]
            content = converter.convert()
        path.write_bytes(with_quantised_pixels(content))
    # As files of TFLite's own metadata are: readers of the model pass over what follows it.
    with zipfile.ZipFile(path, "a") as archive:
        for name, text in texts.items():
            archive.writestr(name, text)


def calibration_crops(
    pattern: str, config: Config, *, batch: int
) -> Callable[[], Iterator[list[np.ndarray]]]:
    """What the converter asks for: a function that iterates over inputs, [(batch, S, S, 3) uint8].

    Raises:
        ValueError: If no shard matches, one is damaged, or they hold other joints than the model
            finds, or fewer people than a batch.
    """
    require_joints(config, pattern, option="--calibrate")
    people = count_people(find_shards(pattern))
    if people < batch:
        raise InputError(f"--calibrate {pattern}: {people} people, at least {batch} are needed")
    # Whole batches only: the dataset fills the last one up with empty pictures.
    batches = min(people, max(CALIBRATION_PEOPLE, batch)) // batch
    dataset = validation_dataset(pattern, config, batch_size=batch).take(batches)
    return lambda: ([images] for images, *_ in dataset.as_numpy_iterator())


def require_joints(config: Config, pattern: str, *, option: str) -> None:
    """Checks that shards label the joints that a model finds.

    Args:
        config: The model's.
        pattern: Glob of the shards.
        option: What the user calls them, for the message.

    Raises:
        ValueError: If no shard matches, one is damaged, or the joints are others.
    """
    own, other = config.skeleton, find_skeleton(find_shards(pattern))
    if own.joints != other.joints:
        raise InputError(
            f"{option} {pattern}: the shards have the {len(other.joints)} joints of skeleton "
            f"{other.name!r}, the model finds the {len(own.joints)} of {own.name!r}"
        )


_WRITERS = {SAVED_MODEL: _write_saved_model, ONNX: _write_onnx, LITERT: _write_litert}
