"""How commands speak: shared options, log lines, and errors that a user can act on.

Every door and tool uses these, so that all commands look alike. Nothing here knows of poses.
"""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import click
from loguru import logger

from hourglass.core.copies import by_url
from hourglass.core.errors import InputError
from hourglass.core.progress import write_line
from hourglass.core.storage import Place, is_url, place, redacted

Command = TypeVar("Command", bound=Callable[..., Any])

LONGEST_FAULT = 300
"""Characters of a fault's own words in the line about it; some libraries' run over pages."""

MOST_TOLD = 20
"""Failures told one by one; of more, their number."""


class _PathType(click.ParamType):
    """A path on this machine or, where allowed, a URL."""

    name = "path"

    def __init__(self, *, urls: bool) -> None:
        self._urls = urls

    def convert(self, value: Any, param: Any, ctx: Any) -> Place:
        if not isinstance(value, str):
            return value
        try:
            if is_url(value) and not self._urls:
                raise InputError(f"{redacted(value)}: must be a path on this machine")
            return place(value)
        except InputError as error:
            raise click.BadParameter(str(error), ctx, param) from error


PATH = _PathType(urls=False)
PLACE = _PathType(urls=True)
"""A path, or a URL such as s3://BUCKET/NAME: docs/SCALING.md."""

model_option = click.option(
    "--model",
    type=PLACE,
    help="Model file. [default: the newest models/*/best.keras, or the one that is shipped]",
)
models_option = click.option(
    "--model",
    "models",
    type=PLACE,
    multiple=True,
    help="Model file; for a page, each that it offers. [default: the newest "
    "models/*/best.keras, or what is shipped]",
)
flip_test_option = click.option(
    "--flip-test", is_flag=True, help="Average in each crop's mirror image."
)


debug_option = click.option("--debug", is_flag=True, help="Print the traceback of an error.")

force_option = click.option("--force", is_flag=True, help="Overwrite files that are there.")


def _together(*options: Callable[[Any], Any]) -> Callable[[Command], Command]:
    """Several options as one decorator, in the order in which --help shows them."""

    def decorate(function: Command) -> Command:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


cluster_options = _together(
    click.option("--ray-address", help="Train on this running Ray cluster."),
    click.option("--workers", type=click.IntRange(1), help="Of a cluster: that train together."),
    click.option("--gpus-per-worker", type=click.IntRange(0), help="Of a cluster. [default: 0]"),
)

table_options = _together(
    click.option("--json", type=PLACE, help="File to write all joints to."),
    click.option("--csv", type=PLACE, help="The same as a table."),
)

where_options = _together(
    click.option(
        "--box",
        "boxes",
        type=float,
        nargs=4,
        multiple=True,
        metavar="X Y W H",
        help="A person's box, px; several for several people. [default: the whole picture]",
    ),
    click.option(
        "--boxes", "boxes_file", type=PLACE, help="JSON or CSV file of each picture's boxes."
    ),
    click.option("--detect", is_flag=True, help="Find the people in each picture."),
)

archive_options = _together(
    click.option("--ray-address", help="Share many inputs out over this running Ray cluster."),
    click.option(
        "--parts", "archive", type=PATH, help="With --ray-address: folder of the results."
    ),
    click.option(
        "--parts-format",
        "kind",
        type=click.Choice(("parquet", "jsonl")),
        default="parquet",
        show_default=True,
        help="What they are written as, a row per input.",
    ),
    click.option(
        "--workers", type=click.IntRange(1), help="Of the cluster. [default: one per core]"
    ),
)

film_options = _together(
    click.option(
        "--every",
        type=click.IntRange(1),
        default=1,
        show_default=True,
        help="Of films, each N-th frame only.",
    ),
    click.option("--smooth", is_flag=True, help="Of films, filter joints against jitter."),
)


class Stopped(click.ClickException):
    """Ends a command that was asked to stop, with a line that says how to go on."""

    exit_code = 130

    def show(self, file: Any = None) -> None:
        """Prints the line."""
        click.echo(f"Stopped: {self.message}", err=True)


@contextlib.contextmanager
def going_on(how: str | Callable[[], str]) -> Iterator[None]:
    """Says how to go on where Ctrl-C or SIGTERM ends the body.

    Args:
        how: The words, or what finds them when it has ended.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        raise Stopped(how if isinstance(how, str) else how()) from error


@contextlib.contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    """Lets SIGTERM end a command as Ctrl-C does, so that nothing half written stays."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def command(function: Command) -> Command:
    """Decorates a door's `main`: quiet libraries, short log lines, one clear line for an error.

    What the user can mend, an `InputError` or the system's word on a file, is told as it is. Any
    other error is a fault of the program: its traceback goes into a file that the line names.
    With `--debug`, which every door has from here, tracebacks are printed as well.
    """

    @functools.wraps(function)
    def wrapped(*arguments: Any, debug: bool = False, **options: Any) -> Any:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
        logger.configure(
            handlers=[{"sink": write_line, "format": "{time:HH:mm:ss} {level} {message}"}],
            patcher=_show,
        )
        try:
            with _sigterm_as_ctrl_c():
                return function(*arguments, **options)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise  # click's own words, and a reader that has had enough, which click takes quietly
        except Exception as error:
            if debug:
                click.echo(_shown(_traceback_of(error)), err=True)
            raise click.ClickException(_shown(_line_of(error))) from error

    return debug_option(wrapped)  # type: ignore[return-value]


def _line_of(error: Exception) -> str:
    """What a command says of an error."""
    text = " ".join(str(error).split())
    if isinstance(error, InputError) or (isinstance(error, OSError) and error.errno):
        return text
    kind = type(error).__name__
    if len(text) > LONGEST_FAULT:
        text = f"{text[:LONGEST_FAULT]}…"
    try:
        where = f"its traceback is in {_write_fault(error)}"
    except OSError as failure:
        where = f"its traceback could not be kept ({failure}); --debug prints it"
    return f"a fault of the program, not of what it was given: {kind}: {text} ({where})"


def _write_fault(error: Exception) -> str:
    """Writes what whoever mends the program must know into a new file, and returns its path."""
    about = (
        f"{' '.join(sys.argv)}\n"
        f"{time.strftime('%Y-%m-%d %H:%M:%S')}, Python {platform.python_version()}, "
        f"{platform.platform()}\n\n"
    )
    file, path = tempfile.mkstemp(prefix="hourglass-", suffix=".log")
    with open(file, "w", encoding="utf-8", errors="backslashreplace") as log:
        log.write(redacted(about + _traceback_of(error)))
    return path


def _traceback_of(error: Exception) -> str:
    return "".join(traceback.format_exception(error))


def _show(record: Any) -> None:
    record["message"] = _shown(record["message"])


def _shown(text: str) -> str:
    """A text for the screen: without secrets, and with the URLs of what was copied from there."""
    return redacted(by_url(text))


def fail_with(failures: Sequence[str]) -> None:
    """Ends a command with the lines that say what failed, if anything did."""
    if failures:
        left = len(failures) - MOST_TOLD
        first = [" ".join(one.split()) for one in failures[:MOST_TOLD]]  # names may have lines
        told = [*first, *([f"and {left} more"] if left > 0 else [])]
        raise click.ClickException(_shown("\n".join(told)))


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Swallows what C++ libraries print while they load; TensorFlow's notes heed no setting.

    Python's errors are exceptions and come through.
    """
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
