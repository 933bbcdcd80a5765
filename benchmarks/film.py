"""`python -m benchmarks.film`: what a frame of a film takes, and how well its stages overlap.

Each film is looked at by `predict --detect`. Two limits: the slowest stage alone, out of reading,
detecting, the network, and drawing and writing; and what the processor allows, which is the
processor time of all stages over the cores: no overlap can be faster. With `--mediapipe PYTHON`,
MediaPipe's pose model sees the film of one person in the same run. Nothing else is needed but the
repository: the film shows a photograph of its tests, once or five times, moving.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import click
import cv2
import numpy as np
from loguru import logger

from benchmarks.comparison import Row, peak_memory, report, take_turns, timed
from hourglass.console import PATH, command, quiet_stderr
from hourglass.core.errors import InputError
from hourglass.core.pose import Box
from hourglass.inference.detection import PeopleDetector
from hourglass.inference.estimator import SHIPPED_LITERT, PoseEstimator
from hourglass.inference.films import AGAIN
from hourglass.inference.locating import locator
from hourglass.inference.look import Look
from hourglass.inference.passes import predict_film
from hourglass.media.film_writer import FilmWriter
from hourglass.media.pictures import read_picture
from hourglass.media.results import Found
from hourglass.media.video import open_film

PHOTOGRAPH = Path(__file__).parents[1] / "tests" / "pictures" / "astronaut.jpg"

PERSON = slice(60, 340)
"""Its columns that show the person, and nothing that a detector takes for another."""

SIZES = {"640×360": (360, 640), "1080p": (1080, 1920)}
"""Height and width, px."""

PEOPLE = (1, 5)
RATE = 25.0
OVERLAP = 0.85
"""Share of the limit's own rate that the whole should reach."""

TARGET = f">= {OVERLAP}"

FEW, MANY = 200, 800
"""Frames of the films whose memory is compared."""

SLOWLY = 2
"""px a frame by which people move."""

WHOLE = "whole"

MEDIAPIPE = Path(__file__).with_name("mediapipe_pose.py")


@dataclass
class Taken:
    """What a film's stages took.

    Attributes:
        seconds: Medians, by stage; `WHOLE` is the film by `predict`.
        processor: Likewise, of all threads together.
        people: Mean number of people told of in a frame.
    """

    seconds: dict[str, float]
    processor: dict[str, float] = field(default_factory=dict)
    people: float = 0.0


