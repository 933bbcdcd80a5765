"""One process at a time at a URL, where the system has no locks: a file there that says it lives.

Who holds the place writes the file again every few seconds. A file that does not change was left by
a process that was killed.
"""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator

from loguru import logger

from hourglass.core.errors import InputError
from hourglass.core.storage import MissingError, StorageError, Url

NAME = ".lock"

BEAT = 20.0
"""Seconds from one writing to the next."""

PATIENCE = 60.0
"""Seconds without a change after which nobody is there."""

SETTLING = 2.0
"""Seconds after which whoever came in the same moment has written, too: the last one stays."""

LONGEST_COMMAND = 160
"""Characters of the command that are told."""


@contextlib.contextmanager
def alone_at(folder: Url, *, doing: str) -> Iterator[Callable[[], None]]:
    """Runs the body while no other process that asks here is at the same URL.

    No storage lets a process take a place in one step that all of them know: of some that come in
    the same moment each writes the file, looks `SETTLING` seconds later whose it is, and ends if it
    is another's.

    Args:
        folder: Where.
        doing: What is done there, such as `a training`, for messages.

    Yields:
        What raises a `ValueError` if another has taken the place over; to be called before
        something is written there.

    Raises:
        ValueError: If somebody is there, who is named.
        OSError: If nothing can be written there; names the URL.
    """
    lease = _Lease(folder, doing)
    lease.take()
    try:
        yield lease.require
    finally:
        lease.give_back()


class _Lease:
    """The file of one process."""

    def __init__(self, folder: Url, doing: str) -> None:
        self._folder, self._file, self._doing = folder, folder / NAME, doing
        self._name, self._token, self._beats = own_name(), uuid.uuid4().hex, 0
        self._other = ""
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._stay, name="lease", daemon=True)

    def take(self) -> None:
        """Waits to see whether who was there is gone, and writes the file."""
        if there := self._text():
            holder = _holder(there)
            logger.info(f"{self._folder}: waiting {PATIENCE:g} s to see whether {holder} has ended")
            time.sleep(PATIENCE)
            if (now := self._text()) and now != there:
                raise self._taken(_holder(now))
            logger.info(f"{self._folder}: taking over from {holder}, which did not end by itself")
        self._write()
        time.sleep(SETTLING)
        self._look()
        if self._other:
            raise self._taken(self._other)
        self._thread.start()

    def _taken(self, holder: str) -> InputError:
        return InputError(
            f"{self._folder}: {self._doing} is under way there already, by {holder}; wait for its "
            "end, or name another folder"
        )

    def require(self) -> None:
        """Raises a `ValueError` if another has the place."""
        if not self._other:
            with contextlib.suppress(StorageError):  # whatever is written next says so
                self._look()
        if self._other:
            raise InputError(
                f"{self._folder}: {self._doing} by {self._other} has taken the place; this one "
                "writes no more there"
            )

    def give_back(self) -> None:
        """Removes the file, unless it is another's."""
        self._end.set()
        self._thread.join()
        try:
            self._look()
            if not self._other:
                self._file.unlink(missing_ok=True)
        except StorageError as error:
            logger.warning(f"{error}; who comes next waits {PATIENCE:g} s")

    def _stay(self) -> None:
        while not self._end.wait(BEAT) and not self._other:
            with contextlib.suppress(StorageError):  # the next one may reach it
                self._look()
                if not self._other:
                    self._write()

    def _look(self) -> None:
        text = self._text()
        if text and self._token not in text:
            self._other = _holder(text)

    def _text(self) -> str:
        try:
            return self._file.read_bytes().decode(errors="replace")
        except MissingError:
            return ""

    def _write(self) -> None:
        self._beats += 1
        self._file.write_bytes(f"{self._name}\n{self._token} {self._beats}\n".encode())


def _holder(text: str) -> str:
    return text.partition("\n")[0] or "another process"


def own_name() -> str:
    """Which process this is, for whoever meets it: its number, machine and command."""
    command = " ".join(sys.argv)
    if len(command) > LONGEST_COMMAND:
        command = f"{command[:LONGEST_COMMAND]}…"
    began = time.strftime("%Y-%m-%d %H:%M:%S")
    return f"process {os.getpid()} on {platform.node()} since {began} ({command})"
