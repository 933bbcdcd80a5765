"""`python -m hourglass.evaluate`: how many joints a model finds, joint group by joint group."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import click
import numpy as np

from hourglass.console import Progress, command, quiet_stderr, write_file
from hourglass.decoding import Refinement
from hourglass.estimator import BATCH_SIZE, PoseEstimator, newest_model
from hourglass.metrics import GROUPS, HEAD_SIZE_PER_SCALE, Score, pck, pckh, torso_size
from hourglass.pictures import decode_picture
from hourglass.runtimes import load_runtime
from hourglass.skeleton import MPII

COLUMNS = ("PCKh@0.5", "PCKh@0.1", "PCK@0.2")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Scores of one model on one set of people.

    Attributes:
        model: The model file.
        data: The shards' pattern.
        people: How many people were scored.
        scores: By `plain` and, where asked for, `flip_test`: a `Score` per column of `COLUMNS`.
    """

    model: str
    data: str
    people: int
    scores: dict[str, dict[str, Score]]


def evaluate(
    data: str, model: str | Path, *, flip_test: bool = False, refine: Refinement | None = None
) -> Evaluation:
    """Scores a model as its users meet it: the same crop, network and decoding as `predict`.

    Args:
        data: Glob of the shards, such as `tfrecords/validation*`.
        model: The model file.
        flip_test: Also score with heatmaps averaged over each crop and its mirror image.
        refine: How heatmaps are decoded; default: as the model's configuration says.

    Raises:
        ValueError: If shards or model are missing or unusable.
    """
    with quiet_stderr():
        from hourglass.preprocess import load_people

        runtime = load_runtime(model)
        estimators = {"plain": PoseEstimator(runtime, refine=refine)}
        if flip_test:
            estimators["flip_test"] = PoseEstimator(runtime, flip_test=True, refine=refine)
        people = load_people(data)
    found: dict[str, list[np.ndarray]] = {name: [] for name in estimators}
    with Progress("evaluating", total=len(people), unit="people") as progress:
        for start, pictures in _picture_batches(data):
            chosen = slice(start, start + len(pictures))
            for name, estimator in estimators.items():
                points, _ = estimator.predict(pictures, people.center[chosen], people.scale[chosen])
                found[name].append(points)
            progress.advance(len(pictures))
    scores = {name: _scores(np.concatenate(points), people) for name, points in found.items()}
    return Evaluation(str(model), data, len(people), scores)


def _picture_batches(data: str) -> Iterator[tuple[int, list[np.ndarray]]]:
    """Index of the first person and pictures of each batch, decoded while the network runs."""
    import tensorflow as tf

    from hourglass.records import parse_example
    from hourglass.shards import find_shards

    def picture(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        person = parse_example(serialized)
        return person["encoded"], person["filename"]

    records = tf.data.TFRecordDataset(find_shards(data)).map(picture).as_numpy_iterator()

    def next_batch(pool: ThreadPoolExecutor) -> Any:
        return [
            pool.submit(decode_picture, encoded, where=name.decode())
            for encoded, name in islice(records, BATCH_SIZE)
        ]

    start = 0
    with ThreadPoolExecutor() as pool:
        pending = next_batch(pool)
        while pending:
            following = next_batch(pool)
            pictures = [future.result() for future in pending]
            yield start, pictures
            start += len(pictures)
            pending = following


def _scores(points: np.ndarray, people: Any) -> dict[str, Score]:
    labels = {"labelled": people.labelled}
    head, torso = HEAD_SIZE_PER_SCALE * people.scale, torso_size(people.points, people.labelled)
    scores = (
        pckh(points, people.points, head_size=head, threshold=0.5, **labels),
        pckh(points, people.points, head_size=head, threshold=0.1, **labels),
        pck(points, people.points, reference=torso, threshold=0.2, **labels),
    )
    return dict(zip(COLUMNS, scores, strict=True))


def format_table(evaluation: Evaluation) -> str:
    """The scores as text: a row per joint group, then both means."""
    names = {"plain": "", "flip_test": " flip"}
    titles = [column + names[kind] for kind in evaluation.scores for column in COLUMNS]
    columns = [scores[column] for scores in evaluation.scores.values() for column in COLUMNS]
    rows = [(group, [score.group(group) for score in columns]) for group in GROUPS]
    rows.append(("Mean, pooled", [score.pooled for score in columns]))
    rows.append(("Mean of joints", [score.mean for score in columns]))
    lines = [f"{'':<14}" + "".join(f"{title:>15}" for title in titles)]
    lines += [f"{name:<14}" + "".join(f"{value:>15.2f}" for value in row) for name, row in rows]
    return "\n".join(lines)


def to_dict(evaluation: Evaluation) -> dict[str, Any]:
    """The scores as plain numbers, ready for JSON; a joint that nobody has labelled is null."""

    def known(value: float) -> float | None:
        return None if np.isnan(value) else float(value)

    def plain(score: Score) -> dict[str, Any]:
        joints = zip(MPII.joints, score.per_joint, score.labelled, strict=True)
        return {
            "pooled": known(score.pooled),
            "mean": known(score.mean),
            "groups": {group: known(score.group(group)) for group in GROUPS},
            "joints": {
                name: {"percent": known(value), "labelled": int(count)}
                for name, value, count in joints
            },
        }

    return {
        "model": evaluation.model,
        "data": evaluation.data,
        "people": evaluation.people,
        "scores": {
            kind: {column: plain(score) for column, score in scores.items()}
            for kind, scores in evaluation.scores.items()
        },
    }


@click.command()
@click.option(
    "--data",
    default="tfrecords/validation*",
    show_default=True,
    help="Glob of the shards to score on.",
)
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    help="Model file. [default: the newest models/*/best.keras]",
)
@click.option("--flip-test", is_flag=True, help="Also score with mirrored crops averaged in.")
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="File to write all numbers to."
)
@command
def main(data: str, model: Path | None, flip_test: bool, json_file: Path | None) -> None:
    """Prints PCKh (threshold in head sizes) and PCK (in torso lengths), percent of labelled joints.

    Pelvis and thorax are left out of both means, as in MPII's protocol. "Mean, pooled" is over all
    joints of all people; "Mean of joints" is the plain mean of the 14 joints' own numbers.
    """
    model = model or newest_model()
    evaluation = evaluate(data, model, flip_test=flip_test)
    click.echo(format_table(evaluation))
    click.echo(f"{evaluation.people} people of {data}, model {model}")
    if json_file:
        write_file(json_file, json.dumps(to_dict(evaluation), indent=1) + "\n")
        click.echo(f"numbers in {json_file}")


if __name__ == "__main__":
    main()
