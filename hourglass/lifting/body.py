"""The body that lifting knows: 17 joints in three dimensions, 16 of them seen in a picture.

Names, what connects them, the conversion of other skeletons' keypoints by their names, and what
the network is shown of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hourglass.core.skeleton import LEFT, MIDDLE, RIGHT, Skeleton

BODY = Skeleton(
    name="h36m",
    joints=(
        "pelvis",
        "right_hip",
        "right_knee",
        "right_ankle",
        "left_hip",
        "left_knee",
        "left_ankle",
        "spine",
        "thorax",
        "upper_neck",
        "head_top",
        "left_shoulder",
        "left_elbow",
        "left_wrist",
        "right_shoulder",
        "right_elbow",
        "right_wrist",
    ),
    bones=(
        (0, 1),
        (1, 2),
        (2, 3),
        (0, 4),
        (4, 5),
        (5, 6),
        (0, 7),
        (7, 8),
        (8, 9),
        (9, 10),
        (8, 11),
        (11, 12),
        (12, 13),
        (8, 14),
        (14, 15),
        (15, 16),
    ),
    mirror_pairs=((1, 4), (2, 5), (3, 6), (14, 11), (15, 12), (16, 13)),
    colours=((RIGHT,) * 3 + (LEFT,) * 3 + (MIDDLE,) * 4 + (LEFT,) * 3 + (RIGHT,) * 3),
)
"""Human3.6M's 17 joints (Ionescu et al., PAMI 2014), in the order of the field's lifting code.

Every bone is (parent, child), and parents stand before their children.
"""

PELVIS = 0

SEEN = tuple(joint for joint in range(len(BODY.joints)) if BODY.joints[joint] != "spine")
"""Positions in `BODY` of the 16 joints that 2D networks find: MPII's."""

ABOUT_PELVIS = tuple(range(1, len(BODY.joints)))
"""Positions in `BODY` of the 16 joints that the network places."""

_MIDDLES = {
    "pelvis": ("right_hip", "left_hip"),
    "thorax": ("right_shoulder", "left_shoulder"),
}
"""Joints that a skeleton without them has half way between two others (COCO's)."""

_OTHER_NAMES = {"upper_neck": ("neck",), "head_top": ("head",), "thorax": ("mid_shoulder",)}
"""What other skeletons call the same place."""


def mirrored(points: np.ndarray) -> np.ndarray:
    """Poses seen in a mirror: x changes sign, and right and left swap their names.

    Args:
        points: (..., 17, 2 or 3), x first.

    Returns:
        The same shape.
    """
    flipped = points[..., BODY.flip_order, :].copy()
    flipped[..., 0] *= -1
    return flipped


def from_joints(
    names: Sequence[str], points: np.ndarray, found: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The 16 joints that lifting sees, from keypoints of any skeleton, by joint names.

    Args:
        names: Of the J joints, such as `right_hip`.
        points: (..., J, 2).
        found: (..., J) bool, joints that may be used.

    Returns:
        Points (..., 16, 2) float32, 0 where nothing is known, and which are known (..., 16) bool.
    """
    known = np.zeros((*found.shape[:-1], len(SEEN)), bool)
    placed = np.zeros((*known.shape, 2), np.float32)
    for column, joint in enumerate(SEEN):
        name = BODY.joints[joint]
        same = [other for other in (name, *_OTHER_NAMES.get(name, ())) if other in names]
        ends = (same[0],) if same else _MIDDLES.get(name, ())
        if not ends or any(end not in names for end in ends):
            continue
        sources = [list(names).index(end) for end in ends]
        known[..., column] = found[..., sources].all(axis=-1)
        placed[..., column, :] = points[..., sources, :].mean(axis=-2)
    return np.where(known[..., None], placed, 0), known


def normalised(pixels: np.ndarray, known: np.ndarray, *, masked: bool) -> np.ndarray:
    """What the network is shown of joints in a picture: no place, no size, no resolution.

    The middle of the joints that were found is the origin and the root mean square distance from
    it the unit, so that joints that were not found change nothing but their own entries.

    Args:
        pixels: (N, 16, 2).
        known: (N, 16) bool.
        masked: Whether a third number says which were found.

    Returns:
        (N, 16, 3 or 2) float32; (0, 0, 0) for a joint that was not found.
    """
    weights = known.astype(np.float32)[..., None]
    count = np.maximum(weights.sum(axis=1, keepdims=True), 1)
    middle = (pixels * weights).sum(axis=1, keepdims=True) / count
    centred = (pixels - middle) * weights
    size = np.sqrt((centred**2).sum(axis=(1, 2), keepdims=True) / count)
    scaled = centred / np.maximum(size, 1e-6)
    return np.concatenate([scaled, weights], axis=-1) if masked else scaled
