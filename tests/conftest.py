"""What several test files share; TensorFlow is imported only by the fixtures that need it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hourglass.records import Person
from hourglass.skeleton import MPII

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture(scope="session")
def both_ways() -> Callable[..., Any]:
    """Runs a function eagerly and inside `Dataset.map`; both must give the same.

    `both_ways(function, *arguments)` returns the eager result with numpy arrays for tensors.
    """
    import tensorflow as tf

    def run(function: Callable[..., Any], *arguments: Any) -> Any:
        tensors = tuple(tf.convert_to_tensor(argument) for argument in arguments)
        eager = tf.nest.map_structure(lambda tensor: tensor.numpy(), function(*tensors))
        mapped = next(tf.data.Dataset.from_tensors(tensors).map(function).as_numpy_iterator())
        tf.nest.assert_same_structure(eager, mapped)
        for one, other in zip(tf.nest.flatten(eager), tf.nest.flatten(mapped), strict=True):
            if np.issubdtype(np.asarray(one).dtype, np.floating):
                np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
            else:
                np.testing.assert_array_equal(one, other)
            assert np.asarray(one).dtype == np.asarray(other).dtype
        return eager

    return run


@pytest.fixture(scope="session")
def make_person() -> Callable[..., Person]:
    """Makes the same person for the same number; every third joint is not labelled."""

    def make(number: int = 0, **changes: Any) -> Person:
        rng = np.random.default_rng(number)
        labelled = np.arange(len(MPII.joints)) % 3 != number % 3
        points = rng.uniform(0, 300, (len(MPII.joints), 2)).astype(np.float32)
        points[~labelled] = -1
        fields = {
            "filename": f"person_{number}.jpg",
            "points": points,
            "labelled": labelled,
            "center": rng.uniform(100, 200, 2).astype(np.float32),
            "scale": float(np.float32(rng.uniform(0.5, 3))),
        }
        return Person(**{**fields, **changes})

    return make
