"""How training pictures change: each operation by hand, each random twin by its limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from hourglass import augment, geometry
from hourglass.config import AugmentConfig
from hourglass.skeleton import LEFT, MPII, RIGHT, Skeleton

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
SEEDS = [np.array([7, number]) for number in range(300)]

BothWays = Callable[..., Any]


def flip_stick(image: tf.Tensor, points: tf.Tensor, labelled: tf.Tensor) -> tuple[tf.Tensor, ...]:
    return augment.flip(image, points, labelled, skeleton=STICK)


def make_person(
    joints: int = 16, *, height: int = 20, width: int = 30
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A random picture, points and labels."""
    rng = np.random.default_rng(0)
    return (
        rng.integers(0, 256, (height, width, 3), np.uint8),
        rng.uniform(0, 20, (joints, 2)).astype(np.float32),
        rng.random(joints) < 0.6,
    )


def for_all_seeds(function: Callable[[tf.Tensor], tf.Tensor], dtype: tf.DType) -> np.ndarray:
    """What a function makes of each of `SEEDS`."""
    seeds = tf.constant(np.array(SEEDS))
    mapped = tf.function(lambda: tf.map_fn(function, seeds, fn_output_signature=dtype))
    return mapped().numpy()


def random_matrices(config: AugmentConfig) -> np.ndarray:
    """`random_crop_matrix` (300, 2, 3) of one person for 300 seeds."""
    center, scale = tf.constant([100.0, 50.0]), tf.constant(2.0)
    return for_all_seeds(
        lambda seed: augment.random_crop_matrix(center, scale, size=64, config=config, seed=seed),
        tf.float32,
    )


def zooms(matrices: np.ndarray) -> np.ndarray:
    """How much larger than the person's ROI (500 px onto 64) each crop is."""
    return 64 / 500 / np.sqrt(np.linalg.det(matrices[:, :, :2].astype(float)))


def rotations(matrices: np.ndarray) -> np.ndarray:
    """Degrees by which each matrix turns the content."""
    return np.rad2deg(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0]))


def test_flip_is_golden(both_ways: BothWays):
    image = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    points = np.array([[0, 0], [2, 1], [0.25, -0.5]], np.float32)
    labelled = np.array([True, False, True])
    flipped, moved, kept = both_ways(flip_stick, image, points, labelled)
    assert flipped.tolist() == [
        [[6, 7, 8], [3, 4, 5], [0, 1, 2]],
        [[15, 16, 17], [12, 13, 14], [9, 10, 11]],
    ]
    assert moved.tolist() == [[2.0, 0.0], [1.75, -0.5], [0.0, 1.0]]
    assert kept.tolist() == [True, True, False]


