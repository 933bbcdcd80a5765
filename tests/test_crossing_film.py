"""A film of drawn people who cross, by the demo's own model: everybody keeps their id.

The model is trained as `make demo` trains it. Drawn people are none to a detector of photographs:
where they are is told, as by one that sees everybody.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

import tools.build_tfrecords
import tools.make_synthetic
from hourglass.core.pose import Box
from hourglass.core.skeleton import MPII
from hourglass.data.synthetic.figures import Part, random_figure, random_pose, random_view
from hourglass.data.synthetic.painting import draw_part, random_background
from hourglass.inference.estimator import PoseEstimator
from hourglass.inference.films import see_film
from hourglass.media.video import Frame
from hourglass.train import main as train

HEIGHT, WIDTH = 200, 420
STATURE = 110.0
FRAMES = 56
RATE = 25.0
STEP = 5.5
"""px a frame."""

Figure = Callable[[float], tuple[np.ndarray, list[Part]]]
"""From a place, px from the left, to the joints (16, 2) px and what is drawn."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def estimator(tmp_path_factory: pytest.TempPathFactory) -> PoseEstimator:
    folder = tmp_path_factory.mktemp("demo")
    steps: list[tuple[click.Command, tuple[object, ...]]] = [
        (tools.make_synthetic.main, ("--output", folder)),
        (
            tools.build_tfrecords.main,
            (
                *("--annotations", folder / "annotations", "--images", folder / "images"),
                *("--output", folder / "tfrecords", "--train-shards", 4, "--val-shards", 2),
            ),
        ),
        (
            train,
            (
                *("--data", folder / "tfrecords", "--preset", "tiny", "--run", "demo"),
                *("--models", folder / "models", "--logs", folder / "logs"),
            ),
        ),
    ]
    for command, arguments in steps:
        result = CliRunner().invoke(command, [str(argument) for argument in arguments])
        assert result.exit_code == 0, result.output
    return PoseEstimator.load(folder / "models" / "demo" / "best.keras")


def figure(seed: int) -> Figure:
    """Somebody who glides without moving a limb."""
    rng = np.random.default_rng(seed)
    view = random_view(rng)
    space = {name: STATURE * (view @ point) for name, point in random_pose(rng).items()}

    def at(x: float) -> tuple[np.ndarray, list[Part]]:
        moved = {name: point + np.array([x, HEIGHT / 2, 0.0]) for name, point in space.items()}
        joints = np.stack([moved[name][:2] for name in MPII.joints])
        return joints, random_figure(np.random.default_rng(seed + 1), moved, stature=STATURE)

    return at


def film(front: Figure, behind: Figure) -> tuple[list[Frame], list[list[np.ndarray]]]:
    """Frames, and everybody's joints in each: who begins at the left, in front, and the other."""
    background = random_background(np.random.default_rng(3), width=WIDTH, height=HEIGHT)
    frames, joints = [], []
    for number in range(FRAMES):
        image = background.copy()
        (other, other_parts), (one, parts) = behind(360 - STEP * number), front(60 + STEP * number)
        rng = np.random.default_rng(5)
        for part in (*other_parts, *parts):
            draw_part(image, part, rng=rng)
        picture = np.clip(image, 0, 255).astype(np.uint8)
        frames.append(Frame(picture, number, number / RATE))
        joints.append([one, other])
    return frames, joints


def box_around(joints: np.ndarray) -> Box:
    (x, y), (width, height) = joints.min(axis=0) - 12, np.ptp(joints, axis=0) + 24
    return float(x), float(y), float(width), float(height)


@pytest.mark.parametrize("seeds", [(11, 21), (12, 22), (13, 23), (14, 24), (15, 25), (16, 26)])
def test_drawn_people_who_cross_keep_their_ids(estimator: PoseEstimator, seeds: tuple[int, int]):
    frames, joints = film(*map(figure, seeds))
    numbers = {id(frame.picture): frame.number for frame in frames}

    def locate(picture: np.ndarray, path: Path | None) -> list[Box]:
        return [box_around(one) for one in joints[numbers[id(picture)]]]

    seen = list(see_film(frames, estimator, locate, detects=True))
    assert {pose.id for one in seen for pose in one.poses} == {1, 2}

    def who(number: int) -> list[int | None]:
        """The id of the pose that is nearest to each person."""
        poses = seen[number].poses
        away = [
            [np.median(np.linalg.norm(pose.points - one, axis=1)) for pose in poses]
            for one in joints[number]
        ]
        assert np.min(away, axis=1).max() < 0.1 * STATURE
        return [poses[place].id for place in np.argmin(away, axis=1)]

    begin = who(2)
    assert set(begin) == {1, 2}
    assert who(FRAMES - 1) == begin
