"""The body that lifting knows: Human3.6M's 17 joints, 16 of them seen in a picture.

Which joints go in and come out, what the network is shown of them, and mirrors.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hourglass.core.pose import Pose
from hourglass.core.skeleton import H36M

BODY = H36M
"""What is lifted to: every bone is (parent, child), and parents stand before their children."""

PELVIS = 0

LEAST_SCORE = 1e-6
"""A score of 0 means not found, whatever the threshold."""

SEEN = tuple(joint for joint in range(len(BODY.joints)) if BODY.joints[joint] != "spine")
"""Positions in `BODY` of the 16 joints that 2D networks find: MPII's."""

ABOUT_PELVIS = tuple(range(1, len(BODY.joints)))
"""Positions in `BODY` of the 16 joints that the network places."""


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


def seen_joints(pose: Pose, *, min_score: float) -> tuple[np.ndarray, np.ndarray]:
    """The 16 joints that the network is shown of a person on any skeleton, by joint names.

    Args:
        pose: The person.
        min_score: Joints scored lower are taken as not found.

    Returns:
        Points (16, 2) float32 px, and which of them are known (16,) bool.
    """
    finite = np.isfinite(pose.points).all(axis=-1)
    points, scores = np.where(finite[:, None], pose.points, 0), np.where(finite, pose.scores, 0)
    body = replace(pose, points=points, scores=scores).to(BODY)
    known = body.scores >= max(min_score, LEAST_SCORE)
    # A neck that nobody found is made up from the shoulders, and says nothing that they do not.
    neck, thorax = BODY.index("neck"), BODY.index("thorax")
    known[neck] &= bool((body.points[neck] != body.points[thorax]).any())
    return body.points[list(SEEN)], known[list(SEEN)]


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
