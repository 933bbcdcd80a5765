"""People through a film: the box that follows from a pose, and who is who in the next frame.

Boxes follow from the last frame's joints, so that a detector is needed now and then only. People
keep their ids by matching poses with where they should be (Hungarian method on the distance of
joints), as ByteTrack and OC-SORT do with boxes: trackers of boxes want a detector at every frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hourglass.core.pose import Box, Pose
from hourglass.inference.assignment import assign

MARGIN = 1.2
"""Side of a person's box over that of the joints' own: head and feet go beyond their joints."""

STEADINESS = 0.5
"""Share of the last frame's box in the next one: a box that jumps makes joints jump."""

SURE_SCORE = 0.3
"""Joints scored lower do not say where the person is."""

LOST_SCORE = 0.2
"""A person whose mean score falls below it is taken to be lost."""

FEWEST_JOINTS = 4

SMALLEST_BOX = 16.0
"""Side of a box, px, below which nobody can be told from noise."""

SHRUNK = 0.25
"""A box whose side has shrunk to this share of the person's largest shows the person no more."""

SAME_BOX = 0.35
"""Agreement from which a detected box is of a person who is known."""

DRIFTED = 0.5
"""Intersection over union below which a person's joints have left the box that is detected, which
then takes the place of theirs."""

SAME_PERSON = 0.08
"""Mean distance of joints, over the person's size, below which two poses show the same person."""

SAME_PLACE, ALIKE = 0.6, 0.15
"""So do poses whose boxes share so much (intersection over union) and that are as near as that."""

FARTHEST = 0.35
"""Mean distance of joints, over the person's size, that a person moves away from where they should
be at most."""

PATIENCE = 1.0
"""Seconds for which somebody who is hidden is waited for."""

UNSUPPORTED = 3
"""Detections in a row that do not show a person, after which an unsure one is gone."""

UNSURE_SCORE = 0.5
"""Score below which a person needs the detector's word."""

CROWDED = 0.3
"""Share of a newcomer's box inside another's from which they are believed at second sight only."""

PACE_SHARE = 0.3
"""Share of the newest movement in a person's pace."""

CROSSING_PACE = 0.5
"""Person's sizes per second by which two who overlap must move apart or together to be crossing."""


def following_box(pose: Pose) -> Box | None:
    """Where to look for a person in the next frame.

    Returns:
        (x, y, width, height) px of the next frame, or None if the person is lost.
    """
    sure = pose.points[pose.scores >= SURE_SCORE]
    if pose.score < LOST_SCORE or len(sure) < FEWEST_JOINTS:
        return None
    low, high = sure.min(axis=0), sure.max(axis=0)
    # The longer side decides the crop, so that bending down does not shrink it to nothing.
    center, size = (low + high) / 2, (high - low).max() * MARGIN
    old_x, old_y, old_width, old_height = pose.box
    old_center = np.array([old_x + (old_width - 1) / 2, old_y + (old_height - 1) / 2])
    center = STEADINESS * old_center + (1 - STEADINESS) * center
    size = STEADINESS * max(old_width, old_height) + (1 - STEADINESS) * size
    x, y = center - (size - 1) / 2
    return float(x), float(y), float(size), float(size)


@dataclass
class Track:
    """One person through a film.

    Attributes:
        id: Their number, from 1; 0 as long as they are not believed.
        pose: As last seen.
        time: When that was, s.
        pace: (2,) px per second.
        box: Where to look next.
        largest: Side of their largest box, px.
        unsupported: Detections in a row that did not show them.
        crossing: As they were when somebody began to pass before or behind them; else None.
    """

    id: int
    pose: Pose
    time: float
    pace: np.ndarray
    box: Box
    largest: float
    unsupported: int = 0
    crossing: Track | None = None

    def expected_points(self, time: float) -> np.ndarray:
        """(J, 2) px: where the joints should be."""
        start = self.crossing or self
        return start.pose.points + self.pace * (time - start.time)

    def expected_box(self, time: float, *, hidden: bool) -> Box:
        """Where to look: for one who is hidden or crossing, where they should have got to."""
        if not hidden and self.crossing is None:
            return self.box
        start = self.crossing or self
        x, y = np.asarray(start.box[:2]) + self.pace * (time - start.time)
        return float(x), float(y), start.box[2], start.box[3]


