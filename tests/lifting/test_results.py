"""JSON, CSV and BVH of lifted people."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from hourglass.core.pose import Pose
from hourglass.core.skeleton import MPII
from hourglass.lifting.body import BODY
from hourglass.lifting.bvh import read_bvh
from hourglass.lifting.estimator import Body
from hourglass.lifting.results import (
    Lifted,
    Motions,
    csv_header,
    csv_rows,
    write_bvh,
)
from hourglass.media.results import Found, to_json, to_json_item, to_json_line


def body(points: np.ndarray) -> Body:
    return Body((points - points[:1]).astype(np.float32), np.ones(17, np.float32))


def csv_of(lifted: list[Lifted]) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(csv_header() + "".join(map(csv_rows, lifted)))))


def motions(lifted: list[Lifted]) -> Motions:
    gathered = Motions()
    for one in lifted:
        gathered.add(one)
    return gathered


def moves(lifted: list[Lifted]) -> dict[tuple[str, int], tuple[np.ndarray, float]]:
    return {(image, place): (points, rate) for image, place, points, rate in motions(lifted)}


@pytest.fixture
def film(moving: np.ndarray) -> list[Lifted]:
    """Four frames at 20 a second; the second person is there from the second frame, less one."""
    bodies: list[list[Body | None]] = [
        [body(moving[0])],
        [body(moving[1]), body(moving[9])],
        [body(moving[2]), None],
        [body(moving[3]), body(moving[11])],
    ]
    return [
        Lifted(Found("clips/walk.mp4", 640, 480, [], frame, frame / 20), found)
        for frame, found in enumerate(bodies)
    ]


def test_json_names_every_joint_and_says_who_was_not_lifted(film: list[Lifted]) -> None:
    entries = json.loads(to_json(film))
    assert [entry["frame"] for entry in entries] == [0, 1, 2, 3]
    assert entries[2]["people"][1] is None
    joints = entries[0]["people"][0]["joints"]
    assert [joint["name"] for joint in joints] == list(BODY.joints)


def test_items_and_lines_are_those_of_the_list(film: list[Lifted]) -> None:
    whole = to_json(film)
    assert "[\n" + ",\n".join(map(to_json_item, film)) + "\n]\n" == whole
    lines = [json.loads(line) for line in "".join(map(to_json_line, film)).splitlines()]
    assert lines == json.loads(whole)


def test_csv_has_a_row_per_person(film: list[Lifted], moving: np.ndarray) -> None:
    rows = csv_of(film)
    assert [(row["frame"], row["person"]) for row in rows] == [
        *[("0", "0"), ("1", "0"), ("1", "1"), ("2", "0"), ("3", "0"), ("3", "1")]
    ]
    expected = moving[0, BODY.index("left_knee"), 1] - moving[0, 0, 1]
    assert float(rows[0]["left_knee_y"]) == pytest.approx(expected, abs=0.06)


def test_a_gap_repeats_what_was_before_and_the_rate_is_the_films(film: list[Lifted]) -> None:
    found = moves(film)
    assert set(found) == {("clips/walk.mp4", 0), ("clips/walk.mp4", 1)}
    points, rate = found["clips/walk.mp4", 1]
    assert rate == pytest.approx(20)
    assert len(points) == 3
    np.testing.assert_array_equal(points[1], points[0])


def pose(number: int | None) -> Pose:
    return Pose(np.zeros((16, 2), np.float32), np.ones(16, np.float32), MPII, (0, 0, 9, 9), number)


def test_a_person_who_has_a_number_is_followed_by_it(moving: np.ndarray) -> None:
    orders = [(7, 4), (4, 7)]
    lifted = [
        Lifted(
            Found("a.mp4", 9, 9, [pose(number) for number in order], frame, frame / 25),
            [body(moving[number]) for number in order],
        )
        for frame, order in enumerate(orders)
    ]
    for number, person in enumerate((4, 7)):
        points, _ = moves(lifted)["a.mp4", number]
        np.testing.assert_array_equal(points[0], points[1])
        np.testing.assert_array_equal(points[0], body(moving[person]).points)


def test_a_number_is_no_place(moving: np.ndarray) -> None:
    """Number 1 stands first, and somebody without a number in the place 1, later in 0."""
    frames = [[(1, 3), (None, 5)], [(None, 7), (1, 4)]]
    lifted = [
        Lifted(
            Found("a.mp4", 9, 9, [pose(number) for number, _ in people], frame, frame / 25),
            [body(moving[time]) for _, time in people],
        )
        for frame, people in enumerate(frames)
    ]
    times = [[3, 4], [7], [5, 5]]  # number 1, then the places 0 and 1
    found = moves(lifted)
    assert len(found) == len(times)
    for person, expected in enumerate(times):
        points = [body(moving[time]).points for time in expected]
        np.testing.assert_array_equal(found["a.mp4", person][0], points)


def test_json_and_csv_tell_the_number(moving: np.ndarray) -> None:
    lifted = [Lifted(Found("a.mp4", 9, 9, [pose(7)], 0, 0.0), [body(moving[0])])]
    assert json.loads(to_json(lifted))[0]["people"][0]["id"] == 7
    (row,) = csv_of(lifted)
    assert (row["person"], row["id"]) == ("0", "7")


def test_films_of_one_name_keep_their_own_bvh_files(moving: np.ndarray, tmp_path: Path) -> None:
    lifted = [
        Lifted(Found(name, 9, 9, [], 0, 0.0), [body(moving[0]), body(moving[1])])
        for name in ("a/walk.mp4", "b/walk.mp4", "walk_2.mp4")
    ]
    written = write_bvh(motions(lifted), tmp_path)
    assert len(set(written)) == 6
    assert written[2] == tmp_path / "walk_3.bvh"


def test_bvh_files_are_named_for_their_person(film: list[Lifted], tmp_path: Path) -> None:
    written = write_bvh(motions(film), tmp_path)
    assert [path.name for path in written] == ["walk.bvh", "walk_2.bvh"]
    motion = read_bvh(written[0])
    assert len(motion.values) == 4
    assert motion.frame_time == pytest.approx(0.05)
