"""One annotated person: what every reader of labels makes, and every record holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, eq=False)
class Person:
    """One annotated person.

    Attributes:
        filename: The picture's name below the pictures' folder.
        points: (16, 2) float32, 0-based px of the picture; rows of unlabelled joints are (-1, -1).
        labelled: (16,) bool; occluded joints with a label are labelled.
        center: (2,) float32, the crop's true centre, 0-based px.
        scale: Person height / 200 px.
    """

    filename: str
    points: np.ndarray
    labelled: np.ndarray
    center: np.ndarray
    scale: float
