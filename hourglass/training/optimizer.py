"""The optimizer of a training, and its learning rate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras

from hourglass.core.config import TrainConfig
from hourglass.networks.encoders import VARIANTS

ENCODER_PREFIXES = tuple(f"{variant}_" for variant in VARIANTS)


AVERAGED_SHARE = 0.1
"""Of a run's steps, over which averages reach at most: longer, they would remember its start."""


def averaging_momentum(choices: TrainConfig, steps_per_epoch: int) -> float:
    """Momentum of the moving averages of weights and statistics: as chosen, less in a short run."""
    reach = AVERAGED_SHARE * choices.epochs * steps_per_epoch
    return max(0.0, min(choices.averaging, 1 - 1 / reach))


def make_optimizer(
    choices: TrainConfig, steps_per_epoch: int, *, loss_scaling: bool
) -> keras.Optimizer:
    rate: Any = choices.learning_rate
    if choices.schedule == "cosine":
        steps = choices.epochs * steps_per_epoch
        warm_up = min(round(choices.warmup_epochs * steps_per_epoch), steps - 1)
        rate = keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0 if warm_up else choices.learning_rate,
            decay_steps=steps - warm_up,
            warmup_target=choices.learning_rate if warm_up else None,
            warmup_steps=warm_up,
        )
    optimizer = EncoderAdam(
        rate,
        encoder_rate=choices.encoder_rate,
        use_ema=choices.averaging > 0,
        ema_momentum=averaging_momentum(choices, steps_per_epoch),
    )
    return keras.optimizers.LossScaleOptimizer(optimizer) if loss_scaling else optimizer


def _identities(variable: keras.Variable) -> Iterator[int]:
    """Of a variable, and of all that Keras may hand to a step in its place on TensorFlow: the
    variable of its backend, or one replica's part of that."""
    yield id(variable)
    if keras.backend.backend() == "tensorflow":
        yield id(variable.value)
        yield from map(id, getattr(variable.value, "values", ()))


class EncoderAdam(keras.optimizers.Adam):
    """Adam (Kingma & Ba, ICLR 2015) with a learning rate of its own for the pretrained encoder.

    Args:
        encoder_rate: The encoder's learning rate as a share of the others'.
    """

    def __init__(self, *arguments: Any, encoder_rate: float = 1.0, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._encoder_rate = encoder_rate
        self._is_encoders: dict[int, bool] = {}

    def build(self, variables: list[keras.Variable]) -> None:
        """Keras's, and notes which variables are the encoder's: by their layers' names."""
        self._is_encoders = {
            identity: variable.path.startswith(ENCODER_PREFIXES)
            for variable in variables
            for identity in _identities(variable)
        }
        super().build(variables)

    def update_step(self, gradient: Any, variable: keras.Variable, learning_rate: Any) -> None:
        """One variable's step, as Keras's."""
        if self._encoder_rate != 1 and self._is_encoders[id(variable)]:
            learning_rate = learning_rate * self._encoder_rate
        super().update_step(gradient, variable, learning_rate)

    def finalize_variable_values(self, var_list: list[keras.Variable]) -> None:
        """Keras's, which leaves the averages in the weights at the end of `fit`."""
        super().finalize_variable_values(var_list)
        if self.use_ema and keras.backend.backend() == "jax":
            # Weight and average are one array now. A step donates both, and JAX donates none twice.
            for variable in var_list:
                variable.assign(keras.ops.copy(variable))
