"""Pictures from files, safely: all `media.kinds` become RGB, and a bad one says why it is.

Sizes are checked before pixels are decoded, so that a hostile file cannot fill the memory.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np
import simplejpeg
from loguru import logger
from PIL import ExifTags, Image, ImageOps
from PIL.JpegImagePlugin import JpegImageFile, get_sampling

from hourglass.core.errors import InputError
from hourglass.core.files import replacing
from hourglass.core.storage import Place, Url, is_url, place
from hourglass.media.depth import to_8_bits
from hourglass.media.kinds import NEEDS, kind_of, openable

MIN_SIDE = 16
"""Smallest side of a picture, px: below this no person can be told from noise."""

MAX_PIXELS = 150_000_000
"""Largest picture: more than any camera takes, and about half a gigabyte when decoded."""

MAX_SIDE = 65_500
"""Longest side of a picture, px: the JPEG format's own limit."""

JPEG_QUALITY = 95
"""Quality at which pictures of other kinds are stored."""

JPEG_BLOCK = 16
"""Side of the squares that a JPEG is made of, px: pixels of one never depend on another's, but for
colours, which some decoders smooth across."""

HEADER = 4096
"""Bytes of a file that tell its kind."""

LARGEST_DIVISOR = 255
"""Largest number in a table of quantisation that every decoder reads."""

