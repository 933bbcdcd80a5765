"""Files on other machines, by URL: `s3://`, `gs://` and `memory://`, through fsspec.

A `Url` answers what rooms ask of a `Path`, and nothing else. What needs a file on this machine, as
TensorFlow or FFmpeg do, gets a copy of it from `core.copies`; what is to be written is written
beside and uploaded whole, by `core.files`. `file://` is another way to write a path.
"""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from hourglass.core.errors import InputError

PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "memory": "fsspec"}
"""Schemes, and the package that each needs."""

OPTIONS: dict[str, dict[str, Any]] = {
    # s3fs and botocore both try again, each with pauses: together half a minute by themselves.
    "s3": {"config_kwargs": {"connect_timeout": 10, "retries": {"max_attempts": 2}}}
}

HIDDEN = "***"
"""What is shown in the place of a secret."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_SECRETS = (
    (re.compile(r"(?<=://)[^/\s@]+@"), f"{HIDDEN}@"),
    (re.compile(r"(://[^\s?'\"]*\?)[^\s'\"]*=[^\s'\",)]*"), rf"\1{HIDDEN}"),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), HIDDEN),
)

NO_CONNECTION = ("Connect", "Timeout", "Connection", "Disconnected", "HTTPClient")
"""Parts of the names of errors, of several packages, that say that nobody answers."""

NO_ACCESS = ("Credential", "Permission", "Forbidden", "Auth", "TokenRetrieval")


class StorageError(OSError):
    """What went wrong with a URL, in one line.

    Attributes:
        filename: The URL.
        strerror: Why, without the URL, as of any `OSError`.
    """

    def __init__(self, url: str, reason: str, *, number: int = errno.EIO) -> None:
        super().__init__(number, reason, url)

    def __str__(self) -> str:
        return f"{self.filename}: {self.strerror}"

    def __reduce__(self) -> tuple[Any, ...]:
        return StorageError, (self.filename, self.strerror)


class MissingError(StorageError):
    """There is nothing under this URL."""

    def __init__(self, url: str, reason: str = "no such file or bucket (404)") -> None:
        super().__init__(url, reason, number=errno.ENOENT)

    def __reduce__(self) -> tuple[Any, ...]:
        return MissingError, (self.filename, self.strerror)


@dataclass(frozen=True)
class Entry:
    """A file as a listing tells of it.

    Attributes:
        size: Bytes.
        version: Differs once the file is another.
    """

    size: int
    version: str


@dataclass(frozen=True, order=True)
class Url:
    """A file or folder elsewhere. Its questions and answers are those of a `Path`.

    Args:
        text: Such as `s3://bucket/folder/file`.

    Raises:
        ValueError: If it is of another scheme, names no bucket, or has credentials in it, which
            would come into logs; they stay out of the message.
    """

    text: str

    def __post_init__(self) -> None:
        scheme, _, rest = self.text.partition("://")
        told = redacted(self.text)
        if scheme not in PACKAGES:
            known = ", ".join(f"{one}://" for one in ("file", *PACKAGES))
            raise InputError(f"{told}: files are read and written at {known}")
        if told != self.text:
            raise InputError(
                f"{told}: credentials do not belong into a URL; they are read from the environment "
                "or from the files of the storage's own tools (docs/SCALING.md)"
            )
        if not rest.strip("/") or ".." in rest.split("/"):
            raise InputError(f"{told}: must be {scheme}://BUCKET/NAME, without ..")
        object.__setattr__(self, "text", f"{scheme}://{rest.strip('/')}")

    def __str__(self) -> str:
        return self.text

    @property
    def scheme(self) -> str:
        """Such as `s3`."""
        return self.text.partition("://")[0]

    @property
    def key(self) -> str:
        """What follows the scheme: bucket and name."""
        return self.text.partition("://")[2]

    @property
    def is_shared(self) -> bool:
        """Whether other processes see the same files."""
        return self.scheme != "memory"

    @property
    def name(self) -> str:
        """The last part."""
        return self.text.rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The name without its ending."""
        return Path(self.name).stem

    @property
    def suffix(self) -> str:
        """The name's ending, with its dot."""
        return Path(self.name).suffix

    @property
    def parent(self) -> Url:
        """The folder, or of a bucket itself the bucket."""
        return Url(self.text.rpartition("/")[0]) if "/" in self.key else self

    def __truediv__(self, name: str | Path) -> Url:
        return Url(f"{self.text}/{name if isinstance(name, str) else name.as_posix()}")

    def as_posix(self) -> str:
        """The same as its text."""
        return self.text

    def with_name(self, name: str) -> Url:
        """The same folder's file of another name."""
        return self.parent / name

    def resolve(self) -> Url:
        """Itself: a URL is never relative."""
        return self

    def mkdir(self, *, parents: bool = False, exist_ok: bool = False) -> None:
        """Nothing: there are no empty folders."""

    def exists(self) -> bool:
        """Whether there is such a file, or files below."""
        with self._told() as files:
            return bool(files.exists(self.key))

    def is_file(self) -> bool:
        """Whether there is such a file."""
        with self._told() as files:
            return bool(files.isfile(self.key))

    def is_dir(self) -> bool:
        """Whether there are files below."""
        with self._told() as files:
            return bool(files.isdir(self.key))

    def is_symlink(self) -> bool:
        """No."""
        return False

    def read_bytes(self) -> bytes:
        """The file's content."""
        with self._told() as files:
            return bytes(files.cat_file(self.key))

    def write_bytes(self, content: bytes) -> None:
        """Makes the file these bytes, of which there are few."""
        with self._told() as files:
            files.pipe_file(self.key, content)

    def read_text(self, encoding: str = "utf-8") -> str:
        """The file's text."""
        return self.read_bytes().decode(encoding)

    def entry(self) -> Entry:
        """Size and version of the file."""
        with self._told() as files:
            return _entry(files.info(self.key))

    def entries(self) -> dict[str, Entry]:
        """All files below at any depth, by their names from here on, in order."""
        with self._told() as files:
            found = files.find(self.key, detail=True)
        start = len(self.key) + 1
        named = {key.strip("/")[start:]: _entry(info) for key, info in found.items()}
        return {name: entry for name, entry in sorted(named.items()) if name}

    def children(self) -> dict[str, Entry]:
        """The files right below, by name, in order."""
        with self._told() as files:
            found = files.ls(self.key, detail=True) if files.exists(self.key) else []
        there = sorted((one["name"].rstrip("/"), one) for one in found if one["type"] == "file")
        return {posixpath.basename(name): _entry(info) for name, info in there}

    def iterdir(self) -> Iterator[Url]:
        """The files right below."""
        return (self / name for name in self.children())

    def glob(self, pattern: str) -> dict[Url, Entry]:
        """The files right below whose names match a pattern."""
        return {
            self / name: entry
            for name, entry in self.children().items()
            if fnmatch.fnmatchcase(name, pattern)
        }

    def download(self, path: Path) -> None:
        """Writes a copy to `path`, under that name from the first byte on."""
        with self._told() as files:
            files.get_file(self.key, str(path))

    def upload(self, path: Path) -> None:
        """Makes this a copy of a file. It appears, or changes, when all of it is there."""
        with self._told() as files:
            files.put_file(str(path), self.key)

    def unlink(self, missing_ok: bool = False) -> None:
        """Removes the file."""
        try:
            with self._told() as files:
                files.rm_file(self.key)
        except MissingError:
            if not missing_ok:
                raise

    @contextlib.contextmanager
    def _told(self) -> Iterator[Any]:
        """The storage; its errors become a `StorageError` that names this URL.

        Every storage has kinds of error of its own, without an ancestor but `Exception`.
        """
        try:
            yield _storage(self.scheme)
        except ImportError as error:
            package = PACKAGES[self.scheme]
            raise StorageError(
                self.text, f"the package {package} is needed: pip install {package}"
            ) from error
        except FileNotFoundError as error:
            raise MissingError(self.text) from error
        except Exception as error:
            raise StorageError(self.text, _reason(error)) from error


