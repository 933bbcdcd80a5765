"""How found people are drawn on their picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hourglass.core.pose import Pose
from hourglass.inference.estimator import PoseEstimator
from hourglass.media.drawing import DEFAULT_PARTS, MIN_SCORE, PARTS, draw_heatmap, draw_poses

HEATMAP, NOTHING = "heatmap", "nothing"


DRAWINGS = (*PARTS, HEATMAP, NOTHING)


@dataclass(frozen=True)
class Look:
    """How poses are drawn.

    Attributes:
        parts: Some of `DRAWINGS`.
        min_score: Joints scored lower are not drawn.
    """

    parts: tuple[str, ...] = DEFAULT_PARTS
    min_score: float = MIN_SCORE

    def draw(
        self, picture: np.ndarray, poses: Sequence[Pose], estimator: PoseEstimator
    ) -> np.ndarray:
        """The picture (H, W, 3) uint8 RGB with its people."""
        if HEATMAP in self.parts:
            # Each is predicted from the picture, not from the glow of the one before.
            seen = [estimator.highest_heatmap(picture, pose.box) for pose in poses]
            for heatmap, matrix in seen:
                picture = draw_heatmap(picture, heatmap, matrix)
        parts = [part for part in self.parts if part in PARTS]
        return draw_poses(picture, poses, min_score=self.min_score, parts=parts)
