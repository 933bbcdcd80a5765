"""Layers that an export writes in other operators: the same numbers."""

from __future__ import annotations

import keras
import numpy as np

from hourglass.exporting.formats import DoubledByConvolution


def test_a_transposed_convolution_becomes_a_plain_one():
    layer = keras.layers.Conv2DTranspose(
        5, 2, strides=2, padding="same", bias_initializer=keras.initializers.RandomNormal(seed=1)
    )
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 7)).astype(np.float32)
    expected = keras.ops.convert_to_numpy(layer(x))
    found = keras.ops.convert_to_numpy(DoubledByConvolution(layer)(x))
    assert found.shape == (2, 6, 8, 5)
    np.testing.assert_allclose(found, expected, atol=1e-5)
