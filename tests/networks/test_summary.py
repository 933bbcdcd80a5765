"""The table of a network's layers."""

from __future__ import annotations

import keras

from hourglass.networks.summary import layer_table


def test_every_layer_has_its_parameters_and_memory():
    images = keras.Input((4, 6, 3), dtype="uint8", name="image")
    x = keras.layers.Rescaling(1 / 255, name="rescaled")(images)
    x = keras.layers.Conv2D(1000, 1, dtype="mixed_float16", name="wide")(x)
    table = layer_table(keras.Model(images, x))
    lines = table.split("\n")
    rows = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines]
    assert rows == [
        ["layer", "kind", "output", "parameters", "MB"],
        ["image", "InputLayer", "4 × 6 × 3", "0", "0.000"],
        ["rescaled", "Rescaling", "4 × 6 × 3", "0", "0.000"],
        ["wide", "Conv2D", "4 × 6 × 1000", "4,000", "0.048"],
        ["all", "3 layers", "4,000", "0.048"],
    ]
    assert len({len(line) for line in lines}) == 1
