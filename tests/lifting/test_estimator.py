"""Lifting: masks, units, and who cannot be lifted."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hourglass.core.pose import Pose
from hourglass.core.skeleton import MPII
from hourglass.lifting.body import BODY, SEEN
from hourglass.lifting.estimator import SHIPPED, Lifter
from hourglass.lifting.model_file import About
from hourglass.lifting.shape import LifterConfig


class Echo:
    """A network that answers with what it was shown, in metres."""

    def __init__(self) -> None:
        self.about = About(LifterConfig(units=8))
        self.shown: list[np.ndarray] = []

    def __call__(self, joints: np.ndarray) -> np.ndarray:
        self.shown.append(joints)
        return joints


def pose(scores: np.ndarray | None = None) -> Pose:
    rng = np.random.default_rng(0)
    points = (rng.normal(size=(16, 2)) * 40 + 300).astype(np.float32)
    return Pose(points, np.ones(16, np.float32) if scores is None else scores, MPII, (0, 0, 9, 9))


def test_the_pelvis_is_the_origin_and_units_are_millimetres() -> None:
    network = Echo()
    body = Lifter(network)(pose())
    np.testing.assert_array_equal(body.points[0], 0)
    np.testing.assert_allclose(body.points[1:], network.shown[0][0] * 1000, rtol=1e-6)
    assert body.points.dtype == np.float32


def test_low_scores_are_masked_and_their_places_do_not_matter() -> None:
    scores = np.ones(16, np.float32)
    scores[MPII.index("left_wrist")] = 0.1
    network = Echo()
    one = pose(scores)
    moved = one.points.copy()
    moved[MPII.index("left_wrist")] = np.nan
    bodies = Lifter(network).bodies([one, Pose(moved, scores, MPII, one.box)])
    column = SEEN.index(BODY.index("left_wrist"))
    np.testing.assert_array_equal(network.shown[0][:, column], 0)
    assert bodies[0] is not None
    assert bodies[1] is not None
    np.testing.assert_array_equal(bodies[0].points, bodies[1].points)
    assert bodies[0].scores[BODY.index("left_wrist")] == 0
    assert bodies[0].scores[BODY.index("right_wrist")] == 1
    assert bodies[0].scores[BODY.index("spine")] == 0  # nobody sees it


def test_one_joint_only_is_refused_and_the_others_are_lifted() -> None:
    scores = np.zeros(16, np.float32)
    scores[3] = 1
    lifter = Lifter(Echo())
    with pytest.raises(ValueError, match=r"1 of the 16 joints were found .* lifting needs 6"):
        lifter(pose(scores))
    bodies = lifter.bodies([pose(scores), pose()])
    assert bodies[0] is None
    assert bodies[1] is not None
    assert lifter.bodies([]) == []


def test_a_body_becomes_plain_json() -> None:
    text = json.dumps(Lifter(Echo())(pose()).to_dict())
    joints = json.loads(text)["joints"]
    assert [joint["name"] for joint in joints] == list(BODY.joints)
    assert joints[0] == {"name": "pelvis", "x": 0.0, "y": 0.0, "z": 0.0, "score": 1.0}


@pytest.mark.skipif(not SHIPPED.is_file(), reason="no network is shipped")
def test_the_shipped_network_lifts_a_standing_person(standing: np.ndarray) -> None:
    pixels = standing[0, :, :2] * [0.2, -0.2] + [300, 400]
    same = {"upper_neck": "neck"}
    points = np.stack([pixels[BODY.index(same.get(name, name))] for name in MPII.joints]).astype(
        np.float32
    )
    body = Lifter.load()(Pose(points, np.ones(16, np.float32), MPII, (0, 0, 600, 600)))
    expected = (standing[0] - standing[0, 0]) * [1, -1, -1]
    errors = np.linalg.norm(body.points - expected, axis=-1)
    assert errors.mean() < 100
    # Seen from in front, the person's right is at the camera's left.
    assert body.points[BODY.index("right_shoulder"), 0] < -80
