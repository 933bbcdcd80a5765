"""Where a training's batches come from: tf.data, or the loader where TensorFlow is missing."""

from __future__ import annotations

from typing import Any

import keras

from hourglass.core.config import Config
from hourglass.data.batches import InputClock, OwnAugmentation, Share, TargetChange
from hourglass.data.loader import Batches, training_batches, validation_batches
from hourglass.data.mixture import Pattern
from hourglass.training.devices import tensorflow_is_there


def training_feed(
    pattern: Pattern,
    config: Config,
    *,
    epochs: int,
    first_epoch: int = 0,
    clock: InputClock | None = None,
    change: OwnAugmentation | None = None,
    teacher: TargetChange | None = None,
    share: Share | None = None,
) -> Any:
    """Batches of image, heatmaps and weights for `fit`, epoch after epoch.

    Args:
        pattern: Glob of the shards.
        config: All choices.
        epochs: How many.
        first_epoch: The first one's number.
        clock: Measures the wait for batches.
        change: What a program does to the crops besides.
        teacher: Changes the targets.
        share: What this one of several processes makes of each batch; None if it is alone.

    Raises:
        ValueError: If no shard matches, one is damaged, or there are fewer people than a batch.
    """
    options: Any = {"epochs": epochs, "first_epoch": first_epoch, "clock": clock}
    if share is None and tensorflow_is_there():
        from hourglass.data.datasets import training_dataset

        return training_dataset(pattern, config, change=change, teacher=teacher, **options)
    batches = training_batches(pattern, config, share=share, **options)
    return Sequence(batches, change, teacher)


def validation_feed(pattern: Pattern, config: Config, *, share: Share | None = None) -> Any:
    """Batches of image, heatmaps and weights of all people, to go over as often as wanted.

    Args:
        pattern: Glob of the shards.
        config: All choices.
        share: As `training_feed`'s.

    Raises:
        ValueError: If no shard matches, or one is damaged.
    """
    if share is None and tensorflow_is_there():
        from hourglass.data.datasets import validation_dataset

        return validation_dataset(pattern, config)
    return validation_batches(pattern, config, share=share)


def pairs(batches: Any) -> Any:
    """Their images and heatmaps alone, `((image, heatmaps),)`, as `predict` takes them.

    Args:
        batches: `validation_feed`'s.
    """
    if isinstance(batches, Batches):
        return Pairs(batches)
    return batches.map(lambda image, heatmaps, _: ((image, heatmaps),))


class Sequence(keras.utils.PyDataset):
    """Batches as Keras takes them where there is no tf.data."""

    def __init__(
        self,
        batches: Batches,
        change: OwnAugmentation | None = None,
        teacher: TargetChange | None = None,
    ) -> None:
        super().__init__()
        self._batches, self._change, self._teacher = batches, change, teacher

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, number: int) -> tuple[Any, ...]:
        image, heatmaps, weights = self._batches[number]
        if self._change:
            image = self._change(image)
        if self._teacher:
            heatmaps, weights = self._teacher(image, heatmaps, weights)
        return image, heatmaps, weights


class Pairs(Sequence):
    """Of each batch `((image, heatmaps),)`."""

    def __getitem__(self, number: int) -> tuple[Any, ...]:
        image, heatmaps, _ = self._batches[number]
        return ((image, heatmaps),)
