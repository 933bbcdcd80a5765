"""Following people: the box goes where the joints go, and everybody keeps their id."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from hourglass.core.pose import Box, Pose
from hourglass.core.skeleton import MPII
from hourglass.inference.tracking import (
    FEWEST_JOINTS,
    LOST_SCORE,
    MARGIN,
    PATIENCE,
    SURE_SCORE,
    Tracker,
    following_box,
    overlap,
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
    seen = np.arange(len(standing())) % 2
    assert following_box(pose(standing(), box, 2 * (LOST_SCORE + 0.01) * seen)) is not None
    assert following_box(pose(standing(), box, 2 * (LOST_SCORE - 0.01) * seen)) is None
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


# Everybody.

SIZE = {"width": 1000, "height": 400}


class World:
    """People whose places are known: looking in a box finds whoever is nearest to its middle.

    Args:
        places: Each person's middle (x, y) px at a frame's number, or None of one who is away.
    """

    def __init__(self, *places: Callable[[int], tuple[float, float] | None]) -> None:
        self.places = places
        self.tracker = Tracker()
        self.hidden: set[int] = set()

    def poses(self, number: int) -> list[Pose]:
        found = [place(number) for place in self.places]
        return [
            pose(standing(*place, height=180 + 10 * person), (place[0], place[1], 200, 200))
            for person, place in enumerate(found)
            if place and person not in self.hidden
        ]

    def boxes(self, number: int) -> list[Box]:
        """What a perfect detector says."""
        return [
            (*(one.points.min(axis=0) - 10).tolist(), *(np.ptp(one.points, axis=0) + 20).tolist())
            for one in self.poses(number)
        ]

    def look(self, number: int, box: Box) -> Pose:
        there = self.poses(number)
        near = [np.linalg.norm(one.points.mean(axis=0) - middle(box)) for one in there]
        if not near or min(near) > 150:
            return pose(standing(*middle(box)), box, 0.05)
        found = there[int(np.argmin(near))]
        return pose(found.points, box, 0.8)

    def run(self, frames: int, *, every: int = 8) -> list[dict[int, np.ndarray]]:
        """The middle of everybody's joints by id, in each frame of 25 a second."""
        told = []
        for number in range(frames):
            time = number / 25
            if number % every == 0 or self.tracker.needs_detection:
                self.tracker.detect(self.boxes(number))
            poses = [self.look(number, box) for box in self.tracker.expected(time)]
            people = self.tracker.update(poses, time, **SIZE)
            told.append({one.id: one.points.mean(axis=0) for one in people})
        return told


def test_everybody_gets_an_id_and_keeps_it():
    world = World(lambda n: (200 + 2 * n, 200), lambda n: (600, 200 + n))
    told = world.run(60)
    assert all(set(frame) == {1, 2} for frame in told)
    for number, frame in enumerate(told):
        first, second = (one.points.mean(axis=0) for one in world.poses(number))
        np.testing.assert_allclose(frame[1], first, atol=1e-3)
        np.testing.assert_allclose(frame[2], second, atol=1e-3)


def test_somebody_who_comes_is_found_within_the_time_between_detections():
    told = World(lambda n: (200, 200), lambda n: (600, 200) if n >= 21 else None).run(60)
    assert all(set(frame) == {1} for frame in told[:21])
    assert all(set(frame) == {1, 2} for frame in told[24:])


def test_somebody_who_goes_is_gone_at_once_and_leaves_no_ghost():
    told = World(lambda n: (200, 200), lambda n: (600, 200) if n < 21 else None).run(80)
    assert all(set(frame) == {1, 2} for frame in told[:21])
    assert all(set(frame) == {1} for frame in told[21:])


def test_somebody_who_comes_back_late_is_somebody_new():
    gone = round(25 * PATIENCE) + 10
    there = lambda n: (600, 200) if n < 20 or n >= 20 + gone else None  # noqa: E731
    told = World(lambda n: (200, 200), there).run(100)
    assert all(set(frame) == {1, 3} for frame in told[20 + gone + 8 :])


def test_somebody_hidden_for_a_moment_is_the_same_afterwards():
    world = World(lambda n: (200, 200), lambda n: (300 + 4 * n, 200))
    told = []
    for number in range(60):
        world.hidden = {1} if 20 <= number < 32 else set()
        if number % 8 == 0 or world.tracker.needs_detection:
            world.tracker.detect(world.boxes(number))
        boxes = world.tracker.expected(number / 25)
        poses = [world.look(number, box) for box in boxes]
        told.append({one.id for one in world.tracker.update(poses, number / 25, **SIZE)})
    assert all(ids == {1, 2} for ids in (*told[:20], *told[33:]))
    assert all(ids == {1} for ids in told[20:32])


