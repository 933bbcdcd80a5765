"""Files that appear under their names only when they are whole, on this machine or at a URL.

No other room of `core` but `copies` touches a disk.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import platform
import re
import shutil
import tempfile
import time
import uuid
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from hourglass.core.errors import InputError
from hourglass.core.storage import Place, StorageError, Url

TEMPORARY = ".partial"
"""How names end under which files are written aside."""

WRITE_SIZE = 2**18

LONGEST_STEM = 40
"""Characters of a file's name that its temporary name repeats: names have at most 255 bytes."""

LONG_AGO = 24 * 3600
"""Seconds."""

_LEFT = re.compile(r"\.(?P<process>\d+)-(?P<home>[0-9a-f]{8})-\d+\..*")

_numbers = itertools.count()


def aside(path: Place) -> Path:
    """The name under which a file is written until it is whole; it ends like `path`'s own.

    It is hidden, beside `path`, and no other writer's. The files and folders that writers which
    were killed left under such names in that folder go, when the process writes there for the first
    time. For a URL it is one of this machine's temporary files.
    """
    if isinstance(path, Url):
        return Path(tempfile.gettempdir()) / f"{uuid.uuid4().hex}_{path.name}"
    _remove_left(os.path.abspath(path.parent))
    return path.with_name(
        f".{os.getpid()}-{_home()}-{next(_numbers)}.{path.stem[:LONGEST_STEM]}{path.suffix}"
    )


@functools.lru_cache(maxsize=1024)
def _remove_left(folder: str) -> None:
    """Removes what dead writers left; once per process, since a folder may have many files."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            writer = _LEFT.fullmatch(entry.name)
            if writer and writer["home"] == _home() and _is_dead(int(writer["process"]), entry):
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                    continue
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)


def _is_dead(process: int, entry: os.DirEntry[str]) -> bool:
    if os.name == "nt":
        # There is no asking for a process without a right to it: nothing is written for so long.
        return time.time() - entry.stat().st_mtime > LONG_AGO
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


@functools.cache
def _home() -> str:
    """Where this process's number means something: on this machine, in this container."""
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        space = ""
    return f"{zlib.crc32(f'{platform.node()} {space}'.encode(errors='replace')):08x}"


@contextlib.contextmanager
def folder_aside(path: Place) -> Iterator[Path]:
    """An empty folder, `aside`, in which the body makes what becomes `path`; it goes at the end.

    Raises:
        ValueError: If it cannot be made, as `write_error` says it.
    """
    folder = aside(path)
    try:
        folder.mkdir()
    except OSError as error:
        raise write_error(path, error) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def replacing(path: Place) -> Iterator[Path]:
    """Gives the body a name, `aside`, to write to; what is there becomes `path` in one step.

    If the body fails, `path` stays as it was.

    Raises:
        ValueError: If it cannot be written, as `write_error` says it.
    """
    temporary = aside(path)
    try:
        yield temporary
        publish(temporary, path)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        with contextlib.suppress(OSError):  # of a folder that is gone, which has been told
            temporary.unlink(missing_ok=True)


def write_error(path: Place, error: OSError) -> InputError:
    """What to tell of an error while a file, or a folder, is written: the system's own words.

    An error that names a file which has nothing to do with it, such as one that is read meanwhile,
    is told of that file.
    """
    # Libraries put words of their own, of several lines, where the system's should be.
    said = None if isinstance(error, StorageError) or not error.errno else os.strerror(error.errno)
    reason = said or error.strerror or error
    has_name = isinstance(error.filename, str | bytes | os.PathLike)
    if has_name and not _is_about(named := os.fsdecode(error.filename), path):
        return InputError(f"{named}: {reason}")
    return InputError(f"{path}: cannot be written ({reason})")


def _is_about(named: str, path: Place) -> bool:
    """Whether a name is a file's own, of the folders around it, what is in it, or `aside` of it."""
    if isinstance(path, Url):
        here = Path(tempfile.gettempdir())
        return named in (str(path), str(here)) or (
            Path(named).parent == here and named.endswith(f"_{path.name}")
        )
    own, named = os.path.abspath(path), os.path.abspath(named)
    if Path(named) in (Path(own), *Path(own).parents) or named.startswith(f"{own}{os.sep}"):
        return True
    beside, name = os.path.split(named)
    return beside == os.path.dirname(own) and name.startswith((".", f"{path.name}."))


def keeps_its_place(path: Place) -> bool:
    """Whether a file must not be replaced: a pipe, a terminal, or a link, such as /dev/stdout."""
    if isinstance(path, Url):
        return False
    return path.is_symlink() or (path.exists() and not path.is_file())


def write_file(path: Place, text: str) -> None:
    """Writes a text file whole or not at all; into what `keeps_its_place`, as it comes.

    Raises:
        ValueError: If it cannot be written; names the file.
    """
    try:
        if isinstance(path, Path) and keeps_its_place(path):
            path.write_text(text, encoding="utf-8")
            return
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise write_error(path, error) from error


def read_text(path: Place) -> str:
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


def write_aside(path: Place, chunks: Iterable[bytes]) -> Path:
    """Writes what is to become `path` under a name of this process's own, and returns that.

    Nothing is left if it fails. To `publish` it is the caller's work: waiting for the disk can be
    shared out.
    """
    own = f"{path.name}.{os.getpid()}{TEMPORARY}"
    temporary = aside(path) if isinstance(path, Url) else path.with_name(own)
    try:
        with temporary.open("wb", buffering=WRITE_SIZE) as file:
            for chunk in chunks:
                file.write(chunk)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def upload(written: Path, url: Url, *, last: str | None = None) -> None:
    """Uploads a file, or a folder with all that is in it.

    Args:
        written: The file or folder.
        url: What it becomes there.
        last: The file of the folder that goes up last: who sees it finds the others.
    """
    files = [path for path in written.rglob("*") if path.is_file()] if written.is_dir() else []
    for path in sorted(files, key=lambda path: (path.name == last, path)):
        (url / path.relative_to(written)).upload(path)
    if not files:
        url.upload(written)


def publish(temporary: Path, path: Place) -> None:
    """Gives a whole file its name once it is on the disk, or all of it is at the URL."""
    if isinstance(path, Url):
        try:
            path.upload(temporary)
        finally:
            temporary.unlink()
        return
    # Windows flushes a file to the disk for those alone who may write to it.
    with temporary.open("r+b") as file:
        os.fsync(file.fileno())
    temporary.replace(path)
