"""Pictures from files: their colours are kept, and damaged or hostile ones are refused by name."""

from __future__ import annotations

import io
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loguru import logger
from PIL import Image

from hourglass.media.pictures import (
    JPEG_QUALITY,
    MAX_PIXELS,
    MIN_SIDE,
    NoPictureError,
    Region,
    cut_jpeg,
    decode_picture,
    picture_size,
    read_bytes,
    read_picture,
    to_jpeg,
    upright_picture,
)

HEIGHT, WIDTH = 48, 64
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def encode(image: Image.Image | np.ndarray, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(out, kind, **options)
    return out.getvalue()


def flat(mode: str, colour: Any, kind: str = "PNG", **options: Any) -> bytes:
    """A picture of one colour."""
    return encode(Image.new(mode, (WIDTH, HEIGHT), colour), kind, **options)


def gradient() -> np.ndarray:
    """(48, 64, 3) uint8, smooth, with another colour in every corner."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack([4 * x, 5 * y, x + y], axis=-1).astype(np.uint8)


def noise(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def png_chunk(name: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def png_start(width: int, height: int, *, bits: int = 8, colour: int = 2) -> bytes:
    """Signature and header of a PNG of any size; a colour of 2 is RGB."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return PNG_SIGNATURE + png_chunk(b"IHDR", header)


def png_of_size(width: int, height: int) -> bytes:
    """A PNG that claims this size and holds next to nothing."""
    return png_start(width, height) + png_chunk(b"IDAT", b"\x78\x9c") + png_chunk(b"IEND", b"")


def only_colour(data: bytes) -> list[int]:
    """The colour (3,) of a picture of one colour."""
    picture = decode_picture(data, where="flat")
    assert picture.shape == (HEIGHT, WIDTH, 3)
    assert picture.dtype == np.uint8
    assert (picture == picture[0, 0]).all()
    return picture[0, 0].tolist()


# Decoding


def test_pixels_of_a_lossless_picture_are_kept():
    np.testing.assert_array_equal(
        decode_picture(encode(noise(), "PNG"), where="noise.png"), noise()
    )


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("RGB", (255, 0, 10), [255, 0, 10]),
        ("L", 77, [77, 77, 77]),
        ("1", 1, [255, 255, 255]),
        ("P", 0, [0, 0, 0]),
        ("I;16", 0xFFFF, [255, 255, 255]),
        ("I;16", 0x8040, [128, 128, 128]),
        ("I;16", 0x40FF, [65, 65, 65]),
        ("RGBA", (10, 200, 30, 255), [10, 200, 30]),
        ("RGBA", (10, 200, 30, 0), [255, 255, 255]),
        ("RGBA", (0, 200, 255, 51), [204, 244, 255]),
        ("LA", (77, 255), [77, 77, 77]),
        ("LA", (77, 0), [255, 255, 255]),
    ],
)
def test_every_kind_of_png_becomes_rgb(mode: str, colour: Any, expected: list[int]):
    assert only_colour(flat(mode, colour)) == expected


def test_the_colours_of_a_palette():
    image = Image.new("P", (WIDTH, HEIGHT), 2)
    image.putpalette([1, 2, 3, 40, 50, 60, 250, 120, 7])
    assert only_colour(encode(image, "PNG")) == [250, 120, 7]


def test_a_transparent_palette_colour_becomes_white():
    image = Image.new("P", (WIDTH, HEIGHT), 1)
    image.putpalette([1, 2, 3, 40, 50, 60])
    assert only_colour(encode(image, "PNG", transparency=1)) == [255, 255, 255]
    assert only_colour(encode(image, "PNG", transparency=0)) == [40, 50, 60]


def test_16_bits_per_colour_are_scaled():
    row = b"\0" + np.array([0x8040, 0xFFFF, 0x01FF], ">u2").tobytes() * WIDTH
    data = (
        png_start(WIDTH, HEIGHT, bits=16)
        + png_chunk(b"IDAT", zlib.compress(row * HEIGHT))
        + png_chunk(b"IEND", b"")
    )
    assert only_colour(data) == [128, 255, 1]


