"""Copies of remote files on this machine, in a folder whose size is limited.

A copy lies under its URL's own scheme, bucket and name, so that files of one folder stay together,
and is fetched again when the file at the URL has changed. What was not used for longest goes first;
what a running program uses stays.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import threading
import uuid
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from loguru import logger

from hourglass.core.errors import InputError
from hourglass.core.files import aside, publish
from hourglass.core.progress import Progress
from hourglass.core.storage import PACKAGES, Entry, Url, place

FOLDER_VARIABLE = "HOURGLASS_CACHE"
"""Environment variable: the folder of the copies. Default: ~/.cache/hourglass."""

LIMIT_VARIABLE = "HOURGLASS_CACHE_GB"
"""Environment variable: how large the copies may become together, 10⁹ bytes."""

DEFAULT_LIMIT = 50.0

CONNECTIONS = 8
"""Files fetched side by side."""

TOLD_FROM = 10**8
"""Bytes from which on a log line says that they are fetched."""

LOCKS = 256
"""How many locks copies that are being made share: one for each would stay as a file for each."""

_FILES, _NEW, _NOTES, _USERS = "files", "new", "notes", "users"
_LOCK, _LOCKS = "lock", "locks"
_SEPARATOR = re.escape(os.sep)

_beginning = threading.Lock()
"""Of threads that begin in the same moment one makes the program's list."""


def local_copy(given: str | Path | Url) -> Path:
    """A file or folder on this machine: itself, or a copy of all of what is at a URL, and no more.

    Raises:
        ValueError: If the copies have no room for it, or the URL is none.
        OSError: If it cannot be fetched; names the URL.
    """
    where = place(given)
    if isinstance(where, Path):
        return where
    if where.is_file():
        return local_copies({where: where.entry()})[0]
    inside = {where / name: entry for name, entry in where.entries().items()}
    if not inside:
        where.entry()  # says that there is no such file, as no folder has none
    local_copies(inside)
    return _Copies.here().only(where, set(inside))


def local_copies(wanted: Mapping[Url, Entry]) -> list[Path]:
    """Copies of files on this machine, in the order given.

    Args:
        wanted: Files, as a listing tells of them.

    Raises:
        ValueError: If the copies have no room for all of them together.
        OSError: If one cannot be fetched; names the URL.
    """
    copies = _Copies.here()
    missing = copies.reserve(wanted)
    size = sum(entry.size for entry in missing.values())
    if size >= TOLD_FROM:
        logger.info(f"fetching {len(missing)} files, {size / 1e9:.1f} GB, into {copies.root}")
    with (
        Progress("fetching", total=len(missing), unit="files") as progress,
        ThreadPoolExecutor(CONNECTIONS) as pool,
    ):
        for _ in pool.map(lambda one: copies.fetch(*one), missing.items()):
            progress.advance()
    return [copies.path(url) for url in wanted]


def new_folder(url: Url) -> Path:
    """An empty folder for what is going to be uploaded to a URL; the caller removes `around` it."""
    root = _Copies.here().root
    folder = root.joinpath(_NEW, uuid.uuid4().hex, url.scheme, *url.key.split("/"))
    folder.mkdir(parents=True)
    return folder


def around(folder: Path) -> Path:
    """All of what a `new_folder` was made of, which `by_url` leaves as it is; others themselves."""
    new = _root() / _NEW
    return new / folder.relative_to(new).parts[0] if folder.is_relative_to(new) else folder


def by_url(text: str) -> str:
    """A text in which copies, and what is to be uploaded, are called by their URLs."""
    root = _root()
    if str(root) not in text:
        return text
    kinds = rf"(?:{_FILES}|{_NEW}{_SEPARATOR}[0-9a-f]+)"
    start = rf"{re.escape(str(root))}{_SEPARATOR}{kinds}{_SEPARATOR}"
    return re.sub(rf"{start}({'|'.join(PACKAGES)}){_SEPARATOR}", r"\1://", text)


def _root() -> Path:
    given = os.environ.get(FOLDER_VARIABLE)
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(given or Path(caches) / "hourglass").expanduser().absolute()


def _limit() -> int:
    given = os.environ.get(LIMIT_VARIABLE, DEFAULT_LIMIT)
    try:
        limit = float(given)
    except ValueError:
        limit = 0.0
    if not 0 < limit < float("inf"):
        raise InputError(f"{LIMIT_VARIABLE} is {given!r}, it must be a number of GB above 0")
    return int(limit * 10**9)


