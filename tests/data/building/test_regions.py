"""The region that is kept of a picture: it covers whatever training can show, and stays inside."""

from __future__ import annotations

import numpy as np
import pytest

from hourglass.core.config import AugmentConfig
from hourglass.core.geometry import apply_affine, invert_affine
from hourglass.core.person import Person
from hourglass.core.presets import PRESETS
from hourglass.data.augment import random_crop_matrices
from hourglass.data.building.regions import REACH, moved, reachable_region
from hourglass.media.pictures import JPEG_BLOCK, MIN_SIDE, Region

SIZE = 96
HUGE = 10_000


def make_person(x: float, y: float, scale: float) -> Person:
    points = np.stack([np.linspace(x - 40, x + 40, 16), np.linspace(y - 60, y + 60, 16)], axis=-1)
    labelled = np.arange(16) % 5 > 0
    return Person(
        filename="a.jpg",
        points=np.where(labelled[:, None], points, -1).astype(np.float32),
        visibility=2 * labelled.astype(np.uint8),
        center=np.array([x, y], np.float32),
        scale=scale,
    )


@pytest.mark.parametrize("name", PRESETS)
def test_the_reach_covers_every_preset_at_any_rotation(name: str):
    choices = PRESETS[name].augment
    assert (1 + choices.scale) * (np.sqrt(0.5) + choices.shift) <= REACH


@pytest.mark.parametrize(
    "config",
    [
        AugmentConfig(),
        AugmentConfig(rotation=180.0, rotation_probability=1.0),
        AugmentConfig(scale=0.3, shift=0.03, rotation=45.0, rotation_probability=1.0),
    ],
    ids=["default", "any rotation", "larger crops"],
)
def test_no_crop_reaches_beyond(config: AugmentConfig):
    """The corners of 500 random crops, and two pixels more, lie in the region."""
    person = make_person(5000.3, 4800.7, 1.3)
    region = reachable_region(person, height=HUGE, width=HUGE)
    matrices = random_crop_matrices(
        np.tile(person.center, (500, 1)),
        np.full(500, person.scale),
        size=SIZE,
        config=config,
        rng=np.random.default_rng(0),
    )
    ends = [-0.5, SIZE - 0.5]
    corners = np.array([[u, v] for u in ends for v in ends])
    reached = apply_affine(invert_affine(matrices), np.tile(corners, (500, 1, 1)))
    assert (reached.min(axis=(0, 1)) - 2 >= [region.left, region.top]).all()
    assert (reached.max(axis=(0, 1)) + 2 <= [region.right - 1, region.bottom - 1]).all()
    side = 250 * person.scale
    assert region.right - region.left <= 2 * (REACH * side + 2 + JPEG_BLOCK)


@pytest.mark.parametrize(
    ("x", "y", "scale", "expected"),
    [
        (640, 360, 1.0, Region(368, 96, 912, 624)),  # 360 ± 262 and 640 ± 262, out to blocks
        (0, 0, 0.4, Region(0, 0, 112, 112)),
        (1279, 719, 0.4, Region(1168, 608, 1280, 720)),
        (640, 360, 4.0, Region(0, 0, 1280, 720)),
        (-300, 360, 0.4, Region(0, 240, 16, 480)),
        (1e6, -1e6, 1.0, Region(1264, 0, 1280, 16)),
        (640, 360, 1e6, Region(0, 0, 1280, 720)),
    ],
    ids=["inside", "first corner", "last corner", "large", "left of it", "far away", "endless"],
)
def test_the_region_in_pixels(x: float, y: float, scale: float, expected: Region):
    assert reachable_region(make_person(x, y, scale), height=720, width=1280) == expected


def test_regions_are_within_the_picture_and_large_enough():
    random = np.random.default_rng(0)
    for _ in range(2000):
        width, height = (int(side) for side in random.integers(MIN_SIDE, 300, 2))
        x, y = random.uniform(-400, 700, 2)
        person = make_person(x, y, random.uniform(0.01, 2))
        region = reachable_region(person, height=height, width=width)
        assert 0 <= region.left <= region.right - MIN_SIDE <= width - MIN_SIDE
        assert 0 <= region.top <= region.bottom - MIN_SIDE <= height - MIN_SIDE
        assert region.left % JPEG_BLOCK == region.top % JPEG_BLOCK == 0
        assert region.right % JPEG_BLOCK == 0 or region.right == width
        assert region.bottom % JPEG_BLOCK == 0 or region.bottom == height


def test_a_person_is_moved_without_unlabelled_joints():
    person = make_person(640, 360, 1.0)
    there = moved(person, Region(384, 112, 896, 608))
    corner = np.float32([384, 112])
    np.testing.assert_array_equal(there.center, [256, 248])
    np.testing.assert_array_equal(
        there.points[person.labelled], person.points[person.labelled] - corner
    )
    np.testing.assert_array_equal(there.points[~person.labelled], [[-1, -1]] * 4)
    assert (there.points.dtype, there.center.dtype) == (np.float32, np.float32)
    assert (there.filename, there.scale) == ("a.jpg", 1.0)
