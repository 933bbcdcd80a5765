"""Parts of an archive's results: a row per input whatever becomes of it, in whole files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from hourglass.core.boxes import Boxes
from hourglass.core.person import Person
from hourglass.inference.parts import KINDS, LINES, How, Part, Predictor, inputs_of, write_part


@pytest.fixture
def pictures(tmp_path: Path, dotted_person: Callable[..., Any]) -> list[Person]:
    """0.png and 1.png show people, 2.png is none."""
    people = []
    for number in range(2):
        person, picture = dotted_person(number)
        cv2.imwrite(str(tmp_path / f"{number}.png"), picture[..., ::-1])
        people.append(person)
    (tmp_path / "2.png").write_text("no picture")
    return people


def read_part(path: Path) -> list[dict[str, Any]]:
    if path.suffix == f".{LINES}":
        return [json.loads(line) for line in path.read_text().splitlines()]
    pq = pytest.importorskip("pyarrow.parquet")
    return pq.read_table(path).to_pylist()


def predict(part: Part, how: How, folder: Path, kind: str) -> dict[str, Any]:
    outcome = Predictor(how, folder, kind)({"item": np.array([part.to_json()])})
    return {name: values[0] for name, values in outcome.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_each_picture_has_a_row_with_its_joints_or_its_error(
    tmp_path: Path, model: Path, pictures: list[Person], kind: str
):
    names = [str(tmp_path / f"{number}.png") for number in range(3)]
    part = Part(f"part-1.{kind}", tuple(names))
    outcome = predict(part, How(model), tmp_path, kind)
    assert (outcome["inputs"], outcome["failure"]) == (3, "")
    rows = read_part(tmp_path / part.name)
    assert [row["input"] for row in rows] == names == inputs_of(tmp_path / part.name)
    assert [row["kind"] for row in rows] == ["picture"] * 3
    assert [row["error"] for row in rows[:2]] == [None, None]
    assert json.loads(outcome["errors"]) == [rows[2]["error"]]
    assert rows[2]["error"].startswith(f"{names[2]}: ")
    assert rows[2]["frames"] == []
    for person, row in zip(pictures, rows, strict=False):
        (frame,) = row["frames"]
        assert (frame["width"], frame["height"], frame["frame"]) == (96, 88, None)
        (found,) = frame["people"]
        joints = found["keypoints"]
        points = np.array([[joint["x"], joint["y"]] for joint in joints])
        labelled = person.labelled
        assert np.abs(points - person.points)[labelled].max() < 1
        assert [joint["name"] for joint in joints][:2] == ["right_ankle", "right_knee"]
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_film_is_a_row_of_frames(
    tmp_path: Path, model: Path, dotted_person: Callable[..., Any], kind: str
):
    film = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(film), cv2.VideoWriter_fourcc(*"MJPG"), 10, (96, 88))
    for number in range(4):
        writer.write(dotted_person(number)[1][..., ::-1])
    writer.release()
    part = Part(f"part-1.{kind}", film=str(film))
    assert predict(part, How(model, every=2), tmp_path, kind)["inputs"] == 1
    (row,) = read_part(tmp_path / part.name)
    assert (row["input"], row["kind"], row["error"]) == (str(film), "film", None)
    assert [frame["frame"] for frame in row["frames"]] == [0, 2]
    assert [frame["time"] for frame in row["frames"]] == [0, 0.2]
    assert all(frame["people"][0]["id"] == 1 for frame in row["frames"])


def test_a_film_that_cannot_be_opened_is_a_row_too(tmp_path: Path, model: Path):
    (tmp_path / "film.mp4").write_text("no film")
    part = Part("part-1.jsonl", film=str(tmp_path / "film.mp4"))
    outcome = predict(part, How(model), tmp_path, LINES)
    (row,) = read_part(tmp_path / part.name)
    assert row["frames"] == []
    assert json.loads(outcome["errors"]) == [row["error"]]
    assert str(tmp_path / "film.mp4") in row["error"]


def test_boxes_are_each_pictures_own(tmp_path: Path, model: Path, pictures: list[Person]):
    names = tuple(str(tmp_path / f"{number}.png") for number in range(2))
    boxes = (((0.0, 0.0, 96.0, 88.0), (2.0, 1.0, 90.0, 84.0)), ())
    part = Part("part-1.jsonl", names, boxes)
    assert Part.from_json(part.to_json()) == part
    predict(part, How(model, listed=Boxes({})), tmp_path, LINES)
    rows = read_part(tmp_path / part.name)
    assert [one["box"] for one in rows[0]["frames"][0]["people"]] == list(map(list, boxes[0]))
    assert rows[1]["error"] == f"{names[1]}: no box for this picture in --boxes"


@pytest.mark.parametrize("kind", KINDS)
def test_a_part_that_cannot_be_written_is_told(tmp_path: Path, kind: str):
    with pytest.raises(ValueError, match=rf"^{tmp_path}/none/p\.x: cannot be written \(No such"):
        write_part([], tmp_path / "none" / "p.x", kind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_part_is_told(tmp_path: Path, kind: str):
    path = tmp_path / f"part-1.{kind}"
    path.write_text('{"image": 1}\n')
    with pytest.raises(ValueError, match=rf"^{path}: not a part of an archive's results"):
        inputs_of(path)


def test_results_depend_on_the_models_bytes_and_the_choices(tmp_path: Path):
    one, other = tmp_path / "one.onnx", tmp_path / "other.onnx"
    for path in (one, other):
        path.write_bytes(b"same")
    settings = How(one).settings()
    assert How(other).settings() == settings
    other.write_bytes(b"changed")
    assert How(other).settings() != settings
    assert How(one, listed=Boxes({"a": [(0, 0, 1, 1)]})).settings() != settings
    assert json.loads(json.dumps(settings)) == settings
    with pytest.raises(ValueError, match="none: no such model file"):
        How(tmp_path / "none").settings()
