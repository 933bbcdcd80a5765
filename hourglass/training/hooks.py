"""What a program adds to a training: its own callbacks, loss and augmentation."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from hourglass.core.errors import InputError
from hourglass.data.batches import OwnAugmentation
from hourglass.networks.losses import HeatmapLoss, OwnLoss

Loss = HeatmapLoss | Callable[[Any, Any], Any]
"""Either a `HeatmapLoss`, or a function as `OwnLoss` takes it."""

Augment = Callable[[np.ndarray], np.ndarray]
"""A function as `OwnAugmentation` takes it."""


class Hooks:
    """What a program adds to a training; nothing by default.

    Args:
        callbacks: They run after the training's own, and see the numbers of those.
        loss: In place of the configuration's.
        augment: Changes each batch's crops, after the configuration's augmentation.

    Attributes:
        callbacks, loss: The same; the loss with joints apart, or None.
        change: The augmentation, or None.

    Raises:
        ValueError: If one is something else.
    """

    def __init__(
        self,
        *,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        loss: Loss | None = None,
        augment: Augment | None = None,
    ) -> None:
        for callback in callbacks:
            if not isinstance(callback, keras.callbacks.Callback):
                raise InputError(f"callbacks holds {callback!r}, it must be a Keras callback")
        for name, function in (("loss", loss), ("augment", augment)):
            if function is not None and not callable(function):
                raise InputError(f"{name} is {function!r}, it must be a function")
        if isinstance(loss, keras.losses.Loss) and not isinstance(loss, HeatmapLoss):
            raise InputError(
                f"loss is Keras's {type(loss).__name__}, which does not keep joints apart: it must "
                "be a hourglass.networks.losses.HeatmapLoss, or a function that gives (B, J)"
            )
        self.callbacks = list(callbacks)
        self.loss = loss if loss is None or isinstance(loss, HeatmapLoss) else OwnLoss(loss)
        self.change = OwnAugmentation(augment) if augment else None

    @contextlib.contextmanager
    def own_errors(self) -> Iterator[None]:
        """Raises what the program's augmentation failed with, and not what TensorFlow makes of it.

        Raises:
            Exception: Whatever it was.
        """
        try:
            yield
        except Exception:
            if self.change and self.change.error:
                raise self.change.error from None
            raise
