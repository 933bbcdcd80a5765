"""A small drawn dataset in MPII's JSON layout, for tests, examples and first trainings.

Everything that invents a person lives here: the pose in space, the looks, the background, and the
annotation with its 1-based pixels. Reading annotations is the readers' work, not this module's.
Inside this module coordinates are the project's own, 0-based with a pixel's centre at its index;
`annotate` alone turns them into MPII's.

Space is measured in statures (the standing figure's height is 1): x to the right of the picture,
y down, z towards the viewer. A person that faces the viewer has the left side at positive x.
"""

from __future__ import annotations

import colorsys
import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import click
import cv2
import numpy as np
from tqdm import tqdm

from hourglass.core.skeleton import MPII

SPLITS = ("train", "validation")
REFERENCE_HEIGHT = 200.0
"""Pixels of body height that MPII counts as scale 1."""
CENTER_OFFSET = 15.0
"""Pixels per unit of scale by which MPII's `center` sits above the middle of the body."""
JPEG_QUALITY = 90
MAX_LEAN = 35.0
"""Degrees by which a person leans in the picture plane."""
MAX_TURN = 50.0
"""Degrees from the frontal or the back view; a full profile would hide one side completely."""
HIDDEN_LABELLED = 0.7
"""Share of the hidden joints that stay labelled, as MPII's occluded ones do."""
OCCLUDED_PICTURES = 0.3
"""Share of the pictures in which something stands in front of the person."""
CUT_PICTURES = 0.15
"""Share of the people that an edge of the picture cuts."""
STANDING_LENGTHS = {
    "head": 0.135,
    "neck": 0.06,
    "trunk": 0.29,
    "thigh": 0.24,
    "shin": 0.235,
    "foot": 0.04,
}
"""Typical lengths in statures of what a standing body stacks up; they sum to 1."""
OTHER_LENGTHS = {"upper_arm": 0.17, "forearm": 0.15, "hand": 0.035, "shoulder": 0.105, "hip": 0.062}
SIDE_SIGNS = {"right": -1.0, "left": 1.0}
DOWN, BACK = np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, -1.0])


@dataclass(frozen=True)
class Texture:
    """Two RGB colours (3,) in 0 to 255 and the pattern that mixes them along a part.

    `period` px and `phase` (radians) place stripes; `phase` as a share of the part's length parts
    the halves.
    """

    pattern: str
    dark: np.ndarray
    light: np.ndarray
    period: float = 8.0
    phase: float = 0.0


@dataclass(frozen=True)
class Part:
    """A drawn shape over `corners` (n, 2) px, with edges `radii` (n,) px away from them.

    Two corners make a tapered capsule, four (of one radius) a rounded convex panel. `joints` names
    the joints that the shape shows; `depth` in px grows towards the viewer.
    """

    corners: np.ndarray
    radii: np.ndarray
    texture: Texture
    joints: tuple[str, ...] = ()
    depth: float = 0.0


@dataclass(frozen=True)
class Scene:
    """One picture and what is known about its person.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        points: (16, 2) float64, 0-based px, of every joint, labelled or not.
        hidden: (16,) bool, drawn over by something else.
        labelled: (16,) bool, in the annotation; never a joint outside of the picture.
        center: (2,) float64, 0-based px, the middle of the person's box.
        scale: Standing height in px / 200.
    """

    image: np.ndarray
    points: np.ndarray
    hidden: np.ndarray
    labelled: np.ndarray
    center: np.ndarray
    scale: float


# Pose: named points in space.


def random_proportions(rng: np.random.Generator) -> dict[str, float]:
    """Lengths of a random body in statures; the vertical ones sum to 1 when it stands."""
    typical = STANDING_LENGTHS | OTHER_LENGTHS
    lengths = {name: length * rng.uniform(0.9, 1.1) for name, length in typical.items()}
    stature = sum(lengths[name] for name in STANDING_LENGTHS)
    return {name: length / stature for name, length in lengths.items()}


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def direction(polar: float, azimuth: float, *, side: float) -> np.ndarray:
    """Unit vector (3,) at `polar` degrees from straight down, turned from the side to the front."""
    theta, phi = np.radians([polar, azimuth])
    return np.array(
        [side * np.sin(theta) * np.cos(phi), np.cos(theta), np.sin(theta) * np.sin(phi)]
    )


