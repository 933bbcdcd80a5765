"""What the usual motion-capture rigs call the body's joints, and how to tell which rig a file has.

Tables of names only; a new rig is one more entry in `RIGS`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hourglass.core.errors import InputError
from hourglass.lifting.body import BODY
from hourglass.lifting.bvh import END

LIMBS = ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")

CMU_FOREARM = 1.5
"""CMU's skeletons have the forearm in two pieces, the second half as long as the first; the
converters to BVH kept the first alone."""


@dataclass(frozen=True)
class Rig:
    """A rig's names, as `plain_name` makes them.

    Attributes:
        name: What the field calls the rig.
        limbs: Its names for `LIMBS`, six words.
        spine: Joints whose mean is half way from the pelvis to the thorax.
        thorax: The base of the neck, between the shoulders.
        neck: The base of the skull.
        crown: (from, through, factor): the top of the head is `factor` times as far from the first
            as the second is. Rigs end at the skull's base or in the middle of the head.
        sides: Its words for right and left.
        pattern: How a side and a limb make a name.
        forearm: How many times as long as the rig's the forearm is.
    """

    name: str
    limbs: str
    spine: tuple[str, ...]
    thorax: str
    neck: str
    crown: tuple[str, str, float]
    sides: tuple[str, str] = ("right", "left")
    pattern: str = "{side}{limb}"
    forearm: float = 1.0

    def limb_names(self) -> dict[str, str]:
        """The rig's name by the body's name of each limb joint, such as `right_hip`."""
        return {
            f"{side}_{limb}": self.pattern.format(side=own_side, limb=own_limb)
            for side, own_side in zip(("right", "left"), self.sides, strict=True)
            for limb, own_limb in zip(LIMBS, self.limbs.split(), strict=True)
        }

    @property
    def needed(self) -> set[str]:
        """Every joint that the table names."""
        middle = (*self.spine, self.thorax, self.neck, *self.crown[:2])
        return {*self.limb_names().values(), *middle}


RIGS = (
    Rig(
        "CMU, as converted for MotionBuilder",
        limbs="upleg leg foot arm forearm hand",
        spine=("spine",),
        thorax="neck1",
        neck="head",
        crown=("head", "head" + END, 2.0),
        forearm=CMU_FOREARM,
    ),
    Rig(
        "CMU, as converted for 3ds Max",
        limbs="hip knee ankle shoulder elbow wrist",
        spine=("chest",),
        thorax="neck",
        neck="head",
        crown=("head", "head" + END, 2.0),
        forearm=CMU_FOREARM,
    ),
    Rig(
        "CMU, as converted for Daz",
        limbs="thigh shin foot shldr forearm hand",
        spine=("abdomen",),
        thorax="neck",
        neck="head",
        crown=("head", "head" + END, 2.0),
        sides=("r", "l"),
        forearm=CMU_FOREARM,
    ),
    Rig(
        "Mixamo",
        limbs="upleg leg foot arm forearm hand",
        spine=("spine1",),
        thorax="neck",
        neck="head",
        crown=("head", "headtopend", 1.0),
    ),
    Rig(
        "LAFAN1",
        limbs="upleg leg foot arm forearm hand",
        spine=("spine1",),
        thorax="neck",
        neck="head",
        crown=("neck", "head", 2.5),
    ),
    Rig(
        "Bandai-Namco",
        limbs="upperleg lowerleg foot upperarm lowerarm hand",
        spine=("spine", "chest"),
        thorax="neck",
        neck="head",
        crown=("neck", "head", 4.0),
        sides=("r", "l"),
        pattern="{limb}{side}",
    ),
    Rig(
        "3ds Max Biped",
        limbs="thigh calf foot upperarm forearm hand",
        spine=("bip01spine1",),
        thorax="bip01neck",
        neck="bip01head",
        crown=("bip01neck", "bip01head", 2.5),
        sides=("r", "l"),
        pattern="bip01{side}{limb}",
    ),
    Rig(
        "hourglass",
        limbs="hip knee ankle shoulder elbow wrist",
        spine=("spine",),
        thorax="thorax",
        neck="neck",
        crown=("neck", "headtop", 1.0),
    ),
)
"""Where two fit a file, the first that stands here is meant."""


def plain_name(name: str) -> str:
    """A joint's name without a namespace, capitals and signs: `mixamorig:LeftUpLeg` → `leftupleg`.

    The mark of an end site stays.
    """
    stem, ending = (name[: -len(END)], END) if name.endswith(END) else (name, "")
    return re.sub(r"[^a-z0-9]", "", stem.rpartition(":")[2].lower()) + ending


def find_rig(names: Sequence[str], *, where: str) -> Rig:
    """The rig whose names a file has.

    Args:
        names: The file's joints.
        where: The file, for the error message.

    Raises:
        ValueError: If no rig fits; names what the nearest one lacks and which names are unknown.
    """
    plain = {plain_name(name): name for name in names}
    for rig in RIGS:
        if rig.needed <= plain.keys():
            return rig
    nearest = max(RIGS, key=lambda rig: len(rig.needed & plain.keys()) / len(rig.needed))
    missing = ", ".join(sorted(nearest.needed - plain.keys()))
    unknown = [name for key, name in plain.items() if key not in nearest.needed]
    raise InputError(
        f"{where}: no known rig; the nearest, {nearest.name}, also needs {missing}; "
        f"the file's other joints are {', '.join(unknown) or 'none'}"
    )


def body_of(names: Sequence[str], positions: np.ndarray, *, where: str) -> np.ndarray:
    """The body's joints, from a rig's.

    The pelvis is half way between the hips, as in Human3.6M.

    Args:
        names: The J joints.
        positions: (F, J, 3).
        where: The file, for error messages.

    Returns:
        (F, 17, 3) on `BODY`, in the same unit.

    Raises:
        ValueError: If no rig fits.
    """
    rig = find_rig(names, where=where)
    column = {plain_name(name): index for index, name in enumerate(names)}
    at = {key: positions[:, index] for key, index in column.items()}
    found = {joint: at[name] for joint, name in rig.limb_names().items()}
    for side in ("right", "left"):
        elbow, wrist = found[f"{side}_elbow"], found[f"{side}_wrist"]
        found[f"{side}_wrist"] = elbow + rig.forearm * (wrist - elbow)
    start, through, factor = rig.crown
    found["pelvis"] = (found["right_hip"] + found["left_hip"]) / 2
    found["spine"] = np.mean([at[name] for name in rig.spine], axis=0)
    found["thorax"], found["neck"] = at[rig.thorax], at[rig.neck]
    found["head_top"] = at[start] + factor * (at[through] - at[start])
    return np.stack([found[name] for name in BODY.joints], axis=1)
