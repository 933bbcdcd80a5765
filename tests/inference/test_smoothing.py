"""A film's joints: gaps are bridged, and a filter takes jitter, not motion."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hourglass.core.pose import Box, Pose
from hourglass.core.skeleton import MPII
from hourglass.inference.smoothing import (
    BRIDGED_SHARE,
    LONGEST_GAP,
    OneEuroFilter,
    Smoother,
    bridged,
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


# Gaps.


def walking(number: int, *, person: int = 1, low: tuple[int, ...] = ()) -> Pose:
    """Somebody who moves 3 px a frame; joints in `low` are not seen, and lie anywhere."""
    points, scores = standing(200 + 3 * number), np.full(JOINTS, 0.8, np.float32)
    points[list(low)], scores[list(low)] = 999, 0.05
    return replace(pose(points, (3.0 * number, 0, 200, 200), scores), id=person)


@pytest.mark.parametrize("gap", [1, 2, LONGEST_GAP])
def test_a_joint_that_is_lost_for_a_moment_lies_on_the_straight(gap: int):
    frames = [[walking(n, low=(4, 7) if 10 <= n < 10 + gap else ())] for n in range(30)]
    for number, (one,) in enumerate(bridged(frames)):
        np.testing.assert_allclose(one.points, walking(number).points, atol=1e-3)
        inside = 10 <= number < 10 + gap
        expected = 0.8 * BRIDGED_SHARE if inside else 0.8
        np.testing.assert_allclose(one.scores[[4, 7]], expected, atol=1e-6)
        np.testing.assert_allclose(np.delete(one.scores, [4, 7]), 0.8)


def test_a_longer_gap_stays_as_it_was_seen():
    frames = [[walking(n, low=(4,) if 10 <= n < 11 + LONGEST_GAP else ())] for n in range(30)]
    for (one,), (given,) in zip(bridged(frames), frames, strict=True):
        np.testing.assert_array_equal(one.points, given.points)
        np.testing.assert_array_equal(one.scores, given.scores)


@pytest.mark.parametrize("gap", [1, LONGEST_GAP])
def test_somebody_who_is_away_for_a_moment_is_put_in(gap: int):
    frames = [[] if 10 <= n < 10 + gap else [walking(n)] for n in range(30)]
    for number, people in enumerate(bridged(frames)):
        (one,) = people
        np.testing.assert_allclose(one.points, walking(number).points, atol=1e-3)
        assert one.box == pytest.approx(walking(number).box)
        assert one.id == 1
        inside = 10 <= number < 10 + gap
        np.testing.assert_allclose(one.scores, 0.8 * BRIDGED_SHARE if inside else 0.8)


def test_somebody_who_goes_or_comes_is_not_made_up():
    frames = [
        [walking(n, person=1)] * (n < 10) + [walking(n, person=2)] * (n >= 12) for n in range(20)
    ]
    ids = [[one.id for one in people] for people in bridged(frames)]
    assert ids == [[1]] * 10 + [[]] * 2 + [[2]] * 8
    long = [[] if 5 <= n < 6 + LONGEST_GAP else [walking(n)] for n in range(20)]
    assert [len(people) for people in bridged(long)] == [len(people) for people in long]


def test_what_was_given_is_not_changed_by_bridging():
    frames = [[walking(n, low=(4,) if n == 3 else ())] for n in range(8)]
    before = frames[3][0].points.copy()
    list(bridged(frames))
    np.testing.assert_array_equal(frames[3][0].points, before)


@pytest.mark.parametrize("count", [0, 1, LONGEST_GAP, 40])
def test_no_frame_is_lost_at_the_end(count: int):
    frames = [[walking(n)] for n in range(count)]
    assert len(list(bridged(frames))) == count


# The filter of many.


def test_everybody_is_filtered_by_themselves():
    smoother, alone = Smoother(RATE), OneEuroFilter(RATE)
    for number in range(10):
        people = [walking(number, person=1), walking(-5 * number, person=2)][
            :: 1 if number % 2 else -1
        ]
        found = {one.id: one for one in smoother(people)}
        expected = alone(walking(number).points, size=200)
        np.testing.assert_array_equal(found[1].points, expected)


def test_who_was_lost_begins_anew():
    smoother = Smoother(RATE)
    smoother([walking(0)])
    lost = replace(walking(1), scores=np.full(JOINTS, 0.05, np.float32))
    smoother([lost])
    (one,) = smoother([walking(50)])
    np.testing.assert_array_equal(one.points, walking(50).points)
    smoother([])
    (one,) = smoother([walking(90)])
    np.testing.assert_array_equal(one.points, walking(90).points)


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
