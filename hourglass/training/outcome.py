"""Whether a run may begin in its folder, and what came of it. Needs no Keras."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from hourglass.core.config_text import FILE
from hourglass.core.errors import InputError
from hourglass.core.storage import Place
from hourglass.modelfiles.metadata import TrainingState
from hourglass.training.callbacks.names import BEST, HISTORY, LAST


@dataclass(frozen=True)
class Run:
    """A finished training.

    Attributes:
        folder: Where its model files, configuration and history lie.
        board: Where its TensorBoard logs lie.
        state: Epochs done, best score and epoch.
        seconds: Time taken, of this call alone.
        score: What the best score is, such as `"PCKh@0.5"`.
    """

    folder: Place
    board: Place
    state: TrainingState
    seconds: float
    score: str


def goes_on(folder: Place) -> bool:
    """Whether there is a run in its folder already."""
    return any((folder / name).exists() for name in (LAST, BEST, HISTORY))


def how_to_go_on(folder: Place) -> str:
    """What to say of a run that was stopped: `--resume` needs what is written at its start."""
    with contextlib.suppress(OSError):  # of a URL that does not answer now
        if not (folder / FILE).exists():
            return f"nothing of the run is in {folder} yet; the same command starts it again"
    return f"finished epochs are kept in {folder}; the same command with --resume goes on"


def require_free(folder: Place, *, resume: bool) -> None:
    """Keeps a run from being overwritten.

    Args:
        folder: Where the run goes.
        resume: Whether it goes on with what is there.

    Raises:
        ValueError: If there is a run that is not gone on with.
    """
    if not resume and goes_on(folder):
        raise InputError(
            f"{folder} holds a run already; go on with --resume, or name another with --run"
        )
