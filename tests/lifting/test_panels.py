"""What the panels show: sides, scales, and joints that are missing."""

from __future__ import annotations

import numpy as np
import pytest

from hourglass.core.pose import Pose
from hourglass.core.skeleton import MPII
from hourglass.lifting.body import BODY
from hourglass.lifting.estimator import Body
from hourglass.lifting.panels import BLUE, RED, SIZE, draw_body, draw_panels, draw_seen


@pytest.fixture
def body(standing: np.ndarray) -> Body:
    points = ((standing[0] - standing[0, 0]) * [1, -1, -1]).astype(np.float32)
    return Body(points, np.ones(17, np.float32))


@pytest.fixture
def pose(standing: np.ndarray) -> Pose:
    pixels = standing[0, :, :2] * [0.2, -0.2] + [300, 400]
    same = {"upper_neck": "neck"}
    points = np.stack([pixels[BODY.index(same.get(name, name))] for name in MPII.joints]).astype(
        np.float32
    )
    return Pose(points, np.ones(16, np.float32), MPII, (100, 0, 400, 400))


def middle(panel: np.ndarray, colour: tuple[int, int, int]) -> tuple[float, float]:
    rows, columns = np.nonzero((panel == colour).all(axis=-1))
    return float(columns.mean()), float(rows.mean())


def extent(panel: np.ndarray) -> tuple[int, int]:
    shown = (panel == BLUE).all(axis=-1) | (panel == RED).all(axis=-1)
    rows, columns = np.nonzero(shown)
    return int(np.ptp(columns)), int(np.ptp(rows))


def test_there_are_four(pose: Pose, body: Body) -> None:
    picture = np.full((400, 600, 3), 90, np.uint8)
    panels = draw_panels(picture, pose, body)
    assert panels.shape == (SIZE, 4 * SIZE, 3)
    assert panels.dtype == np.uint8
    assert (picture == 90).all()


def test_right_is_blue_and_where_the_camera_sees_it(pose: Pose, body: Body) -> None:
    for panel in (draw_seen(pose, body), draw_body(body, 0)):
        assert middle(panel, BLUE)[0] < middle(panel, RED)[0]  # the person faces us
    behind = draw_body(body, 180)
    assert middle(behind, BLUE)[0] > middle(behind, RED)[0]


def test_scales_are_equal(body: Body) -> None:
    wide = body.points[:, [1, 0, 2]]  # lying: as long across as it was high
    high = extent(draw_body(body, 0))
    across = extent(draw_body(Body(wide, body.scores), 0))
    assert abs(high[1] - across[0]) < 0.08 * high[1]


def test_missing_joints_are_not_drawn(pose: Pose, body: Body) -> None:
    scores = body.scores.copy()
    scores[[BODY.index("left_elbow"), BODY.index("left_wrist")]] = 0
    whole, less = draw_seen(pose, body), draw_seen(pose, Body(body.points, scores))
    reds = [(panel == RED).all(axis=-1).sum() for panel in (whole, less)]
    assert reds[1] < 0.9 * reds[0]
