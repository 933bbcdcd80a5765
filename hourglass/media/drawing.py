"""Poses on pictures: skeletons, joints, names, and heatmaps laid over. RGB arrays in and out."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import cv2
import numpy as np

from hourglass.core.errors import InputError
from hourglass.core.geometry import apply_affine, invert_affine
from hourglass.core.pose import Pose

MIN_SCORE = 0.3
"""Joints scored lower are left out of a drawing."""

LINE_SHARE = 1 / 150
"""Width of a bone over the picture's longer side."""

PARTS = ("skeleton", "keypoints", "names", "ids")
DEFAULT_PARTS = ("skeleton", "keypoints", "ids")

OUTLINE = (255, 255, 255)
SUBPIXEL_BITS = 4
LARGEST_PLACE = 2**30 >> SUBPIXEL_BITS  # OpenCV's fixed-point numbers end there

HEATMAP_SHARE = 0.85
"""How far a peak of 1 covers the picture."""

FONT = cv2.FONT_HERSHEY_SIMPLEX
TEXT_SHARE = 0.12
"""OpenCV's font scale per px of a bone's width."""
SMALLEST_TEXT = 0.35
"""The font scale below which letters cannot be read."""


ID_COLOURS = (
    *((31, 119, 180), (214, 39, 40), (44, 140, 44), (148, 87, 189), (200, 95, 0)),
    *((0, 128, 128), (199, 60, 140), (120, 80, 60), (90, 90, 90), (110, 110, 0)),
)
"""Of people's numbers in films, in turn; white can be read on each."""


def draw_pose(
    image: np.ndarray,
    pose: Pose,
    *,
    min_score: float = MIN_SCORE,
    parts: Collection[str] = DEFAULT_PARTS,
) -> np.ndarray:
    """As `draw_poses`, of one person."""
    return draw_poses(image, [pose], min_score=min_score, parts=parts)


def draw_poses(
    image: np.ndarray,
    poses: Sequence[Pose],
    *,
    min_score: float = MIN_SCORE,
    parts: Collection[str] = DEFAULT_PARTS,
) -> np.ndarray:
    """Draws skeletons, left and right in different colours, lines as wide as the picture asks.

    Args:
        image: (H, W, 3) uint8 RGB; not changed.
        poses: Joints in the picture's pixels, one pose per person.
        min_score: Joints scored lower, and bones that end at them, are left out.
        parts: Some of `PARTS`: bones, dots at joints, joints' names, and people's numbers, which
            those of a film have, over their heads.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ValueError: If a part is none of `PARTS`.
    """
    unknown = set(parts) - set(PARTS)
    if unknown:
        raise InputError(f"parts holds {min(unknown)!r}, allowed are {', '.join(PARTS)}")
    canvas = np.ascontiguousarray(image).copy()
    width = max(2, round(max(image.shape[:2]) * LINE_SHARE))
    for pose in poses:
        _draw_skeleton(canvas, pose, pose.scores >= min_score, width, parts)
    if "ids" in parts:
        for pose in poses:
            _tag(canvas, pose, pose.scores >= min_score, width)
    return canvas


def _draw_skeleton(
    canvas: np.ndarray, pose: Pose, shown: np.ndarray, width: int, parts: Collection[str]
) -> None:
    places = [_fixed(point) for point in pose.points]
    bones = list(zip(pose.skeleton.bones, pose.skeleton.colours, strict=True))
    for (start, end), colour in bones:
        if "skeleton" in parts and shown[start] and shown[end]:
            cv2.line(canvas, places[start], places[end], colour, width, cv2.LINE_AA, SUBPIXEL_BITS)
    for joint in np.flatnonzero(shown):
        colour = next((colour for bone, colour in bones if joint in bone), OUTLINE)
        if "keypoints" in parts:
            _dot(canvas, places[joint], width, colour)
        if "names" in parts:
            _write(canvas, pose.skeleton.joints[joint], pose.points[joint], width)


