"""What the processes of a cluster's training say to the program that started them."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

from loguru import logger

from hourglass.core.storage import Place
from hourglass.training.callbacks.names import LAST

SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_UNTIL_TOLD = 60.0
"""After which a user is told that the cluster is still busy with something else."""


class Messages:
    """What the processes tell the program that started them; an actor of Ray's.

    A failure that a user must mend, such as a damaged shard, is kept here: Ray would start the
    processes again and again for it.
    """

    def __init__(self) -> None:
        self._lines: list[tuple[str, str]] = []
        self._failure = ""
        self._starts = 0

    def begin(self) -> int:
        """How often the processes have been started."""
        self._starts += 1
        return self._starts

    def starts(self) -> int:
        """The same, to look at."""
        return self._starts

    def say(self, level: str, text: str) -> None:
        """Adds a log line."""
        self._lines.append((level, text))

    def take(self) -> list[tuple[str, str]]:
        """The lines that were not taken yet."""
        lines, self._lines = self._lines, []
        return lines

    def fail(self, text: str) -> None:
        """Keeps the first failure."""
        self._failure = self._failure or text

    def failure(self) -> str:
        """Why nobody must try again; empty if nothing is wrong."""
        return self._failure


@contextlib.contextmanager
def told_here(messages: Any, address: str) -> Iterator[None]:
    """Logs here what the processes say, as soon as they do."""
    import ray
    from ray.exceptions import RayError

    ended = threading.Event()

    def tell() -> None:
        with contextlib.suppress(RayError):  # what ends a cluster ends the training, too
            for level, text in ray.get(messages.take.remote()):
                logger.log(level, text)

    def tell_of_waiting() -> None:
        with contextlib.suppress(RayError):
            if not ray.get(messages.starts.remote()):
                logger.info(f"waiting for free workers of the cluster at {address}")

    def look() -> None:
        began, waits = time.monotonic(), True
        while not ended.wait(SECONDS_BETWEEN_LOOKS):
            tell()
            if waits and time.monotonic() - began > SECONDS_UNTIL_TOLD:
                waits = False
                tell_of_waiting()

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        tell()


def speak(messages: Any, folder: Place, *, leads: bool) -> None:
    """Sends the first process's log lines to the program that started the job."""
    import ray

    logger.remove()
    if not leads:
        return
    logger.add(
        lambda line: messages.say.remote(line.record["level"].name, line.record["message"]),
        level="INFO",
    )
    if ray.get(messages.begin.remote()) > 1:
        last = folder / LAST
        begins = f"from {last}" if last.exists() else "from the beginning"
        logger.warning(f"a process died: all are started again, {begins}")
