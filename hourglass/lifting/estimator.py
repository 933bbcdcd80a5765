"""From a person's joints in a picture to joints around the pelvis, in millimetres.

This is the way a program uses a lifting network::

    pose = PoseEstimator.load()(picture)
    body = Lifter.load()(pose)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hourglass.core.errors import InputError
from hourglass.core.pose import Pose
from hourglass.core.skeleton import Skeleton
from hourglass.core.storage import Place
from hourglass.lifting.body import ABOUT_PELVIS, BODY, SEEN, normalised, seen_joints
from hourglass.lifting.model_file import WEIGHTS
from hourglass.lifting.runtimes import LiftingRuntime, load_runtime

METRE = 1000.0
"""Networks answer in metres."""

MIN_SCORE = 0.4
"""Joints that the 2D network scores lower are taken as not found: most of those are wrong."""

FEWEST_JOINTS = 6
"""With fewer joints there is no telling how a person stands."""

SHIPPED = WEIGHTS / "lift-lite.npz"


@dataclass(frozen=True, eq=False)
class Body:
    """One person in three dimensions.

    Attributes:
        points: (17, 3) float32, mm about the pelvis; x right, y down, z away from the camera.
        scores: (17,) float32 in [0, 1], the 2D network's; 0 where nothing was seen and the joint is
            a guess from the others.
        skeleton: Names the joints.
    """

    points: np.ndarray
    scores: np.ndarray
    skeleton: Skeleton = BODY

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and names, ready for JSON."""
        return {
            "joints": [
                {"name": name, "x": float(x), "y": float(y), "z": float(z), "score": float(score)}
                for name, (x, y, z), score in zip(
                    self.skeleton.joints, self.points.round(1), self.scores, strict=True
                )
            ]
        }


class Lifter:
    """Lifts people, one or many at a time. May be shared by threads.

    Args:
        runtime: The network.
        min_score: 2D joints scored lower are masked.
    """

    def __init__(self, runtime: LiftingRuntime, *, min_score: float = MIN_SCORE) -> None:
        self._runtime, self._min_score = runtime, min_score

    @classmethod
    def load(cls, path: str | Place | None = None, *, min_score: float = MIN_SCORE) -> Lifter:
        """A lifter from a model file.

        Args:
            path: The file, here or at a URL; default: the shipped one.
            min_score: As the class's.

        Raises:
            ValueError: If there is no such file, or it is no lifting network.
        """
        return cls(load_runtime(path or SHIPPED), min_score=min_score)

    def __call__(self, pose: Pose) -> Body:
        """One person.

        Raises:
            ValueError: If too few of the joints were found.
        """
        body = self.bodies([pose])[0]
        if body is None:
            raise InputError(self.refusal(pose))
        return body

    def bodies(self, poses: Sequence[Pose]) -> list[Body | None]:
        """Many people, on any skeletons whose joints have the usual names.

        Returns:
            As many; None for a person of whom too few joints were found.
        """
        seen = [seen_joints(pose, min_score=self._min_score) for pose in poses]
        enough = [index for index, (_, known) in enumerate(seen) if known.sum() >= FEWEST_JOINTS]
        bodies: list[Body | None] = [None] * len(poses)
        if enough:
            points, known = (
                np.stack(part) for part in zip(*(seen[i] for i in enough), strict=True)
            )
            for index, placed in zip(enough, self.lift(points, known), strict=True):
                bodies[index] = Body(placed, _scores(poses[index], seen[index][1]))
        return bodies

    def refusal(self, pose: Pose) -> str:
        """Why a person has no body, in words."""
        _, known = seen_joints(pose, min_score=self._min_score)
        return (
            f"{known.sum()} of the {len(SEEN)} joints were found with a score of "
            f"{self._min_score:g} or more, lifting needs {FEWEST_JOINTS}"
        )

    def lift(self, points: np.ndarray, known: np.ndarray) -> np.ndarray:
        """Joints in three dimensions, of any number of people.

        Args:
            points: (N, 16, 2) px, the joints of `hourglass.lifting.body.SEEN`.
            known: (N, 16) bool.

        Returns:
            (N, 17, 3) float32, mm about the pelvis.
        """
        inputs = normalised(points, known, masked=self._runtime.about.config.masked)
        placed = np.zeros((len(points), len(BODY.joints), 3), np.float32)
        placed[:, ABOUT_PELVIS] = METRE * self._runtime(inputs.astype(np.float32))
        return placed


def _scores(pose: Pose, known: np.ndarray) -> np.ndarray:
    """The 2D scores (17,) under the body's names."""
    scores = np.zeros(len(BODY.joints), np.float32)
    scores[list(SEEN)] = np.where(known, pose.to(BODY).scores[list(SEEN)], 0)
    return scores
