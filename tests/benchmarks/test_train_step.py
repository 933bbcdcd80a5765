"""The benchmark of training steps: what it trains, what it writes, and what it refuses."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner

from benchmarks import train_step
from benchmarks.cards import PEAKS, card_name, peak
from benchmarks.comparison import Row
from benchmarks.flops import training_flops
from benchmarks.train_step import Case, main, measure_speed
from hourglass.core.config import AugmentConfig, Config, NetworkConfig, TrainConfig
from hourglass.core.presets import PRESETS
from hourglass.networks.hourglass import build_network
from hourglass.networks.normalization import FusedBatchNormalization
from hourglass.training.devices import Devices

NANO = Config(
    NetworkConfig(stacks=1, channels=4, depth=1, input_size=16),
    augment=AugmentConfig(0, 0, 0, 0, 0, 0),
    train=TrainConfig(batch_size=4),
)
CPU = Devices(replicas=1, description="CPU", gpus=0, bfloat16=True)
GPUS = Devices(replicas=2, description="2 GPUs", gpus=2, bfloat16=True)


pytestmark = pytest.mark.usefixtures("quick_graphs")


@pytest.fixture(autouse=True)
def nano(monkeypatch: pytest.MonkeyPatch) -> Config:
    """The cheapest network, as a preset; two turns of it are enough."""
    monkeypatch.setitem(PRESETS, "nano", NANO)
    monkeypatch.setattr(train_step, "TURNS", 1)
    return NANO


@pytest.fixture
def arithmetic(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether TF32 was allowed, at each change."""
    allowed: list[bool] = []
    config = tf.config.experimental
    monkeypatch.setattr(config, "enable_tensor_float_32_execution", allowed.append)
    return allowed


