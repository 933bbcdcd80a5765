"""The page: what the server answers, and what a browser shows."""

from __future__ import annotations

import asyncio
import importlib.util
import io
import json
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import hourglass.predict
import hourglass.serve
from hourglass.core.person import Person
from hourglass.core.skeleton import MPII
from hourglass.inference.estimator import PoseEstimator
from hourglass.media.results import Found
from hourglass.modelfiles.runtimes import Runtime
from hourglass.serve import main
from hourglass.web.limits import UPLOADS_AT_ONCE
from hourglass.web.server import LARGEST_PICTURE, LARGEST_UPLOAD, LOOKED_AT_ONCE, make_app

pytest.importorskip("starlette")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
HAS_BROWSER = bool(CHROMIUM) and importlib.util.find_spec("playwright") is not None


@pytest.fixture
def client(dot_finder: Runtime) -> Any:
    from starlette.testclient import TestClient

    return TestClient(make_app(PoseEstimator(dot_finder)))


@pytest.fixture
def png(dotted_person: Callable[..., tuple[Person, np.ndarray]]) -> bytes:
    return encoded(dotted_person(0)[1])


def encoded(picture: np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, kind, **options)
    return out.getvalue()


# What the server answers.


def test_joints_are_lifted_if_there_is_a_lifter(dot_finder: Runtime, client: Any):
    from starlette.testclient import TestClient

    def lift(text: str) -> str:
        if text != "joints":
            raise ValueError("no joints")
        return "[1]"

    lifting = TestClient(make_app(PoseEstimator(dot_finder), lift))
    assert lifting.post("/space", content="joints").json() == [1]
    refused = lifting.post("/space", content="other")
    assert (refused.status_code, refused.json()["error"]) == (422, "no joints")
    assert client.post("/space", content="joints").status_code == 404
    assert "POST" in client.get("/space.js").text


