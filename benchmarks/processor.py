"""`python -m benchmarks.processor`: what `core.processor`'s settings are worth to a training step.

Settings act on whole processes, before TensorFlow is loaded, so that every turn is a process of its
own. Processor time is compared, which hardly depends on what else runs.
"""

from __future__ import annotations

import dataclasses
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import click

from benchmarks.comparison import RESULTS, Row, peak_memory, report
from hourglass.console import command
from hourglass.core.errors import InputError
from hourglass.core.processor import prepare_processor

SIDES = {
    "ours": {},
    "no malloc settings": {"MALLOC_MMAP_MAX_": "65536"},
    "no settings at all": {"MALLOC_MMAP_MAX_": "65536", "TF_ENABLE_ONEDNN_OPTS": "0"},
}
"""Environments: glibc's own default of 65,536 mappings, set by the user, keeps ours away."""

STEPS = 4
"""That count, after two that compile and warm up."""

MEASURED = "measured:"


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a step costs.

    Attributes:
        seconds: Of processor time.
        faults: Pages that the kernel had to give.
        memory: MB that the process held at most.
    """

    seconds: float
    faults: float
    memory: float


def measure_step(network: str, batch_size: int, precision: str) -> Cost:
    """Trains in this process."""
    prepare_processor()
    from benchmarks.train_step import feed, make_case, our_network, random_batch
    from hourglass.training.devices import find_devices

    case = make_case(network, batch_size, None)
    config = case.in_precision(precision)
    model = our_network(config, find_devices(), STEPS)
    batch = random_batch(config)

    def fit(steps: int) -> None:
        model.fit(feed(batch, steps), steps_per_epoch=steps, shuffle=False, verbose=0)

    fit(2)
    before = resource.getrusage(resource.RUSAGE_SELF)
    fit(STEPS)
    after = resource.getrusage(resource.RUSAGE_SELF)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    faults = after.ru_minflt - before.ru_minflt
    return Cost(seconds / STEPS, faults / STEPS, peak_memory() / 1e6)


def measured_in_a_process(environment: dict[str, str], *arguments: str) -> Cost:
    """`measure_step` in a process with these variables."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.processor", "--here", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith(MEASURED)]
    if not lines:
        raise InputError(f"the measuring process failed: {done.stderr[-500:]}")
    return Cost(**json.loads(lines[0].removeprefix(MEASURED)))


@click.command()
@click.option("--network", default="lite", show_default=True, help="Preset.")
@click.option("--batch-size", default=32, show_default=True, help="People per step.")
@click.option("--precision", default="float32", show_default=True, help="float32 or bfloat16.")
@click.option("--rounds", default=2, show_default=True, help="Turns of each side.")
@click.option("--here", is_flag=True, hidden=True, help="Measure in this process.")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    default=RESULTS / "processor.json",
    show_default=True,
    help="File of the results.",
)
@command
def main(
    network: str, batch_size: int, precision: str, rounds: int, here: bool, output: Path
) -> None:
    """Measures a training step with `core.processor`'s settings and without, in turns.

    ONEDNN_MAX_CPU_ISA=AVX2 before it shows what oneDNN is worth without AVX-512.
    """
    if here:
        cost = measure_step(network, batch_size, precision)
        click.echo(MEASURED + json.dumps(dataclasses.asdict(cost)))
        return
    arguments = ("--network", network, "--batch-size", str(batch_size), "--precision", precision)
    costs: dict[str, list[Cost]] = {name: [] for name in SIDES}
    for _ in range(rounds):
        for name, environment in SIDES.items():
            costs[name].append(measured_in_a_process(environment, *arguments))
    best = {name: min(turns, key=lambda cost: cost.seconds) for name, turns in costs.items()}
    plain = best["no settings at all"]
    rows = []
    for name, cost in best.items():
        rows += [
            Row(name, cost.seconds, "CPU s/step", plain.seconds, plain.seconds / cost.seconds),
            Row(name, cost.faults, "page faults/step"),
            Row(name, cost.memory, "MB at most"),
        ]
    details = {"network": network, "batch": str(batch_size), "precision": precision}
    report("processor", rows, output=output, details=details)


if __name__ == "__main__":
    main()
