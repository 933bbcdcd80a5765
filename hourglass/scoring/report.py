"""A page that shows what a model does: one HTML file with everything inside.

It holds the table, error curves, the kinds of error, how far scores can be trusted, and the best,
median and worst people. Numbers are `hourglass.scoring.evaluation`'s; only their looks live here.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from hourglass.core.calibration import FLIP_TEST, PLAIN
from hourglass.core.files import write_error, write_file
from hourglass.core.storage import Place
from hourglass.media.panels import crop_panels
from hourglass.scoring.diagnosis import KINDS, NOT_LABELLED, kinds_of_error
from hourglass.scoring.evaluation import Evaluation
from hourglass.scoring.oks import MEASURES
from hourglass.scoring.pck import skeleton_pck
from hourglass.scoring.pictures import load_pictures
from hourglass.scoring.tables import columns_of, oks_notes, rows_of

FILE = "report.html"

CURVE_POINTS = 51
"""Thresholds of the error curves, from 0 to the table's largest."""

PEOPLE = 6
"""People shown as best, as median and as worst."""

PANEL_QUALITY = 85

CAPPED = 4.0
"""Distances count as no more than this many times the measure's threshold when people are ranked,
so that one joint on the wrong side of the picture does not outweigh all others."""

MOST_CURVES = 10
"""Joint groups that have a curve of their own: as many as there are colours."""

TITLES = {PLAIN: "", FLIP_TEST: ", flip test"}
WAYS = {PLAIN: "plain", FLIP_TEST: "flip test"}

COLOURS = ("#3a9d5d", "#d1495b", "#e58f3c", "#e3c44c", "#8d99ae")
"""Of `KINDS`."""

STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #1d2733; background: #f5f6f8; margin: 0; }
main { max-width: 1040px; margin: 0 auto; padding: 24px 20px 60px; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 19px; margin: 0 0 10px; }
section { background: #fff; border: 1px solid #e1e5ea; border-radius: 8px; padding: 18px 20px;
  margin: 18px 0; overflow-x: auto; }