@dataclass(frozen=True)
class _Copies:
    """The folder of copies, as one running program uses it.

    Attributes:
        root: The folder: the copies, a note beside each, and a list for each program of what it
            uses.
        list: The list of this program; who holds the lock beside it still runs.
    """

    root: Path
    list: Path

    @staticmethod
    def here() -> _Copies:
        """The folder that the environment names."""
        root = _root()
        try:
            with _beginning:
                return _Copies(root, _user(root, os.getpid())[0])
        except ImportError as error:
            raise InputError(
                "copies of remote files need the package filelock: pip install filelock"
            ) from error
        except OSError as error:
            raise InputError(
                f"{root}: no place for copies of remote files ({error.strerror}); name another "
                f"with {FOLDER_VARIABLE}"
            ) from error

    def path(self, url: Url) -> Path:
        """Where the copy of a file or folder lies."""
        return self.root.joinpath(_FILES, url.scheme, *url.key.split("/"))

    def _note(self, url: Url) -> Path:
        note = self.root.joinpath(_NOTES, url.scheme, *url.key.split("/"))
        return note.with_name(f"{note.name}.json")

    def _lock(self, url: Url) -> Path:
        """The lock of who makes the copy."""
        return self.root / _LOCKS / f"{zlib.crc32(url.text.encode()) % LOCKS}.lock"

    def reserve(self, wanted: Mapping[Url, Entry]) -> dict[Url, Entry]:
        """Takes note that this program uses files, and makes room for those that are not there.

        Returns:
            The ones to fetch.
        """
        limit, needed = _limit(), sum(entry.size for entry in wanted.values())
        if needed > limit:
            raise InputError(
                f"{next(iter(wanted)).parent}: {needed / 1e9:.1f} GB are needed on this machine, "
                f"copies may take {limit / 1e9:g} GB; allow more with {LIMIT_VARIABLE}"
            )
        with _locked(self.root / _LOCK):
            with self.list.open("a", encoding="utf-8") as file:
                file.writelines(f"{self._note(url)}\n" for url in wanted)
            missing = {
                url: entry for url, entry in wanted.items() if not self._is_there(url, entry)
            }
            self._make_room(sum(entry.size for entry in missing.values()), limit)
        return missing

    def _is_there(self, url: Url, entry: Entry) -> bool:
        note, path = self._note(url), self.path(url)
        try:
            known = json.loads(note.read_text(encoding="utf-8")) == asdict(entry)
            if known and path.stat().st_size == entry.size:
                os.utime(note)
                return True
        except (OSError, ValueError):
            pass  # no copy, or a half of one: it is fetched
        return False

    def _make_room(self, size: int, limit: int) -> None:
        """Removes what was not used for longest, until there is room for `size` bytes more."""
        root = self.root / _NOTES
        notes = sorted(root.rglob("*.json"), key=lambda note: note.stat().st_mtime)
        paths = {
            note: self.root.joinpath(_FILES, note.relative_to(root).with_suffix(""))
            for note in notes
        }
        sizes = {note: path.stat().st_size for note, path in paths.items() if path.is_file()}
        excess = sum(sizes.values()) + size - limit
        if excess <= 0:
            return
        used = self._in_use()
        for note in notes:
            if excess > 0 and str(note) not in used:
                note.unlink()
                paths[note].unlink(missing_ok=True)
                excess -= sizes.get(note, 0)
        if excess > 0:
            raise InputError(
                f"{self.root}: {excess / 1e9:.1f} GB too little room for copies of remote files, "
                f"as running programs use the others; allow more with {LIMIT_VARIABLE}, or name "
                f"another folder with {FOLDER_VARIABLE}"
            )

    def _in_use(self) -> set[str]:
        """The notes of what running programs use."""
        _remove_ended(self.root / _USERS, self.list)
        used: set[str] = set()
        for users in (self.root / _USERS).glob("*.txt"):
            used.update(users.read_text(encoding="utf-8").splitlines())
        return used

    def only(self, folder: Url, there: set[Url]) -> Path:
        """Where the copy of a folder lies, without the files that are gone at the URL.

        Args:
            folder: The folder.
            there: The files that it had when it was listed; whether others have come since is
                asked.
        """
        path = self.path(folder)
        for copy in sorted(path.rglob("*")):
            url = folder / copy.relative_to(path)
            is_known = url in there or not self._note(url).is_file()
            if copy.is_file() and not is_known and not url.is_file():
                self._note(url).unlink(missing_ok=True)
                copy.unlink(missing_ok=True)
        return path

    def fetch(self, url: Url, entry: Entry) -> None:
        """Makes a copy; other programs that want the same one wait for it.

        Raises:
            OSError: If it cannot be fetched, or written; names the URL.
        """
        path, note, lock = self.path(url), self._note(url), self._lock(url)
        for folder in (path.parent, note.parent, lock.parent):
            folder.mkdir(parents=True, exist_ok=True)
        with _locked(lock):
            if self._is_there(url, entry):
                return
            temporary = aside(path)
            try:
                url.download(temporary)
                publish(temporary, path)
                note.write_text(json.dumps(asdict(entry)), encoding="utf-8")
            finally:
                temporary.unlink(missing_ok=True)


@functools.cache
def _user(root: Path, process: int) -> tuple[Path, Any]:
    """This program's list of what it uses, and its lock, which is held until the program ends."""
    from filelock import FileLock

    users = root / _USERS
    users.mkdir(parents=True, exist_ok=True)
    path = users / f"{process}_{uuid.uuid4().hex}.txt"
    lock = FileLock(path.with_suffix(".lock"))
    with _locked(root / _LOCK):
        _remove_ended(users, path)
        lock.acquire()
        path.touch()
    return path, lock


def _remove_ended(users: Path, own: Path) -> None:
    """Removes the lists of programs that ended, and their locks.

    The folder's lock is held meanwhile, as where a program makes its own: a lock that was just made
    is not taken for one that was left.
    """
    from filelock import FileLock, Timeout

    for lock in users.glob("*.lock"):
        if lock == own.with_suffix(".lock"):
            continue
        with contextlib.suppress(Timeout, OSError):  # of one that runs; of another user's file
            with FileLock(lock, timeout=0):
                lock.with_suffix(".txt").unlink(missing_ok=True)
            lock.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    from filelock import FileLock

    with FileLock(path):
        yield
