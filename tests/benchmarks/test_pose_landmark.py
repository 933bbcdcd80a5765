"""MediaPipe's pose files beside models of this project: geometry and scores, without its files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.pose_landmark import (
    LANDMARKS,
    MIDDLE,
    REACH,
    PoseLandmark,
    count_parameters,
    score,
    square_about,
)
from hourglass.core.geometry import apply_affine
from hourglass.core.person import Person
from hourglass.core.skeleton import MPII
from hourglass.data.people import gather
from hourglass.inference.estimator import SHIPPED_LITERT


@pytest.mark.parametrize("reach", [(0, -80), (60, -60), (80, 0), (-30, 70)])
def test_the_next_square_stands_upright_about_the_hips(reach: tuple[float, float]):
    landmarks = np.zeros((39, 2))
    landmarks[MIDDLE] = 200, 150
    landmarks[REACH] = landmarks[MIDDLE] + reach
    matrix = square_about(landmarks, size=256)
    middle, above = apply_affine(matrix, landmarks[[MIDDLE, REACH]])
    np.testing.assert_allclose(middle, [127.5, 127.5])
    # MediaPipe's square is 1.25 times as wide as a circle through that point.
    np.testing.assert_allclose(above, [127.5, 127.5 - 256 / 2.5], atol=1e-9)


def test_only_joints_that_both_have_are_scored():
    points = np.random.default_rng(0).uniform(0, 200, (16, 2)).astype(np.float32)
    person = Person(
        filename="a.jpg",
        points=points,
        visibility=np.full(16, 2, np.uint8),
        center=np.array([100, 100], np.float32),
        scale=1.0,
    )
    people = gather([person], MPII)
    others = [joint not in LANDMARKS for joint in MPII.joints]
    assert sum(others) == 4
    found = points[None].copy()
    found[0, others] += 1000
    assert score(found, people) == "100.0 / 100.0"
    found[0, MPII.joints.index("left_wrist")] += 5  # of 25 px a head
    assert score(found, people) == "100.0 / 91.7"


def test_weights_are_counted():
    assert 3_200_000 < count_parameters(SHIPPED_LITERT) < 3_300_000


def test_another_file_is_told(tmp_path: Path):
    path = tmp_path / "a.tflite"
    path.write_bytes(b"no model")
    with pytest.raises(ValueError, match=r"a\.tflite: not a LiteRT file"):
        PoseLandmark(path)
    with pytest.raises(ValueError, match="gives no landmarks"):
        PoseLandmark(SHIPPED_LITERT)
