"""A model teaches what it finds in every view of a person, and nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from hourglass.core.errors import InputError
from hourglass.core.person import Person
from hourglass.core.pose import Box
from hourglass.core.skeleton import COCO, MPII, Skeleton
from hourglass.data.readers import label_set, mpii_json
from hourglass.inference.estimator import PoseEstimator
from hourglass.inference.teaching import Taught, label_pictures, require_joints, teach, to_entry

WHOLE = [(3.0, 0.0, 90.0, 88.0)]


@pytest.fixture(scope="module")
def estimator(dot_finder: Any) -> PoseEstimator:
    return PoseEstimator(dot_finder)


@pytest.fixture(scope="module")
def dotted(dotted_person: Callable[..., tuple[Person, np.ndarray]]) -> tuple[Person, np.ndarray]:
    return dotted_person(3)


@pytest.fixture(scope="module")
def taught(dotted: tuple[Person, np.ndarray], estimator: PoseEstimator) -> Taught:
    (found,) = teach(dotted[1], WHOLE, estimator)
    return found


def test_joints_that_all_views_show_are_found(taught: Taught, dotted: tuple[Person, np.ndarray]):
    person, _ = dotted
    away = np.linalg.norm(taught.points - person.points, axis=-1)[person.labelled]
    assert away.max() < 0.5
    assert taught.disagreement[person.labelled].max() < 0.1
    np.testing.assert_allclose(taught.center, [47.5, 43.5])
    assert taught.scale == 90 / 200


def test_joints_that_are_not_there_do_not_agree(taught: Taught, dotted: tuple[Person, np.ndarray]):
    missing = ~dotted[0].labelled
    assert missing.sum() == 2
    assert not (taught.disagreement[missing] < 0.35).any()


class Confused:
    """A runtime that takes left for right in what it sees, whatever that is."""

    def __init__(self, runtime: Any) -> None:
        self.config, self.calibrations = runtime.config, runtime.calibrations
        self._runtime = runtime
        self._calls = 0

    def heatmaps(self, images: np.ndarray) -> np.ndarray:
        self._calls += 1
        found = self._runtime.heatmaps(images)
        return found[..., MPII.flip_order] if self._calls % 2 else found


def test_left_and_right_that_change_with_the_view_do_not_count(
    dotted: tuple[Person, np.ndarray], dot_finder: Any
):
    (found,) = teach(dotted[1], WHOLE, PoseEstimator(Confused(dot_finder)))
    sides = [joint for pair in MPII.mirror_pairs for joint in pair]
    assert not (found.disagreement[sides] < 0.35).any()
    middle = [joint for joint in range(16) if joint not in sides and dotted[0].labelled[joint]]
    assert (found.disagreement[middle] < 0.35).all()


def test_nobody_is_taught_of_nobody(dotted: tuple[Person, np.ndarray], estimator: PoseEstimator):
    assert teach(dotted[1], [], estimator) == []


def test_each_box_is_a_person_of_their_own(
    dotted: tuple[Person, np.ndarray], estimator: PoseEstimator, taught: Taught
):
    beside = np.concatenate([np.full_like(dotted[1], 128), dotted[1]], axis=1)
    boxes: list[Box] = [(99.0, 0.0, 90.0, 88.0), (3.0, 0.0, 90.0, 88.0)]
    first, second = teach(beside, boxes, estimator)
    known = dotted[0].labelled
    np.testing.assert_allclose(first.points[known], taught.points[known] + [96, 0], atol=0.5)
    assert (
        np.isnan(second.disagreement).all()
        or (np.nan_to_num(second.disagreement, nan=9) > 0.35).all()
    )


def test_an_entry_is_golden():
    points = np.arange(32.0).reshape(16, 2)
    disagreement = np.full(16, np.nan)
    disagreement[2:5] = 0.1, 0.3, 0.31
    person = Taught(points, disagreement, np.array([50.0, 40.0]), 0.4)
    entry = to_entry(person, image="a/b.jpg", source="lite", most=0.3)
    assert entry["joints"][:5] == [[-1, -1], [-1, -1], [5, 6], [7, 8], [-1, -1]]
    assert entry["joints_vis"] == [0, 0, 1, 1] + [0] * 12
    assert entry["center"] == [51.0, 35.0]
    assert (entry["image"], entry["scale"], entry["label_source"]) == ("a/b.jpg", 0.4, "lite")
    assert entry["disagreement"] == [None, None, 0.1, 0.3] + [None] * 12


@pytest.fixture
def pictures(tmp_path: Path, dotted_person: Callable[..., Any]) -> list[Path]:
    """Two pictures with a person, and one that is none."""
    (tmp_path / "inside").mkdir()
    paths = [tmp_path / "inside" / f"{number}.png" for number in range(2)]
    for number, path in enumerate(paths):
        cv2.imwrite(str(path), dotted_person(number)[1][..., ::-1])
    (tmp_path / "none.jpg").write_bytes(b"no picture")
    return [*paths, tmp_path / "none.jpg"]


def label(pictures: list[Path], estimator: PoseEstimator, **changes: Any) -> list[Any]:
    options: dict[str, Any] = {"source": "dots", "most": 0.35, "fewest": 5, **changes}
    return list(
        label_pictures(
            pictures,
            estimator,
            lambda picture, path: WHOLE,
            folder=pictures[2].parent,
            **options,
        )
    )


def test_what_is_taught_can_be_read_again(
    pictures: list[Path],
    estimator: PoseEstimator,
    dotted_person: Callable[..., Any],
    tmp_path: Path,
):
    import json

    one, other, failure = label(pictures, estimator)
    assert isinstance(failure, ValueError)
    assert "none.jpg" in str(failure)
    (tmp_path / "train.json").write_text(json.dumps(one + other))
    people = mpii_json.read(tmp_path / "train.json").people[label_set.WHOLE]
    assert [person.filename for person in people] == ["inside/0.png", "inside/1.png"]
    for number, person in enumerate(people):
        actual = dotted_person(number)[0]
        np.testing.assert_array_equal(person.labelled, actual.labelled)
        known = actual.labelled
        assert np.abs(person.points[known] - actual.points[known]).max() < 0.5
        np.testing.assert_allclose(person.center, [47.5, 43.5], atol=0.01)


def test_people_of_whom_too_little_agrees_are_left_out(
    pictures: list[Path], estimator: PoseEstimator
):
    assert label(pictures, estimator, fewest=15)[:2] == [[], []]
    assert [len(one) for one in label(pictures, estimator, fewest=14)[:2]] == [1, 1]


def test_the_teacher_may_have_another_skeleton(dotted: tuple[Person, np.ndarray], dot_finder: Any):
    from hourglass.core.skeleton import LSP

    class Fourteen:
        def __init__(self) -> None:
            self.config = dataclasses.replace(dot_finder.config.with_skeleton(LSP))
            self.calibrations: dict[str, Any] = {}

        def heatmaps(self, images: np.ndarray) -> np.ndarray:
            found = dot_finder.heatmaps(images)
            names = [name.replace("neck", "upper_neck") for name in LSP.joints]
            names = [name if name in MPII.joints else "head_top" for name in names]
            return found[..., [MPII.index(name) for name in names]]

    (found,) = teach(dotted[1], WHOLE, PoseEstimator(Fourteen()))
    limbs = [joint for pair in MPII.mirror_pairs for joint in pair if dotted[0].labelled[joint]]
    away = np.linalg.norm(found.points - dotted[0].points, axis=-1)
    assert away[limbs].max() < 0.5


def test_a_teacher_of_other_joints_is_refused():
    door = Skeleton("door", ("hinge", "left_hip", "handle"))
    with pytest.raises(InputError) as refused:
        require_joints(door, fewest=5, model=Path("doors.keras"))
    assert str(refused.value) == (
        "doors.keras: its skeleton 'door' has 1 of MPII's 16 joints, by their names, and 5 are "
        "needed (--fewest)"
    )
    require_joints(COCO, fewest=12, model=Path("coco.keras"))
