"""The page's modules in Node, and the whole page in Chromium: each is made once."""

from __future__ import annotations

import functools
import http.server
import importlib.util
import json
import shutil
import subprocess
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hourglass.inference.estimator import SHIPPED_LITERT
from hourglass.web.litert_js import find_runtime
from hourglass.web.site import PAGE, write_site

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

WANTED = 'import fs from "node:fs";\nconst given = JSON.parse(fs.readFileSync(0, "utf8"));\n'


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """`node(script, given)` runs a script beside the page's modules; what it prints is JSON."""
    program = shutil.which("node")
    if program is None:
        pytest.skip("needs Node")
    folder = tmp_path_factory.mktemp("node")
    for module in PAGE.glob("*.js"):
        shutil.copy(module, folder)
    (folder / "package.json").write_text('{"type": "module"}')

    def run(script: str, given: Any = None) -> Any:
        (folder / "script.js").write_text(WANTED + script)
        done = subprocess.run(
            [program, "script.js"],
            cwd=folder,
            input=json.dumps(given),
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture(scope="session")
def runtime() -> Path:
    """The npm folder with LiteRT.js."""
    try:
        return find_runtime()
    except ValueError as error:
        pytest.skip(str(error))


def with_other_joints(model: Path, output: Path, *, count: int = 16) -> None:
    """Writes the shipped model with other names, bones, colours and decoding.

    With fewer joints than it has, the page finds nonsense, but finds it.
    """
    content = model.read_bytes()
    with zipfile.ZipFile(model) as archive:
        texts = {name: json.loads(archive.read(name)) for name in archive.namelist()}
        start = min(entry.header_offset for entry in archive.infolist())
    config = texts["hourglass.json"]
    joints = [f"point_{joint}" for joint in range(count)]
    config["skeleton"] = {"name": "points", "joints": joints}
    config["skeleton"]["bones"] = [[count - 7, 0], [count - 7, 5]]
    config["skeleton"]["colours"] = [[255, 0, 255]] * 2
    config["data"]["refine"], config["network"]["joints"] = "quarter", count
    output.write_bytes(content[:start])
    with zipfile.ZipFile(output, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, values in {**texts, "calibration.json": {}}.items():
            archive.writestr(name, json.dumps(values))


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, runtime: Path) -> Path:
    """The page with the shipped model, and with it again on other joints and on fewer; not to be
    changed."""
    folder = tmp_path_factory.mktemp("page")
    points, few = folder / "points.tflite", folder / "few.tflite"
    with_other_joints(SHIPPED_LITERT, points)
    with_other_joints(SHIPPED_LITERT, few, count=8)
    write_site(folder / "site", [SHIPPED_LITERT, points, few], runtime=runtime)
    return folder / "site"


class Handler(http.server.SimpleHTTPRequestHandler):
    """Static files as `python -m http.server` shows them."""

    def log_message(self, *words: Any) -> None:
        pass


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(site))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.fixture(scope="module")  # not longer: other files start Playwright themselves
def browser(camera_file: Path) -> Iterator[Any]:
    """Chromium with a film in the place of its camera, which pages must be allowed to use."""
    if not CHROMIUM or importlib.util.find_spec("playwright") is None:
        pytest.skip("needs playwright and a Chromium on the PATH")
    from playwright.sync_api import sync_playwright

    words = [
        "--no-sandbox",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-video-capture={camera_file}",
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=words, timeout=120_000)
        yield browser
        browser.close()
