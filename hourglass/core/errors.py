"""The error that speaks to the user. What is raised as anything else is a fault of the program."""

from __future__ import annotations


class InputError(ValueError):
    """What the user gave cannot be used; the text says what, where, what was received and allowed.

    Commands print it in one line. Whoever calls the package may catch it as a `ValueError`. A plain
    `ValueError`, of NumPy or Keras, is no such word to the user, and commands tell it as a fault.
    """
