"""What a training runs on: one CPU without GPUs, every GPU with, and the precision that fits."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import pytest
import tensorflow as tf

from hourglass.training import devices
from hourglass.training.devices import Devices, find_devices


@pytest.fixture
def without_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [])
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind=None: [])


@pytest.fixture
def with_gpus(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """Pretends that there are GPUs of the given compute capabilities; returns what was done."""

    def pretend(*capabilities: tuple[int, int]) -> list[Any]:
        done: list[Any] = []
        gpus = [SimpleNamespace(name=f"/GPU:{i}", capability=c) for i, c in enumerate(capabilities)]
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: gpus)
        monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind=None: gpus)
        monkeypatch.setattr(
            tf.config.experimental, "set_memory_growth", lambda gpu, on: done.append((gpu.name, on))
        )
        monkeypatch.setattr(
            tf.config.experimental,
            "get_device_details",
            lambda gpu: {"compute_capability": gpu.capability},
        )

        def strategy(names: list[str]) -> Any:
            done.append(names)
            return SimpleNamespace(num_replicas_in_sync=len(names))

        monkeypatch.setattr(tf.distribute, "MirroredStrategy", strategy)
        return done

    return pretend


def some(**changes: Any) -> Devices:
    return Devices(**{"replicas": 1, "description": "CPU", "gpus": 0, "bfloat16": False, **changes})


@pytest.mark.usefixtures("without_gpus")
def test_without_gpus_training_runs_on_one_cpu():
    found = find_devices()
    assert (found.replicas, found.gpus, found.description) == (1, 0, "CPU")
    with found.scope():
        assert tf.distribute.get_strategy() is found.strategy
    assert tf.distribute.get_strategy() is not found.strategy


def test_every_gpu_is_taken_and_none_of_them_whole(with_gpus: Callable[..., list[Any]]):
    done = with_gpus((8, 0), (9, 0))
    found = find_devices()
    assert (found.replicas, found.gpus, found.description) == (2, 2, "2 GPUs")
    assert done == [("/GPU:0", True), ("/GPU:1", True), ["/GPU:0", "/GPU:1"]]
    with_gpus((8, 0))
    assert find_devices().description == "1 GPU"


def test_gpus_that_tensorflow_uses_already_are_trained_on(
    with_gpus: Callable[..., list[Any]], monkeypatch: pytest.MonkeyPatch
):
    def refuse(gpu: Any, on: bool) -> None:
        raise RuntimeError("Physical devices cannot be modified after being initialized")

    with_gpus((8, 0), (9, 0))
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", refuse)
    assert find_devices().replicas == 2


BEGUN = """
import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
) if {two} else None
tf.constant(1.0) + 1.0

from hourglass.core.processor import take_memory_as_needed
from hourglass.training.devices import find_devices

take_memory_as_needed("CPU")
print(find_devices(["CPU:0", "CPU:1"] if {two} else None).replicas)
"""


@pytest.mark.parametrize("two", [False, True])
def test_a_tensorflow_that_has_begun_is_trained_on_as_it_is(two: bool):
    """As in a notebook that has run something before. A CPU stands for the GPU."""
    done = subprocess.run(
        [sys.executable, "-c", BEGUN.format(two=two)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{1 + two}\n"
    told = r"INFO .* - /physical_device:CPU:0: its memory is shared as it was before \("
    assert re.search(told, done.stderr.replace("|", "-"))


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [(((8, 0),), True), (((7, 5),), False), (((9, 0), (7, 0)), False), (((8, 6), (10, 0)), True)],
)
def test_bfloat16_is_for_gpus_that_all_have_it(
    with_gpus: Callable[..., list[Any]],
    capabilities: tuple[tuple[int, int], ...],
    expected: bool,
):
    with_gpus(*capabilities)
    found = find_devices()
    assert found.bfloat16 is expected
    assert found.policy("auto") == ("mixed_bfloat16" if expected else "float32")


@pytest.mark.usefixtures("without_gpus")
@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("fpu sse avx512f", False),
        ("fpu avx512_bf16 sse", True),
        ("amx_bf16 fpu", True),
        (None, False),
    ],
)
def test_bfloat16_is_for_cpus_that_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str | None, expected: bool
):
    told = tmp_path / "cpuinfo"
    if flags is not None:
        told.write_text(f"processor : 0\nflags\t\t: {flags}\nbogomips : 1\n")
    monkeypatch.setattr(devices, "Path", lambda _: told)
    assert find_devices(["CPU:0"]).bfloat16 is expected


def test_a_chosen_precision_is_kept():
    for bfloat16 in (False, True):
        for choice in ("float32", "mixed_bfloat16", "mixed_float16"):
            assert some(bfloat16=bfloat16).policy(choice) == choice


@pytest.mark.parametrize(
    ("gpus", "xla", "expected"),
    [
        (0, "auto", False),
        (1, "auto", True),
        (2, "auto", False),
        (0, "on", True),
        (2, "on", True),
        (1, "off", False),
    ],
)
def test_xla_is_for_one_gpu_or_on_demand(
    monkeypatch: pytest.MonkeyPatch, gpus: int, xla: str, expected: bool
):
    monkeypatch.setattr(keras.backend, "backend", lambda: "tensorflow")
    assert some(gpus=gpus).jit(xla) is expected
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    assert some(gpus=gpus).jit(xla) is True


def test_without_a_strategy_the_scope_is_nothing():
    before = tf.distribute.get_strategy()
    with some().scope():
        assert tf.distribute.get_strategy() is before
