"""Predictions: joints in pictures and films as people see them, drawn, written, bad files told."""

from __future__ import annotations

import csv
import gc
import json
import shutil
import signal
import struct
import threading
import time
import weakref
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from loguru import logger
from PIL import Image

from hourglass.console import MOST_TOLD
from hourglass.core.boxes import Boxes
from hourglass.core.person import Person
from hourglass.core.pose import Box, Pose
from hourglass.core.skeleton import LEFT, MPII, RIGHT
from hourglass.inference.canvas import Canvas
from hourglass.inference.estimator import BATCH_SIZE, PoseEstimator
from hourglass.inference.locating import locator
from hourglass.inference.look import DRAWINGS, Look
from hourglass.inference.passes import Pass, predict_film, predict_pictures
from hourglass.inference.pipeline import AHEAD, whole_picture
from hourglass.media.drawing import draw_heatmap, draw_pose
from hourglass.media.film_writer import KINDS, FilmWriter
from hourglass.media.pictures import save_picture
from hourglass.media.results import Found, format_pose
from hourglass.media.targets import drawn_names, film_targets, make_folder, refuse_existing
from hourglass.media.video import Film
from hourglass.media.window import WINDOW
from hourglass.modelfiles.runtimes import KerasRuntime, Runtime
from hourglass.predict import main

ORIENTATION = 0x0112
MODEL = ("--model", "dots.keras")
REAL_RUNTIME = KerasRuntime


@pytest.fixture(autouse=True)
def dots(monkeypatch: pytest.MonkeyPatch, dot_finder: Runtime, tmp_path: Path) -> None:
    """Every `.keras` file finds dots, and commands run in a folder of their own."""
    monkeypatch.setattr("hourglass.modelfiles.runtimes.KerasRuntime", lambda path: dot_finder)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def save(
    tmp_path: Path, dotted_person: Callable[..., tuple[Person, np.ndarray]]
) -> Callable[..., Person]:
    """`save(name, number)` writes a dotted picture without loss and returns its person."""

    def write(name: str, number: int = 0, **options: Any) -> Person:
        person, picture = dotted_person(number)
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        Image.fromarray(picture).save(path, **options)
        return person

    return write


