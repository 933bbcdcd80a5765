"""`python -m benchmarks.train_step`: how fast training steps are, and how long they wait for input.

On CPUs our step takes turns with plain Keras's; elsewhere its images/s, its TFLOP/s and their share
of the card's peak are printed. Every step is one of `fit`, on a batch that stays the same.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import keras
import numpy as np

from benchmarks.cards import PEAKS, card_name, peak
from benchmarks.comparison import RESULTS, Row, report, take_turns
from benchmarks.flops import training_flops
from benchmarks.made_up import LARGE, made_up_shards
from hourglass.console import command
from hourglass.core.config import Config
from hourglass.core.errors import InputError
from hourglass.core.presets import PRESETS, preset
from hourglass.data.batches import InputClock
from hourglass.networks.hourglass import build_network
from hourglass.training.callbacks.throughput import Throughput
from hourglass.training.devices import Devices, find_devices
from hourglass.training.feed import training_feed
from hourglass.training.model import compiled_network, heatmap_loss

POLICIES = {"float32": "float32", "tf32": "float32", "bfloat16": "mixed_bfloat16"}
"""Kinds of arithmetic, and their Keras dtype policies."""

JAX_PRECISIONS = {"float32": "float32", "tf32": "tensorfloat32", "bfloat16": "default"}
"""The same in JAX's words for `jax_default_matmul_precision`."""

TURNS = 5
"""Turns that count, after one that compiles and warms up."""

OUT_OF_MEMORY = ("RESOURCE_EXHAUSTED", "ResourceExhaustedError")
"""What the errors of TensorFlow, JAX and XLA have in them when memory is short."""

STEP_TARGET = ">= 1.35"
INPUT_TARGET = "<= 5 %"

Batch = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Defaults:
    """What is measured unless told otherwise.

    Attributes:
        networks: Presets.
        batch_sizes: People per step.
        precisions: Keys of `POLICIES`.
        steps: Steps of a turn.
    """

    networks: tuple[str, ...]
    batch_sizes: tuple[int, ...]
    precisions: tuple[str, ...]
    steps: int


ON_CPU = Defaults(("hg2", "hg4"), (2,), ("float32", "bfloat16"), 5)
ON_GPU = Defaults(("hg1", "hg2", "hg4", "hg8"), (16, 32, 64), ("float32", "tf32", "bfloat16"), 30)


@dataclass(frozen=True)
class Case:
    """A network and its batches.

    Attributes:
        network: The preset's name.
        config: Its configuration, the batch size in it.
    """

    network: str
    config: Config

    def __str__(self) -> str:
        return f"{self.network}, batch {self.config.train.batch_size}"

    def in_precision(self, precision: str) -> Config:
        """The configuration in one kind of arithmetic."""
        train = dataclasses.replace(self.config.train, precision=POLICIES[precision])
        return dataclasses.replace(self.config, train=train)


def make_case(name: str, batch_size: int, input_size: int | None) -> Case:
    """A preset with another batch size and, unless it is None, another size of the crops, px.

    Raises:
        ValueError: If no preset has that name, or its network cannot take such crops.
    """
    config = preset(name)
    network = config.network
    if input_size is not None:
        network = dataclasses.replace(network, input_size=input_size)
    train = dataclasses.replace(config.train, batch_size=batch_size)
    return Case(name, dataclasses.replace(config, network=network, train=train))


def compare(
    cases: Sequence[Case], precisions: Sequence[str], devices: Devices, *, steps: int
) -> list[Row]:
    """Seconds per step beside those of plain Keras, the sides taking turns.

    The target is for what `hourglass.train` chooses on these devices.

    Args:
        cases: What to train.
        precisions: Keys of `POLICIES`.
        devices: What to train on.
        steps: Steps of a turn.
    """
    rows = []
    for case in cases:
        batch = random_batch(case.config)
        networks = {"plain": plain_network(case.config)}
        for precision in precisions:
            networks[precision] = our_network(case.in_precision(precision), devices, steps)
        seconds = seconds_per_step(networks, batch, steps=steps)
        plain = seconds.pop("plain")
        for precision, ours in seconds.items():
            chosen = POLICIES[precision] == devices.policy("auto")
            what = f"{case}, {precision}{' (default)' if chosen else ''}"
            target = STEP_TARGET if chosen else ""
            rows.append(Row(what, ours, "s/step", plain, plain / ours, target))
        keras.utils.clear_session()
    return rows


