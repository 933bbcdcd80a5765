"""The file of an encoder's ImageNet weights: into any model around it, and from one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np

from hourglass.core.errors import InputError
from hourglass.core.files import replacing
from hourglass.networks.encoders import encoder_layers, encoder_variant

FLOAT16_LARGEST = float(np.finfo(np.float16).max)

WEIGHTS = Path(__file__).resolve().parents[1] / "weights"
VARIANT_ENTRY = "variant"


def imagenet_path(variant: str) -> Path:
    """Where a variant's ImageNet weights lie; Lite0's come with the project."""
    return WEIGHTS / f"efficientnet_{variant}_imagenet.npz"


def load_imagenet(model: keras.Model, path: str | Path | None = None) -> None:
    """Fills the encoder in `model` with weights learnt on ImageNet; nothing else is touched.

    The file is an `.npz` of float16 arrays, one per variable and named `layer/variable`, with an
    entry `variant` beside them. Either every variable is filled or, on an error, none.

    Args:
        model: A functional model around `efficientnet_lite`, of any precision.
        path: The file; None takes `imagenet_path` of the model's variant.

    Raises:
        ValueError: If the model has no encoder, or the file is missing, damaged, of another
            variant or lacks an array of the right shape.
    """
    variant = encoder_variant(model)
    path = imagenet_path(variant) if path is None else Path(path)
    if not path.is_file():
        raise InputError(
            f"{path}: no such file of {variant}'s ImageNet weights; "
            f"`python -m tools.convert_backbone --variant {variant}` makes one"
        )
    arrays = _read_arrays(path)
    stored = str(arrays.pop(VARIANT_ENTRY, "none"))
    if stored != variant:
        raise InputError(f"{path}: weights of variant {stored!r}, the model's is {variant!r}")
    fill_encoder(model, arrays, where=str(path))


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    # A damaged file fails in numpy, zipfile or zlib, and a lone array has no `files`: the errors
    # have no common ancestor below Exception.
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise InputError(f"{path}: not a file of encoder weights ({reason})") from error


def fill_encoder(model: keras.Model, arrays: Mapping[str, np.ndarray], *, where: str) -> None:
    """Fills the encoder's variables, as float32, from arrays named `layer/variable`.

    Args:
        model: A functional model around `efficientnet_lite`.
        arrays: Floats in Keras's layout; those of layers that the model lacks are left alone, so
            that a model may end above stride 32.
        where: What the arrays come from, for error messages.

    Raises:
        ValueError: If one is missing, of a wrong shape, or not finite; then nothing is filled.
    """
    variables = _variables(model)
    for name, variable in variables.items():
        if name not in arrays:
            raise InputError(f"{where}: array {name} is missing")
        value, shape = arrays[name], tuple(variable.shape)
        if value.shape != shape:
            raise InputError(f"{where}: array {name} has shape {value.shape}, it must be {shape}")
        if value.dtype.kind != "f" or not np.isfinite(value).all():
            raise InputError(f"{where}: array {name} must hold finite floats only")
    for name, variable in variables.items():
        variable.assign(arrays[name].astype(np.float32))


def save_imagenet(model: keras.Model, path: str | Path) -> None:
    """Writes the encoder in `model` as the float16 file that `load_imagenet` reads.

    The same weights make the same bytes with the same NumPy: no date is stored.

    Raises:
        ValueError: If the model has no encoder, or a value is beyond float16's range.
        OSError: If the file cannot be written.
    """
    path = Path(path)
    arrays = {VARIANT_ENTRY: np.array(encoder_variant(model))}
    for name, value in encoder_arrays(model).items():
        largest = np.abs(value).max()
        if not largest <= FLOAT16_LARGEST:
            raise InputError(f"{name} reaches {largest:g}, float16 holds {FLOAT16_LARGEST:g}")
        arrays[name] = value.astype(np.float16)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def encoder_arrays(model: keras.Model) -> dict[str, np.ndarray]:
    """The encoder's values, float32, by the names that `fill_encoder` takes.

    Raises:
        ValueError: If the model has no encoder.
    """
    return {
        name: keras.ops.convert_to_numpy(variable.value).astype(np.float32)
        for name, variable in _variables(model).items()
    }


def _variables(model: keras.Model) -> dict[str, keras.Variable]:
    """The encoder's variables under the names that they have in a file."""
    return {
        f"{layer.name}/{variable.name}": variable
        for layer in encoder_layers(model)
        for variable in layer.weights
    }