def run(*arguments: object) -> tuple[str, str]:
    """What a command that must succeed says, and the text of its last line."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout, result.stdout.splitlines()[-1]


def read_json(path: str = "joints.json") -> list[Any]:
    return json.loads(Path(path).read_text())


def points_of(result: dict[str, Any], person: int = 0) -> np.ndarray:
    return np.array([[joint["x"], joint["y"]] for joint in result["people"][person]["keypoints"]])


def pixels(path: str | Path) -> np.ndarray:
    return np.asarray(Image.open(path)).astype(int)


def files_in(folder: str) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


def assert_found(points: np.ndarray, person: Person, *, within: float = 1.0) -> None:
    assert np.abs(points - person.points)[person.labelled].max() < within


# What is found.


def test_a_picture_gets_its_joints_a_drawing_and_json(save: Callable[..., Person]):
    person = save("a.png")
    out, last = run("a.png", *MODEL, "--json", "joints.json", "--output", "drawn/here")
    assert last == "1 of 1 pictures done, drawn in drawn/here, model dots.keras"
    (result,) = read_json()
    assert (result["image"], result["width"], result["height"]) == ("a.png", 96, 88)
    (found,) = result["people"]
    assert found["box"] == [0, 0, 96, 88]
    assert [joint["name"] for joint in found["keypoints"]] == list(MPII.joints)
    assert_found(points_of(result), person)
    scores = np.array([joint["score"] for joint in found["keypoints"]])
    np.testing.assert_array_equal(scores > 0.5, person.labelled)
    assert found["score"] == pytest.approx(scores.mean())
    # The text has the same numbers.
    lines = out.splitlines()
    assert lines[0] == "a.png -> drawn/here/a_pose.jpg"
    for line, joint in zip(lines[2:18], found["keypoints"], strict=True):
        name, x, y, score = line.split()
        assert name == joint["name"]
        assert float(x) == pytest.approx(joint["x"], abs=0.051)
        assert float(y) == pytest.approx(joint["y"], abs=0.051)
        assert float(score) == pytest.approx(joint["score"], abs=0.0051)
    drawn = np.asarray(Image.open("drawn/here/a_pose.jpg"))
    assert drawn.shape == (88, 96, 3)


def test_the_drawing_shows_the_joints_that_are_sure(
    save: Callable[..., Person], dot_finder: Runtime
):
    person = save("a.png")
    picture = pixels("a.png")

    def draw(name: str, look: Look) -> tuple[Pose, np.ndarray]:
        everything: list[Found] = []
        outcome = predict_pictures(
            [Path("a.png")],
            PoseEstimator(dot_finder),
            whole_picture,
            drawn={Path("a.png"): Path(name)},
            look=look,
            take=everything.append,
        )
        assert outcome == (1, [])
        (found,) = everything
        return found.poses[0], pixels(name)

    pose, drawn = draw("drawn.png", Look())
    np.testing.assert_array_equal(drawn, draw_pose(picture.astype(np.uint8), pose).astype(int))
    for index in np.flatnonzero(person.labelled):
        side = MPII.joints[index].split("_")[0]
        if side in ("right", "left"):
            x, y = pose.points[index].round().astype(int)
            colour = {"right": RIGHT, "left": LEFT}[side]
            near = np.abs(drawn[y - 1 : y + 2, x - 1 : x + 2] - colour).max(axis=-1)
            assert near.min() < 40
    # Joints that were not found are not drawn, not even as dots: with all left out nothing is.
    np.testing.assert_array_equal(draw("none.png", Look(min_score=1.0))[1], picture)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_rotated_photograph_is_seen_upright(
    dotted_person: Callable[..., tuple[Person, np.ndarray]], orientation: int
):
    person, picture = dotted_person(2)
    quarter_turns = {1: 0, 3: 2, 6: 1, 8: 3}[orientation]
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = Image.fromarray(np.rot90(picture, quarter_turns))
    stored.save("photo.jpg", quality=100, subsampling=0, exif=exif)
    run("photo.jpg", *MODEL, "--json", "joints.json")
    (result,) = read_json()
    assert (result["width"], result["height"]) == (96, 88)
    assert_found(points_of(result), person)
    with Image.open("predictions/photo_pose.jpg") as drawn:
        assert drawn.size == (96, 88)
        assert drawn.getexif().get(ORIENTATION, 1) == 1


@pytest.mark.parametrize(
    ("name", "mode"),
    [("a.bmp", "RGB"), ("a.webp", "RGB"), ("a.png", "RGBA"), ("a.tif", "RGB"), ("a.gif", "P")],
)
def test_many_kinds_of_picture_are_read(
    dotted_person: Callable[..., tuple[Person, np.ndarray]], name: str, mode: str
):
    person, picture = dotted_person(0)
    options = {"lossless": True} if name.endswith("webp") else {}
    Image.fromarray(picture).convert(mode).save(name, **options)
    run(name, *MODEL, "--json", "joints.json")
    assert_found(points_of(read_json()[0]), person, within=1.5)


def test_a_grey_picture_is_read():
    Image.fromarray(np.full((40, 50), 9, np.uint8)).save("grey.png")
    _, last = run("grey.png", *MODEL)
    assert last.startswith("1 of 1 pictures done")


def test_many_pictures_are_done_in_order(save: Callable[..., Person]):
    people = [save(f"p{number}.png", number) for number in range(4)]
    names = [f"p{number}.png" for number in (2, 0, 3, 1)]
    out, last = run(*names, *MODEL, "--json", "joints.json")
    assert last == "4 of 4 pictures done, drawn in predictions, model dots.keras"
    results = read_json()
    assert [result["image"] for result in results] == names
    for result, number in zip(results, (2, 0, 3, 1), strict=True):
        assert_found(points_of(result), people[number])
    # Of many, the numbers are in the files only.
    assert out.splitlines() == [last]
    assert files_in("predictions") == [f"p{number}_pose.jpg" for number in range(4)]


def test_pictures_of_one_name_do_not_overwrite_each_other(save: Callable[..., Person]):
    save("x/a.png", 0)
    save("y/a.png", 1)
    save("y/a.bmp", 2)
    run("x/a.png", "y/a.png", "y/a.bmp", *MODEL)
    names = ["a_pose.jpg", "a_pose_2.jpg", "a_pose_3.jpg"]
    assert sorted(path.name for path in Path("predictions").iterdir()) == names
    pictures = [np.asarray(Image.open(f"predictions/{name}")).astype(int) for name in names]
    assert np.abs(pictures[0] - pictures[1]).max() > 50
    assert np.abs(pictures[1] - pictures[2]).max() > 50


def test_drawings_never_share_a_file():
    images = [Path(name) for name in ("a.jpg", "x/a.png", "a_pose.jpg", "a_pose_2.jpg", "b.a.jpg")]
    names = drawn_names(images, Path("out"))
    assert len(set(names)) == len(images)
    assert names[0] == Path("out/a_pose.jpg")
    assert all(name.parent == Path("out") and name.suffix == ".jpg" for name in names)


def test_a_box_is_where_the_person_is(
    tmp_path: Path,
    dotted_person: Callable[..., tuple[Person, np.ndarray]],
):
    # The same person twice, a gap apart: the box says which.
    person, picture = dotted_person(0)
    Image.fromarray(np.hstack([picture, np.full_like(picture, 128), picture])).save("two.png")
    for left in (0, 192):
        run("two.png", *MODEL, "--json", "joints.json", "--force", "--box", left, 0, 96, 88)
        (result,) = read_json()
        assert result["people"][0]["box"] == [left, 0, 96, 88]
        assert np.abs(points_of(result) - person.points - [left, 0])[person.labelled].max() < 1
    # A box may reach beyond the picture.
    run("two.png", *MODEL, "--json", "joints.json", "--force", "--box", 188, -8, 120, 104)
    assert read_json()[0]["people"][0]["box"] == [188, -8, 120, 104]


def test_a_flip_test_is_made_on_demand(
    save: Callable[..., Person], dot_finder: Runtime, monkeypatch: pytest.MonkeyPatch
):
    person = save("a.png")
    seen: list[np.ndarray] = []

    def heatmaps(images: np.ndarray) -> np.ndarray:
        seen.extend(images)
        return type(dot_finder).heatmaps(dot_finder, images)

    monkeypatch.setattr(dot_finder, "heatmaps", heatmaps, raising=False)
    run("a.png", *MODEL)
    assert len(seen) == 1
    run("a.png", *MODEL, "--json", "joints.json", "--flip-test", "--force")
    assert len(seen) == 3
    np.testing.assert_array_equal(seen[2], seen[0][:, ::-1])
    assert_found(points_of(read_json()[0]), person)


def test_the_lowest_score_drawn_is_the_callers(save: Callable[..., Person]):
    save("a.png")
    run("a.png", *MODEL, "--min-score", "1")
    drawn, picture = (
        np.asarray(Image.open(name)).astype(int) for name in ("predictions/a_pose.jpg", "a.png")
    )
    assert np.abs(drawn - picture).mean() < 4
    run("a.png", *MODEL, "--force")
    drawn = np.asarray(Image.open("predictions/a_pose.jpg")).astype(int)
    assert np.abs(drawn - picture).mean() > 4


def test_json_can_be_read_back_as_poses(save: Callable[..., Person], dot_finder: Runtime):
    save("a.png")
    run("a.png", *MODEL, "--json", "joints.json")
    pose = Pose.from_dict(read_json()[0]["people"][0], skeleton=MPII)
    expected = PoseEstimator(dot_finder)(np.asarray(Image.open("a.png")))
    np.testing.assert_array_equal(pose.points, expected.points)
    np.testing.assert_array_equal(pose.scores, expected.scores)


# What is refused.


def huge_png() -> bytes:
    """A PNG whose header claims 30000×30000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    header = struct.pack(">IIBBBBB", 30000, 30000, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels)


def bad_jpeg(picture: np.ndarray) -> bytes:
    path = Path("whole.jpg")
    Image.fromarray(picture).save(path)
    return path.read_bytes()[:-400]


def test_bad_pictures_are_told_a_line_each_and_the_others_done(
    save: Callable[..., Person], dotted_person: Callable[..., tuple[Person, np.ndarray]]
):
    person = save("good.png")
    save("fine.png", 1)
    Path("empty.jpg").touch()
    Path("text.jpg").write_text("This is no picture.\n" * 100)
    Path("huge.png").write_bytes(huge_png())
    Path("cut.jpg").write_bytes(bad_jpeg(dotted_person(0)[1]))
    Path("in/folder.jpg").mkdir(parents=True)
    Image.new("RGB", (1, 1)).save("dot.png")
    names = ["good.png", "missing.jpg", "empty.jpg", "text.jpg", "huge.png", "cut.jpg"]
    names += ["in", "dot.png", "fine.png"]
    result = CliRunner().invoke(main, [*names, *MODEL, "--json", "joints.json"])
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert "2 of 9 pictures done, drawn in predictions, model dots.keras" in result.output
    told = result.output.split("Error: ")[1].splitlines()
    beginnings = [
        "missing.jpg: picture cannot be read (No such file or directory)",
        "empty.jpg: picture is empty (0 bytes)",
        "text.jpg: not a picture that can be read",
        "huge.png: picture is larger than 150000000 pixels",
        "cut.jpg: picture is damaged",
        "in/folder.jpg: picture cannot be read (Is a directory)",
        "dot.png: picture is 1×1 pixels, each side must be 16 or more",
    ]
    assert len(told) == len(beginnings)
    for line, beginning in zip(told, beginnings, strict=True):
        assert line.startswith(beginning)
    assert [one["image"] for one in read_json()] == ["good.png", "fine.png"]
    assert_found(points_of(read_json()[0]), person)
    assert sorted(path.name for path in Path("predictions").iterdir()) == [
        "fine_pose.jpg",
        "good_pose.jpg",
    ]


