"""Training learns, repeats itself, and follows its schedule."""

from __future__ import annotations

import dataclasses

import keras
import numpy as np
import pytest

from hourglass.lifting.cameras import Detector
from hourglass.lifting.shape import LifterConfig
from hourglass.lifting.training import (
    RECIPES,
    SEED_RECIPE,
    Recipe,
    learning_rates,
    mean_distance,
    train_lifter,
    training_batch,
)

SMALL = LifterConfig(units=32, dropout=0.0)
SHORT = Recipe(epochs=3, batch_size=16)


def test_batches_are_views_and_repeat_with_their_seed(moving: np.ndarray) -> None:
    batches = [
        training_batch(np.random.default_rng(5), moving, Detector(), masked=True) for _ in range(2)
    ]
    inputs, targets = batches[0]
    assert inputs.shape == (64, 16, 3)
    assert targets.shape == (64, 16, 3)
    assert inputs.dtype == targets.dtype == np.float32
    np.testing.assert_array_equal(inputs, batches[1][0])
    assert 0.2 < np.abs(targets).max() < 1.5  # metres
    missing = inputs[..., 2] == 0
    assert missing.any()
    np.testing.assert_array_equal(inputs[missing], 0)


def test_training_lowers_the_loss_and_is_the_same_twice(moving: np.ndarray) -> None:
    seen: list[int] = []
    _, first = train_lifter(
        moving, SMALL, SHORT, on_epoch=lambda epoch, network, logs: seen.append(epoch)
    )
    _, second = train_lifter(moving, SMALL, SHORT)
    assert seen == [1, 2, 3]
    assert first == second
    assert first[-1]["loss"] < first[0]["loss"]


def test_the_seeds_recipe_shows_the_same_views_again(moving: np.ndarray) -> None:
    recipe = dataclasses.replace(SEED_RECIPE, epochs=2, batch_size=16)
    config = LifterConfig(units=16, dropout=0.5, masked=False)
    _, epochs = train_lifter(moving, config, recipe)
    assert len(epochs) == 2
    # Its loss is the squared error, so both numbers are one.
    assert epochs[0]["loss"] == pytest.approx(epochs[0]["mse"], rel=1e-4)


def test_the_distance_by_hand() -> None:
    actual, predicted = np.zeros((1, 2, 3), np.float32), np.zeros((1, 2, 3), np.float32)
    predicted[0, 0] = [3, 4, 0]
    found = keras.ops.convert_to_numpy(mean_distance(actual, predicted))
    np.testing.assert_allclose(found, [2.5], atol=1e-3)


def test_rates_halve_every_epoch_or_follow_a_cosine() -> None:
    halving = [float(learning_rates(SEED_RECIPE, 10)(step)) for step in (0, 9, 10, 25)]
    np.testing.assert_allclose(halving, [1e-3, 1e-3, 5e-4, 2.5e-4], rtol=1e-5)
    cosine = learning_rates(dataclasses.replace(RECIPES["lift-lite"], epochs=40), 10)
    values = [float(cosine(step)) for step in (0, 10, 400)]
    np.testing.assert_allclose(values, [1e-4, 1e-3, 0], atol=2e-5)


def test_too_few_poses_are_refused(moving: np.ndarray) -> None:
    with pytest.raises(ValueError, match="4 poses, a batch of 16 needs as many"):
        train_lifter(moving[:4], SMALL, SHORT)
