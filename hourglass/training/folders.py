"""Where a run's files are written: in its folders or, if those are at URLs, here first."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import keras

from hourglass.core.copies import new_folder
from hourglass.core.storage import Place, Url
from hourglass.training.callbacks.names import HISTORY, LAST
from hourglass.training.callbacks.upload import Upload


class RunFolders:
    """A run's folders on this machine.

    Args:
        run: Where model files, configuration and history go.
        board: Where TensorBoard logs go.
        resume: Fetch what a run at a URL goes on from.

    Attributes:
        run, board: The folders to write to.
        callbacks: What uploads them, if need be.

    Raises:
        OSError: If a file cannot be fetched; names the URL.
    """

    def __init__(self, run: Place, board: Place, *, resume: bool) -> None:
        self._urls: dict[Path, Url] = {}
        self.run, self.board = self._here(run), self._here(board)
        self.callbacks: list[keras.callbacks.Callback] = [Upload(self._urls)] if self._urls else []
        if resume and isinstance(run, Url):
            for name in (LAST, HISTORY):
                if (run / name).exists():
                    (run / name).download(self.run / name)

    def _here(self, folder: Place) -> Path:
        if isinstance(folder, Path):
            return folder
        here = new_folder(folder)
        self._urls[here] = folder
        return here

    @contextlib.contextmanager
    def uploaded(self) -> Iterator[None]:
        """Removes what is only on the way, once the body has not failed."""
        yield
        for folder in self._urls:
            shutil.rmtree(folder, ignore_errors=True)
