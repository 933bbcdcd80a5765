"""The page in Chromium: what it finds is what Python finds, and what goes wrong is told."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from hourglass.core.pose import Pose
from hourglass.inference.estimator import SHIPPED_LITERT, PoseEstimator
from hourglass.media.pictures import read_picture
from hourglass.web.site import PLACE, with_site

pytest.importorskip("ai_edge_litert")
pytest.importorskip("playwright")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PICTURES = Path(__file__).parents[1] / "pictures"
PATIENCE = 120_000  # ms

FILM_RATE = 10


def two_people(number: int) -> np.ndarray:
    """Two people (240, 640, 3), of whom the left one goes to the right and back.

    Slowly: of a camera that is looked at once in seconds, they are still taken for the same.
    """
    photograph = read_picture(PICTURES / "astronaut.jpg")[:, 60:340]
    person = cv2.resize(photograph, (124, 225), interpolation=cv2.INTER_AREA)
    picture = np.full((240, 640, 3), 120, np.uint8)
    for left in (60 + abs(number % 40 - 20) // 2, 430):
        picture[10:235, left : left + 124] = person
    return picture


@pytest.fixture(scope="session")
def camera_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Chromium takes for a camera: pictures in a row."""
    path = tmp_path_factory.mktemp("camera") / "camera.mjpeg"
    with path.open("wb") as film:
        for number in range(40):
            Image.fromarray(two_people(number)).save(film, "JPEG", quality=90)
    return path


