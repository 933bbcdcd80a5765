"""The lifting network: dense layers with two residual blocks (Martinez et al., ICCV 2017).

Layers and presets only, on any Keras backend; what goes in and comes out in pixels and millimetres
is `hourglass.lifting.estimator`'s.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras

SEED = "seed"


@dataclass(frozen=True)
class LifterConfig:
    """The shape of a lifting network.

    Attributes:
        units: Width of the dense layers.
        blocks: Residual blocks, of two dense layers each.
        dropout: Share of units dropped in training after each ReLU.
        masked: Whether each joint comes with a third number that says whether it was found.
        max_norm: Largest norm of the weights that lead to one unit; 0 for no limit.
        joints: Joints that come in; as many, about the pelvis, come out.

    Raises:
        ValueError: If a value is out of range.
    """

    units: int = 1024
    blocks: int = 2
    dropout: float = 0.1
    masked: bool = True
    max_norm: float = 0.0
    joints: int = 16

    def __post_init__(self) -> None:
        for name, holds, allowed in (
            ("units", self.units >= 1, "1 or more"),
            ("blocks", self.blocks >= 1, "1 or more"),
            ("dropout", 0 <= self.dropout < 1, "from 0 to below 1"),
            ("max_norm", self.max_norm >= 0, "0 or more"),
            ("joints", self.joints >= 2, "2 or more"),
        ):
            if not holds:
                raise ValueError(
                    f"LifterConfig.{name} is {getattr(self, name)!r}, it must be {allowed}"
                )


PRESETS = {
    "lift": LifterConfig(),
    "lift-lite": LifterConfig(units=320, dropout=0.0),
    SEED: LifterConfig(dropout=0.5, masked=False),
}
"""Networks by name; `seed` is the paper's, to compare with."""


def preset(name: str) -> LifterConfig:
    """The configuration of that name.

    Raises:
        ValueError: If there is none.
    """
    if name not in PRESETS:
        raise ValueError(f"no lifting preset {name!r}; there are {', '.join(PRESETS)}")
    return PRESETS[name]


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
