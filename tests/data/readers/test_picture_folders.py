"""Pictures are found beside their labels, and in folders of that place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hourglass.core.person import IgnoredArea
from hourglass.core.skeleton import Skeleton
from hourglass.core.storage import Url
from hourglass.data.readers.label_set import Labels, make_person
from hourglass.data.readers.picture_folders import find_images, with_folders

SKELETON = Skeleton.of_names("two", ("a", "b"))


def make_labels(**splits: list[str]) -> Labels:
    """A person in each of a split's pictures."""
    points, visibility = np.array([[0, 0], [9, 4]]), np.array([2, 1])
    people = {
        split: [make_person(name, points, visibility, box=None) for name in names]
        for split, names in splits.items()
    }
    return Labels(SKELETON, people)


LABELS = make_labels(train=["0.jpg", "1.jpg"], validation=["2.jpg"])


def touch(root: Path, *paths: str) -> Path:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def names_of(labels: Labels) -> dict[str, list[str]]:
    return {split: [one.filename for one in people] for split, people in labels.people.items()}


@pytest.mark.parametrize("place", ["annotations", "annotations/images", "images", "."])
@pytest.mark.parametrize("name", ["2.jpg", "val2017/2.jpg"])
def test_pictures_are_found_beside_the_labels(tmp_path: Path, place: str, name: str):
    path = touch(tmp_path, "annotations/labels.json", f"{place}/{name}") / "annotations/labels.json"
    for given in (path, path.parent):
        assert find_images(LABELS, given).resolve() == (tmp_path / place).resolve()


def test_pictures_that_lie_open_are_found_before_those_in_folders(tmp_path: Path):
    touch(tmp_path, "set/labels.json", "set/images/small/2.jpg", "2.jpg")
    assert find_images(LABELS, tmp_path / "set") == tmp_path
    assert find_images(replace(LABELS, images=tmp_path), tmp_path / "nowhere" / "x") == tmp_path


def test_pictures_that_are_elsewhere(tmp_path: Path):
    path = touch(tmp_path, "set/labels.json", "set/images/one/deeper/2.jpg") / "set/labels.json"
    with pytest.raises(ValueError, match=r"such as 0\.jpg, are not beside it; .* --images"):
        find_images(LABELS, path)


def test_sets_beside_a_set_are_not_looked_into(tmp_path: Path):
    path = touch(tmp_path, "set/labels.json", "other/2.jpg") / "set/labels.json"
    for given in (path, path.parent):
        with pytest.raises(ValueError, match=r"are not beside it"):
            find_images(LABELS, given)


def test_labels_that_are_named_from_where_they_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    touch(tmp_path, "coco/annotations/labels.json", "coco/val2017/2.jpg", "set/val/2.jpg")
    for inside, expected in (("coco/annotations", "coco"), ("coco", "coco"), ("set", "set")):
        monkeypatch.chdir(tmp_path / inside)
        for given in (Path("labels.json"), Path()):
            assert find_images(LABELS, given) == tmp_path / expected


def test_hidden_folders_are_passed_over(tmp_path: Path):
    touch(tmp_path, "labels.json", ".small/2.jpg")
    with pytest.raises(ValueError, match=r"are not beside it"):
        find_images(LABELS, tmp_path)
    touch(tmp_path, "val/2.jpg")
    assert names_of(with_folders(LABELS, tmp_path))["validation"] == ["val/2.jpg"]


def test_names_get_the_folders_of_cocos_layout(tmp_path: Path):
    touch(tmp_path, "train2017/0.jpg", "train2017/1.jpg", "val2017/2.jpg")
    labels = replace(
        LABELS,
        sizes={"0.jpg": (4, 3), "2.jpg": (8, 6)},
        ignored=[IgnoredArea("2.jpg", (0, 0, 9, 9), None, True)],
    )
    found = with_folders(labels, tmp_path)
    assert names_of(found) == {
        "train": ["train2017/0.jpg", "train2017/1.jpg"],
        "validation": ["val2017/2.jpg"],
    }
    assert found.sizes == {"train2017/0.jpg": (4, 3), "val2017/2.jpg": (8, 6)}
    assert [area.filename for area in found.ignored] == ["val2017/2.jpg"]


def test_names_that_are_right_or_nowhere_stay(tmp_path: Path):
    touch(tmp_path, "0.jpg", "other/0.jpg", "other/2.jpg")
    assert names_of(with_folders(LABELS, tmp_path)) == {
        "train": ["0.jpg", "1.jpg"],
        "validation": ["other/2.jpg"],
    }
    assert names_of(with_folders(LABELS, tmp_path / "nowhere")) == names_of(LABELS)
    assert with_folders(LABELS, Url("s3://bucket/pictures")) is LABELS
    filmed = replace(LABELS, frames={"0.jpg": lambda: np.zeros((1, 1, 3), np.uint8)})
    assert with_folders(filmed, tmp_path) is filmed


def test_a_picture_in_two_folders_is_refused(tmp_path: Path):
    touch(tmp_path, "large/2.jpg", "small/2.jpg")
    with pytest.raises(ValueError, match=r"2\.jpg is in large/ and in small/; .* --images"):
        with_folders(LABELS, tmp_path)


def test_a_picture_of_nobody_may_be_in_two_folders(tmp_path: Path):
    touch(tmp_path, "large/3.jpg", "small/3.jpg", "small/2.jpg")
    labels = replace(LABELS, ignored=[IgnoredArea("3.jpg", (0, 0, 9, 9), None, True)])
    assert names_of(with_folders(labels, tmp_path))["validation"] == ["small/2.jpg"]