def measure_speed(
    cases: Sequence[Case], precisions: Sequence[str], devices: Devices, *, steps: int, card: str
) -> list[Row]:
    """Images/s and TFLOP/s; what does not fit into memory is said and left out.

    Args:
        cases: What to train.
        precisions: Keys of `POLICIES`.
        devices: What to train on.
        steps: Steps of a turn.
        card: The device's name, of which a peak may be known.
    """
    rows: list[Row] = []
    if card not in PEAKS:
        known = ", ".join(PEAKS)
        click.echo(f"{card}: its peak is not known, shares of it are left out; known are {known}")
    for case, precision in itertools.product(cases, precisions):
        use_arithmetic(precision)
        try:
            network = our_network(case.in_precision(precision), devices, steps)
            batch = random_batch(case.config)
            seconds = seconds_per_step({"ours": network}, batch, steps=steps)["ours"]
        except Exception as error:  # each backend has kinds of its own
            if not is_out_of_memory(error):
                raise
            click.echo(f"{case}, {precision}: out of memory")
        else:
            images = case.config.train.batch_size / seconds
            speed = images * training_flops(network) / 1e12
            limit = peak(card, precision)
            share = None if limit is None else speed / limit
            what = f"{case}, {precision}"
            rows += [Row(what, images, "images/s"), Row(what, speed, "TFLOP/s", limit, share)]
        keras.utils.clear_session()
    return rows


def our_network(config: Config, devices: Devices, steps: int) -> keras.Model:
    """The network as `hourglass.train` fits it."""
    with devices.scope():
        return compiled_network(config, devices, steps=steps)


def plain_network(config: Config) -> keras.Model:
    """The same layers, loss and Adam as anybody would compile them, in float32."""
    network = build_network(config.network)
    network.compile(keras.optimizers.Adam(config.train.learning_rate), heatmap_loss(config.train))
    return network


def random_batch(config: Config) -> Batch:
    """Images, heatmaps and weights of `training_dataset`'s shapes and dtypes, always the same."""
    rng = np.random.default_rng(0)
    batch, size = config.train.batch_size, config.network.input_size
    joints, grid = config.network.joints, config.network.heatmap_size
    return (
        rng.integers(0, 256, (batch, size, size, 3), np.uint8),
        rng.random((batch, grid, grid, joints), np.float32),
        np.ones((batch, joints), np.float32),
    )


def seconds_per_step(
    networks: Mapping[str, keras.Model], batch: Batch, *, steps: int
) -> dict[str, float]:
    """Median seconds of a step of each network, in turns of one `fit` on the same batch.

    A turn's first step does not count: with it, `fit` and the devices' strategy make themselves
    ready, which in a training happens once.
    """

    def turn(network: keras.Model) -> float:
        clock = StepClock()
        network.fit(
            feed(batch, steps + 1),
            steps_per_epoch=steps + 1,
            callbacks=[clock],
            shuffle=False,
            verbose=0,
        )
        return clock.seconds / steps

    turns = {name: functools.partial(turn, network) for name, network in networks.items()}
    return take_turns(turns, rounds=TURNS, measure=lambda run: run())


class StepClock(keras.callbacks.Callback):
    """Measures the `seconds` from the end of an epoch's first step to the end of its last.

    Keras calls it with numbers, so that the device has computed them, and from a thread beside
    `fit`, so that the next step need not wait.
    """

    async_safe = True

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0
        self._began = 0.0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch == 0:
            self._began = time.perf_counter()
        if batch == self.params["steps"] - 1:
            self.seconds = time.perf_counter() - self._began


