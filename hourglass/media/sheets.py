"""Sheets of labels: joints with their numbers on crops, crops in rows, and a legend of the joints.

RGB arrays in and out.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hourglass.core.skeleton import LEFT, MIDDLE, RIGHT, Colour, Skeleton

PAPER = (250, 250, 250)
INK = (30, 30, 30)
OUTLINE = (255, 255, 255)

GAP = 8
"""Between the tiles of a sheet, px."""

LINE_HEIGHT = 18
TEXT_SIZE = 12
NUMBER_SIZE = 11

RADIUS = 3
"""Of a joint's dot, px."""

SUBPIXEL_BITS = 4
LARGEST_PLACE = 2**30 >> SUBPIXEL_BITS  # OpenCV's fixed-point numbers end there


def draw_labels(
    image: np.ndarray, points: np.ndarray, visibility: np.ndarray, *, skeleton: Skeleton
) -> np.ndarray:
    """Draws labelled joints with their numbers; right, left and middle ones differ in colour.

    Args:
        image: (H, W, 3) uint8 RGB; not changed.
        points: (J, 2) px.
        visibility: (J,) 0 not labelled: not drawn; 1 labelled, hidden: a ring; 2 visible: a dot.
        skeleton: Of the J joints.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    canvas = np.ascontiguousarray(image).copy()
    colours, places = joint_colours(skeleton), [_fixed(point) for point in points]
    for (start, end), colour in zip(skeleton.bones, skeleton.colours, strict=True):
        if visibility[start] and visibility[end]:
            cv2.line(canvas, places[start], places[end], colour, 1, cv2.LINE_AA, SUBPIXEL_BITS)
    for joint in np.flatnonzero(visibility):
        inside = -1 if visibility[joint] == 2 else 2
        for colour, thickness in ((OUTLINE, 4), (colours[joint], inside)):
            cv2.circle(
                canvas,
                places[joint],
                RADIUS << SUBPIXEL_BITS,
                colour,
                thickness,
                cv2.LINE_AA,
                SUBPIXEL_BITS,
            )
    return _numbered(canvas, points, visibility)


def _numbered(canvas: np.ndarray, points: np.ndarray, visibility: np.ndarray) -> np.ndarray:
    """Joints' numbers to the right of them, white on black: readable on anything."""
    picture = Image.fromarray(canvas)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(NUMBER_SIZE)
    for joint in np.flatnonzero(visibility):
        x, y = np.clip(points[joint], -LARGEST_PLACE, LARGEST_PLACE)
        draw.text(
            (float(x) + RADIUS + 3, float(y)),
            str(joint),
            OUTLINE,
            font=font,
            anchor="lm",
            stroke_width=1,
            stroke_fill=INK,
        )
    return np.asarray(picture)


def _fixed(point: np.ndarray) -> tuple[int, int]:
    limit = LARGEST_PLACE
    x, y = np.clip(np.round(point * 2**SUBPIXEL_BITS), -limit, limit).astype(int)
    return int(x), int(y)


def joint_colours(skeleton: Skeleton) -> list[Colour]:
    """The colour of each joint: of right, left, or neither."""
    colours = [MIDDLE] * len(skeleton.joints)
    for right, left in skeleton.mirror_pairs:
        colours[right], colours[left] = RIGHT, LEFT
    return colours


def draw_legend(skeleton: Skeleton, *, width: int) -> np.ndarray:
    """The joints' numbers and names in their colours, and whom each changes places with in a flip.

    Returns:
        (H, width, 3) uint8 RGB.
    """
    font, partner = ImageFont.load_default(TEXT_SIZE), skeleton.flip_order
    texts = [
        f"{joint}: {name}" + ("" if partner[joint] == joint else f" (mirrors {partner[joint]})")
        for joint, name in enumerate(skeleton.joints)
    ]
    column = 3 * GAP + 8 + round(max(font.getlength(text) for text in texts))
    rows = -(-len(texts) // max(1, width // column))
    picture = Image.new("RGB", (width, rows * LINE_HEIGHT + GAP), PAPER)
    draw = ImageDraw.Draw(picture)
    for number, (text, colour) in enumerate(zip(texts, joint_colours(skeleton), strict=True)):
        x, y = number // rows * column + GAP, number % rows * LINE_HEIGHT + LINE_HEIGHT // 2
        draw.ellipse((x, y - 4, x + 8, y + 4), fill=colour)
        draw.text((x + 14, y), text, INK, font=font, anchor="lm")
    return np.asarray(picture)


def draw_sheet(
    tiles: Sequence[np.ndarray], captions: Sequence[str], *, columns: int, legend: np.ndarray
) -> np.ndarray:
    """Pictures in rows, a line of text under each, and a legend below all.

    Args:
        tiles: N of (S, S, 3) uint8 RGB, N >= 1.
        captions: N; of a long one the end is shown.
        columns: Tiles in a row.
        legend: (h, `sheet_width`, 3) uint8 RGB.

    Returns:
        (H, `sheet_width`, 3) uint8 RGB.
    """
    size, font = tiles[0].shape[0], ImageFont.load_default(TEXT_SIZE)
    rows, step = -(-len(tiles) // columns), size + LINE_HEIGHT + GAP
    sheet = Image.new("RGB", (sheet_width(size, columns), rows * step + GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, (tile, caption) in enumerate(zip(tiles, captions, strict=True)):
        x, y = number % columns * (size + GAP) + GAP, number // columns * step + GAP
        sheet.paste(Image.fromarray(tile), (x, y))
        while len(caption) > 1 and font.getlength(caption) > size:
            caption = caption[1:]
        draw.text((x, y + size + LINE_HEIGHT // 2), caption, INK, font=font, anchor="lm")
    return np.vstack([np.asarray(sheet), legend])


def sheet_width(size: int, columns: int) -> int:
    """Width of a sheet, px, of tiles of `size` px."""
    return columns * (size + GAP) + GAP