def write_film(path: Path, *, frames: int, rate: int) -> Path:
    with av.open(str(path), "w") as film:
        stream = film.add_stream("libvpx", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 640, 240, "yuv420p"
        stream.bit_rate = 2_000_000
        for number in range(frames):
            film.mux(stream.encode(av.VideoFrame.from_ndarray(two_people(number), "rgb24")))
        film.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def shipped() -> PoseEstimator:
    return PoseEstimator.load(SHIPPED_LITERT)


class Page:
    """The page as a visitor uses it, and everything that it asked for or that failed in it."""

    def __init__(self, tab: Any, address: str, *, patience: int = PATIENCE) -> None:
        self.tab = tab
        self.patience = patience
        self.requests: list[str] = []
        self.faults: list[str] = []
        tab.set_default_timeout(patience)
        tab.on("request", lambda request: self.requests.append(request.url))
        tab.on("pageerror", lambda fault: self.faults.append(str(fault)))
        tab.goto(address)
        tab.wait_for_selector("body[data-ready]", timeout=patience)

    def open(self, path: Path) -> None:
        self.tab.evaluate("document.getElementById('told').textContent = ''")
        self.tab.set_input_files("#file", path)

    def choose(self, label: str) -> None:
        self.tab.get_by_label(label, exact=True).check(force=True)

    def told(self, beginning: str) -> str:
        """The page's note, once it begins so."""
        pattern = json.dumps(f"^{beginning}")
        self.tab.wait_for_selector(f"#told:text-matches({pattern})", timeout=self.patience)
        return self.tab.inner_text("#told")

    def saved(self, button: str, folder: Path) -> Path:
        with self.tab.expect_download() as waiting:
            self.tab.get_by_role("button", name=button).click()
        path = folder / waiting.value.suggested_filename
        waiting.value.save_as(path)
        return path

    def json(self, folder: Path) -> list[dict[str, Any]]:
        return json.loads(self.saved("Save JSON", folder).read_text())


@pytest.fixture(scope="module")
def opened(browser: Any, address: str) -> Iterator[Page]:
    """To load a page takes seconds: the tests share one."""
    context = browser.new_context()
    yield Page(context.new_page(), address)
    context.close()


@pytest.fixture
def page(opened: Page, address: str) -> Iterator[Page]:
    """The page as it was when it was loaded, but for the picture that it shows."""
    opened.choose("One")
    yield opened
    opened.tab.locator("#threshold").fill("0.2")
    opened.tab.context.clear_permissions()
    assert opened.faults == []
    assert f"{address}models/lite.tflite" in opened.requests  # the worker's are seen, too
    assert [url for url in opened.requests if not url.startswith((address, "blob:"))] == []


@pytest.fixture
def png(tmp_path: Path) -> Callable[[str], Path]:
    """A photograph of the tests without loss, so that JPEG decoders do not matter.

    Its name is the test's own, so that what the page tells is of no other test's picture.
    """

    def write(name: str) -> Path:
        path = tmp_path / f"{tmp_path.name}.png"
        Image.open(PICTURES / f"{name}.jpg").save(path)
        return path

    return write


def points_and_scores(person: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    joints = person["keypoints"]
    points = np.array([[joint["x"], joint["y"]] for joint in joints])
    return points, np.array([joint["score"] for joint in joints])


@pytest.mark.parametrize("flip_test", [False, True])
def test_a_pictures_json_is_pythons(
    page: Page, png: Callable[[str], Path], tmp_path: Path, flip_test: bool
):
    path = png("foundry")
    expected = PoseEstimator.load(SHIPPED_LITERT, flip_test=flip_test)(read_picture(path))
    page.tab.locator("#flip").set_checked(flip_test, force=True)
    page.open(path)
    assert page.told(f"{path.name}: 1 person, score 0.")
    (found,) = page.json(tmp_path)
    page.tab.locator("#flip").uncheck(force=True)
    assert list(found) == ["image", "width", "height", "people"]
    assert (found["image"], found["width"], found["height"]) == (path.name, 480, 320)
    (person,) = found["people"]
    assert list(person) == list(expected.to_dict())
    assert [joint["name"] for joint in person["keypoints"]] == list(expected.skeleton.joints)
    points, scores = points_and_scores(person)
    np.testing.assert_allclose(points, expected.points, atol=0.5)
    np.testing.assert_allclose(scores, expected.scores, atol=0.01)
    np.testing.assert_allclose(person["score"], expected.score, atol=0.01)


def nearest(pose: Pose, people: list[dict[str, Any]]) -> dict[str, Any]:
    return min(people, key=lambda one: np.abs(np.array(one["box"]) - pose.box).max())


def test_two_people_are_found_where_python_finds_them(
    page: Page, shipped: PoseEstimator, tmp_path: Path
):
    path = tmp_path / "two.png"
    Image.fromarray(two_people(0)).save(path)
    expected = shipped.people(read_picture(path))
    assert len(expected) == 2
    page.choose("Several")
    page.open(path)
    page.told("two.png: 2 people, score")
    people = page.json(tmp_path)[0]["people"]
    for pose in expected:
        person = nearest(pose, people)
        np.testing.assert_allclose(person["box"], pose.box, atol=1)  # the detector is in float16
        points, scores = points_and_scores(person)
        sure = pose.scores > 0.5
        assert sure.sum() >= 6
        np.testing.assert_allclose(points[sure], pose.points[sure], atol=1)
        np.testing.assert_allclose(scores[sure], pose.scores[sure], atol=0.05)


def frames_of_camera(page: Page, folder: Path, *, least: int) -> list[dict[str, Any]]:
    """What was found in the camera's frames, once there are so many."""
    page.tab.context.grant_permissions(["camera"])
    page.tab.get_by_role("button", name="Camera").click()
    page.told("camera: [12] p")
    while len(found := page.json(folder)) < least:
        page.tab.wait_for_timeout(500)
    return found


def test_a_cameras_people_keep_their_ids(page: Page, tmp_path: Path):
    page.choose("Several")
    found = frames_of_camera(page, tmp_path, least=6)[-3:]
    assert [sorted(one["id"] for one in frame["people"]) for frame in found] == [[1, 2]] * 3
    assert float(page.tab.inner_text("#rate")) > 0
    page.tab.get_by_role("button", name="Stop camera").click()
    frames = int(page.told("The camera is off").split(" frames ")[0].split()[-1])
    assert len(page.json(tmp_path)) == frames >= len(found)
    assert page.tab.locator("#camera").inner_text() == "Camera"


@pytest.mark.slow
def test_another_models_people_begin_anew_while_the_camera_runs(page: Page, tmp_path: Path):
    page.choose("few")
    page.tab.wait_for_selector("#model-hint:text-matches('skeleton points')", timeout=PATIENCE)
    page.choose("Several")
    frames_of_camera(page, tmp_path, least=3)
    page.choose("lite")
    page.tab.wait_for_selector("#model-hint:text-matches('skeleton mpii')", timeout=PATIENCE)
    while len(found := page.json(tmp_path)) < 3:
        assert page.tab.get_attribute("#told", "class") != "error", page.tab.inner_text("#told")
        page.tab.wait_for_timeout(500)
    people = [len(one["keypoints"]) for frame in found for one in frame["people"]]
    assert set(people) == {16}
    page.tab.get_by_role("button", name="Stop camera").click()
    page.told("The camera is off")


@pytest.mark.slow
def test_one_of_two_cameras_is_chosen(browser: Any, address: str, tmp_path: Path):
    words = ["--no-sandbox", "--use-fake-device-for-media-stream=device-count=2"]
    with_two = browser.browser_type.launch(executable_path=CHROMIUM, args=words)
    context = with_two.new_context(permissions=["camera"])
    page = Page(context.new_page(), address)
    page.tab.locator("#camera").click()
    cameras = page.tab.get_by_label("Camera", exact=True)
    cameras.wait_for(timeout=PATIENCE)
    assert cameras.locator("option").all_inner_texts() == ["fake_device_0", "fake_device_1"]
    page.told("camera: no people")
    cameras.select_option("fake_device_1")
    page.told("camera: no people")
    page.tab.wait_for_function("document.getElementById('cameras').selectedIndex === 1")
    assert len(page.json(tmp_path)) > 0
    assert page.faults == []
    with_two.close()


@pytest.mark.slow
def test_one_person_is_found_in_every_frame_of_a_camera(page: Page, tmp_path: Path):
    """How fast, `benchmarks.web` measures."""
    found = frames_of_camera(page, tmp_path, least=30)
    page.tab.get_by_role("button", name="Stop camera").click()
    page.told("The camera is off")
    assert [len(frame["people"]) for frame in found] == [1] * len(found)
    times = [frame["time"] for frame in found]
    assert times == sorted(set(times))


def test_a_refused_camera_is_told(page: Page):
    page.tab.get_by_role("button", name="Camera").click()
    assert "allow it for this page" in page.told("the camera was refused")


def test_a_film_is_followed_to_its_end(page: Page, tmp_path: Path):
    # Within a second, for which somebody is waited for: a busy machine leaves many frames out.
    film = write_film(tmp_path / "walk.webm", frames=FILM_RATE, rate=FILM_RATE)
    page.choose("Several")
    page.open(film)
    page.told("walk.webm: 2 people")
    page.tab.wait_for_selector("#play:text('Play')", timeout=PATIENCE)
    found = page.json(tmp_path)
    assert found[0]["image"] == "walk.webm"
    times = [frame["time"] for frame in found]
    assert times == sorted(times)
    assert {one["id"] for frame in found for one in frame["people"]} == {1, 2}
    np.testing.assert_allclose([frame["frame"] / FILM_RATE for frame in found], times, atol=0.02)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.txt", b"a text", "a.txt: not a picture or film that this browser can read"),
        ("a.jpg", b"no picture", "a.jpg: not a picture or film that this browser can read"),
        ("a.mp4", b"no film", "a.mp4: not a film that this browser can play"),
    ],
)
def test_a_wrong_file_is_told(page: Page, tmp_path: Path, name: str, content: bytes, told: str):
    (tmp_path / name).write_bytes(content)
    page.open(tmp_path / name)
    assert page.told(name) == told
    assert page.tab.get_attribute("#told", "class") == "error"