def feed(batch: Batch, steps: int) -> Any:
    """The batch again and again, in what costs the backend least."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.data.Dataset.from_tensors(batch).repeat(steps)
    on_device = tuple(keras.ops.convert_to_tensor(array) for array in batch)
    # Keras looks at a few batches, and at some of them in vain, before the first step.
    return (on_device for _ in itertools.count())


def use_arithmetic(precision: str) -> None:
    """Lets float32 matrices be multiplied in TF32, or forbids it, for all networks made next."""
    if keras.backend.backend() == "jax":
        import jax

        jax.config.update("jax_default_matmul_precision", JAX_PRECISIONS[precision])
    else:
        import tensorflow as tf

        tf.config.experimental.enable_tensor_float_32_execution(precision != "float32")


def is_out_of_memory(error: Exception) -> bool:
    """Whether TensorFlow, JAX or XLA says so."""
    return any(word in f"{type(error)} {error}" for word in OUT_OF_MEMORY)


def measure_input(case: Case, devices: Devices, *, steps: int, data: Path | None) -> Row:
    """The share of a training's time that goes into waiting for input, in its second epoch.

    Args:
        case: What to train.
        devices: What to train on.
        steps: Steps of an epoch.
        data: Folder of the shards; None: shards that are made up.

    Raises:
        ValueError: If shards are missing, damaged or too few.
    """
    batch_size = case.config.train.batch_size
    with tempfile.TemporaryDirectory() as folder:
        pattern = (
            f"{data}/train*"
            if data
            else made_up_shards(Path(folder), people=2 * steps * batch_size, size=LARGE)
        )
        clock = InputClock()
        # Even shards of a single batch last for the two epochs.
        dataset = training_feed(pattern, case.config, epochs=2 * steps, clock=clock)
        history = our_network(case.config, devices, steps).fit(
            dataset,
            epochs=2,
            steps_per_epoch=steps,
            callbacks=[Throughput(steps * batch_size, clock)],
            shuffle=False,
            verbose=0,
        )
    keras.utils.clear_session()
    wait = 100 * history.history["input_wait"][-1]
    return Row(f"{case}, input wait", wait, "%", target=INPUT_TARGET)


def require_one_device(devices: Devices) -> None:
    """Refuses several GPUs, whose batches and peaks would be shared.

    Raises:
        ValueError: If there are several.
    """
    if devices.replicas > 1:
        raise InputError(
            f"{devices.description} are visible, but one is measured: set CUDA_VISIBLE_DEVICES=0"
        )


def require_arithmetic(precisions: Sequence[str], devices: Devices) -> None:
    """Refuses what is not there, or TF32 where no GPU can compute in it.

    Raises:
        ValueError: Names the precision.
    """
    allowed = [name for name in POLICIES if devices.gpus or name != "tf32"]
    for name in precisions:
        if name not in allowed:
            raise InputError(
                f"--precisions: received {name!r}, on {devices.description} there are "
                f"{', '.join(allowed)}"
            )


def _names(context: click.Context, option: click.Option, value: str | None) -> tuple[str, ...]:
    return () if value is None else tuple(name.strip() for name in value.split(","))


def _sizes(context: click.Context, option: click.Option, value: str | None) -> tuple[int, ...]:
    names = _names(context, option, value)
    for name in names:
        if not name.isdecimal() or int(name) < 1:
            raise click.BadParameter(f"received {name!r}, whole numbers from 1 are allowed")
    return tuple(map(int, names))


@click.command()
@click.option(
    "--networks",
    callback=_names,
    help=f"Presets ({', '.join(PRESETS)}), with commas between them. [default: "
    f"{','.join(ON_CPU.networks)}; on a GPU {','.join(ON_GPU.networks)}]",
)
@click.option(
    "--batch-sizes", callback=_sizes, help="People per step. [default: 2; on a GPU 16,32,64]"
)
@click.option(
    "--precisions",
    callback=_names,
    help=f"Kinds of arithmetic. [default: {','.join(ON_CPU.precisions)}; on a GPU "
    f"{','.join(ON_GPU.precisions)}]",
)
@click.option("--input-size", type=int, help="Side of the crops, px. [default: the presets']")
@click.option(
    "--steps",
    type=click.IntRange(1),
    help=f"Steps of a turn. [default: {ON_CPU.steps}; on a GPU {ON_GPU.steps}]",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Folder of shards to measure the input with. [default: made-up ones]",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=RESULTS / "train_step.json",
    show_default=True,
    help="File of the results.",
)
@command
def main(
    networks: tuple[str, ...],
    batch_sizes: tuple[int, ...],
    precisions: tuple[str, ...],
    input_size: int | None,
    steps: int | None,
    data: Path | None,
    output: Path,
) -> None:
    """Measures training steps, and what the first network waits for its input."""
    devices = find_devices()
    require_one_device(devices)
    default = ON_GPU if devices.gpus else ON_CPU
    precisions = precisions or default.precisions
    require_arithmetic(precisions, devices)
    steps = steps or default.steps
    cases = [
        make_case(name, batch_size, input_size)
        for name in networks or default.networks
        for batch_size in batch_sizes or default.batch_sizes
    ]
    card, backend = card_name(), keras.backend.backend()
    wait = measure_input(cases[0], devices, steps=steps, data=data)
    if backend == "tensorflow" and not devices.gpus:
        rows = compare(cases, precisions, devices, steps=steps)
    else:
        rows = measure_speed(cases, precisions, devices, steps=steps, card=card)
    details = {"device": card, "backend": backend}
    report("train_step", [*rows, wait], output=output, details=details)


if __name__ == "__main__":
    main()
