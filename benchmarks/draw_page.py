"""`python -m benchmarks.draw_page`: the page of skeletons in docs/MODEL_CARD.md.

Draws what a model finds in the public-domain photographs of tests/pictures, people's boxes given,
and prints how many of the hand-checked joints it finds.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import cv2
import numpy as np
from PIL import Image

from hourglass.console import PATH, command, flip_test_option, model_option, quiet_stderr
from hourglass.core.boxes import read_boxes
from hourglass.core.person import Person
from hourglass.core.pose import Pose
from hourglass.data.readers import mpii_json
from hourglass.data.readers.label_set import WHOLE
from hourglass.inference.estimator import PoseEstimator, default_model
from hourglass.media.drawing import draw_pose
from hourglass.media.pictures import read_picture
from hourglass.scoring.pck import HEAD_SIZE_PER_SCALE, Score, pckh

LABELS, BOXES = "people.json", "boxes.json"
PANEL_HEIGHT = 320
PER_ROW = 4
GAP = 6


def read_people(folder: Path) -> list[Person]:
    """The people whose joints were placed by hand."""
    return mpii_json.read(folder / LABELS).people[WHOLE]


def find_people(
    pictures: dict[str, np.ndarray], people: Sequence[Person], boxes: Path, estimator: PoseEstimator
) -> list[Pose]:
    """One pose per labelled person: the n-th of a picture has the picture's n-th box."""
    given = {name: iter(read_boxes(boxes).of(Path(name))) for name in pictures}
    names = [person.filename for person in people]
    return estimator.poses(
        [pictures[name] for name in names], [next(given[name]) for name in names]
    )


def score_people(people: Sequence[Person], poses: Sequence[Pose]) -> Score:
    """PCKh@0.5 over the labelled joints."""
    return pckh(
        np.stack([pose.points for pose in poses]),
        np.stack([person.points for person in people]),
        head_size=HEAD_SIZE_PER_SCALE * np.array([person.scale for person in people]),
        labelled=np.stack([person.labelled for person in people]),
    )


def draw_page(panels: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures of any sizes side by side on white, rows of one height each, (H, W, 3) uint8."""
    sized = [
        cv2.resize(
            panel,
            (round(panel.shape[1] * PANEL_HEIGHT / panel.shape[0]), PANEL_HEIGHT),
            interpolation=cv2.INTER_AREA,
        )
        for panel in panels
    ]
    rows = [sized[first : first + PER_ROW] for first in range(0, len(sized), PER_ROW)]
    width = max(sum(panel.shape[1] + GAP for panel in row) for row in rows) - GAP
    page = np.full((len(rows) * (PANEL_HEIGHT + GAP) - GAP, width, 3), 255, np.uint8)
    for number, row in enumerate(rows):
        x, y = 0, number * (PANEL_HEIGHT + GAP)
        for panel in row:
            page[y : y + PANEL_HEIGHT, x : x + panel.shape[1]] = panel
            x += panel.shape[1] + GAP
    return page


@click.command()
@model_option
@flip_test_option
@click.option(
    "--pictures",
    "folder",
    type=PATH,
    default=Path("tests/pictures"),
    show_default=True,
    help=f"Folder of the photographs, with {LABELS} and {BOXES}.",
)
@click.option(
    "--output",
    type=PATH,
    default=Path("docs/model_page.png"),
    show_default=True,
    help="File of the page.",
)
@command
def main(model: Path | None, flip_test: bool, folder: Path, output: Path) -> None:
    """Draws the people of tests/pictures as a model finds them, on one page."""
    people = read_people(folder)
    pictures = {person.filename: read_picture(folder / person.filename) for person in people}
    with quiet_stderr():
        estimator = PoseEstimator.load(model or default_model(), flip_test=flip_test)
    poses = find_people(pictures, people, folder / BOXES, estimator)
    score = score_people(people, poses)
    for person, pose in zip(people, poses, strict=True):
        pictures[person.filename] = draw_pose(pictures[person.filename], pose)
    page = Image.fromarray(draw_page(list(pictures.values())))
    page.quantize(dither=Image.Dither.FLOYDSTEINBERG).save(output, optimize=True)
    click.echo(
        f"{output}: {len(people)} people in {len(pictures)} pictures, PCKh@0.5 {score.pooled:.1f} "
        f"over {int(score.labelled.sum())} hand-checked joints"
    )


if __name__ == "__main__":
    main()
