"""A camera's pictures over the WebSocket: who is told of, what is refused; and in a browser."""

from __future__ import annotations

import io
import json
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from hourglass.core.errors import InputError
from hourglass.inference.estimator import SHIPPED_LITERT, PoseEstimator
from hourglass.media.drawing import ID_COLOURS
from hourglass.media.pictures import read_picture
from hourglass.modelfiles.runtimes import Runtime
from hourglass.web import live
from hourglass.web.live import Camera, Cameras, RefusedFrameError, is_own_page
from hourglass.web.server import PAGE, make_app

pytest.importorskip("starlette")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
HAS_BROWSER = bool(CHROMIUM) and find_spec("playwright") and find_spec("websockets")
needs_browser = pytest.mark.skipif(
    not HAS_BROWSER, reason="needs playwright, websockets and a Chromium on the PATH"
)
needs_litert = pytest.mark.skipif(not find_spec("ai_edge_litert"), reason="needs ai-edge-litert")

PHOTOGRAPH = Path(__file__).parents[1] / "pictures" / "astronaut.jpg"
OWN = {"origin": "http://testserver"}


def jpeg(picture: np.ndarray, quality: int = 90) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "JPEG", quality=quality)
    return out.getvalue()


def frame(number: int = 0) -> np.ndarray:
    """Two people (240, 640, 3), of whom the left one goes to the right and back.

    Slowly: of a camera that is looked at once in seconds, they are still taken for the same.
    """
    photograph = read_picture(PHOTOGRAPH)[:, 60:340]
    person = cv2.resize(photograph, (124, 225), interpolation=cv2.INTER_AREA)
    picture = np.full((240, 640, 3), 120, np.uint8)
    for left in (60 + abs(number % 40 - 20) // 2, 430):
        picture[10:235, left : left + 124] = person
    return picture


def client(estimator: PoseEstimator, **choices: Any) -> Any:
    from starlette.applications import Starlette
    from starlette.routing import WebSocketRoute
    from starlette.testclient import TestClient

    return TestClient(
        Starlette(routes=[WebSocketRoute("/live", Cameras(estimator, **choices).serve)])
    )


DOTS = """
import vm from "node:vm";
const filled = [];
const plain = { fill() { filled.push(this.fillStyle); } };
for (const name of ["beginPath", "moveTo", "lineTo", "stroke", "arc"]) plain[name] = () => {};
vm.runInThisContext(given.script);
drawPerson({ width: 100, height: 50, getContext: () => plain }, given.person, given.skeleton, 0.5);
console.log(JSON.stringify(filled));
"""


def test_a_joint_at_no_bone_is_a_white_dot(node: Callable[..., Any]):
    scores = (1, 1, 0.4, 0.9)
    found = node(
        DOTS,
        {
            "script": PAGE.with_name("skeleton.js").read_text(encoding="utf-8"),
            "person": {"keypoints": [{"x": 1, "y": 2, "score": score} for score in scores]},
            "skeleton": {"bones": [[0, 1]], "colours": [[1, 2, 3]]},
        },
    )
    assert found == ["rgb(1,2,3)", "rgb(1,2,3)", "white"]


def end_of(connection: Any) -> tuple[int, str]:
    """The code and reason with which a connection closes."""
    message = connection.receive()
    assert message["type"] == "websocket.close", message
    return message["code"], message["reason"]


@pytest.fixture(scope="module")
def shipped() -> PoseEstimator:
    return PoseEstimator.load(SHIPPED_LITERT)


# Pictures and answers.


@needs_litert
def test_everybody_is_told_of_with_ids_that_stay(shipped: PoseEstimator):
    from starlette.testclient import TestClient

    with TestClient(make_app(shipped)).websocket_connect("/live", headers=OWN) as connection:
        for number in range(6):
            connection.send_bytes(jpeg(frame(number)))
            told = json.loads(connection.receive_text())
            assert (told["width"], told["height"], told["frame"]) == (640, 240, number)
            people = {one["id"]: one["box"][0] for one in told["people"]}
            assert set(people) == {1, 2}
            if number == 0:
                left = min(people, key=people.__getitem__)
            assert people[left] < 200
    assert told["time"] > 0


def test_each_camera_has_people_of_its_own(dot_finder: Runtime, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(live, "PeopleDetector", lambda: lambda picture: [(100, 0, 200, 240)])
    connect = client(PoseEstimator(dot_finder)).websocket_connect
    with connect("/live") as one, connect("/live") as other:
        for connection in (one, one, other):
            connection.send_bytes(jpeg(frame()))
            told = json.loads(connection.receive_text())
        assert told["frame"] == 0


@pytest.mark.parametrize(
    ("data", "code", "told"),
    [
        (b"", live.NO_PICTURE, "no JPEG"),
        (b"no picture", live.NO_PICTURE, "no JPEG"),
        (jpeg(frame())[:300], live.NO_PICTURE, "no JPEG"),
        (jpeg(np.zeros((16, live.LONGEST_SIDE + 1, 3), np.uint8)), live.TOO_LARGE, "1921×16 px"),
        (jpeg(np.zeros((8, 8, 3), np.uint8)), live.TOO_LARGE, "8×8 px, its sides must be 16 to"),
        (b"0" * (live.LARGEST_FRAME + 1), live.TOO_LARGE, "larger than 2 MB"),
        ("a text", live.NO_PICTURE, "no JPEG"),
    ],
)
def test_what_is_no_frame_ends_the_connection(
    dot_finder: Runtime, data: bytes | str, code: int, told: str
):
    with client(PoseEstimator(dot_finder)).websocket_connect("/live") as connection:
        (connection.send_text if isinstance(data, str) else connection.send_bytes)(data)
        found, reason = end_of(connection)
    assert found == code
    assert told in reason
    assert len(reason.encode()) <= 123  # more does not fit


def test_a_picture_is_measured_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("simplejpeg.decode_jpeg", lambda *_: pytest.fail("decoded"))
    camera = Camera(None, None)  # type: ignore[arg-type]
    with pytest.raises(RefusedFrameError, match="px, its sides must be"):
        camera.look(jpeg(np.zeros((2000, 2000, 3), np.uint8)))


def test_only_so_many_cameras_look_at_once(dot_finder: Runtime):
    connect = client(PoseEstimator(dot_finder), most=2).websocket_connect
    with connect("/live"), connect("/live") as second:
        with connect("/live") as third:
            code, told = end_of(third)
        assert (code, told[:21]) == (live.TOO_MANY, "2 cameras look alread")
        second.close()
        ends = [live.TOO_MANY]
        while ends[-1] == live.TOO_MANY:  # until the server has heard of it
            assert len(ends) < 1000
            with connect("/live") as again:
                again.send_bytes(b"")
                ends.append(end_of(again)[0])
            time.sleep(0.01)
        assert ends[-1] == live.NO_PICTURE


def test_a_page_that_sends_nothing_loses_its_place(dot_finder: Runtime):
    with client(PoseEstimator(dot_finder), silence=0.05).websocket_connect("/live") as connection:
        assert end_of(connection) == (live.SILENT, "no picture came for 0.05 s")


def test_what_the_model_refuses_is_told(dot_finder: Runtime, monkeypatch: pytest.MonkeyPatch):
    def refuse(self: object, data: bytes) -> str:
        raise InputError("no numbers " + "x" * 200)

    monkeypatch.setattr(Camera, "look", refuse)
    with client(PoseEstimator(dot_finder)).websocket_connect("/live") as connection:
        connection.send_bytes(b"")
        code, told = end_of(connection)
    assert (code, told[:10]) == (live.FAILED, "no numbers")
    assert len(told) <= 123


def test_other_servers_pages_are_refused(dot_finder: Runtime):
    from starlette.websockets import WebSocketDisconnect

    connect = client(PoseEstimator(dot_finder)).websocket_connect
    for origin in ("http://evil.example", "null", "http://testserver:81"):
        with (
            pytest.raises(WebSocketDisconnect) as refusal,
            connect("/live", headers={"origin": origin}),
        ):
            pass
        assert refusal.value.code == live.FOREIGN
    with connect("/live", headers=OWN):
        pass


def test_a_page_is_the_servers_own_by_its_host_and_port():
    assert is_own_page(None, "a:80")
    assert is_own_page("http://A:80", "a:80")
    assert is_own_page("https://a.org", "a.org")
    assert not is_own_page("http://a:81", "a:80")
    assert not is_own_page("null", "")
    assert not is_own_page("http://a", None)
    assert not is_own_page("http://[a", "[a")


# With a real server.


@pytest.fixture
def serving() -> Iterator[Callable[[PoseEstimator], tuple[str, Any]]]:
    """Starts a server, and gives its address and itself."""
    import uvicorn

    running = []

    def start(estimator: PoseEstimator) -> tuple[str, Any]:
        how = uvicorn.Config(make_app(estimator), port=0, log_level="error", **live.SOCKETS)
        server = uvicorn.Server(how)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.02)
        running.append((server, thread))
        port = server.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}", server

    yield start
    for server, thread in running:
        server.should_exit = True
        thread.join(10)


