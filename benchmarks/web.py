"""`python -m benchmarks.web`: the page in headless Chromium: ms a crop, and frames per second.

A crop is rendered, run and decoded in the page's own worker; frames are those of a made camera that
shows one person, 640×480 px and 30 frames/s, from camera to canvas.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import shutil
import statistics
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
from PIL import Image

from benchmarks.comparison import RESULTS, Row, report
from hourglass.console import PATH, command, models_option, quiet_stderr
from hourglass.core.errors import InputError
from hourglass.exporting.browser import browser_models
from hourglass.inference.estimator import SHIPPED_LITERT
from hourglass.media.pictures import read_picture
from hourglass.web.litert_js import find_runtime
from hourglass.web.site import ISOLATION, write_site

PICTURE = Path(__file__).parents[1] / "tests" / "pictures" / "foundry.jpg"

CAMERA_SIZE = (640, 480)
CAMERA_FRAMES = 30

LEAST_RATE = 15
"""Frames per second: what a film that one watches needs."""

LOAD_TIME = 120_000  # ms

TIME_CROPS = """async ([model, threads, crops]) => {
  const { Engine } = await import("./engine.js"), engine = new Engine();
  const site = await (await fetch("site.json")).json();
  const started = await engine.start({ ...site, wanted: threads });
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: 640, height: 480 });
  const milliseconds = [];
  await engine.model(model);
  for (let crop = -5; crop < crops; crop++) {
    const picture = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const { ms } = await engine.look(picture, { several: false, time: null });
    if (crop >= 0) milliseconds.push(ms);
  }
  return [started.threads, milliseconds];
}"""
"""Runs in the page; the first five crops plan and warm up."""


class _Handler(http.server.SimpleHTTPRequestHandler):
    def end_headers(self) -> None:
        for name, value in ISOLATION.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *words: Any) -> None:
        """Says nothing."""


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address at which a folder is served, with the headers that let pages use threads."""
    handler = functools.partial(_Handler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()


def write_camera(path: Path) -> None:
    """A second of film for Chromium's made camera: the photograph, moving to and fro."""
    shown = cv2.resize(read_picture(PICTURE), CAMERA_SIZE)
    with path.open("wb") as film:
        for number in range(CAMERA_FRAMES):
            moved = np.roll(shown, abs(number - CAMERA_FRAMES // 2), axis=1)
            Image.fromarray(moved).save(film, "JPEG", quality=90)


def time_crops(page: Any, address: str, model: str, threads: int, crops: int) -> list[float]:
    """Milliseconds of each crop."""
    page.goto(address)
    started, milliseconds = page.evaluate(TIME_CROPS, [model, threads, crops])
    if started != threads:
        raise InputError(f"Chromium gives {started} threads, {threads} were asked for")
    return milliseconds


def measure_rate(page: Any, address: str, model: str, threads: int, seconds: float) -> float:
    """Frames per second that the page shows of the camera."""
    page.goto(f"{address}?threads={threads}")
    page.wait_for_selector("body[data-ready]", timeout=LOAD_TIME)
    choice = page.get_by_label(model, exact=True)
    if not choice.is_checked():
        choice.check(force=True)
        page.wait_for_selector(f"#told:text('{model} is ready')", timeout=LOAD_TIME)
    page.get_by_label("One", exact=True).check(force=True)
    page.locator("#camera").click()
    page.wait_for_selector("#told:text-matches('^camera: 1 person')", timeout=LOAD_TIME)
    page.wait_for_timeout(1000 * seconds)
    rate = float(page.inner_text("#rate"))
    page.locator("#camera").click()
    return rate


def rows_of(
    browser: Any, address: str, model: Path, threads: int, *, crops: int, seconds: float
) -> list[Row]:
    """One model at one number of threads."""
    context = browser.new_context(permissions=["camera"])
    page = context.new_page()
    milliseconds = time_crops(page, address, f"models/{model.name}", threads, crops)
    rate = measure_rate(page, address, model.stem, threads, seconds)
    context.close()
    what = f"{model.stem}, {threads} thread{'s' if threads > 1 else ''}"
    return [
        Row(f"{what}: a crop, minimum", min(milliseconds), "ms"),
        Row(f"{what}: a crop, median", statistics.median(milliseconds), "ms"),
        Row(f"{what}: camera, one person", rate, "frames/s", target=f">= {LEAST_RATE}"),
    ]


@click.command()
@models_option
@click.option("--threads", type=click.IntRange(1), multiple=True, default=(1, 2), show_default=True)
@click.option("--crops", type=click.IntRange(1), default=100, show_default=True)
@click.option("--seconds", default=10.0, show_default=True, help="Of the camera, per model.")
@click.option("--runtime", type=PATH, help="npm folder with LiteRT.js. [default: fetched by npm]")
@click.option("--output", type=PATH, default=RESULTS / "web.json", show_default=True)
@command
def main(
    models: tuple[Path, ...],
    threads: tuple[int, ...],
    crops: int,
    seconds: float,
    runtime: Path | None,
    output: Path,
) -> None:
    """Measures each model in headless Chromium; needs playwright and Chromium on the PATH."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise InputError("Chromium is not on the PATH: apt-get install chromium")
    npm_folder = find_runtime(runtime)
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        folder = Path(temporary)
        with quiet_stderr():
            files = browser_models(models or (SHIPPED_LITERT,), folder)
        write_site(folder / "site", files, runtime=npm_folder)
        write_camera(folder / "camera.mjpeg")
        words = [
            "--no-sandbox",
            "--use-fake-device-for-media-stream",
            f"--use-file-for-fake-video-capture={folder / 'camera.mjpeg'}",
        ]
        browser = playwright.chromium.launch(executable_path=chromium, args=words)
        details = {"browser": f"Chromium {browser.version}"}
        with serving(folder / "site") as address:
            rows = [
                row
                for model in files
                for count in threads
                for row in rows_of(browser, address, model, count, crops=crops, seconds=seconds)
            ]
        browser.close()
    report("web", rows, output=output, details=details)


if __name__ == "__main__":
    main()
