"""How training pictures change: each operation by hand, each random twin by its limits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from hourglass.core import geometry
from hourglass.core.config import AugmentConfig
from hourglass.core.skeleton import LEFT, MPII, RIGHT, Skeleton
from hourglass.data import augment

STICK = Skeleton(
    name="stick",
    joints=("nose", "right_hand", "left_hand"),
    bones=((0, 1), (0, 2)),
    mirror_pairs=((1, 2),),
    colours=(RIGHT, LEFT),
)
NOTHING = AugmentConfig(
    scale=0, rotation=0, rotation_probability=0, flip_probability=0, shift=0, colour=0, cutout=0
)
COUNT = 300


def generator(number: int = 0) -> np.random.Generator:
    return np.random.default_rng([7, number])


def make_people(count: int = COUNT) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Crops of 64 px, and points and labels of as many random people."""
    rng = np.random.default_rng(0)
    matrix = geometry.crop_matrix(
        rng.uniform(50, 90, (count, 2)), rng.uniform(0.5, 2, count), size=64
    )
    return matrix, rng.uniform(0, 200, (count, 16, 2)), rng.random((count, 16)) < 0.6


def random_matrices(config: AugmentConfig) -> np.ndarray:
    """`random_crop_matrices` (300, 2, 3) of one person."""
    return augment.random_crop_matrices(
        np.tile([100.0, 50.0], (COUNT, 1)),
        np.full(COUNT, 2.0),
        size=64,
        config=config,
        rng=generator(),
    )


def zooms(matrices: np.ndarray) -> np.ndarray:
    """How much larger than the person's ROI (500 px onto 64) each crop is."""
    return 64 / 500 / np.sqrt(np.linalg.det(matrices[:, :, :2]))


def rotations(matrices: np.ndarray) -> np.ndarray:
    """Degrees by which each matrix turns the content."""
    return np.rad2deg(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0]))


# Mirroring.


def test_flip_is_golden():
    matrix = np.array([[[2.0, 0.5, 10.0], [-0.5, 2.0, 20.0]]] * 2)
    points = np.array([[[0, 0], [2, 1], [0.25, -0.5]]] * 2)
    labelled = np.array([[True, False, True]] * 2)
    mirrored, moved, kept = augment.flip(
        matrix, points, labelled, flipped=np.array([False, True]), size=64, skeleton=STICK
    )
    assert mirrored.tolist() == [
        [[2.0, 0.5, 10.0], [-0.5, 2.0, 20.0]],
        [[-2.0, -0.5, 53.0], [-0.5, 2.0, 20.0]],  # 63 - u
    ]
    assert moved.tolist() == [[[0, 0], [2, 1], [0.25, -0.5]], [[0, 0], [0.25, -0.5], [2, 1]]]
    assert kept.tolist() == [[True, False, True], [True, True, False]]
    assert matrix[1, 0].tolist() == [2.0, 0.5, 10.0]  # what was given stays


def test_flipping_twice_changes_nothing():
    people = make_people()
    flipped = np.ones(COUNT, bool)
    once = augment.flip(*people, flipped=flipped, size=64, skeleton=MPII)
    twice = augment.flip(*once, flipped=flipped, size=64, skeleton=MPII)
    for one, other in zip(people, twice, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)


@pytest.mark.parametrize("size", [30, 31])
def test_a_flipped_crop_is_the_crop_seen_in_a_mirror(size: int):
    picture = np.random.default_rng(0).integers(0, 256, (80, 90, 3), np.uint8)
    matrix = geometry.crop_matrix(np.array([[40.0, 38.0]]), np.array([0.3]), size=size, rotation=9)
    points, labelled = np.full((1, 16, 2), 35.0), np.ones((1, 16), bool)
    mirrored, _, _ = augment.flip(
        matrix, points, labelled, flipped=np.ones(1, bool), size=size, skeleton=MPII
    )
    seen = geometry.warp(picture, mirrored[0], size=size).astype(int)
    expected = geometry.warp(picture, matrix[0], size=size)[:, ::-1]
    # A sampling place may round to its other side.
    assert np.abs(seen - expected).mean() < 1