def test_a_pose_is_what_the_command_line_writes(
    client: Any,
    png: bytes,
    dot_finder: Runtime,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    answer = client.post("/pose", params={"name": "a.png"}, content=png)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hourglass.modelfiles.runtimes.KerasRuntime", lambda path: dot_finder)
    Path("a.png").write_bytes(png)
    words = ["a.png", "--model", "dots.keras", "--json", "a.json"]
    CliRunner().invoke(hourglass.predict.main, words, catch_exceptions=False)
    assert answer.text == Path("a.json").read_text()


def test_a_box_says_where_the_person_is(client: Any, png: bytes):
    query = {"name": "a.png", "box": "10,5,60.5,80"}
    (found,) = client.post("/pose", params=query, content=png).json()
    assert found["people"][0]["box"] == [10, 5, 60.5, 80]


def test_a_rotated_photograph_is_seen_upright(
    client: Any, dotted_person: Callable[..., tuple[Person, np.ndarray]]
):
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = encoded(np.rot90(dotted_person(0)[1]), "JPEG", exif=exif)
    (found,) = client.post("/pose", content=stored).json()
    assert (found["image"], found["width"], found["height"]) == ("picture", 96, 88)


@pytest.mark.parametrize(
    ("status", "query", "content", "told"),
    [
        (415, "name=a.txt", b"a text", "a.txt: not a picture that can be read"),
        (422, "name=a.png", b"", "a.png: picture is empty (0 bytes)"),
        (422, "name=cut.png", "cut", "cut.png: picture is damaged"),
        (422, "name=s.png", "small", "s.png: picture is 8×8 pixels, each side must be 16 or more"),
        (422, "box=1,2,3", "whole", "box '1,2,3' must be four numbers x,y,width,height"),
        (422, "box=a,b,c,d", "whole", "box 'a,b,c,d' must be four numbers"),
        (422, "box=0,0,-5,9", "whole", "w and h above 0 px"),
        (422, "box=0,0,nan,9", "whole", "must be finite"),
        (422, "box=500,0,5,9", "whole", "lies outside the picture of 96×88 px"),
        (413, "name=big.png", b"0" * (LARGEST_UPLOAD + 1), "big.png: larger than 25 MB"),
    ],
)
def test_what_cannot_be_looked_at_is_told(
    client: Any, png: bytes, status: int, query: str, content: bytes | str, told: str
):
    pictures = {"whole": png, "cut": png[:-200], "small": encoded(np.zeros((8, 8, 3), np.uint8))}
    data = content if isinstance(content, bytes) else pictures[content]
    answer = client.post(f"/pose?{query}", content=data)
    assert answer.status_code == status
    assert told in answer.json()["error"]


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(
    client: Any, monkeypatch: pytest.MonkeyPatch
):
    sides = (12_000, 12_000)
    huge = io.BytesIO()
    Image.new("1", sides).save(huge, "PNG")
    monkeypatch.setattr(Image.Image, "load", lambda image: pytest.fail("it was decoded"))
    answer = client.post("/pose", params={"name": "huge.png"}, content=huge.getvalue())
    assert answer.status_code == 413
    told = f"huge.png: picture is 12000×12000 pixels, at most {LARGEST_PICTURE} are taken"
    assert answer.json()["error"] == told


def test_an_upload_that_takes_too_long_ends(client: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("hourglass.web.server.UPLOAD_SECONDS", 0.05)

    async def never(request: Any, name: str) -> bytes:
        await asyncio.sleep(60)
        return b""

    monkeypatch.setattr("hourglass.web.server._gathered", never)
    answer = client.post("/pose", params={"name": "slow.png"}, content=b"0")
    assert answer.status_code == 408
    assert "slow.png: the upload took longer" in answer.json()["error"]


def test_few_pictures_are_decoded_at_a_time_and_few_uploads_held(
    client: Any, png: bytes, monkeypatch: pytest.MonkeyPatch
):
    """Each lasts until as many were refused as must be, and as many decoded at once as may be:
    nothing here depends on the clock."""
    refused, crowded, lock = threading.Event(), threading.Event(), threading.Lock()
    now, most = 0, 0
    extra = 5

    def slow(*arguments: Any, **options: Any) -> Found:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
            if most == LOOKED_AT_ONCE:
                crowded.set()
        assert refused.wait(60)
        assert crowded.wait(60)
        with lock:
            now -= 1
        return Found("a.png", 96, 88, [])

    monkeypatch.setattr("hourglass.web.server.find_pose", slow)

    def ask(_: int) -> Any:
        answer = client.post("/pose", content=png)
        if answer.status_code == 503:
            with lock:
                refusals.append(answer)
                if len(refusals) == extra:
                    refused.set()
        return answer

    refusals: list[Any] = []
    count = UPLOADS_AT_ONCE + extra
    with ThreadPoolExecutor(count) as pool:
        answers = list(pool.map(ask, range(count)))
    assert sorted(one.status_code for one in answers) == [200] * UPLOADS_AT_ONCE + [503] * extra
    assert most == LOOKED_AT_ONCE
    assert {one.headers["retry-after"] for one in refusals} == {"1"}
    assert "ask again" in refusals[0].json()["error"]
    assert client.post("/pose", content=png).status_code == 200


def test_other_requests_are_refused(client: Any):
    assert client.get("/pose").status_code == 405
    assert client.get("/../setup.cfg").status_code == 404
    assert client.post("/").status_code == 405


def test_many_at_once_get_their_own_answers(
    client: Any, dotted_person: Callable[..., tuple[Person, np.ndarray]]
):
    people = [dotted_person(number) for number in range(12)]

    def ask(number: int) -> tuple[int, Any]:
        content = b"bad" if number % 4 == 3 else encoded(people[number][1])
        answer = client.post("/pose", params={"name": f"{number}.png"}, content=content)
        return answer.status_code, answer.json()

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(ask, range(12)))
    for number, (status, answer) in enumerate(answers):
        if number % 4 == 3:
            assert (status, answer["error"].split(":")[0]) == (415, f"{number}.png")
            continue
        person = people[number][0]
        points = [[joint["x"], joint["y"]] for joint in answer[0]["people"][0]["keypoints"]]
        assert answer[0]["image"] == f"{number}.png"
        assert np.abs(np.array(points) - person.points)[person.labelled].max() < 1


def test_the_page_gets_its_skeleton(client: Any):
    page = client.get("/")
    assert "<title>hourglass</title>" in page.text
    assert "http://" not in page.text
    assert "https://" not in page.text
    skeleton = client.get("/skeleton").json()
    assert skeleton["joints"] == list(MPII.joints)
    assert [tuple(bone) for bone in skeleton["bones"]] == list(MPII.bones)
    assert [tuple(colour) for colour in skeleton["colours"]] == list(MPII.colours)


# The command.


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, dot_finder: Runtime) -> list[dict[str, Any]]:
    """What the web server was started with, instead of starting it."""
    calls: list[dict[str, Any]] = []
    monkeypatch.setattr("hourglass.modelfiles.runtimes.KerasRuntime", lambda path: dot_finder)
    monkeypatch.setattr("uvicorn.run", lambda app, **options: calls.append({"app": app, **options}))
    return calls


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_it_listens_to_this_machine_only_unless_told(started: list[dict[str, Any]]):
    port = free_port()
    words = ["--model", "dots.keras", "--port", str(port)]
    result = CliRunner().invoke(main, words, catch_exceptions=False)
    assert result.output == f"http://127.0.0.1:{port} shows poses by dots.keras; Ctrl-C ends it\n"
    CliRunner().invoke(main, [*words, "--host", "0.0.0.0"], catch_exceptions=False)
    assert [(call["host"], call["port"]) for call in started] == [
        ("127.0.0.1", port),
        ("0.0.0.0", port),
    ]


