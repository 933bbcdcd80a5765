"""Pictures, of every kind that is opened, whose bytes changed: seen, or named in a line."""

from __future__ import annotations

import io
import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hourglass.core.errors import InputError
from hourglass.media.motion import Motion
from hourglass.media.pictures import picture_size, read_picture, to_jpeg

LONGEST = 20.0
"""Seconds of processor time after which a small file is taken for one that hangs its decoder."""

WIDTH, HEIGHT = 64, 48


def picture(number: int = 0) -> Image.Image:
    """Neither flat nor noise, so that every decoder has something to do."""
    x, y = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    waves = [127 + 120 * np.sin((x * a + y * b + number) / 9) for a, b in ((1, 2), (3, 1), (2, 5))]
    return Image.fromarray(np.stack(waves, -1).astype(np.uint8))


def encoded(kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    picture().save(out, kind, **options)
    return out.getvalue()


def encoded_heif() -> bytes:
    pytest.importorskip("pillow_heif").register_heif_opener()
    return encoded("HEIF")


def moving(kind: str) -> bytes:
    others = [picture(number) for number in range(1, 4)]
    return encoded(kind, save_all=True, append_images=others, duration=40)


KINDS: dict[str, Callable[[], bytes]] = {
    "JPEG": lambda: encoded("JPEG", quality=90),
    "progressive JPEG": lambda: encoded("JPEG", progressive=True),
    "PNG": lambda: encoded("PNG"),
    "GIF": lambda: moving("GIF"),
    "BMP": lambda: encoded("BMP"),
    "PPM": lambda: encoded("PPM"),
    "TIFF": lambda: encoded("TIFF", compression="tiff_lzw"),
    "WEBP": lambda: moving("WEBP"),
    "QOI": lambda: encoded("QOI"),
    "JPEG2000": lambda: encoded("JPEG2000"),
    "AVIF": lambda: encoded("AVIF"),
    "HEIF": encoded_heif,
}


def seen(path: Path) -> None:
    """As `predict` sees it."""
    pixels = read_picture(path)
    assert (pixels.dtype, pixels.ndim, pixels.shape[2]) == (np.uint8, 3, 3)
    assert picture_size(path) == (pixels.shape[1], pixels.shape[0])


def stored(path: Path) -> None:
    """As the builder stores it: every decoder reads that."""
    jpeg = to_jpeg(path.read_bytes(), where=str(path))
    with Image.open(io.BytesIO(jpeg.encoded)) as image:
        assert (image.mode, image.size) == ("RGB", (jpeg.width, jpeg.height))
        image.load()


def played(path: Path) -> None:
    """As a film."""
    for pixels, seconds in Motion(path):
        assert pixels.dtype == np.uint8
        assert seconds > 0


def told_of(read: Callable[[Path], None], path: Path) -> str | None:
    """The one error that a user is shown, or None."""
    try:
        read(path)
    except InputError as error:
        return str(error)
    return None


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # of what it passes over
@pytest.mark.parametrize("count", [20, pytest.param(300, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_spoilt_picture_is_seen_or_named(
    kind: str, count: int, tmp_path: Path, spoil: Callable[..., bytes]
):
    try:
        data = KINDS[kind]()
    except (KeyError, OSError):
        pytest.skip("this Pillow does not write it")
    rng, path = random.Random(count), tmp_path / "a.picture"
    refused = 0
    for number in range(-1, count):
        path.write_bytes(spoil(data, rng) if number >= 0 else data)
        for read in (seen, stored, played):
            began = time.process_time()
            told = told_of(read, path)
            assert told is None or (number >= 0 and "a.picture" in told), (number, told)
            refused += told is not None
            assert time.process_time() - began < LONGEST
    assert refused