DECODER_ERRORS = (
    OSError,
    SyntaxError,
    EOFError,
    ValueError,
    RuntimeError,
    LookupError,
    ArithmeticError,
    TypeError,
    AttributeError,
    AssertionError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""What Pillow's decoders raise on damaged bytes: each has kinds of its own."""

ORIENTATION = ExifTags.Base.Orientation
TURNED = frozenset(range(2, 9))
"""EXIF's orientations of pictures that are stored turned or mirrored."""

SIDEWAYS = frozenset({5, 6, 7, 8})
"""Those in which width and height change places."""


START_OF_SCAN, END_OF_IMAGE = b"\xff\xda", b"\xff\xd9"
"""JPEG's markers. Pillow passes a file whose end is lost, which other decoders then refuse."""


@dataclass(frozen=True)
class Jpeg:
    """A whole picture as RGB JPEG.

    Attributes:
        encoded: The file's bytes.
        height: px.
        width: px.
    """

    encoded: bytes
    height: int
    width: int


class Region(NamedTuple):
    """A part of a picture: its first pixels, and those after its last, px."""

    left: int
    top: int
    right: int
    bottom: int


class NoPictureError(InputError):
    """Bytes that are of no kind of picture that can be read."""


class TooLargeError(InputError):
    """A picture of more pixels, or bytes, than are taken."""


def read_picture(path: str | Place) -> np.ndarray:
    """A picture from a file, here or at a URL, turned as its EXIF data say.

    A JPEG whose data are corrupt in places is read as far as it can be, and a warning names it.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ValueError: If the file is missing, empty, damaged, not a picture, or of a size outside the
            limits; names the file.
    """
    return upright_picture(read_bytes(path), where=str(path))


def upright_picture(data: bytes, *, where: str, most_pixels: int = MAX_PIXELS) -> np.ndarray:
    """A picture from a file's bytes, turned as its EXIF data say; (H, W, 3) uint8 RGB.

    Raises:
        NoPictureError: If they are no picture.
        TooLargeError: If it has more than `most_pixels`; they are not decoded.
        ValueError: As `read_picture`.
    """
    image = opened(data, where)
    width, height = image.size
    if width * height > most_pixels:
        raise TooLargeError(
            f"{where}: picture is {width}×{height} pixels, at most {most_pixels} are taken"
        )
    _load(image, data, where)
    if corrupt := _corruption(image, data):
        logger.warning(f"{where}: read as far as it can be, its data are damaged ({corrupt})")
    ImageOps.exif_transpose(image, in_place=True)  # where nothing is turned, nothing is copied
    return np.asarray(to_rgb(image))


def as_picture(image: np.ndarray | Image.Image) -> np.ndarray:
    """A picture that a program holds, as (H, W, 3) uint8 RGB.

    Args:
        image: Such an array, which is handed back as it is; or a Pillow image of any mode, which
            is turned as its EXIF data say.

    Raises:
        ValueError: If it is something else.
    """
    if isinstance(image, Image.Image):
        try:
            return np.asarray(to_rgb(ImageOps.exif_transpose(image)))
        except DECODER_ERRORS as error:  # Pillow decodes a file's pixels only now
            raise InputError(f"the Pillow image cannot be decoded ({error})") from error
    if not isinstance(image, np.ndarray):
        raise InputError(
            "a picture must be an array (H, W, 3) uint8 RGB or a Pillow image, got "
            f"{type(image).__name__}; hourglass.read_picture reads one from a file"
        )
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise InputError(f"a picture must be (H, W, 3) uint8, got {image.shape} {image.dtype}")
    return image


def decode_picture(data: bytes, *, where: str) -> np.ndarray:
    """A picture from a file's bytes, pixels as stored; (H, W, 3) uint8 RGB.

    Raises:
        ValueError: As `read_picture`.
    """
    return np.asarray(to_rgb(_decode(data, where)))


def picture_size(path: str | Place) -> tuple[int, int]:
    """Width and height, px, of a picture turned as its EXIF data say; its pixels are not decoded.

    Raises:
        ValueError: As `read_picture`.
    """
    try:
        with _file(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            kinds = openable(file.read(HEADER))
            file.seek(0)
            with Image.open(file, formats=kinds) as image:
                width, height = image.size
                turned = _orientation(image) in SIDEWAYS
    except DECODER_ERRORS as error:
        raise InputError(f"{path}: picture cannot be read ({error})") from error
    return (height, width) if turned else (width, height)


def to_jpeg(data: bytes, *, where: str) -> Jpeg:
    """A picture's bytes as upright RGB JPEG: untouched if they are that already, else converted.

    The picture is decoded to its end either way, so that nothing damaged passes. What EXIF turns is
    turned: labels are made on upright pictures.

    Raises:
        ValueError: As `read_picture`.
    """
    image = opened(data, where)
    if image.format == "JPEG" and image.mode == "RGB" and not _is_turned(image):
        _require_sound(image, data, where)
        width, height = image.size
        return Jpeg(data, height, width)
    upright = to_rgb(ImageOps.exif_transpose(_decode(data, where)))
    out = io.BytesIO()
    upright.save(out, "JPEG", quality=JPEG_QUALITY)
    return Jpeg(out.getvalue(), upright.height, upright.width)


def cut_jpeg(data: bytes, regions: Sequence[Region], *, where: str) -> list[Jpeg]:
    """Parts of an upright picture as RGB JPEGs, pixels one to one; it is decoded once.

    An RGB JPEG's parts are encoded by its own tables and chroma sampling: where a region begins and
    ends at multiples of `JPEG_BLOCK`, or at the picture's end, hardly a number of them changes.

    Raises:
        ValueError: As `read_picture`.
    """
    image = _decode(data, where)
    if _is_turned(image):
        image = ImageOps.exif_transpose(image)
    options, pixels = _encoding(image), to_rgb(image)
    parts = []
    for region in regions:
        height, width = region.bottom - region.top, region.right - region.left
        parts.append(Jpeg(_encoded(pixels.crop(region), options), height, width))
    return parts


def _is_turned(image: Image.Image) -> bool:
    """Whether EXIF says that the picture, as stored, is turned or mirrored."""
    return _orientation(image) in TURNED


def _orientation(image: Image.Image) -> int | None:
    """EXIF's, without decoding pixels as PNG's own method would."""
    return Image.Image.getexif(image).get(ORIENTATION)


def _encoded(image: Image.Image, options: dict[str, Any]) -> bytes:
    """A JPEG with tables of its own for the entropy code, which saves some percent."""
    out = io.BytesIO()
    try:
        image.save(out, "JPEG", optimize=True, **options)
    except OSError:
        # For that Pillow needs the whole file in one buffer, which it makes too small for noise.
        out = io.BytesIO()
        image.save(out, "JPEG", **options)
    return out.getvalue()


def _encoding(image: Image.Image) -> dict[str, Any]:
    """How to encode a part of a picture: as the picture itself if it is an RGB JPEG."""
    if isinstance(image, JpegImageFile) and image.mode == "RGB":
        tables, sampling = image.quantization, get_sampling(image)
        in_order = sorted(tables) == list(range(len(tables)))
        if in_order and sampling >= 0 and max(map(max, tables.values())) <= LARGEST_DIVISOR:
            return {"qtables": tables, "subsampling": sampling}
    return {"quality": JPEG_QUALITY}


def _file(path: str | Place) -> BinaryIO:
    """A file to read; of one at a URL all is fetched."""
    where = place(path) if isinstance(path, str) and is_url(path) else path
    if isinstance(where, Url):
        return io.BytesIO(where.read_bytes())
    return cast(BinaryIO, open(where, "rb", buffering=0))


def read_bytes(path: str | Place) -> bytes:
    """A picture file's bytes.

    Raises:
        ValueError: If it is missing, empty or cannot be read.
    """
    try:
        with _file(path) as file:
            data = file.read()
    except OSError as error:
        raise InputError(f"{path}: picture cannot be read ({error.strerror})") from error
    except ValueError as error:  # such as a zero byte in it
        raise InputError(f"{str(path)!r}: no file can have this name ({error})") from error
    if not data:
        raise InputError(f"{path}: picture is empty (0 bytes)")
    return data


def _decode(data: bytes, where: str) -> Image.Image:
    """The picture, if all of its data are sound."""
    image = opened(data, where)
    _require_sound(image, data, where)
    _load(image, data, where)
    return image


def _require_sound(image: Image.Image, data: bytes, where: str) -> None:
    """Refuses a JPEG of which any part is damaged; other kinds show it when they are decoded."""
    _require_end(image, data, where)
    if corrupt := _corruption(image, data):
        raise InputError(f"{where}: picture is damaged ({corrupt})")


def _corruption(image: Image.Image, data: bytes) -> str | None:
    """What is wrong inside a JPEG, which Pillow passes over in silence."""
    if image.format not in ("JPEG", "MPO"):
        return None
    space = "CMYK" if image.mode == "CMYK" else "GRAY"
    try:
        # Every bit is decoded, but only every eighth pixel drawn.
        simplejpeg.decode_jpeg(data, space, fastdct=True, min_factor=8, strict=True)
    except ValueError as error:
        return str(error)
    return None


def _load(image: Image.Image, data: bytes, where: str) -> None:
    """Decodes the pixels of what `opened` gave."""
    _require_end(image, data, where)
    told = image.size
    try:
        image.load()
    except DECODER_ERRORS as error:
        raise InputError(f"{where}: picture is damaged ({error})") from error
    if image.size != told:
        raise InputError(f"{where}: picture is damaged (its header says {told}, not {image.size})")


def _require_end(image: Image.Image, data: bytes, where: str) -> None:
    end = data.rfind(END_OF_IMAGE)
    if image.format == "JPEG" and (end < 0 or START_OF_SCAN in data[end:]):
        raise InputError(f"{where}: picture is damaged (the JPEG has no end)")


def opened(data: bytes, where: str) -> Image.Image:
    """The picture's header, its size within the limits; its pixels are not decoded yet.

    Raises:
        ValueError: As `read_picture`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=openable(data))
    except Image.DecompressionBombError as error:
        raise TooLargeError(
            f"{where}: picture is larger than {MAX_PIXELS} pixels ({error})"
        ) from error
    except Image.UnidentifiedImageError as error:
        kind = kind_of(data)
        told = (
            f"a picture of kind {kind}; {NEEDS[kind]}" if kind else "not a picture that can be read"
        )
        raise NoPictureError(f"{where}: {told}") from error
    except DECODER_ERRORS as error:
        raise InputError(f"{where}: picture is damaged ({error})") from error
    _require_size(image, where)
    return image


def _require_size(image: Image.Image, where: str) -> None:
    width, height = image.size
    shortest, longest = sorted((width, height))
    if shortest < MIN_SIDE or longest > MAX_SIDE or width * height > MAX_PIXELS:
        kind = InputError if shortest < MIN_SIDE else TooLargeError
        raise kind(
            f"{where}: picture is {width}×{height} pixels, each side must be {MIN_SIDE} or more "
            f"and {MAX_SIDE} or less, and the area {MAX_PIXELS} or less"
        )


def to_rgb(image: Image.Image) -> Image.Image:
    """Of any mode; what can be seen through shows white."""
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(to_8_bits(np.asarray(image))).convert("RGB")
    if image.has_transparency_data:
        picture = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), picture).convert("RGB")
    return image.convert("RGB")


def save_picture(picture: np.ndarray, path: Place) -> None:
    """Writes (H, W, 3) uint8 RGB as the file's ending says.

    Raises:
        ValueError: If it cannot be written.
    """
    with replacing(path) as temporary:
        Image.fromarray(picture).save(temporary, quality=JPEG_QUALITY)