def test_the_knob_changes_the_model_and_its_skeleton(
    page: Page, png: Callable[[str], Path], tmp_path: Path
):
    path = png("foundry")
    page.open(path)
    page.told(f"{path.name}: 1 person")
    first = page.json(tmp_path)[0]["people"][0]["keypoints"]
    page.choose("points")
    page.tab.wait_for_selector("#model-hint:text-matches('skeleton points')", timeout=PATIENCE)
    page.told(f"{path.name}: 1 person")
    second = page.json(tmp_path)[0]["people"][0]["keypoints"]
    assert [joint["name"] for joint in second] == [f"point_{number}" for number in range(16)]
    away = [abs(one["x"] - two["x"]) for one, two in zip(first, second, strict=True)]
    assert 0 < max(away) < 11  # only the decoding differs, by less than a cell
    assert not page.tab.locator("#flip").is_visible()  # nothing is left or right
    drawn = np.asarray(Image.open(page.saved("Save picture", tmp_path)).convert("RGB"), int)
    assert (np.abs(drawn - [255, 0, 255]).max(axis=-1) < 30).sum() > 100
    page.choose("lite")
    page.told(f"{path.name}: 1 person")


def test_a_model_that_cannot_be_loaded_is_told_and_not_chosen(page: Page, address: str):
    page.tab.route("**/few.tflite", lambda route: route.fulfill(status=404))
    page.choose("few")
    assert page.told("models/few") == "models/few.tflite: 404 Not Found"
    assert page.tab.get_by_label("lite", exact=True).is_checked()
    page.tab.unroute("**/few.tflite")


