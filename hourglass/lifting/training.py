"""Training of the lifting network on motion seen by virtual cameras, new ones in every epoch.

The recipe of the seed (Martinez et al., ICCV 2017, with a learning rate that halves every epoch)
is here beside ours, so that both can run on the same motion.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from hourglass.core.errors import InputError
from hourglass.core.processor import take_memory_as_needed
from hourglass.lifting.body import ABOUT_PELVIS, mirrored, normalised
from hourglass.lifting.cameras import Detector, random_detections, random_views
from hourglass.lifting.network import build_lifter
from hourglass.lifting.shape import SEED, LifterConfig
from hourglass.lifting.variety import random_arms, random_builds, random_turns

METRE = 1000.0
"""The network's outputs are in metres, so that a loss of 1 is a large one."""

CLIP_NORM = 1.0
"""Largest norm of the gradient of all weights."""


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes:
        epochs: Times that all poses are shown, by new cameras each time.
        batch_size: Poses in a step.
        learning_rate: The highest one.
        schedule: `cosine`, down to 0 after a short rise, or `halving`, half of it every epoch.
        loss: `distance`, the mean distance per joint, which is what is scored; or `mse`.
        seed: Of cameras, noise, order and weights.
        fresh: Whether every epoch has new cameras; else all share the first one's.
        varied: Share of poses that are varied beyond what was recorded, by
            `hourglass.lifting.variety`.
    """

    epochs: int = 40
    batch_size: int = 256
    learning_rate: float = 1e-3
    schedule: str = "cosine"
    loss: str = "distance"
    seed: int = 0
    fresh: bool = True
    varied: float = 0.5


SEED_RECIPE = Recipe(
    epochs=12, batch_size=64, schedule="halving", loss="mse", fresh=False, varied=0.0
)

RECIPES = {
    "lift": Recipe(epochs=45, learning_rate=5e-4),
    "lift-lite": Recipe(epochs=150),
    SEED: SEED_RECIPE,
}
"""By the presets' names."""


def training_batch(
    rng: np.random.Generator,
    points: np.ndarray,
    detector: Detector,
    *,
    masked: bool,
    varied: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Poses in the world as the network's inputs and targets, each seen by a new random camera.

    Args:
        rng: Draws cameras, mirroring and errors.
        points: (N, 17, 3) mm, y up.
        detector: How the 2D network errs.
        masked: As `normalised`'s.
        varied: As `Recipe`'s.

    Returns:
        Inputs (N, 16, 3 or 2) and targets (N, 16, 3), metres about the pelvis.
    """
    flip = rng.random(len(points)) < 0.5
    points = np.where(flip[:, None, None], mirrored(points), points)
    if varied:
        others = random_builds(rng, random_turns(rng, random_arms(rng, points)))
        points = np.where(rng.random((len(points), 1, 1)) < varied, others, points)
    body, pixels = random_views(rng, points)
    found, known = random_detections(rng, pixels, detector=detector)
    targets = body[:, ABOUT_PELVIS] / METRE
    return normalised(found, known, masked=masked), targets.astype(np.float32)


class _Views(keras.utils.PyDataset):
    """Batches of poses, each seen by a random camera; the same ones for the same epoch and seed."""

    def __init__(
        self, points: np.ndarray, recipe: Recipe, detector: Detector, *, masked: bool
    ) -> None:
        super().__init__()
        self._points, self._recipe = points, recipe
        self._detector, self._masked = detector, masked
        self._epoch = -1
        self.on_epoch_begin()

    def on_epoch_begin(self) -> None:
        """New cameras, if every epoch has its own, and a new order."""
        self._epoch += 1
        seed = self._recipe.seed
        if self._recipe.fresh or self._epoch == 0:
            rng = np.random.default_rng((seed, self._epoch))
            self._shown = training_batch(
                rng,
                self._points,
                self._detector,
                masked=self._masked,
                varied=self._recipe.varied,
            )
        rng = np.random.default_rng((seed, self._epoch, 1))
        self._order = rng.permutation(len(self._points))

    def __len__(self) -> int:
        # BatchNorm needs whole batches; who is left over comes in another epoch.
        return max(1, len(self._points) // self._recipe.batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        size = self._recipe.batch_size
        chosen = self._order[index * size : (index + 1) * size]
        inputs, targets = self._shown
        return inputs[chosen], targets[chosen]


def mean_distance(actual: Any, predicted: Any) -> Any:
    """Mean distance per joint (B,) of (B, J, 3): MPJPE, as a loss."""
    squares = ops.sum(ops.square(predicted - actual), axis=-1)
    # The root's slope at 0 is infinite.
    return ops.mean(ops.sqrt(squares + 1e-8), axis=-1)


def train_lifter(
    points: np.ndarray,
    config: LifterConfig,
    recipe: Recipe,
    *,
    detector: Detector | None = None,
    on_epoch: Callable[[int, keras.Model, dict[str, float]], None] | None = None,
) -> tuple[keras.Model, list[dict[str, float]]]:
    """Trains a network from the start.

    Args:
        points: (N, 17, 3) poses in the world, mm, y up; N of a batch at least.
        config: Its shape.
        recipe: How.
        detector: How the 2D network errs.
        on_epoch: Called after each epoch (from 1) with the network and its `loss` and `mse`, m².

    Returns:
        The network, and `loss` and `mse` of each epoch.

    Raises:
        ValueError: If there are fewer poses than a batch holds.
    """
    if len(points) < recipe.batch_size:
        raise InputError(f"{len(points)} poses, a batch of {recipe.batch_size} needs as many")
    if keras.backend.backend() == "tensorflow":
        take_memory_as_needed()
    keras.utils.set_random_seed(recipe.seed)
    views = _Views(points, recipe, detector or Detector(), masked=config.masked)
    network = build_lifter(config)
    network.compile(
        keras.optimizers.Adam(learning_rates(recipe, len(views)), global_clipnorm=CLIP_NORM),
        loss=mean_distance if recipe.loss == "distance" else "mse",
        metrics=["mse"],
    )
    epochs: list[dict[str, float]] = []

    def report(epoch: int, logs: dict[str, float]) -> None:
        views.on_epoch_begin()
        epochs.append({name: float(logs[name]) for name in ("loss", "mse")})
        if on_epoch:
            on_epoch(epoch + 1, network, epochs[-1])

    watch = keras.callbacks.LambdaCallback(on_epoch_end=report)
    network.fit(views, epochs=recipe.epochs, verbose=0, shuffle=False, callbacks=[watch])
    return network, epochs


def learning_rates(recipe: Recipe, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    if recipe.schedule == "halving":
        return keras.optimizers.schedules.ExponentialDecay(
            recipe.learning_rate, decay_steps=steps, decay_rate=0.5, staircase=True
        )
    rise = min(steps, math.ceil(recipe.epochs * steps / 20))
    return keras.optimizers.schedules.CosineDecay(
        recipe.learning_rate / 10,
        decay_steps=recipe.epochs * steps - rise,
        warmup_target=recipe.learning_rate,
        warmup_steps=rise,
    )
