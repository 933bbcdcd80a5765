"""The plan on paper: its arithmetic, its sources, and that the docs show it as it is."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.scaling_plan import (
    PEOPLE,
    PERFORMANCE,
    Assumed,
    Measured,
    plan,
    read_measured,
    table,
)
from hourglass.core.person import Person
from hourglass.core.presets import preset
from hourglass.data.shards import Place


def test_the_docs_show_the_plan_as_it_is():
    """If figures have changed, paste what `python -m benchmarks.scaling_plan` prints."""
    shown = (PERFORMANCE.parent / "SCALING.md").read_text(encoding="utf-8")
    assert table() in shown


def test_figures_come_from_the_tables():
    measured = read_measured(PERFORMANCE.read_text(encoding="utf-8"))
    assert 0 < measured.crop < measured.whole
    assert measured.crop_gain > 1
    assert min(measured.built, measured.read, measured.trained) > 100


def test_a_row_that_is_gone_is_named():
    with pytest.raises(ValueError, match="no row 'pictures of 1280×720, a record"):
        read_measured("| what | measured |\n")


def test_the_arithmetic():
    measured = Measured(
        whole=200e3, crop=50e3, built=500, read=1000, crop_gain=2, trained=PEOPLE / 3600
    )
    assumed = Assumed(photograph=400e3, parameters=1_000_000, batch=100, epochs=3, gpus=2)
    found = {what: how_much for what, how_much, _ in plan(measured, assumed)}
    assert found["pictures, one a person"] == "10 TB"
    assert found["shards, `--store crop`"] == "2.5 TB"
    assert found["building, processor"] == "28 core hours, $1"
    assert found["building, network in"] == "100 MB/s a core"
    assert found["3 epochs of `lite`, GPU"] == "3 GPU hours, $9"
    assert found["the same on 2 GPUs"] == "1.5 hours"
    assert found["input, processor"] == "6.9 cores a GPU"  # 1 ms a crop, 6,944 crops/s
    assert found["input, storage"] == "694 MB/s a GPU, 1.39 GB/s in all"
    assert found["gradients"] == "278 MB/s a GPU"  # 4 MB a step, 69 steps/s


def memory_of(make: Callable[[int], Any], count: int = 2000) -> float:
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept = [make(number) for number in range(count)]
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return used / len(kept)


def test_the_memory_of_a_person_is_what_is_assumed():
    def person(number: int) -> Person:
        return Person(
            filename=f"{number:09d}.jpg",
            points=np.zeros((16, 2), np.float32),
            visibility=np.zeros(16, np.uint8),
            center=np.zeros(2, np.float32),
            scale=1.0 + number,
        )

    def place(number: int) -> Place:
        return Place("train_0001", number + 1000, 10**6 + number * 62_400, 62_400 + number)

    assert memory_of(person) == pytest.approx(Assumed().person, rel=0.3)
    assert memory_of(place) == pytest.approx(Assumed().place, rel=0.3)


def test_the_network_is_the_presets():
    from hourglass.networks.hourglass import build_network

    weights = build_network(preset("lite").network).trainable_weights
    assert sum(weight.numpy().size for weight in weights) == Assumed().parameters


def test_the_readme_names_the_page():
    assert "docs/SCALING.md" in (Path(PERFORMANCE).parents[1] / "README.md").read_text("utf-8")
