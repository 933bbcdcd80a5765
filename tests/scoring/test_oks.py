"""COCO's protocol: pycocotools' own numbers, and similarities by hand."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from pycocotools import coco
from pycocotools.cocoeval import COCOeval

from hourglass.core.person import IgnoredArea
from hourglass.core.skeleton import COCO, MPII
from hourglass.scoring.oks import (
    BODY_SHARE,
    MEASURES,
    Found,
    Labels,
    are_measured,
    average_precision,
    found_as,
    labels_of,
    picture_names,
    similarities,
)

FIXED = Path(__file__).parent / "coco"
"""Made-up labels and results of 12 pictures: crowds, people without keypoints, one picture with 24
people, one with nobody."""

GOLDEN = {
    "AP": 32.50773061195144,
    "AP50": 53.93409786322761,
    "AP75": 33.23308429744073,
    "APm": 54.912922061436916,
    "APl": 27.34670164206227,
    "AR": 52.14285714285714,
    "AR50": 71.42857142857143,
    "AR75": 53.57142857142857,
    "ARm": 65.71428571428571,
    "ARl": 50.55555555555556,
}
"""pycocotools 2.0.11's for `FIXED`, percent."""


def fixed() -> tuple[Found, Labels]:
    labels = json.loads((FIXED / "labels.json").read_text("utf-8"))["annotations"]
    results = json.loads((FIXED / "results.json").read_text("utf-8"))

    def column(entries: list[dict[str, Any]], field: str) -> np.ndarray:
        return np.array([entry[field] for entry in entries], float)

    there = column(labels, "keypoints").reshape(-1, 17, 3)
    seen = column(results, "keypoints").reshape(-1, 17, 3)
    return (
        Found(
            [str(entry["image_id"]) for entry in results], seen[..., :2], column(results, "score")
        ),
        Labels(
            [str(entry["image_id"]) for entry in labels],
            there[..., :2],
            there[..., 2] > 0,
            column(labels, "area"),
            boxes=column(labels, "bbox"),
            crowd=column(labels, "iscrowd").astype(bool),
        ),
    )


def people(count: int, *, side: float = 100.0) -> Labels:
    """People in a picture each, all joints labelled in a square of that side."""
    points = np.random.default_rng(0).uniform(0, side, (count, 17, 2))
    pictures = [f"{number}.jpg" for number in range(count)]
    return Labels(pictures, points, np.ones((count, 17), bool), np.full(count, side**2))


def found_exactly(labels: Labels) -> Found:
    return Found(labels.pictures, labels.points, np.linspace(1, 0.5, len(labels.pictures)))


def test_the_numbers_are_pycocotools_own():
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco.COCO(str(FIXED / "labels.json"))
        evaluation = COCOeval(truth, truth.loadRes(str(FIXED / "results.json")), "keypoints")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    found, labels = fixed()
    ours = average_precision(found, labels, sigmas=COCO.oks_sigmas)
    assert list(ours) == list(MEASURES)
    np.testing.assert_allclose(list(ours.values()), 100 * evaluation.stats, rtol=1e-12)


def test_the_fixed_file_has_its_golden_numbers(capsys: pytest.CaptureFixture[str]):
    found, labels = fixed()
    ours = average_precision(found, labels, sigmas=COCO.oks_sigmas)
    assert ours == pytest.approx(GOLDEN)
    assert capsys.readouterr().out == ""


def test_wider_sigmas_forgive_more():
    found, labels = fixed()
    assert average_precision(found, labels, sigmas=np.full(17, 0.2))["AP"] > GOLDEN["AP"]


def test_the_labels_themselves_get_100():
    labels = people(3)
    scores = average_precision(found_exactly(labels), labels, sigmas=COCO.oks_sigmas)
    assert {name: value for name, value in scores.items() if name not in ("APm", "ARm")} == {
        name: pytest.approx(100) for name in MEASURES if name not in ("APm", "ARm")
    }
    assert np.isnan([scores["APm"], scores["ARm"]]).all()


