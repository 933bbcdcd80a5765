"""How training pictures look: colours of other pictures, hidden parts, blur and compression.

The contract is `hourglass.data.augment`'s: a deterministic operation, and a thin random twin that
draws its numbers for N crops at once. Joints stay where they are.
"""

from __future__ import annotations

import cv2
import numpy as np

OPPONENT = np.array([[1, 1, 1], [1, 1, -2], [1, -1, 0]]) / np.sqrt([[3], [6], [2]])
"""From RGB to light, yellow against blue and red against green: the axes along which photographs'
colours hardly depend on each other (Ruderman et al., JOSA A 1998)."""

PHOTOGRAPHS = {
    "mean": ((197.0, 9.0, 3.0), (64.0, 17.0, 13.0)),
    "logarithm of the deviation": ((4.56, 2.84, 2.53), (0.26, 0.65, 0.67)),
}
"""Mean and standard deviation, over 1,400 photographs of people, of their statistics along
the axes of `OPPONENT`."""

LARGEST_GAIN = 3.0
"""What a style may multiply a channel by: a picture almost without colour holds only its noise."""

EVERY = 4
"""Pixels per step, along both axes, of those that a picture's statistics are taken from."""

LUMA = np.array([0.299, 0.587, 0.114])
"""How bright red, green and blue look (ITU-R BT.601)."""

LARGEST_BLUR = 0.01
"""Standard deviation, as a share of the crop's side: about what a small person's crop, enlarged
four times, lacks."""

QUALITIES = (15, 60)
"""Of JPEG: from artefacts that are hard to overlook to some that are hard to see."""

NO_STYLE = np.full((3, 2), np.nan)
"""What `restyle` takes for a picture that keeps its own."""


def restyle(image: np.ndarray, style: np.ndarray) -> np.ndarray:
    """The map of colours that gives a picture another one's statistics (Reinhard et al., 2001).

    Here along linear axes in place of their logarithmic ones, so that it is one matrix.

    Args:
        image: (H, W, 3) uint8.
        style: (3, 2) mean and standard deviation along `OPPONENT`; NaN changes nothing.

    Returns:
        (3, 4) float64, as of `augment.tint`.
    """
    if np.isnan(style).any():
        return np.eye(3, 4)
    mean, deviation = style.T
    sample = image[::EVERY, ::EVERY].reshape(-1, 3) @ OPPONENT.T
    gain = np.minimum(deviation / np.maximum(sample.std(axis=0), 1e-3), LARGEST_GAIN)
    linear = OPPONENT.T @ (gain[:, None] * OPPONENT)
    offset = OPPONENT.T @ (mean - gain * sample.mean(axis=0))
    return np.concatenate([linear, offset[:, None]], axis=1)


def random_style(count: int, *, probability: float, rng: np.random.Generator) -> np.ndarray:
    """Statistics like photographs' for a share `probability` of the crops, (N, 3, 2)."""
    draws = rng.standard_normal((2, count, 3))
    mean, deviation = (
        middle + spread * draw
        for (middle, spread), draw in zip(map(np.array, PHOTOGRAPHS.values()), draws, strict=True)
    )
    chosen = rng.random(count) < probability
    style = np.stack([mean, np.exp(deviation)], axis=-1)
    return np.where(chosen[:, None, None], style, np.nan)


def grey(colours: np.ndarray, *, chosen: np.ndarray) -> np.ndarray:
    """Takes the colour out of maps of colours.

    Args:
        colours: (N, 3, 4), as of `augment.tint`.
        chosen: (N,) bool, which.
    """
    return np.where(chosen[:, None, None], (LUMA @ colours)[:, None], colours)


def random_grey(colours: np.ndarray, *, probability: float, rng: np.random.Generator) -> np.ndarray:
    """`grey` for a share `probability` of the crops."""
    return grey(colours, chosen=rng.random(len(colours)) < probability)


def after(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """One map of colours (3, 4) for two, of which `first` comes first."""
    return second[:, :3] @ first + np.pad(second[:, 3:], ((0, 0), (3, 0)))


def paste(image: np.ndarray, pasting: np.ndarray) -> np.ndarray:
    """Copies a square of the picture to another place of it, in place.

    What looks like a joint is then not always one, and a joint not always seen (keypoint masking,
    Ke et al., ECCV 2018).

    Args:
        image: (H, W, 3) uint8.
        pasting: (5,) centres (x, y) of the target and of the source, and the side, px; both squares
            are moved into the picture. A side below 1 copies nothing.
    """
    side = int(pasting[4])
    if side < 1:
        return image
    limits = np.array(image.shape[1::-1]) - side
    corners = np.clip(np.rint(pasting[:4].reshape(2, 2) - side / 2), 0, limits).astype(int)
    (x, y), (from_x, from_y) = corners
    image[y : y + side, x : x + side] = image[from_y : from_y + side, from_x : from_x + side].copy()
    return image


def random_pasting(
    count: int, *, size: int, largest: float, rng: np.random.Generator
) -> np.ndarray:
    """What `paste` copies: squares anywhere, of sides up to `largest`, a share of the crops'."""
    return size * rng.random((count, 5)) * [1.0, 1.0, 1.0, 1.0, largest]


def damage(image: np.ndarray, damages: np.ndarray) -> np.ndarray:
    """Blurs a picture and compresses it, in place.

    Args:
        image: (H, W, 3) uint8 RGB.
        damages: (2,) standard deviation of the blur, px, and quality of the JPEG; 0 for none.
    """
    sigma, quality = damages
    if sigma > 0:
        cv2.GaussianBlur(image, (0, 0), sigma, dst=image)
    if quality > 0:
        options = [cv2.IMWRITE_JPEG_QUALITY, int(quality)]
        _, encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
        cv2.cvtColor(cv2.imdecode(encoded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB, dst=image)
    return image


def random_damage(
    count: int, *, size: int, blur: float, jpeg: float, rng: np.random.Generator
) -> np.ndarray:
    """(N, 2) as `damage`'s: a share `blur` of the crops is blurred, a share `jpeg` compressed."""
    chosen = rng.random((count, 2)) < (blur, jpeg)
    sigma = rng.uniform(0, LARGEST_BLUR * size, count)
    quality = rng.integers(*QUALITIES, count, endpoint=True)
    return np.where(chosen, np.stack([sigma, quality], axis=-1), 0.0)
