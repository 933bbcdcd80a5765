"""People's boxes from files: what stands there is found again, and what is no box is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hourglass.core.boxes import read_boxes, require_box, require_overlap
from hourglass.core.pose import Box, Pose
from hourglass.core.skeleton import MPII
from hourglass.media.results import Found, to_json, to_json_line


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    """`file(name, text)` writes a file and returns its path."""

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


TWO = [(1.5, -2.0, 30.0, 40.25), (100.0, 2.0, 3.0, 4.0)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "boxes.json",
            '{"a.jpg": [[1.5, -2, 30, 40.25], [100, 2, 3, 4]], "b.jpg": [[5, 6, 7, 8]]}',
        ),
        (
            "boxes.json",
            '[{"image": "a.jpg", "people": [{"box": [1.5, -2, 30, 40.25]}, '
            '{"box": [100, 2, 3, 4]}]}, {"image": "b.jpg", "people": [{"box": [5, 6, 7, 8]}]}]',
        ),
        (
            "boxes.csv",
            "image,x,y,width,height\na.jpg,1.5,-2,30,40.25\nb.jpg,5,6,7,8\na.jpg,100,2,3,4\n",
        ),
        (
            "boxes.jsonl",
            '{"image": "a.jpg", "people": [{"box": [1.5, -2, 30, 40.25]}, '
            '{"box": [100, 2, 3, 4]}]}\n\n{"image": "b.jpg", "people": [{"box": [5, 6, 7, 8]}]}\n',
        ),
        # Columns in any order, and others beside them.
        (
            "BOXES.CSV",
            "height,who,width,y,x,image\r\n40.25,Ann,30,-2,1.5,a.jpg\r\n"
            '4,"Bo, jr",3,2,100,a.jpg\r\n8,Cy,7,6,5,b.jpg\r\n',
        ),
    ],
)
def test_boxes_are_read_from_json_and_csv(file: Callable[..., Path], name: str, text: str):
    boxes = read_boxes(file(name, text))
    assert boxes.of(Path("a.jpg")) == TWO
    assert boxes.of(Path("b.jpg")) == [(5, 6, 7, 8)]
    assert boxes.of(Path("c.jpg")) == []


def test_a_picture_is_found_by_its_path_or_else_by_its_name(file: Callable[..., Path]):
    text = {"x/a.jpg": [[1, 1, 1, 1]], "a.jpg": [[2, 2, 2, 2]], "y/b.jpg": [[3, 3, 3, 3]]}
    boxes = read_boxes(file("boxes.json", json.dumps(text)))
    assert boxes.of(Path("x/a.jpg")) == [(1, 1, 1, 1)]
    assert boxes.of(Path("z/a.jpg")) == [(2, 2, 2, 2)]
    assert boxes.of(Path("a.jpg")) == [(2, 2, 2, 2)]
    # A path that is given must be met: another folder's b.jpg is another picture.
    assert boxes.of(Path("b.jpg")) == []
    assert boxes.of(Path("z/b.jpg")) == []


def test_names_beyond_ascii_are_found(file: Callable[..., Path]):
    for name, text in (
        ("boxes.json", '{"Süß 人.jpg": [[1, 2, 3, 4]]}'),
        ("boxes.csv", "image,x,y,width,height\nSüß 人.jpg,1,2,3,4\n"),
    ):
        assert read_boxes(file(name, text)).of(Path("in/Süß 人.jpg")) == [(1, 2, 3, 4)]


def test_what_predict_writes_is_read_back_exactly(file: Callable[..., Path]):
    rng = np.random.default_rng(0)
    found, expected = [], {}
    for number in range(20):
        boxes = [tuple(map(float, rng.uniform(0.1, 1000, 4))) for _ in range(number % 4)]
        expected[f"in/p{number}.jpg"] = boxes
        points, scores = rng.uniform(0, 99, (16, 2)), rng.uniform(0, 1, 16)
        poses = [
            Pose(points.astype(np.float32), scores.astype(np.float32), MPII, box) for box in boxes
        ]
        found.append(Found(f"in/p{number}.jpg", 1100, 1100, poses))
    lines = "".join(map(to_json_line, found))
    for file_name, text in (("found.json", to_json(found)), ("found.jsonl", lines)):
        boxes = read_boxes(file(file_name, text))
        for name, places in expected.items():
            assert boxes.of(Path(name)) == places


# What is refused.


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("boxes.json", "", "not a file of boxes"),
        ("boxes.json", "hello", "not a file of boxes"),
        ("boxes.json", "null", "not a file of boxes"),
        ("boxes.json", "3", "not a file of boxes"),
        ("boxes.json", '"text"', "not a file of boxes"),
        ("boxes.json", "[1]", "not a file of boxes"),
        ("boxes.json", '{"a.jpg": 3}', "not a file of boxes"),
        ("boxes.json", '[{"people": []}, {"image": "a.jpg"}]', "not a file of boxes"),
        ("boxes.json", '[{"image": "a.jpg", "people": [{"score": 1}]}]', "not a file of boxes"),
        ("boxes.json", '{"a.jpg": [1, 2, 3, 4]}', "a.jpg, box 0: box 1 must be four numbers"),
        ("boxes.json", '{"a.jpg": [[1, 2, 3, 4], [1, 2, 3]]}', "a.jpg, box 1: box [1, 2, 3] must"),
        ("boxes.json", '{"a.jpg": [[1, 2, 3, "wide"]]}', "a.jpg, box 0: box [1, 2, 3, 'wide']"),
        ("boxes.json", '{"a.jpg": [[1, 2, null, 4]]}', "a.jpg, box 0: box [1, 2, None, 4] must be"),
        ("boxes.json", '{"a.jpg": [[1, 2, 0, 4]]}', "a.jpg, box 0: box (1.0, 2.0, 0.0, 4.0): x y"),
        ("boxes.json", '{"a.jpg": [[NaN, 2, 3, 4]]}', "a.jpg, box 0: box (nan, 2.0, 3.0, 4.0): x"),
        (
            "boxes.json",
            '[{"image": "a.jpg", "people": [{"box": [1, 2, 3, -4]}]}]',
            "a.jpg, person 0: box (1.0, 2.0, 3.0, -4.0): x y w h must be finite",
        ),
        ("boxes.csv", "", "column height is missing"),
        ("boxes.jsonl", '{"image": "a", "people": []}\n{}\n', "line 2: not of a file of boxes"),
        ("boxes.jsonl", "1\n", "line 1: not of a file of boxes"),
        ("boxes.csv", "image,x,y,width\na.jpg,1,2,3\n", "column height is missing"),
        ("boxes.csv", "a.jpg,1,2,3,4\n", "column height is missing"),
        ("boxes.csv", "image,x,y,width,height\na.jpg,1,2,3\n", "line 2: box ['1', '2', '3', None]"),
        (
            "boxes.csv",
            "image,x,y,width,height\na.jpg,1,2,3,4\na.jpg,1,2,3,x\n",
            "line 3: box ['1', '2', '3', 'x'] must be four numbers x y width height",
        ),
        (
            "boxes.csv",
            "image,x,y,width,height\na.jpg,1,2,3,inf\n",
            "line 2: box (1.0, 2.0, 3.0, inf): x y w h must be finite, and w and h above 0 px",
        ),
    ],
)
def test_what_is_no_file_of_boxes_is_told_with_its_place(
    file: Callable[..., Path], name: str, text: str, told: str
):
    path = file(name, text)
    with pytest.raises(ValueError, match=r".") as caught:
        read_boxes(path)
    assert str(caught.value).startswith(f"{path}: {told}")
    if told.startswith(("not a file", "column")):
        assert "image,x,y,width,height" in str(caught.value)  # what would be allowed


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param(
            "boxes.json", '[{"image": ["a"], "people": [{"box": [1, 2, 3, 4]}]}]', id="list"
        ),
        pytest.param("boxes.json", '{"a.jpg": [[1, 2, 3, 1' + "0" * 400 + "]]}", id="large"),
        pytest.param("boxes.json", "[" * 100_000, id="deep"),
        pytest.param("boxes.csv", '"' + "a" * 200_000 + '"\n', id="long"),
    ],
)
def test_odd_files_are_told_too(file: Callable[..., Path], name: str, text: str):
    path = file(name, text)
    with pytest.raises(ValueError, match=r".") as caught:
        read_boxes(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value)) < 1000


def test_a_table_from_a_spreadsheet_program_is_read(file: Callable[..., Path]):
    # Which begin their UTF-8 with a mark of byte order.
    path = file("boxes.csv", "\ufeffimage,x,y,width,height\na.jpg,1,2,3,4\n")
    assert read_boxes(path).of(Path("a.jpg")) == [(1, 2, 3, 4)]


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path):
    with pytest.raises(ValueError, match=r"none\.json: boxes cannot be read \(.*No such file"):
        read_boxes(tmp_path / "none.json")
    with pytest.raises(ValueError, match=r"boxes cannot be read"):
        read_boxes(tmp_path)
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x80")
    with pytest.raises(ValueError, match=r"binary\.json: boxes cannot be read"):
        read_boxes(tmp_path / "binary.json")


# Whether a box fits.


@pytest.mark.parametrize("box", [(0, 0, 1, 1), (-5, -5, 0.1, 0.1), (1e6, -1e6, 1e6, 1e-6)])
def test_a_box_with_area_is_one(box: Box):
    require_box(box, where="here")


@pytest.mark.parametrize(
    "box",
    [
        (0, 0, 0, 1),
        (0, 0, 1, -1),
        (float("nan"), 0, 1, 1),
        (0, float("-inf"), 1, 1),
        (0, 0, float("inf"), 1),
        (0, 0, 1, float("nan")),
    ],
)
def test_a_box_without_area_is_refused(box: Box):
    for refuse in (
        lambda: require_box(box, where="here"),
        lambda: require_overlap(box, width=10, height=10, where="here"),
    ):
        with pytest.raises(ValueError, match=r"^here: box .* w and h above 0 px$"):
            refuse()


def test_a_box_beyond_all_pictures_is_refused():
    for box in ((1e10, 0, 1, 1), (0, -1e10, 1, 1), (0, 0, 1e10, 1)):
        with pytest.raises(ValueError, match=r"^here: box .* x y w h must be at most 1e\+09 px$"):
            require_box(box, where="here")


@pytest.mark.parametrize(
    "box", [(0, 0, 30, 20), (29, 19, 5, 5), (-4, -4, 5, 5), (-100, -100, 300, 300), (3, 4, 0.5, 1)]
)
def test_a_box_that_shows_some_of_its_picture_fits(box: Box):
    require_overlap(box, width=30, height=20, where="here")


@pytest.mark.parametrize("box", [(30, 0, 5, 5), (0, 20, 5, 5), (-5, 0, 5, 5), (0, -5, 5, 5)])
def test_a_box_beside_its_picture_is_refused(box: Box):
    with pytest.raises(ValueError, match=r"^here: box .* lies outside the picture of 30×20 px$"):
        require_overlap(box, width=30, height=20, where="here")
