"""One process at a time in a folder, whatever became of the one before."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from loguru import logger

from hourglass.core import locking
from hourglass.core.errors import InputError
from hourglass.core.locking import NAME, alone_in

HOLD = """
import sys
from pathlib import Path
from hourglass.core.locking import alone_in

with alone_in(Path(sys.argv[1]), doing="a training"):
    print("in", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process in the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout
    assert process.stdout.readline() == b"in\n"
    yield process
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe:
            pipe.close()


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What is logged."""
    told: list[str] = []
    handler = logger.add(lambda line: told.append(str(line)), format="{message}")
    yield told
    logger.remove(handler)


def test_the_second_process_is_told_of_the_first(other: subprocess.Popen[bytes], tmp_path: Path):
    with (
        pytest.raises(InputError, match="is under way there already") as caught,
        alone_in(tmp_path, doing="a training"),
    ):
        pytest.fail("nobody should come here")
    assert str(caught.value).startswith(
        f"{tmp_path}: a training is under way there already, by process {other.pid} on "
    )
    assert str(caught.value).endswith("wait for its end, or name another folder")


def test_a_folder_is_free_after_an_end(other: subprocess.Popen[bytes], tmp_path: Path):
    other.communicate(b"")
    assert list(tmp_path.iterdir()) == []
    with alone_in(tmp_path, doing="a training"):
        assert [path.name for path in tmp_path.iterdir()] == [NAME]
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_taken_over(
    other: subprocess.Popen[bytes], tmp_path: Path, lines: list[str]
):
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert (tmp_path / NAME).exists()
    with alone_in(tmp_path, doing="a training"):
        assert f"process {os.getpid()} on" in (tmp_path / NAME).read_text(encoding="utf-8")
    assert any(f"taking over from process {other.pid} on" in line for line in lines)
    assert list(tmp_path.iterdir()) == []


def test_an_error_gives_the_folder_back(tmp_path: Path):
    for _ in range(2):
        with pytest.raises(KeyError), alone_in(tmp_path, doing="a build"):
            raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_one_process_is_not_let_in_twice(tmp_path: Path):
    told = f"a build is under way there already, by process {os.getpid()} on"
    with (
        alone_in(tmp_path, doing="a build"),
        pytest.raises(InputError, match=told),
        alone_in(tmp_path, doing="a build"),
    ):
        pytest.fail("nobody should come here")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path):
    with (
        pytest.raises(InputError, match=rf"^{tmp_path / 'none' / NAME}: cannot be written \("),
        alone_in(tmp_path / "none", doing="a build"),
    ):
        pytest.fail("nobody should come here")


def test_a_file_system_without_locks_is_worked_on_with_a_word(
    tmp_path: Path, lines: list[str], monkeypatch: pytest.MonkeyPatch
):
    def refuse(file: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locking, "_lock", refuse)
    with alone_in(tmp_path, doing="a build"):
        pass
    assert lines == [f"{tmp_path}: no locks on its file system; let nobody else work in it\n"]


def test_a_full_disk_is_told_and_the_folder_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def full() -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(locking, "own_name", full)
    told = rf"^{tmp_path / NAME}: cannot be written \(No space left on device\)$"
    with pytest.raises(InputError, match=told), alone_in(tmp_path, doing="a build"):
        pytest.fail("nobody should come here")
    assert list(tmp_path.iterdir()) == []
