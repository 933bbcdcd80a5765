"""Files that appear whole or not at all, and what their writers leave when they are killed."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hourglass.core import files
from hourglass.core.errors import InputError
from hourglass.core.files import (
    aside,
    folder_aside,
    read_text,
    replacing,
    write_error,
    write_file,
)
from hourglass.core.storage import StorageError

WRITE_AND_WAIT = """
import sys
from pathlib import Path
from hourglass.core.files import replacing

with replacing(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    print(temporary.name, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _first_writing() -> None:
    """As in a process that has written nothing yet."""
    files._remove_left.cache_clear()


MAKE_AND_WAIT = """
import sys
from pathlib import Path
from hourglass.core.files import folder_aside

with folder_aside(Path(sys.argv[1])) as folder:
    (folder / "deep").mkdir()
    (folder / "deep" / "half").touch()
    print(folder.name, flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def writer(path: Path, code: str = WRITE_AND_WAIT) -> Iterator[Path]:
    """What another process is writing that is to become `path`; it is killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout
        name = process.stdout.readline().strip()
        yield path.with_name(name)
        process.send_signal(signal.SIGKILL)


def killed_writer(path: Path) -> Path:
    """What a writer of `path` leaves that was killed."""
    with writer(path) as left:
        return left


def test_a_file_gets_its_name_when_it_is_whole(tmp_path: Path):
    path = tmp_path / "a.keras"
    path.write_text("before")
    with replacing(path) as temporary:
        temporary.write_text("after")
        assert path.read_text() == "before"
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".keras"
        assert temporary.name.startswith(".")
    assert path.read_text() == "after"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_what_was_there(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_text("before")

    def fail() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_no_two_writers_have_one_name(tmp_path: Path):
    path = tmp_path / "a.txt"
    with replacing(path) as one, replacing(path) as other:
        assert one != other
        one.write_text("one")
        other.write_text("other")
    assert path.read_text() == "one"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["ä" * 125 + ".txt", "x" * 251 + ".txt", "a.b.c", ".hidden"])
def test_the_longest_name_has_a_temporary_one(name: str, tmp_path: Path):
    write_file(tmp_path / name, "text")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_what_a_killed_writer_left_goes_with_the_next_writing(tmp_path: Path):
    left = killed_writer(tmp_path / "a.json")
    assert left.read_text() == "half"
    write_file(tmp_path / "other.json", "{}")
    assert [path.name for path in tmp_path.iterdir()] == ["other.json"]


def test_a_folder_that_is_made_aside_goes_at_the_end(tmp_path: Path):
    with folder_aside(tmp_path / "page") as folder:
        assert (folder.parent, list(folder.iterdir())) == (tmp_path, [])
        (folder / "page").mkdir()
        (folder / "page").replace(tmp_path / "page")
        (folder / "rest").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["page"]
    with pytest.raises(InputError, match="none/page: cannot be written"):
        folder_aside(tmp_path / "none" / "page").__enter__()


def test_a_folder_that_a_killed_writer_left_goes_and_that_of_a_running_one_stays(tmp_path: Path):
    with writer(tmp_path / "page", MAKE_AND_WAIT) as left:
        write_file(tmp_path / "one.json", "{}")
        assert (left / "deep" / "half").exists()
    files._remove_left.cache_clear()
    write_file(tmp_path / "two.json", "{}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.json", "two.json"]


def test_what_lives_or_is_elsewhere_stays(tmp_path: Path):
    left = killed_writer(tmp_path / "a.json")
    process, place, rest = re.fullmatch(r"\.(\d+)-([0-9a-f]{8})-(.*)", left.name).groups()
    left.rename(tmp_path / f".{process}-00000000-{rest}")
    living = tmp_path / f".{os.getpid()}-{place}-{rest}"
    living.touch()
    (tmp_path / f".{process}-notes.txt").touch()
    write_file(tmp_path / "other.json", "{}")
    assert len(list(tmp_path.iterdir())) == 4


def test_a_folder_is_looked_through_once(tmp_path: Path):
    write_file(tmp_path / "one.json", "{}")
    left = killed_writer(tmp_path / "a.json")
    write_file(tmp_path / "two.json", "{}")
    assert left.exists()
    assert aside(tmp_path / "a.json").name.startswith(f".{os.getpid()}-")


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path):
    path = tmp_path / "none" / "a.json"
    with pytest.raises(InputError, match=rf"^{path}: cannot be written \(No such file"):
        write_file(path, "{}")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EPERM])
def test_the_system_says_why_a_file_cannot_be_written(tmp_path: Path, number: int):
    path = tmp_path / "a.json"
    raised = OSError(number, "a library's words\nof two lines")  # as HDF5's are
    with pytest.raises(InputError) as caught, replacing(path):
        raise raised
    assert str(caught.value) == f"{path}: cannot be written ({os.strerror(number)})"


def test_a_folder_is_no_file_that_can_be_written(tmp_path: Path):
    with pytest.raises(InputError, match=rf"^{tmp_path}: cannot be written \(Is a directory\)$"):
        write_file(tmp_path, "{}")


def test_words_without_a_number_are_kept(tmp_path: Path):
    with (
        pytest.raises(InputError, match=r"a\.json: cannot be written \(encoder error -2\)$"),
        replacing(tmp_path / "a.json"),
    ):
        raise OSError("encoder error -2")


def test_another_file_that_cannot_be_read_is_named_in_its_place(tmp_path: Path):
    path, other = tmp_path / "a.json", tmp_path / "missing" / "labels.json"
    with pytest.raises(InputError) as caught, replacing(path):
        other.read_text()
    assert str(caught.value) == f"{other}: No such file or directory"
    with pytest.raises(InputError) as caught, replacing(path):
        raise StorageError("s3://bucket/a.jpg", "no connection")
    assert str(caught.value) == "s3://bucket/a.jpg: no connection"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "out", "out/a.json", "out/.1-0-0.a.json", "out/a.json.7.x"])
def test_a_files_own_names_and_folders_are_no_other_file(tmp_path: Path, name: str):
    path, named = tmp_path / "out" / "a.json", tmp_path / name
    told = write_error(path, PermissionError(errno.EACCES, "no", str(named)))
    assert str(told) == f"{path}: cannot be written (Permission denied)"


@pytest.mark.parametrize("name", ["ou", "out/b.json", "out/a", "in/a.json"])
def test_names_that_are_alike_are_other_files(tmp_path: Path, name: str):
    path, named = tmp_path / "out" / "a.json", tmp_path / name
    told = write_error(path, PermissionError(errno.EACCES, "no", str(named)))
    assert str(told) == f"{named}: Permission denied"


def test_texts_are_read_with_and_without_a_mark(tmp_path: Path):
    path = tmp_path / "a.txt"
    for content in ("ä".encode(), b"\xef\xbb\xbf" + "ä".encode()):
        path.write_bytes(content)
        assert read_text(path) == "ä"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match=rf"^{path}: not text in UTF-8 \("):
        read_text(path)
    with pytest.raises(InputError, match=rf"^{tmp_path}: cannot be read \(Is a directory\)"):
        read_text(tmp_path)
