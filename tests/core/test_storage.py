"""Files at URLs: they are as files are, and what goes wrong is one line without secrets."""

from __future__ import annotations

import pickle
import socket
from pathlib import Path

import pytest

from hourglass.core.errors import InputError
from hourglass.core.files import replacing, upload, write_aside, write_file
from hourglass.core.storage import (
    MissingError,
    StorageError,
    Url,
    is_stored,
    place,
    redacted,
)


def test_a_url_is_taken_apart_as_a_path_is():
    url = Url("s3://bucket/models/hg4/best.keras/")
    assert str(url) == "s3://bucket/models/hg4/best.keras"
    assert (url.name, url.stem, url.suffix) == ("best.keras", "best", ".keras")
    assert (url.scheme, url.key) == ("s3", "bucket/models/hg4/best.keras")
    assert url.parent / "last.keras" == url.with_name("last.keras")
    assert str(url.parent.parent.parent.parent.parent) == "s3://bucket"


def test_file_urls_are_paths():
    assert place("file:///data/a%20b/x.jpg") == Path("/data/a b/x.jpg")
    assert place("file://localhost/x") == Path("/x")
    assert place("data/x") == Path("data/x")
    assert place("gs://bucket/x") == Url("gs://bucket/x")
    assert place(Url("gs://bucket/x")) == Url("gs://bucket/x")


def test_streams_are_no_files():
    assert [
        is_stored(text) for text in ("s3://b/x", "file:///x", "rtsp://b/x", "x", "http://x")
    ] == [
        *(True, True),
        *(False, False, False),
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("http://host/x", "http://host/x: files are read and written at file://, s3://, gs://"),
        ("file://data/x", "file://data/x: must be file:///PATH, with three slashes"),
        ("s3://", "s3://: must be s3://BUCKET/NAME"),
        ("s3://bucket/../x", "s3://bucket/../x: must be s3://BUCKET/NAME, without .."),
        ("s3://me:secret@bucket/x", "s3://***@bucket/x: credentials do not belong into a URL"),
        ("s3://bucket/x?sig=secret", "s3://bucket/x?***: credentials do not belong into a URL"),
    ],
)
def test_other_urls_are_refused(text: str, told: str):
    with pytest.raises(InputError) as error:
        place(text)
    assert str(error.value).startswith(told)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://admin:secret@10.0.0.3/live", "rtsp://***@10.0.0.3/live"),
        ("at https://h/x?X-Amz-Signature=ab&b=c, twice", "at https://h/x?***, twice"),
        ("key AKIAIOSFODNN7EXAMPLE is unknown", "key *** is unknown"),
        ("s3://b/validation?.tfrecords is whole", "s3://b/validation?.tfrecords is whole"),
        ("mail me@example.com", "mail me@example.com"),
    ],
)
def test_secrets_are_not_shown(text: str, shown: str):
    assert redacted(text) == shown


def test_files_are_written_read_listed_and_removed(elsewhere: Url):
    assert not elsewhere.exists()
    assert (elsewhere.entries(), elsewhere.children()) == ({}, {})
    write_file(elsewhere / "b.txt", "über\n")
    write_file(elsewhere / "deep/er/c.json", "[]")
    assert (elsewhere / "b.txt").read_text() == "über\n"
    assert (elsewhere.exists(), elsewhere.is_dir(), elsewhere.is_file()) == (True, True, False)
    assert ((elsewhere / "b.txt").is_file(), (elsewhere / "b.txt").is_dir()) == (True, False)
    assert list(elsewhere.entries()) == ["b.txt", "deep/er/c.json"]
    assert {name: entry.size for name, entry in elsewhere.children().items()} == {"b.txt": 6}
    assert list(elsewhere.iterdir()) == list(elsewhere.glob("b*")) == [elsewhere / "b.txt"]
    assert list(elsewhere.glob("c*")) == []
    (elsewhere / "b.txt").unlink()
    assert not (elsewhere / "b.txt").exists()
    (elsewhere / "b.txt").unlink(missing_ok=True)


def test_another_content_is_another_version(elsewhere: Url):
    write_file(elsewhere / "x", "one")
    before = (elsewhere / "x").entry()
    write_file(elsewhere / "x", "two")
    assert (elsewhere / "x").entry() != before


def test_what_fails_while_it_is_written_is_not_uploaded(elsewhere: Url, tmp_path: Path):
    write_file(elsewhere / "x", "whole")

    def write_half() -> None:
        with replacing(elsewhere / "x") as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert (elsewhere / "x").read_text() == "whole"

    def chunks():
        yield b"half"
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_aside(elsewhere / "x", chunks())
    assert (elsewhere / "x").read_text() == "whole"


def test_a_folder_is_uploaded_with_the_file_that_names_it_last(
    memory: Url, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("a/b.txt", "manifest.json", "z.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    order: list[str] = []
    own = Url.upload
    monkeypatch.setattr(
        Url, "upload", lambda url, path: (order.append(url.name), own(url, path))[1]
    )
    upload(tmp_path, memory / "folder", last="manifest.json")
    assert order == ["b.txt", "z.txt", "manifest.json"]
    assert (memory / "folder/a/b.txt").read_text() == "a/b.txt"


def test_what_is_missing_is_named(elsewhere: Url, tmp_path: Path):
    missing = elsewhere / "none.txt"
    for ask in (missing.read_bytes, missing.entry, lambda: missing.download(tmp_path / "x")):
        with pytest.raises(MissingError) as error:
            ask()
        assert str(error.value) == f"{missing}: no such file or bucket (404)"


def test_a_bucket_that_is_not_there_is_missing(s3: Url, tmp_path: Path):
    (tmp_path / "x").touch()
    with pytest.raises(MissingError, match=r"s3://no-bucket/x: no such file or bucket \(404\)"):
        Url("s3://no-bucket/x").upload(tmp_path / "x")


def test_what_one_may_not_see_is_told_in_a_line(
    s3: Url, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
):
    write_file(s3 / "x", "text")
    import requests
    import s3fs

    # From the next request on, moto asks for real permissions, which nobody has.
    requests.post(f"{s3_endpoint}/moto-api/reset-auth", data="0", timeout=60)
    try:
        with pytest.raises(StorageError) as error:
            (s3 / "x").read_bytes()
    finally:
        requests.post(f"{s3_endpoint}/moto-api/reset-auth", data="10000000", timeout=60)
        s3fs.S3FileSystem.clear_instance_cache()
    assert str(error.value) == (
        f"{s3 / 'x'}: access denied (403): no credentials, or they do not allow this"
    )


def test_a_lost_connection_is_told_in_a_line(s3: Url, monkeypatch: pytest.MonkeyPatch):
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(StorageError) as error:
            (s3 / "x").read_bytes()
    assert str(error.value) == f"{s3 / 'x'}: no connection: the storage does not answer"


def test_without_its_package_a_storage_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    import fsspec

    def missing(*_: object, **__: object) -> None:
        raise ImportError("gcsfs")

    monkeypatch.setattr(fsspec, "filesystem", missing)
    with pytest.raises(StorageError, match="gs://b/x: the package gcsfs is needed: pip install"):
        Url("gs://b/x").read_bytes()


def test_errors_come_whole_from_other_processes():
    for error in (StorageError("s3://b/x", "why", number=5), MissingError("s3://b/x")):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), again.errno) == (type(error), str(error), error.errno)