def test_12_bits_in_16_are_not_taken_for_black():
    ramp = np.tile(np.linspace(0, 0xFFF, WIDTH).astype(np.uint16), (HEIGHT, 1))
    picture = decode_picture(encode(Image.fromarray(ramp), "PNG"), where="a.png")
    expected = np.round(ramp * (255 / 0xFFF)).astype(int)
    assert np.abs(picture.astype(int) - expected[..., None]).max() == 0


@pytest.mark.parametrize(
    ("values", "highest"),
    [
        (np.float32, 1.0),
        (np.float32, 255.0),
        (np.float32, 65535.0),
        (np.int32, 255),
        (np.int32, 4095),
        (np.int32, 2**31 - 1),
    ],
)
def test_pictures_of_numbers_show_what_8_bits_show(values: Any, highest: float):
    plain = gradient()[..., 0]
    numbers = (plain.astype(np.float64) * highest / plain.max()).astype(values)
    picture = decode_picture(encode(Image.fromarray(numbers), "TIFF"), where="a.tif")
    # White is the largest number of as many bits.
    expected = plain * (255 / plain.max())
    assert np.abs(picture.astype(float) - expected[..., None]).max() <= 1


def test_numbers_below_zero_and_none_at_all_make_a_picture():
    numbers = np.tile(np.linspace(-2, 3, WIDTH).astype(np.float32), (HEIGHT, 1))
    picture = decode_picture(encode(Image.fromarray(numbers), "TIFF"), where="a.tif")
    assert picture.min() == 0
    assert picture.max() == 255
    numbers[0, 0] = np.nan
    assert decode_picture(encode(Image.fromarray(numbers), "TIFF"), where="a.tif").max() == 255
    nothing = Image.fromarray(np.zeros((HEIGHT, WIDTH), np.float32))
    assert decode_picture(encode(nothing, "TIFF"), where="a.tif").max() == 0


def test_16_bits_of_another_kind_are_scaled():
    """Netpbm's files have their highest byte first."""
    pixels = np.full((HEIGHT, WIDTH), 0x8040, ">u2").tobytes()
    header = f"P5 {WIDTH} {HEIGHT} 65535\n".encode()
    assert only_colour(header + pixels) == [128, 128, 128]


@pytest.mark.parametrize(
    ("colour", "expected"),
    [
        ((0, 255, 255, 0), [255, 0, 0]),
        ((255, 0, 255, 0), [0, 255, 0]),
        ((0, 0, 0, 255), [0, 0, 0]),
        ((0, 0, 0, 0), [255, 255, 255]),
    ],
)
def test_inks_become_colours(colour: tuple[int, ...], expected: list[int]):
    assert only_colour(flat("CMYK", colour, "JPEG")) == expected


def test_a_gray_jpeg_becomes_rgb():
    assert only_colour(flat("L", 77, "JPEG")) == [77, 77, 77]


# Kinds


@pytest.mark.parametrize("kind", ["AVIF", "HEIF", "JPEG2000", "MPO"])
def test_phones_and_scanners_pictures_are_read(kind: str):
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    if kind not in Image.SAVE and kind not in Image.SAVE_ALL:
        Image.init()
    if kind not in Image.SAVE:
        pytest.skip(f"this Pillow writes no {kind}")
    more = {"save_all": True, "append_images": [Image.new("RGB", (WIDTH, HEIGHT))]}
    data = encode(gradient(), kind, **(more if kind == "MPO" else {}))
    picture = decode_picture(data, where="photo")
    assert np.abs(picture.astype(int) - gradient()).mean() < 8


def heic_start() -> bytes:
    return b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (heic_start(), r"a picture of kind HEIC; pip install 'hourglass-pose\[heic\]' adds it"),
        (b"\xff\x0a" + bytes(50), "a picture of kind JPEG XL; this Pillow does not read it"),
        (b"\0\0\0\x1cftypavif\0\0\0\0" + bytes(60), "a picture of kind AVIF; Pillow 11.3 or newer"),
    ],
    ids=["heic", "jxl", "avif"],
)
def test_a_kind_that_needs_more_says_what(monkeypatch: pytest.MonkeyPatch, data: bytes, told: str):
    Image.init()
    for kind in ("HEIF", "JXL", "AVIF"):
        monkeypatch.delitem(Image.OPEN, kind, raising=False)
    monkeypatch.setattr("hourglass.media.kinds._learn_heic", lambda: None)
    with pytest.raises(NoPictureError, match=rf"^a\.pic: {told}"):
        decode_picture(data, where="a.pic")