@pytest.mark.skipif(not socket.has_ipv6, reason="needs IPv6")
def test_an_address_of_ipv6_is_shown_as_browsers_take_it(started: list[dict[str, Any]]):
    words = ["--model", "dots.keras", "--port", str(free_port()), "--host", "::1"]
    result = CliRunner().invoke(main, words)
    if "cannot listen" in result.output:
        pytest.skip("this machine has no IPv6 loopback")
    assert result.output.startswith(f"http://[::1]:{words[3]} shows poses")


def test_it_answers_for_no_other_name(started: list[dict[str, Any]], png: bytes):
    from starlette.testclient import TestClient

    words = ["--model", "dots.keras", "--port", str(free_port())]
    CliRunner().invoke(main, words, catch_exceptions=False)
    (app,) = (call["app"] for call in started)
    assert TestClient(app, "http://localhost:8000").post("/pose", content=png).status_code == 200
    answer = TestClient(app, "http://evil.example:8000").post("/pose", content=png)
    assert answer.status_code == 403
    told = "this server does not answer for host 'evil.example:8000'; if that is its own name, "
    assert answer.json()["error"] == f"{told}start it with --allow-host evil.example"
    answer = TestClient(app).get("/", headers={"Host": "a;b"})
    assert answer.json()["error"] == "this server does not answer for host 'a;b'"


def test_it_answers_for_names_that_are_allowed(started: list[dict[str, Any]]):
    from starlette.testclient import TestClient

    words = ["--model", "dots.keras", "--port", str(free_port())]
    names = ["--allow-host", "pose.example.org", "--allow-host", "box.lan"]
    CliRunner().invoke(main, [*words, *names], catch_exceptions=False)
    (app,) = (call["app"] for call in started)
    for address, status in [
        ("https://pose.example.org", 200),
        ("http://box.lan:8000", 200),
        ("http://localhost", 200),
        ("http://evil.example", 403),
    ]:
        assert TestClient(app, address).get("/skeleton").status_code == status


def test_a_port_that_is_taken_is_told(started: list[dict[str, Any]], error_of: Callable[..., str]):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        told = error_of(main, "--model", "dots.keras", "--port", port)
    assert told.startswith(f"--host 127.0.0.1 --port {port}: cannot listen")
    assert started == []