def test_the_command_compares_and_waits(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(train_step, "find_devices", lambda: CPU)
    monkeypatch.setitem(PRESETS, "nano", NANO.replace("network.architecture", "unet"))
    output = tmp_path / "numbers.json"
    arguments = ["--networks", "nano", "--batch-sizes", "2", "--precisions", "bfloat16"]
    arguments += ["--steps", "1", "--data", str(shards), "--output", str(output)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    kept = json.loads(output.read_text())
    assert (kept["machine"]["device"], kept["machine"]["backend"]) == ("CPU", "tensorflow")
    step, wait = kept["rows"]
    assert step["what"] == "nano, batch 2, bfloat16 (default)"
    assert (step["unit"], step["target"]) == ("s/step", ">= 1.35")
    assert step["ratio"] == pytest.approx(step["limit"] / step["value"])
    assert (wait["what"], wait["unit"]) == ("nano, batch 2, input wait", "%")
    assert 0 <= wait["value"] <= 100
    assert "| nano, batch 2, bfloat16 (default) | " in result.output


def test_the_target_is_for_the_default_arithmetic(monkeypatch: pytest.MonkeyPatch):
    seconds = {"plain": 6.0, "float32": 4.0, "bfloat16": 3.0}
    monkeypatch.setattr(train_step, "seconds_per_step", lambda *_, **__: dict(seconds))
    rows = train_step.compare([Case("nano", NANO)], ["float32", "bfloat16"], CPU, steps=1)
    assert rows == [
        Row("nano, batch 4, float32", 4.0, "s/step", 6.0, 1.5),
        Row("nano, batch 4, bfloat16 (default)", 3.0, "s/step", 6.0, 2.0, ">= 1.35"),
    ]


def count_fused(network: keras.Model) -> int:
    return sum(isinstance(layer, FusedBatchNormalization) for layer in network.layers)


def test_both_sides_differ_in_their_options_only(nano: Config):
    ours, plain = train_step.our_network(nano, CPU, 1), train_step.plain_network(nano)
    assert [weight.shape for weight in ours.weights] == [weight.shape for weight in plain.weights]
    assert ours.loss.get_config() == plain.loss.get_config()
    assert isinstance(ours.optimizer, keras.optimizers.Adam)
    assert type(plain.optimizer) is keras.optimizers.Adam
    fused = [
        any(isinstance(one, FusedBatchNormalization) for one in m.layers) for m in (ours, plain)
    ]
    assert fused == [True, False]


# Elsewhere than on CPUs.


def test_speeds_are_held_against_the_cards_peak(arithmetic: list[bool]):
    images, speed = measure_speed(
        [Case("nano", NANO)], ["float32"], CPU, steps=2, card="NVIDIA H200"
    )
    assert (images.what, images.unit, images.limit) == ("nano, batch 4, float32", "images/s", None)
    assert (speed.what, speed.unit, speed.limit) == ("nano, batch 4, float32", "TFLOP/s", 66.9)
    assert images.value > 0
    operations = training_flops(build_network(NANO.network))
    assert speed.value == pytest.approx(images.value * operations / 1e12)
    assert speed.ratio == pytest.approx(speed.value / 66.9)


def test_tf32_is_allowed_where_it_is_asked_for(arithmetic: list[bool]):
    for precision in ("float32", "tf32", "bfloat16"):
        train_step.use_arithmetic(precision)
    assert arithmetic == [False, True, True]


def test_shares_of_an_unknown_peak_are_left_out(
    monkeypatch: pytest.MonkeyPatch, arithmetic: list[bool], capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(train_step, "seconds_per_step", lambda *_, **__: {"ours": 0.5})
    rows = measure_speed([Case("nano", NANO)], ["tf32"], CPU, steps=1, card="NVIDIA X")
    assert [(row.limit, row.ratio) for row in rows] == [(None, None)] * 2
    expected = "NVIDIA X: its peak is not known, shares of it are left out; known are NVIDIA H200, "
    assert capsys.readouterr().out.startswith(expected)


@pytest.mark.parametrize(
    "error",
    [
        tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor"),
        RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 9 bytes"),
    ],
)
def test_out_of_memory_is_a_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arithmetic: list[bool],
    error: Exception,
):
    def measured(networks: object, batch: tuple, *, steps: int) -> dict[str, float]:
        if len(batch[0]) > 4:
            raise error
        return {"ours": 0.5}

    monkeypatch.setattr(train_step, "seconds_per_step", measured)
    cases = [train_step.make_case("nano", size, None) for size in (4, 8)]
    rows = measure_speed(cases, ["tf32"], CPU, steps=1, card="NVIDIA H200")
    assert [row.what for row in rows] == ["nano, batch 4, tf32"] * 2
    assert rows[0].value == 8
    assert capsys.readouterr().out == "nano, batch 8, tf32: out of memory\n"


def test_other_errors_are_not_taken_for_it(monkeypatch: pytest.MonkeyPatch, arithmetic: list[bool]):
    def broken(*arguments: object, **options: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(train_step, "seconds_per_step", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        measure_speed([Case("nano", NANO)], ["tf32"], CPU, steps=1, card="NVIDIA H200")


def test_peaks_go_by_the_cards_whole_name():
    assert peak("NVIDIA H200", "tf32") == 494.7
    assert peak("NVIDIA H100 PCIe", "tf32") is None
    assert all(set(peaks) == set(train_step.POLICIES) for peaks in PEAKS.values())
    assert card_name() == "CPU"


def test_jax_gets_arrays(monkeypatch: pytest.MonkeyPatch):
    batch = train_step.random_batch(NANO)
    assert [array.dtype.name for array in batch] == ["uint8", "float32", "float32"]
    dataset = train_step.feed(batch, 3)
    shapes = [spec.shape for spec in dataset.element_spec]
    assert shapes == [(4, 16, 16, 3), (4, 4, 4, 16), (4, 16)]
    assert dataset.cardinality() == 3
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    # It has no end: Keras takes more batches than it trains on.
    first, *others = itertools.islice(train_step.feed(batch, 3), 5)
    assert all(one is first for one in others)
    for array, given in zip(first, batch, strict=True):
        np.testing.assert_array_equal(array, given)


# What is refused, before anything is measured.


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--networks", "hg3"], "no preset is called 'hg3'; there are hg1, hg2, "),
        (
            ["--batch-sizes", "2,0"],
            "Invalid value for '--batch-sizes': received '0', whole numbers from 1 are allowed",
        ),
        (["--batch-sizes", "two"], "Invalid value for '--batch-sizes': received 'two', whole"),
        (
            ["--precisions", "float32,tf32"],
            "--precisions: received 'tf32', on CPU there are float32, bfloat16",
        ),
        (["--precisions", "int8"], "--precisions: received 'int8', on CPU there are"),
        (["--input-size", "100"], "NetworkConfig.input_size is 100, it must be a multiple of 64"),
        (["--steps", "0"], "Invalid value for '--steps': 0 is not in the range x>=1."),
        (["--networks", "nano", "--data", "nowhere"], "no shards match 'nowhere/train*'; build"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    error_of: Callable[..., str], arguments: list[str], expected: str
):
    assert error_of(main, *arguments).startswith(expected)


def test_several_gpus_are_refused(monkeypatch: pytest.MonkeyPatch, error_of: Callable[..., str]):
    monkeypatch.setattr(train_step, "find_devices", lambda: GPUS)
    expected = "2 GPUs are visible, but one is measured: set CUDA_VISIBLE_DEVICES=0"
    assert error_of(main) == expected
