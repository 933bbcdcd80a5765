"""Every choice of a run, as frozen dataclasses; good sets of choices are `core.presets`'.

Only values and their validation live here; what they mean in code is in the room that uses them,
and `core.config_text` writes and reads them as text.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hourglass.core.errors import InputError
from hourglass.core.skeleton import MPII, Skeleton

STRIDE = 4
"""Input pixels per heatmap cell: the stem halves the picture twice (Newell et al., ECCV 2016)."""

ENCODER_STAGES = 7
"""Stages of a whole pretrained encoder."""

ENCODER_HALVINGS = {4: 2, 5: 2, 6: 3, 7: 3}
"""Times an encoder of so many stages halves its features after the stride: it ends at stride 16 or
32."""

PRECISIONS = ("auto", "float32", "mixed_bfloat16", "mixed_float16")
SCHEDULES = ("cosine", "plateau")
ARCHITECTURES = ("hourglass", "unet")
ENCODERS = ("none", "lite0", "lite1", "lite2")
LOSSES = ("mse", "iou")
REFINEMENTS = ("quarter", "dark", "none")

KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "int": ((int,), "a finite int"),
    "float": ((int, float), "a finite float"),
    "str": ((str,), "a word (str)"),
    "bool": ((bool,), "true or false (bool)"),
}
"""What a field of each type may hold, and how to say so."""


def _require(holds: bool, owner: object, name: str, allowed: str) -> None:
    if not holds:
        value = getattr(owner, name)
        raise InputError(f"{type(owner).__name__}.{name} is {value!r}, it must be {allowed}")


def _require_types(owner: Any) -> None:
    """Refuses values of the wrong type, such as text or NaN from a hand-edited file."""
    for entry in dataclasses.fields(owner):
        value = getattr(owner, entry.name)
        kinds, allowed = KINDS[str(entry.type)]
        right = isinstance(value, kinds) and isinstance(value, bool) == (bool in kinds)
        finite = not isinstance(value, float) or math.isfinite(value)
        _require(right and finite, owner, entry.name, allowed)


LARGEST_INPUT = 4096
"""Largest side of a crop, px: larger ones fill the memory with features."""


@dataclass(frozen=True)
class NetworkConfig:
    """The shape of the network.

    Attributes:
        stacks: Number of hourglasses.
        channels: Width of every hourglass, a multiple of 4; of a U-Net at the heatmaps' size.
        depth: Times an hourglass halves its picture on the way down, where that is its own.
        input_size: Side of the square input, px; a multiple of 4 · 2^depth, and of an encoder's
            last stride.
        joints: Number of heatmaps.
        encoder: The first hourglass's way down: `none` for its own, or an EfficientNet-Lite
            pretrained on ImageNet.
        encoder_stages: Stages of the encoder that are kept: the last of 7 end at stride 32, of 5 or
            4 at stride 16.
        architecture: `hourglass`, or a `unet` (one stack, no encoder).
    """

    stacks: int = 4
    channels: int = 256
    depth: int = 4
    input_size: int = 256
    joints: int = 16
    encoder: str = "none"
    encoder_stages: int = ENCODER_STAGES
    architecture: str = "hourglass"

    def __post_init__(self) -> None:
        _require_types(self)
        allowed = f"one of {ARCHITECTURES}"
        _require(self.architecture in ARCHITECTURES, self, "architecture", allowed)
        if self.architecture == "unet":
            _require(self.stacks == 1, self, "stacks", "1 in a unet")
            _require(self.encoder == "none", self, "encoder", "none in a unet")
        _require(self.stacks >= 1, self, "stacks", "1 or more")
        _require(self.channels >= 4 and self.channels % 4 == 0, self, "channels", "a multiple of 4")
        _require(self.depth >= 1, self, "depth", "1 or more")
        _require(self.joints >= 1, self, "joints", "1 or more")
        _require(self.encoder in ENCODERS, self, "encoder", f"one of {ENCODERS}")
        stages = tuple(ENCODER_HALVINGS)
        _require(self.encoder_stages in stages, self, "encoder_stages", f"one of {stages}")
        _require(self.input_size <= LARGEST_INPUT, self, "input_size", f"{LARGEST_INPUT} or less")
        step, reason = STRIDE * 2**self.depth, f"stride {STRIDE} times 2^depth"
        halvings = ENCODER_HALVINGS[self.encoder_stages]
        if self.encoder != "none" and (self.stacks == 1 or self.depth < halvings):
            step, reason = STRIDE * 2**halvings, "the encoder's last stride"
        _require(
            self.input_size >= step and self.input_size % step == 0,
            self,
            "input_size",
            f"a multiple of {step} ({reason})",
        )

    @property
    def heatmap_size(self) -> int:
        """Side of the square heatmaps, cells."""
        return self.input_size // STRIDE


def same_layers(one: NetworkConfig, other: NetworkConfig) -> bool:
    """Whether two networks can share weights: they are alike but for the size of their crops."""
    layers = [{**dataclasses.asdict(config), "input_size": 0} for config in (one, other)]
    return layers[0] == layers[1]


def parse_weights(text: str) -> dict[str, float] | None:
    """Weights by name, of a text such as `mpii=2,teachers=0.5`; None if it is no such text."""
    weights = {}
    for part in filter(None, text.split(",")):
        name, equals, number = part.strip().rpartition("=")
        try:
            weight = float(number)
        except ValueError:
            return None
        if not (equals and name and math.isfinite(weight) and weight >= 0) or name in weights:
            return None
        weights[name] = weight
    return weights


@dataclass(frozen=True)
class DataConfig:
    """How records become targets and batches.

    Attributes:
        sigma: Standard deviation of a joint's Gaussian, heatmap px.
        shuffle_buffer: Encoded records held for shuffling.
        read_shards: Shards read side by side.
        refine: How the network's heatmaps are decoded, `quarter`, `dark` or `none`.
        source_weights: What joints count in the loss by their label source, such as
            `mpii=2,teachers=0.5`; 1 for a source that is not named.
    """

    sigma: float = 1.0
    shuffle_buffer: int = 2048
    read_shards: int = 16
    refine: str = "quarter"
    source_weights: str = ""

    def __post_init__(self) -> None:
        _require_types(self)
        _require(
            parse_weights(self.source_weights) is not None,
            self,
            "source_weights",
            "SOURCE=NUMBER, with commas between several, no number below 0",
        )
        _require(self.sigma > 0, self, "sigma", "above 0 heatmap px")
        _require(self.shuffle_buffer >= 1, self, "shuffle_buffer", "1 record or more")
        _require(self.read_shards >= 1, self, "read_shards", "1 shard or more")
        _require(self.refine in REFINEMENTS, self, "refine", f"one of {REFINEMENTS}")


@dataclass(frozen=True)
class AugmentConfig:
    """How far training pictures are changed; every field at 0 changes nothing.

    Attributes:
        scale: Largest change of the crop's side, as a share of it.
        rotation: Largest rotation either way, degrees.
        rotation_probability: Share of pictures rotated.
        flip_probability: Share of pictures mirrored, with their joints' names swapped.
        shift: Largest shift of the crop's centre along each axis, as a share of its side.
        colour: Largest change of each channel's gain and of the brightness, as a share.
        cutout: Largest side of a grey square that hides a part, as a share of the crop's.
        paste: Largest side of a square that is copied to another place, as a share of the crop's.
        half_body: Share of people whose picture ends somewhere between their middle and their feet,
            framed as the part that is left.
        style: Share of pictures that get the colour statistics of another one.
        grey: Share of pictures without colour.
        blur: Share of pictures blurred.
        jpeg: Share of pictures compressed to a low quality.
    """

    scale: float = 0.25
    rotation: float = 30.0
    rotation_probability: float = 0.6
    flip_probability: float = 0.5
    shift: float = 0.05
    colour: float = 0.3
    cutout: float = 0.0
    paste: float = 0.0
    half_body: float = 0.0
    style: float = 0.0
    grey: float = 0.0
    blur: float = 0.0
    jpeg: float = 0.0

    def __post_init__(self) -> None:
        _require_types(self)
        _require(0 <= self.rotation <= 180, self, "rotation", "0 to 180 degrees")
        for name in ("scale", "shift", "colour", "cutout", "paste"):
            _require(0 <= getattr(self, name) < 1, self, name, "at least 0 and below 1")
        shares = ("rotation_probability", "flip_probability", "half_body", "style")
        for name in (*shares, "grey", "blur", "jpeg"):
            _require(0 <= getattr(self, name) <= 1, self, name, "0 to 1")


@dataclass(frozen=True)
class TrainConfig:
    """How the network learns.

    Attributes:
        epochs: Passes over the training people.
        batch_size: People per step, over all devices together.
        learning_rate: Adam's highest learning rate.
        schedule: `cosine` (to 0, after the warm-up) or `plateau` (multiplied by `plateau_factor`
            after `plateau_epochs` in which the validation score did not improve).
        plateau_factor, plateau_epochs: See `schedule`.
        warmup_epochs: Epochs over which the cosine schedule's learning rate rises from 0.
        encoder_rate: The pretrained encoder's learning rate, as a share of the others'.
        frozen_statistics: Keep the encoder's BatchNorm statistics of its pretraining.
        averaging: Momentum of the moving averages of the weights and of BatchNorm's statistics,
            which are validated and saved; 0 for the weights themselves. In a short run it is
            lower: averages reach over a tenth of the run's steps at most.
        loss: `mse`, foreground-weighted, or `iou`, the overlap of target and prediction.
        foreground_weight: What is added to the loss's weight of 1 where the target is foreground.
        teacher_share: A teacher's part in the targets; 0 without a teacher.
        precision: A Keras dtype policy, or `auto`: bfloat16 where the device computes in it.
        xla: Compile the step with XLA: `auto` (on GPUs), `on` or `off`.
        seed: Seed of the weights, the order and the augmentation.
    """

    epochs: int = 100
    batch_size: int = 16
    learning_rate: float = 1e-3
    schedule: str = "cosine"
    plateau_factor: float = 0.1
    plateau_epochs: int = 10
    warmup_epochs: float = 1.0
    encoder_rate: float = 1.0
    frozen_statistics: bool = False
    averaging: float = 0.0
    loss: str = "mse"
    foreground_weight: float = 81.0
    teacher_share: float = 0.0
    precision: str = "auto"
    xla: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        _require_types(self)
        _require(self.epochs >= 1, self, "epochs", "1 or more")
        _require(self.batch_size >= 1, self, "batch_size", "1 or more")
        _require(self.learning_rate > 0, self, "learning_rate", "above 0")
        _require(self.schedule in SCHEDULES, self, "schedule", f"one of {SCHEDULES}")
        _require(0 < self.plateau_factor < 1, self, "plateau_factor", "above 0 and below 1")
        _require(self.plateau_epochs >= 1, self, "plateau_epochs", "1 or more")
        _require(self.warmup_epochs >= 0, self, "warmup_epochs", "0 or more")
        _require(self.encoder_rate >= 0, self, "encoder_rate", "0 or more")
        _require(0 <= self.averaging < 1, self, "averaging", "at least 0 and below 1")
        _require(self.loss in LOSSES, self, "loss", f"one of {LOSSES}")
        _require(self.foreground_weight >= 0, self, "foreground_weight", "0 or more")
        _require(0 <= self.teacher_share <= 1, self, "teacher_share", "0 to 1")
        _require(self.precision in PRECISIONS, self, "precision", f"one of {PRECISIONS}")
        _require(self.xla in ("auto", "on", "off"), self, "xla", "auto, on or off")
        _require(0 <= self.seed < 2**31, self, "seed", "0 to 2147483647")


@dataclass(frozen=True)
class Config:
    """All choices of one run.

    Raises:
        ValueError: If the network has not one heatmap for each of the skeleton's joints.
    """

    network: NetworkConfig = field(default_factory=NetworkConfig)
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    skeleton: Skeleton = MPII

    def __post_init__(self) -> None:
        joints = len(self.skeleton.joints)
        if self.network.joints != joints:
            raise InputError(
                f"NetworkConfig.joints is {self.network.joints}, it must be {joints}: skeleton "
                f"{self.skeleton.name!r} has as many"
            )

    def replace(self, name: str, value: Any) -> Config:
        """The same choices but for one, such as `config.replace("train.epochs", 9)`.

        Args:
            name: SECTION.FIELD; or `skeleton`, as `with_skeleton`.
            value: Of the field's type.

        Raises:
            ValueError: If there is no such choice, or it cannot have that value.
        """
        if name == SKELETON:
            if not isinstance(value, Skeleton):
                raise InputError(f"skeleton is {value!r}, it must be a Skeleton")
            return self.with_skeleton(value)
        return self.with_choices({name: value})

    def with_choices(self, choices: Mapping[str, Any]) -> Config:
        """The same choices but for some, which are judged together.

        Args:
            choices: Values by SECTION.FIELD.

        Raises:
            ValueError: As `replace`.
        """
        changes: dict[str, dict[str, Any]] = {}
        for name, value in choices.items():
            field_of(name)
            section, _, entry = name.partition(".")
            changes.setdefault(section, {})[entry] = value
        return dataclasses.replace(
            self,
            **{
                section: dataclasses.replace(getattr(self, section), **values)
                for section, values in changes.items()
            },
        )

    def with_skeleton(self, skeleton: Skeleton) -> Config:
        """The same choices for another skeleton, with as many heatmaps as it has joints.

        Without mirror pairs nothing is flipped in training: nobody knows how joints would swap.
        """
        flips = self.augment.flip_probability if skeleton.mirrors else 0.0
        return dataclasses.replace(
            self,
            network=dataclasses.replace(self.network, joints=len(skeleton.joints)),
            augment=dataclasses.replace(self.augment, flip_probability=flips),
            skeleton=skeleton,
        )


SECTIONS: dict[str, Any] = {
    "network": NetworkConfig,
    "data": DataConfig,
    "augment": AugmentConfig,
    "train": TrainConfig,
}
"""The sections of choices, by their names in a `Config` and in its JSON."""

SKELETON = "skeleton"
"""The section that says what the joints are; files from before there were several lack it."""


def field_of(name: str) -> dataclasses.Field[Any]:
    """The field of a choice, by SECTION.FIELD.

    Raises:
        ValueError: If there is none; says which there are.
    """
    section, _, entry = name.partition(".")
    if section not in SECTIONS:
        raise InputError(f"no choice is called {name!r}; sections are {', '.join(SECTIONS)}")
    fields = {one.name: one for one in dataclasses.fields(SECTIONS[section])}
    if entry not in fields:
        raise InputError(f"no choice is called {name!r}; {section} has {', '.join(fields)}")
    return fields[entry]
