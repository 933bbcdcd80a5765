"""Where a run's files are written: in its folders or, if those are at URLs, here first."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import keras
from loguru import logger

from hourglass.core.copies import around, new_folder
from hourglass.core.storage import Place, Url
from hourglass.modelfiles.metadata import SUFFIX
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
        upload: What uploads them, if need be.
        callbacks: It, if it is needed.

    Raises:
        OSError: If a file cannot be fetched; names the URL.
    """

    def __init__(self, run: Place, board: Place, *, resume: bool) -> None:
        self._urls: dict[Path, Url] = {}
        self.run, self.board = self._here(run), self._here(board)
        self.upload = Upload(self._urls)
        self.callbacks: list[keras.callbacks.Callback] = [self.upload] if self._urls else []
        if resume and isinstance(run, Url):
            try:
                self._fetch(run)
            except BaseException:
                self._remove()
                raise

    def _here(self, folder: Place) -> Path:
        if isinstance(folder, Path):
            return folder
        here = new_folder(folder)
        self._urls[here] = folder
        return here

    def _fetch(self, run: Url) -> None:
        for name in (LAST, HISTORY):
            if (run / name).exists():
                (run / name).download(self.run / name)
                self.upload.note(self.run / name)

    @contextlib.contextmanager
    def uploaded(self) -> Iterator[None]:
        """Removes at the end what is only on the way, but no model that is not at its URL yet."""
        try:
            yield
        finally:
            models = [path for folder in self._urls for path in folder.glob(f"*{SUFFIX}")]
            if all(map(self.upload.is_there, models)):
                self._remove()
            else:
                kept = sorted({str(around(path)) for path in models})
                logger.warning(f"models that were not uploaded are in {', '.join(kept)}")

    def _remove(self) -> None:
        for folder in self._urls:
            shutil.rmtree(around(folder), ignore_errors=True)
