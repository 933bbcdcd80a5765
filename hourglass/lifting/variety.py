"""Poses that nobody recorded: other builds, other arms, limbs turned a little.

Free recordings come from few people who mostly walk; what the network must answer does not. All
randomness comes from a generator that the caller gives.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from hourglass.lifting.body import BODY, PELVIS

HEIGHT_FACTORS = (0.9, 1.1)
"""How much smaller and taller than the recorded people others are."""

LIMB_SPREAD = 0.06
"""Standard deviation of the logarithm of a bone's length beside the height's."""

EXCHANGED = 0.5
"""Share of arms that are another pose's."""

TURN = np.deg2rad(10)
"""Standard deviation of the turn of a thigh, shin, upper arm or forearm about each axis."""

ARMS = tuple(
    tuple(BODY.index(f"{side}_{joint}") for joint in ("shoulder", "elbow", "wrist"))
    for side in ("right", "left")
)
LEGS = tuple(
    tuple(BODY.index(f"{side}_{joint}") for joint in ("hip", "knee", "ankle"))
    for side in ("right", "left")
)


def random_builds(rng: np.random.Generator, points: np.ndarray) -> np.ndarray:
    """The same poses of people built otherwise: taller or smaller, with longer or shorter limbs.

    Sets also differ in where in the body they place a hip or a shoulder, which this covers.

    Args:
        rng: Draws a person for each pose; right and left limbs stay alike.
        points: (N, 17, 3).

    Returns:
        (N, 17, 3)
    """
    height = rng.uniform(*HEIGHT_FACTORS, (len(points), 1))
    factors = height * np.exp(rng.normal(0, LIMB_SPREAD, (len(points), len(BODY.joints))))
    for right, left in BODY.mirror_pairs:
        factors[:, left] = factors[:, right]
    built = np.empty_like(points)
    built[:, PELVIS] = points[:, PELVIS]
    for parent, child in BODY.bones:
        bone = points[:, child] - points[:, parent]
        built[:, child] = built[:, parent] + factors[:, child, None] * bone
    return built


def random_arms(rng: np.random.Generator, points: np.ndarray) -> np.ndarray:
    """Poses of which some arms are another pose's, held to the chest as they were there.

    After Li et al., "Cascaded Deep Monocular 3D Human Pose Estimation with Evolutionary Training
    Data" (CVPR 2020).

    Args:
        rng: Draws whose arms.
        points: (N, 17, 3).

    Returns:
        (N, 17, 3)
    """
    chest = _chests(points)
    mixed = points.copy()
    for arm in ARMS:
        giver = rng.permutation(len(points))
        turn = chest @ chest[giver].transpose(0, 2, 1)
        taken = rng.random(len(points)) < EXCHANGED
        start = points[:, arm[0]]
        for joint in arm[1:]:
            reach = points[giver, joint] - points[giver, arm[0]]
            placed = start + np.einsum("nij,nj->ni", turn, reach)
            mixed[:, joint] = np.where(taken[:, None], placed, mixed[:, joint])
    return mixed


def _chests(points: np.ndarray) -> np.ndarray:
    """Frames of the chest (N, 3, 3), columns left, up and forward."""
    left = points[:, BODY.index("left_shoulder")] - points[:, BODY.index("right_shoulder")]
    up = points[:, BODY.index("thorax")] - points[:, PELVIS]
    forward = np.cross(left, up)
    up = np.cross(forward, left)
    frame = np.stack([left, up, forward], axis=-1)
    return frame / np.maximum(np.linalg.norm(frame, axis=1, keepdims=True), 1e-9)


def random_turns(rng: np.random.Generator, points: np.ndarray) -> np.ndarray:
    """Poses whose limbs are turned a little at hips, knees, shoulders and elbows.

    Args:
        rng: Draws the turns.
        points: (N, 17, 3).

    Returns:
        (N, 17, 3); all bones keep their lengths.
    """
    turned = points.copy()
    for first, middle, last in (*ARMS, *LEGS):
        upper = Rotation.from_rotvec(rng.normal(0, TURN, (len(points), 3)))
        lower = upper * Rotation.from_rotvec(rng.normal(0, TURN, (len(points), 3)))
        turned[:, middle] = turned[:, first] + upper.apply(points[:, middle] - points[:, first])
        turned[:, last] = turned[:, middle] + lower.apply(points[:, last] - points[:, middle])
    return turned