class Tracker:
    """Everybody in a film, each with an id that is theirs alone.

    For each frame: `expected` says where to look, and `update` takes the poses found there and says
    who is there. Before `expected`, `detect` takes what a detector sees, if it was asked.
    """

    def __init__(self) -> None:
        self._tracks: list[Track] = []
        self._last_time: float | None = None
        self._newest_id = 0
        self._lost = False
        self._newcomers: list[Box] = []

    @property
    def needs_detection(self) -> bool:
        """Whether nobody is known, or somebody was lost in the last frame."""
        return self._lost or not self._tracks

    def expected(self, time: float) -> list[Box]:
        """Boxes, px, in which to look for people in the frame of this time, s."""
        known = [track.expected_box(time, hidden=self._is_hidden(track)) for track in self._tracks]
        return known + self._newcomers

    def detect(self, detected: Sequence[Box]) -> None:
        """Takes the boxes of everybody whom a detector sees in the next frame.

        Where nobody is known is a newcomer; who is known and not detected is not believed for long.
        A newcomer in front of or behind somebody is believed when seen a second time, and while
        people cross nobody is: detectors see parts of people who hide each other as people of
        their own.
        """
        visible = [track for track in self._tracks if not self._is_hidden(track)]
        agreement = np.array(
            [[_agreement(_joints_box(track.pose), box) for box in detected] for track in visible]
        ).reshape(len(visible), len(detected))
        pairs = assign(1 - agreement, most=1 - SAME_BOX)
        for track in visible:
            track.unsupported += 1
        for row, column in pairs:
            visible[row].unsupported = 0
            if not visible[row].id and not any(track.crossing for track in self._tracks):
                visible[row].id = self._new_id()
            if overlap(_joints_box(visible[row].pose), detected[column]) < DRIFTED:
                visible[row].box = detected[column]
        known = {column for _, column in pairs}
        self._newcomers = [box for column, box in enumerate(detected) if column not in known]

    def update(self, poses: Sequence[Pose], time: float, *, width: int, height: int) -> list[Pose]:
        """Who is in the frame.

        Args:
            poses: Found in the boxes of `expected`.
            time: The frame's, s.
            width: The frame's, px.
            height: The frame's, px.

        Returns:
            One pose per person, with ids, those who have been there longest first.
        """
        known = len(self._tracks)
        sure = [
            (pose, box, place >= known)
            for place, pose in enumerate(poses)
            if (box := _box_of_visible(pose, width, height))
        ]
        sure = _without_twins(sure)
        costs = np.array(
            [
                [_distance(track.expected_points(time), pose) for pose, _, _ in sure]
                for track in self._tracks
            ]
        ).reshape(known, len(sure))
        pairs = assign(costs, most=FARTHEST)
        self._lost = False
        for row, column in pairs:
            self._follow(self._tracks[row], *sure[column][:2], time)
        self._drop_gone(time)
        matched = {column for _, column in pairs}
        for column, (pose, box, is_new) in enumerate(sure):
            # A pose that has left the person whose box it was found in is nobody's.
            if column not in matched and is_new:
                self._begin(pose, box, time)
        self._note_crossings(time)
        self._last_time, self._newcomers = time, []
        return [track.pose for track in self._tracks if track.id and not self._is_hidden(track)]

    def _is_hidden(self, track: Track) -> bool:
        return track.time != self._last_time

    def _follow(self, track: Track, pose: Pose, box: Box, time: float) -> None:
        passed = time - track.time
        # What is seen of somebody who is half hidden says little about where they go.
        if passed > 0 and track.crossing is None:
            both = np.minimum(track.pose.scores, pose.scores) >= SURE_SCORE
            if both.any():
                moved = np.median((pose.points - track.pose.points)[both], axis=0) / passed
                track.pace = track.pace + PACE_SHARE * (moved - track.pace)
        track.pose, track.time, track.box = replace(pose, id=track.id), time, box
        track.largest = max(track.largest, max(pose.box[2:]))

    def _note_crossings(self, time: float) -> None:
        """Keeps how people were before they cross, for a second at most: until it is over, they
        are looked for where their pace has taken them, and not where their visible part is."""
        for track in self._tracks:
            if not any(_cross(track, other, time) for other in self._tracks if other is not track):
                track.crossing = None
            elif track.crossing is None:
                track.crossing = replace(track)
            elif time - track.crossing.time > PATIENCE:
                track.crossing = None

    def _begin(self, pose: Pose, box: Box, time: float) -> None:
        alone = all(
            _share_inside(_joints_box(pose), _joints_box(track.pose)) < CROWDED
            for track in self._tracks
        )
        number = self._new_id() if alone else 0
        named = replace(pose, id=number)
        self._tracks.append(Track(number, named, time, np.zeros(2), box, max(pose.box[2:])))

    def _new_id(self) -> int:
        self._newest_id += 1
        return self._newest_id

    def _drop_gone(self, time: float) -> None:
        kept = []
        for track in self._tracks:
            hidden = track.time != time
            if hidden and track.time == self._last_time:
                self._lost = True
            shrunk = max(track.box[2:]) < SHRUNK * track.largest
            doubted = track.pose.score < UNSURE_SCORE
            unbelieved = track.unsupported >= (UNSUPPORTED if track.id else 1) and (
                doubted or not track.id
            )
            if not (shrunk or unbelieved or (hidden and time - track.time > PATIENCE)):
                kept.append(track)
        self._tracks = kept


