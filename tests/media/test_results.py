"""Poses for other programs: the same numbers in every format, each joint under its own name."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hourglass.core.pose import Pose
from hourglass.core.skeleton import MPII
from hourglass.media.results import (
    OPENPOSE,
    Found,
    coco_entries,
    csv_header,
    csv_rows,
    image_number,
    to_json,
    to_json_item,
    to_json_line,
    to_openpose,
)

# As the two projects document their formats.
COCO_NAMES = [
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear"),
    *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist"),
    *("right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle"),
    "right_ankle",
]
BODY_25 = [
    *("Nose", "Neck", "RShoulder", "RElbow", "RWrist", "LShoulder", "LElbow", "LWrist"),
    *("MidHip", "RHip", "RKnee", "RAnkle", "LHip", "LKnee", "LAnkle"),
    *("REye", "LEye", "REar", "LEar"),
    *("LBigToe", "LSmallToe", "LHeel", "RBigToe", "RSmallToe", "RHeel"),
]
OUR_NAMES = {"Neck": "thorax", "MidHip": "pelvis"} | {
    side[0].upper() + joint.capitalize(): f"{side}_{joint}"
    for side in ("left", "right")
    for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
}


def person(number: int = 0) -> Pose:
    rng = np.random.default_rng(number)
    return Pose(
        rng.uniform(-20, 700, (16, 2)).astype(np.float32),
        rng.uniform(0, 1, 16).astype(np.float32),
        MPII,
        tuple(map(float, rng.uniform(1, 500, 4))),
    )


def picture(name: str = "a.jpg", people: int = 1, **of_film: Any) -> Found:
    return Found(name, 640, 480, [person(number) for number in range(people)], **of_film)


def to_csv(found: list[Found]) -> str:
    """The file that grows out of these."""
    return csv_header(MPII) + "".join(map(csv_rows, found))


def to_coco(found: list[Found]) -> str:
    entries = [entry for one in found for entry in coco_entries(one, 397133)]
    return json.dumps(entries) + "\n"


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def joint_of(pose: Pose, name: str) -> list[float]:
    place = MPII.index(name)
    return [*pose.points[place], pose.scores[place]]


# JSON.


def test_json_has_what_stands_in_its_description():
    found = picture("in/ä.jpg", 2)
    (one,) = json.loads(to_json([found]))
    assert list(one) == ["image", "width", "height", "people"]
    assert (one["image"], one["width"], one["height"]) == ("in/ä.jpg", 640, 480)
    assert [list(people) for people in one["people"]] == [["box", "score", "keypoints"]] * 2
    for pose, people in zip(found.poses, one["people"], strict=True):
        assert people["box"] == list(pose.box)
        assert people["score"] == pose.score
        assert [list(joint) for joint in people["keypoints"]] == [["name", "x", "y", "score"]] * 16
        assert [joint["name"] for joint in people["keypoints"]] == list(MPII.joints)
        back = Pose.from_dict(people, skeleton=MPII)
        np.testing.assert_array_equal(back.points, pose.points)
        np.testing.assert_array_equal(back.scores, pose.scores)
        assert back.box == pose.box


def test_json_of_a_film_says_frame_and_time():
    frames = [picture("a.mp4", 1, frame=number, time=number / 25) for number in (0, 5)]
    results = json.loads(to_json(frames))
    assert [(one["image"], one["frame"], one["time"]) for one in results] == [
        ("a.mp4", 0, 0.0),
        ("a.mp4", 5, 0.2),
    ]


def test_nothing_found_is_said_in_every_format():
    assert json.loads(to_json([])) == []
    assert json.loads(to_json([picture(people=0)]))[0]["people"] == []
    assert rows_of(to_csv([])) == rows_of(to_csv([picture(people=0)])) == []
    assert to_csv([]).count("\n") == 1  # the names of the columns
    assert json.loads(to_coco([])) == json.loads(to_coco([picture(people=0)])) == []
    assert json.loads(to_openpose(picture(people=0)))["people"] == []


@pytest.mark.parametrize("to_text", [to_json, to_csv, to_coco, lambda found: to_openpose(found[0])])
def test_texts_end_in_one_line_end(to_text: Callable[..., str]):
    text = to_text([picture()])
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    assert "\r" not in text


# CSV.


def test_csv_has_a_row_per_person():
    found = [picture("a.jpg", 2), picture("b.jpg", 0), picture("c,d.jpg", 1)]
    rows = rows_of(to_csv(found))
    assert [(row["image"], row["frame"], row["person"]) for row in rows] == [
        ("a.jpg", "", "0"),
        ("a.jpg", "", "1"),
        ("c,d.jpg", "", "0"),
    ]
    for row, pose in zip(rows, [*found[0].poses, *found[2].poses], strict=True):
        box = [float(row[f"box_{part}"]) for part in ("x", "y", "width", "height")]
        np.testing.assert_allclose(box, pose.box, atol=5e-4)
        assert float(row["score"]) == pytest.approx(pose.score, abs=5e-4)
        for name in MPII.joints:
            values = [float(row[f"{name}_{part}"]) for part in ("x", "y", "score")]
            np.testing.assert_allclose(values, joint_of(pose, name), atol=6e-4)


def test_csv_columns_stand_in_the_order_described():
    names = to_csv([]).strip().split(",")
    assert names[:9] == [
        *("image", "frame", "person", "id"),
        *("box_x", "box_y", "box_width", "box_height", "score"),
    ]
    assert names[9:12] == ["right_ankle_x", "right_ankle_y", "right_ankle_score"]
    assert len(names) == 9 + 3 * 16 == len(set(names))


def test_csv_says_the_frame_and_numbers_that_any_program_reads():
    found = picture("a.mp4", 1, frame=7, time=0.28)
    (row,) = rows_of(to_csv([replace(found, poses=[replace(found.poses[0], id=3)])]))
    assert row["frame"] == "7"
    for name, text in row.items():
        if name != "image":
            float(text)
            assert len(text.partition(".")[2]) <= 3


# COCO.


def test_coco_has_the_17_keypoints_in_their_order():
    found = picture("000000397133.jpg", 2)
    entries = json.loads(to_coco([found]))
    assert [entry["image_id"] for entry in entries] == [397133, 397133]
    for entry, pose in zip(entries, found.poses, strict=True):
        assert set(entry) == {"image_id", "category_id", "keypoints", "score", "file_name"}
        assert entry["file_name"] == "000000397133.jpg"
        assert entry["category_id"] == 1
        assert entry["score"] == pytest.approx(pose.score, abs=5e-4)
        triples = np.reshape(entry["keypoints"], (17, 3))
        for triple, name in zip(triples, COCO_NAMES, strict=True):
            known = joint_of(pose, name) if name in MPII.joints else [0, 0, 0]
            np.testing.assert_allclose(triple, known, atol=6e-4)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("000000397133.jpg", 397133),
        ("in/val/000000000139.jpg", 139),
        ("C:\\val\\139.jpg", 139),
        ("COCO_val2014_000000000042.jpg", 42),
        ("photo.jpg", "photo"),
        ("in/holiday_b.png", "holiday_b"),
        ("12", 12),
        (".hidden", ".hidden"),
    ],
)
def test_coco_pictures_have_the_numbers_in_their_names(name: str, number: int | str):
    assert image_number(name) == number


def test_people_of_films_have_their_ids_in_every_format():
    frame = picture("a.mp4", 2, frame=7, time=0.28)
    poses = [replace(pose, id=number) for pose, number in zip(frame.poses, (4, 9), strict=True)]
    frame = replace(frame, poses=poses)
    (one,) = json.loads(to_json([frame]))
    assert [person["id"] for person in one["people"]] == [4, 9]
    assert [row["id"] for row in rows_of(to_csv([frame]))] == ["4", "9"]
    entries = coco_entries(frame, 7)
    assert [(entry["track_id"], entry["frame"]) for entry in entries] == [(4, 7), (9, 7)]
    people = json.loads(to_openpose(frame))["people"]
    assert [person["person_id"] for person in people] == [[4], [9]]
    # In pictures nobody has one.
    alone = picture()
    assert "id" not in json.loads(to_json([alone]))[0]["people"][0]
    assert rows_of(to_csv([alone]))[0]["id"] == ""
    assert "track_id" not in coco_entries(alone, 1)[0]
    assert json.loads(to_openpose(alone))["people"][0]["person_id"] == [-1]


def test_numbers_that_are_none_are_not_written():
    found = picture()
    found.poses[0].points[3] = np.nan
    for write in (to_json_item, to_json_line, lambda one: to_json([one])):
        with pytest.raises(ValueError, match="not JSON compliant"):
            write(found)


# OpenPose.


def test_openpose_has_the_25_keypoints_in_their_order():
    found = picture(people=2)
    result = json.loads(to_openpose(found))
    assert result["version"] == 1.3
    for people, pose in zip(result["people"], found.poses, strict=True):
        triples = np.reshape(people["pose_keypoints_2d"], (25, 3))
        for triple, name in zip(triples, BODY_25, strict=True):
            known = joint_of(pose, OUR_NAMES[name]) if name in OUR_NAMES else [0, 0, 0]
            np.testing.assert_allclose(triple, known, atol=6e-4)
        for part in ("face", "hand_left", "hand_right"):
            assert people[f"{part}_keypoints_2d"] == []
    assert len(OPENPOSE.joints) == 25


def test_scores_are_what_the_poses_say_in_every_format():
    found = picture()
    pose = found.poses[0]
    coco = json.loads(to_coco([found]))[0]["keypoints"][2::3]
    openpose = json.loads(to_openpose(found))["people"][0]["pose_keypoints_2d"][2::3]
    wrist = pytest.approx(float(pose.scores[MPII.index("left_wrist")]), abs=5e-4)
    assert coco[COCO_NAMES.index("left_wrist")] == wrist
    assert openpose[BODY_25.index("LWrist")] == wrist
    assert float(rows_of(to_csv([found]))[0]["left_wrist_score"]) == wrist
    assert all(0 <= score <= 1 for score in (*coco, *openpose))