def measure(
    *, frames: int, rounds: int, model: Path = SHIPPED_LITERT, mediapipe: Path | None = None
) -> list[Row]:
    """Rows for each size of film and number of people, and of memory.

    Args:
        frames: Of each film.
        rounds: Turns in each comparison.
        model: The model file.
        mediapipe: A Python whose environment has MediaPipe; None to leave that comparison out.
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
                taken = stages(film, boxes, estimator, folder, rounds=rounds)
                if round(taken.people) != people:
                    logger.warning(f"{taken.people:.1f} people a frame were told of, not {people}")
                rows += overlap_rows(f"{size}, people: {people}", taken, frames)
                if mediapipe and people == 1:
                    rows.append(mediapipe_row(size, film, estimator, mediapipe, rounds=rounds))
            held = peak_memory() / 2**20
            rows.append(Row(f"memory held at most up to films of {size}", held, "MiB"))
    return [*rows, memory]


def write_film(path: Path, size: tuple[int, int], people: int, frames: int) -> list[Box]:
    """Writes a film of people beside each other, who move; returns their boxes in its middle."""
    height, width = size
    person = read_picture(PHOTOGRAPH)[:, PERSON]
    high = min(height, width // people * person.shape[0] // person.shape[1]) * 9 // 10
    wide = high * person.shape[1] // person.shape[0]
    small = cv2.resize(person, (wide, high), interpolation=cv2.INTER_AREA)
    lefts = [round((place + 0.5) * width / people - wide / 2) for place in range(people)]
    top = (height - high) // 2
    with FilmWriter(path, rate=RATE) as writer:
        for number in range(frames):
            picture = np.full((height, width, 3), 128, np.uint8)
            shift = abs(number * SLOWLY % 20 - 10) - 5
            for left in lefts:
                start = int(np.clip(left + shift, 0, width - wide))
                picture[top : top + high, start : start + wide] = small
            writer.write(picture)
    return [(float(left), float(top), float(wide), float(high)) for left in lefts]


def stages(
    film: Path, boxes: list[Box], estimator: PoseEstimator, folder: Path, *, rounds: int
) -> Taken:
    """What each stage takes alone, and the whole; they take turns."""
    pictures = [frame.picture for frame in open_film(film)]
    detector, look = PeopleDetector(), Look()
    every = round(AGAIN * RATE)
    poses = estimator.poses([pictures[0]] * len(boxes), boxes)
    counts: list[int] = []

    def write() -> None:
        with FilmWriter(folder / "stage.mp4", rate=RATE) as writer:
            for picture in pictures:
                writer.write(look.draw(picture, poses, estimator))

    def count(found: Found) -> None:
        counts.append(len(found.poses))

    sides: dict[str, Callable[[], object]] = {
        "reading": lambda: [None for _ in open_film(film)],
        "detecting": lambda: [detector(picture) for picture in pictures[::every]],
        "network": lambda: [estimator.poses([picture] * len(boxes), boxes) for picture in pictures],
        "writing": write,
        WHOLE: lambda: look_at(film, estimator, folder / "whole.mp4", take=count),
    }
    processor: dict[str, list[float]] = {name: [] for name in sides}

    def noted(name: str) -> Callable[[], None]:
        def run() -> None:
            began = time.process_time()
            sides[name]()
            processor[name].append(time.process_time() - began)

        return run

    seconds = take_turns({name: noted(name) for name in sides}, rounds=rounds)
    spent = {name: median(values[-rounds:]) for name, values in processor.items()}
    return Taken(seconds, spent, sum(counts) / len(counts))


def look_at(
    film: Path,
    estimator: PoseEstimator,
    drawn: Path | None,
    *,
    take: Callable[[Found], object] = lambda found: None,
) -> None:
    """The film as `predict --detect` looks at it."""
    locate = locator([], None, detect=True)
    predict_film(film, estimator, locate, drawn=drawn, look=Look(), take=take, detects=True)


def overlap_rows(what: str, taken: Taken, frames: int) -> list[Row]:
    """The whole against the slowest stage, and against what the processor allows; ms a frame."""
    alone = {name: seconds for name, seconds in taken.seconds.items() if name != WHOLE}
    slowest = max(alone, key=lambda name: alone[name])
    each = ", ".join(f"{name} {1000 * seconds / frames:.1f}" for name, seconds in alone.items())
    spent = {name: seconds for name, seconds in taken.processor.items() if name != WHOLE}
    share = ", ".join(f"{name} {1000 * seconds / frames:.1f}" for name, seconds in spent.items())
    allowed = max(alone[slowest], sum(spent.values()) / (os.cpu_count() or 1))
    limits = {
        f"a frame of {what} ({slowest} alone; {each} ms)": alone[slowest],
        f"against what the processor allows (its time: {share} ms)": allowed,
    }
    whole = taken.seconds[WHOLE]
    return [
        Row(name, 1000 * whole / frames, "ms", 1000 * limit / frames, limit / whole, TARGET)
        for name, limit in limits.items()
    ]


def mediapipe_row(
    size: str, film: Path, estimator: PoseEstimator, python: Path, *, rounds: int
) -> Row:
    """A frame of the film of one person, read and looked at but not drawn, against MediaPipe."""
    frames = sum(1 for _ in open_film(film))
    told: list[dict[str, float]] = []

    def theirs() -> float:
        told.append(run_mediapipe(python, film))
        return told[-1]["seconds"] / told[-1]["frames"]

    def ours() -> float:
        return timed(lambda: look_at(film, estimator, None)) / frames

    sides: dict[str, Callable[[], float]] = {"ours": ours, "theirs": theirs}
    each = take_turns(sides, rounds=rounds, measure=lambda run: run())
    found = f"it found somebody in {told[-1]['found']:.0f} of {told[-1]['frames']:.0f} frames"
    return Row(
        f"a frame of {size}, people: 1, not drawn (MediaPipe's full pose model; {found})",
        1000 * each["ours"],
        "ms",
        1000 * each["theirs"],
        each["theirs"] / each["ours"],
    )


def run_mediapipe(python: Path, film: Path) -> dict[str, float]:
    """What `benchmarks/mediapipe_pose.py` prints under another Python.

    Raises:
        InputError: If it fails there.
    """
    done = subprocess.run([python, MEDIAPIPE, film], capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise InputError(f"--mediapipe {python}: {last}")
    result: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def memory_row(folder: Path, estimator: PoseEstimator) -> Row:
    """What a long film takes more memory than a short one, whose frames fill all that waits."""
    peaks = []
    for length in (FEW, MANY):
        film = folder / f"long_{length}.mp4"
        write_film(film, SIZES["640×360"], 1, length)
        look_at(film, estimator, folder / "drawn.mp4")
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
@click.option(
    "--model", type=PATH, default=SHIPPED_LITERT, help="Model file. [default: the shipped one]"
)
@click.option(
    "--mediapipe", type=PATH, help="Python whose environment has mediapipe 0.10.21 or older."
)
@click.option("--output", type=PATH, help="JSON file to write.")
@command
def main(
    frames: int, rounds: int, model: Path, mediapipe: Path | None, output: Path | None
) -> None:
    """Measures films, and prints a table."""
    rows = measure(frames=frames, rounds=rounds, model=model, mediapipe=mediapipe)
    report("film", rows, output=output, details={"model": model.name})


if __name__ == "__main__":
    main()
