"""Files that appear under their names only when they are whole.

No other room of `core` touches a disk.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from hourglass.core.errors import InputError

TEMPORARY = ".partial"
"""How names end under which files are written aside."""

WRITE_SIZE = 2**18


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives the body a name beside `path` to write to; what is there becomes `path` in one step.

    The name ends like `path`'s own, and is the same each time, so that what a killed program left
    goes with the next writing. If the body fails, `path` stays as it was.
    """
    temporary = path.with_name(f".{path.name}")
    try:
        yield temporary
        publish(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def keeps_its_place(path: Path) -> bool:
    """Whether a file must not be replaced: a pipe, a terminal, or a link, such as /dev/stdout."""
    return path.is_symlink() or (path.exists() and not path.is_file())


def write_file(path: Path, text: str) -> None:
    """Writes a text file whole or not at all; into what `keeps_its_place`, as it comes.

    Raises:
        ValueError: If it cannot be written; names the file.
    """
    try:
        if keeps_its_place(path):
            path.write_text(text, encoding="utf-8")
            return
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error


def read_text(path: Path) -> str:
    """A text file, with or without a byte-order mark.

    Raises:
        ValueError: If it cannot be read or is no UTF-8; names the file.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not text in UTF-8 ({error})") from error


def write_aside(path: Path, chunks: Iterable[bytes]) -> Path:
    """Writes what is to become `path` under a name of this process's own, and returns that.

    Nothing is left if it fails. To `publish` it is the caller's work: waiting for the disk can be
    shared out.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}{TEMPORARY}")
    try:
        with temporary.open("wb", buffering=WRITE_SIZE) as file:
            for chunk in chunks:
                file.write(chunk)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def publish(temporary: Path, path: Path) -> None:
    """Gives a whole file its name once it is on the disk."""
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)
