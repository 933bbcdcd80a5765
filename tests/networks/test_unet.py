"""The U-Net: its widths, its way up, and heatmaps as the hourglass gives them."""

from __future__ import annotations

import keras
import numpy as np

from hourglass.core.config import NetworkConfig
from hourglass.networks.hourglass import build_network, last_stack

SMALL = NetworkConfig(architecture="unet", stacks=1, channels=8, depth=2, input_size=32, joints=3)


def test_it_gives_heatmaps_like_the_hourglass():
    network = build_network(SMALL)
    assert network.output_shape == (None, 1, 8, 8, 3)
    pictures = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    heatmaps = network(pictures)
    np.testing.assert_allclose(heatmaps[:, 0], last_stack(network)(pictures), rtol=1e-5, atol=1e-6)


def test_widths_double_with_each_halving():
    network = build_network(SMALL)
    widths: dict[int, set[int]] = {}
    for layer in network.layers:
        if isinstance(layer, keras.layers.Conv2D) and layer.kernel_size == (3, 3):
            widths.setdefault(layer.output.shape[1], set()).add(layer.filters)
    # The last residual, after the way up, has half its width in the middle.
    assert widths == {32: {2}, 16: {4}, 8: {8, 4}, 4: {16}, 2: {32}}


def test_the_way_up_has_the_way_downs_features_beside_it():
    network = build_network(SMALL)
    pairs = [
        [tensor.shape[1:] for tensor in layer.input]
        for layer in network.layers
        if isinstance(layer, keras.layers.Concatenate)
    ]
    assert pairs == [[(4, 4, 16), (4, 4, 16)], [(8, 8, 8), (8, 8, 8)]]
    ups = [one for one in network.layers if isinstance(one, keras.layers.Conv2DTranspose)]
    assert [up.filters for up in ups] == [16, 8]
