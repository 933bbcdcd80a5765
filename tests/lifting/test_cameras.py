"""Virtual cameras: where they stand, what they see, and how the 2D network errs."""

from __future__ import annotations

import numpy as np
import pytest

from hourglass.lifting.body import BODY, SEEN
from hourglass.lifting.cameras import (
    PICTURE,
    CameraRange,
    Detector,
    fit_errors,
    person_size,
    project,
    random_detections,
    random_views,
)

HEAD, LEFT, RIGHT = (BODY.index(name) for name in ("head_top", "left_shoulder", "right_shoulder"))


def views(points: np.ndarray, **ranges: object) -> tuple[np.ndarray, np.ndarray]:
    cameras = CameraRange(**ranges)  # type: ignore[arg-type]
    return random_views(np.random.default_rng(0), points, cameras=cameras)


def test_a_pinhole_by_hand() -> None:
    points = np.array([[[0, 0, 4000], [1000, -500, 4000]]], float)
    pixels = project(points, focal=np.array([1000.0]))
    np.testing.assert_allclose(pixels[0], [[499.5, 499.5], [749.5, 374.5]])


def test_bones_keep_their_lengths_and_the_pelvis_is_the_origin(moving: np.ndarray) -> None:
    body, pixels = views(moving)
    np.testing.assert_array_equal(body[:, 0], 0)
    parents, children = np.array(BODY.bones).T
    for points in (moving, body):
        assert points.shape == moving.shape
    np.testing.assert_allclose(
        np.linalg.norm(body[:, children] - body[:, parents], axis=-1),
        np.linalg.norm(moving[:, children] - moving[:, parents], axis=-1),
        rtol=1e-4,
    )
    assert pixels.min() > -100
    assert pixels.max() < PICTURE + 100


def test_nothing_is_mirrored(standing: np.ndarray) -> None:
    body, _ = views(np.repeat(standing, 20, axis=0))
    world = standing[0] - standing[0, 0]
    for seen in body:  # the same handedness: the rotation between the two has determinant 1
        rotation, *_ = np.linalg.lstsq(world, seen, rcond=None)
        assert np.linalg.det(rotation) == pytest.approx(1, abs=1e-4)


def test_heads_are_up_and_a_camera_above_is_nearer_to_them(standing: np.ndarray) -> None:
    many = np.repeat(standing, 50, axis=0)
    body, pixels = views(many, elevation=(30, 30), roll=0)
    assert (pixels[:, HEAD, 1] < pixels[:, 0, 1]).all()
    assert (body[:, HEAD, 2] < -100).all()
    body, _ = views(many, elevation=(-10, -10), roll=0)
    assert (body[:, HEAD, 2] > 50).all()


def test_cameras_go_all_around(standing: np.ndarray) -> None:
    _, pixels = views(np.repeat(standing, 400, axis=0))
    facing = (pixels[:, LEFT, 0] > pixels[:, RIGHT, 0]).mean()
    assert 0.4 < facing < 0.6


def test_the_same_seed_sees_the_same(moving: np.ndarray) -> None:
    for one, other in zip(views(moving), views(moving), strict=True):
        np.testing.assert_array_equal(one, other)


def test_size_is_the_root_mean_square_distance_from_the_middle() -> None:
    pixels = np.array([[[0, 0], [6, 8], [100, 100]]], float)
    known = np.array([[True, True, False]])
    np.testing.assert_allclose(person_size(pixels, known), 5)


def test_a_perfect_detector_changes_nothing(moving: np.ndarray) -> None:
    pixels = moving[..., :2]
    perfect = Detector(sigma=0, far=0, missing=0, cut=0)
    found, known = random_detections(np.random.default_rng(0), pixels, detector=perfect)
    np.testing.assert_array_equal(found, pixels[:, SEEN])
    assert known.all()


def test_errors_have_the_size_that_was_asked_for(standing: np.ndarray) -> None:
    pixels = np.repeat(standing[..., :2], 4000, axis=0)
    detector = Detector(sigma=0.03, far=0, missing=0.1, cut=0, level=1)
    found, known = random_detections(np.random.default_rng(0), pixels, detector=detector)
    errors = (found - pixels[:, SEEN]) / person_size(pixels[:, SEEN])[:, None, None]
    assert errors.std() == pytest.approx(0.03, rel=0.02)
    assert known.mean() == pytest.approx(0.9, abs=0.01)


def test_two_joints_are_always_left(standing: np.ndarray) -> None:
    pixels = np.repeat(standing[..., :2], 500, axis=0)
    _, known = random_detections(
        np.random.default_rng(0), pixels, detector=Detector(missing=0.97, cut=1)
    )
    assert known.sum(axis=1).min() >= 2


def test_errors_of_two_kinds_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    sigma = np.where(rng.random(20_000) < 0.2, 0.5, 0.04)
    distances = np.linalg.norm(rng.normal(size=(20_000, 2)) * sigma[:, None], axis=1)
    assert fit_errors(distances) == pytest.approx((0.04, 0.2, 0.5), rel=0.05)
