"""The pipeline: crops and targets in their places, orders that a seed decides, nobody lost."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from hourglass.core import geometry
from hourglass.core.config import AugmentConfig, Config, DataConfig, NetworkConfig, TrainConfig
from hourglass.core.person import Person
from hourglass.data import crops, datasets
from hourglass.data.batches import InputClock, steps_per_epoch
from hourglass.data.crops import plan_decoding, unchanged
from hourglass.data.datasets import (
    Crops,
    Preprocessor,
    training_dataset,
    validation_dataset,
)
from hourglass.data.people import load_people
from hourglass.data.records import to_example

SIZE = 64
NO_AUGMENTATION = AugmentConfig(
    scale=0, rotation=0, rotation_probability=0, flip_probability=0, shift=0, colour=0
)


@pytest.fixture(scope="module")
def config() -> Config:
    return Config(
        NetworkConfig(stacks=1, channels=8, depth=1, input_size=SIZE),
        train=TrainConfig(batch_size=4, seed=3),
    )


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


def batches(dataset: tf.data.Dataset) -> list[Any]:
    return list(dataset.as_numpy_iterator())


def rows(dataset: tf.data.Dataset) -> list[np.ndarray]:
    """Images, heatmaps and weights of all batches end to end."""
    return [np.concatenate(column) for column in zip(*batches(dataset), strict=True)]


def assert_equal(one: list[Any], other: list[Any]) -> None:
    assert len(one) == len(other)
    for left, right in zip(one, other, strict=True):
        for a, b in zip(left, right, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def numbered(
    tmp_path_factory: pytest.TempPathFactory,
    make_person: Callable[..., Person],
    to_jpeg_bytes: Callable[[np.ndarray], bytes],
) -> Path:
    """Four shards of 10, 10, 10 and 9 people, each of whom a plain picture's grey tells."""
    from hourglass.data.records import frame

    folder = tmp_path_factory.mktemp("numbered")
    number = 0
    for shard, count in enumerate((10, 10, 10, 9), start=1):
        with (folder / f"train_{shard:04d}_of_0004.tfrecords").open("wb") as file:
            for _ in range(count):
                picture = np.full((32, 32, 3), 6 * number, np.uint8)
                person = make_person(0, center=np.array([15.5, 15.5], np.float32), scale=0.1)
                encoded = to_jpeg_bytes(picture)
                file.write(frame(to_example(person, encoded=encoded, height=32, width=32)))
                number += 1
    return folder


def numbered_config(**data: Any) -> Config:
    return Config(
        NetworkConfig(stacks=1, channels=8, depth=1, input_size=8),
        DataConfig(**data),
        NO_AUGMENTATION,
        TrainConfig(batch_size=4, seed=1),
    )


def order_of(folder: Path, config: Config, **choices: Any) -> list[int]:
    """The numbers of the people that a training dataset gives, in its order."""
    images, _, _ = rows(training_dataset(f"{folder}/train*", config, **choices))
    return [round(image.mean() / 6) for image in images]


# One example.


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
    config: Config, record: Callable[..., bytes]
):
    plain = dataclasses.replace(config, augment=NO_AUGMENTATION)
    trained = Preprocessor(plain, training=True)(record(), tf.constant([0, 1], tf.int64))
    validated = Preprocessor(plain, training=False)(record())
    assert_equal([trained], [validated])


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


# Training batches.


def test_training_batches_have_the_promised_shapes(shards: Path, config: Config):
    dataset = training_dataset(f"{shards}/train*", config, epochs=2)
    assert dataset.cardinality() == 6
    made = batches(dataset)
    assert len(made) == 6
    for image, heatmaps, weights in made:
        assert (image.shape, image.dtype) == ((4, SIZE, SIZE, 3), np.uint8)
        assert (heatmaps.shape, heatmaps.dtype) == ((4, 16, 16, 16), np.float32)
        assert (weights.shape, weights.dtype) == ((4, 16), np.float32)


