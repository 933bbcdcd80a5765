"""A small set of labels, and its build in this process."""

from __future__ import annotations

import contextlib
import importlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

room = importlib.import_module("hourglass.data.building.build")

PEOPLE = {"train": 12, "valid": 4}


@pytest.fixture(scope="session")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MPII's JSON and its pictures, of noise."""
    root, rng = tmp_path_factory.mktemp("labels"), np.random.default_rng(0)
    (root / "images").mkdir()
    (root / "annotations").mkdir()
    for split, count in PEOPLE.items():
        entries = []
        for number in range(count):
            name = f"{split}_{number}.jpg"
            picture = rng.integers(0, 256, (40, 48, 3), np.uint8)
            Image.fromarray(picture).save(root / "images" / name)
            entries.append(
                {
                    "image": name,
                    "joints": rng.uniform(2, 38, (16, 2)).round(2).tolist(),
                    "joints_vis": [1] * 16,
                    "center": [24.0, 20.0],
                    "scale": 0.15,
                }
            )
        (root / "annotations" / f"{split}.json").write_text(json.dumps(entries))
    return root


@pytest.fixture
def without_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    """One shard after the other in this process, so that every step is seen in turn."""

    def in_turn(function: Callable[..., Any], tasks: Any) -> Iterator[list[Any]]:
        for arguments in tasks:
            yield [function(*arguments)]

    monkeypatch.setattr(room.cluster, "started", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr(room.cluster, "in_parallel", in_turn)
    monkeypatch.setattr(room.cluster, "count_nodes", lambda: 1)


@pytest.fixture
def build(without_ray: None) -> Callable[[Path, Path], Any]:
    """`build(labels, output)`: six shards of the labels."""

    def run(labels: Path, output: Path) -> Any:
        return room.build(
            labels / "annotations", labels / "images", output=output, train_shards=4, val_shards=2
        )

    return run
