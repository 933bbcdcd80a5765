"""Text in, text out: what the page asks for."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hourglass.core.pose import Pose
from hourglass.core.skeleton import MPII
from hourglass.lifting.estimator import Lifter
from hourglass.lifting.model_file import About
from hourglass.lifting.passes import lift_text
from hourglass.lifting.shape import LifterConfig
from hourglass.media.results import Found, to_json


class Echo:
    """A network that answers with what it was shown."""

    about = About(LifterConfig(units=8))

    def __call__(self, joints: np.ndarray) -> np.ndarray:
        return joints


def test_joints_of_people_become_joints_in_space() -> None:
    points = np.random.default_rng(0).normal(size=(16, 2)).astype(np.float32)
    poses = [
        Pose(points, np.full(16, score, np.float32), MPII, (0, 0, 9, 9)) for score in (1, 0.01)
    ]
    answer = json.loads(lift_text(to_json([Found("a.jpg", 9, 9, poses)]), Lifter(Echo())))
    first, second = answer[0]["people"]
    assert len(first["joints"]) == 17
    assert second is None
    with pytest.raises(ValueError, match="joints: no JSON"):
        lift_text("{", Lifter(Echo()))