def test_the_first_person_counts_as_any_other():
    # pycocotools takes a person numbered 0 for nobody, and misses them.
    labels = people(1)
    assert average_precision(found_exactly(labels), labels, sigmas=COCO.oks_sigmas)["AR"] == 100


def test_somebody_who_is_not_there_lowers_precision_alone():
    labels = people(2)
    found = found_exactly(labels)
    more = Found(
        [*found.pictures, "empty.jpg"],
        np.concatenate([found.points, found.points[:1]]),
        np.array([1.0, 0.5, 0.9]),
    )
    scores = average_precision(more, labels, sigmas=COCO.oks_sigmas)
    assert scores["AR"] == 100
    assert 80 < scores["AP"] < 90


def test_nobody_found_is_0_and_nobody_there_is_no_number():
    labels = people(2)
    nobody = Found([], np.zeros((0, 17, 2)), np.zeros(0))
    assert average_precision(nobody, labels, sigmas=COCO.oks_sigmas)["AP"] == 0
    empty = Labels([], np.zeros((0, 17, 2)), np.zeros((0, 17), bool), np.zeros(0))
    assert np.isnan(average_precision(nobody, empty, sigmas=COCO.oks_sigmas)["AP"])


def test_any_number_of_joints_is_scored():
    rng = np.random.default_rng(1)
    for joints in (1, 4, 200):
        points = rng.uniform(0, 50, (2, joints, 2))
        labels = Labels(["a", "a"], points, np.ones((2, joints), bool), np.full(2, 5000.0))
        found = Found(["a", "a"], points[::-1], np.array([0.9, 0.8]))
        assert average_precision(found, labels, sigmas=np.full(joints, 0.1))["AP"] > 99


def test_a_person_without_label_is_neither_missed_nor_wrongly_found():
    labels = people(2)
    labels.labelled[1] = False
    found = found_exactly(labels)
    assert average_precision(found, labels, sigmas=COCO.oks_sigmas)["AP"] == pytest.approx(100)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"areas": np.zeros(2)}, r"areas: person 0 of picture 0.jpg has 0.0 px², it must be above"),
        ({"areas": np.array([1, np.nan])}, r"areas: person 1 of picture 1.jpg has nan px²"),
        ({"labelled": np.ones((2, 16))}, r"labelled: shape is \(2, 16\), it must be \(2, 17\)"),
        ({"boxes": np.ones((2, 2))}, r"boxes: shape is \(2, 2\), it must be \(2, 4\)"),
        ({"points": np.ones((2, 14, 2))}, r"labels' points: shape is \(2, 14, 2\)"),
    ],
)
def test_labels_that_do_not_fit_are_named(changes: dict[str, np.ndarray], message: str):
    labels = people(2)
    found = found_exactly(labels)
    with pytest.raises(ValueError, match=message):
        average_precision(found, Labels(**{**vars(labels), **changes}), sigmas=COCO.oks_sigmas)


def test_a_score_that_is_no_number_is_refused():
    labels = people(2)
    found = Found(labels.pictures, labels.points, np.array([1, np.nan]))
    with pytest.raises(ValueError, match="scores: every one must be a finite number"):
        average_precision(found, labels, sigmas=COCO.oks_sigmas)


def test_a_similarity_by_hand():
    # One joint exact, one 2 · sigma · sqrt(area) away (e^-0.5), one not labelled.
    actual = np.zeros((1, 3, 2))
    points = np.array([[[0, 0], [12, 16], [500, 500]]], float)
    alike = similarities(
        points,
        actual,
        labelled=np.array([[True, True, False]]),
        areas=np.array([10000.0]),
        sigmas=np.full(3, 0.1),
    )
    np.testing.assert_allclose(alike, [[(1 + np.exp(-0.5)) / 2]])


