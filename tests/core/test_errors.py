"""The error that speaks to the user: a ValueError that says more, and passes between processes."""

from __future__ import annotations

import pickle

import hourglass
from hourglass.core.errors import InputError


def test_it_can_be_caught_as_a_value_error():
    assert issubclass(InputError, ValueError)
    assert hourglass.InputError is InputError


def test_it_comes_whole_out_of_another_process():
    error = pickle.loads(pickle.dumps(InputError("a.json: person 3: 'scale' is 0")))
    assert (type(error), str(error)) == (InputError, "a.json: person 3: 'scale' is 0")
