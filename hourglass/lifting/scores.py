"""How right 3D poses are: the field's two errors in millimetres, and what knowing nothing scores.

Both are defined in Ionescu et al. (PAMI 2014) and Martinez et al. (ICCV 2017): MPJPE, the mean
distance per joint with the pelvis in place ("protocol 1"), and P-MPJPE, the same after the best
rotation, scale and shift of each pose ("protocol 2").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from hourglass.core.errors import InputError


def joint_errors(predicted: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """Distances (..., J) between joints (..., J, 3), in their unit."""
    return np.linalg.norm(predicted - actual, axis=-1)


def aligned(predicted: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """Each pose rotated, scaled and shifted to fit the actual one best (Procrustes).

    The least-squares solution of Umeyama (PAMI 1991); a pose is never mirrored.

    Args:
        predicted: (N, J, 3).
        actual: (N, J, 3).

    Returns:
        (N, J, 3) float64.
    """
    predicted, actual = np.asarray(predicted, float), np.asarray(actual, float)
    target_middle = actual.mean(axis=1, keepdims=True)
    source = predicted - predicted.mean(axis=1, keepdims=True)
    target = actual - target_middle
    u, values, vt = np.linalg.svd(np.einsum("nji,njk->nik", target, source))
    sign = np.ones_like(values)
    sign[:, 2] = np.sign(np.linalg.det(u @ vt))
    rotation = (u * sign[:, None]) @ vt
    spread = (source**2).sum(axis=(1, 2))
    scale = (values * sign).sum(axis=1) / np.maximum(spread, 1e-12)
    return scale[:, None, None] * np.einsum("nij,nkj->nki", rotation, source) + target_middle


def mpjpe(predicted: np.ndarray, actual: np.ndarray) -> float:
    """Mean distance per joint of poses (N, J, 3), both about the same joint."""
    return float(joint_errors(predicted, actual).mean())


def p_mpjpe(predicted: np.ndarray, actual: np.ndarray) -> float:
    """Mean distance per joint of poses (N, J, 3), each aligned first."""
    return float(joint_errors(aligned(predicted, actual), actual).mean())


@dataclass(frozen=True, eq=False)
class Score:
    """Errors of many poses, mm.

    Attributes:
        mpjpe: Over all poses and joints.
        p_mpjpe: The same after alignment.
        per_joint: (J,) MPJPE of each joint.
        per_joint_aligned: (J,) P-MPJPE of each.
        per_action: (MPJPE, P-MPJPE, number of poses) by action.
    """

    mpjpe: float
    p_mpjpe: float
    per_joint: np.ndarray
    per_joint_aligned: np.ndarray
    per_action: dict[str, tuple[float, float, int]]


def score(predicted: np.ndarray, actual: np.ndarray, actions: Sequence[str]) -> Score:
    """Both errors, per joint and per action.

    Args:
        predicted: (N, J, 3) mm about the pelvis.
        actual: (N, J, 3).
        actions: N names.

    Raises:
        ValueError: If there is no pose, or the shapes differ.
    """
    if predicted.shape != actual.shape or len(actions) != len(actual) or not len(actual):
        raise InputError(
            f"poses {predicted.shape} against {actual.shape} with {len(actions)} actions; all "
            "three must be of the same N, 1 or more"
        )
    plain, fitted = (
        joint_errors(predicted, actual),
        joint_errors(aligned(predicted, actual), actual),
    )
    names = np.asarray(actions)
    by_action = {
        str(name): (
            float(plain[names == name].mean()),
            float(fitted[names == name].mean()),
            int((names == name).sum()),
        )
        for name in np.unique(names)
    }
    return Score(
        mpjpe=float(plain.mean()),
        p_mpjpe=float(fitted.mean()),
        per_joint=plain.mean(axis=0),
        per_joint_aligned=fitted.mean(axis=0),
        per_action=by_action,
    )


def mean_pose(train: np.ndarray, count: int) -> np.ndarray:
    """The mean (`count`, J, 3) of the poses (M, J, 3) that were trained on, for every picture."""
    return np.repeat(train.mean(axis=0)[None], count, axis=0)


def nearest_neighbour(train_seen: np.ndarray, train: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """The 3D pose of the training example whose 2D pose is nearest.

    Args:
        train_seen: (M, J, 2 or 3) normalised 2D poses that were trained on.
        train: (M, K, 3) what belongs to them.
        seen: (N, J, 2 or 3) normalised 2D poses to answer.

    Returns:
        (N, K, 3)
    """
    tree = cKDTree(train_seen.reshape(len(train_seen), -1))
    _, nearest = tree.query(seen.reshape(len(seen), -1))
    return train[nearest]


def format_scores(scores: dict[str, Score], joints: Sequence[str]) -> str:
    """Scores as text: a row for each name, then one for each joint and action, MPJPE / P-MPJPE."""
    names = list(scores)
    actions = sorted({action for one in scores.values() for action in one.per_action})
    first = max(map(len, (*joints, *actions)))
    width = max(15, *(len(name) + 2 for name in names))

    def row(title: str, cells: Sequence[tuple[float, float] | None]) -> str:
        shown = (f"{cell[0]:.1f} / {cell[1]:.1f}" if cell else "-" for cell in cells)
        return f"{title:<{first}}" + "".join(f"{cell:>{width}}" for cell in shown)

    lines = [f"{'':<{first}}" + "".join(f"{name:>{width}}" for name in names)]
    lines.append(row("all", [(one.mpjpe, one.p_mpjpe) for one in scores.values()]))
    for index, joint in enumerate(joints):
        cells = [(s.per_joint[index], s.per_joint_aligned[index]) for s in scores.values()]
        lines.append(row(joint, cells))
    for action in actions:
        found = [one.per_action.get(action) for one in scores.values()]
        lines.append(row(action, [cell[:2] if cell else None for cell in found]))
    return "\n".join(lines)
