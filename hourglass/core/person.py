"""One annotated person: what every reader of labels makes, and every record holds.

And where people are of whom no joint is labelled.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hourglass.core.pose import Box

NOT_LABELLED, HIDDEN, VISIBLE = 0, 1, 2
"""COCO's words for a joint: without label, labelled though hidden, labelled and seen."""

UNLABELLED_POINT = -1.0
"""Both coordinates of a joint without label."""


@dataclass(frozen=True, eq=False)
class Person:
    """One annotated person.

    Attributes:
        filename: The picture's name below the pictures' folder.
        points: (J, 2) float32, 0-based px of the picture; rows of unlabelled joints are (-1, -1).
        visibility: (J,) uint8, `NOT_LABELLED`, `HIDDEN` or `VISIBLE`.
        center: (2,) float32, the crop's true centre, 0-based px.
        scale: Person height / 200 px.
        box: (x, y, width, height) px, as annotated, or around the labelled joints where the format
            has boxes; None where it has a scale instead.
        area: The person's own area, px², as annotated; None where nobody did.
        source: Whose labels they are, where a data set mixes several; "" where it does not say.
        weights: (J,) float32, how much each labelled joint counts in training; None: 1 each.
    """

    filename: str
    points: np.ndarray
    visibility: np.ndarray
    center: np.ndarray
    scale: float
    box: Box | None = None
    area: float | None = None
    source: str = ""
    weights: np.ndarray | None = None

    @property
    def labelled(self) -> np.ndarray:
        """(J,) bool; hidden joints with a label are labelled."""
        return self.visibility > NOT_LABELLED

    @property
    def loss_weights(self) -> np.ndarray:
        """(J,) float32, `weights` where a joint is labelled, 0 elsewhere."""
        weights = np.float32(1) if self.weights is None else self.weights
        return np.where(self.labelled, weights, np.float32(0)).astype(np.float32)


@dataclass(frozen=True)
class IgnoredArea:
    """Where whoever is found counts neither as right nor as wrong, by COCO's protocol.

    Attributes:
        filename: The picture's name below the pictures' folder.
        box: (x, y, width, height) px, as annotated.
        area: Of the segment, px², as annotated; None where nobody did.
        crowd: Any number of people may be found in it; else it is one person's, who has no
            labelled joint.
    """

    filename: str
    box: Box
    area: float | None
    crowd: bool
