"""Words for the body: the names of the joints, what connects them, and which ones mirror.

Only facts about skeletons live here, as data: four that the field uses, and any other from a file.
Coordinates are `core.pose`'s, drawing is `media.drawing`'s.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hourglass.core.errors import InputError
from hourglass.core.sides import Pair, mirror_pairs_of, side_of
from hourglass.core.skeleton_fields import typed_fields

Colour = tuple[int, int, int]

RIGHT: Colour = (255, 120, 60)
LEFT: Colour = (50, 160, 255)
MIDDLE: Colour = (170, 230, 90)

MOST_JOINTS = 200

UNKNOWN_SIGMA = 0.1
"""OKS's sigma of a joint that nobody has measured: as wide as COCO's hips and shoulders together
are, so that no joint counts as found by being near a person."""

REFERENCES = ("head", "torso", "box")
"""What PCK's threshold is measured in: the head's size, the torso's, or the side of the box."""


@dataclass(frozen=True)
class Skeleton:
    """A named set of joints.

    Attributes:
        name: What the field calls it, such as `"mpii"`.
        joints: Joint names in the order of every array's joint axis, 1 to 200.
        bones: Pairs of joint indices that a drawing connects.
        mirror_pairs: Pairs (right, left) of joint indices that swap when a picture is flipped.
        colours: One RGB colour (0 to 255) per bone; () for one colour on each side.
        groups: (title, joint indices): the rows of a table of scores; () for a row for each mirror
            pair and each other joint.
        left_out: Joint indices that no mean counts.
        sigmas: OKS's standard deviation per joint, in square roots of the person's area; () where
            nobody has measured them.
        reference: What PCK's threshold is measured in, one of `REFERENCES`.
        torso: The two joints whose distance is the torso's size; needed by that reference.

    Raises:
        ValueError: If a name or index is wrong; says which.
    """

    name: str
    joints: tuple[str, ...]
    bones: tuple[Pair, ...] = ()
    mirror_pairs: tuple[Pair, ...] = ()
    colours: tuple[Colour, ...] = ()
    groups: tuple[tuple[str, tuple[int, ...]], ...] = ()
    left_out: tuple[int, ...] = ()
    sigmas: tuple[float, ...] = ()
    reference: str = "box"
    torso: Pair | None = None

    def __post_init__(self) -> None:
        self._check_joints()
        self._check_indices()
        if not self.colours:
            object.__setattr__(self, "colours", self._side_colours())
        if not self.groups:
            object.__setattr__(self, "groups", self._pair_groups())
        if len(self.colours) != len(self.bones):
            raise InputError(
                f"skeleton {self.name!r}: {len(self.colours)} colours for {len(self.bones)} bones, "
                "one per bone is needed"
            )
        if self.sigmas and len(self.sigmas) != len(self.joints):
            raise InputError(
                f"skeleton {self.name!r}: {len(self.sigmas)} sigmas for {len(self.joints)} joints, "
                "one per joint is needed, or none"
            )
        if any(not 0 < sigma < 10 for sigma in self.sigmas):
            raise InputError(
                f"skeleton {self.name!r}: sigmas are {self.sigmas}, each must be above 0 (COCO's "
                "are 0.025 to 0.107)"
            )
        if self.reference not in REFERENCES:
            raise InputError(
                f"skeleton {self.name!r}: reference is {self.reference!r}, it must be one of "
                f"{', '.join(REFERENCES)}"
            )
        if self.reference == "torso" and self.torso is None:
            raise InputError(
                f"skeleton {self.name!r}: reference 'torso' needs the pair of joints `torso`"
            )

    def _check_joints(self) -> None:
        if not 1 <= len(self.joints) <= MOST_JOINTS:
            raise InputError(
                f"skeleton {self.name!r} has {len(self.joints)} joints, 1 to {MOST_JOINTS} are "
                "allowed"
            )
        for joint in self.joints:
            if not isinstance(joint, str) or not joint.strip():
                raise InputError(f"skeleton {self.name!r}: {joint!r} is no name of a joint")
        twice = {joint for joint in self.joints if self.joints.count(joint) > 1}
        if twice:
            raise InputError(
                f"skeleton {self.name!r}: joint {min(twice)!r} comes more than once, each name may "
                "come once"
            )

    def _check_indices(self) -> None:
        used: dict[str, Sequence[tuple[int, ...]]] = {
            "bones": self.bones,
            "mirror_pairs": self.mirror_pairs,
            "groups": [joints for _, joints in self.groups],
            "left_out": [(joint,) for joint in self.left_out],
            "torso": [self.torso] if self.torso else [],
        }
        for field, entries in used.items():
            for entry in entries:
                if not all(0 <= joint < len(self.joints) for joint in entry):
                    raise InputError(
                        f"skeleton {self.name!r}: {field} has {entry}, but joints are numbered 0 "
                        f"to {len(self.joints) - 1}"
                    )
        mirrored = [joint for pair in self.mirror_pairs for joint in pair]
        twice = {joint for joint in mirrored if mirrored.count(joint) > 1}
        if twice:
            raise InputError(
                f"skeleton {self.name!r}: mirror_pairs name joint {min(twice)} "
                f"({self.joints[min(twice)]!r}) more than once, each joint mirrors one other"
            )

    def _side_colours(self) -> tuple[Colour, ...]:
        right = {pair[0] for pair in self.mirror_pairs}
        left = {pair[1] for pair in self.mirror_pairs}

        def colour(bone: Pair) -> Colour:
            ends = set(bone)
            if ends & right and not ends & left:
                return RIGHT
            return LEFT if ends & left and not ends & right else MIDDLE

        return tuple(map(colour, self.bones))

    def _pair_groups(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """In the order of the joints; a pair is called what its names have in common."""
        partner = {one: pair for pair in self.mirror_pairs for one in pair}
        groups: dict[str, tuple[int, ...]] = {}
        for joint, name in enumerate(self.joints):
            pair = partner.get(joint)
            if pair is None:
                groups[_title(name)] = (*groups.get(_title(name), ()), joint)
            elif joint == min(pair):
                side = side_of(self.joints[pair[0]])
                title = _title(side[1] if side else " / ".join(self.joints[one] for one in pair))
                groups[title] = (*groups.get(title, ()), *sorted(pair))
        return tuple(groups.items())

    @property
    def mirrors(self) -> bool:
        """Whether flipping a picture is safe: its left and right joints are known."""
        return bool(self.mirror_pairs)

    @property
    def flip_order(self) -> np.ndarray:
        """Joint indices (J,) int64 that put a flipped picture's joints back under their names."""
        order = np.arange(len(self.joints))
        for right, left in self.mirror_pairs:
            order[[right, left]] = left, right
        return order

    @property
    def oks_sigmas(self) -> np.ndarray:
        """OKS's sigmas (J,) float64; `UNKNOWN_SIGMA` where there are none."""
        return np.array(self.sigmas or [UNKNOWN_SIGMA] * len(self.joints), np.float64)

    @property
    def counted(self) -> np.ndarray:
        """Joint indices that means count, int64: all but `left_out`."""
        return np.setdiff1d(np.arange(len(self.joints)), self.left_out)

    def index(self, joint: str) -> int:
        """The position of `joint` on the joint axis.

        Raises:
            ValueError: If the skeleton has no joint of that name.
        """
        if joint not in self.joints:
            raise InputError(
                f"skeleton {self.name!r} has no joint {joint!r}; it has {', '.join(self.joints)}"
            )
        return self.joints.index(joint)

    @classmethod
    def of_names(cls, name: str, joints: Sequence[str], **fields: Any) -> Skeleton:
        """A skeleton whose mirror pairs come from the joints' names.

        Args:
            name: What it is called.
            joints: Names; `left_hip` and `right_hip`, `l_hip` and `r_hip`, `hip_L` and `hip_R`,
                `LHip` and `RHip` are pairs.
            fields: Any other of the class's.
        """
        pairs = fields.pop("mirror_pairs", None) or mirror_pairs_of(joints)
        return cls(name=name, joints=tuple(joints), mirror_pairs=tuple(pairs), **fields)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and names, ready for JSON."""
        return {
            "name": self.name,
            "joints": list(self.joints),
            "bones": [list(bone) for bone in self.bones],
            "mirror_pairs": [list(pair) for pair in self.mirror_pairs],
            "colours": [list(colour) for colour in self.colours],
            "groups": {title: list(joints) for title, joints in self.groups},
            "left_out": list(self.left_out),
            "sigmas": list(self.sigmas),
            "reference": self.reference,
            "torso": list(self.torso) if self.torso else None,
        }

    @classmethod
    def from_dict(cls, values: Any, *, where: str) -> Skeleton:
        """The skeleton that `to_dict` wrote; only `name` and `joints` are needed.

        Mirror pairs that are not given are derived from the joints' names.

        Args:
            values: Of a JSON object.
            where: The file it came from, for error messages.

        Raises:
            ValueError: If it is none; names `where` and the field.
        """
        if not isinstance(values, Mapping):
            raise InputError(f"{where}: a skeleton must be a JSON object, got {values!r:.60}")
        unknown = sorted(set(values) - set(cls.__dataclass_fields__))
        if unknown:
            raise InputError(
                f"{where}: a skeleton has no field {unknown[0]!r}; it has "
                f"{', '.join(cls.__dataclass_fields__)}"
            )
        if not {"name", "joints"} <= set(values):
            raise InputError(f"{where}: a skeleton needs the fields 'name' and 'joints'")
        try:
            return cls(**typed_fields(values))
        except (TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{where}: {error}") from error


def _title(name: str) -> str:
    words = name.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


# fmt: off
MPII = Skeleton(
    name="mpii",
    joints=(
        "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "pelvis",
        "thorax", "upper_neck", "head_top", "right_wrist", "right_elbow", "right_shoulder",
        "left_shoulder", "left_elbow", "left_wrist",
    ),
    bones=(
        (0, 1), (1, 2), (2, 6), (3, 6), (3, 4), (4, 5), (6, 7), (7, 8), (8, 9), (10, 11),
        (11, 12), (12, 7), (13, 7), (13, 14), (14, 15),
    ),
    mirror_pairs=((0, 5), (1, 4), (2, 3), (10, 15), (11, 14), (12, 13)),
    groups=(
        ("Head", (9,)), ("Neck", (8,)), ("Shoulder", (12, 13)), ("Elbow", (11, 14)),
        ("Wrist", (10, 15)), ("Hip", (2, 3)), ("Knee", (1, 4)), ("Ankle", (0, 5)),
    ),
    left_out=(6, 7),
    # COCO's, for the joints that both have; of the others, those of their like.
    sigmas=(
        0.089, 0.087, 0.107, 0.107, 0.087, 0.089, 0.107, 0.079, 0.079, 0.079, 0.062, 0.072, 0.079,
        0.079, 0.072, 0.062,
    ),
    reference="head",
    torso=(12, 3),
)
"""The 16 joints of the MPII Human Pose set (Andriluka et al., CVPR 2014), in its order; pelvis and
thorax are left out of means, as in its protocol."""

COCO = Skeleton.of_names(
    "coco",
    (
        "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder",
        "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip",
        "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    ),
    bones=(
        (15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7),
        (6, 8), (7, 9), (8, 10), (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6),
    ),
    sigmas=(
        0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107,
        0.087, 0.087, 0.089, 0.089,
    ),
    reference="box",
    torso=(6, 11),
)
"""The 17 keypoints of COCO (Lin et al., ECCV 2014), its skeleton and the sigmas of its OKS."""

LSP = Skeleton.of_names(
    "lsp",
    (
        "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle",
        "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow",
        "left_wrist", "upper_neck", "head_top",
    ),
    bones=(
        (0, 1), (1, 2), (2, 8), (3, 9), (3, 4), (4, 5), (2, 3), (6, 7), (7, 8), (8, 12), (9, 12),
        (9, 10), (10, 11), (12, 13),
    ),
    reference="torso",
    torso=(8, 3),
)
"""The 14 joints of Leeds Sports Pose (Johnson & Everingham, BMVC 2010); its PCK is measured in
torsos, right shoulder to left hip (Yang & Ramanan, PAMI 2013)."""

H36M = Skeleton.of_names(
    "h36m",
    (
        "pelvis", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
        "spine", "thorax", "neck", "head_top", "left_shoulder", "left_elbow", "left_wrist",
        "right_shoulder", "right_elbow", "right_wrist",
    ),
    bones=(
        (0, 1), (1, 2), (2, 3), (0, 4), (4, 5), (5, 6), (0, 7), (7, 8), (8, 9), (9, 10), (8, 11),
        (11, 12), (12, 13), (8, 14), (14, 15), (15, 16),
    ),
    reference="torso",
    torso=(14, 4),
)
"""The 17 joints of Human3.6M that the field keeps of its 32 (Ionescu et al., PAMI 2014; Pavllo et
al., CVPR 2019)."""

# fmt: on

SKELETONS = {skeleton.name: skeleton for skeleton in (MPII, COCO, LSP, H36M)}


def read_skeleton(source: str | Path) -> Skeleton:
    """A built-in skeleton by its name, or one from a JSON file.

    Args:
        source: One of `SKELETONS`' names, or a file as `Skeleton.to_dict` writes it.

    Raises:
        ValueError: If it is neither; names what there is, or the file and its field.
    """
    if str(source) in SKELETONS:
        return SKELETONS[str(source)]
    path = Path(source)
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(
            f"skeleton {source}: neither one of {', '.join(SKELETONS)} nor a file that can be read "
            f"({error.strerror})"
        ) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error})") from error
    return Skeleton.from_dict(values, where=str(path))