def _tag(canvas: np.ndarray, pose: Pose, shown: np.ndarray, width: int) -> None:
    """A person's number over their highest joint, white on a colour of its own."""
    if pose.id is None or not shown.any():
        return
    size, thickness = max(SMALLEST_TEXT, TEXT_SHARE * width), max(1, width // 3)
    (across, up), _ = cv2.getTextSize(str(pose.id), FONT, size, thickness)
    room = width
    highest = pose.points[shown][pose.points[shown, 1].argmin()]
    # Somebody whose head is cut off has their number inside the picture, too.
    most = np.array(canvas.shape[1::-1]) - [across + 2 * room + 1, up + 2 * room + 1]
    corner = highest - [across / 2 + room, up + 5 * room]
    left, top = np.clip(np.round(corner), 0, np.maximum(most, 0)).astype(int).tolist()
    end = (left + across + 2 * room, top + up + 2 * room)
    colour = ID_COLOURS[(pose.id - 1) % len(ID_COLOURS)]
    cv2.rectangle(canvas, (left, top), end, colour, -1)
    place = (left + room, end[1] - room)
    cv2.putText(canvas, str(pose.id), place, FONT, size, OUTLINE, thickness, cv2.LINE_AA)


def _write(canvas: np.ndarray, name: str, point: np.ndarray, width: int) -> None:
    """A joint's name to the right of it, black on white outlines: readable on anything."""
    x, y = np.clip(np.round(point + 2 * width), -LARGEST_PLACE, LARGEST_PLACE).astype(int)
    size, thickness = max(SMALLEST_TEXT, TEXT_SHARE * width), max(1, width // 3)
    for colour, stroke in ((OUTLINE, 3 * thickness), ((0, 0, 0), thickness)):
        text = name.replace("_", " ")
        cv2.putText(canvas, text, (int(x), int(y)), FONT, size, colour, stroke, cv2.LINE_AA)


def _dot(
    canvas: np.ndarray, place: tuple[int, int], width: int, colour: tuple[int, int, int]
) -> None:
    radius = width << SUBPIXEL_BITS
    cv2.circle(canvas, place, radius, colour, -1, cv2.LINE_AA, SUBPIXEL_BITS)
    cv2.circle(canvas, place, radius, OUTLINE, max(1, width // 3), cv2.LINE_AA, SUBPIXEL_BITS)


def _fixed(point: np.ndarray) -> tuple[int, int]:
    """OpenCV's fixed-point coordinates, so that drawn joints are not rounded to pixels."""
    limit = LARGEST_PLACE
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


def draw_heatmap(image: np.ndarray, heatmap: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Lets a heatmap glow over the picture that it was predicted from.

    Args:
        image: (H, W, 3) uint8 RGB.
        heatmap: (h, w) float, shown from 0 to 1.
        matrix: (2, 3) from the picture's pixels to the heatmap's.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    rows, columns = _reach(heatmap.shape, matrix, image.shape)
    canvas = np.ascontiguousarray(image).copy()
    region = canvas[rows, columns]
    if not region.size:
        return canvas
    # From the region's own pixels, whose first is not the picture's.
    moved = np.array(matrix, float)
    moved[:, 2] += moved[:, :2] @ [columns.start, rows.start]
    grown = cv2.warpAffine(
        np.clip(heatmap, 0.0, 1.0).astype(np.float32),
        moved,
        region.shape[1::-1],
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
    )
    colours = cv2.applyColorMap((255 * grown).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1]
    share = grown[..., None] * HEATMAP_SHARE
    region[:] = np.round(region * (1 - share) + colours * share).astype(np.uint8)
    return canvas


def _reach(
    cells: tuple[int, ...], matrix: np.ndarray, picture: tuple[int, ...]
) -> tuple[slice, slice]:
    """Rows and columns of the picture that a heatmap covers."""
    height, width = cells
    corners = np.array([[-1.0, -1.0], [width, -1.0], [-1.0, height], [width, height]])
    found = apply_affine(invert_affine(matrix), corners)
    low = np.clip(np.floor(found.min(axis=0)), 0, picture[1::-1]).astype(int)
    high = np.clip(np.ceil(found.max(axis=0)) + 1, 0, picture[1::-1]).astype(int)
    return slice(low[1], high[1]), slice(low[0], high[0])
