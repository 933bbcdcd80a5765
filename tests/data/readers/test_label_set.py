"""Labels are split by picture, joined, and framed by boxes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hourglass.core.geometry import apply_affine, crop_matrix
from hourglass.core.skeleton import MPII, Skeleton
from hourglass.data.readers.label_set import (
    WHOLE,
    Labels,
    has_extent,
    joined,
    joint_order,
    known_skeleton,
    make_person,
    points_box,
    split_by_picture,
    write_frames,
)
from hourglass.media.pictures import read_picture

SKELETON = Skeleton.of_names("two", ("a", "b"))


def make_labels(*names: str, **changes: object) -> Labels:
    people = [
        make_person(name, np.array([[0, 0], [9, 4]]), np.array([2, 1]), box=None) for name in names
    ]
    return replace(Labels(SKELETON, {WHOLE: people}), **changes)


def names_of(labels: Labels) -> dict[str, list[str]]:
    return {split: [one.filename for one in people] for split, people in labels.people.items()}


def test_a_split_keeps_pictures_together_and_the_order():
    labels = make_labels(*[f"{number // 2:02d}.jpg" for number in range(40)])
    found = names_of(split_by_picture(labels, share=0.2, seed=0))
    assert {split: len(set(names)) for split, names in found.items()} == {
        "train": 16,
        "validation": 4,
    }
    assert not set(found["train"]) & set(found["validation"])
    assert all(names == sorted(names) for names in found.values())
    assert len(found["train"]) + len(found["validation"]) == 40


def test_a_split_depends_on_the_seed_and_not_on_the_order():
    names = [f"{number}.jpg" for number in range(20)]

    def held_out(labels: Labels, seed: int) -> set[str]:
        return set(names_of(split_by_picture(labels, share=0.25, seed=seed))["validation"])

    first = held_out(make_labels(*names), 0)
    assert held_out(make_labels(*names[::-1]), 0) == first
    assert held_out(make_labels(*names), 1) != first


@pytest.mark.parametrize(("share", "expected"), [(0.01, 1), (0.99, 2), (0.5, 2)])
def test_neither_part_is_empty(share: float, expected: int):
    found = names_of(split_by_picture(make_labels("a", "b", "c"), share=share, seed=0))
    assert len(found["validation"]) == expected


def test_one_picture_cannot_be_split():
    with pytest.raises(ValueError, match="needs two pictures with labels or more, there are 1"):
        split_by_picture(make_labels("a", "a"), share=0.5, seed=0)


def test_two_files_are_joined():
    first = make_labels("a", notes=["odd"], sizes={"a": (1, 2)})
    labels = joined({"train": first, "validation": make_labels("b", notes=["odder"])})
    assert names_of(labels) == {"train": ["a"], "validation": ["b"]}
    assert labels.notes == ["odd", "odder"]
    assert labels.sizes == {"a": (1, 2)}


def test_two_files_of_other_joints_are_not_joined():
    with pytest.raises(ValueError, match="label different joints: a, b; and right_ankle"):
        joined({"train": make_labels("a"), "validation": make_labels("b", skeleton=MPII)})


def test_a_box_of_points_is_wider_than_they_are():
    points = np.array([[10.0, 20.0], [50.0, 30.0]])
    assert points_box(points) == (5, 15, 51, 21)
    person = make_person("a", points, np.array([2, 2]), box=None)
    crop = apply_affine(crop_matrix(person.center, person.scale, size=256), person.points)
    assert crop.min() > 0
    assert crop.max() < 255
    np.testing.assert_allclose(crop.mean(axis=0), 127.5, atol=1e-4)


def test_points_that_span_nothing():
    assert not has_extent(np.empty((0, 2)))
    assert not has_extent(np.array([[3.0, 4.0]]))
    assert not has_extent(np.array([[3.0, 4.0], [3.5, 4.5]]))
    assert has_extent(np.array([[3.0, 4.0], [3.0, 5.0]]))


def test_the_crop_of_a_whole_picture_is_its_middle():
    person = make_person("a", np.zeros((1, 2)), np.array([1]), box=(0, 0, 100, 50))
    assert person.center.tolist() == [49.5, 24.5]
    assert person.scale == 0.5


def test_built_in_skeletons_are_known_by_their_joints():
    assert known_skeleton("person", MPII.joints) is MPII
    assert known_skeleton("other", ("l_a", "r_a")).mirror_pairs == ((1, 0),)


def test_joints_go_by_names_or_one_by_one():
    names = ("b", "a")
    assert joint_order(SKELETON, names, where="x").tolist() == [1, 0]
    assert joint_order(SKELETON, ("c", "d"), where="x").tolist() == [0, 1]


def test_frames_are_written_once(tmp_path: Path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    labels = make_labels("film_000003.png", frames={"film_000003.png": lambda: pixels})
    folder = tmp_path / "new" / "frames"
    assert write_frames(labels, folder) == 1
    np.testing.assert_array_equal(read_picture(folder / "film_000003.png"), pixels)
    assert write_frames(labels, folder) == 0
