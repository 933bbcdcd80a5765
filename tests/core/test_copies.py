"""Copies of files at URLs: fetched once, again when they have changed, never more than allowed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from hourglass.core.copies import (
    LIMIT_VARIABLE,
    around,
    by_url,
    local_copies,
    local_copy,
    new_folder,
)
from hourglass.core.errors import InputError
from hourglass.core.files import _remove_left, aside, write_file
from hourglass.core.storage import Entry, MissingError, Url


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of all files that are fetched from now on."""
    names: list[str] = []
    own = Url.download

    def download(url: Url, path: Path) -> None:
        names.append(url.name)
        own(url, path)

    monkeypatch.setattr(Url, "download", download)
    return names


@pytest.fixture
def files(memory: Url) -> Url:
    """A folder of three files of 400 bytes, one of them deeper."""
    for name in ("a", "b", "deep/c"):
        write_file(memory / name, name[-1] * 400)
    return memory


def copies_of(folder: Url, *names: str) -> list[Path]:
    return local_copies({folder / name: (folder / name).entry() for name in names})


def test_what_is_here_is_not_copied(url_cache: Path):
    assert local_copy("data/x") == Path("data/x")
    assert local_copy("file:///data/x") == Path("/data/x")
    assert not url_cache.exists()


def test_a_file_and_a_folder_are_copied_once(elsewhere: Url, fetched: list[str], url_cache: Path):
    write_file(elsewhere / "a.txt", "a")
    write_file(elsewhere / "deep/b.txt", "b")
    copy = local_copy(str(elsewhere / "a.txt"))
    assert (copy.read_text(), copy.name) == ("a", "a.txt")
    folder = local_copy(elsewhere)
    assert folder == copy.parent
    assert (folder / "deep/b.txt").read_text() == "b"
    assert local_copy(elsewhere / "deep/b.txt") == folder / "deep/b.txt"
    assert fetched == ["a.txt", "b.txt"]


def test_what_has_changed_is_fetched_again(files: Url, fetched: list[str]):
    assert local_copy(files / "a").read_text() == "a" * 400
    write_file(files / "a", "z" * 400)
    assert local_copy(files / "a").read_text() == "z" * 400
    assert fetched == ["a", "a"]


def test_a_folder_has_no_file_that_is_gone_at_the_url(files: Url, fetched: list[str]):
    folder = local_copy(files)
    (files / "a").unlink()
    (files / "deep/c").unlink()
    assert local_copy(files) == folder
    assert [path.name for path in folder.rglob("*") if path.is_file()] == ["b"]
    write_file(files / "a", "a" * 400)
    assert (local_copy(files) / "a").read_text() == "a" * 400
    assert sorted(fetched[:3]) == ["a", "b", "c"]  # side by side, in any order
    assert fetched[3:] == ["a"]


def test_a_file_that_came_after_the_listing_stays(files: Url, monkeypatch: pytest.MonkeyPatch):
    def list_all(url: Url) -> dict[str, Entry]:
        found = own(url)
        write_file(files / "new", "n")
        local_copy(files / "new")  # as another program would
        return found

    own = Url.entries
    monkeypatch.setattr(Url, "entries", list_all)
    assert (local_copy(files) / "new").read_text() == "n"


def test_a_copy_that_was_cut_is_fetched_again(files: Url, fetched: list[str]):
    local_copy(files / "a").write_text("half")
    assert local_copy(files / "a").read_text() == "a" * 400
    assert fetched == ["a", "a"]


def test_what_a_killed_program_fetched_in_part_is_removed(files: Url):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    half = aside(local_copy(files / "a"))
    half = half.with_name(half.name.replace(str(os.getpid()), str(ended.pid), 1))
    half.write_text("half")
    _remove_left.cache_clear()  # this is another program
    local_copy(files / "b")
    assert not half.exists()


def test_what_is_missing_is_named(files: Url):
    with pytest.raises(MissingError, match=f"{files}/none: no such file"):
        local_copy(files / "none")