def _cross(one: Track, other: Track, time: float) -> bool:
    """Whether two people overlap and move past each other."""
    boxes = [
        _box_around(track.expected_points(time)[track.pose.scores >= SURE_SCORE])
        for track in (one, other)
    ]
    size = min(max(box[2:]) for box in boxes)
    fast = np.linalg.norm(one.pace - other.pace) > CROSSING_PACE * size
    return bool(fast) and _share_inside(*boxes) > 0


Candidate = tuple[Pose, Box, bool]
"""A pose, the box that follows from it, and whether it was found in a newcomer's box."""


def _without_twins(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Each person once: of poses that show the same, the surest, and rather one who is known."""
    kept: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda one: (one[2], -one[0].score)):
        if not any(_are_twins(other, candidate[0]) for other, _, _ in kept):
            kept.append(candidate)
    return kept


def _are_twins(one: Pose, other: Pose) -> bool:
    apart = _distance(one.points, other)
    if apart < SAME_PERSON:
        return True
    return apart < ALIKE and overlap(_joints_box(one), _joints_box(other)) > SAME_PLACE


def _box_of_visible(pose: Pose, width: int, height: int) -> Box | None:
    """The box that follows from a pose, unless the person is lost or outside the picture."""
    box = following_box(pose)
    if box is None or max(box[2:]) < SMALLEST_BOX:
        return None
    middle = pose.points[pose.scores >= SURE_SCORE].mean(axis=0)
    inside = (middle > -0.5).all() and middle[0] < width - 0.5 and middle[1] < height - 0.5
    return box if inside else None


def _distance(points: np.ndarray, pose: Pose) -> float:
    """Mean distance of a pose's sure joints from others' places, over the person's size."""
    away = np.linalg.norm(pose.points - points, axis=-1)[pose.scores >= SURE_SCORE]
    return float(np.minimum(away / max(pose.box[2:]), 1.0).mean()) if away.size else 1.0


def _joints_box(pose: Pose) -> Box:
    """The box around a pose's sure joints."""
    return _box_around(pose.points[pose.scores >= SURE_SCORE])


def _box_around(points: np.ndarray) -> Box:
    """The box around some joints, with `MARGIN`."""
    low, high = points.min(axis=0), points.max(axis=0)
    margin = (MARGIN - 1) / 2 * (high - low).max()
    x, y = low - margin
    width, height = high - low + 2 * margin
    return float(x), float(y), float(max(width, 1.0)), float(max(height, 1.0))


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes."""
    shared = _shared(one, other)
    return shared / (one[2] * one[3] + other[2] * other[3] - shared)


def _agreement(one: Box, other: Box) -> float:
    """How well two boxes may show one person: one of a person's half inside one of the whole, too.

    Half of it is the intersection over union, half the share of the smaller that is in the larger.
    """
    return (overlap(one, other) + _share_inside(one, other)) / 2


def _share_inside(one: Box, other: Box) -> float:
    """Share of the smaller box that lies in the larger."""
    return _shared(one, other) / min(one[2] * one[3], other[2] * other[3])


def _shared(one: Box, other: Box) -> float:
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    return max(0.0, width) * max(0.0, height)
