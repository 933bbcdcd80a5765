"""The one result type: a person's joints in pixels of the original picture.

Nothing here computes; `inference.estimator` makes poses and `media.drawing` shows them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hourglass.core.skeleton import Skeleton

Box = tuple[float, float, float, float]
"""(x, y, width, height), px; x and y are the upper left pixel's index."""


@dataclass(frozen=True, eq=False)
class Pose:
    """One person's joints.

    Attributes:
        points: (J, 2) float32, (x, y) in 0-based pixels of the original picture, a pixel's centre
            at its index.
        scores: (J,) float32 in [0, 1].
        skeleton: Names the J joints.
        box: (x, y, width, height) in pixels, the box that the pose was looked for in.

    Raises:
        ValueError: If the arrays do not have the skeleton's number of joints.
    """

    points: np.ndarray
    scores: np.ndarray
    skeleton: Skeleton
    box: Box

    def __post_init__(self) -> None:
        joints = len(self.skeleton.joints)
        if self.points.shape != (joints, 2) or self.scores.shape != (joints,):
            raise ValueError(
                f"a pose on skeleton {self.skeleton.name!r} needs points ({joints}, 2) and scores "
                f"({joints},), got {self.points.shape} and {self.scores.shape}"
            )

    @property
    def score(self) -> float:
        """The person's score in [0, 1]: the mean of the joints' scores."""
        return float(self.scores.mean())

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and names, ready for JSON."""
        return {
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
            raise ValueError(f"keypoints {names} are not those of skeleton {skeleton.name!r}")
        x, y, width, height = values["box"]
        return cls(
            points=np.array([[k["x"], k["y"]] for k in keypoints], np.float32),
            scores=np.array([k["score"] for k in keypoints], np.float32),
            skeleton=skeleton,
            box=(x, y, width, height),
        )
