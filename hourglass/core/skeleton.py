"""Words for the body: the names of the joints, what connects them, and which ones mirror.

Only facts about a skeleton live here; coordinates are `hourglass.core.pose`'s, drawing is
`hourglass.media.drawing`'s.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Colour = tuple[int, int, int]

RIGHT: Colour = (255, 120, 60)
LEFT: Colour = (50, 160, 255)
MIDDLE: Colour = (170, 230, 90)


@dataclass(frozen=True)
class Skeleton:
    """A named set of joints.

    Attributes:
        name: What the field calls it, such as `"mpii"`.
        joints: Joint names in the order of every array's joint axis.
        bones: Pairs of joint indices that a drawing connects.
        mirror_pairs: Pairs (right, left) of joint indices that swap when a picture is flipped.
        colours: One RGB colour (0 to 255) per bone.

    Raises:
        ValueError: If an index is not a joint, or there is not one colour per bone.
    """

    name: str
    joints: tuple[str, ...]
    bones: tuple[tuple[int, int], ...]
    mirror_pairs: tuple[tuple[int, int], ...]
    colours: tuple[Colour, ...]

    def __post_init__(self) -> None:
        for field in ("bones", "mirror_pairs"):
            for pair in getattr(self, field):
                if not all(0 <= joint < len(self.joints) for joint in pair):
                    raise ValueError(
                        f"skeleton {self.name!r}: {field} has {pair}, "
                        f"but joints are numbered 0 to {len(self.joints) - 1}"
                    )
        if len(self.colours) != len(self.bones):
            raise ValueError(
                f"skeleton {self.name!r}: {len(self.colours)} colours for {len(self.bones)} bones, "
                "one per bone is needed"
            )

    @property
    def flip_order(self) -> np.ndarray:
        """Joint indices (J,) int64 that put a flipped picture's joints back under their names."""
        order = np.arange(len(self.joints))
        for right, left in self.mirror_pairs:
            order[[right, left]] = left, right
        return order

    def index(self, joint: str) -> int:
        """The position of `joint` on the joint axis.

        Raises:
            ValueError: If the skeleton has no joint of that name.
        """
        if joint not in self.joints:
            raise ValueError(
                f"skeleton {self.name!r} has no joint {joint!r}; it has {', '.join(self.joints)}"
            )
        return self.joints.index(joint)


MPII = Skeleton(
    name="mpii",
    joints=(
        "right_ankle",
        "right_knee",
        "right_hip",
        "left_hip",
        "left_knee",
        "left_ankle",
        "pelvis",
        "thorax",
        "upper_neck",
        "head_top",
        "right_wrist",
        "right_elbow",
        "right_shoulder",
        "left_shoulder",
        "left_elbow",
        "left_wrist",
    ),
    bones=(
        (0, 1),
        (1, 2),
        (2, 6),
        (3, 6),
        (3, 4),
        (4, 5),
        (6, 7),
        (7, 8),
        (8, 9),
        (10, 11),
        (11, 12),
        (12, 7),
        (13, 7),
        (13, 14),
        (14, 15),
    ),
    mirror_pairs=((0, 5), (1, 4), (2, 3), (10, 15), (11, 14), (12, 13)),
    colours=((RIGHT,) * 3 + (LEFT,) * 3 + (MIDDLE,) * 3 + (RIGHT,) * 3 + (LEFT,) * 3),
)
"""The 16 joints of the MPII Human Pose set (Andriluka et al., CVPR 2014), in its order."""
