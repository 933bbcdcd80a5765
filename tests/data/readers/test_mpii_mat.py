"""MPII's own MATLAB file: the field's validation people, and structures that leave things out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from hourglass.core.skeleton import MPII
from hourglass.data.readers import mpii_mat

EMPTY = np.empty((0, 0))
"""What MATLAB writes for []."""

VALIDATION_PICTURE = "005808361.jpg"
VALIDATION_PLACE = (966.0, 340.0)
VALIDATION_SCALE = 4.718488


def struct(rows: Sequence[dict[str, Any]]) -> np.ndarray:
    """A 1 × N structure array: all have the same fields, empty where a row has none."""
    fields = list(dict.fromkeys(field for row in rows for field in row))
    array = np.empty((1, len(rows)), [(field, object) for field in fields])
    for index, row in enumerate(rows):
        array[0, index] = tuple(row.get(field, EMPTY) for field in fields)
    return array


def cells(values: Sequence[Any]) -> np.ndarray:
    """An N × 1 cell array."""
    array = np.empty((len(values), 1), object)
    for index, value in enumerate(values):
        array[index, 0] = value
    return array


def make_points(**changes: Any) -> dict[str, Any]:
    points = [{"x": 10.0 + j, "y": 20.0 + j, "id": j, "is_visible": 1} for j in range(16)]
    return {"point": struct([{**point, **changes} for point in points])}


def make_person(**changes: Any) -> dict[str, Any]:
    person = {
        "scale": 2.0,
        "objpos": struct([{"x": 594.0, "y": 257.0}]),
        "annopoints": struct([make_points()]),
    }
    return {name: one for name, one in {**person, **changes}.items() if one is not None}


def held_out_person() -> dict[str, Any]:
    x, y = VALIDATION_PLACE
    return make_person(scale=VALIDATION_SCALE, objpos=struct([{"x": x, "y": y}]))


def write(
    path: Path, pictures: dict[str, list[dict[str, Any]]], *, training: Sequence[int] = (), **extra
) -> Path:
    """MPII's nesting: all people of a picture stand apart."""
    annolist = struct(
        [
            {"image": struct([{"name": name}]), "annorect": struct(people) if people else EMPTY}
            for name, people in pictures.items()
        ]
    )
    release = {
        "annolist": annolist,
        "img_train": np.array([list(training) or [1] * len(pictures)]),
        "single_person": cells([np.arange(1, len(one) + 1)[:, None] for one in pictures.values()]),
        **extra,
    }
    savemat(path, {"RELEASE": struct([release])})
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mpii_human_pose_v1_u12_1.mat"


def read_one(path: Path, person: dict[str, Any]) -> Any:
    """The training person of a file that also has the first person of the field's validation."""
    pictures = {VALIDATION_PICTURE: [held_out_person()], "a.jpg": [make_person(), person]}
    return mpii_mat.read(write(path, pictures))


def test_the_split_is_the_fields_and_pixels_become_0_based(path: Path):
    labels = mpii_mat.read(
        write(path, {VALIDATION_PICTURE: [held_out_person(), make_person()], "a.jpg": []})
    )
    (train,), (validation,) = labels.people["train"], labels.people["validation"]
    assert labels.skeleton is MPII
    assert train.filename == validation.filename == VALIDATION_PICTURE
    assert train.points[3].tolist() == [12, 22]
    np.testing.assert_allclose(train.center, [593, 256 + 15 * 2.0])
    np.testing.assert_allclose(validation.center, [965, 339 + 15 * VALIDATION_SCALE], rtol=1e-6)
    assert validation.scale == pytest.approx(VALIDATION_SCALE)


def test_the_list_counts_people_from_0():
    people = mpii_mat.read_list()
    assert len(people) == 2958
    assert min(person for _, person in people) == 0
    assert people[VALIDATION_PICTURE, 0].place.tolist() == list(VALIDATION_PLACE)


