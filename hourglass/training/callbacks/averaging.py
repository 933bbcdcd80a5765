"""The moving average of the weights, in their place while an epoch's end looks at them."""

from __future__ import annotations

import keras

from hourglass.training.callbacks.names import Logs


class AverageWeights(keras.callbacks.SwapEMAWeights):
    """Puts the moving average of the weights in their place while an epoch's end looks at them.

    Args:
        resumed: The training goes on from a checkpoint, which holds them so.
    """

    def __init__(self, *, resumed: bool) -> None:
        super().__init__(swap_on_epoch=True)
        self._ema_weights_in_model = resumed

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Swaps after the last epoch as after any, so that a finished run can go on, too."""
        self._swap_variables()
        self._ema_weights_in_model = True

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Nothing: all predictions are made at an epoch's end, with the average in place."""

    on_predict_end = on_predict_begin
