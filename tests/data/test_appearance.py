"""How training pictures look: each operation by hand, each random twin by its limits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from hourglass.data import appearance, augment

COUNT = 300


def generator(number: int = 0) -> np.random.Generator:
    return np.random.default_rng([7, number])


def noise(size: int = 64) -> np.ndarray:
    """A picture of smooth noise, so that no value is cut off."""
    rng = np.random.default_rng(1)
    return np.clip(rng.normal((120, 90, 140), (30, 20, 25), (size, size, 3)), 0, 255).astype(
        np.uint8
    )


def statistics(image: np.ndarray) -> np.ndarray:
    """(3, 2) mean and standard deviation along the opponent axes, of every pixel."""
    values = image.reshape(-1, 3) @ appearance.OPPONENT.T
    return np.stack([values.mean(axis=0), values.std(axis=0)], axis=-1)


# Colours of other pictures.


def test_the_opponent_axes_are_at_right_angles():
    np.testing.assert_allclose(appearance.OPPONENT @ appearance.OPPONENT.T, np.eye(3), atol=1e-12)


def test_restyle_gives_a_picture_the_statistics():
    style = np.array([[220.0, 40.0], [10.0, 15.0], [-5.0, 12.0]])
    image = noise(256)
    changed = augment.colour(image, appearance.restyle(image, style))
    np.testing.assert_allclose(statistics(changed), style, rtol=0.02, atol=0.7)


def test_restyle_by_a_pictures_own_statistics_changes_little():
    image = noise(256)
    changed = augment.colour(image, appearance.restyle(image, statistics(image)))
    assert np.abs(changed.astype(int) - image).max() <= 3


def test_restyle_without_a_style_is_the_identity():
    np.testing.assert_array_equal(appearance.restyle(noise(), appearance.NO_STYLE), np.eye(3, 4))


def test_restyle_of_a_plain_picture_shows_no_noise():
    image = np.full((32, 32, 3), 100, np.uint8)
    image[0, 0] = (101, 100, 99)
    style = np.array([[173.2, 90.0], [0.0, 30.0], [0.0, 30.0]])
    changed = augment.colour(image, appearance.restyle(image, style)).astype(int)
    assert np.abs(changed - changed[1, 1]).max() <= 2 * appearance.LARGEST_GAIN


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_random_style_restyles_its_share(probability: float):
    style = appearance.random_style(COUNT, probability=probability, rng=generator())
    assert style.shape == (COUNT, 3, 2)
    restyled = np.isfinite(style).all(axis=(1, 2))
    assert (restyled == np.isfinite(style).any(axis=(1, 2))).all()
    assert abs(restyled.mean() - probability) < 0.08


def test_random_styles_are_like_photographs():
    style = appearance.random_style(3000, probability=1, rng=generator())
    middle, spread = map(np.array, appearance.PHOTOGRAPHS["mean"])
    np.testing.assert_allclose(style[..., 0].mean(axis=0), middle, atol=4)
    np.testing.assert_allclose(style[..., 0].std(axis=0), spread, rtol=0.1)
    assert (style[..., 1] > 0).all()
    assert np.median(style[:, 0, 1]) == pytest.approx(95.6, rel=0.05)


def test_grey_is_golden():
    tints = augment.tint(np.array([[2.0, 1.0, 0.5]] * 2), np.array([0.1, 0.1]))
    plain, without = appearance.grey(tints, chosen=np.array([False, True]))
    np.testing.assert_array_equal(plain, tints[0])
    image = np.full((1, 1, 3), (20, 60, 100), np.uint8)
    # 0.299 * 40 + 0.587 * 60 + 0.114 * 50 + 25.5
    assert augment.colour(image, without)[0, 0].tolist() == [78, 78, 78]


def test_random_grey_takes_the_colour_of_its_share():
    tints = augment.tint(np.ones((COUNT, 3)), np.zeros(COUNT))
    for probability in (0.0, 0.4, 1.0):
        changed = appearance.random_grey(tints, probability=probability, rng=generator())
        grey = (changed == changed[:, :1]).all(axis=(1, 2))
        assert abs(grey.mean() - probability) < 0.08


def test_after_is_one_map_after_the_other():
    rng = generator()
    first, second = rng.normal(0, 1, (2, 3, 4))
    colour = rng.uniform(0, 255, 3)
    step = first[:, :3] @ colour + first[:, 3]
    expected = second[:, :3] @ step + second[:, 3]
    both = appearance.after(second, first)
    np.testing.assert_allclose(both[:, :3] @ colour + both[:, 3], expected)


# Copied parts.


@pytest.mark.parametrize(
    ("target", "source", "side", "corner", "from_corner"),
    [
        ((4, 4), (1, 1), 2.0, (3, 3), (0, 0)),
        ((4, 4), (1, 1), 2.9, (3, 3), (0, 0)),  # whole pixels only
        ((7.9, 0.1), (4, 4), 4.0, (4, 0), (2, 2)),  # moved into the picture
        ((4, 4), (5, 4), 4.0, (2, 2), (3, 2)),  # onto its own source
    ],
)
def test_paste_is_golden(
    target: tuple[float, float],
    source: tuple[float, float],
    side: float,
    corner: tuple[int, int],
    from_corner: tuple[int, int],
):
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    expected, length = image.copy(), int(side)
    (x, y), (from_x, from_y) = corner, from_corner
    expected[y : y + length, x : x + length] = image[
        from_y : from_y + length, from_x : from_x + length
    ]
    changed = appearance.paste(image, np.array([*target, *source, side]))
    np.testing.assert_array_equal(changed, expected)


def test_paste_of_no_size_copies_nothing():
    image = noise(8)
    np.testing.assert_array_equal(
        appearance.paste(image.copy(), np.array([1, 1, 5, 5, 0.9])), image
    )


def test_random_pasting_fills_its_range():
    pasting = appearance.random_pasting(COUNT, size=64, largest=0.25, rng=generator())
    assert 15.5 < pasting[:, 4].max() <= 16
    assert (pasting[:, :4] >= 0).all()
    assert 62 < pasting[:, :4].max() <= 64
    assert not appearance.random_pasting(9, size=64, largest=0, rng=generator())[:, 4].any()


# Blur and compression.


def test_no_damage_changes_nothing():
    image = noise()
    np.testing.assert_array_equal(appearance.damage(image.copy(), np.zeros(2)), image)


def test_blur_is_a_gaussian_and_keeps_the_mean():
    image = np.zeros((33, 33, 3), np.uint8)
    image[16, 16] = 255
    changed = appearance.damage(image, np.array([1.5, 0.0]))
    assert changed is image
    peak = changed[16, 16, 0]
    assert peak == pytest.approx(255 / (2 * np.pi * 1.5**2), abs=1)
    assert changed[16, 17:19, 0] == pytest.approx(peak * np.exp([-1 / 4.5, -4 / 4.5]), abs=1)
    np.testing.assert_array_equal(changed, changed[::-1, ::-1])


def test_compression_keeps_colours_and_loses_detail():
    image = noise()
    image[:, 32:] = (200, 30, 60)
    changed = appearance.damage(image.copy(), np.array([0.0, 20.0]))
    assert np.abs(changed[:, 48:].astype(int) - (200, 30, 60)).max() <= 8  # red stays red
    assert changed[:, :24].std() < 0.9 * image[:, :24].std()


def test_random_damage_damages_its_shares():
    damages = appearance.random_damage(COUNT, size=200, blur=0.3, jpeg=0.6, rng=generator())
    sigma, quality = damages.T
    assert abs((sigma > 0).mean() - 0.3) < 0.08
    assert abs((quality > 0).mean() - 0.6) < 0.08
    assert 1.9 < sigma.max() <= 2.0
    assert {quality[quality > 0].min(), quality.max()} == set(appearance.QUALITIES)
    assert not appearance.random_damage(9, size=200, blur=0, jpeg=0, rng=generator()).any()


# Seeds.


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng: np.nan_to_num(appearance.random_style(9, probability=0.5, rng=rng)),
        lambda rng: appearance.random_grey(
            np.tile(np.eye(3, 4), (9, 1, 1)), probability=0.5, rng=rng
        ),
        lambda rng: appearance.random_pasting(9, size=64, largest=0.5, rng=rng),
        lambda rng: appearance.random_damage(9, size=64, blur=0.5, jpeg=0.5, rng=rng),
    ],
)
def test_the_generator_decides(draw: Callable[[np.random.Generator], np.ndarray]):
    np.testing.assert_array_equal(draw(generator()), draw(generator()))
    assert (draw(generator()) != draw(generator(1))).any()
