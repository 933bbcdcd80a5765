"""What can be exported, and where to: names that need no TensorFlow."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hourglass.core.errors import InputError
from hourglass.core.storage import Place, Url
from hourglass.inference.estimator import SHIPPED
from hourglass.modelfiles.metadata import HEATMAPS, KEYPOINTS, SUFFIX
from hourglass.modelfiles.runtimes import GRAPH_FILE

SAVED_MODEL, ONNX, LITERT = "saved-model", "onnx", "litert"

WEB = "web"
"""Not one file but a page, of models in LiteRT's format."""


ENDINGS = {SAVED_MODEL: "_saved_model", ONNX: ".onnx", LITERT: ".tflite"}
"""What follows the model's stem in the name of its export, by format."""


FILE_ENDINGS = (SUFFIX, ENDINGS[ONNX], ENDINGS[LITERT])


FLOAT16, INT8 = "float16", "int8"


QUANTIZATIONS = (FLOAT16, INT8)


@dataclass(frozen=True)
class Choices:
    """What to export.

    Attributes:
        format: `SAVED_MODEL`, `ONNX` or `LITERT`.
        outputs: `HEATMAPS` or `KEYPOINTS`.
        batch: How many crops the file takes at a time; None for any number.
        quantize: `FLOAT16` or `INT8` weights, LiteRT only; None for float32.
        calibrate: Glob of training shards, with `INT8`: their crops set the range of integers.
        input_size: Side of the crops that it takes, px; None for that of the model's training.

    Raises:
        ValueError: If two of them exclude each other.
    """

    format: str
    outputs: str = HEATMAPS
    batch: int | None = None
    quantize: str | None = None
    calibrate: str | None = None
    input_size: int | None = None

    def __post_init__(self) -> None:
        if self.quantize and self.format != LITERT:
            raise InputError(
                f"--quantize {self.quantize} is for --format {LITERT} only, got {self.format}"
            )
        if self.quantize == INT8 and not self.calibrate:
            raise InputError(
                f"--quantize {INT8} needs --calibrate with a glob of training shards, such as "
                "'tfrecords/train*'"
            )
        if self.calibrate and self.quantize != INT8:
            raise InputError(f"--calibrate is for --quantize {INT8} only, got {self.quantize}")
        if self.quantize == INT8 and self.outputs == KEYPOINTS:
            raise InputError(
                f"--quantize {INT8} would round coordinates to 256 values: with it --outputs must "
                f"be {HEATMAPS}, got {KEYPOINTS}"
            )


def default_output(model: Place, kind: str) -> Place:
    """Where a model's export goes: beside it, with the format's ending.

    That of the shipped model goes into the working folder, not among the project's own files.
    """
    name = model.stem + ENDINGS[kind]
    return Path(name) if model.resolve() == SHIPPED else model.with_name(name)


def refuse_of_page(*options: Any) -> None:
    """Refuses the options that the page for browsers does not have, where one is given.

    Raises:
        ValueError: Says which they are.
    """
    if any(options):
        raise InputError(
            f"--format {WEB} has no --outputs, --batch, --quantize, --calibrate, --data or "
            "--input-size; export a LiteRT file with them, and give that as --model"
        )


def refuse_of_lifter(model: Place, *options: Any) -> None:
    """Refuses the options that a lifting network does not have, where one is given.

    Raises:
        ValueError: Says which they are.
    """
    if any(options):
        raise InputError(
            f"{model}: a lifting network has no --outputs, --batch, --calibrate, --data or "
            "--input-size"
        )


def on_this_machine(output: Place) -> Path:
    """The same, of an export that cannot be written to a URL.

    Raises:
        ValueError: If it is one.
    """
    if isinstance(output, Url):
        raise InputError(f"--output {output}: this kind of export is written on this machine")
    return output


def free_output(model: Place, output: Place | None, kind: str, *, force: bool) -> Place:
    """Where an export goes, checked by names alone, before anything is loaded.

    Args:
        model: The model's file.
        output: Where the user wants it; None for `default_output`.
        kind: Its format.
        force: Replace what is there.

    Raises:
        ValueError: If the model is an export itself, or as `require_free`.
    """
    if model.suffix != SUFFIX:
        raise InputError(f"{model}: only a {SUFFIX} file can be exported")
    output = output or default_output(model, kind)
    require_free(output, kind, force=force)
    return output


def require_free(output: Place, kind: str, *, force: bool) -> None:
    """Checks that an export may be written.

    Raises:
        ValueError: If `output` has another format's ending, exists without `force`, is a folder
            that is no SavedModel, or its folder cannot be written to.
    """
    if kind == SAVED_MODEL:
        # By such an ending `load_runtime` would take the folder for a file.
        right, allowed = output.suffix not in FILE_ENDINGS, f"not end in {', '.join(FILE_ENDINGS)}"
    else:
        right, allowed = output.suffix == ENDINGS[kind], f"end in {ENDINGS[kind]}"
    if not right:
        raise InputError(f"--output {output}: the name of a {kind} export must {allowed}")
    if isinstance(output, Path) and not output.parent.is_dir():
        raise InputError(f"--output {output}: there is no folder {output.parent}")
    if isinstance(output, Path) and not os.access(output.parent, os.W_OK):
        raise InputError(f"--output {output}: {output.parent} may not be written to")
    if not output.exists():
        return
    replaceable = (output / GRAPH_FILE).is_file() if kind == SAVED_MODEL else output.is_file()
    if not replaceable:
        raise InputError(f"--output {output}: exists and is no {kind} export; name another")
    if not force:
        raise InputError(f"--output {output}: exists; replace it with --force, or name another")
