"""How commands speak: errors in one line, log lines beside a bar, quiet libraries."""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Iterator
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from loguru import logger

from hourglass.console import MOST_TOLD, command, fail_with, quiet_stderr
from hourglass.core.progress import Progress


@pytest.fixture(autouse=True)
def _keep_log_handlers() -> Iterator[None]:
    """Commands put handlers of their own in place of all others."""
    yield
    logger.remove()
    logger.add(sys.stderr)


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
        (ValueError("a.json: person 3: 'scale' is 0"), "Error: a.json: person 3: 'scale' is 0\n"),
        (ValueError("two\nlines,\n\n  and   more"), "Error: two lines, and more\n"),
        (FileNotFoundError(2, "No such file", "x.jpg"), "Error: [Errno 2] No such file: 'x.jpg'\n"),
        (PermissionError("not yours"), "Error: not yours\n"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), "Error: 'utf-8' codec can't decode"),
    ],
)
def test_an_error_of_the_users_is_one_line(error: Exception, line: str):
    result = run(failing(error))
    assert result.output.startswith(line)
    assert result.output.count("\n") == 1
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)


@pytest.mark.parametrize("error", [KeyError("joints"), TypeError("no"), AssertionError("never")])
def test_an_error_in_the_code_is_left_alone(error: Exception):
    result = run(failing(error))
    assert result.exception is error
    assert result.exit_code == 1
    assert "Error:" not in result.output


def test_clicks_own_errors_are_left_alone():
    result = run(failing(click.UsageError("--count and --all exclude each other")))
    assert result.exit_code == 2
    assert "Usage:" in result.output
    assert "Error: --count and --all exclude each other" in result.output


def test_the_first_error_is_the_cause_of_the_line():
    error = ValueError("wrong")
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
