"""The reader of MPII's JSON layout: where its conventions end, and what it says of wrong files."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hourglass.core.person import Person
from hourglass.data.readers.label_set import WHOLE
from hourglass.data.readers.mpii_json import read

MISSING = [-1.0, -1.0]


def make_entry(**changes: Any) -> dict[str, Any]:
    """A person as MPII users have them; joint j stands at (10 + j, 20 + 2 j), 1-based px."""
    entry = {
        "image": "015601864.jpg",
        "joints": [[10.0 + joint, 20.0 + 2 * joint] for joint in range(16)],
        "joints_vis": [1] * 16,
        "center": [594.0, 257.0],
        "scale": 3.021046,
    }
    return {**entry, **changes}


def joints_with(joint: int, value: Any) -> list[Any]:
    joints: list[Any] = make_entry()["joints"]
    joints[joint] = value
    return joints


def write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "train.json"


def read_people(path: Path) -> list[Person]:
    return read(path).people[WHOLE]


def read_one(path: Path, **changes: Any) -> Person:
    (person,) = read_people(write(path, [make_entry(**changes)]))
    return person


# What is read


def test_pixels_become_0_based(path: Path):
    person = read_one(path)
    assert person.points.dtype == np.float32
    assert person.points.tolist() == [[9.0 + joint, 19.0 + 2 * joint] for joint in range(16)]


def test_fractions_of_a_pixel_are_kept(path: Path):
    person = read_one(path, joints=joints_with(3, [620.7083, 394.4996]))
    np.testing.assert_array_equal(person.points[3], np.float32([619.7083, 393.4996]))


def test_the_center_moves_down_by_15_px_per_scale(path: Path):
    person = read_one(path, center=[100.5, 50.25], scale=2.0)
    assert person.center.dtype == np.float32
    assert person.center.tolist() == [99.5, 79.25]
    assert person.scale == 2.0


def test_the_first_person_of_mpiis_training_set(path: Path):
    person = read_one(path)
    np.testing.assert_allclose(person.center, [593.0, 301.31569], rtol=1e-7)
    assert person.scale == 3.021046
    assert person.filename == "015601864.jpg"


def test_a_joint_at_minus_1_has_no_label(path: Path):
    person = read_one(path, joints=joints_with(5, MISSING))
    assert np.flatnonzero(~person.labelled).tolist() == [5]
    assert person.points[5].tolist() == MISSING


def test_a_missing_joint_may_be_written_with_integers(path: Path):
    person = read_one(path, joints=joints_with(5, [-1, -1]))
    assert np.flatnonzero(~person.labelled).tolist() == [5]
    assert person.points[5].tolist() == MISSING


def test_a_joint_of_joints_vis_0_has_no_label(path: Path):
    """[0, 0] with `joints_vis` 0 is how COCO and others write a joint without label."""
    joints, joints_vis = joints_with(5, [0, 0]), [1] * 16
    joints_vis[5] = joints_vis[7] = 0
    labels = read(write(path, [make_entry(joints=joints, joints_vis=joints_vis)]))
    (person,) = labels.people[WHOLE]
    assert np.flatnonzero(~person.labelled).tolist() == [5, 7]
    assert person.points[[5, 7]].tolist() == [MISSING, MISSING]
    assert person.visibility[0] == 2
    assert labels.notes == [f"{path}: 2 joints have 'joints_vis' 0: not labelled"]


def test_joints_that_are_missing_twice_over_are_no_news(path: Path):
    joints_vis = [1] * 16
    joints_vis[5] = 0
    entry = make_entry(joints=joints_with(5, MISSING), joints_vis=joints_vis)
    assert read(write(path, [entry])).notes == []


def test_a_byte_order_mark(path: Path):
    path.write_text(json.dumps([make_entry()]), encoding="utf-8-sig")
    assert len(read_people(path)) == 1


@pytest.mark.parametrize("place", [[-1, 7], [7, -1], [0, 0], [-1, -2.5], [-40, -30]])
def test_only_minus_1_in_both_means_missing(path: Path, place: list[float]):
    person = read_one(path, joints=joints_with(2, place))
    assert person.labelled.all()
    assert person.points[2].tolist() == [place[0] - 1, place[1] - 1]


def test_a_joint_that_becomes_minus_1_stays_labelled(path: Path):
    """1-based (0, 0) is 0-based (-1, -1), which marks a missing joint elsewhere."""
    person = read_one(path, joints=joints_with(2, [0, 0]))
    assert person.labelled[2]


def test_people_come_in_the_files_order(path: Path):
    names = [f"{number}.jpg" for number in (3, 1, 2)]
    people = read_people(write(path, [make_entry(image=name) for name in names]))
    assert [person.filename for person in people] == names


def test_other_fields_are_passed_over(path: Path):
    entry = make_entry(dataset="MPI", objpos=[1, 2])
    assert read_people(write(path, [entry]))[0].filename == "015601864.jpg"


def test_a_name_may_have_any_letters(path: Path):
    entry = json.dumps([make_entry(image="dir/ünïcode 图.jpg")], ensure_ascii=False)
    path.write_text(entry, encoding="utf-8")
    assert read_people(path)[0].filename == "dir/ünïcode 图.jpg"


# What is said of wrong files


def test_a_file_that_cannot_be_read(tmp_path: Path):
    with pytest.raises(ValueError, match=r"train\.json: cannot be read \(No such file"):
        read_people(tmp_path / "train.json")


@pytest.mark.parametrize(
    "content",
    [b"", b"not JSON", b'[{"image": "a.jpg"', b"\xff\xfe\x00", b"[1] [2]"],
    ids=["empty", "words", "truncated", "binary", "two lists"],
)
def test_what_is_not_json(path: Path, content: bytes):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"^[^\n]*train\.json: not JSON \("):
        read_people(path)


def test_brackets_without_end(path: Path):
    path.write_text("[" * 200_000)
    with pytest.raises(ValueError, match=r"train\.json: not JSON"):
        read_people(path)


@pytest.mark.parametrize(
    ("content", "got"),
    [({"people": []}, "{'people': []}"), ([], "[]"), (7, "7"), (None, "None"), ("x", "'x'")],
)
def test_what_is_not_a_list_of_people(path: Path, content: Any, got: str):
    with pytest.raises(ValueError, match=re.escape(f"{path}: must be a list of people, got {got}")):
        read_people(write(path, content))


def test_what_was_received_is_shortened(path: Path):
    with pytest.raises(ValueError, match=r"got \{'a': '(x+)\.\.\.$") as caught:
        read_people(write(path, {"a": "x" * 10_000}))
    assert len(str(caught.value)) < len(str(path)) + 120


@pytest.mark.parametrize("entry", [7, None, "x", [1, 2]])
def test_a_person_that_is_not_an_object(path: Path, entry: Any):
    message = f"{path}: person 1: must be an object, got {entry!r}"
    with pytest.raises(ValueError, match=re.escape(message)):
        read_people(write(path, [make_entry(), entry]))


@pytest.mark.parametrize("field", ["image", "joints", "joints_vis", "center", "scale"])
def test_a_missing_field_is_named(path: Path, field: str):
    entry = make_entry()
    del entry[field]
    message = f"{path}: person 2: field '{field}' is missing"
    with pytest.raises(ValueError, match=re.escape(message)):
        read_people(write(path, [make_entry(), make_entry(), entry]))


NAN, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": 7}, "'image' is 7, it must be a file name"),
        ({"image": ""}, "'image' is '', it must be a file name"),
        ({"image": None}, "'image' is None, it must be a file name"),
        ({"joints": [[1, 2]] * 15}, "'joints' has 15 entries, it must have 16"),
        ({"joints": [[1, 2]] * 17}, "'joints' has 17 entries, it must have 16"),
        ({"joints": "none"}, "'joints' has 'none', it must have 16"),
        ({"joints": None}, "'joints' has None, it must have 16"),
        ({"joints": joints_with(4, [1, 2, 0])}, "'joints' has 3 entries, it must have 2"),
        ({"joints": joints_with(4, [1])}, "'joints' has 1 entries, it must have 2"),
        ({"joints": joints_with(4, None)}, "'joints' has None, it must have 2"),
        ({"joints": joints_with(4, ["12", 3])}, "'joints' has '12', it must be a number"),
        ({"joints": joints_with(4, [None, 3])}, "'joints' has None, it must be a number"),
        ({"joints": joints_with(4, [True, 3])}, "'joints' has True, it must be a number"),
        ({"joints": joints_with(4, [NAN, 3])}, "'joints' has nan, it must be finite"),
        ({"joints": joints_with(4, [3, -INFINITE])}, "'joints' has -inf, it must be finite"),
        ({"joints_vis": [1] * 15}, "'joints_vis' has 15 entries, it must have 16"),
        ({"joints_vis": ["1"] * 16}, "'joints_vis' has '1', it must be a number"),
        ({"joints_vis": [NAN] * 16}, "'joints_vis' has nan, it must be finite"),
        ({"center": [1, 2, 3]}, "'center' has 3 entries, it must have 2"),
        ({"center": 5}, "'center' has 5, it must have 2"),
        ({"center": ["left", 2]}, "'center' has 'left', it must be a number"),
        ({"center": [1, INFINITE]}, "'center' has inf, it must be finite"),
        ({"scale": "3"}, "'scale' has '3', it must be a number"),
        ({"scale": [3]}, "'scale' has [3], it must be a number"),
        ({"scale": False}, "'scale' has False, it must be a number"),
        ({"scale": NAN}, "'scale' has nan, it must be finite"),
        ({"scale": INFINITE}, "'scale' has inf, it must be finite"),
        ({"scale": 0}, "'scale' is 0.0, it must be above 0"),
        ({"scale": -1.5}, "'scale' is -1.5, it must be above 0"),
    ],
)
def test_a_wrong_value_is_named(path: Path, changes: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=re.escape(f"{path}: person 1: {message}")) as caught:
        read_people(write(path, [make_entry(), make_entry(**changes)]))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("field", ["scale", "center", "joints"])
def test_an_integer_too_long_for_a_number(path: Path, field: str):
    number = 10**400
    value = {"scale": number, "center": [number, 1], "joints": joints_with(0, [number, 1])}[field]
    with pytest.raises(ValueError, match=re.escape(f"{path}: person 0: '{field}' ")):
        read_people(write(path, [make_entry(**{field: value})]))


@pytest.mark.parametrize("field", ["scale", "center", "joints"])
def test_a_number_too_large_for_a_record(path: Path, field: str):
    """Records hold float32: 1e39 would be infinite there."""
    value = {"scale": 1e39, "center": [1e39, 1], "joints": joints_with(0, [1e39, 1])}[field]
    with pytest.raises(ValueError, match=re.escape(f"{path}: person 0: '{field}' ")):
        read_people(write(path, [make_entry(**{field: value})]))


def test_a_scale_that_would_be_0_in_a_record(path: Path):
    with pytest.raises(ValueError, match=r"person 0: 'scale' is 1e-50, it must be above 0"):
        read_people(write(path, [make_entry(scale=1e-50)]))


@pytest.mark.parametrize("name", ["a\0b.jpg", "\ud800.jpg"], ids=["zero byte", "half a letter"])
def test_a_name_that_no_file_can_have(path: Path, name: str):
    with pytest.raises(ValueError, match=re.escape(f"{path}: person 0: 'image' is ")):
        read_people(write(path, [make_entry(image=name)]))


# Whose labels they are


def test_an_entry_may_say_whose_labels_they_are(path: Path):
    assert read_one(path).source == ""
    assert read_one(path, label_source="teachers").source == "teachers"
    assert read_one(path, label_source="teachers").weights is None


def test_joints_count_less_the_more_their_makers_disagreed(path: Path):
    disagreement = [0.0, 0.15, 0.3, None] + [0] * 12
    person = read_one(path, label_source="teachers", disagreement=disagreement)
    assert person.weights is not None
    assert person.weights.dtype == np.float32
    np.testing.assert_allclose(person.weights, [1, 0.5, 0.2] + [1] * 13, rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"label_source": 3}, "'label_source' is 3, it must be text"),
        ({"label_source": "\ud800"}, "it must be text"),
        ({"disagreement": 0.3}, "'disagreement' is 0.3, it must be a list of 16"),
        ({"disagreement": [0.1] * 15}, "it must be a list of 16"),
        ({"disagreement": [0.1] * 15 + ["x"]}, "'disagreement' has 'x', it must be null or a num"),
        ({"disagreement": [0.1] * 15 + [-1]}, "'disagreement' has -1, it must be null or a number"),
        ({"disagreement": [0.1] * 15 + [True]}, "'disagreement' has True, it must be null or a"),
        ({"disagreement": [float("nan")] * 16}, "'disagreement' has nan, it must be null or a num"),
    ],
)
def test_what_is_wrong_about_a_source_is_named(path: Path, changes: dict[str, Any], problem: str):
    write(path, [make_entry(), make_entry(**changes)])
    with pytest.raises(ValueError, match=re.escape(problem)) as error:
        read_people(path)
    assert str(error.value).startswith(f"{path}: person 1: ")
