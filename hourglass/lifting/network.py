"""The lifting network: dense layers with two residual blocks (Martinez et al., ICCV 2017).

Layers only, on any Keras backend; what goes in and comes out in pixels and millimetres is
`hourglass.lifting.estimator`'s.
"""

from __future__ import annotations

import keras
import numpy as np

from hourglass.core.errors import InputError
from hourglass.lifting.shape import LifterConfig, preset


def build_lifter(config: LifterConfig | str) -> keras.Model:
    """The network, with random weights.

    Args:
        config: Its shape, or a preset's name.

    Returns:
        A model from (B, J, 3) or, not masked, (B, J, 2) float32 to (B, J, 3) float32.
    """
    if isinstance(config, str):
        config = preset(config)
    inputs = keras.Input((config.joints, 3 if config.masked else 2), name="joints")
    x = keras.layers.Flatten(name="flat")(inputs)
    x = _layer(x, config, "first")
    for block in range(config.blocks):
        entry = x
        x = _layer(x, config, f"block{block}_a")
        x = _layer(x, config, f"block{block}_b")
        x = keras.layers.Add(name=f"block{block}")([entry, x])
    x = _dense(x, 3 * config.joints, config, "last")
    outputs = keras.layers.Reshape((config.joints, 3), name="body")(x)
    return keras.Model(inputs, outputs, name="lifter")


def _layer(x: keras.KerasTensor, config: LifterConfig, name: str) -> keras.KerasTensor:
    x = _dense(x, config.units, config, f"{name}_dense")
    # PyTorch's momentum and epsilon: the defaults of Keras follow a short training too slowly.
    x = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_norm")(x)
    x = keras.layers.ReLU(name=f"{name}_relu")(x)
    return keras.layers.Dropout(config.dropout, name=f"{name}_dropout")(x)


def _dense(x: keras.KerasTensor, units: int, config: LifterConfig, name: str) -> keras.KerasTensor:
    limit = keras.constraints.MaxNorm(config.max_norm) if config.max_norm else None
    layer = keras.layers.Dense(
        units, kernel_initializer="he_normal", kernel_constraint=limit, name=name
    )
    return layer(x)


def weights_of(network: keras.Model) -> dict[str, np.ndarray]:
    """All weights by `layer/variable`, as model files hold them."""
    return {
        f"{layer.name}/{variable.name}": keras.ops.convert_to_numpy(variable)
        for layer in network.layers
        for variable in layer.variables
        if "seed_generator" not in variable.path
    }


def set_weights(network: keras.Model, weights: dict[str, np.ndarray], *, where: str) -> None:
    """Fills a network with what `weights_of` gave.

    Args:
        network: Of the same shape.
        weights: By `layer/variable`.
        where: The file they came from, for error messages.

    Raises:
        ValueError: If they are not the network's.
    """
    own = weights_of(network)
    wrong = [
        name
        for name in own.keys() | weights.keys()
        if name not in own or name not in weights or own[name].shape != weights[name].shape
    ]
    if wrong:
        raise InputError(f"{where}: {len(wrong)} weights do not fit, {min(wrong)} among them")
    for layer in network.layers:
        for variable in layer.variables:
            name = f"{layer.name}/{variable.name}"
            if name in weights:
                variable.assign(weights[name])
