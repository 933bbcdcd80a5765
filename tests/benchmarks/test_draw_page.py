"""The page of drawn skeletons: how panels are laid out, and what its number counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from click.testing import CliRunner
from PIL import Image

from benchmarks import draw_page
from hourglass.core.pose import Pose
from hourglass.core.skeleton import MPII

PICTURES = Path(__file__).parents[1] / "pictures"


def panel(*, height: int, width: int, value: int) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def test_panels_stand_in_rows_of_one_height():
    tall, wide = panel(height=640, width=320, value=10), panel(height=160, width=320, value=90)
    page = draw_page.draw_page([tall] * 4 + [wide])
    assert page.shape == (2 * 320 + 6, 4 * 160 + 3 * 6, 3)
    assert (page[:320, :160] == 10).all()
    assert (page[326:, :640] == 90).all()
    assert (page[320:326] == 255).all()


def test_labels_as_poses_score_100_and_moved_by_a_head_0():
    people = draw_page.read_people(PICTURES)
    poses = [Pose(p.points, np.ones(16, np.float32), MPII, (0, 0, 1, 1)) for p in people]
    assert draw_page.score_people(people, poses).pooled == 100
    far = [
        Pose(p.points + 25 * p.scale, pose.scores, MPII, pose.box)
        for p, pose in zip(people, poses, strict=True)
    ]
    assert draw_page.score_people(people, far).pooled == 0


def test_the_command_writes_the_page_and_says_how_many_joints_are_found(tmp_path: Path):
    target = tmp_path / "page.png"
    result = CliRunner().invoke(
        draw_page.main, ["--pictures", str(PICTURES), "--output", str(target)]
    )
    assert result.exit_code == 0, result.output
    assert f"{target}: 10 people in 7 pictures, PCKh@0.5 " in result.output
    with Image.open(target) as page:
        assert page.height == 2 * 320 + 6
