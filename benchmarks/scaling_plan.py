"""What a training on 1,000 times MPII would take, on paper: `python -m benchmarks.scaling_plan`.

Nothing runs. What was measured is read from the tables of docs/PERFORMANCE.md, what is assumed
stands in `Assumed`; docs/SCALING.md shows the table that is printed here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import click

from hourglass.console import command
from hourglass.core.errors import InputError

PERFORMANCE = Path(__file__).parents[1] / "docs" / "PERFORMANCE.md"

PEOPLE = 25_000_000
"""1,000 times MPII's 25,204 labelled people."""

GRADIENT_BYTES = 4


@dataclass(frozen=True)
class Measured:
    """What docs/PERFORMANCE.md says, on two cores and one H100.

    Attributes:
        whole: Bytes of a record with its whole 1280×720 picture.
        crop: The same with `--store crop`.
        built: Pictures of 1280×720 that the builder stores per second on one core.
        read: Crops of whole 1280×720 pictures that tf.data makes per second on two cores.
        crop_gain: How many times as fast it is with `--store crop`.
        trained: Crops per second that `lite` is trained on, on one H100, input included.
    """

    whole: float
    crop: float
    built: float
    read: float
    crop_gain: float
    trained: float


@dataclass(frozen=True)
class Assumed:
    """What nobody measured here.

    Attributes:
        photograph: Bytes of one of MPII's pictures: 12 GB of them are 24,984.
        parameters: Of `lite`.
        batch: Crops per GPU and step.
        epochs: Passes over all people.
        gpus: In one machine, each as fast as alone.
        place: Bytes of memory that a training keeps per person: where its record lies.
        person: Bytes of memory that the builder's steering process keeps per person.
        storage_price: US dollars for a GB and month of object storage.
        core_price: For a core and hour.
        gpu_price: For an H100 and hour.
    """

    photograph: float = 12e9 / 24_984
    parameters: int = 3_236_736
    batch: int = 128
    epochs: int = 4
    gpus: int = 8
    place: float = 208
    person: float = 759
    storage_price: float = 0.023
    core_price: float = 0.04
    gpu_price: float = 3.0


def read_measured(text: str) -> Measured:
    """The figures of docs/PERFORMANCE.md.

    Raises:
        ValueError: If one is not in its tables; names the row.
    """

    def figure(row: str, unit: str, *, column: int = 1) -> float:
        match = re.search(rf"^\| {re.escape(row)}[^|]*(?:\|([^|]*))?(?:\|([^|]*))?", text, re.M)
        found = re.search(rf"([\d.,]+) ?{re.escape(unit)}", match[column] or "") if match else None
        if not found:
            raise InputError(f"{PERFORMANCE}: no row {row!r} with a figure in {unit}")
        return float(found[1].replace(",", ""))

    stored = "pictures of 1280×720, a record with --store crop"
    read = "pictures of 1280×720, an epoch with --store crop"
    return Measured(
        whole=1e3 * figure(stored, "kB", column=2),
        crop=1e3 * figure(stored, "kB"),
        built=figure("pictures of 1280×720, workers: 1; limit: plain loop ", "pictures/s"),
        read=figure("training batches, 1280×720", "people/s"),
        crop_gain=figure(read, "s", column=2) / figure(read, "s"),
        trained=_median_trained(text),
    )


def _median_trained(text: str) -> float:
    found = re.search(r"input included \|[^|]*median ([\d,]+)", text)
    if not found:
        raise InputError(f"{PERFORMANCE}: no row of a training's images/s with its median")
    return float(found[1].replace(",", ""))


def plan(measured: Measured, assumed: Assumed) -> list[tuple[str, str, str]]:
    """The plan's rows: what, how much, and from which figures."""
    heavier = assumed.photograph / measured.whole
    stored = assumed.photograph * measured.crop / measured.whole
    core_hours = PEOPLE / measured.built * heavier / 3600
    core_ms = 2000 / measured.read / measured.crop_gain
    gpu_hours = assumed.epochs * PEOPLE / measured.trained / 3600
    steps = measured.trained / assumed.batch
    sent = 2 * (assumed.gpus - 1) / assumed.gpus * assumed.parameters * GRADIENT_BYTES
    bandwidth = measured.trained * stored
    return [
        (
            "pictures, one a person",
            _size(PEOPLE * assumed.photograph),
            f"{_size(assumed.photograph)} each, as MPII's",
        ),
        (
            "shards, `--store crop`",
            _size(PEOPLE * stored),
            f"{_size(stored)} a record: {measured.crop / measured.whole:.2f} of the picture, as "
            f"{_size(measured.crop)} of {_size(measured.whole)}",
        ),
        (
            "both for a month",
            f"${(PEOPLE * (assumed.photograph + stored)) / 1e9 * assumed.storage_price:,.0f}",
            f"${assumed.storage_price} a GB",
        ),
        (
            "building, processor",
            f"{core_hours:.0f} core hours, ${core_hours * assumed.core_price:.0f}",
            f"{measured.built:.0f} pictures/s a core, {heavier:.1f} times the bytes",
        ),
        (
            "building, network in",
            f"{_size(measured.built / heavier * assumed.photograph)}/s a core",
            f"{measured.built / heavier:.0f} pictures/s a core",
        ),
        (
            f"{assumed.epochs} epochs of `lite`, GPU",
            f"{gpu_hours:.0f} GPU hours, ${gpu_hours * assumed.gpu_price:.0f}",
            f"{measured.trained:,.0f} crops/s a GPU",
        ),
        (
            f"the same on {assumed.gpus} GPUs",
            f"{gpu_hours / assumed.gpus:.1f} hours",
            "if they scale, which is not measured",
        ),
        (
            "input, processor",
            f"{measured.trained * core_ms / 1000:.1f} cores a GPU",
            f"{core_ms:.2f} ms a crop",
        ),
        (
            "input, storage",
            f"{_size(bandwidth)}/s a GPU, {_size(assumed.gpus * bandwidth)}/s in all",
            f"{_size(stored)} a record",
        ),
        (
            "gradients",
            f"{_size(steps * sent)}/s a GPU",
            f"{_size(sent)} a step, {steps:.0f} steps/s",
        ),
        (
            "memory of a training",
            f"{_size(PEOPLE * assumed.place)} a process",
            f"{assumed.place:.0f} bytes a person",
        ),
        (
            "memory of the steering builder",
            f"{_size(PEOPLE * assumed.person)}",
            f"{assumed.person:.0f} bytes a person, labels' text not counted",
        ),
    ]


def _size(count: float) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f} B"


def table() -> str:
    """The plan as Markdown."""
    rows = plan(read_measured(PERFORMANCE.read_text(encoding="utf-8")), Assumed())
    lines = [" | ".join(row) for row in rows]
    return "\n".join(
        ["| what | how much | from |", "|---|---|---|", *(f"| {one} |" for one in lines)]
    )


@click.command()
@command
def main() -> None:
    """Prints what 25 million people would take: storage, processors, GPUs and network."""
    click.echo(table())


if __name__ == "__main__":
    main()