def test_training_is_the_same_for_the_same_seed_and_another_for_another(
    shards: Path, config: Config
):
    one = batches(training_dataset(f"{shards}/train*", config))
    assert_equal(one, batches(training_dataset(f"{shards}/train*", config)))
    other = dataclasses.replace(config, train=dataclasses.replace(config.train, seed=4))
    different = batches(training_dataset(f"{shards}/train*", other))
    assert not np.array_equal(one[0][0], different[0][0])


def test_an_epoch_is_the_same_whichever_the_dataset_starts_at(shards: Path, config: Config):
    whole = batches(training_dataset(f"{shards}/train*", config, epochs=3))
    for first in (1, 2):
        rest = training_dataset(f"{shards}/train*", config, epochs=3 - first, first_epoch=first)
        assert_equal(batches(rest), whole[3 * first :])
    assert not np.array_equal(whole[0][0], whole[3][0])


@pytest.mark.parametrize("seed", [0, 12])  # 0 is a value of its own in TensorFlow
def test_training_does_not_depend_on_tensorflows_own_seed(numbered: Path, seed: int):
    config = numbered_config()
    expected = order_of(numbered, config)
    tf.random.set_seed(seed)
    try:
        assert order_of(numbered, config) == expected
    finally:
        tf.random.set_seed(None)


def test_every_epoch_has_every_person_once_but_for_the_remainder(numbered: Path):
    for epoch in range(3):
        order = order_of(numbered, numbered_config(), first_epoch=epoch)
        assert len(order) == 36
        assert len(set(order)) == 36
        assert set(order) <= set(range(39))


def test_another_remainder_is_dropped_in_another_epoch(numbered: Path):
    dropped = [
        frozenset(range(39)) - set(order_of(numbered, numbered_config(), first_epoch=epoch))
        for epoch in range(4)
    ]
    assert len(set(dropped)) > 1