p { margin: 6px 0; color: #48566a; } code { font-size: 13px; overflow-wrap: anywhere; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 4px 14px 4px 0; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } thead th { border-bottom: 1px solid #c9d0d9; }
tr.mean td { font-weight: 600; border-top: 1px solid #c9d0d9; }
tr.mean + tr.mean td { border-top: 0; }
svg { max-width: 100%; height: auto; }
.bar { display: flex; width: 340px; height: 16px; border-radius: 3px; overflow: hidden; }
.key span { display: inline-block; margin-right: 16px; } .key i { display: inline-block;
  width: 11px; height: 11px; border-radius: 2px; margin-right: 6px; }
.people { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr)); gap: 14px; }
figure { margin: 0; } figure img { width: 100%; border-radius: 4px; display: block; }
figcaption { font-size: 13px; color: #48566a; overflow-wrap: anywhere; }
"""


def write_report(evaluation: Evaluation, folder: Place) -> Place:
    """Writes the page, and makes its folder.

    Returns:
        The page's file.

    Raises:
        ValueError: If it cannot be written.
    """
    kind = FLIP_TEST if FLIP_TEST in evaluation.keypoints else PLAIN
    sections = [
        _section("Scores", _score_table(evaluation)),
        *([_section("AP and AR", _oks_table(evaluation))] if evaluation.oks else []),
        _section("Error curves", _curves(evaluation, kind)),
        _section("Kinds of error", _kinds(evaluation, kind)),
        _section("What scores mean", _reliability(evaluation, kind)),
        *_people(evaluation, kind),
    ]
    title = "/".join(Path(evaluation.model).parts[-2:])
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>"
        f"<h1>{escape(title)}</h1>"
        f"<p>{len(evaluation.labels)} people of <code>{escape(evaluation.data)}</code>, model "
        f"<code>{escape(evaluation.model)}</code>. Curves, errors, scores and people are those of "
        f"the network run {'with' if kind == FLIP_TEST else 'without'} flip test.</p>"
        f"{''.join(sections)}</main></body></html>\n"
    )
    target = folder / FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(folder, error) from error
    write_file(target, page)
    return target


def _section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], *, means: int = 0) -> str:
    """Rows of ready HTML cells under `head`; the last `means` rows stand out."""
    cells = "".join(f"<th>{escape(title)}</th>" for title in head)
    body = []
    for number, row in enumerate(rows):
        style = ' class="mean"' if number >= len(rows) - means else ""
        body.append(f"<tr{style}>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>")
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def _score_table(evaluation: Evaluation) -> str:
    head = ["", *(f"{column}{TITLES[kind]}" for kind, column, _ in columns_of(evaluation))]
    rows = [
        [escape(title), *(f"{value:.1f}" for value in row)] for title, row in rows_of(evaluation)
    ]
    skeleton, measure = evaluation.labels.skeleton, evaluation.measure
    torsos = ", PCK in torso lengths" if skeleton.reference == "head" and skeleton.torso else ""
    left_out = [skeleton.joints[joint].replace("_", " ") for joint in skeleton.left_out]
    note = f" Left out of both means: {', '.join(left_out)}." if left_out else ""
    return _table(head, rows, means=2) + (
        f"<p>Percent of labelled joints within the threshold: {measure.name} in {measure.unit}"
        f"{torsos}.{escape(note)}</p>"
    )


def _oks_table(evaluation: Evaluation) -> str:
    head = ["", *MEASURES]
    rows = [
        [WAYS[kind], *(f"{values[name]:.1f}" for name in MEASURES)]
        for kind, values in evaluation.oks.items()
    ]
    looked = "as the detector found them" if evaluation.detected is not None else "where labelled"
    notes = "".join(f" {note[0].upper()}{note[1:]}." for note in oks_notes(evaluation))
    return _table(head, rows) + (
        "<p>Average precision and recall over object keypoint similarity, COCO's protocol, "
        f"percent; people {looked}.{escape(notes)}</p>"
    )


def _curves(evaluation: Evaluation, kind: str) -> str:
    points, people = evaluation.keypoints[kind].points, evaluation.labels
    widest = max(evaluation.measure.thresholds)
    thresholds = np.linspace(0.0, widest, CURVE_POINTS)
    scores = [skeleton_pck(points, people, float(threshold)) for threshold in thresholds]
    figure = Figure(figsize=(9, 4), layout="constrained")
    axis = figure.add_subplot()
    groups = people.skeleton.groups[:MOST_CURVES]
    for title, _ in groups:
        line = [score.group(title) for score in scores]
        axis.plot(thresholds, line, label=title, linewidth=1.4)
    pooled = [score.pooled for score in scores]
    axis.plot(thresholds, pooled, label="all, pooled", color="black", linewidth=2.2)
    axis.set(
        xlabel=f"threshold, {evaluation.measure.unit}",
        ylabel="% of joints found",
        xlim=(0, widest),
        ylim=(0, 100),
    )
    axis.grid(alpha=0.3)
    axis.legend(loc="upper left", fontsize=9)
    return _svg(figure)


def _kinds(evaluation: Evaluation, kind: str) -> str:
    skeleton, measure = evaluation.labels.skeleton, evaluation.measure
    kinds = kinds_of_error(
        evaluation.keypoints[kind].points,
        evaluation.labels.points,
        reference=evaluation.reference,
        labelled=evaluation.labels.labelled,
        skeleton=skeleton,
    )
    chosen = {**dict(skeleton.groups), "All, pooled": tuple(skeleton.counted)}
    rows = []
    for title, joints in chosen.items():
        known = kinds[:, list(joints)]
        known = known[known != NOT_LABELLED]
        counts = np.bincount(known, minlength=len(KINDS))
        shares = 100.0 * counts / counts.sum() if len(known) else np.full(len(KINDS), np.nan)
        bar = "".join(
            f'<div style="width:{share:.2f}%;background:{colour}" title="{name}: {share:.1f} %">'
            "</div>"
            for name, share, colour in zip(KINDS, shares, COLOURS, strict=True)
            if share > 0
        )
        rows.append(
            [escape(title), *(f"{share:.1f}" for share in shares), f'<div class="bar">{bar}</div>']
        )
    key = "".join(
        f'<span><i style="background:{colour}"></i>{name}</span>'
        for name, colour in zip(KINDS, COLOURS, strict=True)
    )
    note = (
        f"<p>Percent of labelled joints. Found: within {measure.right:g} {measure.unit} of its "
        "label. Else swapped if that close to the label of its mirror joint, another joint if that "
        "close to some other label, a near miss within twice that of its own label, and a far miss "
        "beyond. Each group counts its joints together, left and right.</p>"
    )
    return f'<p class="key">{key}</p>{_table(["", *KINDS, ""], rows, means=1)}{note}'


def _reliability(evaluation: Evaluation, kind: str) -> str:
    found = evaluation.reliability(kind)
    filled = found.count > 0
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 1], color="#8d99ae", linestyle="--", linewidth=1)
    left.plot(found.score[filled], found.share[filled], marker="o", color="#3366cc")
    left.set(
        xlabel="score", ylabel=f"share within {evaluation.measure.title}", xlim=(0, 1), ylim=(0, 1)
    )
    edges = np.linspace(0, 1, len(found.count) + 1)
    right.bar(edges[:-1], found.count, width=np.diff(edges), align="edge", color="#9db7e4")
    right.set(xlabel="score", ylabel="keypoints", xlim=(0, 1))
    for axis in (left, right):
        axis.grid(alpha=0.3)
    kind_of_score = (
        "Scores are calibrated."
        if evaluation.calibrated[kind]
        else "The model holds no calibration: its scores are heights of heatmap peaks. "
        "<code>python -m hourglass.calibrate</code> would store one."
    )
    return (
        f"<p>{kind_of_score} Expected calibration error <b>{found.error:.3f}</b> over "
        f"{int(found.count.sum())} labelled keypoints.</p>{_svg(figure)}"
    )


def _people(evaluation: Evaluation, kind: str) -> list[str]:
    """Sections of the best, median and worst people, by mean distance of their labelled joints."""
    labels, measure = evaluation.labels, evaluation.measure
    known, most = evaluation.counted, CAPPED * measure.right
    counts = known.sum(axis=1)
    capped = np.where(known, np.minimum(evaluation.distances(kind), most), 0.0)
    errors = capped.sum(axis=1) / np.maximum(counts, 1)
    order = [int(place) for place in np.argsort(errors, kind="stable") if counts[place]]
    middle = max(0, (len(order) - PEOPLE) // 2)
    groups = {
        "Best people": order[:PEOPLE],
        "Median people": order[middle : middle + PEOPLE],
        "Worst people": order[::-1][:PEOPLE],
    }
    chosen = sorted({place for places in groups.values() for place in places})
    pictures = dict(zip(chosen, load_pictures(evaluation.data, chosen), strict=True))
    right = evaluation.right(kind) & known
    sections = []
    for title, places in groups.items():
        figures = []
        for place in places:
            image = _pair(evaluation, kind, place, pictures[place])
            name = escape(labels.filename[place])
            figures.append(
                f'<figure><img alt="{name}: labels and prediction" src="{_data_url(image)}">'
                f"<figcaption>{name}: {right[place].sum()} of {counts[place]} joints found, mean "
                f"error {errors[place]:.2f} {measure.unit}</figcaption></figure>"
            )
        content = f'<div class="people">{"".join(figures)}</div>'
        note = (
            f"<p>Labels left, predictions right. Distances count up to {most:g} {measure.unit}.</p>"
        )
        sections.append(_section(title, note + content))
    return sections


def _pair(evaluation: Evaluation, kind: str, place: int, picture: np.ndarray) -> np.ndarray:
    """A person's crop twice: with labels, and with predictions."""
    labels, keypoints = evaluation.labels, evaluation.keypoints[kind]
    poses = [
        (labels.points[place], labels.labelled[place]),
        (keypoints.points[place], keypoints.scores[place]),
    ]
    panels = crop_panels(
        picture,
        poses,
        center=labels.center[place],
        scale=labels.scale[place],
        skeleton=labels.skeleton,
    )
    return np.hstack(panels)


def _svg(figure: Figure) -> str:
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()[out.getvalue().index("<svg") :]


def _data_url(image: np.ndarray) -> str:
    out = io.BytesIO()
    Image.fromarray(image).save(out, "JPEG", quality=PANEL_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"
