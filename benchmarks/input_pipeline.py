"""`python -m benchmarks.input_pipeline`: how fast records become training batches.

The limit is only decoding the same JPEGs whole, by the same library in the same run; everything
else, from the crop to the heatmaps, comes on top of that.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import click
import numpy as np
from loguru import logger

from benchmarks.comparison import Row, peak_memory, report, take_turns
from benchmarks.made_up import LARGE, SMALL, made_up_shards
from hourglass.console import command, quiet_stderr
from hourglass.core.config import Config, NetworkConfig, TrainConfig
from hourglass.core.skeleton import MPII
from hourglass.data.shards import count_people, find_shards

PEOPLE = 1600
"""People in the shards that are made up."""

EPOCHS = 3
"""Epochs in a turn: a pipeline's start, some tenths of a second, comes once in a training."""

GROWTH = (1, 4, 16)
GROWING_PEOPLE = 200

PICTURES_COMPARED = 200
COMPARED_SIZE = 64
"""Side of the crops compared, px: so small that most pictures are decoded at a DCT scale. Larger
crops of these pictures, which are decoded at full size, differ in nothing."""

LOWEST_PSNR = 32.0
"""dB; what a crop of a window, decoded no finer than needed, may differ from one of the whole."""

MEMORY_PEOPLE = 2048
"""As many as a shuffle buffer holds; ten times as many must not need more memory."""

MEMORY_TOLERANCE = 1.05


