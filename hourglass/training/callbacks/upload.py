"""Uploads the run's files after each epoch, where its folders are at URLs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import keras
from loguru import logger

from hourglass.core.copies import around
from hourglass.core.errors import InputError
from hourglass.core.storage import StorageError, Url
from hourglass.training.callbacks.names import LAST, Logs


class Upload(keras.callbacks.Callback):
    """Uploads what has changed after each epoch: `last.keras`, which resuming trusts, last of all.

    A connection that is lost is told of, and the next epoch's end tries again.

    Args:
        folders: Where the files are on this machine, and where they go.

    Attributes:
        require_alone: Asked before each upload: raises if another run has taken the place.
    """

    def __init__(self, folders: Mapping[Path, Url]) -> None:
        super().__init__()
        self._folders = folders
        self._done: dict[Path, tuple[int, int]] = {}
        self.require_alone: Callable[[], None] = lambda: None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        try:
            self._upload()
        except StorageError as error:
            logger.warning(f"{error}; epoch {epoch + 1} is not uploaded, the next one's end tries")

    def on_train_end(self, logs: Logs | None = None) -> None:
        try:
            self._upload()
        except StorageError as error:
            kept = ", ".join(repr(str(around(folder))) for folder in self._folders)
            raise InputError(f"{error}; the run's files are in {kept}") from error

    def is_there(self, path: Path) -> bool:
        """Whether a file is at its URL as it is here."""
        return self._done.get(path) == _version(path)

    def note(self, path: Path) -> None:
        """Takes note that it is."""
        self._done[path] = _version(path)

    def _upload(self) -> None:
        self.require_alone()
        for folder, url in self._folders.items():
            files = sorted(path for path in folder.rglob("*") if path.is_file())
            for path in sorted(files, key=lambda path: path.name == LAST):
                if not self.is_there(path):
                    (url / path.relative_to(folder)).upload(path)
                    self.note(path)


def _version(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns
