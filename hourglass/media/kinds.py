"""Kinds of picture: which of them are opened, and what a kind needs that cannot be.

Pillow guesses a kind from a file's first bytes. Kinds that are not named here are never tried:
bytes that begin as PostScript would start Ghostscript.
"""

from __future__ import annotations

import functools
from pathlib import Path

from PIL import Image

OPENED = (
    *("AVIF", "BMP", "DIB", "GIF", "HEIF", "JPEG", "JPEG2000", "JXL"),
    *("PNG", "PPM", "QOI", "TIFF", "WEBP"),
)
"""Pillow's names; those that this Pillow lacks are left out. MPO files begin as JPEGs."""

ANIMATED_SUFFIXES = frozenset({".apng", ".avif", ".gif", ".png", ".webp"})
"""Endings of pictures that may move. Others hold pages or views, which are no film."""

HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
AVIF_BRANDS = frozenset({b"avif", b"avis"})
JPEG_XL_STARTS = (b"\xff\x0a", b"\x00\x00\x00\x0cJXL \r\n\x87\n")
JPEG_2000_STARTS = (b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  \r\n\x87\n")

HEIC, AVIF, JPEG_XL, JPEG_2000 = "HEIC", "AVIF", "JPEG XL", "JPEG 2000"

NEEDS = {
    HEIC: "pip install 'hourglass-pose[heic]' adds it",
    AVIF: "Pillow 11.3 or newer reads it",
    JPEG_XL: "this Pillow does not read it: save the picture as JPEG or PNG",
    JPEG_2000: "this Pillow was built without it: save the picture as JPEG or PNG",
}
"""What to do about a kind that cannot be opened."""


def openable(data: bytes) -> tuple[str, ...]:
    """The kinds, by Pillow's names, that a picture's bytes may be opened as."""
    if kind_of(data) == HEIC:
        _learn_heic()
    return tuple(kind for kind in OPENED if kind in _known())


def kind_of(data: bytes) -> str | None:
    """The kind of those that not every Pillow opens, by a file's first bytes; or None."""
    if data.startswith(JPEG_XL_STARTS):
        return JPEG_XL
    if data.startswith(JPEG_2000_STARTS):
        return JPEG_2000
    if data[4:8] != b"ftyp":
        return None
    size = int.from_bytes(data[:4], "big")
    brands = {data[8:12], *(data[place : place + 4] for place in range(16, min(size, 256), 4))}
    if brands & AVIF_BRANDS:
        return AVIF
    return HEIC if brands & HEIC_BRANDS else None


def is_animated(path: Path) -> bool:
    """Whether a picture file holds several pictures that follow each other in time."""
    if path.suffix.lower() not in ANIMATED_SUFFIXES:
        return False
    try:
        with Image.open(path, formats=[kind for kind in OPENED if kind in _known()]) as image:
            return bool(getattr(image, "is_animated", False))
    except Exception:  # a file that cannot be read is told of where it is read
        return False


def _known() -> frozenset[str]:
    Image.init()
    return frozenset(Image.OPEN)


@functools.cache
def _learn_heic() -> None:
    """Teaches Pillow HEIC, if the package for it is there."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return
    register_heif_opener()
