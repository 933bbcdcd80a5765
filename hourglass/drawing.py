"""Poses on pictures: skeletons, and heatmaps laid over a crop. RGB arrays in and out."""

from __future__ import annotations

import cv2
import numpy as np

from hourglass.pose import Pose

MIN_SCORE = 0.2
"""Joints scored lower are left out of a drawing."""

LINE_SHARE = 1 / 150
"""Width of a bone over the picture's longer side."""

OUTLINE = (255, 255, 255)
SUBPIXEL_BITS = 4


def draw_pose(image: np.ndarray, pose: Pose, *, min_score: float = MIN_SCORE) -> np.ndarray:
    """Draws a skeleton, left and right in different colours, lines as wide as the picture asks.

    Args:
        image: (H, W, 3) uint8 RGB; not changed.
        pose: Joints in the picture's pixels.
        min_score: Joints scored lower, and bones that end at them, are left out.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    canvas = np.ascontiguousarray(image).copy()
    width = max(2, round(max(image.shape[:2]) * LINE_SHARE))
    shown = pose.scores >= min_score
    places = [_fixed(point) for point in pose.points]
    bones = list(zip(pose.skeleton.bones, pose.skeleton.colours, strict=True))
    for (start, end), colour in bones:
        if shown[start] and shown[end]:
            cv2.line(canvas, places[start], places[end], colour, width, cv2.LINE_AA, SUBPIXEL_BITS)
    for joint in np.flatnonzero(shown):
        colour = next((colour for bone, colour in bones if joint in bone), OUTLINE)
        _dot(canvas, places[joint], width, colour)
    return canvas


def _dot(
    canvas: np.ndarray, place: tuple[int, int], width: int, colour: tuple[int, int, int]
) -> None:
    radius = width << SUBPIXEL_BITS
    cv2.circle(canvas, place, radius, colour, -1, cv2.LINE_AA, SUBPIXEL_BITS)
    cv2.circle(canvas, place, radius, OUTLINE, max(1, width // 3), cv2.LINE_AA, SUBPIXEL_BITS)


def _fixed(point: np.ndarray) -> tuple[int, int]:
    """OpenCV's fixed-point coordinates, so that drawn joints are not rounded to pixels."""
    limit = 2**30 >> SUBPIXEL_BITS
    x, y = np.clip(np.round(point * 2**SUBPIXEL_BITS), -limit, limit).astype(int)
    return int(x), int(y)


def draw_heatmaps(image: np.ndarray, heatmaps: np.ndarray) -> np.ndarray:
    """Lays the highest of all joints' heatmaps over the crop that they were predicted from.

    Args:
        image: (S, S, 3) uint8 RGB.
        heatmaps: (S/4, S/4, J) float, shown from 0 to 1.

    Returns:
        (S, S, 3) uint8 RGB.
    """
    highest = np.clip(heatmaps.max(axis=-1), 0.0, 1.0).astype(np.float32)
    grown = cv2.resize(highest, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    colours = cv2.applyColorMap((255 * grown).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    return cv2.addWeighted(image, 0.4, np.ascontiguousarray(colours), 0.6, 0.0)
