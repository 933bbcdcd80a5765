"""A run whose folders are at URLs: what goes up after each epoch and in which order, and back."""

from __future__ import annotations

from pathlib import Path

import pytest

from hourglass.core.errors import InputError
from hourglass.core.files import write_file
from hourglass.core.storage import StorageError, Url
from hourglass.training.callbacks.upload import Upload
from hourglass.training.folders import RunFolders


@pytest.fixture
def uploaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of all files that are uploaded from now on."""
    names: list[str] = []
    own = Url.upload

    def upload(url: Url, path: Path) -> None:
        own(url, path)
        names.append(url.name)

    monkeypatch.setattr(Url, "upload", upload)
    return names


def test_folders_on_this_machine_stay_as_they_are(tmp_path: Path):
    folders = RunFolders(tmp_path / "run", tmp_path / "logs", resume=True)
    assert (folders.run, folders.board) == (tmp_path / "run", tmp_path / "logs")
    assert folders.callbacks == []


def test_after_each_epoch_what_has_changed_goes_up_and_last_keras_last(
    memory: Url, tmp_path: Path, uploaded: list[str], url_cache: Path
):
    folders = RunFolders(memory / "run", tmp_path / "logs", resume=False)
    (upload,) = folders.callbacks
    for name in ("history.csv", "last.keras", "best.keras"):
        (folders.run / name).write_text("1")
    upload.on_epoch_end(0)
    assert uploaded == ["best.keras", "history.csv", "last.keras"]
    (folders.run / "last.keras").write_text("two")
    upload.on_epoch_end(1)
    upload.on_train_end()
    assert uploaded[3:] == ["last.keras"]
    assert (memory / "run/last.keras").read_text() == "two"
    with folders.uploaded():
        pass
    assert list((url_cache / "new").iterdir()) == []


def test_a_resumed_run_gets_what_it_goes_on_from(memory: Url):
    for name in ("history.csv", "last.keras", "best.keras"):
        write_file(memory / "run" / name, name)
    folders = RunFolders(memory / "run", memory / "logs", resume=True)
    assert sorted(path.name for path in folders.run.iterdir()) == ["history.csv", "last.keras"]
    assert list(folders.board.iterdir()) == []
    assert list(RunFolders(memory / "new", memory / "logs", resume=True).run.iterdir()) == []


def test_what_a_failed_run_fetched_is_removed_but_no_model_that_is_here_alone(
    memory: Url, url_cache: Path
):
    for name in ("history.csv", "last.keras"):
        write_file(memory / "run" / name, name)
    for is_new in (False, True):
        folders = RunFolders(memory / "run", memory / "logs", resume=True)
        if is_new:
            (folders.run / "best.keras").write_text("best")
        with pytest.raises(KeyError), folders.uploaded():
            raise KeyError
        assert (folders.run / "last.keras").exists() == is_new
    assert len(list((url_cache / "new").iterdir())) == 2  # of this run and its logs


def test_nothing_goes_up_where_another_run_has_taken_the_place(memory: Url, uploaded: list[str]):
    folders = RunFolders(memory / "run", memory / "logs", resume=False)
    (folders.run / "last.keras").write_text("1")

    def refuse() -> None:
        raise InputError("taken")

    folders.upload.require_alone = refuse
    for end in (lambda: folders.upload.on_epoch_end(0), folders.upload.on_train_end):
        with pytest.raises(InputError, match="taken"):
            end()
    assert uploaded == []


def test_what_cannot_be_fetched_leaves_nothing(
    memory: Url, url_cache: Path, monkeypatch: pytest.MonkeyPatch
):
    write_file(memory / "run" / "last.keras", "last")

    def fail(url: Url, path: Path) -> None:
        path.write_text("la")
        raise StorageError(str(url), "no connection")

    monkeypatch.setattr(Url, "download", fail)
    with pytest.raises(StorageError):
        RunFolders(memory / "run", memory / "logs", resume=True)
    assert list((url_cache / "new").iterdir()) == []


def test_a_lost_connection_ends_no_epoch_but_is_told_at_the_end(
    memory: Url, tmp_path: Path, uploaded: list[str], monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "last.keras").write_text("1")
    upload = Upload({tmp_path: memory})
    with monkeypatch.context() as lost:

        def fail(url: Url, path: Path) -> None:
            raise StorageError(str(url), "no connection")

        lost.setattr(Url, "upload", fail)
        upload.on_epoch_end(0)
        with pytest.raises(InputError) as error:
            upload.on_train_end()
    assert str(error.value) == (
        f"{memory / 'last.keras'}: no connection; the run's files are in '{tmp_path}'"
    )
    upload.on_epoch_end(1)
    assert uploaded == ["last.keras"]