def test_postscript_is_not_given_to_its_interpreter(monkeypatch: pytest.MonkeyPatch):
    def start(*words: object, **options: object) -> None:
        raise AssertionError("a program was started")

    monkeypatch.setattr("subprocess.Popen", start)
    monkeypatch.setattr("subprocess.check_call", start)
    data = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 48\n%%EndComments\nshowpage\n%%EOF\n"
    with pytest.raises(NoPictureError, match="not a picture that can be read"):
        decode_picture(data, where="a.jpg")


# To JPEG


@pytest.mark.parametrize(
    "options",
    [{"quality": 30}, {"progressive": True}, {"quality": 95, "subsampling": 0}],
)
def test_an_rgb_jpeg_is_left_untouched(options: dict[str, Any]):
    data = encode(noise(), "JPEG", **options)
    jpeg = to_jpeg(data, where="noise.jpg")
    assert jpeg.encoded == data
    assert (jpeg.height, jpeg.width) == (HEIGHT, WIDTH)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_what_exif_turns_is_turned(kind: str, orientation: int, tmp_path: Path):
    data = encode(gradient(), kind, exif=turned(orientation))
    jpeg = to_jpeg(data, where="turned.jpg")
    upright = upright_picture(data, where="turned.jpg")
    assert (jpeg.height, jpeg.width) == upright.shape[:2]
    stored = decode_picture(jpeg.encoded, where="stored.jpg")
    assert np.abs(stored.astype(int) - upright).max() < 12
    np.testing.assert_array_equal(upright_picture(jpeg.encoded, where="stored.jpg"), stored)
    (tmp_path / "turned").write_bytes(data)
    assert picture_size(tmp_path / "turned") == (jpeg.width, jpeg.height)


def test_an_upright_jpeg_with_exif_is_left_untouched():
    data = encode(noise(), "JPEG", exif=turned(1))
    assert to_jpeg(data, where="upright.jpg").encoded == data


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_broken_exif_turns_nothing(tmp_path: Path):
    exif = b"Exif\0\0II*\0\xff\xff\xff\xff"
    data = encode(noise(), "JPEG", exif=exif)
    assert to_jpeg(data, where="broken.jpg").encoded == data
    (tmp_path / "broken.jpg").write_bytes(data)
    assert picture_size(tmp_path / "broken.jpg") == (WIDTH, HEIGHT)


def test_parts_are_cut_of_the_upright_picture():
    picture = np.zeros((96, 160, 3), np.uint8)
    picture[:32, 128:] = 255  # upper right as stored, lower right once turned clockwise
    data = encode(picture, "JPEG", exif=turned(6))
    white, black = cut_jpeg(
        data, [Region(64, 128, 96, 160), Region(0, 0, 64, 128)], where="turned.jpg"
    )
    assert (white.height, white.width, black.height, black.width) == (32, 32, 128, 64)
    assert decode_picture(white.encoded, where="white").min() > 240
    assert decode_picture(black.encoded, where="black").max() < 15


def test_a_size_of_what_is_no_picture(tmp_path: Path):
    path = tmp_path / "notes.jpg"
    path.write_bytes(b"no picture")
    with pytest.raises(ValueError, match=rf"^{re.escape(str(path))}: picture cannot be read"):
        picture_size(path)
    with pytest.raises(ValueError, match="picture cannot be read"):
        picture_size(tmp_path / "missing.jpg")


def pillow_reads(data: bytes) -> bool:
    """Whether Pillow alone finds nothing wrong, at the scale at which pictures are checked."""
    image = Image.open(io.BytesIO(data))
    image.draft(None, (1, 1))
    try:
        image.load()
    except OSError:
        return False
    return True


