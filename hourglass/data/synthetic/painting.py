"""Paints the parts of made-up people, and backgrounds, pixel by pixel."""

from __future__ import annotations

import cv2
import numpy as np

from hourglass.core.skeleton import MPII
from hourglass.data.synthetic.figures import Part, Texture, muted_colour, unit


def capsule_distance(
    x: np.ndarray, y: np.ndarray, *, ends: np.ndarray, radii: np.ndarray
) -> np.ndarray:
    """Distance in px from the tapered capsule's edge, negative inside."""
    (x0, y0), (dx, dy) = ends[0], ends[1] - ends[0]
    along = np.clip(((x - x0) * dx + (y - y0) * dy) / max(dx * dx + dy * dy, 1e-6), 0.0, 1.0)
    radius = radii[0] + along * (radii[1] - radii[0])
    return np.hypot(x - x0 - along * dx, y - y0 - along * dy) - radius


def distance(x: np.ndarray, y: np.ndarray, *, part: Part) -> np.ndarray:
    """Distance in px from the edge of `part`, negative inside."""
    if len(part.corners) == 2:
        return capsule_distance(x, y, ends=part.corners, radii=part.radii)
    corners, following = part.corners, np.roll(part.corners, -1, axis=0)
    winding = np.sign(np.sum(corners[:, 0] * following[:, 1] - corners[:, 1] * following[:, 0]))
    rim: np.ndarray = np.array(np.inf)
    inside: np.ndarray = np.array(-np.inf)
    for start, end, radius in zip(corners, following, part.radii, strict=True):
        edge = np.stack([start, end])
        rim = np.minimum(rim, capsule_distance(x, y, ends=edge, radii=np.full(2, radius)))
        normal = winding * unit(end - start)
        inside = np.maximum(inside, (x - start[0]) * normal[1] - (y - start[1]) * normal[0])
    return np.minimum(rim, inside)


def paint(
    rng: np.random.Generator, texture: Texture, *, along: np.ndarray, length: float
) -> np.ndarray:
    """Colours (H, W, 3) float32 of a texture, where `along` (H, W) px runs from 0 to `length`."""
    mix: np.ndarray
    if texture.pattern == "stripes":
        wave = np.sin(along * (2.0 * np.pi / texture.period) + texture.phase)
        mix = np.clip(0.5 + 1.5 * wave, 0.0, 1.0)
    elif texture.pattern == "gradient":
        mix = np.clip(along / length, 0.0, 1.0)
    elif texture.pattern == "halves":
        mix = np.clip(along - texture.phase * length, 0.0, 1.0)
    else:
        mix = cv2.resize(rng.random((5, 5)), along.shape[::-1], interpolation=cv2.INTER_LINEAR)
    light, dark = texture.light.astype(np.float32), texture.dark.astype(np.float32)
    return dark + mix.astype(np.float32)[..., None] * (light - dark)


def window(part: Part, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Rows and columns of a picture of `shape` that `part` can touch."""
    reach = part.radii.max() + 2.0
    low = np.floor(part.corners.min(axis=0) - reach).astype(int)
    high = np.ceil(part.corners.max(axis=0) + reach).astype(int) + 1
    left, top = np.clip(low, 0, (shape[1], shape[0]))
    right, bottom = np.clip(high, 0, (shape[1], shape[0]))
    return slice(top, bottom), slice(left, right)


def draw_part(image: np.ndarray, part: Part, *, rng: np.random.Generator) -> None:
    """Draw `part` into `image` (H, W, 3) float32, with a soft edge and an outline."""
    rows, columns = window(part, image.shape)
    canvas = image[rows, columns]
    if canvas.size == 0:
        return
    x = np.arange(columns.start, columns.stop, dtype=np.float32)[None]
    y = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None]
    edge = distance(x, y, part=part).astype(np.float32)
    near, far = part.corners[: len(part.corners) // 2], part.corners[len(part.corners) // 2 :]
    start, axis = near.mean(axis=0), far.mean(axis=0) - near.mean(axis=0)
    length = max(float(np.hypot(*axis)), 1.0)
    along = ((x - start[0]) * axis[0] + (y - start[1]) * axis[1]) / length
    roundness = np.clip(1.0 + edge / part.radii.max(), 0.0, 1.0) ** 2
    shade = 1.0 - 0.2 * roundness - 0.4 * np.clip(edge + 1.5, 0.0, 1.0)
    colour = paint(rng, part.texture, along=along, length=length) * shade[..., None]
    canvas += np.clip(0.5 - edge, 0.0, 1.0)[..., None] * (colour - canvas)


def find_hidden(parts: list[Part], points: np.ndarray) -> np.ndarray:
    """Which joints (16,) bool end up under a part that is not their own; `parts` back to front."""
    hidden = np.zeros(len(points), bool)
    for part in parts:
        hidden |= distance(points[:, 0], points[:, 1], part=part) < 0.0
        hidden[[MPII.index(joint) for joint in part.joints]] = False
    return hidden


def add_clutter(image: np.ndarray, *, rng: np.random.Generator) -> None:
    """Boxes, poles, fences and discs in muted colours, drawn into `image` (H, W, 3) uint8."""
    size = max(image.shape[:2])
    for _ in range(rng.integers(4, 12)):
        colour = muted_colour(rng).tolist()
        x, y = (rng.random(2) * image.shape[1::-1]).astype(int).tolist()
        dx, dy = (size * rng.uniform(-0.35, 0.35, 2)).astype(int).tolist()
        width = int(rng.integers(1, max(2, size // 30)))
        kind = rng.choice(["box", "pole", "fence", "disc"])
        if kind == "box":
            cv2.rectangle(image, (x, y), (x + dx, y + dy), colour, cv2.FILLED)
        elif kind == "pole":
            cv2.line(image, (x, y), (x + 2 * dx, y + 2 * dy), colour, width, cv2.LINE_AA)
        elif kind == "fence":
            for step in range(0, 6 * (width + 4), width + 4):
                cv2.line(image, (x + step, y), (x + step, y + dy), colour, 1 + width // 3)
        else:
            cv2.circle(image, (x, y), abs(dx) // 2 + 2, colour, cv2.FILLED, cv2.LINE_AA)


def smooth_noise(rng: np.random.Generator, *, cells: int, width: int, height: int) -> np.ndarray:
    """Noise (H, W, 1) float32 of about -0.5 to 0.5 that varies over `cells` cells a side."""
    grid = rng.random((cells, cells), np.float32) - 0.5
    return cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)[..., None]


def random_background(rng: np.random.Generator, *, width: int, height: int) -> np.ndarray:
    """A wall over a floor with clutter, uneven light and grain: (H, W, 3) float32 in 0 to 255."""
    wall, floor, tint = (muted_colour(rng).astype(np.float32) for _ in range(3))
    image = np.empty((height, width, 3), np.float32)
    image[:] = wall
    image[int(height * rng.uniform(0.5, 0.9)) :] = floor
    blend = np.clip(0.35 + smooth_noise(rng, cells=4, width=width, height=height), 0.0, 1.0)
    image += blend * (tint - image)
    flat = np.clip(image, 0.0, 255.0).astype(np.uint8)
    add_clutter(flat, rng=rng)
    light = 50.0 * smooth_noise(rng, cells=3, width=width, height=height)
    grain = 24.0 * smooth_noise(rng, cells=28, width=width, height=height)
    return flat + light + grain