@pytest.mark.parametrize("speed", [4, 7, 12])
def test_two_who_cross_keep_their_ids(speed: int):
    # One has the other's place for a while: their boxes show the same person then.
    world = World(lambda n: (200 + speed * n, 200), lambda n: (800 - speed * n, 200))
    frames = 540 // speed
    told = world.run(frames)
    first, second = (one.points.mean(axis=0) for one in world.poses(frames - 1))
    assert set(told[-1]) == {1, 2}
    np.testing.assert_allclose(told[-1][1], first, atol=1e-3)
    np.testing.assert_allclose(told[-1][2], second, atol=1e-3)
    assert all(set(frame) <= {1, 2} for frame in told)


def test_somebody_half_hidden_while_crossing_is_looked_for_where_their_pace_takes_them():
    # What is seen of the one behind stays at the edge of the one in front, as networks see it.
    front, behind = (lambda n: (200 + 8 * n, 200.0)), (lambda n: (700 - 8 * n, 200.0))

    def seen_behind(n: int) -> tuple[float, float]:
        apart = behind(n)[0] - front(n)[0]
        return (front(n)[0] + 70, 200.0) if -20 < apart < 70 else behind(n)

    world = World(front, seen_behind)
    told = world.run(60)
    assert all(set(frame) <= {1, 2} for frame in told)
    np.testing.assert_allclose(
        told[-1][2][0] - told[-1][1][0], behind(59)[0] - front(59)[0], atol=9
    )


def test_one_person_is_told_of_once_though_two_boxes_show_them():
    tracker = Tracker()
    tracker.detect([(100, 100, 200, 200), (130, 110, 200, 200)])
    points = standing()
    poses = [
        pose(points + shift, box) for shift, box in zip((0, 5), tracker.expected(0.0), strict=True)
    ]
    assert [one.id for one in tracker.update(poses, 0.0, **SIZE)] == [1]


@pytest.mark.parametrize("again", [True, False])
def test_somebody_new_in_front_of_another_is_believed_at_second_sight(again: bool):
    tracker = Tracker()
    places: dict[Box, np.ndarray] = {
        (110.0, 60.0, 180.0, 180.0): standing(),
        (200.0, 90.0, 120.0, 150.0): standing(250, 160, height=130),
    }
    boxes = list(places)
    told = []
    for number in range(24):
        if number % 8 == 0:
            seen = {0: 1, 8: 2, 16: 1 + again}[number]
            tracker.detect(boxes[:seen])
        found = []
        for box in tracker.expected(number / 25):
            near = min(places.values(), key=lambda one: abs(one.mean(axis=0) - middle(box)).sum())
            found.append(pose(near, box))
        told.append([one.id for one in tracker.update(found, number / 25, **SIZE)])
    assert told[:16] == [[1]] * 16
    assert told[16:] == [[1, 2] if again else [1]] * 8


def test_a_box_that_shrinks_to_nothing_shows_nobody():
    tracker = Tracker()
    tracker.detect([(100, 60, 200, 200)])
    height = 180.0
    for number in range(60):
        (box,) = tracker.expected(number / 25) or [None]
        if box is None:
            break
        tracker.update([pose(standing(height=height), box)], number / 25, **SIZE)
        height *= 0.85
    assert number < 59
    assert height > 16


def test_a_body_outside_the_picture_is_nobodys():
    tracker = Tracker()
    tracker.detect([(900, 100, 200, 200)])
    (box,) = tracker.expected(0.0)
    assert len(tracker.update([pose(standing(990, 200), box)], 0.0, **SIZE)) == 1
    (box,) = tracker.expected(0.04)
    assert tracker.update([pose(standing(1010, 200), box)], 0.04, **SIZE) == []


def test_somebody_unsure_whom_no_detector_sees_is_not_believed_for_long():
    def frames_told(score: float) -> int:
        tracker, told = Tracker(), 0
        tracker.detect([(100, 60, 200, 200)])
        for number in range(60):
            if number and number % 8 == 0:
                tracker.detect([])
            poses = [pose(standing(), box, score) for box in tracker.expected(number / 25)]
            told += len(tracker.update(poses, number / 25, **SIZE))
        return told

    assert frames_told(0.3) < 30
    assert frames_told(0.8) == 60


def test_a_box_that_left_its_person_goes_back_to_them():
    # Joints that gather in the face would make the box follow the face.
    tracker, whole = Tracker(), (100.0, 20.0, 200.0, 300.0)
    tracker.detect([whole])
    for number in range(5):
        (box,) = tracker.expected(number / 25)
        tracker.update([pose(standing(200, 60, height=60), box)], number / 25, **SIZE)
    tracker.detect([whole])
    assert tracker.expected(0.2) == [whole]


def test_boxes_overlap_by_what_they_share():
    assert overlap((0, 0, 10, 10), (0, 0, 10, 10)) == 1
    assert overlap((0, 0, 10, 10), (5, 0, 10, 10)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 10, 10), (20, 0, 10, 10)) == 0
