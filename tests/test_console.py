"""How commands speak: errors in one line, log lines beside a bar, quiet libraries."""

from __future__ import annotations

import errno
import io
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from loguru import logger

from hourglass.console import MOST_TOLD, command, fail_with, going_on, quiet_stderr
from hourglass.core.errors import InputError
from hourglass.core.files import replacing
from hourglass.core.progress import Progress


@pytest.fixture(autouse=True)
def _keep_log_handlers() -> Iterator[None]:
    """Commands put handlers of their own in place of all others."""
    yield
    logger.remove()
    logger.add(sys.stderr)


@pytest.fixture
def faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder into which tracebacks go."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


# Commands


def run(function: Any, *arguments: str) -> Result:
    """The result of a command whose body is `function`."""
    main = click.command()(click.option("--count", default=3)(command(function)))
    return CliRunner().invoke(main, arguments)


def failing(error: BaseException) -> Any:
    def body(**_: Any) -> None:
        raise error

    return body


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (InputError("a.json: person 3: 'scale' is 0"), "Error: a.json: person 3: 'scale' is 0\n"),
        (InputError("two\nlines,\n\n  and   more"), "Error: two lines, and more\n"),
        (FileNotFoundError(2, "No such file", "x.jpg"), "Error: [Errno 2] No such file: 'x.jpg'\n"),
        (OSError(28, "No space left on device"), "Error: [Errno 28] No space left on device\n"),
    ],
)
def test_an_error_of_the_users_is_one_line(error: Exception, line: str, faults: Path):
    result = run(failing(error))
    assert result.output == line
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert list(faults.iterdir()) == []


