"""The page's benchmark: its camera shows somebody, and its server lets pages use threads."""

from __future__ import annotations

import urllib.request
from pathlib import Path

from PIL import Image

from benchmarks.web import CAMERA_SIZE, PICTURE, serving, write_camera
from hourglass.web.site import ISOLATION


def test_the_camera_shows_the_photograph(tmp_path: Path):
    assert PICTURE.is_file()
    path = tmp_path / "camera.mjpeg"
    write_camera(path)
    with Image.open(path) as first:
        assert first.size == CAMERA_SIZE
    assert path.read_bytes().count(b"\xff\xd8\xff\xe0") == 30


def test_the_folder_is_served_with_the_headers_for_threads(tmp_path: Path):
    (tmp_path / "index.html").write_text("the page")
    with serving(tmp_path) as address, urllib.request.urlopen(address) as answer:
        assert answer.read() == b"the page"
        assert {name: answer.headers[name] for name in ISOLATION} == ISOLATION