def test_another_edition_is_refused(path: Path):
    moved = make_person(objpos=struct([{"x": 100.0, "y": 340.0}]))
    write(path, {VALIDATION_PICTURE: [moved], "a.jpg": [make_person()]})
    with pytest.raises(ValueError, match=r"person 0 \(from 0\) of 005808361\.jpg has 'objpos'"):
        mpii_mat.read(path)


@pytest.mark.parametrize(
    ("person", "reason"),
    [
        (make_person(annopoints=None), "have no joints"),
        (make_person(annopoints=EMPTY), "have no joints"),
        (make_person(annopoints=struct([{"point": EMPTY}])), "have no joints"),
        (make_person(objpos=None), "have no 'objpos'"),
        (make_person(objpos=struct([{"x": EMPTY, "y": 3.0}])), "have no 'objpos'"),
        (make_person(scale=None), "have no 'scale'"),
    ],
)
def test_people_who_lack_something_are_left_out_and_counted(
    path: Path, person: dict[str, Any], reason: str
):
    labels = read_one(path, person)
    assert len(labels.people["train"]) == 1
    assert labels.notes[0] == f"{path}: 1 people {reason}: left out"


@pytest.mark.parametrize(
    ("is_visible", "visibility"),
    [(1, 2), (0, 1), ("1", 2), ("0", 1), ("", 1), (EMPTY, 1), (1.0, 2), (np.uint8(1), 2)],
)
def test_visibility_is_a_number_a_text_or_nothing(path: Path, is_visible: Any, visibility: int):
    person = make_person(annopoints=struct([make_points(is_visible=is_visible)]))
    _, second = read_one(path, person).people["train"]
    assert second.visibility.tolist() == [visibility] * 16


def test_points_without_is_visible_and_a_single_point(path: Path):
    point = struct([{"x": 5.0, "y": 6.0, "id": 9}])
    person = make_person(annopoints=struct([{"point": point}]))
    _, second = read_one(path, person).people["train"]
    assert second.visibility.tolist() == [0] * 9 + [1] + [0] * 6
    assert second.points[9].tolist() == [4, 5]
    assert second.points[0].tolist() == [-1, -1]


def test_test_pictures_and_people_in_groups_are_not_for_training(path: Path):
    pictures = {
        VALIDATION_PICTURE: [held_out_person()],
        "a.jpg": [make_person(), make_person()],
        "test.jpg": [make_person()],
    }
    alone = cells([[[1]], [[2]], EMPTY])
    labels = mpii_mat.read(write(path, pictures, training=[1, 1, 0], single_person=alone))
    assert [person.filename for person in labels.people["train"]] == ["a.jpg"]
    assert f"{path}: 1 people do not stand apart from others: left out" in labels.notes


def test_missing_validation_people_are_told(path: Path):
    labels = read_one(path, make_person())
    assert labels.notes[-1].startswith(
        f"{path}: 2957 of the field's validation people are not in it, first: person 0 of "
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a MATLAB file"),
        (b"MATLAB 5.0 MAT-file" + bytes(200), "not a MATLAB file"),
        (None, "cannot be read"),
    ],
)
def test_what_is_no_matlab_file(path: Path, content: bytes | None, message: str):
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        mpii_mat.read(path)


def test_another_matlab_file(path: Path):
    savemat(path, {"joints": np.zeros((3, 14, 2))})
    with pytest.raises(ValueError, match=r"holds no RELEASE\.annolist"):
        mpii_mat.read(path)


def test_a_file_without_either_split(path: Path):
    write(path, {"a.jpg": [make_person()]})
    with pytest.raises(ValueError, match="holds 1 people for training and 0 of the 2958"):
        mpii_mat.read(path)


def test_lists_of_different_lengths(path: Path):
    write(path, {"a.jpg": [make_person()]}, training=[1, 1])
    with pytest.raises(ValueError, match="annolist has 1 pictures, img_train 2"):
        mpii_mat.read(path)