def test_a_page_that_is_opened_as_a_file_says_what_it_needs(browser: Any, site: Path):
    tab = browser.new_page()
    tab.goto((site / "index.html").as_uri())
    assert "works only from a web server" in tab.inner_text("#told")
    tab.close()


def test_the_model_that_was_chosen_is_remembered(browser: Any, address: str):
    context = browser.new_context()
    first = Page(context.new_page(), address)
    assert first.tab.locator("#model-choice label").all_inner_texts() == [
        "lite\n224 px",
        "points\n224 px",
        "few\n224 px",
    ]
    assert first.tab.get_by_label("lite", exact=True).is_checked()
    first.choose("points")
    first.told("points is ready")
    again = Page(context.new_page(), address)
    assert again.tab.get_by_label("points", exact=True).is_checked()
    assert "skeleton points" in again.tab.inner_text("#model-hint")
    assert f"{address}models/lite.tflite" not in again.requests
    context.close()


@pytest.fixture
def served(site: Path) -> Iterator[str]:
    """The page as `hourglass.serve` shows it, with the headers."""
    import uvicorn
    from starlette.applications import Starlette

    app = with_site(Starlette(), site)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}{PLACE}"
    server.should_exit = True
    thread.join(10)


def test_it_uses_threads_where_it_is_served_with_the_headers(browser: Any, served: str, png: Any):
    context = browser.new_context()
    threaded = Page(context.new_page(), f"{served}/?threads=2")
    assert "2 threads" in threaded.tab.inner_text("#runtime")
    threaded.choose("One")
    path = png("foundry")
    threaded.open(path)
    threaded.told(f"{path.name}: 1 person")
    context.close()


@pytest.mark.slow
def test_it_runs_where_the_browser_has_no_relaxed_simd(
    browser: Any, address: str, site: Path, png: Callable[[str], Path]
):
    asked = "tryWasm(WASM_RELAXED_SIMD_CHECK)"
    entry = (site / "runtime" / "index.js").read_text(encoding="utf-8")
    assert asked in entry
    without = entry.replace(asked, "Promise.resolve(false)")
    context = browser.new_context()
    context.route(
        "**/runtime/index.js",
        lambda route: route.fulfill(body=without, content_type="text/javascript"),
    )
    page, path = Page(context.new_page(), address), png("foundry")
    assert "no relaxed SIMD" in page.tab.inner_text("#runtime")
    assert f"{address}runtime/wasm/litert_wasm_compat_internal.wasm" in page.requests
    page.choose("One")
    page.open(path)
    page.told(f"{path.name}: 1 person, score 0.")
    context.close()


