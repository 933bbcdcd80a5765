"""Progress of long work: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType

from loguru import logger
from tqdm import tqdm

SECONDS_BETWEEN_LINES = 10.0


def write_line(message: str) -> None:
    """Keeps log lines from tearing a progress bar."""
    tqdm.write(message, file=sys.stderr, end="")


class Progress:
    """A bar with rate and time left on a terminal, and a plain line now and then elsewhere.

    Several threads may advance it.

    Args:
        title: What is being done.
        total: How many `unit` there are; None if nobody knows.
        unit: What is counted, in the plural.
        start: How many are done already.
    """

    def __init__(self, title: str, *, total: int | None, unit: str, start: int = 0) -> None:
        self._title, self._total, self._unit = title, total, unit
        self._start, self._done = start, start
        self._began = self._last_line = time.monotonic()
        self._note = ""
        self._lock = threading.Lock()
        self._bar = tqdm(
            total=total,
            initial=start,
            desc=title,
            unit=f" {unit}",
            disable=not sys.stderr.isatty(),
            dynamic_ncols=True,
        )

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the bar where it stands."""
        self._bar.close()

    def advance(self, count: int = 1, *, note: str = "") -> None:
        """Counts `count` more as done; `note` stands at the end of the bar."""
        with self._lock:
            self._done += count
            self._note = note
            self._bar.update(count)
            if note:
                self._bar.set_postfix_str(note, refresh=False)
            if self._bar.disable and time.monotonic() - self._last_line >= SECONDS_BETWEEN_LINES:
                self._write_line()

    def _write_line(self) -> None:
        self._last_line = time.monotonic()
        rate = (self._done - self._start) / max(self._last_line - self._began, 1e-9)
        note = f", {self._note}" if self._note else ""
        if self._total is None:
            logger.info(f"{self._title}: {self._done} {self._unit}, {rate:.1f}/s{note}")
            return
        left = (self._total - self._done) / rate if rate else float("inf")
        logger.info(
            f"{self._title}: {self._done}/{self._total} {self._unit}, "
            f"{rate:.1f}/s, {left:.0f} s left{note}"
        )
