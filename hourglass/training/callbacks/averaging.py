"""The moving average of the weights, in their place while an epoch's end looks at them."""

from __future__ import annotations

import keras

from hourglass.training.callbacks.names import Logs

AVERAGE = "_average"
"""How Keras ends the names of the averages among an optimizer's variables."""


class AverageWeights(keras.callbacks.Callback):
    """Puts the moving average of the weights in their place while an epoch's end looks at them.

    Keras's `SwapEMAWeights` swaps for predictions, too, which are all made at an epoch's end here,
    and not after the last epoch, from which a finished run could not go on.

    Args:
        resumed: The training goes on from a checkpoint, which holds them so.
    """

    def __init__(self, *, resumed: bool) -> None:
        super().__init__()
        self._in_place = resumed

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        if self._in_place:
            self._swap()
            self._in_place = False

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._swap()
        self._in_place = True

    def _swap(self) -> None:
        optimizer = getattr(self.model.optimizer, "inner_optimizer", self.model.optimizer)
        averages = [one for one in optimizer.variables if one.path.endswith(AVERAGE)]
        for weight, average in zip(self.model.trainable_variables, averages, strict=True):
            value = keras.ops.convert_to_numpy(weight)
            weight.assign(average)
            average.assign(value)