Place = Path | Url
"""Where a file or folder is: on this machine, or elsewhere."""


def is_url(text: str) -> bool:
    """Whether a text begins as a URL, of whatever scheme."""
    return bool(_SCHEME.match(text))


def is_stored(text: str) -> bool:
    """Whether a text is the URL of files, and not of a stream."""
    match = _SCHEME.match(text)
    return match is not None and match[1].lower() in ("file", *PACKAGES)


def place(given: str | Path | Url) -> Place:
    """The path or URL that a text means.

    Raises:
        ValueError: If it is the URL of something else, or of a file of another machine.
    """
    if not isinstance(given, str):
        return given
    if not is_url(given):
        return Path(given)
    parts = urlsplit(given)
    if parts.scheme != "file":
        return Url(given)
    if parts.netloc not in ("", "localhost"):
        raise InputError(f"{redacted(given)}: must be file:///PATH, with three slashes")
    return Path(url2pathname(parts.path))


def redacted(text: str) -> str:
    """A text without what may be secret: users and passwords, queries and keys in URLs."""
    for secret, shown in _SECRETS:
        text = secret.sub(shown, text)
    return text


def _storage(scheme: str) -> Any:
    import fsspec

    return fsspec.filesystem(scheme, use_listings_cache=False, **OPTIONS.get(scheme, {}))


def _entry(info: dict[str, Any]) -> Entry:
    """The version is the content's checksum where the storage has one, else a time."""
    names = ("ETag", "etag", "generation", "md5Hash", "LastModified", "mtime", "created")
    version = next((info[name] for name in names if info.get(name) is not None), "")
    if isinstance(version, datetime):  # a storage may tell a time in two ways
        version = version.timestamp()
    return Entry(int(info.get("size") or 0), str(version).strip('"'))


def _reason(error: Exception) -> str:
    kind = type(error).__name__
    if isinstance(error, PermissionError) or any(part in kind for part in NO_ACCESS):
        return "access denied (403): no credentials, or they do not allow this"
    if isinstance(error, ConnectionError | TimeoutError) or any(
        part in kind for part in NO_CONNECTION
    ):
        return "no connection: the storage does not answer"
    return redacted(" ".join(f"{kind}: {error}".split()))
