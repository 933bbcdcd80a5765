"""What kind of error a network makes, after Ronchi & Perona (ICCV 2017), for one person per crop.

Arrays in and numbers out; `hourglass.scoring.pck` says how many joints are right, this says how the
others are wrong.
"""

from __future__ import annotations

import numpy as np

from hourglass.core.skeleton import MPII, Skeleton
from hourglass.scoring.pck import measure_of

NOT_LABELLED = -1
KINDS = ("found", "left/right swap", "another joint", "near miss", "far miss")
"""The kinds by number: within the threshold; within it of the mirror joint's label; within it of
some other joint's label; within twice the threshold; and everything else."""
FOUND, SWAP, ANOTHER, NEAR, FAR = range(len(KINDS))


def relative_distances(
    predicted: np.ndarray, actual: np.ndarray, *, reference: np.ndarray
) -> np.ndarray:
    """Distance of each keypoint from its label, (N, J) float64 reference lengths.

    Args:
        predicted: (N, J, 2) px.
        actual: (N, J, 2) px.
        reference: (N,) px, `hourglass.scoring.pck.reference_size`; where it is NaN, so are the
            distances.
    """
    distance = np.linalg.norm(np.asarray(predicted, float) - actual, axis=-1)
    return distance / np.asarray(reference, float)[:, None]


def kinds_of_error(
    predicted: np.ndarray,
    actual: np.ndarray,
    *,
    reference: np.ndarray,
    labelled: np.ndarray,
    skeleton: Skeleton = MPII,
) -> np.ndarray:
    """What became of each keypoint, by the threshold of the skeleton's own PCK.

    Args:
        predicted: (N, J, 2) px.
        actual: (N, J, 2) px.
        reference: (N,) px; people for whom it is NaN are left out.
        labelled: (N, J) bool.
        skeleton: Of the J joints.

    Returns:
        (N, J) int, a position in `KINDS`, or `NOT_LABELLED`.
    """
    threshold = measure_of(skeleton).right
    joints = range(len(skeleton.joints))
    # near[n, j, k]: keypoint j lies at the label of joint k.
    across = np.linalg.norm(
        np.asarray(predicted, float)[:, :, None] - np.asarray(actual, float)[:, None], axis=-1
    )
    lengths = np.asarray(reference, float)[:, None, None]
    near = (across <= threshold * lengths) & labelled[:, None, :]
    own = across[:, joints, joints] / lengths[..., 0]
    mirrored = near[:, joints, skeleton.flip_order]
    kinds = np.select(
        [own <= threshold, mirrored, near.any(axis=-1), own <= 2 * threshold],
        [FOUND, SWAP, ANOTHER, NEAR],
        default=FAR,
    )
    counted = labelled & np.isfinite(lengths[..., 0])
    return np.where(counted, kinds, NOT_LABELLED)
