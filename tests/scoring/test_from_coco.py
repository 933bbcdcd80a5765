"""A COCO file becomes shards, and what the shards say of its people scores 100."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hourglass.core.skeleton import COCO
from hourglass.data.building.build import build
from hourglass.data.people import People, load_people
from hourglass.data.shards import find_ignored, find_shards
from hourglass.scoring.oks import Found, average_precision, labels_of, picture_names
from hourglass.scoring.pck import table_of_scores

FIXED = Path(__file__).parent / "coco" / "labels.json"

MOST_IN_A_PICTURE = 20
"""COCO's protocol counts no more."""


@pytest.fixture(scope="module")
def content() -> dict:
    """The fixed labels, as COCO's files name their joints; of a picture, as many as count."""
    content = json.loads(FIXED.read_text("utf-8"))
    counts: Counter[int] = Counter()
    kept = []
    for entry in content["annotations"]:
        counts[entry["image_id"]] += 1
        if counts[entry["image_id"]] <= MOST_IN_A_PICTURE:
            kept.append(entry)
    content["annotations"] = kept
    content["categories"] = [{"id": 1, "name": "person", "keypoints": list(COCO.joints)}]
    return content


@pytest.fixture(scope="module")
def shards(content: dict, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of shards made from that file."""
    folder = tmp_path_factory.mktemp("coco")
    for image in content["images"]:
        Image.new("RGB", (image["width"], image["height"])).save(folder / image["file_name"])
    (folder / "labels.json").write_text(json.dumps(content))
    build(
        folder / "labels.json",
        folder,
        output=folder / "shards",
        val_share=0.4,
        train_shards=1,
        val_shards=1,
        workers=1,
    )
    return folder / "shards"


@pytest.fixture(scope="module")
def splits(shards: Path) -> list[People]:
    """The people of both splits."""
    return [load_people(f"{shards}/{split}*") for split in ("train", "validation")]


def test_the_labels_themselves_score_100(splits: list[People]):
    for people in splits:
        assert people.skeleton.joints == COCO.joints
        count = len(people)
        found = Found(picture_names(people), people.points, np.linspace(1, 0.5, count))
        labels = labels_of(people)
        scores = average_precision(found, labels, sigmas=people.skeleton.oks_sigmas)
        assert (scores["AP"], scores["AR"]) == (pytest.approx(100), pytest.approx(100))
        for column, score in table_of_scores(people.points, people).items():
            assert score.pooled == 100, column
    assert min(len(people) for people in splits) > 5


def test_areas_and_sigmas_are_the_files(content: dict, splits: list[People]):
    areas = {
        entry["area"]
        for entry in content["annotations"]
        if entry["num_keypoints"] and not entry["iscrowd"]
    }
    found = np.concatenate([labels_of(people).areas for people in splits])
    np.testing.assert_allclose(sorted(found), sorted(areas), rtol=1e-6)
    for people in splits:
        np.testing.assert_allclose(people.skeleton.oks_sigmas, COCO.oks_sigmas)


def test_who_is_found_in_areas_to_ignore_does_not_count(
    content: dict, shards: Path, splits: list[People]
):
    people, ignored = splits[1], find_ignored(find_shards(f"{shards}/validation*"))
    names = {image["id"]: image["file_name"] for image in content["images"]}
    expected = [
        (names[entry["image_id"]], tuple(entry["bbox"]), bool(entry["iscrowd"]))
        for entry in content["annotations"]
        if names[entry["image_id"]] in people.filename
        and (entry["iscrowd"] or not entry["num_keypoints"])
    ]
    there = [(area.filename, area.box, area.crowd) for area in ignored]
    assert sorted(there) == sorted(expected)
    assert {area.crowd for area in ignored} == {False, True}
    # Everybody and, surer, two people in a crowd and one who has no labelled keypoint.
    crowd, other = (next(area for area in ignored if area.crowd == kind) for kind in (True, False))
    areas = [crowd, crowd, other]
    points = [
        np.full((1, 17, 2), np.array(area.box[:2]) + np.array(area.box[2:]) * share)
        for area, share in zip(areas, (0.3, 0.7, 0.5), strict=True)
    ]
    pictures = [f"/{area.filename}" for area in areas]
    found = Found(
        [*pictures, *picture_names(people)],
        np.concatenate([*points, people.points]),
        np.linspace(1, 0.5, len(pictures) + len(people)),
    )
    sigmas = people.skeleton.oks_sigmas
    scores = average_precision(found, labels_of(people, ignored), sigmas=sigmas)
    assert scores["AP"] == pytest.approx(100)
    assert average_precision(found, labels_of(people), sigmas=sigmas)["AP"] < 95
