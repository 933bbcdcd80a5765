"""Predictions: joints in pictures and films as people see them, drawn, written, bad files told."""

from __future__ import annotations

import csv
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from hourglass.boxes import Boxes
from hourglass.drawing import draw_heatmap, draw_pose
from hourglass.estimator import PoseEstimator
from hourglass.pipeline import whole_picture
from hourglass.pose import Box, Pose
from hourglass.predict import (
    DRAWINGS,
    MOST_TOLD,
    WINDOW,
    Look,
    Outputs,
    drawn_names,
    film_targets,
    format_pose,
    locator,
    main,
    make_folder,
    openpose_names,
    predict_film,
    predict_pictures,
    refuse_existing,
    save_picture,
)
from hourglass.records import Person
from hourglass.results import Found
from hourglass.runtimes import KerasRuntime, Runtime
from hourglass.skeleton import LEFT, MPII, RIGHT
from hourglass.video import CODECS, Film, FilmWriter

ORIENTATION = 0x0112
MODEL = ("--model", "dots.keras")
REAL_RUNTIME = KerasRuntime


@pytest.fixture(autouse=True)
def dots(monkeypatch: pytest.MonkeyPatch, dot_finder: Runtime, tmp_path: Path) -> None:
    """Every `.keras` file finds dots, and commands run in a folder of their own."""
    monkeypatch.setattr("hourglass.runtimes.KerasRuntime", lambda path: dot_finder)
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
        (found,), failures = predict_pictures(
            [Path("a.png")], PoseEstimator(dot_finder), whole_picture, drawn=[Path(name)], look=look
        )
        assert failures == []
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
    titles = [line for line in out.splitlines() if "->" in line]
    assert titles == [f"{name} -> predictions/{name[:2]}_pose.jpg" for name in names]
    assert sorted(path.name for path in Path("predictions").iterdir()) == [
        f"p{number}_pose.jpg" for number in range(4)
    ]


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


def test_bad_pictures_are_told_even_if_json_cannot_be_written(save: Callable[..., Person]):
    save("a.png")
    Path("file").touch()
    result = CliRunner().invoke(
        main, ["a.png", "missing.jpg", *MODEL, "--json", "file/joints.json"]
    )
    assert result.exit_code == 1
    assert "file/joints.json" in result.output
    assert "missing.jpg: picture cannot be read" in result.output


def test_a_model_that_is_none_is_told(
    save: Callable[..., Person], error_of: Callable[..., str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("hourglass.runtimes.KerasRuntime", REAL_RUNTIME)
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
