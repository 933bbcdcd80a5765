"""The page in Firefox, driven by WebDriver BiDi: what it finds is what Python finds."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hourglass.inference.estimator import SHIPPED_LITERT, PoseEstimator
from hourglass.media.pictures import read_picture

pytest.importorskip("ai_edge_litert")
client = pytest.importorskip("websockets.sync.client")

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
PHOTOGRAPH = Path(__file__).parents[1] / "pictures" / "foundry.jpg"
PATIENCE = 120  # s

KEEP_DOWNLOADS = """(() => {
  const made = URL.createObjectURL;
  URL.createObjectURL = (content) => { window.saved = content; return made.call(URL, content); };
})()"""
"""So that the test reads what the page writes as a file."""


class Tab:
    """Firefox's one tab (https://w3c.github.io/webdriver-bidi)."""

    def __init__(self, socket: Any):
        self.socket = socket
        self.numbers = itertools.count(1)
        self.ask("session.new", capabilities={})
        self.context = self.ask("browsingContext.getTree")["contexts"][0]["context"]

    def ask(self, method: str, **params: Any) -> Any:
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            answer = json.loads(self.socket.recv(timeout=PATIENCE))
            if answer.get("id") == number:
                assert answer["type"] == "success", answer
                return answer["result"]

    def goto(self, address: str) -> None:
        self.ask("browsingContext.navigate", context=self.context, url=address, wait="complete")

    def evaluate(self, expression: str) -> Any:
        """The value of JavaScript as JSON has it."""
        given: dict[str, Any] = {"target": {"context": self.context}, "awaitPromise": True}
        answer = self.ask(
            "script.evaluate",
            expression=f"(async () => JSON.stringify((await {expression}) ?? null))()",
            **given,
        )
        assert answer["type"] == "success", answer
        return json.loads(answer["result"]["value"])

    def wait(self, expression: str) -> None:
        end = time.monotonic() + PATIENCE
        while not self.evaluate(expression):
            assert time.monotonic() < end, self.evaluate("document.body.innerText")
            time.sleep(0.1)

    def open(self, path: Path) -> None:
        found = self.ask(
            "browsingContext.locateNodes",
            context=self.context,
            locator={"type": "css", "value": "#file"},
        )
        element = {"sharedId": found["nodes"][0]["sharedId"]}
        self.ask("input.setFiles", context=self.context, element=element, files=[str(path)])


@pytest.fixture
def tab(tmp_path: Path) -> Iterator[Tab]:
    if FIREFOX is None:
        pytest.skip("needs Firefox on the PATH")
    profile = tmp_path / "profile"
    profile.mkdir()
    words = ["--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port", "0"]
    told = tmp_path / "firefox.log"
    with told.open("w") as log:
        process = subprocess.Popen([FIREFOX, *words, "about:blank"], stdout=log, stderr=log)
    try:
        end = time.monotonic() + PATIENCE
        while not (heard := re.search(r"BiDi listening on (ws://\S+)", told.read_text())):
            assert process.poll() is None, told.read_text()
            assert time.monotonic() < end, told.read_text()
            time.sleep(0.1)
        with client.connect(f"{heard[1]}/session", max_size=None) as socket:
            yield Tab(socket)
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_a_pictures_json_is_pythons_in_firefox(tab: Tab, address: str, tmp_path: Path):
    path = tmp_path / "foundry.png"
    Image.open(PHOTOGRAPH).save(path)
    expected = PoseEstimator.load(SHIPPED_LITERT)(read_picture(path))
    tab.goto(address)
    tab.wait("'ready' in document.body.dataset")
    tab.evaluate(KEEP_DOWNLOADS)
    tab.evaluate("document.getElementById('people-one').click()")
    tab.open(path)
    tab.wait("document.getElementById('told').textContent.startsWith('foundry.png: 1 person')")
    tab.evaluate("document.getElementById('save-json').click()")
    (found,) = json.loads(tab.evaluate("window.saved.text()"))
    (person,) = found["people"]
    joints = person["keypoints"]
    points = [[joint["x"], joint["y"]] for joint in joints]
    np.testing.assert_allclose(points, expected.points, atol=0.5)
    scores = [joint["score"] for joint in joints]
    np.testing.assert_allclose(scores, expected.scores, atol=0.01)
