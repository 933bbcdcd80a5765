"""Joints that other programs found, under their own names."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hourglass.core.files import write_file
from hourglass.core.pose import Pose
from hourglass.core.skeleton import COCO, MPII
from hourglass.core.storage import Url
from hourglass.lifting.keypoint_files import is_keypoints, read_keypoints, split_inputs
from hourglass.media.results import (
    OPENPOSE,
    Found,
    coco_entries,
    to_json,
    to_json_line,
    to_openpose,
)

KEYPOINT = {"name": "nose", "x": 1, "y": 2, "score": 1}


def write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def found(frame: int | None = None) -> Found:
    points = np.arange(32, dtype=np.float32).reshape(16, 2)
    pose = Pose(points, np.linspace(0.1, 1, 16, dtype=np.float32), MPII, (0, 0, 10, 10))
    return Found("a.jpg", 640, 480, [pose], frame, None if frame is None else frame / 25)


def test_our_own_file_comes_back(tmp_path: Path) -> None:
    path = write(tmp_path / "poses.json", to_json([found(0), found(1)]))
    first, second = read_keypoints(path)
    assert (first.image, first.width, first.frame, second.time) == ("a.jpg", 640, 0, 0.04)
    (pose,) = first.poses
    assert pose.skeleton.joints == MPII.joints
    np.testing.assert_array_equal(pose.points, found().poses[0].points)


@pytest.mark.parametrize("to_text", [lambda one: to_json([one]), to_openpose])
def test_a_persons_number_comes_back(tmp_path: Path, to_text: Callable[[Found], str]) -> None:
    one = found(0)
    numbered = replace(one, poses=[replace(one.poses[0], id=7)])
    for given, expected in ((numbered, 7), (one, None)):
        (back,) = read_keypoints(write(tmp_path / "poses.json", to_text(given)))
        assert back.poses[0].id == expected


def test_openposes_files_are_frames_of_a_folder(tmp_path: Path) -> None:
    for frame in (1, 0):
        write(tmp_path / f"film_{frame:012d}_keypoints.json", to_openpose(found()))
    assert is_keypoints(tmp_path)
    frames = list(read_keypoints(tmp_path))
    assert [one.frame for one in frames] == [0, 1]
    (pose,) = frames[0].poses
    assert pose.skeleton.joints == OPENPOSE.joints
    for name in ("right_knee", "thorax", "pelvis"):
        expected = found().poses[0].points[MPII.index(name)]
        np.testing.assert_allclose(pose.points[pose.skeleton.index(name)], expected)
    assert pose.scores[pose.skeleton.index("nose")] == 0


def test_cocos_results_and_labels(tmp_path: Path) -> None:
    values = [value for joint in range(17) for value in (joint, 2 * joint, 2)]
    entry = {"image_id": 7, "category_id": 1, "keypoints": values}
    (results,) = read_keypoints(write(tmp_path / "results.json", [entry]))
    labels = {
        "images": [{"id": 7, "file_name": "seven.jpg", "width": 5, "height": 6}],
        "categories": [{"id": 1, "keypoints": list(COCO.joints)}],
        "annotations": [entry],
    }
    (labelled,) = read_keypoints(write(tmp_path / "labels.json", labels))
    assert (results.image, labelled.image) == ("7", "seven.jpg")
    for one in (results, labelled):
        (pose,) = one.poses
        wrist = pose.skeleton.index("left_wrist")
        np.testing.assert_array_equal(pose.points[wrist], [9, 18])
        assert pose.scores[wrist] == 1


def test_cocos_results_of_a_film_tell_its_frames_and_people(tmp_path: Path) -> None:
    poses = [replace(found().poses[0], id=number) for number in (4, 2)]
    frames = [Found("a/film.mp4", 9, 9, poses[: number + 1], number, 0.0) for number in (0, 1)]
    entries = [entry for one in frames for entry in coco_entries(one, one.frame)]
    entries += coco_entries(Found("b.mp4", 9, 9, poses[:1], 0, 0.0), 0)
    told = list(read_keypoints(write(tmp_path / "coco.json", entries)))
    assert [(one.image, one.frame) for one in told] == [
        *(("a/film.mp4", 0), ("a/film.mp4", 1), ("b.mp4", 0))
    ]
    assert [[pose.id for pose in one.poses] for one in told] == [[4], [4, 2], [4]]


def test_lines_are_read_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "film.jsonl"
    one = to_json_line(replace(found(), frame=0, time=0.0))
    path.write_text(f"{one}\n{one}spoilt\n")
    assert is_keypoints(path)
    read = read_keypoints(path)
    for _ in range(2):
        told = next(read)
        np.testing.assert_allclose(told.poses[0].points, found().poses[0].points)
        assert (told.frame, told.time) == (0, 0.0)
    with pytest.raises(ValueError, match=r"film.jsonl: line 4: no JSON"):
        next(read)
    path.write_text(one, encoding="utf-8-sig")  # as editors on Windows write it
    assert [told.frame for told in read_keypoints(path)] == [0]
    path.write_text("")
    with pytest.raises(ValueError, match=r"film.jsonl: is empty"):
        next(read_keypoints(path))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "no JSON"),
        ({"x": 1}, "of no known layout"),
        ([], "of no known layout"),
        ({"people": [{"pose_keypoints_2d": [1, 2]}]}, "2 numbers in pose_keypoints_2d"),
        ({"people": [{}]}, "damaged, KeyError"),
        (
            [{"image": "a", "people": [{"id": "x", "keypoints": [KEYPOINT]}]}],
            "id 'x' must be a whole number",
        ),
        ([{"image": "a", "people": [], "frame": 1.5}], "entry 0: frame 1.5 must be a whole number"),
        ([{"image": "a", "people": [], "time": "x"}], "entry 0: time 'x' must be a number of sec"),
        (
            '{"people": [{"pose_keypoints_2d": [NaN' + ", 1" * 74 + "]}]}",
            "person 0: every x, y and score must be a finite number",
        ),
        ('[{"image": "a", "people": [], "time": NaN}]', "time nan must be a number of seconds"),
        ('[{"image": "a", "people": [], "width": Infinity}]', "damaged, OverflowError"),
        ([{"image": "a", "people": [{"keypoints": []}]}], "person 0: .* has 0 joints"),
        ([{"image_id": 1, "keypoints": [1, 2]}], "17 joints of x, y and score"),
        ({"annotations": [{"image_id": 1}]}, "none of its annotations has keypoints"),
    ],
)
def test_what_is_no_such_file_is_refused(tmp_path: Path, content: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told) as raised:
        list(read_keypoints(write(tmp_path / "x.json", content)))
    assert "x.json" in str(raised.value)


def test_pictures_are_no_joints(tmp_path: Path) -> None:
    assert not is_keypoints(tmp_path / "a.jpg")
    assert not is_keypoints(tmp_path)
    with pytest.raises(ValueError, match="cannot be read"):
        list(read_keypoints(tmp_path / "none.json"))


def test_files_of_joints_are_told_from_pictures_films_and_streams(tmp_path: Path, memory: Url):
    joints, lines = tmp_path / "joints.json", memory / "joints.jsonl"
    write_file(joints, to_json([found()]))
    write_file(lines, to_json_line(found()))
    others = ["a.jpg", "0", "rtsp://camera/live.json", str(tmp_path), str(memory / "film.mp4")]
    files, left = split_inputs([str(joints), *others, str(lines)])
    assert (files, left) == ([joints, lines], others)
    for file in files:
        (one,) = read_keypoints(file)
        assert (one.image, one.width) == ("a.jpg", 640)
    with pytest.raises(ValueError, match=rf"^{memory}/none\.json: cannot be read \(no such file"):
        list(read_keypoints(memory / "none.json"))
