"""Who is who: the pairs of two lists that cost least together.

Kuhn's Hungarian method in the form of shortest augmenting paths (Jonker & Volgenant, "A shortest
augmenting path algorithm for dense and sparse linear assignment problems", Computing 1987). A
frame's few people do not need SciPy, which finding poses works without.
"""

from __future__ import annotations

import numpy as np


def assign(costs: np.ndarray, *, most: float) -> list[tuple[int, int]]:
    """Pairs rows with columns so that the sum of what they cost is the least.

    Args:
        costs: (R, C) float, finite and not below 0.
        most: Pairs that cost more are not made; an unpaired row counts as much.

    Returns:
        (row, column) of each pair, by rows; every row and column at most once.
    """
    costs = np.asarray(costs, float)
    rows, columns = costs.shape
    if not rows or not columns:
        return []
    # Each row has a column of its own that stands for nobody.
    padded = np.concatenate([np.minimum(costs, 2 * most), np.full((rows, rows), most)], axis=1)
    return [
        (row, column)
        for row, column in enumerate(_cheapest(padded))
        if column < columns and costs[row, column] <= most
    ]


def _cheapest(costs: np.ndarray) -> list[int]:
    """The column of each row; there are at least as many columns as rows."""
    rows, columns = costs.shape
    row_price, column_price = np.zeros(rows), np.zeros(columns)
    owner = np.full(columns, -1)
    for start in range(rows):
        distance = np.full(columns, np.inf)
        before = np.full(columns, -1)
        done = np.zeros(columns, bool)
        row, reached, last = start, 0.0, -1
        while True:
            reduced = costs[row] - row_price[row] - column_price + reached
            better = ~done & (reduced < distance)
            distance[better], before[better] = reduced[better], last
            column = int(np.argmin(np.where(done, np.inf, distance)))
            reached, last = float(distance[column]), column
            done[column] = True
            if owner[column] < 0:
                break
            row = int(owner[column])
        row_price[start] += reached
        passed = done & (owner >= 0)
        row_price[owner[passed]] += reached - distance[passed]
        column_price[done] -= reached - distance[done]
        while last >= 0:
            previous = int(before[last])
            owner[last] = owner[previous] if previous >= 0 else start
            last = previous
    found = [-1] * rows
    for place in np.flatnonzero(owner >= 0):
        found[int(owner[place])] = int(place)
    return found