def test_flipping_twice_changes_nothing(both_ways: BothWays):
    person = make_person()

    def twice(*values: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return augment.flip(*augment.flip(*values, skeleton=MPII), skeleton=MPII)

    image, points, labelled = both_ways(twice, *person)
    np.testing.assert_array_equal(image, person[0])
    np.testing.assert_allclose(points, person[1], atol=1e-5)
    np.testing.assert_array_equal(labelled, person[2])


@pytest.mark.parametrize("width", [30, 31])
def test_a_flipped_point_shows_the_same_pixel(width: int):
    image, _, labelled = make_person(width=width)
    points = np.array([[joint, joint + 1] for joint in range(16)], np.float32)
    flipped, moved, _ = augment.flip(
        tf.constant(image), tf.constant(points), labelled, skeleton=MPII
    )
    for joint, name in enumerate(MPII.joints):
        side, _, part = name.partition("_")
        other = {"right": f"left_{part}", "left": f"right_{part}"}.get(side, name)
        x, y = moved.numpy()[MPII.index(other)].astype(int)
        assert flipped.numpy()[y, x].tolist() == image[joint + 1, joint].tolist()


def test_flip_swaps_the_labels_of_right_and_left():
    image, points, _ = make_person()
    labelled = np.array([name.startswith("right_") for name in MPII.joints])
    _, _, swapped = augment.flip(tf.constant(image), tf.constant(points), labelled, skeleton=MPII)
    assert [MPII.joints[joint] for joint in np.flatnonzero(swapped)] == [
        name for name in MPII.joints if name.startswith("left_")
    ]


@pytest.mark.parametrize(("probability", "flipped"), [(0.0, 0), (1.0, len(SEEDS))])
def test_random_flip_never_and_always(probability: float, flipped: int):
    assert count_flips(probability) == flipped


@pytest.mark.parametrize("probability", [0.25, 0.5])
def test_random_flip_flips_its_share(probability: float):
    assert abs(count_flips(probability) / len(SEEDS) - probability) < 0.08


def count_flips(probability: float) -> int:
    person = tuple(tf.constant(part) for part in make_person())

    def first_pixel(seed: tf.Tensor) -> tf.Tensor:
        image, _, _ = augment.random_flip(
            *person, skeleton=MPII, probability=probability, seed=seed
        )
        return image[0, 0]

    first = for_all_seeds(first_pixel, tf.uint8)
    return int((first == person[0][0, -1].numpy()).all(axis=1).sum())


@pytest.mark.parametrize("seed", SEEDS[:6])
def test_random_flip_is_flip_or_nothing_decided_by_the_seed(both_ways: BothWays, seed: np.ndarray):
    image, points, labelled = make_person(3)

    def random(*values: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return augment.random_flip(*values[:3], skeleton=STICK, probability=0.5, seed=values[3])

    first = both_ways(random, image, points, labelled, seed)
    again = both_ways(random, image, points, labelled, seed)
    flipped = both_ways(flip_stick, image, points, labelled)
    expected = flipped if (first[0] == flipped[0]).all() else [image, points, labelled]
    for one, other, right in zip(first, again, expected, strict=True):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(one, right)


@pytest.mark.parametrize("size", [96, 256])
@pytest.mark.parametrize("rotation", [0.0, 25.0, -140.0])
@pytest.mark.parametrize(
    ("center", "scale"), [((100.0, 50.0), 1.0), ((812.25, 333.5), 4.7), ((-20.5, 7.0), 0.3)]
)
def test_crop_matrix_is_geometrys(
    both_ways: BothWays, center: tuple[float, float], scale: float, rotation: float, size: int
):
    matrix = both_ways(
        lambda c, s, r: augment.crop_matrix(c, s, size=size, rotation=r),
        np.float32(center),
        np.float32(scale),
        np.float32(rotation),
    )
    expected = geometry.crop_matrix(np.array(center), scale, size=size, rotation=rotation)
    assert matrix.dtype == np.float32
    np.testing.assert_allclose(matrix, expected, rtol=2e-6, atol=2e-4)


def test_crop_matrix_by_default_changes_nothing():
    matrix = augment.crop_matrix(tf.constant([10.0, 20.0]), tf.constant(1.5), size=64)
    expected = geometry.crop_matrix(np.array([10.0, 20.0]), 1.5, size=64)
    np.testing.assert_allclose(matrix, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("zoom", [0.75, 1.0, 1.3])
def test_zoom_multiplies_the_crops_side(zoom: float):
    center = tf.constant([100.0, 50.0])
    matrix = augment.crop_matrix(center, tf.constant(2.0), size=64, zoom=zoom)
    expected = geometry.crop_matrix(center.numpy(), 2.0 * zoom, size=64)
    np.testing.assert_allclose(matrix, expected, rtol=1e-5)


@pytest.mark.parametrize(("zoom", "center"), [(1.0, (150.0, -50.0)), (2.0, (200.0, -150.0))])
def test_shift_moves_the_crop_by_shares_of_its_side(zoom: float, center: tuple[float, float]):
    matrix = augment.crop_matrix(
        tf.constant([100.0, 50.0]),
        tf.constant(2.0),  # the side is 500 px
        size=64,
        zoom=zoom,
        shift=tf.constant([0.1, -0.2]),
    )
    expected = geometry.crop_matrix(np.array(center), 2.0 * zoom, size=64)
    np.testing.assert_allclose(matrix, expected, rtol=1e-5, atol=1e-5)


def test_random_crop_matrix_without_changes_is_the_persons_own():
    expected = geometry.crop_matrix(np.array([100.0, 50.0]), 2.0, size=64)
    np.testing.assert_allclose(
        random_matrices(NOTHING), np.broadcast_to(expected, (300, 2, 3)), rtol=1e-5, atol=1e-5
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
    np.testing.assert_allclose(zooms(matrices), 1, rtol=1e-5)


@pytest.mark.parametrize("probability", [0.0, 0.6, 1.0])
def test_random_rotation_turns_its_share(probability: float):
    config = AugmentConfig(scale=0, rotation=30, rotation_probability=probability, shift=0)
    turned = (np.abs(rotations(random_matrices(config))) > 1e-3).mean()
    assert abs(turned - probability) < (0.08 if 0 < probability < 1 else 1e-9)


def test_random_shift_fills_its_range_along_both_axes():
    matrices = random_matrices(AugmentConfig(scale=0, rotation=0, shift=0.1))
    inverse = geometry.invert_affine(matrices.astype(float))
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


@pytest.mark.parametrize("seed", SEEDS[:3])
def test_random_crop_matrix_is_decided_by_the_seed(both_ways: BothWays, seed: np.ndarray):
    def random(center: tf.Tensor, scale: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return augment.random_crop_matrix(
            center, scale, size=64, config=AugmentConfig(rotation_probability=1), seed=seed
        )

    person = np.float32([100, 50]), np.float32(2)
    first = both_ways(random, *person, seed)
    np.testing.assert_array_equal(first, both_ways(random, *person, seed))
    assert np.abs(first - both_ways(random, *person, np.add(seed, (0, 1)))).max() > 1e-3
    assert np.abs(first - both_ways(random, *person, np.add(seed, (1, 0)))).max() > 1e-3


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
def test_colour_is_golden(
    both_ways: BothWays,
    gain: tuple[float, ...],
    brightness: float,
    expected: tuple[int, ...],
):
    image = np.full((2, 3, 3), (10, 100, 200), np.uint8)
    changed = both_ways(
        lambda i, g, b: augment.colour(i, gain=g, brightness=b),
        image,
        np.float32(gain),
        np.float32(brightness),
    )
    assert changed.dtype == np.uint8
    np.testing.assert_array_equal(changed, np.full((2, 3, 3), expected))


def test_colour_without_changes_keeps_every_value():
    image = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    changed = augment.colour(tf.constant(image), gain=tf.ones(3), brightness=0.0)
    np.testing.assert_array_equal(changed, image)


def random_colours(value: int, config: AugmentConfig) -> np.ndarray:
    """What a pixel of one grey becomes for 300 seeds, (300, 3)."""
    image = tf.fill((1, 1, 3), tf.constant(value, tf.uint8))
    return for_all_seeds(
        lambda seed: augment.random_colour(image, config=config, seed=seed)[0, 0], tf.uint8
    )


def test_random_colour_without_changes_keeps_the_picture():
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


@pytest.mark.parametrize("seed", SEEDS[:3])
def test_random_colour_is_decided_by_the_seed(both_ways: BothWays, seed: np.ndarray):
    image = make_person()[0]

    def random(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return augment.random_colour(image, config=AugmentConfig(colour=0.3), seed=seed)

    first = both_ways(random, image, seed)
    np.testing.assert_array_equal(first, both_ways(random, image, seed))
    assert (first != both_ways(random, image, np.add(seed, (0, 1)))).any()
    assert (first != both_ways(random, image, np.add(seed, (1, 0)))).any()


@pytest.mark.parametrize(
    ("center", "side", "hidden"),
    [
        ((2.0, 1.0), 3.0, [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)]),
        ((2.0, 1.0), 1.0, [(1, 2)]),
        ((1.5, 0.5), 2.0, [(0, 1), (0, 2), (1, 1), (1, 2)]),
        ((4.0, 2.0), 3.0, [(1, 3), (1, 4), (2, 3), (2, 4)]),  # half of it lies outside
        ((2.0, 1.0), 0.0, []),
    ],
)
def test_cutout_is_golden(
    both_ways: BothWays,
    center: tuple[float, float],
    side: float,
    hidden: list[tuple[int, int]],
):
    image = np.random.default_rng(1).integers(0, 100, (3, 5, 3), np.uint8)
    expected = image.copy()
    for row, column in hidden:
        expected[row, column] = geometry.FILL
    changed = both_ways(
        lambda i, c, s: augment.cutout(i, center=c, side=s),
        image,
        np.float32(center),
        np.float32(side),
    )
    assert changed.dtype == np.uint8
    np.testing.assert_array_equal(changed, expected)


def random_cutouts(largest: float, *, height: int, width: int) -> np.ndarray:
    """Which pixels of a black picture 300 seeds hide, (300, H, W) bool."""
    image = tf.zeros((height, width, 3), tf.uint8)
    cut = for_all_seeds(
        lambda seed: augment.random_cutout(image, largest=largest, seed=seed), tf.uint8
    )
    assert set(np.unique(cut)) <= {0, geometry.FILL}
    assert (cut == cut[..., :1]).all()
    return cut[..., 0] == geometry.FILL


def test_random_cutout_of_no_size_hides_nothing():
    assert not random_cutouts(0.0, height=16, width=16).any()


def test_random_cutout_hides_squares_up_to_its_largest_side():
    hidden = random_cutouts(0.5, height=20, width=20)
    rows, columns = hidden.any(axis=2).sum(axis=1), hidden.any(axis=1).sum(axis=1)
    assert (hidden.sum(axis=(1, 2)) == rows * columns).all()
    assert rows.max() == columns.max() == 10
    assert 0.5 < rows.mean() < 5.5


def test_random_cutout_reaches_every_pixel_of_a_wide_picture():
    hidden = random_cutouts(0.9, height=8, width=24)
    assert hidden.any(axis=0).all()


@pytest.mark.parametrize("seed", SEEDS[:3])
def test_random_cutout_is_decided_by_the_seed(both_ways: BothWays, seed: np.ndarray):
    image = np.zeros((64, 64, 3), np.uint8)

    def random(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return augment.random_cutout(image, largest=0.9, seed=seed)

    first = both_ways(random, image, seed)
    np.testing.assert_array_equal(first, both_ways(random, image, seed))
    assert (first != both_ways(random, image, np.add(seed, (0, 1)))).any()
    assert (first != both_ways(random, image, np.add(seed, (1, 0)))).any()
