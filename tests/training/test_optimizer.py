"""The optimizer of a training: the encoder's own rate, and what is left for the next fit on JAX."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from contextlib import nullcontext

import keras
import numpy as np
import pytest
import tensorflow as tf

from hourglass.core.config import TrainConfig
from hourglass.training.optimizer import make_optimizer

PROGRAM = """
import sys

import keras
import numpy as np

from hourglass.core.config import TrainConfig
from hourglass.training.optimizer import make_optimizer

loss_scaling = sys.argv[1] == "scaled"
choices = TrainConfig(epochs=20, averaging=0.5)
optimizer = make_optimizer(choices, 1, loss_scaling=loss_scaling)
network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
network.compile(optimizer, "mse")
averaging = optimizer.inner_optimizer if loss_scaling else optimizer
for _ in range(2):
    network.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0)
    kernel = network.trainable_variables[0]
    (average,) = [one for one in averaging.variables if one.path.endswith("kernel_average")]
    np.testing.assert_array_equal(kernel, average)
    state = [*network.variables, *network.optimizer.variables]
    assert len({one.value.unsafe_buffer_pointer() for one in state}) == len(state)
assert averaging.iterations == 2
"""


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")
@pytest.mark.parametrize("scaling", ["plain", "scaled"])
def test_an_averaged_network_is_fitted_again_on_jax(scaling: str):
    """A step donates its state: of two variables that share an array JAX could donate one only."""
    command = [sys.executable, "-c", PROGRAM, scaling]
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1800)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("scaling", [False, True])
@pytest.mark.parametrize("strategy", [None, ["CPU:0"]])
def test_the_encoder_has_a_rate_of_its_own(scaling: bool, strategy: list[str] | None):
    choices = TrainConfig(epochs=1, schedule="plateau", learning_rate=0.1, encoder_rate=0.25)
    scope = tf.distribute.MirroredStrategy(strategy).scope() if strategy else nullcontext()
    with scope:
        inputs = x = keras.Input((2,))
        for name in ("lite0_stem", "head"):
            x = keras.layers.Dense(2, name=name, kernel_initializer="ones")(x)
        network = keras.Model(inputs, x)
        optimizer = make_optimizer(choices, 1, loss_scaling=scaling)
        optimizer.build(network.trainable_variables)
        network.compile(optimizer, "mse", jit_compile=False)
    network.fit(np.ones((4, 2)), np.zeros((4, 2)), batch_size=4, verbose=0)
    encoder, head = (layer.kernel.numpy() for layer in network.layers[1:])
    # Adam's first step is its learning rate, whatever the gradient.
    np.testing.assert_allclose(1 - encoder, 0.025, rtol=1e-3)
    np.testing.assert_allclose(1 - head, 0.1, rtol=1e-3)