@pytest.mark.skipif(not find_spec("websockets"), reason="needs websockets")
def test_pictures_that_come_too_fast_wait_on_the_pages_side(
    serving: Callable[..., Any], dot_finder: Runtime, monkeypatch: pytest.MonkeyPatch
):
    from websockets.sync.client import connect

    free, looked = threading.Event(), []

    def look(self: object, data: bytes) -> str:
        looked.append(len(data))
        free.wait(20)
        return "{}"

    monkeypatch.setattr(Camera, "look", look)
    address, _ = serving(PoseEstimator(dot_finder))
    sent = []

    def send() -> None:
        for _ in range(40):
            connection.send(bytes(1_000_000))
            sent.append(None)

    with connect(f"{address.replace('http', 'ws')}/live") as connection:
        thread = threading.Thread(target=send)
        thread.start()
        while len(looked) < 1:
            time.sleep(0.02)
        thread.join(0.7)
        assert len(sent) < 30  # the others are where the buffers of both sides end
        assert len(looked) == 1
        free.set()
        for _ in range(40):
            connection.recv()
        thread.join()
    assert looked == [1_000_000] * 40


# In a browser.

FAKE = ("--no-sandbox", "--use-fake-device-for-media-stream")

PATIENCE = 120_000
"""Milliseconds after which a browser is taken for hung."""