def test_it_can_show_the_page_that_runs_in_the_browser(
    started: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
):
    from starlette.testclient import TestClient

    def write_site(output: Path, models: list[str], *, runtime: str) -> None:
        output.mkdir()
        (output / "index.html").write_text(f"{models} by {runtime}")

    answers = []

    def run(app: Any, **options: Any) -> None:
        client = TestClient(app, base_url="http://127.0.0.1")
        answers.extend([client.get("/browser/").text, client.get("/skeleton").json()["in_browser"]])

    monkeypatch.setattr("hourglass.serve.write_site", write_site)
    monkeypatch.setattr("hourglass.serve.find_runtime", lambda folder: f"what is in {folder}")
    monkeypatch.setattr(
        "hourglass.serve.browser_models", lambda models, folder: [model.stem for model in models]
    )
    monkeypatch.setattr("uvicorn.run", run)
    port = free_port()
    words = ["--model", "dots.keras", "--model", "nano.keras", "--port", str(port)]
    words += ["--browser", "--runtime", "npm"]
    result = CliRunner().invoke(main, words, catch_exceptions=False)
    last = result.output.splitlines()[-1]
    assert last == f"http://127.0.0.1:{port}/browser/ runs the model in the visitor's browser"
    assert answers == ["['dots', 'nano'] by what is in npm", "/browser/"]


def test_several_models_are_for_the_browser_only(error_of: Callable[..., str]):
    told = error_of(main, "--model", "a.keras", "--model", "b.keras")
    assert told == "several --model are for --browser only, got 2 without it"


def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch, error_of: Callable[..., str]):
    monkeypatch.setitem(__import__("sys").modules, "uvicorn", None)
    assert "pip install starlette uvicorn" in error_of(main)


# In a browser.

PATIENCE = 120_000
"""Milliseconds after which a browser is taken for hung."""


@pytest.fixture
def address(dot_finder: Runtime) -> Iterator[str]:
    import uvicorn

    app = make_app(PoseEstimator(dot_finder))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.02)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


DROP = """async ([name, bytes]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([new Uint8Array(bytes)], name));
  const options = { dataTransfer: transfer, bubbles: true, cancelable: true };
  document.getElementById("drop").dispatchEvent(new DragEvent("drop", options));
}"""

PIXELS = """() => {
  const canvas = document.getElementById("canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return [canvas.width, canvas.height, Array.from(data)];
}"""


@pytest.mark.skipif(not HAS_BROWSER, reason="needs playwright and a Chromium on the PATH")
def test_a_dropped_picture_shows_its_skeleton_and_gives_its_json(
    address: str,
    client: Any,
    png: bytes,
    tmp_path: Path,
    dotted_person: Callable[..., tuple[Person, np.ndarray]],
):
    from playwright.sync_api import expect, sync_playwright

    person, picture = dotted_person(0)
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"], timeout=PATIENCE
        )
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        faults: list[str] = []
        page.on("pageerror", lambda fault: faults.append(str(fault)))
        page.goto(address)
        expect(page.locator("#shown")).to_have_text("0.30")

        def canvas() -> np.ndarray:
            width, height, data = page.evaluate(PIXELS)
            return np.array(data).reshape(height, width, 4)[..., :3]

        page.evaluate(DROP, ["a.png", list(png)])
        expect(page.locator("#told")).to_contain_text("a.png: 96×88 px")
        drawn = canvas()
        assert drawn.shape == picture.shape
        for joint in np.flatnonzero(person.labelled):
            x, y = person.points[joint].round().astype(int)
            assert np.abs(drawn[y, x] - picture[y, x].astype(int)).max() > 20, MPII.joints[joint]

        page.locator("#threshold").fill("1")
        np.testing.assert_allclose(canvas(), picture, atol=2)

        with page.expect_download() as waiting:
            page.locator("#save").click()
        waiting.value.save_as(tmp_path / "a.json")
        assert waiting.value.suggested_filename == "a.json"
        expected = client.post("/pose", params={"name": "a.png"}, content=png).json()
        assert json.loads((tmp_path / "a.json").read_text()) == expected

        page.evaluate(DROP, ["b.txt", [1, 2, 3]])
        expect(page.locator("#told.error")).to_have_text("b.txt: not a picture that can be read")
        browser.close()
    assert faults == []