def test_the_end_of_a_jpegs_thumbnail_is_not_its_own():
    thumbnail = encode(noise(16, 16), "JPEG")
    segment = b"\xff\xe7" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    rng = np.random.default_rng(0)
    pictures = (encode(rng.integers(0, 256, (200, 200, 3), np.uint8), "JPEG") for _ in range(100))
    wholes = (picture[:2] + segment + picture[2:] for picture in pictures)
    data = next(whole for whole in wholes if pillow_reads(whole[:-2]))
    assert to_jpeg(data, where="a.jpg").encoded == data
    with pytest.raises(ValueError, match=r"a\.jpg: picture is damaged \(the JPEG has no end\)"):
        to_jpeg(data[:-2], where="a.jpg")


def test_bytes_after_a_jpegs_end_do_not_matter():
    """Cameras add previews and notes there."""
    data = encode(noise(), "JPEG") + b"note " * 20
    assert to_jpeg(data, where="noted.jpg").encoded == data


def alpha_gradient() -> Image.Image:
    image = Image.fromarray(gradient()).convert("RGBA")
    image.putalpha(255)
    return image


@pytest.mark.parametrize(
    "data",
    [
        encode(gradient(), "PNG"),
        encode(gradient(), "BMP"),
        encode(gradient(), "TIFF"),
        encode(alpha_gradient(), "PNG"),
    ],
    ids=["png", "bmp", "tiff", "png with alpha"],
)
def test_other_pictures_become_jpegs_of_the_same_pixels(data: bytes):
    jpeg = to_jpeg(data, where="gradient")
    assert (jpeg.height, jpeg.width) == (HEIGHT, WIDTH)
    image = Image.open(io.BytesIO(jpeg.encoded))
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (WIDTH, HEIGHT))
    away = np.asarray(image).astype(int) - gradient()
    assert np.abs(away).mean() < 2
    assert np.abs(away).max() < 16


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (flat("L", 77, "JPEG"), [77, 77, 77]),
        (flat("CMYK", (0, 255, 255, 0), "JPEG"), [255, 0, 0]),
        (flat("I;16", 0x8040), [128, 128, 128]),
        (flat("RGBA", (10, 200, 30, 0)), [255, 255, 255]),
    ],
    ids=["gray jpeg", "cmyk jpeg", "16 bits", "transparent"],
)
def test_the_colours_of_a_converted_picture(data: bytes, expected: list[int]):
    image = Image.open(io.BytesIO(to_jpeg(data, where="flat").encoded))
    assert image.mode == "RGB"
    np.testing.assert_allclose(np.asarray(image)[10, 10], expected, atol=2)


def test_pictures_are_converted_at_quality_95():
    expected = Image.open(io.BytesIO(encode(gradient(), "JPEG", quality=95)))
    converted = Image.open(
        io.BytesIO(to_jpeg(encode(gradient(), "PNG"), where="gradient.png").encoded)
    )
    assert JPEG_QUALITY == 95
    assert converted.quantization == expected.quantization


def test_the_same_picture_is_converted_to_the_same_bytes():
    one, other = (to_jpeg(encode(noise(), "PNG"), where="noise.png") for _ in range(2))
    assert one == other


def photograph() -> np.ndarray:
    """(96, 128, 3) uint8, as smooth as most of a photograph is."""
    y, x = np.mgrid[:96, :128]
    waves = 128 + 60 * np.sin(x / 9) * np.cos(y / 7)
    return np.stack([2 * x, waves, 255 - waves], axis=-1).astype(np.uint8)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    error = np.mean(np.square(one.astype(float) - other))
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("quality", [60, 80, 95])
def test_a_part_of_a_jpeg_is_encoded_as_the_whole_is(quality: int, subsampling: int):
    data = encode(photograph(), "JPEG", quality=quality, subsampling=subsampling)
    region = Region(32, 16, 96, 96)
    (part,) = cut_jpeg(data, [region], where="a.jpg")
    assert (part.width, part.height) == (64, 80)
    before, after = (Image.open(io.BytesIO(one)) for one in (data, part.encoded))
    assert after.size == (64, 80)
    assert after.quantization == before.quantization
    assert [layer[1:3] for layer in after.layer] == [layer[1:3] for layer in before.layer]
    assert psnr(np.asarray(before.crop(region)), np.asarray(after)) > 45