def test_flip_swaps_the_labels_of_right_and_left():
    matrix, points, _ = make_people(1)
    labelled = np.array([[name.startswith("right_") for name in MPII.joints]])
    _, _, swapped = augment.flip(
        matrix, points, labelled, flipped=np.ones(1, bool), size=64, skeleton=MPII
    )
    assert [MPII.joints[joint] for joint in np.flatnonzero(swapped)] == [
        name for name in MPII.joints if name.startswith("left_")
    ]


def share_of_flips(probability: float) -> float:
    matrix, points, labelled = make_people()
    mirrored, moved, _ = augment.random_flip(
        matrix,
        points,
        labelled,
        size=64,
        skeleton=MPII,
        probability=probability,
        rng=generator(),
    )
    flipped = (mirrored != matrix).any(axis=(1, 2))
    np.testing.assert_array_equal(flipped, (moved != points).any(axis=(1, 2)))
    return float(flipped.mean())


def test_random_flip_never_and_always():
    assert share_of_flips(0.0) == 0
    assert share_of_flips(1.0) == 1


@pytest.mark.parametrize("probability", [0.25, 0.5])
def test_random_flip_flips_its_share(probability: float):
    assert abs(share_of_flips(probability) - probability) < 0.08


# Where a crop lies.


@pytest.mark.parametrize("rotation", [0.0, 25.0, -140.0])
def test_crop_matrices_are_geometrys(rotation: float):
    centers = np.array([[100.0, 50.0], [812.25, 333.5], [-20.5, 7.0]])
    scales = np.array([1.0, 4.7, 0.3])
    ours = augment.crop_matrices(centers, scales, size=96, rotation=np.full(3, rotation))
    for one, center, scale in zip(ours, centers, scales, strict=True):
        expected = geometry.crop_matrix(center, scale, size=96, rotation=rotation)
        np.testing.assert_allclose(one, expected, rtol=1e-12)


def test_zoom_multiplies_each_crops_side():
    centers, zoom = np.tile([100.0, 50.0], (3, 1)), np.array([0.75, 1.0, 1.3])
    matrices = augment.crop_matrices(centers, np.full(3, 2.0), size=64, zoom=zoom)
    expected = geometry.crop_matrix(centers, 2.0 * zoom, size=64)
    np.testing.assert_allclose(matrices, expected, rtol=1e-12)


def test_shift_moves_each_crop_by_shares_of_its_side():
    matrices = augment.crop_matrices(
        np.tile([100.0, 50.0], (2, 1)),
        np.full(2, 2.0),  # the sides are 500 and 1000 px
        size=64,
        zoom=np.array([1.0, 2.0]),
        shift=np.tile([0.1, -0.2], (2, 1)),
    )
    moved = np.array([[150.0, -50.0], [200.0, -150.0]])
    expected = geometry.crop_matrix(moved, np.array([2.0, 4.0]), size=64)
    np.testing.assert_allclose(matrices, expected, rtol=1e-12, atol=1e-12)


def test_random_crop_matrices_without_changes_are_the_persons_own():
    expected = geometry.crop_matrix(np.array([100.0, 50.0]), 2.0, size=64)
    np.testing.assert_allclose(
        random_matrices(NOTHING), np.broadcast_to(expected, (COUNT, 2, 3)), rtol=1e-12
    )


def test_random_zoom_fills_its_range():
    matrices = random_matrices(AugmentConfig(scale=0.25, rotation=0, shift=0))
    assert 0.75 <= zooms(matrices).min() < 0.77
    assert 1.23 < zooms(matrices).max() <= 1.2501
    assert abs(zooms(matrices).mean() - 1) < 0.03


def test_random_rotation_fills_its_range_and_keeps_the_size():
    matrices = random_matrices(AugmentConfig(scale=0, rotation=40, rotation_probability=1, shift=0))
    assert -40 <= rotations(matrices).min() < -38
    assert 38 < rotations(matrices).max() <= 40.001
    assert abs(rotations(matrices).mean()) < 4
    np.testing.assert_allclose(zooms(matrices), 1, rtol=1e-12)


