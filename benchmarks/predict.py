"""`python -m benchmarks.predict`: how fast pictures become poses, and heatmaps become a score.

A row's brackets say what its limit is: the plain network for the estimator, TensorFlow's import for
a command's start, `numpy.argmax` for decoding. Nothing is needed but the installation: pictures,
people and most weights are made up.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click
import numpy as np
from loguru import logger
from PIL import Image

from benchmarks.comparison import Row, report, take_turns
from hourglass.console import command, quiet_stderr
from hourglass.core.decoding import decode_heatmaps
from hourglass.core.errors import InputError
from hourglass.core.pose import Box
from hourglass.core.presets import preset
from hourglass.core.skeleton import MPII
from hourglass.inference.estimator import BATCH_SIZE, SHIPPED, PoseEstimator
from hourglass.scoring.pck import Score, pckh

PICTURE_SHAPE = (480, 640, 3)
BOX: Box = (200.0, 100.0, 160.0, 320.0)

CROPS_IN_A_ROW = 4
"""Crops of a turn, one after the other, as a program has them: the other side's turn leaves the
caches full of what is its own."""

VALIDATION_PEOPLE = 3000
"""About as many as MPII's validation set has (2,958)."""

GROWING_PEOPLE = (200, 800, 3200)
"""1, 4 and 16 times as many; even the fewest heatmaps, 52 MB, are more than most caches hold."""

HEATMAP_SIZE = 64
HEAD_SIZE = 6.0
"""Heatmap px; no time depends on it."""

LINEAR = 1.1
"""Times that grow in proportion, and what they differ by on a machine that is not quiet."""


def measure(
    *,
    rounds: int,
    network: str = "hg4",
    starting: str = "small",
    people: int = VALIDATION_PEOPLE,
    growing: Sequence[int] = GROWING_PEOPLE,
) -> list[Row]:
    """All rows of the table.

    Args:
        rounds: Turns in each comparison.
        network: Preset whose crops are timed.
        starting: Preset whose command is started.
        people: How many are decoded and scored.
        growing: Numbers of people that are evaluated, the fewest first.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [
            *network_rows(network, folder, rounds=rounds),
            *shipped_rows(rounds=rounds),
            *start_rows(starting, folder, rounds=rounds),
        ]
    points, heatmaps = made_up_people(max(people, *growing))
    return [
        *rows,
        *decoding_rows(heatmaps[:people], rounds=rounds),
        scoring_row(points[:people], rounds=rounds),
        *growth_rows(points, heatmaps, growing, rounds=rounds),
    ]


def network_rows(name: str, folder: Path, *, rounds: int) -> list[Row]:
    """Crops by the estimator's default path, against the plain network in float32."""
    logger.info(f"crops of {name}")
    with quiet_stderr():
        from hourglass.modelfiles.keras_file import load_model

        model = save_made_up_model(name, folder)
        network, config = load_model(model)
        estimator = PoseEstimator.load(model)
    size = config.network.input_size
    crop = np.zeros((1, size, size, 3), np.uint8)
    picture = made_up_picture()
    seconds = take_turns(
        {
            "estimator": lambda: [estimator(picture, BOX) for _ in range(CROPS_IN_A_ROW)],
            "network": lambda: [np.asarray(network(crop)) for _ in range(CROPS_IN_A_ROW)],
        },
        rounds=rounds,
    )
    ours, plain = (seconds[side] / CROPS_IN_A_ROW for side in ("estimator", "network"))
    row = times_as_fast(f"one crop, {name} (plain model(x))", ours, plain, target=5)
    return [row, *batch_rows(name, estimator, rounds=rounds)]


def shipped_rows(*, rounds: int) -> list[Row]:
    """Crops by the model that comes with the project; docs/MODEL_CARD.md cites them."""
    rows = []
    for flip_test, name in ((False, "shipped model"), (True, "shipped model with flip test")):
        logger.info(f"crops of the {name}")
        estimator = PoseEstimator.load(SHIPPED, flip_test=flip_test)
        rows += batch_rows(name, estimator, rounds=rounds)
    return rows


def batch_rows(name: str, estimator: PoseEstimator, *, rounds: int) -> list[Row]:
    """What a crop takes alone and in a batch."""
    picture = made_up_picture()
    seconds = take_turns(
        {
            "alone": lambda: [estimator(picture, BOX) for _ in range(BATCH_SIZE)],
            "batch": lambda: estimator.poses([picture] * BATCH_SIZE, [BOX] * BATCH_SIZE),
        },
        rounds=rounds,
    )
    alone, batch = seconds["alone"] / BATCH_SIZE, seconds["batch"] / BATCH_SIZE
    what = f"a crop in a batch of {BATCH_SIZE}, {name} (alone)"
    return [
        Row(f"a crop alone, {name}", 1000 * alone, "ms"),
        times_as_fast(what, batch, alone, target=1.2),
    ]


def start_rows(name: str, folder: Path, *, rounds: int) -> list[Row]:
    """Whole processes of `hourglass.predict` with one picture, against TensorFlow's import."""
    logger.info("cold starts")
    picture = folder / "picture.jpg"
    Image.fromarray(made_up_picture()).save(picture)
    commands = {
        name: predict_command(picture, save_made_up_model(name, folder)),
        "shipped model": predict_command(picture, SHIPPED),
        "import": [sys.executable, "-c", "import tensorflow"],
    }
    sides = {side: partial(run_process, words) for side, words in commands.items()}
    seconds = take_turns(sides, rounds=rounds)
    return [
        times_as_long(f"cold start, {side} (import tensorflow)", took, seconds["import"], target=2)
        for side, took in seconds.items()
        if side != "import"
    ]