def test_parts_of_other_pictures_are_of_quality_95():
    region = Region(5, 3, 69, 83)
    (part,) = cut_jpeg(encode(photograph(), "PNG"), [region], where="a.png")
    image = Image.open(io.BytesIO(part.encoded))
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (64, 80))
    converted = Image.open(io.BytesIO(encode(photograph(), "JPEG", quality=JPEG_QUALITY)))
    assert image.quantization == converted.quantization
    assert psnr(photograph()[3:83, 5:69], np.asarray(image)) > 35


def test_parts_come_in_their_regions_order():
    regions = [Region(0, 0, 16, 32), Region(64, 32, 128, 96), Region(0, 0, 16, 32)]
    parts = cut_jpeg(encode(photograph(), "JPEG"), regions, where="a.jpg")
    assert [(part.width, part.height) for part in parts] == [(16, 32), (64, 64), (16, 32)]
    assert parts[0] == parts[2]


def test_a_part_of_a_damaged_picture_is_refused():
    data = encode(noise(), "JPEG")
    with pytest.raises(ValueError, match=r"a\.jpg: picture is damaged \("):
        cut_jpeg(data[: len(data) // 2], [Region(0, 0, 16, 16)], where="a.jpg")


def test_a_side_longer_than_a_jpeg_may_have():
    data = encode(np.zeros((65_501, MIN_SIDE, 3), np.uint8), "PNG")
    with pytest.raises(ValueError, match=r"^long\.png: picture is 16×65501 pixels"):
        to_jpeg(data, where="long.png")


# From a file


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        (1, lambda picture: picture),
        (2, lambda picture: picture[:, ::-1]),
        (3, lambda picture: picture[::-1, ::-1]),
        (6, lambda picture: np.rot90(picture, -1)),
        (8, lambda picture: np.rot90(picture)),
    ],
)
def test_a_photograph_is_turned_as_its_exif_says(tmp_path: Path, orientation: int, turn: Any):
    path = tmp_path / "photo.png"
    path.write_bytes(encode(noise(), "PNG", exif=turned(orientation)))
    np.testing.assert_array_equal(read_picture(path), turn(noise()))


def test_decoding_leaves_the_orientation_alone():
    data = encode(noise(), "PNG", exif=turned(6))
    np.testing.assert_array_equal(decode_picture(data, where="photo.png"), noise())


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_broken_exif_does_not_spoil_a_picture(tmp_path: Path):
    data, exif = encode(noise(), "JPEG"), b"Exif\0\0II*\0\xff\xff\xff\xff"
    path = tmp_path / "photo.jpg"
    path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:])
    np.testing.assert_array_equal(read_picture(path), decode_picture(data, where="photo.jpg"))


@pytest.mark.parametrize("name", ["text", "path"])
def test_a_path_may_be_text(tmp_path: Path, name: str):
    path = tmp_path / "noise.png"
    path.write_bytes(encode(noise(), "PNG"))
    np.testing.assert_array_equal(read_picture(str(path) if name == "text" else path), noise())


def test_bytes_are_read_as_they_are(tmp_path: Path):
    path = tmp_path / "any.jpg"
    path.write_bytes(bytes(range(256)))
    assert read_bytes(path) == bytes(range(256))


@pytest.mark.parametrize("read", [read_bytes, read_picture])
def test_a_missing_picture_is_named(tmp_path: Path, read: Any):
    message = f"{tmp_path}/none.jpg: picture cannot be read (No such file or directory)"
    with pytest.raises(ValueError, match=re.escape(message)):
        read(tmp_path / "none.jpg")


@pytest.mark.parametrize("read", [read_bytes, read_picture])
def test_a_folder_is_no_picture(tmp_path: Path, read: Any):
    message = f"{tmp_path}: picture cannot be read (Is a directory)"
    with pytest.raises(ValueError, match=re.escape(message)):
        read(tmp_path)


@pytest.mark.parametrize("read", [read_bytes, read_picture])
def test_an_empty_picture_is_named(tmp_path: Path, read: Any):
    path = tmp_path / "empty.jpg"
    path.touch()
    message = f"{path}: picture is empty (0 bytes)"
    with pytest.raises(ValueError, match=re.escape(message)):
        read(path)


