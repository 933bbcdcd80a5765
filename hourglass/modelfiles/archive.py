"""The zip archives that model files are: members by name, of a bounded size, read into memory.

Nothing is unpacked to a place that an archive names.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from hourglass.core.errors import InputError

LARGEST_TEXT = 16 * 2**20
"""Bytes of a member that is a text: a hundred times the longest."""

LARGEST_ARRAYS = 2 * 2**30
"""Bytes of a member of arrays where the network that they are for is not known: twenty times the
largest preset's."""


def members(path: str | Path) -> list[str]:
    """The names of an archive's members.

    Raises:
        InputError: If the file is missing or damaged.
    """
    with _opened(path) as archive:
        return archive.namelist()


def member(path: str | Path, name: str, *, most: int) -> bytes:
    """What a member holds.

    Args:
        path: The archive.
        name: The member.
        most: Bytes that it may have, as the archive says; more are never unpacked.

    Raises:
        InputError: If the file is missing or damaged, or the member missing or larger.
    """
    with _opened(path) as archive:
        size = _size(archive, path, name)
        if size > most:
            raise InputError(f"{path}: {name} inside has {size} bytes, at most {most} are read")
        return archive.read(name)


def member_size(path: str | Path, name: str) -> int:
    """Bytes of a member, unpacked.

    Raises:
        InputError: If the file is missing or damaged, or the member missing.
    """
    with _opened(path) as archive:
        return _size(archive, path, name)


def _size(archive: zipfile.ZipFile, path: str | Path, name: str) -> int:
    try:
        return archive.getinfo(name).file_size
    except KeyError as error:
        raise InputError(f"{path}: not written by hourglass, {name} is not inside") from error


def text(path: str | Path, name: str) -> str:
    """A member that is a text.

    Raises:
        InputError: As `member`, and if it is no text.
    """
    try:
        return member(path, name, most=LARGEST_TEXT).decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: {name} inside is no text ({error})") from error


def unpacked_size(file: IO[bytes]) -> int:
    """Bytes of all members together, as an archive says.

    Raises:
        zipfile.BadZipFile: If it is none.
    """
    with zipfile.ZipFile(file) as archive:
        return sum(one.file_size for one in archive.infolist())


@contextmanager
def _opened(path: str | Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except InputError:
        raise
    # zipfile refuses what is encrypted or compressed in other ways by errors of these kinds.
    except (zipfile.BadZipFile, EOFError, OSError, RuntimeError, zlib.error) as error:
        raise InputError(f"{path}: not a model file, or a damaged one ({error})") from error
