"""One process at a time in a folder: who comes second is told who is there."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from loguru import logger

from hourglass.core.errors import InputError
from hourglass.core.files import write_error
from hourglass.core.leases import NAME, alone_at, own_name
from hourglass.core.storage import Place, Url

WITHOUT_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL}
"""What the system says of a file system that knows no locks, as some network ones."""

FAR_BYTE = 2**30
"""Which byte Windows locks: nobody can read the bytes that are locked, so not those of the text."""


@contextlib.contextmanager
def alone_in(folder: Place, *, doing: str) -> Iterator[Callable[[], None]]:
    """Runs the body while no other process, and no other thread, is in the same folder.

    The system takes a lock back when its process ends, whatever ends it: what a killed process left
    behind holds nobody up. At a URL there are no locks, and `leases.alone_at` takes their place.

    Args:
        folder: Where; it is there.
        doing: What is done there, such as `a training`, for the message.

    Yields:
        What raises a `ValueError` if another is in it all the same, which can be at a URL alone.

    Raises:
        ValueError: If somebody is in it, who is named, or nothing can be written there.
        OSError: If nothing can be written at the URL.
    """
    if isinstance(folder, Url):
        with alone_at(folder, doing=doing) as require_alone:
            yield require_alone
        return
    path = folder / NAME
    try:
        file = _opened(path)
        told = "" if file else _text_of(path)
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise write_error(path, error) from error
        logger.warning(f"{folder}: no locks on its file system; let nobody else work in it")
        yield _stays_alone
        return
    if file is None:
        raise InputError(
            f"{folder}: {doing} is under way there already, by {told or 'another process'}; wait "
            "for its end, or name another folder"
        )
    try:
        _sign(path, file)
        yield _stays_alone
    finally:
        _close(path, file)


def _stays_alone() -> None:
    """Nothing can happen to a lock."""


def _opened(path: Path) -> TextIO | None:
    """The lock's file, locked; None if another holds it."""
    while True:
        file = path.open("a+", encoding="utf-8", errors="backslashreplace")
        try:
            _lock(file)
        except OSError as error:
            file.close()
            if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
                return None
            raise
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()  # who held it removed it in between: what is locked has no name any more


def _lock(file: TextIO) -> None:
    if sys.platform == "win32":
        import msvcrt

        file.seek(FAR_BYTE)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _sign(path: Path, file: TextIO) -> None:
    """Writes into the file who holds it."""
    try:
        file.seek(0)
        if left := file.read().strip():
            logger.info(f"{path.parent}: taking over from {left}, which did not end by itself")
        file.truncate(0)
        file.write(f"{own_name()}\n")
        file.flush()
    except OSError as error:
        raise write_error(path, error) from error


def _close(path: Path, file: TextIO) -> None:
    """Removes the file while it is locked; Windows removes no open file."""
    if sys.platform != "win32":
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # of a full disk, which has been told
        file.close()
    if sys.platform == "win32":
        with contextlib.suppress(OSError):  # the next one has it already
            path.unlink()


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
