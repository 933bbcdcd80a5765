"""Following people: the box goes where the joints go, and a filter takes jitter, not motion."""

from __future__ import annotations

import numpy as np
import pytest

from hourglass.core.pose import Box, Pose
from hourglass.core.skeleton import MPII
from hourglass.inference.tracking import (
    FEWEST_JOINTS,
    LOST_SCORE,
    MARGIN,
    SURE_SCORE,
    OneEuroFilter,
    following_box,
)

JOINTS = len(MPII.joints)
RATE = 30.0


def standing(x: float = 200.0, y: float = 150.0, *, height: float = 180.0) -> np.ndarray:
    """Joints (16, 2) of somebody `height` px from ankle to head top, around (x, y)."""
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.5, 0.5, (JOINTS, 2)) * [0.4, 1.0]
    points[0], points[1] = [0.1, -0.5], [-0.1, 0.5]
    points[2], points[3] = [-0.2, 0.0], [0.2, 0.0]
    return points * height + [x, y]


def pose(points: np.ndarray, box: Box, scores: float | np.ndarray = 0.8) -> Pose:
    known = np.broadcast_to(np.asarray(scores, np.float32), JOINTS).copy()
    return Pose(np.asarray(points, np.float32), known, MPII, box)


def middle(box: Box) -> np.ndarray:
    """A box's centre, by the convention that a pixel's centre is at its index."""
    return np.array([box[0] + (box[2] - 1) / 2, box[1] + (box[3] - 1) / 2])


def follow(points: np.ndarray, box: Box, frames: int) -> Box:
    for _ in range(frames):
        box = following_box(pose(points, box))
        assert box is not None
    return box


# The box.


def test_the_box_of_somebody_who_stands_stays():
    points = standing()
    settled = (200 - (216 - 1) / 2, 150 - (216 - 1) / 2, 216.0, 216.0)
    assert settled[2] == pytest.approx(180 * MARGIN)
    np.testing.assert_allclose(follow(points, settled, 1), settled, atol=1e-3)
    np.testing.assert_allclose(follow(points, settled, 200), settled, atol=1e-2)


@pytest.mark.parametrize(
    "begin", [(0, 0, 640, 480), (150, 60, 100, 180), (190, 140, 20, 20), (-500, 100, 300, 900)]
)
def test_wherever_it_began_the_box_comes_to_the_person(begin: Box):
    x, y, width, height = box = follow(standing(), begin, 40)
    np.testing.assert_allclose(middle(box), [200, 150], atol=0.05)
    assert width == height == pytest.approx(180 * MARGIN, abs=0.05)
    points = standing()
    assert (points > [x, y]).all()
    assert (points < [x + width, y + height]).all()


def test_the_box_comes_nearer_with_every_frame_and_does_not_swing():
    box, points = (0.0, 0.0, 640.0, 480.0), standing()
    away = [np.inf]
    sizes = [np.inf]
    for _ in range(12):
        box = follow(points, box, 1)
        away.append(float(np.linalg.norm(middle(box) - [200, 150])))
        sizes.append(abs(box[2] - 180 * MARGIN))
        assert away[-1] < away[-2]
        assert sizes[-1] < sizes[-2]


def test_somebody_who_walks_is_kept_within_the_box():
    x, y, step = 100.0, 150.0, 6.0
    box = follow(standing(x, y), (0, 0, 300, 300), 10)
    for _ in range(100):
        x += step
        points = standing(x, y)
        left, top, width, height = box
        # Looked for where the last frame's joints were: all are still inside.
        assert (points > [left, top]).all()
        assert (points < [left + width, top + height]).all()
        box = follow(points, box, 1)
    assert abs(middle(box)[0] - x) <= step


def test_somebody_who_comes_nearer_is_given_a_larger_box():
    box = follow(standing(), (0, 0, 300, 300), 20)
    for height in range(180, 360, 5):
        box = follow(standing(height=height), box, 1)
    assert 0.9 * 355 * MARGIN < box[2] < 355 * MARGIN


def test_the_box_moves_and_grows_with_its_picture():
    rng = np.random.default_rng(1)
    for _ in range(20):
        points = rng.uniform(0, 300, (JOINTS, 2))
        box = tuple(map(float, (*rng.uniform(-50, 50, 2), *rng.uniform(50, 300, 2))))
        one = following_box(pose(points, box))
        moved = following_box(pose(np.add(points, (31, -7)), (box[0] + 31, box[1] - 7, *box[2:])))
        np.testing.assert_allclose(moved, np.add(one, (31, -7, 0, 0)), atol=1e-3)
        # Twice as large: pixel centres at 2 (x + 0.5) - 0.5.
        twice = (2 * box[0] + 0.5, 2 * box[1] + 0.5, 2 * box[2], 2 * box[3])
        grown = following_box(pose(2 * points + 0.5, twice))
        np.testing.assert_allclose(middle(grown), 2 * middle(one) + 0.5, atol=1)
        assert grown[2] == pytest.approx(2 * one[2], abs=1e-3)


def test_lying_and_standing_are_given_the_same_room():
    upright = follow(standing(0, 0), (-90, -90, 180, 180), 30)
    lying = follow(standing(0, 0)[:, ::-1], (-90, -90, 180, 180), 30)
    np.testing.assert_allclose(upright, lying, atol=1e-2)


def test_joints_that_are_not_sure_do_not_pull_the_box():
    points, box = standing(), (100.0, 50.0, 200.0, 200.0)
    scores = np.full(JOINTS, 0.8)
    scores[[7, 12]] = SURE_SCORE - 0.05
    expected = following_box(pose(points, box, scores))
    points[7], points[12] = [9e4, -9e4], [-5e3, 0]
    np.testing.assert_allclose(following_box(pose(points, box, scores)), expected)