@pytest.mark.parametrize("probability", [0.0, 0.6, 1.0])
def test_random_rotation_turns_its_share(probability: float):
    config = AugmentConfig(scale=0, rotation=30, rotation_probability=probability, shift=0)
    turned = (np.abs(rotations(random_matrices(config))) > 1e-3).mean()
    assert abs(turned - probability) < (0.08 if 0 < probability < 1 else 1e-9)


def test_random_shift_fills_its_range_along_both_axes():
    matrices = random_matrices(AugmentConfig(scale=0, rotation=0, shift=0.1))
    inverse = geometry.invert_affine(matrices)
    centers = geometry.apply_affine(inverse, np.array([[31.5, 31.5]]))[:, 0]
    shifts = (centers - [100, 50]) / 500
    for axis in (0, 1):
        assert -0.1001 <= shifts[:, axis].min() < -0.095
        assert 0.095 < shifts[:, axis].max() <= 0.1001
    assert abs(np.corrcoef(shifts.T)[0, 1]) < 0.2


def test_random_changes_of_one_crop_are_independent():
    config = AugmentConfig(scale=0.3, rotation=40, rotation_probability=1, shift=0)
    matrices = random_matrices(config)
    assert abs(np.corrcoef(zooms(matrices), rotations(matrices))[0, 1]) < 0.2


# People cut off by a picture's border.


def half_bodies(share: float, **changes: np.ndarray) -> tuple[np.ndarray, ...]:
    """`half_body` of one person with joints at y = 100, 150, 200 and 300, of a picture 320 high."""
    given = {
        "center": np.array([[60.0, 200.0]]),
        "scale": np.array([1.2]),
        "points": np.array([[[40.0, 100], [60, 150], [80, 200], [70, 300]]]),
        "labelled": np.ones((1, 4), bool),
        "height": np.array([320]),
    }
    return augment.half_body(**{**given, **changes}, share=np.array([share]))


def test_half_body_is_golden():
    center, scale, points, height = half_bodies(0.75)
    # It ends at y = 250: three joints are left, from x 40 to 80.
    assert center.tolist() == [[60.0, 175.0]]
    np.testing.assert_allclose(scale, [150 / 200 / 0.9])
    assert points[0, :3].tolist() == [[40, 100], [60, 150], [80, 200]]
    assert (points[0, 3] == augment.FAR_AWAY).all()
    assert height.tolist() == [251]


@pytest.mark.parametrize(
    ("share", "changes"),
    [
        (1.0, {}),
        (0.4, {}),  # two joints would be left
        (0.75, {"labelled": np.array([[True, True, False, True]])}),
        (0.75, {"labelled": np.zeros((1, 4), bool)}),
        (0.75, {"height": np.array([250])}),  # the picture ends there already
    ],
)
def test_half_body_leaves_others_whole(share: float, changes: dict[str, np.ndarray]):
    center, scale, points, height = half_bodies(share, **changes)
    assert center.tolist() == [[60.0, 200.0]]
    assert scale.tolist() == [1.2]
    assert points[0].tolist() == [[40, 100], [60, 150], [80, 200], [70, 300]]
    assert height.tolist() == changes.get("height", np.array([320])).tolist()


def test_half_body_never_frames_less_than_its_share():
    _, scale, _, _ = half_bodies(0.75, scale=np.array([9.0]))
    np.testing.assert_allclose(scale, [9 * augment.TIGHTEST])
    _, scale, _, _ = half_bodies(0.75, scale=np.array([0.5]))
    assert scale.tolist() == [0.5]


def test_half_body_leaves_joints_without_label_alone():
    points = np.array([[[40.0, 100], [60, 150], [80, 200], [70, 300], [-1, -1]]])
    labelled = np.array([[True] * 4 + [False]])
    assert half_bodies(0.75, points=points, labelled=labelled)[2][0, 4].tolist() == [-1, -1]


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_random_half_body_cuts_its_share(probability: float):
    _, points, labelled = make_people()
    center, scale = np.full((COUNT, 2), 100.0), np.full(COUNT, 1.0)
    *_, cut, height = augment.random_half_body(
        center,
        scale,
        points,
        labelled,
        np.full(COUNT, 220),
        probability=probability,
        rng=generator(),
    )
    shorter = height < 220
    assert abs(shorter.mean() - probability) < 0.1
    np.testing.assert_array_equal(shorter, (cut == augment.FAR_AWAY).any(axis=(1, 2)))


