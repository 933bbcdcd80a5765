"""The builder on a cluster of two nodes, of which one dies: the same shards as on one machine."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from hourglass.core import cluster
from hourglass.data.building.build import Summary, build

PEOPLE, SHARDS = {"train": 36, "validation": 4}, {"train_shards": 18, "val_shards": 2}
SIDE = 700
"""Of the pictures, px: as PNG files of noise they take time to store, and 1.5 MB each."""

SMALL = 2**20
"""Bytes that may lie in Ray's object store: far less than one shard's pictures."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    (folder / "images").mkdir()
    (folder / "annotations").mkdir()
    for split, count in PEOPLE.items():
        entries = []
        for number in range(count):
            name = f"{split}_{number}.png"
            rng = np.random.default_rng([len(split), number])
            picture = rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
            cv2.imwrite(str(folder / "images" / name), picture)
            joints = [[100.0 + 30 * joint, 200.0 + 7 * number] for joint in range(16)]
            visible = [1] * 16
            entry = {"image": name, "joints": joints, "joints_vis": visible}
            entries.append({**entry, "center": [350.0, 300.0], "scale": 2.0 + number / 100})
        (folder / "annotations" / f"{split}.json").write_text(json.dumps(entries))
    return folder


def run(source: Path, output: Path, **options: Any) -> Summary:
    return build(source / "annotations", source / "images", output=output, **SHARDS, **options)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def without_ray(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The files of a build in this process, a shard after the other."""
    with monkeypatch.context() as patch:
        patch.setattr(cluster, "started", lambda *_: contextlib.nullcontext())
        patch.setattr(cluster, "in_parallel", lambda f, tasks: ([f(*one)] for one in tasks))
        patch.setattr(cluster, "count_nodes", lambda: 1)
        run(source, tmp_path / "alone")
    return files_of(tmp_path / "alone")


@pytest.mark.slow
def test_a_node_that_dies_changes_nothing(
    two_nodes: Any,
    source: Path,
    without_ray: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    import ray

    output, died = tmp_path / "out", []
    stored: list[float] = []

    def kill_a_node() -> None:
        while len(list(output.glob("*.tfrecords"))) < 3:
            time.sleep(0.05)
        died.append(len(list(output.glob("*.tfrecords"))))
        (node,) = two_nodes.worker_nodes
        two_nodes.remove_node(node, allow_graceful=False)

    def look(nodes: Any) -> str:
        stored.append(bytes_in_object_store())
        return see(nodes)

    see = cluster.Nodes.look
    monkeypatch.setattr(cluster.Nodes, "look", look)
    killer = threading.Thread(target=kill_a_node, daemon=True)
    killer.start()
    summary = run(source, output, ray_address=two_nodes.address)
    killer.join(timeout=60)
    assert died
    assert died[0] < summary.built == sum(SHARDS.values())
    assert files_of(output).keys() == without_ray.keys()
    for name, content in without_ray.items():
        if name != "manifest.json":
            assert files_of(output)[name] == content, name
    assert max(stored) < SMALL
    assert not ray.is_initialized()


def bytes_in_object_store() -> float:
    """Of all nodes."""
    import ray

    name = "object_store_memory"
    return ray.cluster_resources()[name] - ray.available_resources().get(name, 0.0)