TAGS = """(colours) => {
  const canvas = document.getElementById("live");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const counts = colours.map(() => 0);
  for (let place = 0; place < data.length; place += 4)
    colours.forEach(([red, green, blue], number) => {
      if (data[place] === red && data[place + 1] === green && data[place + 2] === blue)
        counts[number]++;
    });
  return counts;
}"""


@needs_browser
@needs_litert
def test_the_page_shows_the_cameras_people_with_their_numbers(
    serving: Callable[..., Any], shipped: PoseEstimator, tmp_path: Path
):
    from playwright.sync_api import expect, sync_playwright

    film = tmp_path / "camera.mjpeg"
    film.write_bytes(b"".join(jpeg(frame(number)) for number in range(40)))
    address, server = serving(shipped)
    arguments = [
        *FAKE,
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={film}",
    ]
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=arguments, timeout=PATIENCE
        )
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        faults: list[str] = []
        page.on("pageerror", lambda fault: faults.append(str(fault)))
        page.goto(address)
        page.locator("#camera").click()
        # Not of the first picture, of which there is no rate yet.
        told = re.compile(r"^(?!0\.0)[\d.]+ frames per second, 2 people")
        expect(page.locator("#fps")).to_have_text(told)
        counts = page.evaluate(TAGS, [list(colour) for colour in ID_COLOURS[:4]])
        assert min(counts[:2]) > 50
        assert counts[2:] == [0, 0]
        page.screenshot(path=tmp_path / "live.png")

        # The server goes: it is said, and the camera ends.
        server.should_exit = True
        expect(page.locator("#told.error")).to_contain_text("connection to the server is lost")
        expect(page.locator("#camera")).to_have_text("Use the camera")
        page.locator("#camera").click()
        expect(page.locator("#told.error")).to_contain_text("server cannot be reached")
        browser.close()
    assert faults == []


@needs_browser
@pytest.mark.parametrize(
    ("arguments", "allowed", "told"),
    [
        (FAKE, [], "The camera was refused"),
        (("--no-sandbox",), ["camera"], "There is no camera."),
    ],
)
def test_a_camera_that_is_refused_or_missing_is_said(
    serving: Callable[..., Any],
    dot_finder: Runtime,
    arguments: tuple[str, ...],
    allowed: list[str],
    told: str,
):
    from playwright.sync_api import expect, sync_playwright

    address, _ = serving(PoseEstimator(dot_finder))
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=list(arguments), timeout=PATIENCE
        )
        page = browser.new_context(permissions=allowed).new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(address)
        page.locator("#camera").click()
        expect(page.locator("#told.error")).to_contain_text(told)
        expect(page.locator("#camera")).to_have_text("Use the camera")
        browser.close()