def test_a_picture_that_says_less_than_it_has_is_told(error_of: Callable[..., str]):
    # A text header of 20×20 pixels with three bytes behind it.
    Path("short.ppm").write_bytes(b"P6\n20 20\n255\nabc")
    Path("odd.ppm").write_bytes(b"P6\n2x 20\n255\n" + bytes(1200))
    for name in ("short.ppm", "odd.ppm"):
        assert error_of(main, name, *MODEL).startswith(f"{name}: ")


@pytest.mark.parametrize(
    ("box", "told"),
    [
        ((96, 0, 10, 10), "lies outside the picture of 96×88 px"),
        ((0, 88, 10, 10), "lies outside the picture of 96×88 px"),
        ((-20, 0, 20, 10), "lies outside the picture of 96×88 px"),
        ((0, -10, 20, 10), "lies outside the picture of 96×88 px"),
        ((5, 5, 0, 10), "x y w h must be finite, and w and h above 0 px"),
        ((5, 5, 10, -1), "x y w h must be finite, and w and h above 0 px"),
        (("nan", 5, 10, 10), "x y w h must be finite, and w and h above 0 px"),
        ((5, 5, "inf", 10), "x y w h must be finite, and w and h above 0 px"),
    ],
)
def test_a_box_that_cannot_be_is_told(
    save: Callable[..., Person], error_of: Callable[..., str], box: tuple[Any, ...], told: str
):
    save("a.png")
    line = error_of(main, "a.png", *MODEL, "--box", *box)
    assert line.startswith("a.png: box (")
    assert told in line
    assert not list(Path("predictions").iterdir())


def test_a_box_at_the_very_edge_is_used(save: Callable[..., Person]):
    save("a.png")
    run("a.png", *MODEL, "--box", 95.5, 87.5, 10, 10)
    run("a.png", *MODEL, "--box", -9, -9, 10, 10, "--force")


def test_an_output_folder_that_cannot_be_written_is_told(
    save: Callable[..., Person], error_of: Callable[..., str]
):
    save("a.png")
    Path("file").touch()
    for folder in ("file", "file/below"):
        line = error_of(main, "a.png", *MODEL, "--output", folder)
        assert line.startswith(f"{folder}: cannot be written (")


def test_a_drawing_that_cannot_be_written_is_told(
    save: Callable[..., Person], error_of: Callable[..., str]
):
    save("a.png")
    Path("predictions/a_pose.jpg").mkdir(parents=True)
    line = error_of(main, "a.png", *MODEL, "--force")
    assert line == "predictions/a_pose.jpg: cannot be written (Is a directory)"


def test_a_json_file_that_cannot_be_written_is_told(
    save: Callable[..., Person], error_of: Callable[..., str]
):
    save("a.png")
    Path("file").touch()
    line = error_of(main, "a.png", *MODEL, "--json", "file/joints.json")
    assert "file/joints.json" in line
    assert "Not a directory" in line


def test_a_json_file_that_cannot_be_written_is_told_before_any_work(save: Callable[..., Person]):
    save("a.png")
    Path("file").touch()
    result = CliRunner().invoke(main, ["a.png", *MODEL, "--json", "file/joints.json"])
    assert result.exit_code == 1
    assert "file/joints.json: cannot be written" in result.output
    assert not list(Path("predictions").glob("*"))


