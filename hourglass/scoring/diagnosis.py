"""What kind of error a network makes, after Ronchi & Perona (ICCV 2017), for one person per crop.

Arrays in and numbers out; `hourglass.scoring.pck` says how many joints are right, this says how the
others are wrong.
"""

from __future__ import annotations

import numpy as np

from hourglass.core.skeleton import MPII, Skeleton

NOT_LABELLED = -1
KINDS = ("found", "left/right swap", "another joint", "near miss", "far miss")
"""The kinds by number: within the threshold; within it of the mirror joint's label; within it of
some other joint's label; within twice the threshold; and everything else."""
FOUND, SWAP, ANOTHER, NEAR, FAR = range(len(KINDS))

THRESHOLD = 0.5
"""In head sizes: PCKh@0.5's."""


def head_distances(
    predicted: np.ndarray, actual: np.ndarray, *, head_size: np.ndarray
) -> np.ndarray:
    """Distance of each keypoint from its label, (N, J) float64 head sizes.

    Args:
        predicted: (N, J, 2) px.
        actual: (N, J, 2) px.
        head_size: (N,) px.
    """
    distance = np.linalg.norm(np.asarray(predicted, float) - actual, axis=-1)
    return distance / np.asarray(head_size, float)[:, None]


def kinds_of_error(
    predicted: np.ndarray,
    actual: np.ndarray,
    *,
    head_size: np.ndarray,
    labelled: np.ndarray,
    skeleton: Skeleton = MPII,
) -> np.ndarray:
    """What became of each keypoint.

    Args:
        predicted: (N, J, 2) px.
        actual: (N, J, 2) px.
        head_size: (N,) px.
        labelled: (N, J) bool.
        skeleton: Of the J joints.

    Returns:
        (N, J) int, a position in `KINDS`, or `NOT_LABELLED`.
    """
    joints = range(len(skeleton.joints))
    # near[n, j, k]: keypoint j lies at the label of joint k.
    across = np.linalg.norm(
        np.asarray(predicted, float)[:, :, None] - np.asarray(actual, float)[:, None], axis=-1
    )
    heads = np.asarray(head_size, float)[:, None, None]
    near = (across <= THRESHOLD * heads) & labelled[:, None, :]
    own = across[:, joints, joints] / heads[..., 0]
    mirrored = near[:, joints, skeleton.flip_order]
    kinds = np.select(
        [own <= THRESHOLD, mirrored, near.any(axis=-1), own <= 2 * THRESHOLD],
        [FOUND, SWAP, ANOTHER, NEAR],
        default=FAR,
    )
    return np.where(labelled, kinds, NOT_LABELLED)
