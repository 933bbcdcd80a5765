"""Progress: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from loguru import logger

from hourglass.core.progress import Progress


@pytest.fixture(autouse=True)
def _keep_log_handlers() -> Iterator[None]:
    """Tests put handlers of their own in place of all others."""
    yield
    logger.remove()
    logger.add(sys.stderr)


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("hourglass.core.progress.time", SimpleNamespace(monotonic=clock.monotonic))
    monkeypatch.setattr("hourglass.core.progress.SECONDS_BETWEEN_LINES", 10)
    return clock


@pytest.fixture
def lines() -> list[str]:
    """Every line that is logged from here on."""
    lines: list[str] = []
    logger.configure(
        handlers=[{"sink": lambda line: lines.append(line.rstrip("\n")), "format": "{message}"}]
    )
    return lines


def test_lines_have_count_rate_and_time_left(clock: Clock, lines: list[str]):
    with Progress("writing shards", total=64, unit="shards") as progress:
        for _ in range(4):
            clock.now += 5
            progress.advance(2)
    assert lines == [
        "writing shards: 4/64 shards, 0.4/s, 150 s left",
        "writing shards: 8/64 shards, 0.4/s, 140 s left",
    ]


def test_lines_come_no_more_often_than_they_should(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, lines: list[str]
):
    monkeypatch.setattr("hourglass.core.progress.SECONDS_BETWEEN_LINES", 3)
    progress = Progress("reading", total=1000, unit="pictures")
    counts = []
    for second in range(1, 11):
        clock.now += 1
        progress.advance(10)
        counts += [second] * (len(lines) - len(counts))
    assert counts == [3, 6, 9]
    assert lines[-1] == "reading: 90/1000 pictures, 10.0/s, 91 s left"


def test_every_step_has_a_line_if_none_is_held_back(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, lines: list[str]
):
    monkeypatch.setattr("hourglass.core.progress.SECONDS_BETWEEN_LINES", 0)
    with Progress("reading", total=3, unit="pictures") as progress:
        for _ in range(3):
            clock.now += 2
            progress.advance()
    assert lines == [
        "reading: 1/3 pictures, 0.5/s, 4 s left",
        "reading: 2/3 pictures, 0.5/s, 2 s left",
        "reading: 3/3 pictures, 0.5/s, 0 s left",
    ]


def test_what_was_done_before_counts_but_not_for_the_rate(clock: Clock, lines: list[str]):
    progress = Progress("training", total=100, unit="steps", start=60)
    clock.now += 10
    progress.advance(20)
    assert lines == ["training: 80/100 steps, 2.0/s, 10 s left"]


def test_without_a_known_end_there_is_no_time_left(clock: Clock, lines: list[str]):
    progress = Progress("filming", total=None, unit="frames")
    clock.now += 10
    progress.advance(20, note="loss 0.25")
    assert lines == ["filming: 20 frames, 2.0/s, loss 0.25"]


def test_a_note_stands_at_the_lines_end(clock: Clock, lines: list[str]):
    progress = Progress("training", total=100, unit="steps")
    clock.now += 10
    progress.advance(50, note="loss 0.25")
    clock.now += 10
    progress.advance(50)
    assert lines == [
        "training: 50/100 steps, 5.0/s, 10 s left, loss 0.25",
        "training: 100/100 steps, 5.0/s, 0 s left",
    ]


def test_a_step_that_does_nothing_has_a_line_too(clock: Clock, lines: list[str]):
    progress = Progress("training", total=100, unit="steps")
    clock.now += 10
    progress.advance(0)
    assert lines == ["training: 0/100 steps, 0.0/s, inf s left"]


def test_no_bar_is_drawn_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, lines: list[str]
):
    monkeypatch.setattr(sys, "stderr", file := io.StringIO())
    with Progress("reading", total=3, unit="pictures") as progress:
        progress.advance(3)
    assert file.getvalue() == ""
    assert lines == []


def test_a_terminal_has_a_bar_and_no_lines(
    monkeypatch: pytest.MonkeyPatch, clock: Clock, lines: list[str]
):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with Progress("reading", total=30, unit="pictures", start=10) as progress:
        clock.now += 60
        progress.advance(5, note="loss 0.25")
    bar = terminal.getvalue().split("\r")[-1]
    assert re.search(r"reading: .*15/30 .* pictures.*loss 0\.25", bar)
    assert lines == []


def test_a_progress_ends_with_an_error_too(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with (
        pytest.raises(ValueError, match="wrong"),
        Progress("reading", total=30, unit="pictures"),
    ):
        raise ValueError("wrong")
    assert terminal.getvalue().endswith("\n")
