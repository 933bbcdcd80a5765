"""The four panels that show how a person was lifted: crop, 2D found, 2D converted, 3D turned.

Right side blue, left side and middle red, as in the lifting papers. RGB arrays in and out.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from hourglass.core.geometry import box_to_crop, crop_matrix, warp
from hourglass.core.pose import Pose
from hourglass.core.skeleton import Colour
from hourglass.lifting.body import BODY, SEEN
from hourglass.lifting.estimator import Body
from hourglass.media.drawing import draw_pose

SIZE = 320
"""Side of a panel, px."""

BLUE: Colour = (31, 93, 196)
RED: Colour = (205, 48, 48)
PAPER: Colour = (255, 255, 255)
INK: Colour = (70, 70, 70)
GRID: Colour = (214, 214, 214)
SHADE: Colour = (176, 176, 176)

COLOURS = tuple(BLUE if "right" in BODY.joints[child] else RED for _, child in BODY.bones)

REACH = 1000.0
"""Millimetres from the middle of the 3D panel to its edge."""

GRID_STEP = 250.0

TILT = np.deg2rad(12)
"""How far the 3D panel looks down."""

TITLES = ("crop", "2D found", "2D converted", "3D")

FONT = cv2.FONT_HERSHEY_SIMPLEX

SHIFT = 4
"""OpenCV's bits below a pixel."""


def draw_panels(picture: np.ndarray, pose: Pose, body: Body, *, turn: float = 30.0) -> np.ndarray:
    """All four, side by side.

    Args:
        picture: (H, W, 3) uint8 RGB.
        pose: The person's joints in it.
        body: The same in three dimensions.
        turn: Degrees that the 3D panel's eye has gone around the person; 0 is the camera's own.

    Returns:
        (SIZE, 4 · SIZE, 3) uint8 RGB.
    """
    center, scale = box_to_crop(pose.box)
    matrix = crop_matrix(center, scale, size=SIZE)
    crop = warp(picture, matrix, size=SIZE)
    moved = Pose(
        (pose.points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32),
        pose.scores,
        pose.skeleton,
        (0.0, 0.0, float(SIZE), float(SIZE)),
        id=pose.id,
    )
    panels = (crop.copy(), draw_pose(crop, moved), draw_seen(pose, body), draw_body(body, turn))
    for panel, title in zip(panels, TITLES, strict=True):
        _write(panel, title)
    return np.concatenate(panels, axis=1)


def draw_seen(pose: Pose, body: Body) -> np.ndarray:
    """The joints that the network was shown (SIZE, SIZE, 3); those that it was not are missing."""
    points = pose.to(BODY).points[list(SEEN)]
    known = body.scores[list(SEEN)] > 0
    placed = np.full((len(BODY.joints), 2), np.nan)
    middle = (points[known].min(axis=0) + points[known].max(axis=0)) / 2
    extent = max(float(np.ptp(points[known], axis=0).max()), 1.0)
    shown = (points - middle) * (0.8 * SIZE / extent) + SIZE / 2
    placed[list(SEEN)] = np.where(known[:, None], shown, np.nan)
    # The spine is not seen: the bone from the pelvis goes straight to the thorax.
    placed[BODY.index("spine")] = (placed[0] + placed[BODY.index("thorax")]) / 2
    canvas = np.full((SIZE, SIZE, 3), PAPER, np.uint8)
    _skeleton(canvas, placed)
    return canvas


def draw_body(body: Body, turn: float) -> np.ndarray:
    """The person in space (SIZE, SIZE, 3), all axes of one scale, over a floor of 25 cm squares."""
    floor = float(body.points[:, 1].max())
    canvas = np.full((SIZE, SIZE, 3), PAPER, np.uint8)
    ticks = np.arange(-REACH / 2, REACH / 2 + 1, GRID_STEP)
    ends = np.array([-REACH / 2, REACH / 2])
    for tick in ticks:
        along = np.array([[tick, floor, end] for end in ends])
        across = np.array([[end, floor, tick] for end in ends])
        for line in (along, across):
            _line(canvas, _flat(line, turn, floor), GRID, 1)
    shadow = body.points * np.array([1, 0, 1]) + np.array([0, floor, 0])
    for parent, child in BODY.bones:
        _line(canvas, _flat(shadow[[parent, child]], turn, floor), SHADE, 2)
    depth = _turned(body.points, turn)[:, 2]
    order = sorted(range(len(BODY.bones)), key=lambda bone: -depth[list(BODY.bones[bone])].sum())
    _skeleton(canvas, _flat(body.points, turn, floor), order)
    return canvas


def _turned(points: np.ndarray, turn: float) -> np.ndarray:
    """Points (N, 3) as the panel's eye sees them, mm."""
    angle = np.deg2rad(turn)
    sine, cosine = np.sin(angle), np.cos(angle)
    x = cosine * points[:, 0] + sine * points[:, 2]
    z = -sine * points[:, 0] + cosine * points[:, 2]
    y = np.cos(TILT) * points[:, 1] - np.sin(TILT) * z
    return np.stack([x, y, np.sin(TILT) * points[:, 1] + np.cos(TILT) * z], axis=-1)


def _flat(points: np.ndarray, turn: float, floor: float) -> np.ndarray:
    """Pixels (N, 2) of points (N, 3) mm; the floor lies near the panel's lower edge."""
    seen = _turned(points, turn)[:, :2]
    seen = seen - np.array([0, np.cos(TILT) * floor - 0.62 * REACH])
    return seen * (SIZE / 2 / REACH) + SIZE / 2


def _skeleton(canvas: np.ndarray, points: np.ndarray, order: Sequence[int] | None = None) -> None:
    for bone in range(len(BODY.bones)) if order is None else order:
        ends = points[list(BODY.bones[bone])]
        if np.isfinite(ends).all():
            _line(canvas, ends, COLOURS[bone], 4)
    for joint in range(len(points)):
        if np.isfinite(points[joint]).all():
            colour = BLUE if "right" in BODY.joints[joint] else RED
            cv2.circle(canvas, _fixed(points[joint]), 4 << SHIFT, colour, -1, cv2.LINE_AA, SHIFT)


def _line(canvas: np.ndarray, ends: np.ndarray, colour: Colour, width: int) -> None:
    start, end = map(_fixed, ends)
    cv2.line(canvas, start, end, colour, width, cv2.LINE_AA, SHIFT)


def _fixed(point: np.ndarray) -> tuple[int, int]:
    x, y = np.clip(np.round(point * 2**SHIFT), -(2**20), 2**20).astype(int)
    return int(x), int(y)


def _write(panel: np.ndarray, title: str) -> None:
    (width, _), _ = cv2.getTextSize(title, FONT, 0.5, 1)
    cv2.rectangle(panel, (4, 4), (16 + width, 28), PAPER, -1)
    cv2.putText(panel, title, (10, 21), FONT, 0.5, INK, 1, cv2.LINE_AA)