# Colours.


@pytest.mark.parametrize(
    ("gain", "brightness", "expected"),
    [
        ((1.0, 1.0, 1.0), 0.0, (10, 100, 200)),
        ((2.0, 0.5, 1.25), 0.0, (20, 50, 250)),
        ((1.0, 1.0, 1.0), 0.1, (36, 126, 226)),  # 25.5 brighter: 35.5 rounds to even
        ((1.0, 1.0, 1.0), -0.2, (0, 49, 149)),
        ((0.0, 3.0, 2.0), 0.0, (0, 255, 255)),
        ((1.06, 1.006, 1.003), 0.0, (11, 101, 201)),  # rounded, not cut off
    ],
)
def test_colour_is_golden(gain: tuple[float, ...], brightness: float, expected: tuple[int, ...]):
    image = np.full((2, 3, 3), (10, 100, 200), np.uint8)
    (colours,) = augment.tint(np.array([gain]), np.array([brightness]))
    changed = augment.colour(image, colours)
    assert changed.dtype == np.uint8
    np.testing.assert_array_equal(changed, np.full((2, 3, 3), expected))


def test_colour_is_exact_for_every_value():
    image = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    rng = generator()
    for colours in augment.random_tint(100, config=AugmentConfig(colour=0.5), rng=rng):
        exact = np.clip(image @ colours[:, :3].T + colours[:, 3], 0, 255)
        assert np.abs(augment.colour(image, colours) - exact).max() < 0.5 + 1e-4


def test_colour_without_changes_keeps_every_value():
    image = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    (colours,) = augment.tint(np.ones((1, 3)), np.zeros(1))
    np.testing.assert_array_equal(augment.colour(image, colours), image)


def random_colours(value: int, config: AugmentConfig) -> np.ndarray:
    """What a pixel of one grey becomes in 300 crops, (300, 3)."""
    image = np.full((1, 1, 3), value, np.uint8)
    tints = augment.random_tint(COUNT, config=config, rng=generator())
    return np.array([augment.colour(image, colours)[0, 0] for colours in tints])


def test_random_tint_without_changes_keeps_the_picture():
    assert (random_colours(77, NOTHING) == 77).all()


def test_random_brightness_stays_within_half_the_range():
    black = random_colours(0, AugmentConfig(colour=0.4))  # the gain does not touch black
    assert 48 < black.max() <= 51  # 0.4 / 2 of 255
    assert (black == black[:, :1]).all()
    assert 0.4 < (black[:, 0] == 0).mean() < 0.6


def test_random_gain_stays_within_the_range_and_differs_between_channels():
    grey = random_colours(100, AugmentConfig(colour=0.2)).astype(int)
    assert 100 - 20 - 26 <= grey.min() < 70
    assert 130 < grey.max() <= 100 + 20 + 26
    assert abs(grey.mean() - 100) < 3
    gains = grey - grey.mean(axis=1, keepdims=True)
    assert np.abs(gains).max() > 10
    assert np.abs(gains).max() <= 27


# Hidden parts.


@pytest.mark.parametrize(
    ("center", "side", "hidden"),
    [
        ((2.0, 1.0), 3.0, [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)]),
        ((2.0, 1.0), 1.0, [(1, 2)]),
        ((1.5, 0.5), 2.0, [(0, 1), (0, 2), (1, 1), (1, 2)]),
        ((4.0, 2.0), 3.0, [(1, 3), (1, 4), (2, 3), (2, 4)]),  # half of it lies outside
        ((0.2, 0.0), 1.0, [(0, 0)]),
        ((2.0, 1.0), 0.0, []),
    ],
)
def test_cutout_is_golden(center: tuple[float, float], side: float, hidden: list[tuple[int, int]]):
    image = np.random.default_rng(1).integers(0, 100, (3, 5, 3), np.uint8)
    expected = image.copy()
    for row, column in hidden:
        expected[row, column] = geometry.FILL
    changed = augment.cutout(image, np.array([*center, side]))
    assert changed.dtype == np.uint8
    np.testing.assert_array_equal(changed, expected)