def test_more_than_is_allowed_is_refused_before_it_is_fetched(
    files: Url, fetched: list[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(LIMIT_VARIABLE, "1e-6")
    with pytest.raises(ValueError, match=f"{files}: 0.0 GB are needed on this machine, copies may"):
        copies_of(files, "a", "b", "deep/c")
    assert fetched == []


@pytest.mark.parametrize("value", ["", "many", "-1", "nan", "inf"])
def test_a_limit_must_be_a_size(files: Url, value: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(LIMIT_VARIABLE, value)
    with pytest.raises(ValueError, match=f"{LIMIT_VARIABLE} is '{value}', it must be a number"):
        local_copy(files / "a")


OTHER_PROGRAM = """
import sys
from hourglass.core.copies import local_copy
import fsspec
fsspec.filesystem("memory").pipe_file(sys.argv[1], b"a" * 400)
print(local_copy(f"memory://{sys.argv[1]}"), flush=True)
sys.stdin.read()
"""


def test_what_was_not_used_for_longest_makes_room_unless_a_running_program_uses_it(
    files: Url, url_cache: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(LIMIT_VARIABLE, "1e-6")  # two of three files
    with subprocess.Popen(
        [sys.executable, "-c", OTHER_PROGRAM, (files / "a").key],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        of_other = Path(other.stdout.readline().strip())
        write_file(files / "b", "b" * 400)
        of_own = local_copy(files / "b")
        with pytest.raises(ValueError, match=r"0\.0 GB too little room .* running programs use"):
            local_copy(files / "deep/c")
        assert of_other.is_file()
        assert of_own.is_file()
        other.communicate()
    assert local_copy(files / "deep/c").is_file()
    assert of_own.is_file()
    assert not of_other.exists()


def test_lists_and_locks_of_programs_that_ended_go_when_another_begins(files: Url, url_cache: Path):
    def program() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", OTHER_PROGRAM, (files / "a").key],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def processes() -> list[str]:
        return sorted(path.name.partition("_")[0] for path in (url_cache / "users").iterdir())

    with program() as one, program() as other:
        for started in (one, other):
            assert started.stdout is not None
            started.stdout.readline()
        one.kill()
        one.wait()
        local_copy(files / "a")
        assert processes() == sorted(2 * [str(other.pid), str(os.getpid())])
        other.communicate()


def test_threads_share_one_fetching(files: Url, fetched: list[str], url_cache: Path):
    threads = [threading.Thread(target=local_copy, args=[files / "a"]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert fetched == ["a"]
    assert len(list((url_cache / "users").glob("*.txt"))) == 1


def test_locks_do_not_grow_with_the_copies(
    files: Url, url_cache: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("hourglass.core.copies.LOCKS", 2)
    local_copy(files)
    notes = [path for path in (url_cache / "notes").rglob("*") if path.is_file()]
    assert sorted(path.name for path in notes) == ["a.json", "b.json", "c.json"]
    assert len(list((url_cache / "locks").iterdir())) <= 2


def test_messages_name_the_url_in_the_place_of_its_copy(files: Url):
    copy, going = local_copy(files / "deep/c"), new_folder(files / "models")
    assert list(going.iterdir()) == []
    text = f"{copy}: damaged, see {going / 'last.keras'} and {Path('/elsewhere/c')}"
    assert by_url(text) == (
        f"{files}/deep/c: damaged, see {files}/models/last.keras and {Path('/elsewhere/c')}"
    )


def test_without_its_package_it_says_what_to_install(files: Url, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "filelock", None)
    with pytest.raises(InputError, match="need the package filelock: pip install filelock"):
        local_copy(files / "a")


def test_where_files_wait_for_their_upload_can_be_told(files: Url, tmp_path: Path):
    folder = new_folder(files / "models")
    text = f"the run's files are in {around(folder)}"
    assert by_url(text) == text
    assert folder.is_relative_to(around(folder))
    assert around(tmp_path) == tmp_path


def test_a_cache_that_cannot_be_is_told(
    files: Url, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOURGLASS_CACHE", str(tmp_path / "file/cache"))
    with pytest.raises(ValueError, match=r"no place for copies of remote files .* HOURGLASS_CACHE"):
        local_copy(files / "a")
