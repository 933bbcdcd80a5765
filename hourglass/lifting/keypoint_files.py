"""2D joints that were found before: this project's JSON, OpenPose's files, COCO's.

Each becomes poses on a skeleton that has the file's own joint names.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hourglass.core.copies import local_copy
from hourglass.core.errors import InputError
from hourglass.core.files import read_text
from hourglass.core.pose import Pose
from hourglass.core.skeleton import COCO, Skeleton
from hourglass.core.storage import Place, is_stored, is_url, place
from hourglass.media.results import OPENPOSE, Found

OPENPOSE_18 = (*OPENPOSE.joints[:8], *OPENPOSE.joints[9:19])
"""OpenPose's older set, without the pelvis."""

NOT_FOLLOWED = -1
"""OpenPose's `person_id` of somebody who has none."""

OPENPOSE_ENDING = "_keypoints.json"

LINES = ".jsonl"
"""The ending of a file that has an object a line."""


def is_keypoints(path: Place) -> bool:
    """Whether this is a file of joints, or a folder of OpenPose's, and no picture or film."""
    if path.is_dir():
        return any(path.glob(f"*{OPENPOSE_ENDING}"))
    return path.suffix.lower() in (".json", LINES)


def split_inputs(names: Iterable[str]) -> tuple[list[Place], list[str]]:
    """The files of joints among the names of inputs, and the names of the others."""
    files: list[Place] = []
    others: list[str] = []
    for name in names:
        is_file = is_stored(name) or not is_url(name)  # and no stream
        if is_file and is_keypoints(place(name)):
            files.append(place(name))
        else:
            others.append(name)
    return files, others


def read_keypoints(path: Place) -> Iterator[Found]:
    """The people in a file of joints, or in a folder of OpenPose's files, one a frame.

    A `.jsonl` file and a folder are read as they are asked for, so that long films need no memory.
    Of a file at a URL a copy is read.

    Raises:
        ValueError: If it is of no known layout; says what was found where.
    """
    with _told(path):
        copy = local_copy(path)
    if copy.is_dir():
        for number, file in enumerate(sorted(copy.glob(f"*{OPENPOSE_ENDING}"))):
            for one in parse_keypoints(read_text(file), where=str(file)):
                yield Found(str(path), 0, 0, one.poses, frame=number)
    elif path.suffix.lower() == LINES:
        with _told(path), copy.open(encoding="utf-8-sig") as lines:
            number = 0
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield from parse_keypoints(f"[{line}]", where=f"{path}: line {number}")
        if not number:
            raise InputError(f"{path}: is empty")
    else:
        yield from parse_keypoints(read_text(copy), where=str(path))


@contextlib.contextmanager
def _told(path: Place) -> Iterator[None]:
    """Turns what reading a file raises into words."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: no text ({error})") from error


def parse_keypoints(text: str, *, where: str) -> list[Found]:
    """The people in the text of a file of joints.

    Raises:
        ValueError: As `read_keypoints`; names `where`.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: no JSON ({error})") from error
    try:
        if isinstance(content, dict) and "people" in content and "image" not in content:
            return [Found(where, 0, 0, _openpose(content["people"], where))]
        if isinstance(content, dict) and "annotations" in content:
            return _coco_labels(content, where)
        if isinstance(content, list) and content and "image_id" in content[0]:
            return _coco_results(content, where)
        if isinstance(content, list) and content and "people" in content[0]:
            return [_own(one, f"{where}: entry {number}") for number, one in enumerate(content)]
    except InputError:
        raise
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise InputError(f"{where}: damaged, {error!r} in it") from error
    raise InputError(
        f"{where}: of no known layout; hourglass.predict --json, OpenPose and COCO keypoints are"
    )


def _pose(names: Sequence[str], values: Sequence[Sequence[float]], where: str) -> Pose:
    try:
        array = np.array(values, np.float32).reshape(len(names), 3)
    except ValueError as error:
        raise InputError(f"{where}: {len(names)} joints of x, y and score are needed") from error
    if not np.isfinite(array).all():
        raise InputError(f"{where}: every x, y and score must be a finite number")
    try:
        skeleton = Skeleton("keypoints", tuple(names), bones=(), mirror_pairs=(), groups=())
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
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
        pose = _pose(names, values, f"{where}, person {number}")
        poses.append(replace(pose, id=_number(person.get("id"), f"{where}, person {number}")))
    size = int(entry.get("width", 0)), int(entry.get("height", 0))
    frame = _number(entry.get("frame"), where, what="frame")
    return Found(str(entry["image"]), *size, poses, frame, _seconds(entry.get("time"), where))


def _seconds(value: Any, where: str) -> float | None:
    """The frame's time in its film, if there is one."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InputError(f"{where}: time {value!r} must be a number of seconds")
    return float(value)


def _openpose(people: list[dict[str, Any]], where: str) -> list[Pose]:
    sets = {3 * len(names): names for names in (OPENPOSE.joints, OPENPOSE_18)}
    poses = []
    for number, person in enumerate(people):
        values = person["pose_keypoints_2d"]
        if len(values) not in sets:
            raise InputError(
                f"{where}: person {number} has {len(values)} numbers in pose_keypoints_2d, "
                f"allowed are {' and '.join(map(str, sets))}"
            )
        told = person.get("person_id") or [NOT_FOLLOWED]
        own = None if told == [NOT_FOLLOWED] else _number(told[0], f"{where}, person {number}")
        poses.append(replace(_pose(sets[len(values)], values, f"{where}, person {number}"), id=own))
    return poses


def _number(value: Any, where: str, *, what: str = "id") -> int | None:
    """The person's or the frame's number in a film, if there is one."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise InputError(f"{where}: {what} {value!r} must be a whole number")
    return value


def _coco_results(entries: list[dict[str, Any]], where: str) -> list[Found]:
    """Of a film, entries have `frame` and `track_id`, too, as `predict --coco` writes them."""
    by_image: dict[Any, Found] = {}
    for number, entry in enumerate(entries):
        here = f"{where}: entry {number}"
        image, frame = str(entry.get("file_name", entry["image_id"])), entry.get("frame")
        pose = _pose(COCO.joints, entry["keypoints"], here)
        pose = replace(pose, id=_number(entry.get("track_id"), here))
        key = entry["image_id"], image, frame
        by_image.setdefault(key, Found(image, 0, 0, [], _number(frame, here, what="frame")))
        by_image[key] = replace(by_image[key], poses=[*by_image[key].poses, pose])
    return list(by_image.values())


def _coco_labels(content: dict[str, Any], where: str) -> list[Found]:
    files = {one["id"]: one for one in content.get("images", ())}
    names = {one["id"]: one.get("keypoints", COCO.joints) for one in content.get("categories", ())}
    by_image: dict[Any, list[Pose]] = {}
    for number, entry in enumerate(content["annotations"]):
        if "keypoints" not in entry:
            continue
        joints = names.get(entry.get("category_id"), COCO.joints)
        pose = _pose(joints, entry["keypoints"], f"{where}: annotation {number}")
        by_image.setdefault(entry["image_id"], []).append(pose)
    if not by_image:
        raise InputError(f"{where}: none of its annotations has keypoints")
    found = []
    for image, poses in by_image.items():
        file = files.get(image, {})
        name, size = file.get("file_name", image), (file.get("width", 0), file.get("height", 0))
        found.append(Found(str(name), *size, poses))
    return found
