"""Crops of people beside each other: labelled, predicted, and the heatmaps between them.

Every panel that a report, TensorBoard or a sheet of labels shows is drawn here; skeletons and
heatmaps on whole pictures are `hourglass.media.drawing`'s. RGB arrays in and out.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from hourglass.core.decoding import decode_heatmaps
from hourglass.core.geometry import apply_affine, crop_matrix, from_grid, warp
from hourglass.core.pose import Pose
from hourglass.core.skeleton import Skeleton
from hourglass.media.drawing import draw_heatmaps, draw_pose

PANEL = 224
"""Side of a person's panel in a report, px."""

BOARD_PANEL = 256
"""Side of a panel in TensorBoard, px."""

PAPER = 245
"""Grey of a panel that does not show its photograph."""


def draw_panel(
    canvas: np.ndarray, points: np.ndarray, scores: np.ndarray, *, skeleton: Skeleton
) -> np.ndarray:
    """A crop with a skeleton.

    Args:
        canvas: (S, S, 3) uint8 RGB, the crop; not changed.
        points: (J, 2) px of the crop; joints that are not finite are not drawn.
        scores: (J,) in [0, 1], or bool.
        skeleton: Of the J joints.

    Returns:
        (S, S, 3) uint8 RGB.
    """
    known = np.isfinite(points).all(axis=-1)
    places = np.where(known[:, None], points, 0.0).astype(np.float32)
    shown = np.where(known, scores, 0.0).astype(np.float32)
    height, width = canvas.shape[:2]
    return draw_pose(canvas, Pose(places, shown, skeleton, (0.0, 0.0, float(width), float(height))))


def crop_panels(
    picture: np.ndarray,
    poses: Sequence[tuple[np.ndarray, np.ndarray]],
    *,
    center: np.ndarray,
    scale: float,
    skeleton: Skeleton,
    size: int = PANEL,
    plain: bool = False,
) -> list[np.ndarray]:
    """A person's crop, once for each pose.

    Args:
        picture: (H, W, 3) uint8 RGB.
        poses: Points (J, 2) in px of the picture, and scores (J,), of each.
        center: (2,) the crop's, px.
        scale: Person height / 200 px.
        skeleton: Of the J joints.
        size: Side of a panel, px.
        plain: Draw on plain paper, where a photograph may not be passed on.

    Returns:
        A (size, size, 3) uint8 RGB for each pose.
    """
    matrix = crop_matrix(center, scale, size=size)
    paper = np.full((size, size, 3), PAPER, np.uint8)
    canvas = paper if plain else warp(picture, matrix, size=size)
    with np.errstate(invalid="ignore"):  # of somebody who was not found
        return [
            draw_panel(canvas, apply_affine(matrix, points), scores, skeleton=skeleton)
            for points, scores in poses
        ]


def draw_rows(
    crops: np.ndarray,
    heatmaps: np.ndarray,
    labels: np.ndarray,
    labelled: np.ndarray,
    *,
    skeleton: Skeleton,
    size: int = BOARD_PANEL,
) -> np.ndarray:
    """One row per person: labelled skeleton, predicted skeleton, heatmaps.

    Args:
        crops: (N, S, S, 3) uint8.
        heatmaps: (N, S/4, S/4, J) float.
        labels: (N, J, 2) crop px.
        labelled: (N, J) bool.
        skeleton: Of the J joints.
        size: Side of a panel, px.

    Returns:
        (N, size, 3 · size, 3) uint8.
    """
    zoom = size / crops.shape[1]
    cells, scores = decode_heatmaps(heatmaps)
    rows = []
    for person, crop in enumerate(crops):
        large = cv2.resize(crop, (size, size), interpolation=cv2.INTER_LINEAR)
        poses = [(labels[person], labelled[person]), (from_grid(cells[person]), scores[person])]
        panels = [
            draw_panel(large, from_grid(points, zoom), shown, skeleton=skeleton)
            for points, shown in poses
        ]
        rows.append(np.hstack([*panels, draw_heatmaps(large, heatmaps[person])]))
    return np.stack(rows)