@pytest.mark.parametrize(
    "error",
    [
        KeyError("joints"),
        AssertionError("never"),
        ValueError("operands could not be broadcast"),
        OSError("a library's own"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
    ],
)
def test_a_fault_is_one_line_and_its_traceback_is_kept(error: Exception, faults: Path):
    result = run(failing(error))
    (log,) = faults.iterdir()
    assert result.output == (
        "Error: a fault of the program, not of what it was given: "
        f"{type(error).__name__}: {error} (its traceback is in {log})\n"
    )
    assert result.exit_code == 1
    text = log.read_text(encoding="utf-8")
    assert sys.argv[0] in text
    assert "in body\n    raise error\n" in text
    assert text.rstrip().endswith(f"{type(error).__name__}: {error}")


def test_each_fault_has_a_file_of_its_own(faults: Path):
    for _ in range(3):
        run(failing(KeyError("joints")))
    assert len(list(faults.iterdir())) == 3


def test_the_cause_of_a_fault_is_kept_too(faults: Path):
    def body(**_: Any) -> None:
        try:
            raise ZeroDivisionError("first")
        except ZeroDivisionError as error:
            raise TypeError("x" * 1000) from error

    result = run(body)
    assert len(result.output) < 600
    (log,) = faults.iterdir()
    assert "ZeroDivisionError: first" in log.read_text(encoding="utf-8")
    assert "x" * 1000 in log.read_text(encoding="utf-8")


def test_a_fault_is_told_where_nothing_can_be_written(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere/at/all")
    result = run(failing(KeyError("joints")))
    assert "KeyError: 'joints' (its traceback could not be kept" in result.output
    assert result.output.rstrip().endswith("--debug prints it)")


@pytest.mark.parametrize("error", [InputError("wrong"), TypeError("wrong")])
def test_debug_prints_the_traceback(error: Exception, faults: Path):
    result = run(failing(error), "--debug")
    assert "Traceback (most recent call last):" in result.output
    assert "in body\n    raise error\n" in result.output
    assert result.output.splitlines()[-1].startswith("Error: ")
    assert result.exit_code == 1


def test_every_door_tells_of_debug():
    result = run(failing(KeyError("joints")), "--help")
    assert re.search(r"--debug +Print the traceback of an error\.", result.output)


def test_an_end_of_what_reads_the_output_is_no_error(faults: Path):
    result = run(failing(BrokenPipeError(errno.EPIPE, "Broken pipe")))
    assert result.output == ""
    assert result.exit_code == 1


def test_ctrl_c_ends_as_click_has_it(faults: Path):
    result = run(failing(KeyboardInterrupt()))
    assert result.output.strip() == "Aborted!"
    assert list(faults.iterdir()) == []


def test_clicks_own_errors_are_left_alone():
    result = run(failing(click.UsageError("--count and --all exclude each other")))
    assert result.exit_code == 2
    assert "Usage:" in result.output
    assert "Error: --count and --all exclude each other" in result.output


def test_the_first_error_is_the_cause_of_the_line():
    error = InputError("wrong")
    with pytest.raises(click.ClickException, match=r"^wrong$") as caught:
        command(failing(error))()
    assert caught.value.__cause__ is error


def test_a_command_gets_its_options_and_gives_its_result():
    def double(number: int, *, count: int) -> int:
        """Doubles."""
        return number * count

    assert command(double)(4, count=5) == 20
    assert command(double).__name__ == "double"
    assert command(double).__doc__ == "Doubles."


def test_options_reach_a_command_on_the_command_line():
    result = run(lambda count: click.echo(f"{count} given"), "--count", "7")
    assert result.output == "7 given\n"
    assert result.exit_code == 0


def test_log_lines_are_time_level_and_message():
    result = run(lambda count: logger.warning(f"{count} shards <red>are</red> {{missing}}"))
    line = r"\d\d:\d\d:\d\d WARNING 3 shards <red>are</red> {missing}\n"
    assert re.fullmatch(line, result.output)


def test_tensorflow_is_quiet_in_a_command_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch):
    def level() -> str:
        return os.environ["TF_CPP_MIN_LOG_LEVEL"]

    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    assert command(level)() == "3"
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    assert command(level)() == "0"


# Quiet libraries


def write_line(line: str) -> None:
    """As a C++ library does: past Python's own stderr."""
    os.write(2, f"{line}\n".encode())


def test_what_libraries_print_is_swallowed(capfd: pytest.CaptureFixture[str]):
    write_line("before")
    with quiet_stderr():
        write_line("inside")
    write_line("after")
    assert capfd.readouterr().err == "before\nafter\n"


def test_pythons_lines_keep_their_place(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    with open(2, "w", buffering=4096, closefd=False) as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        stderr.write("before ")
        with quiet_stderr():
            stderr.write("inside ")
        stderr.write("after")
        monkeypatch.undo()
    assert capfd.readouterr().err == "before after"


def test_standard_output_is_left_alone(capfd: pytest.CaptureFixture[str]):
    with quiet_stderr():
        os.write(1, b"result\n")
    assert capfd.readouterr().out == "result\n"


def test_stderr_comes_back_after_an_error(capfd: pytest.CaptureFixture[str]):
    def load() -> None:
        with quiet_stderr():
            write_line("inside")
            raise RuntimeError("does not load")

    with pytest.raises(RuntimeError, match="does not load"):
        load()
    write_line("after")
    assert capfd.readouterr().err == "after\n"


def test_no_file_stays_open():
    before = len(os.listdir("/dev/fd"))
    for _ in range(100):
        with quiet_stderr():
            pass
    assert len(os.listdir("/dev/fd")) < before + 50


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_line_does_not_tear_the_bar(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())

    def body() -> None:
        with Progress("reading", total=30, unit="pictures"):
            logger.info("one more thing")

    command(body)()
    assert re.search(r"[\r\n]\d\d:\d\d:\d\d INFO one more thing\n", terminal.getvalue())


def test_failures_are_told_up_to_a_number_and_none_ends_nothing():
    fail_with([])
    with pytest.raises(click.ClickException) as told:
        fail_with([f"bad {number}" for number in range(MOST_TOLD + 3)])
    lines = told.value.message.splitlines()
    assert (len(lines), lines[0], lines[-1]) == (MOST_TOLD + 1, "bad 0", "and 3 more")


# Asked to stop.


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_asked_to_stop_says_how_to_go_on(number: signal.Signals, tmp_path: Path):
    before = signal.getsignal(signal.SIGTERM)

    @click.command()
    @command
    def door() -> None:
        with going_on(lambda: "once more"), replacing(tmp_path / "a.txt") as temporary:
            temporary.write_text("half")
            signal.raise_signal(number)
            time.sleep(60)

    result = CliRunner().invoke(door, [])
    assert (result.exit_code, result.output) == (130, "Stopped: once more\n")
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) == before
