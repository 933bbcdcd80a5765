"""Pictures whose pixels are numbers of any depth: fractions, 12 bits in 16, 32 bits."""

from __future__ import annotations

import numpy as np

BIT_DEPTHS = (8, 10, 12, 14, 16, 24, 31, 32)
"""Of pictures whose pixels are numbers: the first that holds the largest says what white is."""

ROWS_AT_ONCE = 256
"""Rows that are computed as float64 at a time: of a large picture all would be gigabytes."""


def to_8_bits(values: np.ndarray) -> np.ndarray:
    """Brightness of a picture whose pixels are numbers of any kind, where Pillow would cut off.

    White is 1 of fractions, else the largest number of the fewest bits (8, 10, 12 ...) that hold
    all pixels. Pictures with numbers below 0 are stretched from their least to their largest.

    Args:
        values: (H, W) int or float; what is not finite counts as 0.

    Returns:
        (H, W) uint8.
    """
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    lowest, highest = min(0.0, float(values.min())), float(values.max())
    if lowest < 0 or highest >= 2 ** BIT_DEPTHS[-1]:
        white = (highest - lowest) or 1.0
    elif highest <= 1.0:
        white = 1.0
    else:
        white = 2.0 ** next(bits for bits in BIT_DEPTHS if highest < 2**bits) - 1
    shown = np.empty(values.shape, np.uint8)
    for start in range(0, len(values), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        shown[rows] = np.round((values[rows].astype(np.float64) - lowest) * (255 / white))
    return shown
