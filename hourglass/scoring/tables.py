"""An evaluation as text, and as plain numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from hourglass.core.calibration import FLIP_TEST, PLAIN
from hourglass.core.skeleton import UNKNOWN_SIGMA
from hourglass.scoring.evaluation import Evaluation
from hourglass.scoring.oks import BODY_SHARE, MEASURES, has_area, picture_names
from hourglass.scoring.pck import Score

SUFFIXES = {PLAIN: "", FLIP_TEST: " flip"}

LABEL_WIDTH = 14
"""Letters of a row's title, unless a skeleton's group has a longer one."""


def columns_of(evaluation: Evaluation) -> list[tuple[str, str, Score]]:
    """The columns of the table: the way a model was run, the title, and the score."""
    return [
        (kind, column, score)
        for kind, scores in evaluation.scores.items()
        for column, score in scores.items()
    ]


def rows_of(evaluation: Evaluation) -> list[tuple[str, list[float]]]:
    """The rows of the table: a title and a number per column; groups first, then both means."""
    scores = [score for *_, score in columns_of(evaluation)]
    rows = [
        (title, [score.group(title) for score in scores])
        for title, _ in evaluation.labels.skeleton.groups
    ]
    rows.append(("Mean, pooled", [score.pooled for score in scores]))
    rows.append(("Mean of joints", [score.mean for score in scores]))
    return rows


def format_table(evaluation: Evaluation) -> str:
    """The scores as text: a row per joint group, then both means; then AP and AR."""
    rows = rows_of(evaluation)
    titles = [column + SUFFIXES[kind] for kind, column, _ in columns_of(evaluation)]
    width = max(LABEL_WIDTH, *(len(name) for name, _ in rows))
    lines = [" " * width + "".join(f"{title:>15}" for title in titles)]
    lines += [
        f"{name:<{width}}" + "".join(f"{value:>15.2f}" for value in row) for name, row in rows
    ]
    if evaluation.oks:
        lines.append(f"{'OKS':<{width}}" + "".join(f"{name:>8}" for name in MEASURES))
        lines += [
            f"{kind:<{width}}" + "".join(f"{values[name]:>8.2f}" for name in MEASURES)
            for kind, values in evaluation.oks.items()
        ]
        lines += oks_notes(evaluation)
    return "\n".join(lines)


def oks_notes(evaluation: Evaluation) -> list[str]:
    """What AP and AR are made with, where the labels or the skeleton do not say it."""
    people, notes = evaluation.labels, []
    if not people.skeleton.sigmas:
        notes.append(
            f"skeleton {people.skeleton.name!r} has no sigmas for OKS: {UNKNOWN_SIGMA} for each "
            "joint"
        )
    without = int((~has_area(people)).sum())
    if without:
        notes.append(
            f"labels of {without} of {len(people)} people give no area for OKS: {BODY_SHARE:g} of "
            "the box"
        )
    return notes


def format_people(evaluation: Evaluation) -> str:
    """Whom the scores are of, in a line."""
    people = evaluation.labels
    line = f"{len(people)} people of {evaluation.data}, model {evaluation.model}"
    if evaluation.detected is None:
        return line
    found = int(evaluation.keypoints[PLAIN].found.sum())
    return (
        f"{line}\nlooked for in {len(set(picture_names(people)))} pictures: "
        f"{evaluation.detected} found, matched with {found} of the labelled"
    )


def to_dict(evaluation: Evaluation) -> dict[str, Any]:
    """The scores as plain numbers, ready for JSON; what nobody is there for is null."""

    def plain(score: Score) -> dict[str, Any]:
        joints = zip(score.skeleton.joints, score.per_joint, score.labelled, strict=True)
        return {
            "pooled": _known(score.pooled),
            "mean": _known(score.mean),
            "groups": {title: _known(score.group(title)) for title, _ in score.skeleton.groups},
            "joints": {
                name: {"percent": _known(value), "labelled": int(count)}
                for name, value, count in joints
            },
        }

    return {
        "model": evaluation.model,
        "data": evaluation.data,
        "skeleton": evaluation.labels.skeleton.name,
        "people": len(evaluation.labels),
        "detected": evaluation.detected,
        "calibration_error": {
            kind: _known(evaluation.reliability(kind).error) for kind in evaluation.keypoints
        },
        "scores": {
            kind: {column: plain(score) for column, score in scores.items()}
            for kind, scores in evaluation.scores.items()
        },
        "oks": {
            kind: {name: _known(value) for name, value in values.items()}
            for kind, values in evaluation.oks.items()
        },
        "oks_notes": oks_notes(evaluation) if evaluation.oks else [],
    }


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