def predict_command(picture: Path, model: Path) -> list[str]:
    """The words that draw a picture's pose beside it."""
    program = [sys.executable, "-m", "hourglass.predict", str(picture), "--model", str(model)]
    return [*program, "--output", str(picture.parent), "--force"]


def run_process(words: Sequence[str]) -> None:
    """Runs a command to its end.

    Raises:
        ValueError: If it fails; with the last line of what it said.
    """
    ran = subprocess.run(words, capture_output=True, text=True, check=False)
    if ran.returncode:
        said = (ran.stderr.strip() or f"exit status {ran.returncode}").splitlines()[-1]
        raise InputError(f"{' '.join(words)}: {said}")


def decoding_rows(heatmaps: np.ndarray, *, rounds: int) -> list[Row]:
    """Both refinements against the bare search of the highest pixels.

    Args:
        heatmaps: (N, H, W, J) float32.
        rounds: Turns.
    """
    logger.info(f"decoding {len(heatmaps)} people")
    people, _, _, joints = heatmaps.shape
    seconds = take_turns(
        {
            "quarter": lambda: decode_heatmaps(heatmaps, refine="quarter"),
            "dark": lambda: decode_heatmaps(heatmaps, refine="dark"),
            "argmax": lambda: heatmaps.reshape(people, -1, joints).argmax(axis=1),
        },
        rounds=rounds,
    )
    return [
        times_as_long(
            f"decoding {people} people, {refine} (numpy.argmax)",
            seconds[refine],
            seconds["argmax"],
            target=3,
        )
        for refine in ("quarter", "dark")
    ]


def scoring_row(points: np.ndarray, *, rounds: int) -> Row:
    """PCKh of points (N, 16, 2) against themselves."""
    seconds = take_turns({"pckh": lambda: score(points, points)}, rounds=rounds)
    return Row(f"PCKh of {len(points)} people", 1000 * seconds["pckh"], "ms", target="<= 50 ms")


def growth_rows(
    points: np.ndarray, heatmaps: np.ndarray, growing: Sequence[int], *, rounds: int
) -> list[Row]:
    """Evaluations, which are decoding and PCKh, of more and more people.

    Each is compared with the same people in parts as small as the fewest: work split otherwise, and
    not a shorter time multiplied, because a busy machine interrupts long runs more than short ones.
    The first row's two sides are equal; its ratio shows the noise.

    Args:
        points: (N, 16, 2), where the peaks of the heatmaps are.
        heatmaps: (N, H, W, 16).
        growing: How many of the N people, the fewest first.
        rounds: Turns.
    """
    logger.info(f"evaluating {', '.join(map(str, growing))} people")

    def evaluate(people: int, part: int) -> None:
        for start in range(0, people, part):
            chosen = slice(start, start + part)
            score(decode_heatmaps(heatmaps[chosen])[0], points[chosen])

    fewest = growing[0]
    rows = []
    for people in growing:
        sides = {
            "at once": partial(evaluate, people, people),
            "in parts": partial(evaluate, people, fewest),
        }
        seconds = take_turns(sides, rounds=rounds)
        what = f"evaluation of {people} people ({people // fewest} × {fewest} people)"
        rows.append(times_as_long(what, seconds["at once"], seconds["in parts"], target=LINEAR))
    return rows


def score(predicted: np.ndarray, actual: np.ndarray) -> Score:
    """PCKh of points (N, 16, 2), all of them labelled."""
    people, joints, _ = actual.shape
    return pckh(
        predicted,
        actual,
        head_size=np.full(people, HEAD_SIZE),
        labelled=np.ones((people, joints), bool),
    )


def made_up_picture() -> np.ndarray:
    """A picture (H, W, 3) uint8 of noise."""
    return np.random.default_rng(0).integers(0, 256, PICTURE_SHAPE, np.uint8)


def made_up_people(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, 16, 2) float32, heatmap px, and their heatmaps (N, 64, 64, 16) float32."""
    from hourglass.core.heatmaps import encode_heatmaps

    shape = (count, len(MPII.joints), 2)
    points = np.random.default_rng(0).uniform(0, HEATMAP_SIZE - 1, shape).astype(np.float32)
    heatmaps = encode_heatmaps(points, np.ones(shape[:2], bool), size=HEATMAP_SIZE)
    return points, heatmaps


def save_made_up_model(name: str, folder: Path) -> Path:
    """A model file of a preset with the weights that a training begins from."""
    from hourglass.modelfiles.keras_file import save_model
    from hourglass.networks.hourglass import build_network

    path = folder / f"{name}.keras"
    save_model(path, build_network(name), preset(name))
    return path


def times_as_fast(what: str, seconds: float, limit: float, target: float) -> Row:
    """A row in ms; the higher its ratio, the better."""
    aim = f">= {target:g} times as fast"
    return Row(what, 1000 * seconds, "ms", 1000 * limit, limit / seconds, aim)


def times_as_long(what: str, seconds: float, limit: float, target: float) -> Row:
    """A row in seconds; the lower its ratio, the better."""
    return Row(what, seconds, "s", limit, seconds / limit, f"<= {target:g} times as long")


@click.command()
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="JSON file to write. [default: logs/benchmarks/predict.json]",
)
@click.option(
    "--rounds",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    help="Turns in each comparison.",
)
@command
def main(output: Path | None, rounds: int) -> None:
    """Times predictions, cold starts, decoding and PCKh: about five minutes on two quiet cores."""
    report("predict", measure(rounds=rounds), output=output)


if __name__ == "__main__":
    main()
