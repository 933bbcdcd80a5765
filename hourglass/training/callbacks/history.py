"""`history.csv`: the numbers of all epochs."""

from __future__ import annotations

import csv
from pathlib import Path

from hourglass.core.errors import InputError
from hourglass.core.files import replacing
from hourglass.training.callbacks.names import Logs


def write_history(path: Path, rows: list[Logs]) -> None:
    """All epochs as CSV, replaced as a whole.

    The columns are those of all rows: a run may go on with numbers that it did not begin with, such
    as those of a callback. An epoch without a number has an empty cell.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=columns)
        writer.writeheader()
        writer.writerows(rows)


def read_history(path: Path, *, epochs: int) -> list[Logs]:
    """The first `epochs` rows of a history; what a killed epoch left beyond them is dropped.

    Raises:
        ValueError: If rows are missing or not numbers.
    """
    if not epochs:
        return []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows: list[Logs] = [
                {
                    key: int(value) if key == "epoch" else float(value)
                    for key, value in row.items()
                    if value != "" or key == "epoch"
                }
                for row in csv.DictReader(file)
            ]
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path}: not the history of a run ({error})") from error
    if len(rows) < epochs:
        raise InputError(f"{path}: holds {len(rows)} epochs, the checkpoint has {epochs}")
    return rows[:epochs]
