"""2D joints that another program found: this project's JSON, OpenPose's files, COCO's.

Each becomes poses on a skeleton that has the file's own joint names.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hourglass.core.pose import Pose
from hourglass.core.skeleton import Skeleton
from hourglass.media.results import Found

OPENPOSE_25 = (
    *("nose", "thorax", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder"),
    *("left_elbow", "left_wrist", "pelvis", "right_hip", "right_knee", "right_ankle"),
    *("left_hip", "left_knee", "left_ankle", "right_eye", "left_eye", "right_ear", "left_ear"),
    *("left_big_toe", "left_small_toe", "left_heel"),
    *("right_big_toe", "right_small_toe", "right_heel"),
)
"""BODY_25. Its "neck" is half way between the shoulders, which is our thorax."""

OPENPOSE_18 = (*OPENPOSE_25[:8], *OPENPOSE_25[9:19])
"""OpenPose's older set, without the pelvis."""

COCO_17 = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder"),
    *("left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip"),
    *("left_knee", "right_knee", "left_ankle", "right_ankle"),
)

OPENPOSE_ENDING = "_keypoints.json"


def is_keypoints(path: Path) -> bool:
    """Whether this is a file of joints, or a folder of OpenPose's, and no picture or film."""
    if path.is_dir():
        return any(path.glob(f"*{OPENPOSE_ENDING}"))
    return path.suffix.lower() == ".json"


def read_keypoints(path: Path) -> list[Found]:
    """The people in a file of joints, or in a folder of OpenPose's files, one a frame.

    Raises:
        ValueError: If it is of no known layout; says what was found where.
    """
    if path.is_dir():
        files = sorted(path.glob(f"*{OPENPOSE_ENDING}"))
        frames = [parse_keypoints(_text(file), where=str(file)) for file in files]
        return [
            Found(str(path), 0, 0, one.poses, frame=number)
            for number, found in enumerate(frames)
            for one in found
        ]
    return parse_keypoints(_text(path), where=str(path))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: no text ({error})") from error


def parse_keypoints(text: str, *, where: str) -> list[Found]:
    """The people in the text of a file of joints.

    Raises:
        ValueError: As `read_keypoints`; names `where`.
    """
    try:
        content = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{where}: no JSON ({error})") from error
    try:
        if isinstance(content, dict) and "people" in content and "image" not in content:
            return [Found(where, 0, 0, _openpose(content["people"], where))]
        if isinstance(content, dict) and "annotations" in content:
            return _coco_labels(content, where)
        if isinstance(content, list) and content and "image_id" in content[0]:
            return _coco_results(content, where)
        if isinstance(content, list) and content and "people" in content[0]:
            return [_own(one, f"{where}: entry {number}") for number, one in enumerate(content)]
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"{where}: damaged, {error!r} in it") from error
    raise ValueError(
        f"{where}: of no known layout; hourglass.predict --json, OpenPose and COCO keypoints are"
    )


def _pose(names: Sequence[str], values: Sequence[Sequence[float]], where: str) -> Pose:
    try:
        array = np.array(values, np.float32).reshape(len(names), 3)
    except ValueError as error:
        raise ValueError(f"{where}: {len(names)} joints of x, y and score are needed") from error
    bones, pairs = (), ()
    skeleton = Skeleton("keypoints", tuple(names), bones, pairs, ())
    known = array[array[:, 2] > 0, :2]
    low, high = (known.min(axis=0), known.max(axis=0)) if len(known) else (np.zeros(2),) * 2
    box = (float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1]))
    return Pose(array[:, :2], np.clip(array[:, 2], 0, 1), skeleton, box)


def _own(entry: dict[str, Any], where: str) -> Found:
    poses = []
    for number, person in enumerate(entry["people"]):
        keypoints = person["keypoints"]
        names = [keypoint["name"] for keypoint in keypoints]
        values = [[keypoint[key] for key in ("x", "y", "score")] for keypoint in keypoints]
        poses.append(_pose(names, values, f"{where}, person {number}"))
    size = int(entry.get("width", 0)), int(entry.get("height", 0))
    return Found(str(entry["image"]), *size, poses, entry.get("frame"), entry.get("time"))


def _openpose(people: list[dict[str, Any]], where: str) -> list[Pose]:
    sets = {3 * len(names): names for names in (OPENPOSE_25, OPENPOSE_18)}
    poses = []
    for number, person in enumerate(people):
        values = person["pose_keypoints_2d"]
        if len(values) not in sets:
            raise ValueError(
                f"{where}: person {number} has {len(values)} numbers in pose_keypoints_2d, "
                f"allowed are {' and '.join(map(str, sets))}"
            )
        poses.append(_pose(sets[len(values)], values, f"{where}, person {number}"))
    return poses


def _coco_results(entries: list[dict[str, Any]], where: str) -> list[Found]:
    by_image: dict[Any, list[Pose]] = {}
    for number, entry in enumerate(entries):
        pose = _pose(COCO_17, entry["keypoints"], f"{where}: entry {number}")
        by_image.setdefault(entry["image_id"], []).append(pose)
    return [Found(str(image), 0, 0, poses) for image, poses in by_image.items()]


def _coco_labels(content: dict[str, Any], where: str) -> list[Found]:
    files = {one["id"]: one for one in content.get("images", ())}
    names = {one["id"]: one.get("keypoints", COCO_17) for one in content.get("categories", ())}
    by_image: dict[Any, list[Pose]] = {}
    for number, entry in enumerate(content["annotations"]):
        if "keypoints" not in entry:
            continue
        joints = names.get(entry.get("category_id"), COCO_17)
        pose = _pose(joints, entry["keypoints"], f"{where}: annotation {number}")
        by_image.setdefault(entry["image_id"], []).append(pose)
    if not by_image:
        raise ValueError(f"{where}: none of its annotations has keypoints")
    found = []
    for image, poses in by_image.items():
        file = files.get(image, {})
        name, size = file.get("file_name", image), (file.get("width", 0), file.get("height", 0))
        found.append(Found(str(name), *size, poses))
    return found
