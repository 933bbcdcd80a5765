"""The shapes that a lifting network may have, and the presets that name good ones.

Values and their validation only, as in `hourglass.core.config`.
"""

from __future__ import annotations

from dataclasses import dataclass

from hourglass.core.errors import InputError

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
                raise InputError(
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
        raise InputError(f"no lifting preset {name!r}; there are {', '.join(PRESETS)}")
    return PRESETS[name]
