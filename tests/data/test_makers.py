"""One batch, as a process makes it: as by TensorFlow, and a bad picture is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hourglass.core.config import Config, NetworkConfig, TrainConfig
from hourglass.data.makers import Task, make_batch
from hourglass.data.records import frame, to_example
from hourglass.data.shards import Place, find_records, find_shards, shard_name

SIZE = 64


@pytest.fixture(scope="module")
def config() -> Config:
    return Config(
        NetworkConfig(stacks=1, channels=8, depth=1, input_size=SIZE),
        train=TrainConfig(batch_size=4, seed=3),
    )


def empty_batch(config: Config, people: int) -> tuple[np.ndarray, ...]:
    """Arrays full of ones, to be overwritten."""
    grid = config.network.heatmap_size
    return (
        np.ones((people, SIZE, SIZE, 3), np.uint8),
        np.ones((people, grid, grid, 16), np.float32),
        np.ones((people, 16), np.float32),
    )


def serialized(place: Place) -> bytes:
    with Path(place.path).open("rb") as file:
        file.seek(place.start)
        return file.read(place.length)


def test_the_same_people_and_seed_make_what_tensorflow_makes(shards: Path, config: Config):
    import tensorflow as tf

    from hourglass.data.preprocessing import Preprocessor

    places = find_records(find_shards(f"{shards}/train*"))[:6]
    out = empty_batch(config, 6)
    make_batch(places, config, Task(list(range(6)), (3, 17)), out=out, files={})
    preprocessor = Preprocessor(config, training=True)
    records = tf.constant([serialized(place) for place in places])
    planned = preprocessor.plan(tf.constant([3, 17], tf.int64), records)
    image, heatmaps, weights = preprocessor.draw(*preprocessor.render(planned))
    apart = np.abs(out[0].astype(int) - image.numpy())
    assert apart.max() <= 12  # two JPEG decoders differ
    assert apart.mean() < 0.5
    np.testing.assert_array_equal(out[1], heatmaps.numpy())
    np.testing.assert_array_equal(out[2], weights.numpy())


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda encoded: b"no picture", "its picture cannot be decoded"),
        (lambda encoded: encoded, "its picture has 48×44 pixels, fewer than it says"),
    ],
)
def test_a_bad_picture_is_named(
    tmp_path: Path,
    config: Config,
    dotted_person: Callable[..., Any],
    to_jpeg_bytes: Callable[[np.ndarray], bytes],
    change: Callable[[bytes], bytes],
    problem: str,
):
    person, picture = dotted_person(0)
    encoded = change(to_jpeg_bytes(picture[::2, ::2]))
    path = tmp_path / shard_name("validation", 1, 1)
    path.write_bytes(frame(to_example(person, encoded=encoded, height=88, width=96)))
    with pytest.raises(ValueError, match=rf"{path}: record 0: {problem}"):
        make_batch(
            find_records([str(path)]), config, Task([0], None), out=empty_batch(config, 1), files={}
        )
