"""The page about a model: whole in one file, and right about every number and person."""

from __future__ import annotations

import base64
import dataclasses
import html
import io
import re
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from hourglass.core.calibration import FLIP_TEST, PLAIN, Calibration
from hourglass.core.geometry import crop_matrix, warp
from hourglass.core.skeleton import MPII
from hourglass.data.people import People, load_people
from hourglass.evaluate import main
from hourglass.media.panels import PANEL
from hourglass.modelfiles.runtimes import Runtime
from hourglass.scoring.diagnosis import KINDS
from hourglass.scoring.evaluation import Evaluation, Keypoints
from hourglass.scoring.pck import HEAD_SIZE_PER_SCALE, table_of_scores
from hourglass.scoring.pictures import load_pictures
from hourglass.scoring.report import write_report
from hourglass.scoring.tables import format_table

GROUPS = dict(MPII.groups)
COLUMNS = ("PCKh@0.5", "PCKh@0.1", "PCK@0.2")

ELSEWHERE = (500.0, 500.0)
"""A place far from every joint of a dotted person."""

STEP = 0.09
"""By how much one person is found worse than another, head sizes."""

VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """What a reader finds on a page.

    Attributes:
        attributes: All of them, as (tag, name, value).
        sections: By title: everything that is written there.
        tables: By title of their section: the cells' texts, row by row.
        figures: By title of their section: (source, caption) of each picture.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.attributes: list[tuple[str, str, str]] = []
        self.sections: dict[str, str] = {}
        self.tables: dict[str, list[list[str]]] = {}
        self.figures: dict[str, list[tuple[str, str]]] = {}
        self._open: list[str] = []
        self._title, self._source = "", ""
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag in VOID:
            self._source = dict(attrs).get("src") or ""
            return
        self._open.append(tag)
        if tag == "h2":
            self._title = ""
        elif tag == "table":
            self.tables[self._title] = []
        elif tag == "tr":
            self.tables[self._title].append([])
        elif tag in ("th", "td"):
            self.tables[self._title][-1].append("")
        elif tag == "figcaption":
            self.figures[self._title].append((self._source, ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        if tag == "h2":
            self.sections[self._title] = ""
            self.figures[self._title] = []

    def handle_data(self, data: str) -> None:
        if "h2" in self._open:
            self._title += data
        elif "section" in self._open:
            self.sections[self._title] += data
        if "figcaption" in self._open:
            source, caption = self.figures[self._title][-1]
            self.figures[self._title][-1] = (source, caption + data)
        if self._open and self._open[-1] in ("th", "td"):
            self.tables[self._title][-1][-1] += data


def make_evaluation(
    data: str,
    points: dict[str, np.ndarray],
    *,
    scores: np.ndarray | None = None,
    calibrated: bool = False,
    labels: People | None = None,
) -> Evaluation:
    """What an evaluation that found these points (N, 16, 2) for each way would have been."""
    people = labels or load_people(data)
    if scores is None:
        scores = people.labelled.astype(np.float32)
    return Evaluation(
        model="models/dots/best.keras",
        data=data,
        labels=people,
        keypoints={kind: Keypoints(found, scores) for kind, found in points.items()},
        calibrated=dict.fromkeys(points, calibrated),
        scores={kind: table_of_scores(found, people) for kind, found in points.items()},
    )


@pytest.fixture(scope="module")
def data(shards: Path) -> str:
    return f"{shards}/validation*"


@pytest.fixture(scope="module")
def people(data: str) -> People:
    return load_people(data)


@pytest.fixture
def page_of(tmp_path: Path) -> Callable[[Evaluation], Page]:
    def write(evaluation: Evaluation) -> Page:
        path = write_report(evaluation, tmp_path / "report")
        assert path == tmp_path / "report" / "report.html"
        assert list(path.parent.iterdir()) == [path]
        return Page(path.read_text(encoding="utf-8"))

    return write


@pytest.fixture(scope="module")
def ranked(data: str, people: People) -> tuple[Evaluation, list[int]]:
    """An evaluation, and its nine people from best to worst by the flip test: all joints of the
    best are 0 head sizes off, and of every other one `STEP` more than of the one before."""
    order = np.random.default_rng(3).permutation(len(people)).tolist()
    points = people.points.copy()
    for rank, place in enumerate(order):
        points[place, :, 0] += STEP * rank * HEAD_SIZE_PER_SCALE * people.scale[place]
    return make_evaluation(data, {PLAIN: people.points + 3, FLIP_TEST: points}), order


@pytest.fixture(scope="module")
def ranked_page(
    ranked: tuple[Evaluation, list[int]], tmp_path_factory: pytest.TempPathFactory
) -> Page:
    return Page(write_report(ranked[0], tmp_path_factory.mktemp("ranked")).read_text("utf-8"))


# One file.


def test_everything_is_inside_the_page(ranked_page: Page):
    names = {"src", "href", "xlink:href", "srcset", "data", "poster", "action", "background"}
    sources = [value for _, name, value in ranked_page.attributes if name in names]
    assert len(sources) > 18
    assert all(source.startswith(("data:image/jpeg;base64,", "#")) for source in sources)
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)", ranked_page.text))
    for forbidden in ("@import", "<script", "<link", "<iframe", "<object", "<embed"):
        assert forbidden not in ranked_page.text
    # Addresses are names of vocabularies, or a drawing's note of what drew it; nothing is fetched.
    for tag, name, value in ranked_page.attributes:
        if re.search(r"https?:|//", value) and not value.startswith("data:"):
            assert name.startswith("xmlns") or tag.startswith(("cc:", "dc:")), (tag, name, value)


def test_the_page_is_html_with_two_drawings(ranked_page: Page):
    text = ranked_page.text
    assert text.startswith("<!doctype html>")
    assert '<meta charset="utf-8">' in text
    drawings = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(drawings) == 2
    for drawing in drawings:
        assert ET.fromstring(drawing).tag == "{http://www.w3.org/2000/svg}svg"
    assert "<svg" in text[text.index("Error curves") : text.index("Kinds of error</h2>")]
    assert list(ranked_page.sections) == [
        "Scores",
        "Error curves",
        "Kinds of error",
        "What scores mean",
        "Best people",
        "Median people",
        "Worst people",
    ]


def test_curves_rise_to_the_tables_numbers(
    ranked: tuple[Evaluation, list[int]], ranked_page: Page, people: People
):
    drawing = re.findall(r"<svg.*?</svg>", ranked_page.text, re.DOTALL)[0]
    for name in (*GROUPS, "all, pooled"):
        assert f"<!-- {name} -->" in drawing
    frame = re.search(r'id="patch_2">\s*<path d="([^"]*)"', drawing)
    line = re.search(r'<path d="([^"]*)"[^>]*stroke: #000000; stroke-width: 2.2', drawing)
    ends = [
        [float(y) for y in re.findall(r"[ML] [\d.]+ ([\d.]+)", path[1])] for path in (frame, line)
    ]
    bottom, top = max(ends[0]), min(ends[0])
    shares = 100 * (bottom - np.array(ends[1])) / (bottom - top)
    kept = [joint for joint in range(16) if MPII.joints[joint] not in ("pelvis", "thorax")]
    labelled = people.labelled[:, kept].sum(axis=1)
    best = ranked[1][0]
    assert shares[0] == pytest.approx(100 * labelled[best] / labelled.sum(), abs=0.01)
    assert shares[-1] == pytest.approx(ranked[0].scores[FLIP_TEST]["PCKh@0.5"].pooled, abs=0.01)
    assert (np.diff(shares) >= 0).all()


def test_the_page_says_what_it_is_about(ranked_page: Page, data: str):
    head = html.unescape(re.sub("<[^>]*>", "", ranked_page.text.partition("<h1>")[2]))
    assert head.startswith("dots/best.keras")
    assert f"9 people of {data}, model models/dots/best.keras." in head
    assert "<title>dots/best.keras</title>" in ranked_page.text


# Numbers.


def test_the_table_is_the_commands_own(ranked: tuple[Evaluation, list[int]], ranked_page: Page):
    head, *rows = ranked_page.tables["Scores"]
    assert head == ["", *COLUMNS, *(f"{column}, flip test" for column in COLUMNS)]
    _, *lines = format_table(ranked[0]).splitlines()
    assert [row[0] for row in rows] == [line[:14].strip() for line in lines]
    assert [row[0] for row in rows] == [*GROUPS, "Mean, pooled", "Mean of joints"]
    numbers = np.array([[float(cell) for cell in row[1:]] for row in rows])
    expected = np.array([[float(cell) for cell in line[14:].split()] for line in lines])
    np.testing.assert_allclose(numbers, expected, atol=0.0551)
    assert np.unique(expected).size > 10


def test_a_joint_that_nobody_has_labelled_has_no_number(
    data: str, people: People, page_of: Callable[[Evaluation], Page]
):
    visibility = people.visibility * (np.arange(16) != MPII.index("head_top"))
    labels = dataclasses.replace(people, visibility=visibility)
    page = page_of(make_evaluation(data, {PLAIN: people.points}, labels=labels))
    rows = {row[0]: row[1:] for row in page.tables["Scores"]}
    assert rows["Head"] == ["nan"] * 3
    assert rows["Mean, pooled"] == ["100.0"] * 3


def test_every_kind_of_error_is_counted(
    data: str, people: People, page_of: Callable[[Evaluation], Page]
):
    right, left, knee, pelvis = (
        MPII.index(name) for name in ("right_wrist", "left_wrist", "right_knee", "pelvis")
    )
    # Another number of each: 1 swapped, 2 at a knee, 3 near and 1 far; and of no group, a pelvis.
    able = np.flatnonzero(people.labelled[:, [right, left, knee]].all(axis=1)).tolist()
    assert len(able) >= 4
    points = people.points.copy()
    near = 0.75 * HEAD_SIZE_PER_SCALE * people.scale
    points[able[0], right] = people.points[able[0], left]
    points[able[0], left] += (0, near[able[0]])
    for place in able[1:3]:
        points[place, right] = people.points[place, knee]
        points[place, left] -= (0, near[place])
    points[able[3], right] = ELSEWHERE
    points[:, pelvis] = ELSEWHERE
    page = page_of(make_evaluation(data, {PLAIN: points}))
    head, *rows = page.tables["Kinds of error"]
    assert head == ["", *KINDS, ""]
    assert [row[0] for row in rows] == [*GROUPS, "All, pooled"]
    table = {row[0]: row[1 : 1 + len(KINDS)] for row in rows}
    wrongs = np.array([1, 2, 3, 1])
    kept = [joint for joint in range(16) if MPII.joints[joint] not in ("pelvis", "thorax")]
    for title, joints in (("Wrist", [right, left]), ("All, pooled", kept)):
        count = people.labelled[:, joints].sum()
        shares = 100 * np.array([count - wrongs.sum(), *wrongs]) / count
        assert table[title] == [f"{share:.1f}" for share in shares]
    assert table["Elbow"] == ["100.0", "0.0", "0.0", "0.0", "0.0"]
    scores = {row[0]: row[1] for row in page.tables["Scores"]}
    assert table["All, pooled"][0] == scores["Mean, pooled"]
    bars = re.findall(r'width:([\d.]+)%;[^"]*" title="([^"]*)"', page.text)
    for (width, title), name, cell in zip(bars[-5:], KINDS, table["All, pooled"], strict=True):
        assert title == f"{name}: {cell} %"
        assert float(width) == pytest.approx(float(cell), abs=0.0551)
    assert len(bars) == sum(cell not in ("0.0", "nan") for row in table.values() for cell in row)


@pytest.mark.parametrize("calibrated", [False, True])
def test_the_page_says_what_scores_are(
    data: str, people: People, page_of: Callable[[Evaluation], Page], calibrated: bool
):
    scores = np.full(people.labelled.shape, 0.75, np.float32)
    points = people.points.copy()
    points[:3] = ELSEWHERE
    evaluation = make_evaluation(data, {PLAIN: points}, scores=scores, calibrated=calibrated)
    told = page_of(evaluation).sections["What scores mean"]
    assert ("Scores are calibrated." in told) == calibrated
    assert ("The model holds no calibration" in told) == (not calibrated)
    count = people.labelled.sum()
    error = abs(0.75 - people.labelled[3:].sum() / count)
    assert f"Expected calibration error {error:.3f} over {count} labelled keypoints." in told


def test_the_flip_test_is_shown_where_there_is_one(
    ranked_page: Page, data: str, people: People, page_of: Callable[[Evaluation], Page]
):
    assert "those of the network run with flip test." in ranked_page.text
    plain = page_of(make_evaluation(data, {PLAIN: people.points}))
    assert "those of the network run without flip test." in plain.text
    assert plain.tables["Scores"][0] == ["", *COLUMNS]


# People.


def captions(page: Page, title: str) -> list[str]:
    return [caption for _, caption in page.figures[title]]


def test_best_median_and_worst_people_are_shown(
    ranked: tuple[Evaluation, list[int]], ranked_page: Page, people: People
):
    order = ranked[1]
    counts = people.labelled.sum(axis=1)
    expected = {
        place: f"{people.filename[place]}: {counts[place] if STEP * rank < 0.5 else 0} of "
        f"{counts[place]} joints found, mean error {STEP * rank:.2f} head sizes"
        for rank, place in enumerate(order)
    }
    for title, places in (
        ("Best people", order[:6]),
        ("Median people", order[1:7]),
        ("Worst people", order[:2:-1]),
    ):
        assert captions(ranked_page, title) == [expected[place] for place in places], title


def test_one_lost_joint_counts_no_more_than_two_heads(
    data: str, people: People, page_of: Callable[[Evaluation], Page]
):
    points = people.points.copy()
    for place, distance in ((2, 1e6), (5, 0.3)):
        joint = np.flatnonzero(people.labelled[place])[0]
        points[place, joint] += (distance, 0)
    first = page_of(make_evaluation(data, {PLAIN: points})).figures["Worst people"][0][1]
    count = people.labelled[2].sum()
    assert first == (
        f"{people.filename[2]}: {count - 1} of {count} joints found, mean error {2 / count:.2f} "
        "head sizes"
    )


def test_people_without_labels_are_not_shown(
    data: str, people: People, page_of: Callable[[Evaluation], Page]
):
    visibility = people.visibility * (np.arange(len(people)) < 4)[:, None]
    labels = dataclasses.replace(people, visibility=visibility)
    page = page_of(make_evaluation(data, {PLAIN: people.points}, labels=labels))
    for title in ("Best people", "Median people", "Worst people"):
        names = [caption.partition(":")[0] for caption in captions(page, title)]
        assert sorted(names) == sorted(people.filename[:4]), title


def picture_in(source: str) -> np.ndarray:
    head, _, content = source.partition(",")
    assert head == "data:image/jpeg;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content)))).astype(int)


def test_labels_are_drawn_left_and_predictions_right(
    data: str, people: People, page_of: Callable[[Evaluation], Page]
):
    points = people.points.copy()
    points[0, :, 0] += 0.2 * HEAD_SIZE_PER_SCALE * people.scale[0]
    scores = people.labelled.astype(np.float32)
    scores[0] = 0
    page = page_of(make_evaluation(data, {PLAIN: points}, scores=scores))
    (source,) = (one for one, caption in page.figures["Worst people"][:1])
    image = picture_in(source)
    assert image.shape == (PANEL, 2 * PANEL, 3)
    (picture,) = load_pictures(data, [0])
    crop = warp(picture, crop_matrix(people.center[0], people.scale[0], size=PANEL), size=PANEL)
    left, right = (abs(half - crop).mean() for half in (image[:, :PANEL], image[:, PANEL:]))
    # Nothing is drawn of keypoints whose score is 0, and a JPEG changes little.
    assert right < 4
    assert left > 2 * right
    best = picture_in(page.figures["Best people"][0][0])
    assert abs(best[:, :PANEL] - best[:, PANEL:]).mean() < 4


# Names.


def test_names_are_text_and_not_markup(
    shards: Path, tmp_path: Path, people: People, page_of: Callable[[Evaluation], Page]
):
    folder = tmp_path / "<i>&co"
    shutil.copytree(shards, folder)
    names = tuple(f"<b>\"quoted' & {number}</b>.jpg" for number in range(len(people)))
    labels = dataclasses.replace(people, filename=names)
    evaluation = make_evaluation(f"{folder}/validation*", {PLAIN: people.points}, labels=labels)
    model = "models/<u>run & co/</title>.keras"
    page = page_of(dataclasses.replace(evaluation, model=model))
    assert not {"i", "u"} & set(re.findall(r"<(\w+)", page.text.partition("<section>")[0]))
    for text in (folder.name, names[0], "<u>run & co"):
        assert text not in page.text
        assert html.escape(text) in page.text
    for title in ("Best people", "Median people", "Worst people"):
        assert {caption.partition(": ")[0] for caption in captions(page, title)} <= set(names)
    alts = [value for tag, name, value in page.attributes if (tag, name) == ("img", "alt")]
    assert set(alts) <= {f"{name}: labels and prediction" for name in names}
    assert len(alts) == 18


# Where it goes.


def test_folders_are_made_and_an_older_page_is_replaced(data: str, people: People, tmp_path: Path):
    evaluation = make_evaluation(data, {PLAIN: people.points})
    folder = tmp_path / "some" / "where"
    path = write_report(evaluation, folder)
    path.write_text("an older page")
    assert write_report(evaluation, folder) == path == folder / "report.html"
    assert path.read_text("utf-8").endswith("</html>\n")


@pytest.mark.parametrize("where", ["file", "file/folder"])
def test_a_folder_that_cannot_be_made_is_named(
    data: str, people: People, tmp_path: Path, where: str
):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(ValueError, match=rf"^{tmp_path}/{where}: cannot be written \("):
        write_report(make_evaluation(data, {PLAIN: people.points}), tmp_path / where)
    assert (tmp_path / "file").read_text() == "kept"


def test_a_page_that_cannot_be_written_is_named(data: str, people: People, tmp_path: Path):
    (tmp_path / "report.html").mkdir()
    with pytest.raises(ValueError, match=rf"^{tmp_path}/report\.html: cannot be written \("):
        write_report(make_evaluation(data, {PLAIN: people.points}), tmp_path)


# The command.


@pytest.fixture
def small_finder(monkeypatch: pytest.MonkeyPatch, dot_finder: Runtime) -> Runtime:
    """Every `.keras` file is this calibrated runtime, made for small crops."""
    finder = type(dot_finder)(input_size=64)
    line = (np.array([0.0, 1.0]),) * 16
    finder.calibrations = {kind: Calibration(line, line) for kind in (PLAIN, FLIP_TEST)}
    monkeypatch.setattr("hourglass.modelfiles.runtimes.KerasRuntime", lambda path: finder)
    return finder


@pytest.mark.usefixtures("small_finder")
def test_evaluate_writes_the_page_of_what_it_prints(data: str, tmp_path: Path):
    arguments = ["--data", data, "--model", "runs/dots.keras", "--flip-test"]
    result = CliRunner().invoke(main, [*arguments, "--report", str(tmp_path / "new")])
    assert result.exit_code == 0, result.output
    *_, last = lines = result.stdout.splitlines()
    path = tmp_path / "new" / "report.html"
    assert last == f"report in {path}"
    page = Page(path.read_text("utf-8"))
    rows = page.tables["Scores"][1:]
    for row, line in zip(rows, lines[1:], strict=False):
        assert row[0] == line[:14].strip()
        numbers, expected = ([float(one) for one in part] for part in (row[1:], line[14:].split()))
        np.testing.assert_allclose(numbers, expected, atol=0.0551)
    assert "Scores are calibrated." in page.text
    assert "<h1>runs/dots.keras</h1>" in page.text
    assert "with flip test" in page.text


@pytest.mark.usefixtures("small_finder")
def test_a_folder_that_cannot_be_made_is_told_in_a_line(
    data: str, tmp_path: Path, error_of: Callable[..., str]
):
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "report"
    line = error_of(main, "--data", data, "--model", "dots.keras", "--report", folder)
    assert line == f"{folder}: cannot be written (Not a directory)"