def bend(limb: np.ndarray, towards: np.ndarray, *, degrees: float) -> np.ndarray:
    """The unit vector `limb` (3,) turned by `degrees` in the direction of `towards` (3,)."""
    across = unit(towards - limb * (towards @ limb))
    return np.cos(np.radians(degrees)) * limb + np.sin(np.radians(degrees)) * across


def random_arm(
    rng: np.random.Generator, lengths: dict[str, float], *, shoulder: np.ndarray, side: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Elbow, wrist and fingertips (3,) of an arm that hangs more often than it is raised."""
    upper = direction(6.0 + 160.0 * rng.random() ** 1.4, rng.uniform(-15.0, 75.0), side=side)
    towards = np.array([side * rng.normal(-0.2, 0.6), rng.normal(-0.6, 0.6), 0.6])
    lower = bend(upper, towards, degrees=rng.uniform(0.0, 115.0))
    elbow = shoulder + upper * lengths["upper_arm"]
    wrist = elbow + lower * lengths["forearm"]
    return elbow, wrist, wrist + lower * lengths["hand"]


def random_leg(
    rng: np.random.Generator, lengths: dict[str, float], *, hip: np.ndarray, side: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Knee, ankle and toes (3,) of a leg that mostly stands or walks, and sometimes is lifted."""
    lifted = rng.random() < 0.2
    polar = rng.uniform(35.0, 80.0) if lifted else rng.uniform(3.0, 32.0)
    thigh = direction(polar, rng.uniform(-10.0, 90.0), side=side)
    shin = bend(thigh, BACK + 0.2 * DOWN, degrees=rng.uniform(5.0, 85.0 if lifted else 35.0))
    knee = hip + thigh * lengths["thigh"]
    ankle = knee + shin * lengths["shin"]
    toes = bend(shin, -BACK + 0.3 * side * np.array([1.0, 0.0, 0.0]), degrees=75.0)
    return knee, ankle, ankle + toes * 2.0 * lengths["foot"]


def random_pose(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Points (3,) in statures of a person facing the viewer: the joints, fingertips and toes."""
    lengths = random_proportions(rng)
    spine = unit(np.array([rng.normal(0.0, 0.07), -1.0, rng.normal(0.0, 0.1)]))
    neck = unit(spine + np.array([rng.normal(0.0, 0.12), 0.0, rng.normal(0.05, 0.1)]))
    points = {"pelvis": np.zeros(3), "thorax": spine * lengths["trunk"]}
    points["upper_neck"] = points["thorax"] + neck * lengths["neck"]
    points["head_top"] = points["upper_neck"] + unit(spine + neck) * lengths["head"]
    for name, side in SIDE_SIGNS.items():
        lateral = np.array([side, 0.0, 0.0])
        shoulder = points["thorax"] + lateral * lengths["shoulder"] - 0.012 * spine
        hip = points["pelvis"] + lateral * lengths["hip"] + 0.01 * DOWN
        points[f"{name}_shoulder"], points[f"{name}_hip"] = shoulder, hip
        arm = random_arm(rng, lengths, shoulder=shoulder, side=side)
        leg = random_leg(rng, lengths, hip=hip, side=side)
        points |= dict(zip((f"{name}_elbow", f"{name}_wrist", f"{name}_fingers"), arm, strict=True))
        points |= dict(zip((f"{name}_knee", f"{name}_ankle", f"{name}_toes"), leg, strict=True))
    return points


def random_view(rng: np.random.Generator) -> np.ndarray:
    """Rotation (3, 3): seen from the front or from behind, turned a little, then leaning."""
    facing = np.pi if rng.random() < 0.4 else 0.0
    turn = facing + np.radians(rng.uniform(-MAX_TURN, MAX_TURN))
    lean = np.radians(rng.triangular(-MAX_LEAN, 0.0, MAX_LEAN))
    about_y = np.array(
        [[np.cos(turn), 0.0, np.sin(turn)], [0.0, 1.0, 0.0], [-np.sin(turn), 0.0, np.cos(turn)]]
    )
    about_z = np.array(
        [[np.cos(lean), -np.sin(lean), 0.0], [np.sin(lean), np.cos(lean), 0.0], [0.0, 0.0, 1.0]]
    )
    return about_z @ about_y


# Looks: colours and textures.


def random_colour(
    rng: np.random.Generator,
    *,
    hue: tuple[float, float] = (0.0, 360.0),
    saturation: tuple[float, float],
    value: tuple[float, float],
) -> np.ndarray:
    """An RGB colour (3,) in 0 to 255; hue in degrees, saturation and value in 0 to 1."""
    h, s, v = rng.uniform(*hue) / 360.0, rng.uniform(*saturation), rng.uniform(*value)
    return 255.0 * np.array(colorsys.hsv_to_rgb(h % 1.0, s, v))


def muted_colour(rng: np.random.Generator) -> np.ndarray:
    """What the surroundings wear, so that limbs stand out from them."""
    return random_colour(rng, saturation=(0.05, 0.45), value=(0.25, 0.9))


def random_cloth(rng: np.random.Generator, *, side: str, girth: float) -> Texture:
    """Warm stripes for a right limb, cool plain cloth for a left one: the sides differ by looks."""
    if side == "right":
        dark = random_colour(rng, hue=(-15.0, 20.0), saturation=(0.75, 1.0), value=(0.6, 0.85))
        light = random_colour(rng, hue=(28.0, 55.0), saturation=(0.3, 0.8), value=(0.9, 1.0))
        period, phase = girth * rng.uniform(0.045, 0.075), rng.uniform(0.0, 2.0 * np.pi)
        return Texture("stripes", dark, light, period=period, phase=phase)
    hue = rng.uniform(180.0, 240.0)
    dark = random_colour(rng, hue=(hue, hue + 15.0), saturation=(0.7, 1.0), value=(0.45, 0.7))
    light = random_colour(rng, hue=(hue - 10.0, hue), saturation=(0.5, 0.8), value=(0.75, 0.95))
    return Texture(str(rng.choice(["gradient", "blotches"])), dark, light)


def random_shirt(rng: np.random.Generator) -> Texture:
    """Cloth for the torso, green or purple: in neither side's family."""
    hue = (80.0, 150.0) if rng.random() < 0.5 else (270.0, 320.0)
    dark = random_colour(rng, hue=hue, saturation=(0.1, 0.5), value=(0.3, 0.6))
    light = random_colour(rng, hue=hue, saturation=(0.1, 0.4), value=(0.6, 0.95))
    return Texture(str(rng.choice(["gradient", "blotches"])), dark, light)


def random_surroundings_texture(rng: np.random.Generator) -> Texture:
    """Cloth, wood or stone for what stands in front of a person."""
    pattern = str(rng.choice(["stripes", "gradient", "blotches"]))
    period, phase = rng.uniform(6.0, 20.0), rng.uniform(0.0, 2.0 * np.pi)
    return Texture(pattern, muted_colour(rng), muted_colour(rng), period=period, phase=phase)


def random_skin(rng: np.random.Generator) -> Texture:
    light = random_colour(rng, hue=(15.0, 30.0), saturation=(0.35, 0.6), value=(0.4, 0.95))
    return Texture("gradient", 0.9 * light, light)


# Figure: a pose that wears its looks, as parts in pixels.


def part_over(
    points: dict[str, np.ndarray],
    names: tuple[str, ...],
    *,
    radii: tuple[float, ...],
    texture: Texture,
    nearer: float = 0.0,
) -> Part:
    """The part that spans the named points (3,) px; `nearer` px moves it towards the viewer."""
    ends = np.stack([points[name] for name in names])
    joints = tuple(name for name in names if name in MPII.joints)
    return Part(ends[:, :2], np.array(radii), texture, joints, float(ends[:, 2].mean()) + nearer)


def random_limbs(
    rng: np.random.Generator, points: dict[str, np.ndarray], *, girth: float, skin: Texture
) -> Iterator[Part]:
    """Arms and legs; `girth` is the standing height in px times how stout the person is."""
    for side in SIDE_SIGNS:
        sleeve, trouser, shoe = (random_cloth(rng, side=side, girth=girth) for _ in range(3))
        for start, end, thick, thin, texture, nearer in (
            ("hip", "knee", 0.052, 0.04, trouser, -0.02),
            ("knee", "ankle", 0.039, 0.026, trouser, -0.02),
            ("ankle", "toes", 0.026, 0.02, shoe, -0.01),
            ("shoulder", "elbow", 0.038, 0.031, sleeve, 0.03),
            ("elbow", "wrist", 0.031, 0.024, sleeve, 0.03),
            ("wrist", "fingers", 0.022, 0.024, skin, 0.025),
        ):
            yield part_over(
                points,
                (f"{side}_{start}", f"{side}_{end}"),
                radii=(girth * thick, girth * thin),
                texture=texture,
                nearer=girth * nearer,
            )


def head_parts(
    rng: np.random.Generator, points: dict[str, np.ndarray], *, girth: float, skin: Texture
) -> Iterator[Part]:
    """Head with hair, and eyes where the face looks at the viewer."""
    neck, top = points["upper_neck"], points["head_top"]
    length = np.linalg.norm(top - neck)
    up, left = (top - neck) / length, unit(points["left_hip"] - points["right_hip"])
    front = np.cross(up, left)
    seen = front[2] > 0.0
    radius = 0.4 * length
    crown, chin = top - up * radius, neck + up * 0.42 * length
    hair = random_colour(rng, hue=(10.0, 45.0), saturation=(0.2, 0.7), value=(0.1, 0.75))
    # The hairline runs across the head: above the eyes in front, down to the neck behind.
    look = Texture("halves", skin.light, hair, phase=0.62 if seen else 0.12)
    ends = np.stack([chin, crown])[:, :2]
    depth = float(crown[2]) + 0.02 * girth
    yield Part(ends, radius * np.array([0.86, 1.0]), look, ("upper_neck", "head_top"), depth)
    eye = Texture("gradient", np.full(3, 25.0), np.full(3, 25.0))
    for sign in (-1.0, 1.0) if seen else ():
        spot = neck + up * 0.55 * length + (0.75 * front + 0.36 * sign * left) * radius
        yield Part(np.stack([spot, spot])[:, :2], radius * np.full(2, 0.13), eye, (), depth + 1e-3)


def random_figure(
    rng: np.random.Generator, points: dict[str, np.ndarray], *, stature: float
) -> list[Part]:
    """Every part of a person, the farthest from the viewer first."""
    girth = stature * rng.uniform(0.85, 1.15)
    skin = random_skin(rng)
    shirt = random_shirt(rng)
    corners = ("right_shoulder", "left_shoulder", "left_hip", "right_hip")
    torso = part_over(points, corners, radii=(0.04 * girth,) * 4, texture=shirt)
    torso = replace(torso, joints=(*torso.joints, "thorax", "pelvis"))
    neck = part_over(
        points,
        ("thorax", "upper_neck"),
        radii=(0.034 * girth, 0.03 * girth),
        texture=skin,
        nearer=-0.03 * girth,
    )
    limbs = random_limbs(rng, points, girth=girth, skin=skin)
    head = head_parts(rng, points, girth=girth, skin=skin)
    return sorted([torso, neck, *limbs, *head], key=lambda part: part.depth)


def random_occluder(
    rng: np.random.Generator, points: dict[str, np.ndarray], *, stature: float
) -> Part:
    """A board or a boulder in front of some joint of the person."""
    middle = points[str(rng.choice(MPII.joints))][:2] + stature * rng.normal(0.0, 0.03, 2)
    texture = random_surroundings_texture(rng)
    reach = stature * rng.uniform(0.06, 0.13, 2) * rng.choice([-1.0, 1.0], 2)
    if rng.random() < 0.5:
        ends = np.stack([middle - 0.4 * reach, middle + 0.4 * reach])
        return Part(ends, stature * rng.uniform(0.05, 0.09, 2), texture)
    corners = middle + reach * np.array([[-1.0, -1.0], [1.0, -0.8], [1.0, 1.0], [-0.8, 1.0]])
    return Part(corners, np.full(4, 0.02 * stature), texture)


# Drawing: signed distances, so that an edge lies where it should to a fraction of a pixel.


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


# Background.


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


# Scene: a figure in its surroundings, and what is known about it.


def random_placement(
    rng: np.random.Generator, low: np.ndarray, high: np.ndarray, *, size: int
) -> tuple[tuple[int, int], np.ndarray]:
    """Picture (width, height) px, and where in it (2,) px a box from `low` to `high` moves."""
    extent, margin = high - low, 0.04 * size
    sides = np.maximum(rng.integers(round(0.62 * size), size + 1, 2), extent + 2.0 * margin)
    sides = np.ceil(sides).astype(int)
    offset = margin + rng.random(2) * (sides - extent - 2.0 * margin) - low
    if rng.random() < CUT_PICTURES:
        axis = rng.integers(2)
        overhang = extent[axis] * rng.uniform(0.05, 0.3)
        if rng.random() < 0.5:
            offset[axis] = -overhang - low[axis]
        else:
            offset[axis] = sides[axis] - 1.0 + overhang - high[axis]
    return (int(sides[0]), int(sides[1])), offset


def random_scene(rng: np.random.Generator, *, size: int) -> Scene:
    """Invent one picture of one person, on sides of about 0.6 to 1 times `size` px."""
    stature = size * rng.uniform(0.35, 0.65)
    view = random_view(rng)
    space = {name: stature * (view @ point) for name, point in random_pose(rng).items()}
    joints = np.stack([space[name][:2] for name in MPII.joints])
    low, high = joints.min(axis=0), joints.max(axis=0)
    (width, height), offset = random_placement(rng, low, high, size=size)
    space = {name: point + np.append(offset, 0.0) for name, point in space.items()}
    points = np.round(joints + offset, 2)
    parts = random_figure(rng, space, stature=stature)
    if rng.random() < OCCLUDED_PICTURES:
        parts.append(random_occluder(rng, space, stature=stature))
    hidden = find_hidden(parts, points)
    inside = np.all((points >= 0.0) & (points <= [width - 1, height - 1]), axis=1)
    labelled = inside & (~hidden | (rng.random(len(points)) < HIDDEN_LABELLED))
    image = random_background(rng, width=width, height=height)
    for part in parts:
        draw_part(image, part, rng=rng)
    return Scene(
        finish(rng, image),
        points,
        hidden,
        labelled,
        (low + high) / 2.0 + offset,
        stature / REFERENCE_HEIGHT,
    )


def finish(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Exposure and grain of a camera: float32 to uint8."""
    grain = np.frombuffer(rng.bytes(image.size), np.uint8).reshape(image.shape)
    amplitude = rng.uniform(0.02, 0.08)
    image = image * rng.uniform(0.85, 1.1) + amplitude * (grain.astype(np.float32) - 127.5)
    return np.clip(image, 0.0, 255.0).astype(np.uint8)


def draw_person(seed: int, split: str, *, index: int, size: int = 260) -> Scene:
    """Picture `index` of a split; it depends on nothing but these arguments."""
    return random_scene(np.random.default_rng([seed, SPLITS.index(split), index]), size=size)


# Files.


def annotate(scene: Scene, *, image: str) -> dict[str, object]:
    """One entry of the JSON file: MPII's 1-based pixels and its raised centre."""
    raised = scene.center - [0.0, CENTER_OFFSET * scene.scale]
    joints = np.where(scene.labelled[:, None], scene.points + 1.0, -1.0)
    return {
        "image": image,
        "joints": joints.round(2).tolist(),
        "joints_vis": scene.labelled.astype(int).tolist(),
        "center": (raised + 1.0).round(2).tolist(),
        "scale": round(scene.scale, 6),
    }


def save_picture(path: Path, image: np.ndarray) -> None:
    _, encoded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    path.write_bytes(encoded.tobytes())


def check(output: Path, *, train: int, validation: int, seed: int, size: int) -> None:
    for option, value, least in (
        ("--train", train, 1),
        ("--validation", validation, 1),
        ("--seed", seed, 0),
        ("--size", size, 64),
    ):
        if value < least:
            raise click.UsageError(f"{option}: received {value}, but at least {least} is needed")
    if output.exists() and not output.is_dir():
        raise click.UsageError(
            f"--output: {output} is a file; a folder, or the name of a new one, is needed"
        )


@contextlib.contextmanager
def write_errors_told(output: Path) -> Iterator[None]:
    """Turn the system's refusal to write into one line."""
    try:
        yield
    except OSError as error:
        raise click.ClickException(
            f"--output: cannot write to {error.filename or output} ({error.strerror}); "
            "a folder that can be written is needed"
        ) from error


def make_synthetic(
    output: Path, *, train: int, validation: int, seed: int, size: int = 260
) -> dict[str, Path]:
    """Draw both splits under `output`.

    Args:
        output: Folder for `annotations/` and `images/`; files of the same names are replaced.
        train: Pictures to train on, at least 1.
        validation: Pictures to validate on, at least 1.
        seed: Any number from 0; the same seed gives the same bytes.
        size: Longest side of a picture in px, at least 64.

    Returns:
        The annotation file of each split.

    Raises:
        click.UsageError: If an argument is out of range or `output` is a file.
        click.ClickException: If `output` cannot be written.
    """
    check(output, train=train, validation=validation, seed=seed, size=size)
    annotations = {split: output / "annotations" / f"{split}.json" for split in SPLITS}
    with write_errors_told(output):
        for folder in ("annotations", "images"):
            (output / folder).mkdir(parents=True, exist_ok=True)
        for split, count in zip(SPLITS, (train, validation), strict=True):
            # An older file must not outlive its pictures when this run is cut short.
            annotations[split].unlink(missing_ok=True)
            people = []
            for index in tqdm(range(count), desc=split, unit="picture", disable=None):
                scene = draw_person(seed, split, index=index, size=size)
                name = f"{split}_{index:05d}.jpg"
                save_picture(output / "images" / name, scene.image)
                people.append(annotate(scene, image=name))
            annotations[split].write_text(json.dumps(people) + "\n", encoding="utf-8")
    return annotations


@click.command()
@click.option(
    "--output", type=click.Path(path_type=Path), required=True, help="Folder that receives the set."
)
@click.option("--train", default=1200, show_default=True, help="Pictures to train on (count).")
@click.option(
    "--validation", default=200, show_default=True, help="Pictures to validate on (count)."
)
@click.option(
    "--seed", default=0, show_default=True, help="Any number from 0; same seed, same set."
)
@click.option("--size", default=260, show_default=True, help="Longest picture side (px).")
def main(output: Path, train: int, validation: int, seed: int, size: int) -> None:
    """Draw a small synthetic pose dataset in MPII's JSON layout."""
    make_synthetic(output, train=train, validation=validation, seed=seed, size=size)
    click.echo(f"{train} training and {validation} validation pictures in {output}")


if __name__ == "__main__":
    main()