def test_a_model_that_is_none_is_told(
    save: Callable[..., Person], error_of: Callable[..., str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("hourglass.modelfiles.runtimes.KerasRuntime", REAL_RUNTIME)
    save("a.png")
    Path("text.keras").write_text("a text")
    assert error_of(main, "a.png", "--model", "none.keras") == "none.keras: no such model file"
    assert error_of(main, "a.png", "--model", "text.keras").startswith(
        "text.keras: not a model file"
    )
    assert error_of(main, "a.png", "--model", "model.pt").startswith(
        "model.pt: not a model file, its name must end in"
    )


def test_a_command_without_pictures_is_told():
    result = CliRunner().invoke(main, [*MODEL])
    assert result.exit_code == 2
    assert "Missing argument 'INPUT...'" in result.output


# What there is to look at.


def test_folders_patterns_and_lists_are_looked_at(save: Callable[..., Person]):
    for name in ("in/a.png", "in/deep/b.png", "c1.png", "c2.png", "d.png"):
        save(name)
    Path("in/notes.txt").touch()
    run("in", *MODEL, "--json", "1.json", "--draw", "nothing")
    assert [one["image"] for one in read_json("1.json")] == ["in/a.png"]
    run("in", "c*.png", *MODEL, "--recursive", "--json", "2.json", "--draw", "nothing")
    names = ["in/a.png", "in/deep/b.png", "c1.png", "c2.png"]
    assert [one["image"] for one in read_json("2.json")] == names
    listed = CliRunner().invoke(
        main,
        ["-", *MODEL, "--json", "3.json", "--draw", "nothing"],
        input="d.png\nin\n\nmissing.png\nc?.png\n",
    )
    assert listed.exit_code == 1
    assert "4 of 5 pictures done" in listed.output
    assert listed.output.splitlines()[-1].startswith("Error: missing.png: picture cannot be read")
    names = ["d.png", "in/a.png", "c1.png", "c2.png"]
    assert [one["image"] for one in read_json("3.json")] == names


@pytest.mark.parametrize(
    ("argument", "told"),
    [
        (
            "none",
            "none: no pictures or films in this folder; --recursive would search the folders",
        ),
        ("no*.jpg", "no*.jpg: no file matches this pattern"),
        ("-", "-: the list on standard input is empty, a name a line is needed"),
        ("90", "camera 90: cannot be opened; is it there, and free?"),
        ("none.mp4", "none.mp4: no such film"),
        ("text.mp4", "text.mp4: no film, a damaged one, or one of a codec that FFmpeg lacks"),
    ],
)
def test_an_input_that_is_none_is_told(error_of: Callable[..., str], argument: str, told: str):
    Path("none").mkdir()
    Path("text.mp4").write_text("This is no film.\n" * 100)
    assert error_of(main, argument, *MODEL).startswith(told)


def test_of_very_many_failures_the_first_are_told(error_of: Callable[..., str]):
    names = [f"missing{number}.jpg" for number in range(MOST_TOLD + 7)]
    result = CliRunner().invoke(main, [*names, *MODEL])
    assert result.exit_code == 1
    told = result.output.split("Error: ")[1].splitlines()
    assert len(told) == MOST_TOLD + 1
    for line, name in zip(told[:-1], names, strict=False):
        assert line.startswith(f"{name}: ")
    assert told[-1] == "and 7 more"


def test_few_of_many_pictures_are_in_memory(dot_finder: Runtime, monkeypatch: pytest.MonkeyPatch):
    # However slow it is to draw and to write them.
    lock, alive, most = threading.RLock(), [0], [0]  # one may go while another is counted

    def gone() -> None:
        with lock:
            alive[0] -= 1

    def read(path: Path) -> np.ndarray:
        picture = np.full((16, 16, 3), 128, np.uint8)
        weakref.finalize(picture, gone)
        with lock:
            alive[0] += 1
            most[0] = max(most[0], alive[0])
        return picture

    def save_slowly(picture: np.ndarray, path: Path) -> None:
        time.sleep(0.002)

    monkeypatch.setattr("hourglass.inference.pipeline.read_picture", read)
    monkeypatch.setattr("hourglass.media.pictures.save_picture", save_slowly)
    monkeypatch.setattr(
        dot_finder, "heatmaps", lambda crops: np.zeros((len(crops), 64, 64, 16)), raising=False
    )
    paths = [Path(f"{number}.png") for number in range(20 * BATCH_SIZE)]
    found: list[Found] = []
    outcome = predict_pictures(
        paths,
        PoseEstimator(dot_finder),
        whole_picture,
        drawn=dict(zip(paths, paths, strict=True)),
        look=Look(),
        take=found.append,
    )
    assert outcome == (len(found), []) == (len(paths), [])
    # Read ahead, in the batch and before it, and waiting to be written.
    assert most[0] <= 2 * AHEAD + 2 * BATCH_SIZE
    # What is kept of each holds no picture.
    gc.collect()
    assert alive[0] == 0


# Where people are.


@pytest.fixture
def two(dotted_person: Callable[..., tuple[Person, np.ndarray]]) -> list[np.ndarray]:
    """Writes `two.png`, which shows two people; their joints, NaN where not labelled."""
    (one, left), (other, right) = dotted_person(0), dotted_person(1)
    Image.fromarray(np.hstack([left, np.full_like(left, 128), right])).save("two.png")
    return [
        np.where(person.labelled[:, None], np.add(person.points, (shift, 0)), np.nan)
        for person, shift in ((one, 0), (other, 192))
    ]


def assert_both_found(result: dict[str, Any], expected: list[np.ndarray]) -> None:
    assert len(result["people"]) == 2
    for person, points in enumerate(expected):
        assert np.nanmax(np.abs(points_of(result, person) - points)) < 1


def test_several_boxes_are_several_people(two: list[np.ndarray]):
    boxes = ("--box", 0, 0, 96, 88, "--box", 192, 0, 96, 88)
    out, _ = run("two.png", *MODEL, "--json", "joints.json", *boxes)
    assert_both_found(read_json()[0], two)
    assert out.count("right_ankle") == 2
    # Both are drawn.
    changed = np.abs(pixels("predictions/two_pose.jpg") - pixels("two.png")).max(axis=-1) > 60
    assert changed[:, :96].any()
    assert changed[:, 192:].any()
    assert not changed[:, 110:180].any()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("boxes.json", '{"two.png": [[0, 0, 96, 88], [192, 0, 96, 88]]}'),
        ("boxes.csv", "image,x,y,width,height\ntwo.png,0,0,96,88\ntwo.png,192,0,96,88\n"),
    ],
)
def test_each_picture_has_its_boxes_in_a_file(
    save: Callable[..., Person], two: list[np.ndarray], name: str, text: str
):
    save("alone.png")
    Path(name).write_text(text)
    result = CliRunner().invoke(
        main, ["alone.png", "two.png", *MODEL, "--json", "joints.json", "--boxes", name]
    )
    # A picture that the file leaves out is told, and not taken as a whole.
    assert result.exit_code == 1
    assert result.output.splitlines()[-1] == "Error: alone.png: no box for this picture in --boxes"
    (found,) = read_json()
    assert found["image"] == "two.png"
    assert_both_found(found, two)


def test_what_was_found_can_be_given_back_as_boxes(
    save: Callable[..., Person], two: list[np.ndarray]
):
    save("in/a.png", 3)
    run("in/a.png", *MODEL, "--json", "one.json", "--box", 3.25, 1, 90.5, 86)
    run("in/a.png", *MODEL, "--json", "again.json", "--boxes", "one.json", "--output", "again")
    assert read_json("one.json") == read_json("again.json")
    run("two.png", *MODEL, "--json", "2.json", "--box", 0, 0, 96, 88, "--box", 192, 0, 96, 88)
    run("two.png", *MODEL, "--json", "2again.json", "--boxes", "2.json", "--output", "again")
    assert read_json("2.json") == read_json("2again.json")


def test_boxes_that_cannot_be_are_told_before_anything_is_done(
    save: Callable[..., Person], error_of: Callable[..., str], film: Callable[..., Any]
):
    save("a.png")
    film()
    Path("bad.json").write_text("[1")
    Path("good.json").write_text("{}")
    for arguments, told in (
        (("a.png", "--boxes", "none.json"), "none.json: boxes cannot be read"),
        (("a.png", "--boxes", "bad.json"), "bad.json: not a file of boxes"),
        (
            ("a.png", "--boxes", "good.json", "--box", 0, 0, 9, 9),
            "--box, --boxes and --detect all say where people are: give one of them",
        ),
        (
            ("a.png", "film.mp4", "--boxes", "good.json"),
            "--boxes is for pictures; of a film, --box says where to begin",
        ),
    ):
        assert error_of(main, *arguments, *MODEL).startswith(told)
        assert not Path("predictions").exists()


def test_one_box_outside_its_picture_is_told_and_the_others_done(save: Callable[..., Person]):
    save("a.png")
    save("b.png")
    Path("boxes.json").write_text(
        '{"a.png": [[0, 0, 96, 88], [96, 0, 5, 5]], "b.png": [[0, 0, 96, 88]]}'
    )
    result = CliRunner().invoke(
        main, ["a.png", "b.png", *MODEL, "--json", "joints.json", "--boxes", "boxes.json"]
    )
    assert result.exit_code == 1
    assert "Error: a.png: box (96.0, 0.0, 5.0, 5.0) lies outside the picture" in result.output
    assert [one["image"] for one in read_json()] == ["b.png"]
    assert files_in("predictions") == ["b_pose.jpg"]


def test_without_boxes_one_person_fills_the_picture():
    assert locator([], None, False) is whole_picture
    grey = np.zeros((20, 30, 3), np.uint8)
    # A file that names no picture is not the same as no file.
    with pytest.raises(ValueError, match=r"^a\.jpg: no box for this picture in --boxes$"):
        locator([], Boxes({}), False)(grey, Path("a.jpg"))
    assert locator([(1, 2, 3, 4)], None, False)(grey, None) == [(1, 2, 3, 4)]
    with pytest.raises(ValueError, match=r"^--box: box .* lies outside the picture of 30×20 px"):
        locator([(30, 2, 3, 4)], None, False)(grey, None)


