"""The one result type: a person's joints in pixels of the original picture.

`inference.estimator` makes poses and `media.drawing` shows them. The one thing computed here is a
pose on another skeleton.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hourglass.core.errors import InputError
from hourglass.core.sides import side_of
from hourglass.core.skeleton import Skeleton

Box = tuple[float, float, float, float]
"""(x, y, width, height), px; x and y are the upper left pixel's index."""

MIDPOINTS = {
    "pelvis": ("right_hip", "left_hip"),
    "thorax": ("right_shoulder", "left_shoulder"),
    "neck": ("right_shoulder", "left_shoulder"),
    "spine": ("pelvis", "thorax"),
}
"""Joints that the field takes for the middle of two others where nobody has labelled them."""

SAME_JOINT = {
    "upper_neck": "neck",
    "head": "head_top",
    "mid_hip": "pelvis",
}
"""Other sets' names for joints of ours."""


@dataclass(frozen=True, eq=False)
class Pose:
    """One person's joints.

    Attributes:
        points: (J, 2) float32, (x, y) in 0-based pixels of the original picture, a pixel's centre
            at its index.
        scores: (J,) float32 in [0, 1].
        skeleton: Names the J joints.
        box: (x, y, width, height) in pixels, the box that the pose was looked for in.
        id: The person's number in a film, the same in all of its frames; None of a picture.

    Raises:
        ValueError: If the arrays do not have the skeleton's number of joints.
    """

    points: np.ndarray
    scores: np.ndarray
    skeleton: Skeleton
    box: Box
    id: int | None = None

    def __post_init__(self) -> None:
        joints = len(self.skeleton.joints)
        if self.points.shape != (joints, 2) or self.scores.shape != (joints,):
            raise InputError(
                f"a pose on skeleton {self.skeleton.name!r} needs points ({joints}, 2) and scores "
                f"({joints},), got {self.points.shape} and {self.scores.shape}"
            )

    @property
    def score(self) -> float:
        """The person's score in [0, 1]: the mean of the joints' scores."""
        return float(self.scores.mean())

    def to(self, skeleton: Skeleton) -> Pose:
        """The pose on another skeleton, joint by joint by their names.

        A joint that this pose lacks is the midpoint of two that it has, where the field makes it so
        (`MIDPOINTS`), with the lower of their scores; any other is (0, 0), scored 0.
        """
        if skeleton == self.skeleton:
            return self
        known = {
            _canonical(name): (point, float(score))
            for name, point, score in zip(
                self.skeleton.joints, self.points, self.scores, strict=True
            )
        }
        found = [_found(_canonical(name), known) for name in skeleton.joints]
        return Pose(
            points=np.array([point for point, _ in found], np.float32),
            scores=np.array([score for _, score in found], np.float32),
            skeleton=skeleton,
            box=self.box,
            id=self.id,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and names, ready for JSON."""
        return {
            **({} if self.id is None else {"id": self.id}),
            "box": [float(value) for value in self.box],
            "score": self.score,
            "keypoints": [
                {"name": name, "x": float(x), "y": float(y), "score": float(score)}
                for name, (x, y), score in zip(
                    self.skeleton.joints, self.points, self.scores, strict=True
                )
            ],
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any], *, skeleton: Skeleton) -> Pose:
        """The pose that `to_dict` wrote.

        Raises:
            ValueError: If the keypoints' names are not the skeleton's.
        """
        keypoints = values["keypoints"]
        names = tuple(keypoint["name"] for keypoint in keypoints)
        if names != skeleton.joints:
            raise InputError(f"keypoints {names} are not those of skeleton {skeleton.name!r}")
        x, y, width, height = values["box"]
        return cls(
            points=np.array([[k["x"], k["y"]] for k in keypoints], np.float32),
            scores=np.array([k["score"] for k in keypoints], np.float32),
            skeleton=skeleton,
            box=(x, y, width, height),
            id=values.get("id"),
        )


def _canonical(joint: str) -> str:
    """One spelling of a joint's name: `RHip`, `r_hip` and `Right Hip` are one joint."""
    side = side_of(joint)
    words = f"{side[0]}_{side[1]}" if side else joint
    plain = words.lower().replace(" ", "_").replace("-", "_").replace(".", "_")
    return SAME_JOINT.get(plain, plain)


def _found(name: str, known: dict[str, tuple[np.ndarray, float]]) -> tuple[np.ndarray, float]:
    """A joint's point and score, its own or a midpoint's."""
    if name in known:
        return known[name]
    if name not in MIDPOINTS:
        return np.zeros(2, np.float32), 0.0
    (one, one_score), (other, other_score) = (_found(end, known) for end in MIDPOINTS[name])
    if not min(one_score, other_score):
        return np.zeros(2, np.float32), 0.0
    return (one + other) / 2, min(one_score, other_score)