def decode_whole(pattern: str, *, epochs: int) -> Callable[[], int]:
    """Reads the records of a pattern's shards and decodes each JPEG as it is."""
    import tensorflow as tf

    from hourglass.data.records import parse_examples

    paths = find_shards(pattern)

    def encoded(records: tf.Tensor) -> tf.Tensor:
        return parse_examples(records, joints=len(MPII.joints))["encoded"]

    pictures = (
        tf.data.TFRecordDataset(paths)
        .repeat(epochs)
        .batch(64)
        .map(encoded)
        .unbatch()
        .map(lambda one: tf.io.decode_jpeg(one, channels=3), num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )
    return lambda: int(pictures.reduce(np.int64(0), lambda count, _: count + 1))


def make_batches(pattern: str, config: Config, *, epochs: int = 1) -> Callable[[], int]:
    """Makes epochs of training batches, all augmentation on."""
    from hourglass.data.datasets import training_dataset

    batches = training_dataset(pattern, config, epochs=epochs)
    return lambda: int(batches.reduce(np.int64(0), lambda count, _: count + 1))


def rate_row(name: str, pattern: str, *, target: float, rounds: int) -> Row:
    """Records per second as training batches of 256-px crops, against decoding them whole."""
    logger.info(f"training batches, {name}")
    people = EPOCHS * count_people(find_shards(pattern))
    sides = {
        "batches": make_batches(pattern, Config(), epochs=EPOCHS),
        "whole": decode_whole(pattern, epochs=EPOCHS),
    }
    seconds = take_turns(sides, rounds=rounds)
    return Row(
        f"training batches, {name} (decoding whole)",
        people / seconds["batches"],
        "people/s",
        people / seconds["whole"],
        seconds["whole"] / seconds["batches"],
        f">= {target}",
    )


def exactness_row(name: str, pattern: str) -> Row:
    """The worst crop from a JPEG's window, against the same crop from the whole picture."""
    import tensorflow as tf

    from hourglass.core.geometry import crop
    from hourglass.data.preprocessing import Preprocessor
    from hourglass.data.records import parse_example

    logger.info(f"crops, {name}")
    config = Config(NetworkConfig(input_size=COMPARED_SIZE))
    preprocessor = Preprocessor(config, training=False)
    worst = np.inf
    for record in tf.data.TFRecordDataset(find_shards(pattern)).take(PICTURES_COMPARED):
        person = parse_example(record, joints=len(MPII.joints))
        picture = tf.io.decode_jpeg(person["encoded"], channels=3).numpy()
        expected = crop(
            picture,
            person["center"].numpy(),
            float(person["scale"]),
            size=config.network.input_size,
        )
        worst = min(worst, psnr(preprocessor(record)[0].numpy(), expected))
    what = f"worst of {PICTURES_COMPARED} {COMPARED_SIZE}-px crops, {name} (from whole pictures)"
    return Row(what, worst, "dB", target=f">= {LOWEST_PSNR:g} dB")


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """Peak signal-to-noise ratio of two pictures (H, W, 3) uint8, dB; infinite if they agree."""
    error = np.mean((one.astype(np.float64) - other) ** 2)
    return float(10 * np.log10(255**2 / error)) if error else np.inf


def growth_rows(folder: Path, *, rounds: int) -> list[Row]:
    """An epoch of more and more people, against as many epochs of the fewest."""
    rows = []
    epochs = {
        times: make_batches(
            made_up_shards(folder / f"times_{times}", people=GROWING_PEOPLE * times, size=SMALL),
            Config(),
        )
        for times in GROWTH
    }

    def fewest(times: int) -> None:
        for _ in range(times):
            epochs[GROWTH[0]]()

    for times in GROWTH:
        logger.info(f"growth, {times} ×")
        sides: dict[str, Callable[[], object]] = {
            "at once": epochs[times],
            "in parts": partial(fewest, times),
        }
        seconds = take_turns(sides, rounds=rounds)
        rows.append(
            Row(
                f"an epoch of {GROWING_PEOPLE * times} people ({times} × {GROWING_PEOPLE} people)",
                seconds["at once"],
                "s",
                seconds["in parts"],
                seconds["at once"] / seconds["in parts"],
                "<= 1.1 times as long",
            )
        )
    return rows


def memory_row(folder: Path) -> Row:
    """Peak memory of training on ten times as many people, each side a process of its own."""
    peaks = []
    for times in (1, 10):
        logger.info(f"memory, {MEMORY_PEOPLE * times} people")
        pattern = made_up_shards(
            folder / f"memory_{times}", people=MEMORY_PEOPLE * times, size=SMALL
        )
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            peaks.append(pool.apply(training_peak, (pattern,)))
    few, many = peaks
    return Row(
        f"peak memory of training on {10 * MEMORY_PEOPLE} people ({MEMORY_PEOPLE})",
        many,
        "MB",
        few,
        many / few,
        f"<= {MEMORY_TOLERANCE}",
    )


def training_peak(pattern: str) -> float:
    """Megabytes that this process holds at most while it trains a small network for an epoch."""
    with quiet_stderr():
        from hourglass.data.datasets import training_dataset
        from hourglass.networks.hourglass import build_network, last_stack
    config = Config(
        NetworkConfig(stacks=1, channels=16, depth=1, input_size=64),
        train=TrainConfig(batch_size=32),
    )
    network = build_network(config.network)
    last = last_stack(network)
    last.compile("sgd", "mse")
    batches = training_dataset(pattern, config).map(lambda image, heatmaps, _: (image, heatmaps))
    last.fit(batches, shuffle=False, verbose=0)
    return peak_memory() / 1e6


@contextlib.contextmanager
def working_folder() -> Iterator[Path]:
    """A folder for shards that are made up, gone at the end."""
    with tempfile.TemporaryDirectory(prefix="input_pipeline_") as name:
        yield Path(name)


@click.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of shards of small pictures. [default: made-up ones]",
)
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="Turns.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="JSON file to write. [default: logs/benchmarks/input_pipeline.json]",
)
@command
def main(data: Path | None, rounds: int, output: Path | None) -> None:
    """Times the input pipeline and measures its memory: some minutes on two quiet cores."""
    with quiet_stderr():
        import tensorflow  # noqa: F401  # its notes come now
    measured = partial(rate_row, rounds=rounds)
    with working_folder() as folder:
        if data:
            name, small = data.name, f"{data}/train*"
        else:
            name, small = "200×300", made_up_shards(folder / "small", people=PEOPLE, size=SMALL)
        rows = [measured(name, small, target=0.55), exactness_row(name, small)]
        large = made_up_shards(folder / "large", people=PEOPLE, size=LARGE)
        rows += [measured("1280×720", large, target=1.2), exactness_row("1280×720", large)]
        rows += growth_rows(folder, rounds=rounds)
        rows.append(memory_row(folder))
    report("input_pipeline", rows, output=output)


if __name__ == "__main__":
    main()
