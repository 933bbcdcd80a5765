"""One process at a time at a URL: who comes second is told, and what was left is taken over."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from loguru import logger

from hourglass.core import leases
from hourglass.core.errors import InputError
from hourglass.core.leases import NAME, alone_at
from hourglass.core.storage import StorageError, Url

LEFT = b"process 7 on elsewhere\nabc 3\n"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "BEAT", 0.02)
    monkeypatch.setattr(leases, "PATIENCE", 0.3)
    monkeypatch.setattr(leases, "SETTLING", 0.0)


WAITED = 120
"""Seconds after which what is waited for is taken for something that does not come."""


def wait_for(look: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAITED
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def beating() -> list[threading.Thread]:
    """The threads that hold places."""
    return [thread for thread in threading.enumerate() if thread.name == "lease"]


def test_the_second_one_is_told_of_the_first(elsewhere: Url, monkeypatch: pytest.MonkeyPatch):
    def sleep(seconds: float) -> None:
        before = (elsewhere / NAME).read_bytes()
        wait_for(lambda: (elsewhere / NAME).read_bytes() != before)

    with alone_at(elsewhere, doing="a training") as require_alone:
        monkeypatch.setattr(leases, "time", SimpleNamespace(sleep=sleep, strftime=time.strftime))
        with (
            pytest.raises(
                InputError,
                match=rf"^{elsewhere}: a training is under way there already, by process \d+ on ",
            ),
            alone_at(elsewhere, doing="a training"),
        ):
            pytest.fail("let in")
        require_alone()
        assert (elsewhere / NAME).is_file()
        monkeypatch.setattr(leases, "time", time)
    assert not (elsewhere / NAME).exists()
    with alone_at(elsewhere, doing="a training"):
        pass


@pytest.mark.parametrize("left", [b"", LEFT])
def test_of_two_that_come_in_the_same_moment_one_is_let_in(
    memory: Url, monkeypatch: pytest.MonkeyPatch, left: bytes
):
    if left:
        (memory / NAME).write_bytes(left)
    both_looked, both_wrote, both_left = (threading.Barrier(2, timeout=WAITED) for _ in range(3))
    own = leases._Lease._write

    def write(lease: leases._Lease) -> None:
        if threading.current_thread().name.startswith("comes"):
            both_looked.wait()
        own(lease)

    def sleep(seconds: float) -> None:
        if seconds == leases.SETTLING:  # which is long enough for the other one to write
            both_wrote.wait()

    def come() -> str:
        try:
            with alone_at(memory, doing="a build"):
                both_left.wait()
                return "let in"
        except InputError as error:
            both_left.wait()
            return str(error)

    monkeypatch.setattr(leases._Lease, "_write", write)
    monkeypatch.setattr(leases, "time", SimpleNamespace(sleep=sleep, strftime=time.strftime))
    with ThreadPoolExecutor(2, thread_name_prefix="comes") as pool:
        told = sorted(one.result() for one in [pool.submit(come) for _ in range(2)])
    assert told[0] == "let in"
    assert told[1].startswith(f"{memory}: a build is under way there already, by process ")
    assert not (memory / NAME).exists()


def test_what_a_killed_process_left_is_taken_over(memory: Url):
    (memory / NAME).write_bytes(LEFT)
    lines: list[str] = []
    sink = logger.add(lambda line: lines.append(line.record["message"]))
    try:
        with alone_at(memory, doing="a build"):
            assert b"abc" not in (memory / NAME).read_bytes()
    finally:
        logger.remove(sink)
    assert lines == [
        f"{memory}: waiting 0.3 s to see whether process 7 on elsewhere has ended",
        f"{memory}: taking over from process 7 on elsewhere, which did not end by itself",
    ]


def test_who_has_lost_the_place_writes_no_more(memory: Url, monkeypatch: pytest.MonkeyPatch):
    own, beats = leases._Lease._look, []

    def look(lease: leases._Lease) -> None:
        if threading.current_thread() in beating():
            beats.append(lease)
            if len(beats) == 3:  # not between a look and the writing after it
                (memory / NAME).write_bytes(LEFT)
        own(lease)

    monkeypatch.setattr(leases._Lease, "_look", look)
    with alone_at(memory, doing="a training") as require_alone:
        wait_for(lambda: not beating())
        with pytest.raises(InputError, match="a training by process 7 on elsewhere has taken the"):
            require_alone()
    assert len(beats) == 3
    assert (memory / NAME).read_bytes() == LEFT


def test_a_file_that_somebody_removed_comes_back(memory: Url):
    with alone_at(memory, doing="a training") as require_alone:
        (memory / NAME).unlink()
        wait_for((memory / NAME).exists)
        require_alone()


def test_a_lost_connection_costs_no_place(memory: Url, monkeypatch: pytest.MonkeyPatch):
    own = Url.read_bytes

    def fail(url: Url) -> bytes:
        raise StorageError(str(url), "no connection")

    with alone_at(memory, doing="a training") as require_alone:
        monkeypatch.setattr(Url, "read_bytes", fail)
        time.sleep(0.1)
        require_alone()
        monkeypatch.setattr(Url, "read_bytes", own)
        before = (memory / NAME).read_bytes()
        wait_for(lambda: (memory / NAME).read_bytes() != before)
    assert not (memory / NAME).exists()
