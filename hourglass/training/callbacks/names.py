"""Names that the callbacks share: of an epoch's numbers, and of a run's files."""

from __future__ import annotations

from hourglass.scoring.pck import Measure

VALIDATION_LOSS = "val_loss"

BEST, LAST, HISTORY = "best.keras", "last.keras", "history.csv"

Logs = dict[str, float]


def score_name(measure: Measure, threshold: float | None = None) -> str:
    """A validation score's name, such as `val_pckh@0.5`.

    Args:
        measure: What the skeleton's PCK is measured in.
        threshold: Default: that of the score which chooses the best model.
    """
    return f"val_{measure.column(measure.right if threshold is None else threshold).lower()}"
