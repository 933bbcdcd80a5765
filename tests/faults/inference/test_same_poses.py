"""The same people are found in batches of any size and order, and on either backend."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hourglass.inference.estimator import BATCH_SIZE, PoseEstimator

COUNT = BATCH_SIZE + 3

PROGRAM = """
import sys

import numpy as np

from hourglass.modelfiles.keras_file import load_model
from hourglass.networks.hourglass import last_stack
import keras

assert keras.backend.backend() == "jax"
assert "tensorflow" not in sys.modules
network, _ = load_model(sys.argv[1])
np.save(sys.argv[3], last_stack(network).predict_on_batch(np.load(sys.argv[2])))
"""


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    sides = rng.integers(40, 90, (COUNT, 2))
    return [rng.integers(0, 256, (height, width, 3), np.uint8) for height, width in sides]


@pytest.fixture(scope="module")
def estimator(micro_file: Path) -> PoseEstimator:
    return PoseEstimator.load(micro_file)


def found(
    estimator: PoseEstimator, pictures: list[np.ndarray], order: list[int], batch: int
) -> tuple[np.ndarray, np.ndarray]:
    """Points and scores of each picture, seen in an order and so many at a time."""
    points, scores = np.zeros((COUNT, 16, 2)), np.zeros((COUNT, 16))
    for start in range(0, COUNT, batch):
        chosen = order[start : start + batch]
        centers = np.array([[one / 2 for one in pictures[n].shape[1::-1]] for n in chosen])
        scales = np.array([pictures[n].shape[0] / 200 for n in chosen])
        points[chosen], scores[chosen] = estimator.predict_crops(
            [pictures[n] for n in chosen], centers, scales
        )
    return points, scores


@pytest.mark.parametrize("batch", [1, 5, BATCH_SIZE])
def test_poses_depend_on_neither_batch_nor_order(
    batch: int, estimator: PoseEstimator, pictures: list[np.ndarray]
):
    order = np.random.default_rng(batch).permutation(COUNT).tolist()
    expected = found(estimator, pictures, list(range(COUNT)), COUNT)
    for one, other in zip(found(estimator, pictures, order, batch), expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")
def test_jax_and_tensorflow_see_the_same(
    micro_file: Path, crops: np.ndarray, tmp_path: Path, estimator: PoseEstimator
):
    np.save(tmp_path / "crops.npy", crops)
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, micro_file, tmp_path / "crops.npy", tmp_path / "maps.npy"],
        env={**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    by_jax = np.load(tmp_path / "maps.npy")
    by_tensorflow = estimator._runtime.heatmaps(crops)
    assert by_jax.shape == by_tensorflow.shape
    assert np.ptp(by_tensorflow) > 0.5
    np.testing.assert_allclose(by_jax, by_tensorflow, atol=1e-4)


@pytest.mark.slow
def test_one_two_and_four_replicas_validate_the_same(micro_file: Path, tmp_path: Path):
    """The network of a file on 1, 2 and 4 logical devices of this processor."""
    program = """
import sys

import keras
import numpy as np
import tensorflow as tf

count, model, crops, out = int(sys.argv[1]), *sys.argv[2:]
processor = tf.config.list_physical_devices("CPU")[0]
parts = [tf.config.LogicalDeviceConfiguration()] * count
tf.config.set_logical_device_configuration(processor, parts)
from hourglass.modelfiles.keras_file import load_model

strategy = tf.distribute.MirroredStrategy([f"CPU:{number}" for number in range(count)])
with strategy.scope():
    network, _ = load_model(model)
    network.compile()
np.save(out, network.predict(np.load(crops), batch_size=8, verbose=0))
"""
    crops = np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3), np.uint8)
    np.save(tmp_path / "crops.npy", crops)
    results = []
    for count in (1, 2, 4):
        out = tmp_path / f"{count}.npy"
        subprocess.run(
            [sys.executable, "-c", program, str(count), micro_file, tmp_path / "crops.npy", out],
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
            timeout=1800,
            check=True,
        )
        results.append(np.load(out))
    assert results[0].shape == (16, 2, 8, 8, 16)
    for result in results[1:]:
        np.testing.assert_allclose(result, results[0], atol=1e-5)