def random_cutouts(largest: float, *, size: int) -> np.ndarray:
    """Which pixels of a black crop 300 draws hide, (300, size, size) bool."""
    hidings = augment.random_hiding(COUNT, size=size, largest=largest, rng=generator())
    black = [np.zeros((size, size, 3), np.uint8) for _ in hidings]
    cut = np.array([augment.cutout(image, one) for image, one in zip(black, hidings, strict=True)])
    assert set(np.unique(cut)) <= {0, geometry.FILL}
    assert (cut == cut[..., :1]).all()
    return cut[..., 0] == geometry.FILL


def test_random_hiding_of_no_size_hides_nothing():
    assert not random_cutouts(0.0, size=16).any()


def test_random_hiding_hides_squares_up_to_its_largest_side():
    hidden = random_cutouts(0.5, size=20)
    rows, columns = hidden.any(axis=2).sum(axis=1), hidden.any(axis=1).sum(axis=1)
    assert (hidden.sum(axis=(1, 2)) == rows * columns).all()
    assert rows.max() == columns.max() == 10
    assert 0.5 < rows.mean() < 5.5


def test_random_hiding_reaches_every_pixel():
    assert random_cutouts(0.9, size=16).any(axis=0).all()


# Seeds.


def draw_flip(rng: np.random.Generator) -> np.ndarray:
    return augment.random_flip(*make_people(), size=64, skeleton=MPII, probability=0.5, rng=rng)[0]


def draw_matrices(rng: np.random.Generator) -> np.ndarray:
    center, scale = np.tile([100.0, 50.0], (9, 1)), np.full(9, 2.0)
    return augment.random_crop_matrices(center, scale, size=64, config=AugmentConfig(), rng=rng)


def draw_tint(rng: np.random.Generator) -> np.ndarray:
    return augment.random_tint(9, config=AugmentConfig(), rng=rng)


def draw_hiding(rng: np.random.Generator) -> np.ndarray:
    return augment.random_hiding(9, size=64, largest=0.5, rng=rng)


def draw_half_body(rng: np.random.Generator) -> np.ndarray:
    _, points, labelled = make_people()
    center, scale, height = np.full((COUNT, 2), 100.0), np.ones(COUNT), np.full(COUNT, 220)
    return augment.random_half_body(
        center, scale, points, labelled, height, probability=0.5, rng=rng
    )[3]


@pytest.mark.parametrize("draw", [draw_half_body, draw_flip, draw_matrices, draw_tint, draw_hiding])
def test_the_generator_decides(draw: Callable[[np.random.Generator], np.ndarray]):
    np.testing.assert_array_equal(draw(generator()), draw(generator()))
    assert (draw(generator()) != draw(generator(1))).any()


@pytest.mark.parametrize(
    ("choices", "reach"),
    [
        ({}, 0.5),
        ({"scale": 0.25}, 0.625),
        ({"shift": 0.1}, 0.6),
        ({"rotation": 45}, np.sqrt(0.5)),
        ({"rotation": 180}, np.sqrt(0.5)),
        ({"rotation": 30}, (np.sqrt(3) + 1) / 4),
        ({"rotation": 30, "rotation_probability": 0}, 0.5),
        ({"scale": 0.35, "shift": 0.06, "rotation": 40}, 1.35 * (0.70441 + 0.06)),
    ],
)
def test_no_crop_reaches_farther_than_is_said(choices: dict[str, float], reach: float):
    config = AugmentConfig(**{**vars(NOTHING), "rotation_probability": 1, **choices})
    assert augment.farthest_reach(config) == pytest.approx(reach, abs=1e-4)
    corners = np.array([[-0.5, -0.5], [63.5, -0.5], [-0.5, 63.5], [63.5, 63.5]])
    shown = np.stack(
        [
            geometry.apply_affine(geometry.invert_affine(matrix), corners)
            for matrix in random_matrices(config)
        ]
    )
    farthest = abs(shown - [100.0, 50.0]).max() / geometry.crop_side(2.0)
    assert farthest <= reach + 1e-4
    assert farthest >= 0.5 - 1e-6