def test_similarities_are_pycocotools_own():
    found, labels = fixed()
    picture = "49"
    seen = [place for place, name in enumerate(found.pictures) if name == picture]
    there = [
        place
        for place, name in enumerate(labels.pictures)
        if name == picture and labels.labelled[place].any()
    ]
    assert len(seen) > 1
    assert len(there) > 1
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco.COCO(str(FIXED / "labels.json"))
        evaluation = COCOeval(truth, truth.loadRes(str(FIXED / "results.json")), "keypoints")
        evaluation.evaluate()
    theirs = evaluation.ious[int(picture), 1]
    ours = similarities(
        found.points[seen],
        labels.points[there],
        labelled=labels.labelled[there],
        areas=labels.areas[there],
        sigmas=COCO.oks_sigmas,
    )
    order = np.argsort(-found.scores[seen], kind="mergesort")
    everyone = [place for place, name in enumerate(labels.pictures) if name == picture]
    np.testing.assert_allclose(theirs[:, [everyone.index(place) for place in there]], ours[order])


def test_people_are_found_as_the_most_similar_ones_together():
    labels = people(4)
    pictures = ["a", "a", "b", "c"]
    labels = Labels(pictures, labels.points, labels.labelled, labels.areas)
    # In a: both lie nearest to person 1, and the one nearer to person 0 gets person 0.
    between = labels.points[1] + 0.1 * (labels.points[0] - labels.points[1])
    points = np.stack([between, labels.points[1], labels.points[2], labels.points[0]])
    found = Found(["a", "a", "b", "d"], points, np.ones(4))
    places = found_as(found, labels, sigmas=COCO.oks_sigmas)
    assert places.tolist() == [0, 1, 2, -1]


def test_somebody_far_away_is_nobody():
    labels = people(1)
    found = Found(labels.pictures, labels.points + 1e6, np.ones(1))
    assert found_as(found, labels, sigmas=COCO.oks_sigmas).tolist() == [-1]


def shard_people(**changes: Any) -> Any:
    """Three people as shards hold them: with area and box, with a box, with neither."""
    fields = {
        "points": np.zeros((3, 16, 2), np.float32),
        "labelled": np.ones((3, 16), bool),
        "scale": np.array([1, 1, 0.5], np.float32),
        "box": np.array([[0, 0, 10, 20], [5, 5, 30, 40], [0, 0, 100, 100]], np.float32),
        "area": np.array([77, np.nan, np.nan], np.float32),
        "source": ("one", "one", "two"),
        "filename": ("a.jpg", "a.jpg", "a.jpg"),
        "skeleton": MPII,
    }
    return SimpleNamespace(**{**fields, **changes})


def test_areas_are_the_labels_or_a_share_of_the_box():
    labels = labels_of(shard_people())
    np.testing.assert_allclose(labels.areas, [77, BODY_SHARE * 1200, BODY_SHARE * 100**2])
    assert not labels.crowd.any()


def test_areas_in_which_nobody_counts_come_after_the_people():
    areas = [
        IgnoredArea("b.jpg", (1, 2, 30, 40), 9.5, True),
        IgnoredArea("b.jpg", (0, 0, 10, 10), None, False),
    ]
    labels = labels_of(shard_people(), areas)
    assert labels.pictures[2:] == ["two/a.jpg", "/b.jpg", "/b.jpg"]
    np.testing.assert_array_equal(labels.crowd, [False, False, False, True, False])
    np.testing.assert_allclose(labels.areas[3:], [9.5, BODY_SHARE * 100])
    np.testing.assert_allclose(labels.boxes[3], [1, 2, 30, 40])
    assert not labels.labelled[3:].any()


def test_labels_are_measured_where_one_has_an_area_or_a_box():
    square, nan = np.full((3, 4), 50.0), np.full(3, np.nan)
    assert are_measured(shard_people())
    assert are_measured(shard_people(box=square))
    assert are_measured(shard_people(area=nan))
    assert not are_measured(shard_people(box=square, area=nan))


def test_pictures_of_one_name_from_two_sources_are_two():
    assert picture_names(shard_people()) == ["one/a.jpg", "one/a.jpg", "two/a.jpg"]