class Detector:
    """Stands for the network that finds people: somebody is where the picture is not grey."""

    def __call__(self, picture: np.ndarray) -> list[Box]:
        columns = np.flatnonzero((np.abs(picture.astype(int) - 128) > 60).any(axis=(0, 2)))
        gaps = np.flatnonzero(np.diff(columns) > 60)
        groups = [group for group in np.split(columns, gaps + 1) if group.size]
        return [(group[0] - 10.0, 0.0, np.ptp(group) + 20.0, 88.0) for group in groups]


def test_people_are_found_on_demand(
    save: Callable[..., Person], two: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("hourglass.inference.detection.PeopleDetector", Detector)
    Image.new("RGB", (90, 90), (128, 128, 128)).save("nobody.png")
    save("a.png")
    result = CliRunner().invoke(
        main, ["two.png", "nobody.png", "a.png", *MODEL, "--json", "joints.json", "--detect"]
    )
    # A picture that shows nobody is told, and the others are done.
    assert result.exit_code == 1
    assert "Error: nobody.png: --detect found nobody" in result.output
    found = read_json()
    assert [(one["image"], len(one["people"])) for one in found] == [("two.png", 2), ("a.png", 1)]
    assert_both_found(found[0], two)


def test_people_are_found_in_films_where_they_begin(
    film: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
):
    expected = film(numbers=(None, None, 0, 0, 0))

    def detect(picture: np.ndarray) -> list[Box]:
        return [(TIMES * 22, TIMES * 10, TIMES * 96, TIMES * 88)] if picture.max() > 200 else []

    monkeypatch.setattr("hourglass.inference.detection.PeopleDetector", lambda: detect)
    run("film.mp4", *MODEL, "--detect", "--json", "joints.json", "--draw", "nothing")
    found = read_json()
    # A film may show nobody for a while.
    assert [len(one["people"]) for one in found] == [0, 0, 1, 1, 1]
    for result, points in list(zip(found, expected, strict=True))[2:]:
        assert np.nanmax(np.abs(points_of(result) - points)) < 3


# What is drawn.


def test_what_is_drawn_is_chosen(save: Callable[..., Person]):
    save("a.png")
    drawn = {}
    for part in DRAWINGS:
        run("a.png", *MODEL, "--draw", part, "--output", part)
        if part != "nothing":
            drawn[part] = pixels(f"{part}/a_pose.jpg")
    assert not Path("nothing").exists()
    run("a.png", *MODEL, "--draw", "skeleton", "--draw", "keypoints", "--output", "both")
    run("a.png", *MODEL, "--output", "default")
    np.testing.assert_array_equal(pixels("both/a_pose.jpg"), pixels("default/a_pose.jpg"))
    drawn["both"] = pixels("both/a_pose.jpg")
    picture = pixels("a.png")
    for one, other in ((a, b) for a in drawn for b in drawn if a < b):
        assert np.abs(drawn[one] - drawn[other]).max() > 40
    for one in drawn.values():
        assert np.abs(one - picture).max() > 40


def test_nothing_drawn_is_still_found(save: Callable[..., Person]):
    person = save("a.png")
    run("a.png", *MODEL, "--draw", "nothing", "--json", "joints.json", "--output", "some")
    assert_found(points_of(read_json()[0]), person)
    assert not Path("some").exists()


def test_nothing_drawn_is_not_said_to_be(save: Callable[..., Person]):
    save("a.png")
    out, last = run("a.png", *MODEL, "--draw", "nothing")
    assert "drawn in" not in last
    assert out.splitlines()[0] == "a.png"


def test_another_drawing_is_refused(save: Callable[..., Person], error_of: Callable[..., str]):
    save("a.png")
    assert "'--draw'" in error_of(main, "a.png", *MODEL, "--draw", "bones")
    for score in ("-0.1", "1.1", "high"):
        assert "'--min-score'" in error_of(main, "a.png", *MODEL, "--min-score", score)
    for every in ("0", "-1", "half"):
        assert "'--every'" in error_of(main, "a.png", *MODEL, "--every", every)


def test_a_look_draws_everyone_in_layers(dot_finder: Runtime, two: list[np.ndarray]):
    estimator, picture = PoseEstimator(dot_finder), pixels("two.png").astype(np.uint8)
    boxes: list[Box] = [(0, 0, 96, 88), (192, 0, 96, 88)]
    poses = estimator.poses([picture] * 2, boxes)
    before = picture.copy()
    drawn = Look(("heatmap", "skeleton"), 0.3).draw(picture, poses, estimator)
    # Heatmaps lie below all skeletons.
    expected = picture
    for box in boxes:
        expected = draw_heatmap(expected, *estimator.highest_heatmap(picture, box))
    for pose in poses:
        expected = draw_pose(expected, pose, min_score=0.3, parts=["skeleton"])
    assert np.abs(drawn.astype(int) - expected).max() <= 25
    assert (drawn != picture).any()
    np.testing.assert_array_equal(picture, before)
    np.testing.assert_array_equal(Look().draw(picture, [], estimator), picture)
    np.testing.assert_array_equal(Look(("nothing",)).draw(picture, poses, estimator), picture)


def test_a_heatmap_is_predicted_from_the_picture_itself(
    dot_finder: Runtime, two: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
):
    # And not from what has been drawn on it for the person before.
    estimator, picture = PoseEstimator(dot_finder), pixels("two.png").astype(np.uint8)
    poses = estimator.poses([picture] * 2, [(0, 0, 96, 88), (8, 0, 96, 88)])
    seen = []
    highest = estimator.highest_heatmap

    def spy(image: np.ndarray, box: Box) -> tuple[np.ndarray, np.ndarray]:
        seen.append(image.copy())
        return highest(image, box)

    monkeypatch.setattr(estimator, "highest_heatmap", spy)
    Look(("heatmap",)).draw(picture, poses, estimator)
    assert len(seen) == 2
    for image in seen:
        np.testing.assert_array_equal(image, picture)


def test_a_pose_as_text_has_everyone(dot_finder: Runtime, two: list[np.ndarray]):
    picture = pixels("two.png").astype(np.uint8)
    poses = PoseEstimator(dot_finder).poses([picture] * 2, [(0, 0, 96, 88), (192, 0, 96, 88)])
    lines = format_pose(Found("two.png", 288, 88, poses), Path("drawn.jpg")).splitlines()
    assert lines[0] == "two.png -> drawn.jpg"
    assert len(lines) == 1 + 2 * 17
    assert [line.split()[0] for line in lines[2:18]] == list(MPII.joints)
    assert format_pose(Found("two.png", 288, 88, []), None) == "two.png"


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.bmp", "a.webp"])
def test_a_picture_is_saved_as_its_ending_says(name: str):
    picture = np.full((20, 30, 3), 77, np.uint8)
    save_picture(picture[:, ::-1], Path(name))
    with Image.open(name) as saved:
        assert saved.size == (30, 20)
        assert np.abs(np.asarray(saved.convert("RGB")).astype(int) - 77).max() <= 3


def test_a_picture_that_cannot_be_saved_is_told():
    picture = np.zeros((20, 30, 3), np.uint8)
    for name, told in (
        ("none/a.jpg", r"none/a\.jpg: cannot be written \(No such file or directory\)"),
        ("a.xyz", r"xyz"),
    ):
        with pytest.raises(ValueError, match=told):
            save_picture(picture, Path(name))


# What is written for others.


def test_all_formats_are_written_at_once_and_agree(save: Callable[..., Person]):
    for number, name in enumerate(("in/000000000007.png", "in/b.png", "x/b.png")):
        save(name, number)
    names = ["in/000000000007.png", "in/b.png", "x/b.png"]
    outputs = ("--json", "o.json", "--csv", "o.csv", "--coco", "c.json", "--openpose", "op/en")
    run(*names, *MODEL, *outputs)
    results = read_json("o.json")
    with Path("o.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == names
    coco = read_json("c.json")
    # Two would have the same number: all are counted.
    assert [entry["image_id"] for entry in coco] == [1, 2, 3]
    assert [entry["file_name"] for entry in coco] == names
    files = ["000000000007_keypoints.json", "b_keypoints.json", "b_keypoints_2.json"]
    assert files_in("op/en") == sorted(files)
    for result, row, entry, name in zip(results, rows, coco, files, strict=True):
        x, y = points_of(result)[MPII.index("left_knee")]
        assert float(row["left_knee_x"]) == pytest.approx(x, abs=1e-3)
        assert entry["keypoints"][3 * 13 + 1] == pytest.approx(y, abs=1e-3)
        opened = json.loads(Path("op/en", name).read_text())
        keypoints = opened["people"][0]["pose_keypoints_2d"]
        assert keypoints[3 * 13 : 3 * 13 + 2] == pytest.approx([x, y], abs=1e-3)


def test_scores_lie_between_0_and_1(save: Callable[..., Person]):
    for number in range(5):
        save(f"in/{number}.png", number)
    run("in", *MODEL, "--json", "joints.json")
    for result in read_json():
        (person,) = result["people"]
        for score in (person["score"], *(joint["score"] for joint in person["keypoints"])):
            assert 0 <= score <= 1


# What is there already.


EXISTING = [
    ("--output", "there", "there/a_pose.jpg"),
    ("--json", "there.json", "there.json"),
    ("--csv", "there.csv", "there.csv"),
    ("--coco", "there.json", "there.json"),
    pytest.param(
        *("--openpose", "there", "there/a_keypoints.json"),
    ),
]


@pytest.mark.parametrize(("option", "value", "file"), EXISTING)
def test_files_that_are_there_are_overwritten_by_force_only(
    save: Callable[..., Person],
    error_of: Callable[..., str],
    option: str,
    value: str,
    file: str,
):
    save("a.png")
    Path(file).parent.mkdir(exist_ok=True)
    Path(file).write_text("precious")
    line = error_of(main, "a.png", *MODEL, option, value)
    assert line == f"{file} is there already; --force would overwrite"
    assert Path(file).read_text() == "precious"
    # Nothing else was begun.
    assert not Path("predictions").exists()
    run("a.png", *MODEL, option, value, "--force")
    assert Path(file).read_bytes() != b"precious"


def test_a_film_that_is_there_is_overwritten_by_force_only(
    film: Callable[..., Any], error_of: Callable[..., str]
):
    film()
    Path("out.mp4").write_text("precious")
    line = error_of(main, "film.mp4", *MODEL, "--output", "out.mp4")
    assert line == "out.mp4 is there already; --force would overwrite"
    assert Path("out.mp4").read_text() == "precious"
    run("film.mp4", *MODEL, "--output", "out.mp4", "--force")
    assert len(list(Film(Path("out.mp4")))) == FRAMES


def test_all_that_is_there_is_counted():
    for name in ("a", "b", "c"):
        Path(name).touch()
    refuse_existing([], force=False)
    refuse_existing([Path("d"), None], force=False)
    refuse_existing([Path("a"), Path("b")], force=True)
    with pytest.raises(ValueError, match=r"^b is there already, and 2 more; --force would over"):
        refuse_existing([None, Path("b"), Path("d"), Path("a"), Path("c")], force=False)


def test_nothing_is_written_over_what_is_looked_at(
    save: Callable[..., Person], film: Callable[..., Any], error_of: Callable[..., str]
):
    # Not even by force: a film would be gone before it has been read.
    save("a.png")
    film()
    for arguments in (("film.mp4", "--output", "film.mp4"), ("a.png", "--json", "a.png")):
        before = Path(arguments[0]).read_bytes()
        assert arguments[0] in error_of(main, *arguments, *MODEL, "--force")
        assert Path(arguments[0]).read_bytes() == before


def test_two_outputs_do_not_share_a_file(save: Callable[..., Person], error_of: Callable[..., str]):
    save("a.png")
    assert "both" in error_of(main, "a.png", *MODEL, "--json", "both", "--csv", "both")


# Films.


FRAMES = 6
TIMES = 2
"""How much larger dotted people are in films, whose colours are coarser."""


@pytest.fixture
def film(
    dotted_person: Callable[..., tuple[Person, np.ndarray]],
) -> Callable[..., list[np.ndarray]]:
    """`film(name, frames, people)` writes a film of a person that moves a little each frame.

    Returns the joints of each frame, NaN where they are not labelled. A person numbered None is
    away: their frames are empty.
    """

    def write(
        name: str = "film.mp4", numbers: tuple[int | None, ...] = (0,) * FRAMES
    ) -> list[np.ndarray]:
        joints = []
        with FilmWriter(Path(name), rate=25.0) as writer:
            for place, number in enumerate(numbers):
                picture = np.full((TIMES * 110, TIMES * 150, 3), 128, np.uint8)
                points = np.full((16, 2), np.nan)
                if number is not None:
                    person, small = dotted_person(number)
                    large = small.repeat(TIMES, axis=0).repeat(TIMES, axis=1)
                    left, top = TIMES * (20 + place), TIMES * 10
                    picture[top : top + large.shape[0], left : left + large.shape[1]] = large
                    points = (person.points + 0.5) * TIMES - 0.5 + [left, top]
                    points[~person.labelled] = np.nan
                joints.append(points)
                writer.write(picture)
        return joints

    return write


BEGIN = ("--box", TIMES * 20, TIMES * 10, TIMES * 96, TIMES * 88)


def test_a_film_gets_its_joints_a_film_and_json(film: Callable[..., Any]):
    expected = film()
    _, last = run("film.mp4", *MODEL, *BEGIN, "--json", "joints.json", "--output", "out/new.mp4")
    assert last == "6 frames of 1 films done, drawn in out/new.mp4, model dots.keras"
    results = read_json()
    assert [(one["image"], one["frame"]) for one in results] == [
        ("film.mp4", number) for number in range(FRAMES)
    ]
    assert [one["time"] for one in results] == pytest.approx([n / 25 for n in range(FRAMES)])
    for result, points in zip(results, expected, strict=True):
        assert (result["width"], result["height"]) == (300, 220)
        assert np.nanmax(np.abs(points_of(result) - points)) < 3
    # The box goes with the person.
    assert results[-1]["people"][0]["box"][0] > results[1]["people"][0]["box"][0] + TIMES
    drawn = Film(Path("out/new.mp4"))
    assert drawn.rate == pytest.approx(25)
    frames, originals = list(drawn), list(Film(Path("film.mp4")))
    assert len(frames) == FRAMES
    for frame, original in zip(frames, originals, strict=True):
        assert frame.picture.shape == original.picture.shape
        changed = np.abs(frame.picture.astype(int) - original.picture).max(axis=-1) > 60
        assert changed.sum() > 100


@pytest.mark.parametrize("suffix", sorted(KINDS))
def test_films_are_written_as_their_ending_says(film: Callable[..., Any], suffix: str):
    film()
    run("film.mp4", *MODEL, "--every", 3, "--output", f"new{suffix}")
    assert len(list(Film(Path(f"new{suffix}")))) == 2


def test_some_frames_only_are_looked_at_on_demand(film: Callable[..., Any]):
    expected = film(numbers=(0,) * 7)
    _, last = run("film.mp4", *MODEL, *BEGIN, "--every", 3, "--json", "joints.json")
    assert last.startswith("3 frames of 1 films done, drawn in predictions")
    results = read_json()
    assert [(one["frame"], one["time"]) for one in results] == [(0, 0.0), (3, 0.12), (6, 0.24)]
    for result in results:
        assert np.nanmax(np.abs(points_of(result) - expected[result["frame"]])) < 3
    drawn = Film(Path("predictions/film_pose.mp4"))
    assert drawn.rate == pytest.approx(25 / 3, rel=1e-3)
    assert len(list(drawn)) == 3


def test_somebody_who_went_away_and_came_back_is_found_again(film: Callable[..., Any]):
    expected = film(numbers=(0, 0, None, None, 0, 0))
    run("film.mp4", *MODEL, *BEGIN, "--json", "joints.json", "--draw", "nothing")
    for result, points in zip(read_json(), expected, strict=True):
        if np.isnan(points).all():
            assert result["people"][0]["score"] < 0.5  # bridged
        else:
            assert np.nanmax(np.abs(points_of(result) - points)) < 3


def test_joints_of_films_are_smoothed_on_demand(film: Callable[..., Any]):
    expected = film()
    options = (*MODEL, *BEGIN, "--draw", "nothing")
    run("film.mp4", *options, "--json", "plain.json")
    run("film.mp4", *options, "--json", "smooth.json", "--smooth")
    plain, smooth = read_json("plain.json"), read_json("smooth.json")
    np.testing.assert_array_equal(points_of(plain[0]), points_of(smooth[0]))
    for one, other, points in zip(plain[1:], smooth[1:], expected[1:], strict=True):
        assert one["people"][0]["box"] == other["people"][0]["box"]
        assert (points_of(one) != points_of(other)).any()
        assert np.nanmax(np.abs(points_of(other) - points)) < 10


def test_films_are_written_in_every_format(film: Callable[..., Any]):
    film()
    run("film.mp4", *MODEL, "--csv", "o.csv", "--coco", "c.json", "--openpose", "open")
    with Path("o.csv").open() as file:
        assert [row["frame"] for row in csv.DictReader(file)] == [str(n) for n in range(FRAMES)]
    assert [entry["image_id"] for entry in read_json("c.json")] == list(range(FRAMES))
    assert files_in("open") == [f"film_{n:012d}_keypoints.json" for n in range(FRAMES)]


def test_pictures_and_films_are_looked_at_together(
    save: Callable[..., Person], film: Callable[..., Any]
):
    save("a.png")
    Path("x").mkdir()
    film("x/film.mp4")
    film("film.mp4")
    _, last = run("x/film.mp4", "a.png", "film.mp4", *MODEL, "--json", "joints.json")
    assert last.startswith("1 of 1 pictures and 12 frames of 2 films done, drawn in predictions")
    assert [one["image"] for one in read_json()] == ["a.png"] + ["x/film.mp4"] * 6 + [
        "film.mp4"
    ] * 6
    assert files_in("predictions") == ["a_pose.jpg", "film_pose.mp4", "film_pose_2.mp4"]


def test_films_cannot_share_a_file(
    save: Callable[..., Person], film: Callable[..., Any], error_of: Callable[..., str]
):
    save("a.png")
    film()
    line = error_of(main, "film.mp4", "b.mp4", *MODEL, "--output", "new.mp4")
    assert line == "--output new.mp4: 2 films cannot share one file"
    line = error_of(main, "a.png", *MODEL, "--output", "new.mp4")
    assert line == "--output new.mp4: of pictures, this is a folder, not a film"


def test_a_kind_of_film_that_cannot_be_written_is_told(
    film: Callable[..., Any], error_of: Callable[..., str]
):
    # And no folder is made that is called like one.
    film()
    assert "films are written as" in error_of(main, "film.mp4", *MODEL, "--output", "new.wmv")
    assert not Path("new.wmv").exists()


def test_films_are_named_after_what_they_show():
    assert film_targets([Path("x/a.avi"), 0, Path("y/a.mov")], Path("out")) == [
        Path("out/a_pose.mp4"),
        Path("out/camera0_pose.mp4"),
        Path("out/a_pose_2.mp4"),
    ]
    assert film_targets([3], Path("out/New.MKV")) == [Path("out/New.MKV")]
    assert film_targets([], Path("out")) == []


def test_a_box_outside_the_film_is_told(film: Callable[..., Any], error_of: Callable[..., str]):
    film()
    line = error_of(main, "film.mp4", *MODEL, "--box", 300, 0, 9, 9)
    assert line.startswith("--box: box (300.0, 0.0, 9.0, 9.0) lies outside the picture of 300×220")


@pytest.mark.parametrize("bad", ["missing.mp4", "text.mp4"])
def test_a_bad_film_is_told_and_everything_else_done(
    save: Callable[..., Person], film: Callable[..., Any], bad: str
):
    save("a.png")
    film()
    Path("text.mp4").write_text("This is no film.\n" * 100)
    result = CliRunner().invoke(
        main, ["a.png", "missing.png", bad, "film.mp4", *MODEL, "--json", "joints.json"]
    )
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    told = result.output.split("Error: ")[1].splitlines()
    assert [line.split(": ")[0] for line in told] == ["missing.png", bad]
    assert [one["image"] for one in read_json()] == ["a.png"] + ["film.mp4"] * FRAMES


@pytest.mark.parametrize(
    "where",
    [
        "poses",
        pytest.param("draw"),
    ],
)
def test_what_was_seen_until_an_interruption_is_kept(
    film: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, where: str
):
    # At any moment; and nothing else begins.
    film()
    shutil.copy("film.mp4", "next.mp4")
    owner, name = {"poses": (PoseEstimator, "poses"), "draw": (Canvas, "draw")}[where]
    original, calls = getattr(owner, name), []

    def interrupted(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(owner, name, interrupted)
    words = ["film.mp4", "next.mp4", *MODEL, "--json", "joints.json"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1, result.output
    kept = len(read_json())
    told = f"Error: film.mp4: interrupted after {kept} frames, which are kept"
    assert result.output.splitlines()[-2:] == [told, "not looked at: next.mp4"]
    assert f"{kept} frames of 2 films done" in result.output
    assert {one["image"] for one in read_json()} == {"film.mp4"}
    assert not Path("predictions/next_pose.mp4").exists()
    assert 3 <= kept < FRAMES
    assert len(list(Film(Path("predictions/film_pose.mp4")))) in (kept, kept - 1)


def test_ctrl_c_is_how_a_camera_ends(
    film: Callable[..., Any], dot_finder: Runtime, monkeypatch: pytest.MonkeyPatch
):
    film()
    camera = Film(Path("film.mp4"))
    camera.live = True
    monkeypatch.setattr("hourglass.inference.passes.open_film", lambda source, every: camera)

    def end(found: Found) -> None:
        raise KeyboardInterrupt

    how: dict[str, Any] = {"drawn": None, "look": Look(), "take": end}
    lines: list[str] = []
    handler = logger.add(lambda line: lines.append(str(line)), format="{message}")
    done = predict_film(0, PoseEstimator(dot_finder), whole_picture, **how)
    logger.remove(handler)
    assert done == Pass(0, [], interrupted=True)
    assert "interrupted\n" in lines


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_waits_until_a_frame_is_in_every_file(
    film: Callable[..., Any], dot_finder: Runtime, number: signal.Signals
):
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    film()
    one: list[Found] = []
    other: list[Found] = []

    def take(found: Found) -> None:
        one.append(found)
        if len(one) == 3:
            signal.raise_signal(number)
        other.append(found)

    how: dict[str, Any] = {"drawn": None, "look": Look(), "take": take}
    done = predict_film(Path("film.mp4"), PoseEstimator(dot_finder), whole_picture, **how)
    assert signal.signal(signal.SIGTERM, before) is signal.default_int_handler
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    told = "film.mp4: interrupted after 3 frames, which are kept"
    assert done == Pass(3, [told], interrupted=True)
    assert len(one) == len(other) == 3


def test_a_film_in_a_program(film: Callable[..., Any], dot_finder: Runtime):
    film()
    found: list[Found] = []
    done = predict_film(
        Path("film.mp4"),
        PoseEstimator(dot_finder),
        whole_picture,
        drawn=None,
        look=Look(),
        take=found.append,
    )
    assert done == Pass(len(found), [])
    assert [one.frame for one in found] == list(range(FRAMES))
    assert files_in(".") == ["film.mp4"]


def test_a_damaged_films_frames_are_kept_and_its_end_is_told(
    film: Callable[..., Any], dot_finder: Runtime
):
    film(numbers=tuple(range(FRAMES)))
    whole_film = Path("film.mp4").read_bytes()
    Path("film.mp4").write_bytes(whole_film[: len(whole_film) * 3 // 4])
    found: list[Found] = []
    done = predict_film(
        Path("film.mp4"),
        PoseEstimator(dot_finder),
        whole_picture,
        drawn=None,
        look=Look(),
        take=found.append,
    )
    told = f"film.mp4: film is damaged, it ends after {len(found)} of {FRAMES} frames"
    assert done == Pass(len(found), [told])
    assert 0 < len(found) < FRAMES


class Screen:
    """Stands for OpenCV's windows; a `key` is pressed at the frame numbered `at`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, key: str = "q", at: int = -1) -> None:
        self.open: set[str] = set()
        self.shown: list[np.ndarray] = []
        self._key, self._at = key, at
        monkeypatch.setattr(cv2, "namedWindow", lambda name, *flags: self.open.add(name))
        monkeypatch.setattr(cv2, "imshow", self._show)
        monkeypatch.setattr(cv2, "waitKey", self._wait)
        monkeypatch.setattr(cv2, "destroyAllWindows", self.open.clear)

    def _show(self, name: str, picture: np.ndarray) -> None:
        assert name in self.open == {WINDOW}
        self.shown.append(picture.copy())

    def _wait(self, milliseconds: int) -> int:
        assert milliseconds > 0  # 0 would wait for ever
        return ord(self._key) if len(self.shown) == self._at + 1 else -1


def test_a_film_is_shown_while_it_is_made(
    film: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
):
    film()
    screen = Screen(monkeypatch)
    run("film.mp4", *MODEL, "--show")
    assert len(screen.shown) == FRAMES
    assert not screen.open
    # What is shown below the text is what is written; OpenCV's windows want blue first.
    written = list(Film(Path("predictions/film_pose.mp4")))
    for shown, frame in zip(screen.shown, written, strict=True):
        assert np.abs(shown[40:, :, ::-1].astype(int) - frame.picture[40:]).mean() < 8
    run("film.mp4", *MODEL, "--show", "--draw", "nothing")
    assert len(screen.shown) == 2 * FRAMES


@pytest.mark.parametrize("key", ["q", "\x1b"])
def test_a_key_ends_the_film(film: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, key: str):
    film()
    screen = Screen(monkeypatch, key=key, at=2)
    run("film.mp4", *MODEL, "--show", "--json", "joints.json")
    assert len(screen.shown) == 3 == len(read_json())
    assert not screen.open
    assert len(list(Film(Path("predictions/film_pose.mp4")))) == 3


def test_a_window_that_cannot_be_opened_is_told(
    film: Callable[..., Any], error_of: Callable[..., str], monkeypatch: pytest.MonkeyPatch
):
    def refuse(name: str, *flags: int) -> None:
        raise cv2.error("The function is not implemented.")

    film()
    monkeypatch.setattr(cv2, "namedWindow", refuse)
    line = error_of(main, "film.mp4", *MODEL, "--show")
    assert line.startswith("--show: OpenCV can open no window here")


def test_a_folder_that_is_there_is_good_and_one_that_cannot_be_is_told():
    make_folder(Path("x/y"))
    make_folder(Path("x/y"))
    assert Path("x/y").is_dir()
    Path("file").touch()
    with pytest.raises(ValueError, match=r"^file/below: cannot be written \(Not a directory\)$"):
        make_folder(Path("file/below"))
