"""Model files: a network with its configuration in one file, and a training that can go on.

A file is a Keras archive (`.keras`) with members of our own beside Keras's, so that it is enough to
predict, resumes on any backend, precision and number of devices, and opens in plain Keras too.
"""

from __future__ import annotations

import io
import json
import math
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from hourglass.core import calibration
from hourglass.core.calibration import Calibration
from hourglass.core.config import Config, NetworkConfig
from hourglass.core.config_text import from_json, to_json
from hourglass.core.copies import local_copy
from hourglass.core.errors import InputError
from hourglass.core.files import replacing
from hourglass.core.storage import Place
from hourglass.modelfiles import archive
from hourglass.modelfiles.metadata import (
    CALIBRATION_MEMBER,
    CONFIG_MEMBER,
    SUFFIX,
    TrainingState,
)
from hourglass.networks.hourglass import build_network

WEIGHTS_MEMBER = "model.weights.h5"
STATE_MEMBER = "training.json"
OPTIMIZER_MEMBER = "optimizer.npz"

COPIES = 4
"""Of each variable that a file may hold: itself, an optimizer's two, and its average."""

ROUNDING_MASK, ROUNDING_HALF = np.uint32(0x1FFF), np.uint32(0x1000)
"""The 13 bits that float32's fraction has beyond float16's, and half of what they count to."""


def save_model(
    path: Path,
    network: keras.Model,
    config: Config,
    *,
    state: TrainingState | None = None,
    optimizer: keras.Optimizer | None = None,
) -> None:
    """Writes a model file that appears under its name only when it is whole.

    Args:
        path: Where; ends in `.keras`.
        network: What `build_network(config.network)` built, in float32.
        config: All choices it was made with.
        state: With `optimizer`, what a training needs to go on.
        optimizer: Its variables are stored.
    """
    with replacing(path) as temporary:
        network.save(temporary)
        with zipfile.ZipFile(temporary, "a") as file:
            file.writestr(CONFIG_MEMBER, to_json(config))
            if state is not None and optimizer is not None:
                file.writestr(STATE_MEMBER, json.dumps(asdict(state)))
                file.writestr(OPTIMIZER_MEMBER, _pack(optimizer))


def _pack(optimizer: keras.Optimizer) -> bytes:
    out = io.BytesIO()
    values = (keras.ops.convert_to_numpy(variable) for variable in optimizer.variables)
    np.savez(out, *values)
    return out.getvalue()


def read_config(path: str | Path) -> Config:
    """The configuration inside a model file.

    Raises:
        ValueError: If the file is missing or no model of this project.
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: no such model file")
    return from_json(archive.text(path, CONFIG_MEMBER), where=str(path))


def read_calibrations(path: str | Path) -> dict[str, Calibration]:
    """The calibrations of scores inside a model file, empty if it has none.

    Raises:
        ValueError: If the file is damaged.
    """
    if CALIBRATION_MEMBER not in archive.members(path):
        return {}
    return calibration.from_json(archive.text(path, CALIBRATION_MEMBER), where=str(path))


def save_calibrated(
    source: Place, target: Place, calibrations: dict[str, Calibration], *, compact: bool = False
) -> None:
    """Writes a copy of a model file with calibrations of its scores, in the place of older ones.

    Args:
        source: The model file, here or at a URL.
        target: The copy; may be `source`.
        calibrations: By the way the network is run.
        compact: Keep 11 significant bits of each weight, float16's precision with float32's range,
            and compress, which halves the file; a file that is compact stays so.

    Raises:
        ValueError: If the file is damaged, or it is an exported one.
    """
    if source.suffix != SUFFIX:
        # A `.tflite` file is an archive, too, but of its metadata alone.
        raise InputError(
            f"{source}: only a {SUFFIX} file can be calibrated; calibrate that, and export it again"
        )
    source = local_copy(source)
    members = {
        name: archive.member(source, name, most=archive.LARGEST_ARRAYS)
        for name in archive.members(source)
    }
    members[CALIBRATION_MEMBER] = calibration.to_json(calibrations).encode()
    if compact:
        members[WEIGHTS_MEMBER] = _rounded(members[WEIGHTS_MEMBER], where=str(source))
    compressed = compact or _is_compressed(source)
    method = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with replacing(target) as temporary, zipfile.ZipFile(temporary, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)


def _is_compressed(path: Path) -> bool:
    with zipfile.ZipFile(path) as file:
        return any(one.compress_type == zipfile.ZIP_DEFLATED for one in file.infolist())


def _rounded(weights: bytes, *, where: str) -> bytes:
    """A weights file whose float32 arrays have 13 zero bits at their ends."""
    out = io.BytesIO(weights)

    def visit(name: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype == np.float32:
            bits = np.asarray(item[()]).view(np.uint32)
            item[()] = ((bits + ROUNDING_HALF) & ~ROUNDING_MASK).view(np.float32)

    try:
        with h5py.File(out, "r+") as file:
            file.visititems(visit)
    except OSError as error:
        raise InputError(f"{where}: its weights are damaged ({error})") from error
    return out.getvalue()


def load_model(path: str | Path, *, input_size: int | None = None) -> tuple[keras.Model, Config]:
    """A network in float32, ready to predict, and its configuration.

    Args:
        path: The model file.
        input_size: Side of the crops, px; None for that of its training.

    Raises:
        ValueError: As `read_config`, and if the weights do not fit the configuration, or the
            network cannot take such crops.
    """
    config = read_config(path)
    if input_size is not None:
        try:
            config = config.replace("network.input_size", input_size)
        except InputError as error:
            raise InputError(f"{path}: it cannot take crops of {input_size} px: {error}") from error
    _require_plausible(path, config.network)
    network = build_network(config.network)
    load_weights(path, network)
    return network, config


def load_weights(path: str | Path, network: keras.Model) -> None:
    """Fills a network of the same shape, whatever its precision, from a model file.

    Raises:
        ValueError: If the file's weights are damaged or of another shape.
    """
    most = _most_bytes(network.weights)
    weights = archive.member(path, WEIGHTS_MEMBER, most=most)
    stored = _count_variables(weights, str(path), most)
    if stored != len(network.weights):
        raise InputError(
            f"{path}: weights cannot be loaded (there are {stored} arrays, the network that its "
            f"configuration describes has {len(network.weights)})"
        )
    try:
        # From the archive itself Keras would read a compressed member again for every array.
        with tempfile.TemporaryDirectory() as folder:
            unpacked = Path(folder) / WEIGHTS_MEMBER
            unpacked.write_bytes(weights)
            network.load_weights(unpacked)
    except Exception as error:  # Keras, h5py and zipfile each raise kinds of their own
        raise InputError(f"{path}: weights cannot be loaded ({error})") from error


def _require_plausible(path: str | Path, network: NetworkConfig) -> None:
    """Refuses a network far larger than the weights that are there: building it would fill the
    memory."""
    size = archive.member_size(path, WEIGHTS_MEMBER)
    if fewest_bytes(network) > size:
        raise InputError(
            f"{path}: its configuration is of a network of {fewest_bytes(network)} bytes or more, "
            f"but the weights inside have {size}"
        )


def fewest_bytes(network: NetworkConfig) -> int:
    """Bytes that the weights of such a network have at least: of each stack, one residual's and the
    heatmaps' alone."""
    width = network.channels // 2
    return 4 * network.stacks * (9 * width * width + network.joints)


