"""Numbers that cannot be right: an error where nothing could be learnt, else a warning."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hourglass.core.person import Person
from hourglass.core.skeleton import Skeleton
from hourglass.data.readers.checks import check_labels, read_sizes
from hourglass.data.readers.label_set import Labels, make_person

SKELETON = Skeleton.of_names("five", tuple("abcde"))
WIDTH, HEIGHT = 300, 200
COUNT = 20


def good_person(number: int) -> Person:
    points = np.random.default_rng(number).uniform([60, 40], [240, 160], (5, 2))
    return make_person(f"{number}.jpg", points, np.full(5, 2), box=(50, 30, 200, 140))


def good_people() -> list[Person]:
    return [good_person(number) for number in range(COUNT)]


def spoilt(people: list[Person], share: float, spoil: Any) -> list[Person]:
    count = round(share * len(people))
    return [*map(spoil, people[:count]), *people[count:]]


def check(people: list[Person], validation: list[Person] | None = None) -> list[str]:
    parts = {"train": people} | ({"validation": validation} if validation else {})
    everyone = [person for group in parts.values() for person in group]
    return check_labels(
        Labels(SKELETON, parts), {one.filename: (WIDTH, HEIGHT) for one in everyone}
    )


def refused(people: list[Person]) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        check(people)
    return str(caught.value)


def test_nothing_is_said_of_good_labels():
    assert check(good_people()) == []


def test_nobody_labelled():
    people = [replace(one, visibility=np.zeros(5, np.uint8)) for one in good_people()]
    assert refused(people).startswith("train: none of 20 people has a labelled joint")


def test_some_people_without_labels_and_a_joint_that_nobody_has():
    def without(joints: list[int]) -> Any:
        def change(person: Person) -> Person:
            visibility = person.visibility.copy()
            visibility[joints] = 0
            return replace(person, visibility=visibility)

        return change

    people = spoilt(spoilt(good_people(), 1, without([3])), 0.1, without([0, 1, 2, 3, 4]))
    assert check(people) == [
        "train: 2 of 20 people have no labelled joint",
        "train: nobody has a label of d: it cannot be learnt or scored",
    ]


def test_coordinates_in_0_to_1():
    people = [
        replace(one, points=(one.points / [WIDTH, HEIGHT]).astype(np.float32))
        for one in good_people()
    ]
    message = refused(people)
    assert message.startswith("train: all 100 labelled joints lie within 0 and 1")
    assert "must be pixels" in message


def moved(person: Person) -> Person:
    return replace(person, points=person.points + np.float32(400))


def test_a_fifth_of_the_labels_outside_their_pictures():
    (warning,) = [one for one in check(spoilt(good_people(), 0.2, moved)) if "outside" in one]
    assert warning.startswith("train: 20 of 100 labelled joints lie outside of their pictures")
    message = refused(spoilt(good_people(), 0.25, moved))
    assert message.startswith("train: 25 of 100 labelled joints lie outside")
    assert "in 0.jpg of 300×200 px; these labels seem to belong to other pictures" in message


def test_a_joint_past_the_border_is_usual():
    person = good_person(0)
    person.points[0] = WIDTH + 5, 50
    assert check([person, *good_people()[1:]]) == []


def test_x_and_y_swapped():
    people = [
        make_person(
            one.filename, one.points[:, ::-1] + np.float32([0, 55]), one.visibility, box=None
        )
        for one in good_people()
    ]
    assert "x and y seem to be swapped" in refused(people)


@pytest.mark.parametrize("share", [0.2, 0.9])
def test_scale_in_pixels(share: float):
    people = spoilt(good_people(), share, lambda one: replace(one, scale=180.0))
    expected = (
        f"train: {round(share * COUNT)} of 20 people are more than 4 times as tall as their "
        "pictures, first in 0.jpg: scale 180 means a person of 36,000 px in a picture of 300 px; "
        "scale is height / 200 px, not px"
    )
    assert (refused(people) if share > 0.5 else check(people)[0]) == expected


@pytest.mark.parametrize("share", [0.2, 0.9])
def test_centers_outside(share: float):
    far = np.array([9000, 9000], np.float32)
    people = spoilt(good_people(), share, lambda one: replace(one, center=far))
    message = refused(people) if share > 0.5 else check(people)[0]
    assert message.startswith(
        f"train: {round(share * COUNT)} of 20 people's crops are centred outside of their pictures"
        ", first at (9000, 9000) in 0.jpg of 300×200 px"
    )


@pytest.mark.parametrize("share", [0.2, 0.9])
def test_crops_that_miss_their_joints(share: float):
    people = spoilt(good_people(), share, lambda one: replace(one, scale=0.01))
    message = refused(people) if share > 0.5 else check(people)[0]
    assert message.startswith(
        f"train: {round(share * COUNT)} of 20 people's crops show less than half of their labelled"
    )


def test_labels_in_the_corner():
    def corner(person: Person) -> Person:
        points = person.points.copy()
        points[:2] = 0
        return replace(person, points=points)

    warnings = check(spoilt(good_people(), 0.5, corner))
    assert warnings == [
        "train: 20 of 100 labelled joints lie in their pictures' upper left corner: joints without "
        "label must have the visibility 0"
    ]


def test_the_same_picture_in_both_splits():
    people = good_people()
    assert check(people[:12], people[10:]) == [
        "2 pictures are in training and in validation, first 10.jpg: scores will be better than on "
        "new pictures"
    ]


def test_pictures_of_another_size_than_the_labels_say():
    sizes = {f"{number}.jpg": (2 * WIDTH, 2 * HEIGHT) for number in range(COUNT)}
    labels = Labels(SKELETON, {"train": good_people()}, sizes=sizes)
    with pytest.raises(ValueError, match=r".") as caught:
        check_labels(labels, dict.fromkeys(sizes, (WIDTH, HEIGHT)))
    message = str(caught.value)
    assert message.startswith("train: 20 of 20 pictures have another size than their labels' file")
    assert "first 0.jpg: 300×200 px, not 600×400; likely pictures that were resized" in message


def test_labels_of_a_picture_that_was_not_upright():
    sizes = dict.fromkeys((f"{number}.jpg" for number in range(COUNT)), (WIDTH, HEIGHT))
    labels = Labels(SKELETON, {"train": good_people()}, sizes={**sizes, "3.jpg": (HEIGHT, WIDTH)})
    (warning,) = check_labels(labels, sizes)
    assert "first 3.jpg: 300×200 px, not 200×300; likely labels made on a picture that" in warning


def test_people_whose_pictures_cannot_be_read_are_not_measured():
    labels = Labels(SKELETON, {"train": spoilt(good_people(), 1, moved)})
    assert check_labels(labels, {"other.jpg": (1, 1)}) == []


def test_sizes_are_read_upright(tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (30, 20)).save(tmp_path / "a.jpg")
    Image.new("RGB", (30, 20)).save(tmp_path / "b.jpg", exif=exif)
    (tmp_path / "c.jpg").write_bytes(b"no picture")
    names = ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "a.jpg"]
    assert read_sizes(tmp_path, names) == {"a.jpg": (30, 20), "b.jpg": (20, 30)}