# Damage


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no picture at all", "not a picture that can be read"),
        (b"\0" * 5000, "not a picture that can be read"),
        (encode(noise(), "JPEG")[:3], "not a picture that can be read"),
        (encode(noise(), "JPEG")[:1500], "picture is damaged ("),
        (encode(noise(), "JPEG")[:-50], "picture is damaged ("),
        (encode(noise(), "PNG")[:20], "picture is damaged ("),
        (encode(noise(), "PNG")[:1500], "picture is damaged ("),
        (encode(noise(), "PNG")[:-50], "picture is damaged ("),
        (encode(noise(), "BMP")[:1500], "picture is damaged ("),
        (encode(noise(), "TIFF")[:1500], "picture is damaged ("),
    ],
    ids=[
        "words",
        "zeros",
        "jpeg of 3 bytes",
        "jpeg start",
        "jpeg without end",
        "png of 20 bytes",
        "png start",
        "png without end",
        "bmp start",
        "tiff start",
    ],
)
@pytest.mark.parametrize("read", [to_jpeg, decode_picture])
def test_a_damaged_picture_is_named(read: Any, data: bytes, reason: str):
    with pytest.raises(ValueError, match=re.escape(f"some/picture.jpg: {reason}")) as caught:
        read(data, where="some/picture.jpg")
    assert "\n" not in str(caught.value)


def corrupt_jpeg() -> bytes:
    """A JPEG that Pillow decodes without a word, though bytes of its middle are lost."""
    data = bytearray(encode(photograph(), "JPEG", quality=90))
    middle = len(data) * 2 // 3
    del data[middle : middle + 60]
    assert pillow_reads(bytes(data))
    return bytes(data)


@pytest.mark.parametrize(
    "read", [to_jpeg, decode_picture, lambda data, where: cut_jpeg(data, [], where=where)]
)
def test_a_jpeg_of_corrupt_data_is_damaged(read: Any):
    with pytest.raises(ValueError, match=r"^a\.jpg: picture is damaged \(Corrupt JPEG data"):
        read(corrupt_jpeg(), where="a.jpg")


def test_a_corrupt_jpeg_is_looked_at_with_a_warning():
    warnings: list[str] = []
    sink = logger.add(lambda message: warnings.append(str(message)), format="{level} {message}")
    try:
        picture = upright_picture(corrupt_jpeg(), where="a.jpg")
        upright_picture(encode(photograph(), "JPEG"), where="b.jpg")
    finally:
        logger.remove(sink)
    assert picture.shape == photograph().shape
    (warning,) = warnings
    assert warning.startswith("WARNING a.jpg: read as far as it can be, its data are damaged")


def test_reading_a_damaged_file_names_it(tmp_path: Path):
    path = tmp_path / "cut.jpg"
    path.write_bytes(encode(noise(), "JPEG")[:1500])
    with pytest.raises(ValueError, match=re.escape(f"{path}: picture is damaged (")):
        read_picture(path)