def _most_bytes(variables: Sequence[Any]) -> int:
    """Bytes that arrays for these variables may take, with those of an optimizer and names."""
    return COPIES * 4 * sum(math.prod(one.shape) for one in variables) + archive.LARGEST_TEXT


def _count_variables(weights: bytes, where: str, most: int) -> int:
    """The network's arrays in a weights file; Keras leaves those that a network lacks unread."""
    count = size = 0
    elsewhere: str | None = None

    def visit(name: str, item: h5py.Dataset | h5py.Group) -> None:
        nonlocal count, size, elsewhere
        if isinstance(item, h5py.Dataset):
            if item.external or item.is_virtual:
                elsewhere = name
            size += item.nbytes
            count += not name.startswith("optimizer/")

    def find_link(name: str, link: object) -> str | None:
        return None if isinstance(link, h5py.HardLink) else name

    try:
        with h5py.File(io.BytesIO(weights), "r") as file:
            file.visititems(visit)
            elsewhere = elsewhere or file.visititems_links(find_link)
    except (OSError, RuntimeError, KeyError) as error:
        raise InputError(f"{where}: weights cannot be loaded ({error})") from error
    if elsewhere:
        raise InputError(f"{where}: weights cannot be loaded ({elsewhere} lies elsewhere)")
    if size > most:
        raise InputError(
            f"{where}: weights cannot be loaded (there are {size} bytes, at most {most} are read)"
        )
    return count


def load_training(path: Path, network: keras.Model, optimizer: keras.Optimizer) -> TrainingState:
    """Puts a network and its built optimizer where a training stopped.

    Raises:
        ValueError: If the file holds no training, or one of another network or optimizer.
    """
    state = _read_state(path)
    weights = load_model(path)[0].get_weights()
    if [weight.shape for weight in weights] != [tuple(one.shape) for one in network.weights]:
        raise InputError(f"{path}: its network has another shape than the one to be trained")
    network.set_weights(weights)
    values = read_arrays(path, OPTIMIZER_MEMBER, most=_most_bytes(optimizer.variables))
    variables = optimizer.variables
    if [value.shape for value in values] != [tuple(one.shape) for one in variables]:
        raise InputError(f"{path}: its optimizer state does not fit this network and optimizer")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
    return state


def _read_state(path: Path) -> TrainingState:
    try:
        state = TrainingState(**json.loads(archive.text(path, STATE_MEMBER)))
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: {STATE_MEMBER} inside is damaged ({error})") from error
    if wrong := _wrong_in(state):
        raise InputError(f"{path}: {STATE_MEMBER} inside is damaged ({wrong})")
    return state


def _wrong_in(state: TrainingState) -> str:
    """What is no number that it should be, as JSON may have anything; empty if nothing is."""
    for name in ("epoch", "best_epoch"):
        count = getattr(state, name)
        if type(count) is not int or count < 0:
            return f"{name} is {count!r}, it must be a whole number of 0 or more"
    if type(state.best_score) not in (int, float):
        return f"best_score is {state.best_score!r}, it must be a number"
    return ""


def read_arrays(path: Path, name: str, *, most: int) -> list[np.ndarray]:
    """The arrays of a member that `np.savez` wrote.

    Args:
        path: The model file.
        name: The member.
        most: Bytes that the member, and the arrays in it, may have.

    Raises:
        ValueError: If it is missing, damaged or larger.
    """
    data = io.BytesIO(archive.member(path, name, most=most))
    try:
        if archive.unpacked_size(data) > most:
            raise InputError(f"{path}: {name} inside unpacks to more than {most} bytes")
        data.seek(0)
        with np.load(data, allow_pickle=False) as stored:
            return [stored[one] for one in stored.files]
    except InputError:
        raise
    except (OSError, ValueError, KeyError, EOFError, MemoryError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: {name} inside is damaged ({error})") from error