def test_somebody_who_is_hardly_seen_is_lost():
    box = (100.0, 50.0, 200.0, 200.0)
    assert following_box(pose(standing(), box, LOST_SCORE + 0.01)) is not None
    assert following_box(pose(standing(), box, LOST_SCORE - 0.01)) is None
    assert following_box(pose(standing(), box, 0.0)) is None


def test_somebody_of_few_joints_is_lost():
    # Their mean score is high enough, but they do not say where the person is.
    for count, lost in ((FEWEST_JOINTS - 1, True), (FEWEST_JOINTS, False)):
        scores = np.full(JOINTS, SURE_SCORE - 0.01)
        scores[:count] = 1.0
        found = following_box(pose(standing(), (100, 50, 200, 200), scores))
        assert scores.mean() > LOST_SCORE
        assert (found is None) == lost


def test_the_box_is_plain_numbers():
    box = following_box(pose(standing(), (0, 0, 300, 300)))
    assert [type(value) for value in box] == [float] * 4


# The filter.


def run(points: np.ndarray, *, rate: float = RATE, size: float = 200.0, **options: float):
    """The filtered joints of every frame; `points` (N, J, 2)."""
    smoothing = OneEuroFilter(rate, **options)
    return np.stack([smoothing(frame, size=size) for frame in points])


def test_the_first_frame_is_itself():
    points = standing()
    filtered = OneEuroFilter(RATE)(points, size=200)
    np.testing.assert_array_equal(filtered, points.astype(np.float32))
    assert filtered.dtype == np.float32
    assert filtered.shape == (JOINTS, 2)


@pytest.mark.parametrize("rate", [1.0, 25.0, 240.0])
def test_joints_that_rest_are_unchanged(rate: float):
    still = np.repeat(standing()[None], 50, axis=0)
    np.testing.assert_allclose(run(still, rate=rate), still, rtol=1e-6)


def test_jitter_is_smoothed():
    noise = np.random.default_rng(0).normal(0, 1.0, (300, JOINTS, 2))
    filtered = run(standing() + noise)
    left = (filtered - standing())[30:]
    assert left.std() < 0.5
    # And not by leaning to one side.
    assert np.abs(left.mean(axis=0)).max() < 0.25
    steps = [np.abs(np.diff(each[30:], axis=0)).mean() for each in (filtered, noise)]
    assert steps[0] < 0.35 * steps[1]


def test_after_a_jump_the_joints_arrive_without_going_beyond():
    before, after = standing(), standing(260, 150)
    points = np.stack([before] * 5 + [after] * 60)
    filtered = run(points)
    np.testing.assert_allclose(filtered[-1], after, atol=0.1)
    x = filtered[4:, :, 0] - before[:, 0]
    assert (np.diff(x, axis=0) > -1e-3).all()
    assert x.max() < 60.001


def test_fast_joints_lag_less_than_slow_cutoffs_would_make_them():
    # Two box sides a second: a fast arm.
    times = np.arange(60) / RATE
    points = standing() + np.stack([400 * times, 0 * times], axis=-1)[:, None]
    lag = (points - run(points))[-1, :, 0]
    stiff = (points - run(points, speed_share=0.0))[-1, :, 0]
    assert (lag < 0.25 * stiff).all()
    assert (lag < 0.06 * 200).all()
    assert (lag > 0).all()


def test_slow_joints_are_smoothed_more_than_fast_ones():
    rng = np.random.default_rng(2)
    noise = rng.normal(0, 1.0, (400, JOINTS, 2))
    times = np.arange(400)[:, None, None] / RATE
    left = {}
    for speed in (0.0, 600.0):
        motion = standing() + times * [speed, 0]
        filtered = run(motion + noise)
        left[speed] = (filtered - motion)[60:, :, 1].std()
    assert left[0.0] < 0.6 * left[600.0]


def test_a_lower_cutoff_smooths_more():
    points = standing() + np.random.default_rng(0).normal(0, 1.0, (200, JOINTS, 2))
    spread = [run(points, cutoff=cutoff)[30:].std(axis=0).mean() for cutoff in (0.3, 1.0, 3.0)]
    assert spread[0] < spread[1] < spread[2]


def test_every_joint_is_filtered_by_itself():
    points = np.repeat(standing()[None], 20, axis=0)
    points[10:, 3] += [80, -30]
    filtered = run(points)
    others = np.arange(JOINTS) != 3
    np.testing.assert_allclose(filtered[:, others], points[:, others], rtol=1e-6)
    assert (np.abs(filtered[10] - points[10])[3] > 1).all()


def test_the_filter_knows_no_place_and_no_scale():
    points = standing() + np.random.default_rng(3).normal(0, 4.0, (40, JOINTS, 2))
    plain, away = run(points), np.array([500, -80])
    np.testing.assert_allclose(run(points + away), plain + away, atol=1e-3)
    # A picture of twice the resolution, in which the box is twice as large.
    np.testing.assert_allclose(run(2 * points, size=400), 2 * plain, atol=1e-3)


def test_what_was_given_is_left_as_it_was():
    points = np.random.default_rng(4).uniform(0, 200, (5, JOINTS, 2))
    before = points.copy()
    smoothing = OneEuroFilter(RATE)
    given = [smoothing(frame, size=200) for frame in points]
    kept = [frame.copy() for frame in given]
    smoothing(points[0], size=200)
    np.testing.assert_array_equal(points, before)
    np.testing.assert_array_equal(given, kept)
