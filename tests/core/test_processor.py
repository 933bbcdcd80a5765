"""Settings for CPUs are made before TensorFlow is loaded, and never against the user's own."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest

from hourglass.core import processor

needs_glibc = pytest.mark.skipif(not processor._is_glibc(), reason="glibc's mallopt")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """What is asked of `mallopt`, which here does nothing."""
    made: list[tuple[int, int]] = []

    class Library:
        def mallopt(self, option: int, value: int) -> int:
            made.append((option, value))
            return 1

    monkeypatch.setattr(ctypes, "CDLL", lambda name: Library())
    for name in ("TF_ENABLE_ONEDNN_OPTS", "GLIBC_TUNABLES", *processor.OWN_SETTINGS):
        monkeypatch.delenv(name, raising=False)
    return made


@needs_glibc
def test_memory_is_kept_and_onednn_used(calls: list[tuple[int, int]]):
    processor.prepare_processor()
    assert calls == [(-4, 0), (-1, 2**31 - 1), (-2, 2**28)]
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "1"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MALLOC_MMAP_MAX_", "65536"),
        ("MALLOC_TRIM_THRESHOLD_", "131072"),
        ("MALLOC_TOP_PAD_", "0"),
        ("GLIBC_TUNABLES", "glibc.malloc.mmap_max=65536"),
    ],
)
def test_the_users_own_settings_of_memory_stay(
    calls: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch, name: str, value: str
):
    monkeypatch.setenv(name, value)
    processor.prepare_processor()
    assert not calls


def test_the_users_own_choice_of_kernels_stays(
    calls: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    processor.prepare_processor()
    assert os.environ["TF_ENABLE_ONEDNN_OPTS"] == "0"


def test_other_c_libraries_are_left_alone(
    calls: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(processor.platform, "libc_ver", lambda: ("", ""))
    processor.prepare_processor()
    assert not calls


@needs_glibc
def test_memory_that_was_freed_is_used_again():
    """A process of its own: what malloc is told is for good."""
    program = """
import resource
import numpy as np
from hourglass.core.processor import prepare_processor

prepare_processor()
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(40_000_000, np.uint8)
before = faults()
for _ in range(5):
    np.ones(40_000_000, np.uint8)
print(faults() - before)
"""
    names = ("GLIBC_TUNABLES", *processor.OWN_SETTINGS)
    environment = {name: value for name, value in os.environ.items() if name not in names}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
    )
    # Every page again would be 10,000 a time, or 20 of huge pages.
    assert int(done.stdout) < 50


@pytest.mark.parametrize("module", ["hourglass.training.devices", "hourglass.training.run"])
def test_a_training_prepares_the_processor_before_tensorflow_is_loaded(module: str):
    program = f"""
import sys

import hourglass.core.processor as processor

def prepare():
    assert "tensorflow" not in sys.modules and "keras" not in sys.modules
    print("prepared")

processor.prepare_processor = prepare
import {module}
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "prepared\n"
