"""Poses as other programs read them: JSON, CSV, COCO's keypoint results, OpenPose's files.

docs/FORMATS.md says what stands in each. Text in and out; files are the callers'.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hourglass.core.files import write_file
from hourglass.core.pose import Pose
from hourglass.core.skeleton import COCO, MPII, Skeleton
from hourglass.media.inputs import Source
from hourglass.media.targets import drawn_names, make_folder, refuse_existing, refuse_shared

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


def to_json(found: Iterable[Found]) -> str:
    """A list with an object per picture or frame."""
    return json.dumps([one.to_dict() for one in found], indent=1) + "\n"


def to_csv(found: Iterable[Found], skeleton: Skeleton = MPII) -> str:
    """A row per person: picture, frame, box, score, then x, y and score of each joint.

    Args:
        found: People whose joints are all `skeleton`'s.
        skeleton: Names the columns, where nobody was found, too.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    joints = [f"{name}_{part}" for name in skeleton.joints for part in ("x", "y", "score")]
    box = [f"box_{part}" for part in ("x", "y", "width", "height")]
    writer.writerow(["image", "frame", "person", *box, "score", *joints])
    for one in found:
        for number, pose in enumerate(one.poses):
            values = np.round([*pose.box, pose.score, *_flat(pose)], DIGITS)
            frame = "" if one.frame is None else one.frame
            writer.writerow([one.image, frame, number, *values])
    return out.getvalue()


def to_coco(found: Iterable[Found]) -> str:
    """A list of COCO keypoint results, an entry per person.

    `image_id` is the number in the picture's name, or the name where it has none; in a film, the
    frame.
    """
    entries = []
    for one in found:
        for pose in one.poses:
            keypoints = _flat(pose.to(COCO))
            entries.append(
                {
                    "image_id": _image_id(one),
                    "category_id": COCO_CATEGORY,
                    "keypoints": [round(value, DIGITS) for value in keypoints],
                    "score": round(pose.score, DIGITS),
                }
            )
    return json.dumps(entries) + "\n"


def _image_id(found: Found) -> int | str:
    if found.frame is not None:
        return found.frame
    name = found.image.replace("\\", "/").rpartition("/")[2]
    stem = name.rpartition(".")[0] or name
    digits = re.search(r"[0-9]+$", stem)
    return int(digits.group()) if digits else stem


def to_openpose(found: Found) -> str:
    """The JSON that OpenPose writes for a picture or frame."""
    people = [
        {
            "person_id": [-1],
            "pose_keypoints_2d": [round(value, DIGITS) for value in _flat(pose.to(OPENPOSE))],
            **{f"{part}_keypoints_2d": [] for part in ("face", "hand_left", "hand_right")},
        }
        for pose in found.poses
    ]
    return json.dumps({"version": 1.3, "people": people}) + "\n"


def _flat(pose: Pose) -> list[float]:
    """x, y, score of each joint in turn."""
    return np.column_stack([pose.points, pose.scores]).astype(float).ravel().tolist()


def format_pose(found: Found, drawn: Path | None) -> str:
    """Joint names, pixels of the original picture and scores of each person, as text."""
    lines = [f"{found.image} -> {drawn}" if drawn else found.image]
    for pose in found.poses:
        lines.append(f"  {'':<15}{'x':>9}{'y':>9}{'score':>8}")
        lines += [
            f"  {name:<15}{x:>9.1f}{y:>9.1f}{score:>8.2f}"
            for name, (x, y), score in zip(
                pose.skeleton.joints, pose.points, pose.scores, strict=True
            )
        ]
    return "\n".join(lines)


@dataclass(frozen=True)
class Outputs:
    """Files that a command is to write, besides pictures.

    Attributes:
        json: All poses, with names.
        csv: A row per person.
        coco: COCO's keypoint results.
        openpose: Folder of a file per picture or frame.
    """

    json: Path | None = None
    csv: Path | None = None
    coco: Path | None = None
    openpose: Path | None = None

    def files(self) -> list[Path]:
        """Those that are single files."""
        return [path for path in (self.json, self.csv, self.coco) if path]

    def refuse_wrong(
        self,
        drawn: Iterable[Path | None],
        looked_at: Iterable[Source | None],
        *,
        force: bool,
    ) -> None:
        """Refuses what would write a file twice, over what is looked at, or over what is there.

        Args:
            drawn: What is drawn besides.
            looked_at: Pictures, films and lists of boxes.
            force: Overwrite what is there.

        Raises:
            ValueError: Names the first such file.
        """
        targets = [*self.files(), *(path for path in drawn if path)]
        refuse_shared(targets, looked_at)
        there = sorted(self.openpose.glob("*_keypoints.json")) if self.openpose else []
        refuse_existing([*targets, *there], force)

    def write(self, found: Sequence[Found], skeleton: Skeleton = MPII) -> None:
        """Writes them.

        Args:
            found: People whose joints are all `skeleton`'s.
            skeleton: The model's.

        Raises:
            ValueError: If one cannot be written.
        """
        named_columns = partial(to_csv, skeleton=skeleton)
        formats = ((self.json, to_json), (self.csv, named_columns), (self.coco, to_coco))
        for path, to_text in formats:
            if path:
                write_file(path, to_text(found))
        if self.openpose:
            make_folder(self.openpose)
            for one, path in zip(found, openpose_names(found, self.openpose), strict=True):
                write_file(path, to_openpose(one))


def openpose_names(found: Sequence[Found], folder: Path) -> list[Path]:
    """OpenPose's own names: `NAME_keypoints.json`, with the frame's 12 digits in a film."""
    names = [
        Path(one.image if one.frame is None else f"{Path(one.image).stem}_{one.frame:012d}.film")
        for one in found
    ]
    return drawn_names(names, folder, "_keypoints.json")
