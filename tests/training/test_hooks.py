"""What a program adds to a training: callbacks, a loss, an augmentation; and what it may not."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

import hourglass
from hourglass.core.config import Config, NetworkConfig, TrainConfig
from hourglass.data.batches import OwnAugmentation
from hourglass.networks.losses import ForegroundWeightedMSE, OwnLoss
from hourglass.training.hooks import Hooks

NANO = Config(
    NetworkConfig(stacks=1, channels=4, depth=1, input_size=16, architecture="unet"),
    train=TrainConfig(epochs=1, batch_size=6, precision="float32"),
)
STEPS = 2

pytestmark = pytest.mark.usefixtures("quick_graphs")


@pytest.fixture
def train(shards: Path, tmp_path: Path) -> Callable[..., Any]:
    """Trains the smallest network for one epoch of two steps."""
    return lambda **hooks: hourglass.train(NANO, str(shards), folder=tmp_path / "run", **hooks)


class Watcher(keras.callbacks.Callback):
    """Notes the numbers of every epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.logs: list[dict[str, float]] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.logs.append(dict(logs or {}))


def squared(target: Any, predicted: Any) -> Any:
    return ops.mean(ops.square(predicted - target), axis=(1, 2))


@pytest.mark.usefixtures("eager_steps")
def test_a_training_uses_what_the_program_adds(train: Callable[..., Any]):
    watcher, seen = Watcher(), []

    def darken(images: np.ndarray) -> np.ndarray:
        seen.append(images.copy())
        images //= 2
        return images

    done = train(callbacks=[watcher], loss=squared, augment=darken)
    (logs,) = watcher.logs
    assert {"val_pckh@0.5", "learning_rate"} <= set(logs)
    # Empty heatmaps, as all are at first, have as loss the mean square of the targets.
    assert 0 < logs["val_loss"] < 0.2  # a whole Gaussian of 4 × 4 has π / 16
    assert logs["loss"] == pytest.approx(logs["loss_stack_1"], rel=1e-4)
    shapes = {(images.shape, images.dtype.name) for images in seen}
    assert shapes == {((6, 16, 16, 3), "uint8")}
    assert len(seen) >= STEPS
    assert done.board == done.folder / "logs"
    assert list(done.board.rglob("events*"))


def test_what_augment_gives_is_what_the_network_sees(shards: Path):
    from hourglass.data.datasets import training_dataset

    white = OwnAugmentation(lambda images: np.full_like(images, 255))
    pattern = f"{shards}/train*"
    plain = list(training_dataset(pattern, NANO).as_numpy_iterator())
    changed = list(training_dataset(pattern, NANO, change=white).as_numpy_iterator())
    assert len(changed) == STEPS
    for one, other in zip(plain, changed, strict=True):
        assert (other[0] == 255).all()
        np.testing.assert_array_equal(one[1], other[1])
        np.testing.assert_array_equal(one[2], other[2])


def test_a_function_is_a_loss_of_each_stack():
    rng = np.random.default_rng(0)
    targets = rng.random((3, 8, 8, 16), np.float32)
    predicted = rng.random((3, 2, 8, 8, 16), np.float32)
    own, known = OwnLoss(squared), ForegroundWeightedMSE(0.0)
    for method in ("call", "per_stack"):
        expected = getattr(known, method)(targets, predicted)
        np.testing.assert_allclose(getattr(own, method)(targets, predicted), expected, rtol=1e-5)


def test_an_error_of_augment_is_raised_as_it_is(train: Callable[..., Any]):
    def fails(images: np.ndarray) -> np.ndarray:
        raise KeyError("no such colour")

    with pytest.raises(KeyError, match="no such colour"):
        train(augment=fails)


@pytest.mark.parametrize(
    ("gives", "told"),
    [
        (lambda images: images[:2], r"crops \(6, 32, 32, 3\) uint8, as it was given, got \(2, 32,"),
        (lambda images: images / 255, r"got \(6, 32, 32, 3\) float64"),
        (lambda images: None, "as it was given, got NoneType"),
    ],
)
def test_crops_of_another_kind_are_told(gives: Callable[[Any], Any], told: str):
    change = OwnAugmentation(gives)
    with pytest.raises(ValueError, match=told) as raised:
        change(np.zeros((6, 32, 32, 3), np.uint8))
    assert change.error is raised.value


def test_a_loss_of_another_shape_is_told():
    loss = OwnLoss(lambda target, predicted: ops.mean(predicted - target))
    with pytest.raises(ValueError, match=r"loss must give \(B, 4\), a value per person and joint"):
        loss(np.zeros((2, 8, 8, 4), np.float32), np.zeros((2, 1, 8, 8, 4), np.float32))


@pytest.mark.parametrize(
    ("hooks", "told"),
    [
        ({"callbacks": [print]}, "callbacks holds <built-in function print>, it must be a Keras"),
        ({"loss": "mse"}, "loss is 'mse', it must be a function"),
        ({"augment": 3}, "augment is 3, it must be a function"),
        ({"loss": keras.losses.Huber()}, "loss is Keras's Huber, which does not keep joints apart"),
    ],
)
def test_hooks_that_are_none_are_refused(hooks: dict[str, Any], told: str):
    with pytest.raises(ValueError, match=re.escape(told)):
        Hooks(**hooks)
