"""`python -m benchmarks.film`: what a frame of a film takes, and how well its stages overlap.

Each row is a film of `predict --detect`: its limit is the slowest stage alone, out of reading,
detecting, the network, and drawing and writing. On few cores stages share them, and no more than
the sum of their processor time can be had. Nothing is needed but the repository: the film shows a
photograph of its tests, once or five times, moving.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import click
import cv2
import numpy as np
from loguru import logger

from benchmarks.comparison import Row, peak_memory, report, take_turns
from hourglass.console import command, quiet_stderr
from hourglass.core.pose import Box
from hourglass.inference.detection import PeopleDetector
from hourglass.inference.estimator import SHIPPED, PoseEstimator
from hourglass.inference.films import AGAIN
from hourglass.inference.locating import locator
from hourglass.inference.look import Look
from hourglass.inference.passes import predict_film
from hourglass.media.film_writer import FilmWriter
from hourglass.media.pictures import read_picture
from hourglass.media.video import open_film

PHOTOGRAPH = Path(__file__).parents[1] / "tests" / "pictures" / "astronaut.jpg"
SIZES = {"640×360": (360, 640), "1080p": (1080, 1920)}
"""Height and width, px."""

PEOPLE = (1, 5)
RATE = 25.0
OVERLAP = 0.85
"""Share of the slowest stage's own rate that the whole should reach."""

FEW, MANY = 200, 800
"""Frames of the films whose memory is compared."""

SLOWLY = 2
"""px a frame by which people move."""


def measure(*, frames: int, rounds: int, model: Path = SHIPPED) -> list[Row]:
    """A row for each size of film and number of people, and one of memory.

    Args:
        frames: Of each film.
        rounds: Turns in each comparison.
        model: The model file.
    """
    with quiet_stderr():
        estimator = PoseEstimator.load(model)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # First: a process remembers only the most that it ever held.
        memory = memory_row(folder, estimator)
        for size in SIZES:
            for people in PEOPLE:
                logger.info(f"a film of {size} with {people}")
                film = folder / f"{size}_{people}.mp4"
                boxes = write_film(film, SIZES[size], people, frames)
                seconds = stages(film, boxes, estimator, folder, rounds=rounds)
                rows.append(overlap_row(f"{size}, people: {people}", seconds, frames))
    return [*rows, memory]


def write_film(path: Path, size: tuple[int, int], people: int, frames: int) -> list[Box]:
    """Writes a film of people beside each other, who move; returns their boxes in its middle."""
    height, width = size
    photograph = read_picture(PHOTOGRAPH)
    side = min(width // people, height) * 9 // 10
    small = cv2.resize(photograph, (side, side), interpolation=cv2.INTER_AREA)
    lefts = [round((place + 0.5) * width / people - side / 2) for place in range(people)]
    top = (height - side) // 2
    with FilmWriter(path, rate=RATE) as writer:
        for number in range(frames):
            picture = np.full((height, width, 3), 128, np.uint8)
            shift = abs(number * SLOWLY % 20 - 10) - 5
            for left in lefts:
                start = int(np.clip(left + shift, 0, width - side))
                picture[top : top + side, start : start + side] = small
            writer.write(picture)
    return [(float(left), float(top), float(side), float(side)) for left in lefts]


def stages(
    film: Path, boxes: list[Box], estimator: PoseEstimator, folder: Path, *, rounds: int
) -> dict[str, float]:
    """Seconds of each stage alone and of the whole, which take turns."""
    pictures = [frame.picture for frame in open_film(film)]
    detector, locate, look = PeopleDetector(), locator([], None, detect=True), Look()
    every = round(AGAIN * RATE)
    poses = estimator.poses([pictures[0]] * len(boxes), boxes)

    def write() -> None:
        with FilmWriter(folder / "stage.mp4", rate=RATE) as writer:
            for picture in pictures:
                writer.write(look.draw(picture, poses, estimator))

    def whole() -> None:
        target = folder / "whole.mp4"
        predict_film(
            film,
            estimator,
            locate,
            drawn=target,
            look=look,
            take=lambda found: None,
            detects=True,
        )

    return take_turns(
        {
            "reading": lambda: [None for _ in open_film(film)],
            "detecting": lambda: [detector(picture) for picture in pictures[::every]],
            "network": lambda: [
                estimator.poses([picture] * len(boxes), boxes) for picture in pictures
            ],
            "writing": write,
            "whole": whole,
        },
        rounds=rounds,
    )


def overlap_row(what: str, seconds: dict[str, float], frames: int) -> Row:
    """The whole against the slowest stage, ms a frame."""
    alone = {name: taken for name, taken in seconds.items() if name != "whole"}
    slowest = max(alone, key=lambda name: alone[name])
    each = ", ".join(f"{name} {1000 * taken / frames:.1f}" for name, taken in alone.items())
    return Row(
        f"a frame of {what} ({slowest} alone; {each} ms)",
        1000 * seconds["whole"] / frames,
        "ms",
        1000 * alone[slowest] / frames,
        alone[slowest] / seconds["whole"],
        f">= {OVERLAP}",
    )


def memory_row(folder: Path, estimator: PoseEstimator) -> Row:
    """What a long film takes more memory than a short one, whose frames fill all that waits."""
    locate = locator([], None, detect=True)
    peaks = []
    for length in (FEW, MANY):
        film = folder / f"long_{length}.mp4"
        write_film(film, SIZES["640×360"], 1, length)
        predict_film(
            film,
            estimator,
            locate,
            drawn=folder / "drawn.mp4",
            look=Look(),
            take=lambda found: None,
            detects=True,
        )
        peaks.append(peak_memory() / 2**20)
    return Row(
        f"memory that {MANY} frames take more than {FEW}",
        peaks[1] - peaks[0],
        "MiB",
        target="<= 10",
    )


@click.command()
@click.option("--frames", type=click.IntRange(10), default=100, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--output", type=click.Path(path_type=Path), help="JSON file to write.")
@command
def main(frames: int, rounds: int, output: Path | None) -> None:
    """Measures films, and prints a table."""
    report("film", measure(frames=frames, rounds=rounds), output=output)


if __name__ == "__main__":
    main()