def smooth_jpeg() -> bytes:
    """A JPEG of which much is known from little: decoders forgive the loss of its end."""
    y, x = np.mgrid[:240, :320]
    checks = 40 * ((x // 20 + y // 20) % 2)
    picture = np.stack([x // 2 + y // 4, y, x // 4 + checks], axis=-1).astype(np.uint8)
    return encode(picture, "JPEG", optimize=True)


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_a_jpeg_whose_end_is_zeros_is_damaged(kept: float):
    """What an interrupted download may leave; TensorFlow cannot decode such a record."""
    data = smooth_jpeg()
    part = data[: int(len(data) * kept)]
    with pytest.raises(ValueError, match=r"half\.jpg: picture is damaged"):
        to_jpeg(part + bytes(len(data) - len(part)), where="half.jpg")


@pytest.mark.parametrize(
    "data", [smooth_jpeg(), encode(gradient(), "JPEG")], ids=["large", "small"]
)
def test_a_jpeg_without_its_last_marker_is_damaged(data: bytes):
    assert data.endswith(b"\xff\xd9")
    with pytest.raises(ValueError, match=r"cut\.jpg: picture is damaged"):
        to_jpeg(data[:-2], where="cut.jpg")


@pytest.mark.parametrize("progressive", [False, True])
def test_storing_refuses_what_reading_refuses(progressive: bool):
    """Storing draws fewer pixels than reading, and must find the same damage."""
    random = np.random.default_rng(0)
    whole = encode(noise(), "JPEG", progressive=progressive)
    outcomes = []
    for number in range(300):
        data = bytearray(whole)
        if number % 3:
            for place in random.integers(0, len(data), 3):
                data[place] = random.integers(256)
        else:
            del data[random.integers(len(data)) :]
        reasons = []
        for read in (to_jpeg, decode_picture):
            try:
                read(bytes(data), where="a.jpg")
                reasons.append("")
            except ValueError as error:
                reasons.append(re.sub("object at 0x[0-9a-f]+", "", str(error)))
        assert reasons[0] == reasons[1]
        outcomes.append(bool(reasons[0]))
    assert 50 < sum(outcomes) < 290


@pytest.mark.parametrize(
    "data",
    [
        b"P6\n6U 48\n255\n" + bytes(10_000),
        b"P6 64 48 255\n" + bytes(100),
        png_start(WIDTH, HEIGHT)
        + png_chunk(b"zTXt", b"key\0\0" + zlib.compress(bytes(2**21)))
        + encode(noise(), "PNG")[33:],
        b"qoif" + struct.pack(">II", WIDTH, HEIGHT) + b"\x03\x00\xfe",
    ],
    ids=["netpbm header", "netpbm start", "png with a text bomb", "qoi start"],
)
def test_damage_of_other_kinds_is_named_as_well(data: bytes):
    with pytest.raises(ValueError, match=r"^some/picture: [^\n]+$"):
        to_jpeg(data, where="some/picture")


# Sizes


@pytest.mark.parametrize(("width", "height"), [(1, 1), (15, 100), (100, 15)])
def test_a_picture_too_small_is_refused(width: int, height: int):
    message = f"tiny.png: picture is {width}×{height} pixels, each side must be {MIN_SIDE} or more"
    with pytest.raises(ValueError, match=re.escape(message)):
        to_jpeg(encode(np.zeros((height, width, 3), np.uint8), "PNG"), where="tiny.png")


def test_the_smallest_picture():
    jpeg = to_jpeg(encode(np.zeros((MIN_SIDE, MIN_SIDE, 3), np.uint8), "PNG"), where="small.png")
    assert (MIN_SIDE, jpeg.height, jpeg.width) == (16, 16, 16)


@pytest.mark.parametrize(
    ("width", "height"), [(30_000, 30_000), (13_000, 12_000), (2**31 - 1, 2**31 - 1)]
)
def test_a_picture_too_large_is_refused_before_it_is_decoded(width: int, height: int):
    data = png_of_size(width, height)
    assert len(data) < 100
    assert MAX_PIXELS == 150_000_000
    with pytest.raises(ValueError, match=rf"^huge\.png: picture is .*{MAX_PIXELS}"):
        decode_picture(data, where="huge.png")


def test_the_size_of_a_picture_too_large_is_said():
    with pytest.raises(ValueError, match=r"30000×30000|900000000"):
        decode_picture(png_of_size(30_000, 30_000), where="huge.png")


@pytest.mark.filterwarnings("error")
def test_a_large_picture_gives_no_warning():
    """Pillow warns of 90 million pixels; below the limit that is no user's concern."""
    with pytest.raises(ValueError, match=r"^large\.png: picture is damaged"):
        decode_picture(png_of_size(12_000, 12_000), where="large.png")


def test_parts_of_noise_are_cut_too():
    # More than two bytes a pixel: too much for Pillow's buffer of optimised files.
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, "JPEG", quality=100, subsampling=0)
    (part,) = cut_jpeg(out.getvalue(), [Region(16, 32, 112, 128)], where="a.jpg")
    assert (part.height, part.width) == (96, 96)
    whole = decode_picture(out.getvalue(), where="a.jpg").astype(int)
    apart = np.abs(decode_picture(part.encoded, where="part") - whole[32:128, 16:112])
    assert apart.mean() < 1