@pytest.mark.parametrize(
    "data", [{}, {"shuffle_buffer": 8}, {"read_shards": 1, "shuffle_buffer": 20}]
)
def test_people_are_shuffled_across_the_whole_epoch(numbered: Path, data: dict[str, int]):
    config = numbered_config(**data)
    orders = [np.array(order_of(numbered, config, first_epoch=epoch)) for epoch in range(4)]
    for order in orders:
        # People that stood side by side are apart, and the file order is not to be seen.
        assert np.mean(np.diff(order) == 1) < 0.25
        assert len(set(order[:12] // 10)) > 1
        if not data:
            assert abs(np.corrcoef(order, np.arange(36))[0, 1]) < 0.6
    assert len({tuple(order) for order in orders}) == 4
    firsts = {int(order[0]) // 10 for order in orders}
    assert len(firsts) > 1


def test_shards_are_read_in_another_order_every_epoch(numbered: Path):
    config = numbered_config(read_shards=1, shuffle_buffer=1)
    orders = [order_of(numbered, config, first_epoch=epoch) for epoch in range(6)]
    assert len({tuple(number // 10 for number in order[::10]) for order in orders}) > 2


def test_a_person_looks_different_every_epoch(
    tmp_path: Path, config: Config, write_shards: Callable[..., list[Person]]
):
    write_shards(tmp_path, "train", [1])
    alone = dataclasses.replace(config, train=TrainConfig(batch_size=1))
    images, _, _ = rows(training_dataset(f"{tmp_path}/train*", alone, epochs=4))
    assert len({image.tobytes() for image in images}) == 4


def test_a_shuffle_holds_encoded_records(
    shards: Path, config: Config, monkeypatch: pytest.MonkeyPatch
):
    # Decoded pictures would fill the memory: the buffer's elements must be strings.
    seen = []
    original = tf.data.Dataset.shuffle

    def shuffle(self: tf.data.Dataset, *arguments: Any, **options: Any) -> tf.data.Dataset:
        seen.append(self.element_spec)
        return original(self, *arguments, **options)

    monkeypatch.setattr(tf.data.Dataset, "shuffle", shuffle)
    batches(training_dataset(f"{shards}/train*", config).take(1))
    assert seen
    assert all(spec == tf.TensorSpec((), tf.string) for spec in seen)


def test_fewer_people_than_a_batch_are_refused(shards: Path, config: Config):
    large = dataclasses.replace(config, train=TrainConfig(batch_size=14))
    with pytest.raises(ValueError, match=r"train\*: 13 people do not fill one batch of 14"):
        training_dataset(f"{shards}/train*", large)
    with pytest.raises(ValueError, match="0 people do not fill one batch of 1; choose a smaller"):
        steps_per_epoch(0, 1, "train*")
    assert steps_per_epoch(13, 4, "train*") == 3


@pytest.mark.parametrize("make", [training_dataset, validation_dataset, load_people])
def test_no_shards_are_refused(tmp_path: Path, make: Callable[..., Any]):
    with pytest.raises(ValueError, match=r"no shards match '.*/train\*'.*hourglass.build"):
        make(f"{tmp_path}/train*")


def test_the_clock_counts_waiting_and_changes_nothing(shards: Path, config: Config):
    clock = InputClock()
    plain = training_dataset(f"{shards}/train*", config)
    watched = training_dataset(f"{shards}/train*", config, clock=clock)
    assert watched.cardinality() == 3
    assert watched.element_spec == plain.element_spec
    assert clock.waited == 0
    assert_equal(batches(watched), batches(plain))
    assert clock.waited > 0


# Validation batches.


def test_validation_has_everybody_once_in_the_order_of_the_labels(
    shards: Path,
    config: Config,
    dotted_person: Callable[..., tuple[Person, np.ndarray]],
):
    dataset = validation_dataset(f"{shards}/validation*", config)
    assert dataset.cardinality() == 3
    assert {len(batch[0]) for batch in batches(dataset)} == {4}
    images, heatmaps, weights = rows(dataset)
    people = load_people(f"{shards}/validation*")
    assert len(people) == 9
    for index in range(9):
        person, picture = dotted_person(100 + index)
        assert people.filename[index] == person.filename
        np.testing.assert_array_equal(people.points[index], person.points)
        np.testing.assert_array_equal(people.labelled[index], person.labelled)
        np.testing.assert_array_equal(people.center[index], person.center)
        assert people.scale[index] == np.float32(person.scale)
        np.testing.assert_array_equal(weights[index], person.labelled)
        crop = geometry.crop(picture, person.center, person.scale, size=SIZE)
        assert psnr(images[index], crop) > 35
        np.testing.assert_array_equal(heatmaps[index].any(axis=(0, 1)), person.labelled)
    # The last batch is filled up with nobody.
    assert len(images) == 12
    assert not images[9:].any()
    assert not heatmaps[9:].any()
    assert not weights[9:].any()


@pytest.mark.parametrize(("batch_size", "count"), [(9, 1), (3, 3), (16, 1)])
def test_a_validation_batch_can_have_another_size(
    shards: Path, config: Config, batch_size: int, count: int
):
    made = batches(validation_dataset(f"{shards}/validation*", config, batch_size=batch_size))
    assert [len(batch[0]) for batch in made] == [batch_size] * count
    assert sum(batch[2].any(axis=1).sum() for batch in made) == 9


@pytest.mark.parametrize("batch_size", [2, 8, 9, 11, 16])
def test_people_look_the_same_in_batches_of_any_size(
    shards: Path, config: Config, batch_size: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(datasets, "BLOCK", 5)
    alone = rows(validation_dataset(f"{shards}/validation*", config, batch_size=1))
    together = rows(validation_dataset(f"{shards}/validation*", config, batch_size=batch_size))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other[:9])


def test_shards_without_people_are_refused(tmp_path: Path):
    (tmp_path / "validation_0001_of_0001.tfrecords").touch()
    with pytest.raises(ValueError, match=r"validation\*: the shards hold no people"):
        load_people(f"{tmp_path}/validation*")
