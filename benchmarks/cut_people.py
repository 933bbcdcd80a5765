"""`python -m benchmarks.cut_people`: what a model finds of people whom a picture cuts off.

Everybody's picture ends once at the middle of the hips and once at the middle of the knees. Of
joints far below the end nothing can be found: what is scored high there is invented.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from hourglass.console import command, model_option, quiet_stderr
from hourglass.data.people import load_people
from hourglass.inference.estimator import default_model
from hourglass.media.drawing import MIN_SCORE
from hourglass.modelfiles.runtimes import load_runtime
from hourglass.scoring.cut_people import CutPeople, cuts_at, find_cut_people

ENDS = {"hips": ("right_hip", "left_hip"), "knees": ("right_knee", "left_knee")}
THRESHOLDS = (MIN_SCORE, 0.5)


def to_percent(held: np.ndarray) -> str:
    """How often something holds, "–" of nothing."""
    return f"{100 * held.mean():.1f} %" if held.size else "–"


def to_line(end: str, found: CutPeople) -> str:
    """A row of the Markdown table."""
    invented, kept = found.scores[found.outside], found.scores[found.inside]
    shares = [
        to_percent(scores >= threshold) for scores in (invented, kept) for threshold in THRESHOLDS
    ]
    right = to_percent(found.right[found.inside])
    people = found.counted.any(axis=1).sum()
    return f"| {end} | {people} | {invented.size} | {' | '.join(shares)} | {right} |"


@click.command()
@click.option("--data", required=True, help="Glob of validation shards of MPII's joints.")
@model_option
@command
def main(data: str, model: Path | None) -> None:
    """Prints how many invented and how many real joints are scored high."""
    with quiet_stderr():
        runtime = load_runtime(model or default_model())
    people = load_people(data)
    what = [f"{name} ≥ {limit:g}" for name in ("invented", "real") for limit in THRESHOLDS]
    click.echo(
        "| picture ends at the | people | joints outside | " + " | ".join(what) + " | right |"
    )
    click.echo("|---" * (len(what) + 4) + "|")
    for end, joints in ENDS.items():
        shares = cuts_at(people, joints)
        click.echo(to_line(end, find_cut_people(data, runtime, shares=shares, calibrated=True)))


if __name__ == "__main__":
    main()
