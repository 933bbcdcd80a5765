"""A made-up person in space: proportions, pose, view, clothes, and what stands in front."""

from __future__ import annotations

import colorsys
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from hourglass.core.skeleton import MPII

MAX_LEAN = 35.0
"""Degrees by which a person leans in the picture plane."""


MAX_TURN = 50.0
"""Degrees from the frontal or the back view; a full profile would hide one side completely."""


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
