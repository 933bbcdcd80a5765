"""Where a training's batches come from: tf.data, or the loader where TensorFlow is missing."""

from __future__ import annotations

from typing import Any

import keras

from hourglass.core.config import Config
from hourglass.data.batches import InputClock
from hourglass.data.loader import Batches, training_batches, validation_batches
from hourglass.data.mixture import Pattern
from hourglass.training.devices import tensorflow_is_there


class Feed:
    """The batches of one training, in what Keras takes.

    Args:
        config: All choices.
        training: The training shards.
        validation: The validation shards.

    Attributes:
        validation: Batches of image, heatmaps and weights, to go over as often as wanted.

    Raises:
        ValueError: If no shard matches, or one is damaged.
    """

    def __init__(self, config: Config, training: Pattern, validation: Pattern) -> None:
        self._config, self._pattern = config, training
        self._by_tensorflow = tensorflow_is_there()
        self.validation: Any
        if self._by_tensorflow:
            from hourglass.data.datasets import validation_dataset

            self.validation = validation_dataset(validation, config)
        else:
            self.validation = validation_batches(validation, config)

    def training(self, *, epochs: int, first_epoch: int, clock: InputClock) -> Any:
        """Batches of image, heatmaps and weights for `fit`, epoch after epoch.

        Args:
            epochs: How many.
            first_epoch: The first one's number.
            clock: Measures the wait for batches.
        """
        options: Any = {"epochs": epochs, "first_epoch": first_epoch, "clock": clock}
        if self._by_tensorflow:
            from hourglass.data.datasets import training_dataset

            return training_dataset(self._pattern, self._config, **options)
        return Sequence(training_batches(self._pattern, self._config, **options))

    def pairs(self) -> Any:
        """Batches `((image, heatmaps),)` of all validation people, for one `predict`."""
        if self._by_tensorflow:
            return self.validation.map(lambda image, heatmaps, _: ((image, heatmaps),))
        return Pairs(self.validation)


class Sequence(keras.utils.PyDataset):
    """Batches as Keras takes them where there is no tf.data."""

    def __init__(self, batches: Batches) -> None:
        super().__init__()
        self._batches = batches

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, number: int) -> tuple[Any, ...]:
        return self._batches[number]


class Pairs(Sequence):
    """Their images and heatmaps alone, the inputs of `validation_model`."""

    def __getitem__(self, number: int) -> tuple[Any, ...]:
        image, heatmaps, _ = self._batches[number]
        return ((image, heatmaps),)