@pytest.mark.slow
def test_a_file_that_is_opened_before_the_model_is_there_waits(
    browser: Any, address: str, png: Callable[[str], Path]
):
    context = browser.new_context()
    tab, path = context.new_page(), png("foundry")
    tab.goto(address)
    tab.set_input_files("#file", path)
    assert not tab.evaluate("'ready' in document.body.dataset")
    tab.wait_for_selector(f"#told:text-matches('^{path.name}: [12] p')", timeout=PATIENCE)
    context.close()


@pytest.mark.slow
def test_webgpu_finds_what_python_finds(
    browser: Any, address: str, png: Callable[[str], Path], tmp_path: Path, shipped: PoseEstimator
):
    words = ["--no-sandbox", "--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"]
    in_software = browser.browser_type.launch(executable_path=CHROMIUM, args=words)
    place = f"{address}?accelerator=webgpu"
    page = Page(in_software.new_page(), place, patience=5 * PATIENCE)
    if "WebGPU" not in page.tab.inner_text("#runtime"):
        pytest.skip("this Chromium has no WebGPU in software")
    page.choose("One")
    path = png("foundry")
    page.open(path)
    page.told(f"{path.name}: 1 person, score 0.")
    ((person,),) = (one["people"] for one in page.json(tmp_path))
    expected = shipped(read_picture(path))
    points, scores = points_and_scores(person)
    np.testing.assert_allclose(points, expected.points, atol=0.5)
    np.testing.assert_allclose(scores, expected.scores, atol=0.01)
    in_software.close()


def test_the_picture_is_saved_as_large_as_it_is_with_what_is_shown(
    page: Page, png: Callable[[str], Path], tmp_path: Path
):
    path = png("foundry")
    page.open(path)
    page.told(f"{path.name}: 1 person")
    saved = page.saved("Save picture", tmp_path)
    assert saved.name == f"{path.stem}_pose.png"
    drawn, original = (np.asarray(Image.open(one).convert("RGB"), int) for one in (saved, path))
    assert drawn.shape == original.shape
    assert (np.abs(drawn - original).max(axis=-1) > 30).sum() > 200
    page.tab.locator("#threshold").fill("1")
    again = page.saved("Save picture", tmp_path)
    np.testing.assert_allclose(np.asarray(Image.open(again).convert("RGB"), int), original, atol=2)
    page.told(path.name)
    page.tab.evaluate("document.getElementById('told').textContent = ''")
    page.choose("Heatmap")
    page.told(f"{path.name}: 1 person")
    glowing = np.asarray(Image.open(page.saved("Save picture", tmp_path)).convert("RGB"), int)
    assert (glowing.sum(axis=-1) > original.sum(axis=-1) + 30).mean() > 0.002
    page.tab.get_by_label("Heatmap").uncheck(force=True)


def test_keys_and_screen_readers_reach_everything(page: Page, png: Callable[[str], Path]):
    path = png("foundry")
    page.open(path)
    page.told(f"{path.name}: 1 person")
    tab = page.tab
    assert tab.get_by_role("img", name=f"{path.name}: 1 person, score").is_visible()
    order = ["camera", "people-one", "skeleton", "threshold", "flip", "save-json"]
    tab.locator("#choose").focus()
    reached: list[str] = []
    while "save-json" not in reached and len(reached) < 30:
        tab.keyboard.press("Tab")
        reached.append(tab.evaluate("document.activeElement.id"))
    assert [name for name in reached if name in order] == order
    tab.locator("summary").press("Enter")
    row = tab.get_by_role("row", name="head top")
    row.wait_for()
    assert row.get_by_role("cell").count() == 3
