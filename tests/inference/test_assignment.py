"""Who is who: the cheapest pairs, as SciPy finds them, and none that cost too much."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from hourglass.inference.assignment import assign


@pytest.mark.parametrize("seed", range(20))
def test_pairs_cost_least_together(seed: int):
    rng = np.random.default_rng(seed)
    for _ in range(20):
        costs = rng.uniform(0, 1, rng.integers(1, 9, 2)).round(rng.integers(1, 6))
        pairs = assign(costs, most=100)
        rows, columns = linear_sum_assignment(costs)
        assert len(pairs) == min(costs.shape)
        assert sum(costs[pair] for pair in pairs) == pytest.approx(costs[rows, columns].sum())
        assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)


def test_a_pair_that_costs_too_much_is_not_made():
    assert assign(np.array([[0.1, 0.9], [0.2, 0.9]]), most=0.5) == [(0, 0)]
    assert assign(np.array([[0.6]]), most=0.5) == []
    assert assign(np.array([[0.5]]), most=0.5) == [(0, 0)]


def test_a_greedy_choice_is_not_made_where_both_can_be_paired():
    assert assign(np.array([[0.1, 0.2], [0.15, 0.9]]), most=0.5) == [(0, 1), (1, 0)]


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_nobody_is_paired_with_nobody(shape: tuple[int, int]):
    assert assign(np.zeros(shape), most=1) == []
