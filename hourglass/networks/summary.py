"""A network's layers as a table: what each gives, its parameters, and the memory they take."""

from __future__ import annotations

import math
from collections.abc import Iterable

import keras

MEGABYTE = 1e6


def layer_table(network: keras.Model) -> str:
    """One line for each layer with an output of its own, and one for all.

    Args:
        network: A functional model.

    Returns:
        Lines of name, kind, shape of the output for one picture, parameters, and the output's size
        in megabytes (10^6 bytes) for one picture in the layer's precision. Training keeps most of
        the outputs at once, prediction a few.
    """
    rows = [_row(layer) for layer in network.layers]
    parameters = sum(row[3] for row in rows)
    size = sum(row[4] for row in rows)
    cells = [
        ("layer", "kind", "output", "parameters", "MB"),
        *((name, kind, shape, f"{count:,}", f"{mb:.3f}") for name, kind, shape, count, mb in rows),
        ("all", f"{len(rows)} layers", "", f"{parameters:,}", f"{size:.3f}"),
    ]
    return "\n".join(_aligned(cells))


def _row(layer: keras.Layer) -> tuple[str, str, str, int, float]:
    shape = tuple(layer.output.shape[1:])
    bits = keras.backend.standardize_dtype(layer.output.dtype)
    size = math.prod(shape) * _bytes(bits) / MEGABYTE
    return (
        layer.name,
        type(layer).__name__,
        " × ".join(map(str, shape)),
        layer.count_params(),
        size,
    )


def _bytes(dtype: str) -> int:
    return {"uint8": 1, "float16": 2, "bfloat16": 2}.get(dtype, 4)


def _aligned(rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Text to the left, numbers to the right."""
    rows = list(rows)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column < 3 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
