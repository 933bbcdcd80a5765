"""Names that the callbacks share: of an epoch's numbers, and of a run's files."""

from __future__ import annotations

PCKH, PCKH_STRICT, VALIDATION_LOSS = "val_pckh@0.5", "val_pckh@0.1", "val_loss"


BEST, LAST, HISTORY = "best.keras", "last.keras", "history.csv"


Logs = dict[str, float]
