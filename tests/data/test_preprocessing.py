"""Crops and targets by TensorFlow: each in its place, as geometry and OpenCV have them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from hourglass.core import geometry
from hourglass.core.config import AugmentConfig, Config, DataConfig, NetworkConfig
from hourglass.core.person import Person
from hourglass.data import crops
from hourglass.data.crops import plan_decoding, unchanged
from hourglass.data.preprocessing import Crops, Preprocessor
from hourglass.data.records import to_example

SIZE = 64


@pytest.fixture(scope="module")
def smooth() -> Callable[..., np.ndarray]:
    """A picture as smooth as a photograph: a little noise on soft shapes, and one sharp edge."""

    def draw(width: int, height: int) -> np.ndarray:
        rng = np.random.default_rng(width)
        x, y = np.meshgrid(np.arange(width) / width, np.arange(height) / width)
        channels = []
        for _ in range(3):
            phases = rng.uniform(0, 2 * np.pi, (4, 1, 1))
            waves = rng.uniform(-40, 40, (4, 2, 1, 1))
            soft = np.cos(waves[:, 0] * x + waves[:, 1] * y + phases).sum(axis=0)
            channels.append(128 + 25 * soft + 30 * (x + y > 0.9))
        picture = np.stack(channels, axis=-1) + rng.normal(0, 2, (height, width, 3))
        return np.clip(picture, 0, 255).astype(np.uint8)

    return draw


@pytest.fixture
def record(
    dotted_person: Callable[..., tuple[Person, np.ndarray]],
    to_jpeg_bytes: Callable[[np.ndarray], bytes],
) -> Callable[..., bytes]:
    """A dotted person's record, with changes to the annotation alone."""

    def make(number: int = 0, **changes: Any) -> bytes:
        person, picture = dotted_person(number)
        return to_example(
            dataclasses.replace(person, **changes),
            encoded=to_jpeg_bytes(picture),
            height=picture.shape[0],
            width=picture.shape[1],
        )

    return make


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    error = np.mean((one.astype(float) - other.astype(float)) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def to_cells(person: Person) -> np.ndarray:
    """Where a person's joints lie on the heatmap grid, by the convention's own two formulas."""
    side = 250 * person.scale
    crop = (person.points - person.center) * SIZE / side + (SIZE - 1) / 2
    return (crop + 0.5) / 4 - 0.5


def crop_from_jpeg(encoded: bytes, matrix: np.ndarray, *, size: int = SIZE) -> np.ndarray:
    """A crop as the pipeline makes it, by a matrix of the test's own."""
    shape = tf.io.extract_jpeg_shape(encoded).numpy()[None, :2]
    preprocessor = Preprocessor(Config(NetworkConfig(input_size=size, depth=1)), training=False)
    planned = plan_decoding(matrix[None], shape, size=size)
    nobody = np.zeros((1, 16, 2), np.float32), np.zeros((1, 16), bool)
    made = Crops(*map(tf.constant, ([encoded], *planned, *unchanged(1), *nobody)))
    return preprocessor.render(made)[0][0].numpy()


@pytest.mark.parametrize("number", range(4))
def test_a_heatmaps_peak_lies_at_the_label(
    config: Config,
    record: Callable[..., bytes],
    dotted_person: Callable[..., tuple[Person, np.ndarray]],
    number: int,
):
    person, _ = dotted_person(number)
    image, heatmaps, weights = Preprocessor(config, training=False)(record(number))
    assert image.shape == (SIZE, SIZE, 3)
    assert image.dtype == tf.uint8
    cells = to_cells(person)
    for joint in range(16):
        one = heatmaps[..., joint].numpy()
        if not person.labelled[joint]:
            assert not one.any()
            assert weights[joint] == 0
            continue
        assert weights[joint] == 1
        y, x = np.unravel_index(one.argmax(), one.shape)
        assert np.abs([x, y] - cells[joint]).max() <= 0.5
        offset = cells[joint] - [x, y]
        assert one.max() == pytest.approx(np.exp(-0.5 * (offset**2).sum()), abs=1e-4)


def test_sigma_is_the_configurations(config: Config, record: Callable[..., bytes]):
    narrow = dataclasses.replace(config, data=DataConfig(sigma=0.5))
    maps = {
        one.data.sigma: Preprocessor(one, training=False)(record())[1].numpy()
        for one in (config, narrow)
    }
    np.testing.assert_allclose(maps[1.0] ** 4, maps[0.5], atol=1e-5)


@pytest.mark.parametrize("joint", [0, 9])
def test_a_labelled_joint_outside_the_crop_has_a_zero_map_and_full_weight(
    config: Config, record: Callable[..., bytes], joint: int
):
    points = np.tile(np.array([48, 44], np.float32), (16, 1))
    points[joint] = 48 + 0.43 * 125 + 3, 44
    _, heatmaps, weights = Preprocessor(config, training=False)(
        record(points=points, visibility=np.full(16, 2, np.uint8))
    )
    peaks = heatmaps.numpy().max(axis=(0, 1))
    assert peaks[joint] == 0
    assert (np.delete(peaks, joint) > 0.7).all()
    np.testing.assert_array_equal(weights, np.ones(16))


def test_a_validation_crop_is_geometrys_and_never_depends_on_the_keypoints(
    config: Config,
    record: Callable[..., bytes],
    dotted_person: Callable[..., tuple[Person, np.ndarray]],
):
    person, picture = dotted_person(0)
    preprocessor = Preprocessor(config, training=False)
    image = preprocessor(record())[0].numpy()
    moved = preprocessor(
        record(points=person.points[::-1] + 9, visibility=np.full(16, 2, np.uint8))
    )[0]
    np.testing.assert_array_equal(image, moved)
    assert psnr(image, geometry.crop(picture, person.center, person.scale, size=SIZE)) > 35


def test_a_crop_is_filled_outside_the_picture(config: Config, record: Callable[..., bytes]):
    preprocessor = Preprocessor(config, training=False)
    image = preprocessor(record(center=np.array([0, 44], np.float32)))[0].numpy()
    np.testing.assert_array_equal(image[:, : SIZE // 2 - 2], geometry.FILL)
    assert (image[:, SIZE // 2 + 1 :] != geometry.FILL).any()


@pytest.mark.parametrize("training", [False, True])
def test_an_example_is_the_same_eagerly_and_in_a_dataset(
    config: Config, record: Callable[..., bytes], both_ways: Callable[..., Any], training: bool
):
    preprocessor = Preprocessor(config, training=training)
    if training:
        image, heatmaps, weights = both_ways(preprocessor, record(), np.array([3, 17]))
    else:
        image, heatmaps, weights = both_ways(preprocessor, record())
    assert (image.shape, heatmaps.shape, weights.shape) == ((64, 64, 3), (16, 16, 16), (16,))
    assert (image.dtype, heatmaps.dtype, weights.dtype) == (np.uint8, np.float32, np.float32)


def test_without_augmentation_a_training_example_is_a_validation_example(
    plain: Config, record: Callable[..., bytes]
):
    trained = Preprocessor(plain, training=True)(record(), tf.constant([0, 1], tf.int64))
    validated = Preprocessor(plain, training=False)(record())
    for one, other in zip(trained, validated, strict=True):
        np.testing.assert_array_equal(one, other)


def test_augmentation_moves_picture_and_joints_together(
    record: Callable[..., bytes], dotted_person: Callable[..., tuple[Person, np.ndarray]]
):
    # The dot under every heatmap's peak keeps its joint's colour, wherever it went.
    from hourglass.core.skeleton import MPII

    config = Config(
        NetworkConfig(stacks=1, channels=8, depth=1, input_size=256),
        augment=AugmentConfig(scale=0.2, rotation=25, flip_probability=0.5, shift=0.02, colour=0),
    )
    person, picture = dotted_person(1)
    preprocessor = Preprocessor(config, training=True)
    seen = []
    for number in range(8):
        seed = tf.constant([0, number], tf.int64)
        image, heatmaps, weights = (part.numpy() for part in preprocessor(record(1), seed))
        first = heatmaps[..., MPII.index("right_knee")].argmax() % 64
        last = heatmaps[..., MPII.index("left_knee")].argmax() % 64
        seen.append(first < last)
        for joint in range(16):
            one = heatmaps[..., joint]
            if not weights[joint] or not one.any():
                continue
            y, x = np.unravel_index(one.argmax(), one.shape)
            mirrored = int(MPII.flip_order[joint])
            source = joint if seen[-1] else mirrored
            expected = picture[tuple(person.points[source].round().astype(int)[::-1])].astype(int)
            found = image[4 * y + 1 : 4 * y + 3, 4 * x + 1 : 4 * x + 3].mean(axis=(0, 1))
            assert np.abs(found - expected).max() < 40
    assert set(seen) == {True, False}


def test_a_training_example_needs_a_seed(config: Config, record: Callable[..., bytes]):
    with pytest.raises(ValueError, match="training examples need a seed"):
        Preprocessor(config, training=True)(record())


# Crops in TensorFlow and in OpenCV.


@pytest.mark.parametrize(
    ("side", "rotation"), [(90, 0), (150, 0), (200, 20), (300, 0), (620, -30), (1500, 0)]
)
def test_a_crop_from_a_jpeg_is_the_crop_of_the_picture(
    smooth: Callable[..., np.ndarray],
    to_jpeg_bytes: Callable[[np.ndarray], bytes],
    side: int,
    rotation: float,
):
    # 64-px crops of 90 to 1500 px: enlarging shares down to every reduction of the JPEG decoder.
    picture = smooth(2 * side + 7, side + 45)
    center = np.array([1.1 * side, 0.4 * side])
    matrix = geometry.crop_matrix(center, side / 250, size=SIZE, rotation=rotation)
    encoded = to_jpeg_bytes(picture)
    ours = crop_from_jpeg(encoded, matrix)
    theirs = geometry.warp(picture, matrix, size=SIZE)
    inside = geometry.warp(np.full_like(picture, 255), matrix, size=SIZE) == 255
    assert inside.mean() > 0.5
    assert psnr(ours[inside], theirs[inside]) >= 36
    assert psnr(ours, theirs) >= 32


def test_a_reduced_picture_is_not_moved(to_jpeg_bytes: Callable[[np.ndarray], bytes]):
    # A soft spot's centre of mass shows a shift of a fraction of a pixel.
    center = np.array([403.0, 297.0])
    x, y = np.meshgrid(np.arange(800), np.arange(600))
    spot = 20 + 220 * np.exp(-((x - center[0]) ** 2 + (y - center[1]) ** 2) / (2 * 40**2))
    encoded = to_jpeg_bytes(np.repeat(spot[..., None], 3, axis=2).round().astype(np.uint8))
    for scale in (0.3, 0.6, 1.2, 2.2):
        crop = crop_from_jpeg(encoded, geometry.crop_matrix(center, scale, size=32), size=32)
        light = np.maximum(crop[..., 0].astype(float) - 24, 0)
        light[crop[..., 0] == geometry.FILL] = 0
        pixels = np.arange(32)
        middle = [light.sum(0) @ pixels / light.sum(), light.sum(1) @ pixels / light.sum()]
        np.testing.assert_allclose(middle, 15.5, atol=0.1)


@pytest.mark.parametrize("rotation", [0.0, 25.0, -140.0])
@pytest.mark.parametrize("scale", [0.2, 0.5, 1.1, 2.3, 6.0])
def test_only_a_window_is_decoded_and_nothing_changes(
    monkeypatch: pytest.MonkeyPatch, scale: float, rotation: float
):
    # Of a photograph with halved colours, whose decoder looks beyond the pixels it is asked for.
    encoded = (Path(__file__).parents[1] / "pictures" / "astronaut.jpg").read_bytes()
    extents = []

    def everything(
        matrix: np.ndarray, shape: np.ndarray, *, size: int, factor: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        extents.append(geometry.window(matrix, shape, size=size, factor=factor)[1])
        extent = -(-shape // factor[..., None])
        return np.zeros_like(extent, np.int32), extent.astype(np.int32)

    rng = np.random.default_rng(3)
    for center in (*rng.uniform(-60, 570, (6, 2)), (256, 256), (-4000, 90)):
        matrix = geometry.crop_matrix(np.array(center), scale, size=SIZE, rotation=rotation)
        ours = crop_from_jpeg(encoded, matrix)
        with monkeypatch.context() as patch:
            patch.setattr(crops, "window", everything)
            whole = crop_from_jpeg(encoded, matrix)
        # A sampling place may round to its other side, as its way from the window is another.
        apart = abs(ours.astype(int) - whole)
        assert apart.max() <= 1
        assert (apart > 0).mean() < 1e-3
    if scale < 1:
        assert np.prod(extents, axis=-1).min() < 512 * 512 / 4
