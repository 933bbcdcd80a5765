"""Poses as other programs read them: JSON, CSV, COCO's keypoint results, OpenPose's files.

docs/FORMATS.md says what stands in each. Text in and out; files are `media.result_files`'.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from hourglass.core.pose import Pose
from hourglass.core.skeleton import COCO, Skeleton
from hourglass.core.storage import Place

DIGITS = 3
"""Decimals of coordinates and scores in text made for others: a thousandth of a pixel."""

COCO_CATEGORY = 1
FEET = ("big_toe", "small_toe", "heel")

OPENPOSE = Skeleton.of_names(
    "openpose",
    (
        *("nose", "thorax", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder"),
        *("left_elbow", "left_wrist", "pelvis", "right_hip", "right_knee", "right_ankle"),
        *("left_hip", "left_knee", "left_ankle", "right_eye", "left_eye", "right_ear", "left_ear"),
        *(f"left_{part}" for part in FEET),
        *(f"right_{part}" for part in FEET),
    ),
)
"""OpenPose's BODY_25; its neck is the middle of the shoulders, so by our name the thorax."""


@dataclass(frozen=True, eq=False)
class Found:
    """The people of one picture or frame.

    Attributes:
        image: The picture's or film's name.
        width: px.
        height: px.
        poses: One per person.
        frame: The frame's place in its film, from 0; None of a picture.
        time: The frame's time, s; None of a picture.
    """

    image: str
    width: int
    height: int
    poses: Sequence[Pose]
    frame: int | None = None
    time: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and names, ready for JSON."""
        of_film = {} if self.frame is None else {"frame": self.frame, "time": self.time}
        return {
            "image": self.image,
            **of_film,
            "width": self.width,
            "height": self.height,
            "people": [pose.to_dict() for pose in self.poses],
        }


class Entry(Protocol):
    """What was found in a picture or frame, in whatever it is told."""

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and names, ready for JSON."""


def to_json(entries: Iterable[Entry]) -> str:
    """A list with an object per picture or frame."""
    return json.dumps([one.to_dict() for one in entries], indent=1, allow_nan=False) + "\n"


def to_json_item(entry: Entry) -> str:
    """A picture or frame as it stands in the list of `to_json`, without what is around it."""
    text = json.dumps(entry.to_dict(), indent=1, allow_nan=False)
    return "\n".join(f" {line}" for line in text.split("\n"))


def to_json_line(entry: Entry) -> str:
    """A picture or frame in a line of its own."""
    return json.dumps(entry.to_dict(), allow_nan=False) + "\n"


def csv_header(skeleton: Skeleton) -> str:
    """The names of the columns: picture, frame, person, box, score, and each joint's."""
    joints = [f"{name}_{part}" for name in skeleton.joints for part in ("x", "y", "score")]
    box = [f"box_{part}" for part in ("x", "y", "width", "height")]
    return csv_text([["image", "frame", "person", "id", *box, "score", *joints]])


def csv_rows(found: Found) -> str:
    """A row per person."""
    return csv_text(
        [
            found.image,
            "" if found.frame is None else found.frame,
            number,
            "" if pose.id is None else pose.id,
            *np.round([*pose.box, pose.score, *_flat(pose)], DIGITS),
        ]
        for number, pose in enumerate(found.poses)
    )


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    """Rows as they stand in a file."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def coco_entries(found: Found, image_id: int | str) -> list[dict[str, Any]]:
    """COCO keypoint results, an entry per person.

    Args:
        found: A picture or frame.
        image_id: Its number.
    """
    of_film = {} if found.frame is None else {"frame": found.frame}
    return [
        {
            "image_id": image_id,
            "category_id": COCO_CATEGORY,
            "keypoints": [round(value, DIGITS) for value in _flat(pose.to(COCO))],
            "score": round(pose.score, DIGITS),
            "file_name": found.image,
            **of_film,
            **({} if pose.id is None else {"track_id": pose.id}),
        }
        for pose in found.poses
    ]


def image_number(image: str) -> int | str:
    """The number that a picture's name ends in, or the name without its ending if it has none."""
    name = image.replace("\\", "/").rpartition("/")[2]
    stem = name.rpartition(".")[0] or name
    digits = re.search(r"[0-9]+$", stem)
    return int(digits.group()) if digits else stem


def to_openpose(found: Found) -> str:
    """The JSON that OpenPose writes for a picture or frame."""
    people = [
        {
            "person_id": [-1 if pose.id is None else pose.id],
            "pose_keypoints_2d": [round(value, DIGITS) for value in _flat(pose.to(OPENPOSE))],
            **{f"{part}_keypoints_2d": [] for part in ("face", "hand_left", "hand_right")},
        }
        for pose in found.poses
    ]
    return json.dumps({"version": 1.3, "people": people}) + "\n"


def _flat(pose: Pose) -> list[float]:
    """x, y, score of each joint in turn."""
    return np.column_stack([pose.points, pose.scores]).astype(float).ravel().tolist()


def format_pose(found: Found, drawn: Place | None) -> str:
    """Joint names, pixels of the original picture and scores of each person, as text."""
    told = f"{found.image} -> {drawn}" if drawn else found.image
    # A name may be of any bytes, and a terminal takes only some.
    lines = [told.encode("utf-8", "backslashreplace").decode()]
    for pose in found.poses:
        lines.append(f"  {'':<15}{'x':>9}{'y':>9}{'score':>8}")
        lines += [
            f"  {name:<15}{x:>9.1f}{y:>9.1f}{score:>8.2f}"
            for name, (x, y), score in zip(
                pose.skeleton.joints, pose.points, pose.scores, strict=True
            )
        ]
    return "\n".join(lines)
