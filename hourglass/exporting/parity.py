"""How an export compares with its model: on the same crops, in numbers, size and time.

The command line is `hourglass.export`'s.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hourglass.core.config import Config
from hourglass.core.copies import local_copy
from hourglass.core.decoding import decode_heatmaps
from hourglass.core.geometry import crop_to_picture, from_grid
from hourglass.core.storage import Place
from hourglass.data.datasets import validation_dataset
from hourglass.data.people import load_people
from hourglass.modelfiles.metadata import HEATMAPS
from hourglass.modelfiles.runtimes import KerasRuntime, load_export
from hourglass.scoring.pck import measure_of, skeleton_pck

BATCH_SIZE = 16

RANDOM_CROPS = 16
"""Crops of noise to compare on without data: enough to see a wrong layer."""

WARM_UPS, TIMED_RUNS = 3, 15
"""The first runs plan and compile; the median of the others bears a busy machine."""

Run = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Column:
    """One of the two files.

    Attributes:
        name: The file's.
        megabytes: Its size, or its folder's, in units of 1,000,000 bytes.
        milliseconds: Per crop, median.
        score: The skeleton's own PCK pooled over joints, percent; None without data.
    """

    name: str
    megabytes: float
    milliseconds: float
    score: float | None


@dataclass(frozen=True)
class Parity:
    """An export beside its model.

    Attributes:
        model: The Keras file.
        export: The exported one.
        title: What the scores are, such as `"PCKh@0.5"`.
        difference: Largest one between their outputs: of heatmaps, or of keypoints in crop px.
        outputs: What is compared, as `hourglass.modelfiles.metadata.OUTPUTS` names it.
        crops: How many they were compared on.
        batch: Crops that ran at once while timed.
    """

    model: Column
    export: Column
    title: str
    difference: float
    outputs: str
    crops: int
    batch: int


def compare(model: Path, export: Place, *, data: str | None = None) -> Parity:
    """Runs both files on the same crops.

    Args:
        model: A `.keras` file.
        export: What `hourglass.exporting.formats.export_model` made of it.
        data: Glob of validation shards to score both on; default: crops of noise, no score.

    Raises:
        ValueError: If a file or the shards cannot be used.
    """
    export = local_copy(export)
    exported = load_export(export)
    config, heatmaps = exported.config, exported.outputs == HEATMAPS
    original = KerasRuntime(model, input_size=config.network.input_size)

    def expected(images: np.ndarray) -> np.ndarray:
        found = original.heatmaps(images)
        return found if heatmaps else _decoded(found, config.data.refine)

    def actual(images: np.ndarray) -> np.ndarray:
        found = exported.run(images)
        return found if heatmaps else found[..., :2]

    noise = _noise(config.network.input_size)
    differences = []
    points: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for images in _validation_crops(data, config) if data else [noise]:
        outputs = expected(images), actual(images)
        differences.append(abs(outputs[1] - outputs[0]).max())
        for found, output in zip(points, outputs, strict=True):
            found.append(_decoded(output, config.data.refine) if heatmaps else output)
    timed = np.resize(noise, (exported.batch or 1, *noise.shape[1:]))

    def column(path: Path, run: Run, found: list[np.ndarray]) -> Column:
        score = _score(np.concatenate(found), data, config) if data else None
        return Column(path.name, _megabytes(path), _milliseconds(run, timed), score)

    return Parity(
        model=column(model, expected, points[0]),
        export=column(export, actual, points[1]),
        difference=float(np.max(differences)),
        title=measure_of(config.skeleton).title,
        outputs=exported.outputs,
        crops=sum(map(len, points[0])),
        batch=len(timed),
    )


def _noise(size: int) -> np.ndarray:
    shape = (RANDOM_CROPS, size, size, 3)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def _validation_crops(data: str, config: Config) -> Iterator[np.ndarray]:
    """Batches of crops, without the empty ones that fill the last batch up."""
    left = len(load_people(data))
    for images, *_ in validation_dataset(data, config, batch_size=BATCH_SIZE).as_numpy_iterator():
        yield images[:left]
        left -= len(images)


def _decoded(heatmaps: np.ndarray, refine: Any) -> np.ndarray:
    """Keypoints (B, J, 2), px of the crop."""
    return from_grid(decode_heatmaps(heatmaps, refine=refine)[0])


def _score(points: np.ndarray, data: str, config: Config) -> float:
    """The skeleton's PCK, pooled, of points (N, J, 2) in px of `load_people`'s people's crops."""
    people, size = load_people(data), config.network.input_size
    found = crop_to_picture(points, people.center, people.scale, size=size)
    return skeleton_pck(found, people, measure_of(people.skeleton).right).pooled


def _megabytes(path: Path) -> float:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6


def _milliseconds(run: Run, images: np.ndarray) -> float:
    """Median time per image."""
    seconds = []
    for _ in range(WARM_UPS + TIMED_RUNS):
        began = time.perf_counter()
        run(images)
        seconds.append(time.perf_counter() - began)
    return 1000 * statistics.median(seconds[WARM_UPS:]) / len(images)


def format_parity(parity: Parity) -> str:
    """The comparison as text: a row per file, then what was compared."""
    columns = (parity.model, parity.export)
    width = max(len(column.name) for column in columns)
    lines = [f"{'':<{width}}{parity.title:>10}{'MB':>9}{'ms/crop':>9}"]
    for column in columns:
        score = "-" if column.score is None else f"{column.score:.2f}"
        lines.append(
            f"{column.name:<{width}}{score:>10}{column.megabytes:>9.2f}{column.milliseconds:>9.2f}"
        )
    unit = "" if parity.outputs == HEATMAPS else " px of the crop"
    kind = "of noise" if parity.export.score is None else "of the validation people"
    lines.append(
        f"largest difference between their {parity.outputs} {parity.difference:.2g}{unit}, on "
        f"{parity.crops} crops {kind}; time with {parity.batch} at once"
    )
    return "\n".join(lines)
