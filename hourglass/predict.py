"""`python -m hourglass.predict`: finds a person's joints in pictures and draws them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image

from hourglass.console import Progress, command, quiet_stderr, write_file
from hourglass.drawing import MIN_SCORE, draw_pose
from hourglass.estimator import Box, PoseEstimator, default_model
from hourglass.pictures import JPEG_QUALITY, read_picture
from hourglass.pose import Pose


@dataclass(frozen=True, eq=False)
class Prediction:
    """One picture's result.

    Attributes:
        image: The picture's file.
        width: px.
        height: px.
        pose: The person's joints.
        drawn: The file with the skeleton.
    """

    image: Path
    width: int
    height: int
    pose: Pose
    drawn: Path

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and names, ready for JSON."""
        return {
            "image": str(self.image),
            "width": self.width,
            "height": self.height,
            "people": [self.pose.to_dict()],
        }


def predict(
    image: Path,
    estimator: PoseEstimator,
    *,
    drawn: Path,
    box: Box | None = None,
    min_score: float = MIN_SCORE,
) -> Prediction:
    """Finds one person's joints in a picture, and writes the picture with the skeleton.

    Args:
        image: The picture's file.
        estimator: The network.
        drawn: File to write.
        box: (x, y, width, height) px around the person; default: the whole picture.
        min_score: Joints scored lower are not drawn.

    Raises:
        ValueError: If the picture cannot be read, the box lies outside it, or `drawn` cannot be
            written.
    """
    picture = read_picture(image)
    height, width = picture.shape[:2]
    if box:
        _require_overlap(box, width, height, image)
    pose = estimator(picture, box)
    skeleton = Image.fromarray(draw_pose(picture, pose, min_score=min_score))
    try:
        skeleton.save(drawn, quality=JPEG_QUALITY)
    except OSError as error:
        raise ValueError(f"{drawn}: cannot be written ({error.strerror})") from error
    return Prediction(image, width, height, pose, drawn)


def _require_overlap(box: Box, width: int, height: int, image: Path) -> None:
    x, y, box_width, box_height = box
    if not np.isfinite(box).all() or box_width <= 0 or box_height <= 0:
        raise ValueError(f"--box {box}: x y w h must be finite, and w and h above 0 px")
    if x >= width or y >= height or x + box_width <= 0 or y + box_height <= 0:
        raise ValueError(f"{image}: --box {box} lies outside the picture of {width}×{height} px")


def drawn_names(images: list[Path], output: Path) -> list[Path]:
    """A file in `output` for each picture; pictures of one name in several folders get numbers."""
    used: dict[str, int] = {}
    names = []
    for image in images:
        count = used[image.stem] = used.get(image.stem, 0) + 1
        number = f"_{count}" if count > 1 else ""
        names.append(output / f"{image.stem}_pose{number}.jpg")
    return names


def format_pose(prediction: Prediction) -> str:
    """Joint names, pixels of the original picture and scores, as text."""
    pose = prediction.pose
    rows = [
        f"  {name:<15}{x:>9.1f}{y:>9.1f}{score:>8.2f}"
        for name, (x, y), score in zip(pose.skeleton.joints, pose.points, pose.scores, strict=True)
    ]
    title = f"{prediction.image} -> {prediction.drawn}"
    return "\n".join([title, f"  {'':<15}{'x':>9}{'y':>9}{'score':>8}", *rows])


@click.command()
@click.argument(
    "images", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="IMAGE..."
)
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    help="Model file. [default: the newest models/*/best.keras, or the one that is shipped]",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=Path("predictions"),
    show_default=True,
    help="Folder of the pictures with skeletons.",
)
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="File to write all joints to."
)
@click.option(
    "--box",
    type=float,
    nargs=4,
    metavar="X Y W H",
    help="The person's box, px. [default: the whole picture]",
)
@click.option(
    "--min-score",
    type=click.FloatRange(0, 1),
    default=MIN_SCORE,
    show_default=True,
    help="Joints scored lower are not drawn.",
)
@click.option("--flip-test", is_flag=True, help="Average in each crop's mirror image.")
@command
def main(
    images: tuple[Path, ...],
    model: Path | None,
    output: Path,
    json_file: Path | None,
    box: Box | None,
    min_score: float,
    flip_test: bool,
) -> None:
    """Finds one person's joints in each IMAGE, prints them, and draws them."""
    model = model or default_model()
    with quiet_stderr():
        estimator = PoseEstimator.load(model, flip_test=flip_test)
    _make_folder(output)
    done, failed = [], []
    targets = drawn_names(list(images), output)
    with Progress("predicting", total=len(images), unit="pictures") as progress:
        for image, drawn in zip(images, targets, strict=True):
            try:
                done.append(predict(image, estimator, drawn=drawn, box=box, min_score=min_score))
            except ValueError as error:
                failed.append(str(error))
            progress.advance()
    for prediction in done:
        click.echo(format_pose(prediction))
    if json_file:
        results = [prediction.to_dict() for prediction in done]
        try:
            write_file(json_file, json.dumps(results, indent=1) + "\n")
        except ValueError as error:
            failed.append(str(error))
    click.echo(f"{len(done)} of {len(images)} pictures done, drawn in {output}, model {model}")
    if failed:
        raise click.ClickException("\n".join(failed))


def _make_folder(output: Path) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"{output}: cannot be written ({error.strerror})") from error


if __name__ == "__main__":
    main()
