"""COCO keypoint files: what is kept, what tools get wrong and is borne, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hourglass.core.person import IgnoredArea
from hourglass.core.skeleton import COCO, Skeleton
from hourglass.data.readers import coco
from hourglass.data.readers.label_set import WHOLE, Labels

KEYPOINTS = ["nose", "left_ear", "right_ear"]


def make_category(**changes: Any) -> dict[str, Any]:
    category = {"id": 1, "name": "mouse", "keypoints": KEYPOINTS, "skeleton": [[1, 2], [1, 3]]}
    return {**category, **changes}


def make_annotation(**changes: Any) -> dict[str, Any]:
    annotation = {
        "id": 1,
        "image_id": 7,
        "category_id": 1,
        "keypoints": [30, 40, 2, 20.5, 60, 1, 50, 60, 2],
        "num_keypoints": 3,
        "bbox": [10, 20, 60, 100],
        "area": 3000.5,
        "iscrowd": 0,
    }
    return {**annotation, **changes}


def without(entry: dict[str, Any], *fields: str) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name not in fields}


def make_content(*annotations: dict[str, Any], **changes: Any) -> dict[str, Any]:
    content = {
        "images": [{"id": 7, "file_name": "a.jpg", "width": 200, "height": 150}],
        "annotations": list(annotations or [make_annotation()]),
        "categories": [make_category()],
    }
    return {**content, **changes}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "labels.json"


def read(path: Path, content: Any, **options: Any) -> Labels:
    path.write_text(json.dumps(content), encoding="utf-8")
    return coco.read(path, **options)


def refused(path: Path, content: Any, **options: Any) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        read(path, content, **options)
    return str(caught.value)


# What is kept


def test_a_person_is_read_as_it_is_labelled(path: Path):
    labels = read(path, make_content())
    (person,) = labels.people[WHOLE]
    assert person.filename == "a.jpg"
    np.testing.assert_array_equal(person.points, [[30, 40], [20.5, 60], [50, 60]])
    assert (person.points.dtype, person.visibility.dtype) == (np.float32, np.uint8)
    assert person.visibility.tolist() == [2, 1, 2]
    # The crop is that of the box: its middle in pixels' centres, its longer side over 200.
    np.testing.assert_array_equal(person.center, [39.5, 69.5])
    assert person.scale == 0.5
    assert (person.box, person.area) == ((10, 20, 60, 100), 3000.5)
    assert (labels.notes, labels.sizes) == ([], {"a.jpg": (200, 150)})


def test_the_category_gives_the_skeleton(path: Path):
    skeleton = read(path, make_content()).skeleton
    assert (skeleton.name, skeleton.joints) == ("mouse", tuple(KEYPOINTS))
    assert skeleton.bones == ((0, 1), (0, 2))
    assert skeleton.mirror_pairs == ((2, 1),)


def test_bones_that_are_counted_from_0(path: Path):
    content = make_content(categories=[make_category(skeleton=[[0, 1], [1, 2]])])
    assert read(path, content).skeleton.bones == ((0, 1), (1, 2))


def test_cocos_own_keypoints_are_the_built_in_skeleton(path: Path):
    category = make_category(name="person", keypoints=list(COCO.joints))
    content = make_content(make_annotation(keypoints=[5, 5, 2] * 17), categories=[category])
    assert read(path, content).skeleton is COCO


def test_keypoints_without_left_and_right_do_not_mirror(path: Path):
    category = make_category(name="doorknob", keypoints=["1", "2", "3"], skeleton=[])
    skeleton = read(path, make_content(categories=[category])).skeleton
    assert (skeleton.name, skeleton.mirrors, skeleton.bones) == ("doorknob", False, ())


def test_ids_may_begin_at_0_and_files_lie_in_folders(path: Path):
    content = make_content(
        make_annotation(image_id=0, category_id=0),
        images=[{"id": 0, "file_name": "train/b 1.jpg"}],
        categories=[make_category(id=0)],
    )
    (person,) = read(path, content).people[WHOLE]
    assert person.filename == "train/b 1.jpg"


def test_folders_as_windows_writes_them(path: Path):
    images = [{"id": 7, "file_name": "train\\a.jpg", "width": 200, "height": 150}]
    labels = read(path, make_content(images=images))
    assert labels.people[WHOLE][0].filename == "train/a.jpg"
    assert labels.sizes == {"train/a.jpg": (200, 150)}


def test_real_coordinates_of_visibility_0_are_no_label(path: Path):
    content = make_content(make_annotation(keypoints=[30, 40, 0, 20, 60, 2, 50, 60, 2]))
    (person,) = read(path, content).people[WHOLE]
    assert person.visibility.tolist() == [0, 2, 2]
    assert person.points[0].tolist() == [-1, -1]


def test_a_byte_order_mark(path: Path):
    path.write_text(json.dumps(make_content()), encoding="utf-8-sig")
    assert len(coco.read(path).people[WHOLE]) == 1


def test_num_keypoints_is_not_believed(path: Path):
    people = read(
        path,
        make_content(make_annotation(num_keypoints=0), without(make_annotation(), "num_keypoints")),
    ).people[WHOLE]
    assert [person.labelled.sum() for person in people] == [3, 3]


def test_pictures_without_labels_do_not_matter(path: Path):
    images = [*make_content()["images"], {"id": 8, "file_name": "b.jpg", "width": 1, "height": 1}]
    labels = read(path, make_content(images=images))
    assert list(labels.sizes) == ["a.jpg"]


# Categories


def two_categories(second: list[str]) -> dict[str, Any]:
    return make_content(
        make_annotation(),
        make_annotation(category_id=2),
        categories=[make_category(), make_category(id=2, name="rat", keypoints=second)],
    )


def test_categories_of_one_skeleton_are_read_together(path: Path):
    labels = read(path, two_categories(KEYPOINTS))
    assert (len(labels.people[WHOLE]), labels.skeleton.name) == (2, "labels")


def test_one_category_is_chosen(path: Path):
    labels = read(path, two_categories(["a", "b", "c"]), category="rat")
    assert (len(labels.people[WHOLE]), labels.skeleton.joints) == (1, ("a", "b", "c"))
    assert labels.notes == [
        f"{path}: 1 annotations are of other categories: left out (first: annotations[0])"
    ]


def test_categories_of_several_skeletons_must_be_chosen_from(path: Path):
    message = refused(path, two_categories(["a", "b"]))
    assert "must be chosen with --category: mouse (3); rat (2)" in message


def test_an_unknown_category(path: Path):
    message = refused(path, two_categories(KEYPOINTS), category="cat")
    assert message == f"{path}: no category is called 'cat'; there are: mouse, rat"


def test_a_category_without_keypoints_needs_a_skeleton(path: Path):
    content = make_content(categories=[without(make_category(), "keypoints", "skeleton")])
    assert "no category names its 'keypoints'; give the joints with --skeleton" in refused(
        path, content
    )
    given = Skeleton.of_names("mine", ("a", "b", "c"))
    assert read(path, content, skeleton=given).skeleton is given


def test_a_given_skeleton_goes_by_names(path: Path):
    given = Skeleton.of_names("mine", ("right_ear", "left_ear", "nose"))
    (person,) = read(path, make_content(), skeleton=given).people[WHOLE]
    np.testing.assert_array_equal(person.points, [[50, 60], [20.5, 60], [30, 40]])
    assert person.visibility.tolist() == [2, 1, 2]


def test_a_given_skeleton_of_another_size(path: Path):
    assert "has 3 joints (nose, left_ear, right_ear), but the skeleton 'coco' has 17" in refused(
        path, make_content(), skeleton=COCO
    )


# What is borne, and told


@pytest.mark.parametrize(
    ("annotation", "note"),
    [
        (without(make_annotation(), "bbox"), "have no 'bbox' of x, y, width, height"),
        (make_annotation(bbox=[10, 20, 0, 0]), "have a 'bbox' without extent"),
        (make_annotation(bbox=[10, "a", 5, 5]), "have a 'bbox' without extent"),
        (make_annotation(bbox=[500, 500, 60, 60]), "most of their keypoints are outside of"),
    ],
)
def test_a_box_that_cannot_be_is_that_of_the_keypoints(
    path: Path, annotation: dict[str, Any], note: str
):
    labels = read(path, make_content(annotation))
    (person,) = labels.people[WHOLE]
    # Keypoints span 29.5 by 20 px; an eighth of 29.5 px is added on every side.
    np.testing.assert_allclose(person.box, [20.5 - 3.6875, 40 - 3.6875, 37.875, 28.375])
    np.testing.assert_allclose(person.center, [35.25, 50])
    assert person.scale == pytest.approx(37.875 / 200)
    (told,) = labels.notes
    assert told.startswith(f"{path}: 1 annotations ")
    assert note in told


@pytest.mark.parametrize("area", [None, 0, -1, "x", float("nan")])
def test_an_area_that_cannot_be_is_unknown(path: Path, area: Any):
    (person,) = read(path, make_content(make_annotation(area=area))).people[WHOLE]
    assert person.area is None


@pytest.mark.parametrize(
    ("annotation", "note"),
    [
        (make_annotation(iscrowd=1), "are crowds ('iscrowd')"),
        (make_annotation(keypoints=[0] * 9), "have no labelled keypoint"),
        (make_annotation(keypoints=[]), "have no labelled keypoint"),
        (without(make_annotation(), "keypoints"), "have no labelled keypoint"),
        (make_annotation(category_id=[1]), "are of other categories"),
        (make_annotation(image_id=[7]), "have an 'image_id' that no picture of the file has"),
        (make_annotation(image_id=99), "have an 'image_id' that no picture of the file has"),
        (
            make_annotation(bbox=None, keypoints=[5, 5, 2, 0, 0, 0, 0, 0, 0]),
            "have neither a box nor two keypoints that span one",
        ),
    ],
)
def test_who_cannot_be_used_is_left_out_and_counted(
    path: Path, annotation: dict[str, Any], note: str
):
    labels = read(path, make_content(make_annotation(), annotation, annotation))
    assert len(labels.people[WHOLE]) == 1
    assert labels.notes[-1] == (f"{path}: 2 annotations {note}: left out (first: annotations[1])")


def test_crowds_and_people_without_keypoints_are_areas_that_do_not_count(path: Path):
    crowd = make_annotation(iscrowd=1, bbox=[1, 2, 3, 4.5], area=0)
    nobody = make_annotation(keypoints=[0] * 9)
    of_nowhere = make_annotation(iscrowd=1, image_id=99)
    without_box = without(crowd, "bbox")
    content = make_content(make_annotation(), crowd, nobody, of_nowhere, without_box)
    labels = read(path, content)
    assert labels.ignored == [
        IgnoredArea("a.jpg", (1, 2, 3, 4.5), None, True),
        IgnoredArea("a.jpg", (10, 20, 60, 100), 3000.5, False),
    ]


# What is refused


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "must be an object with the lists images, annotations, categories"),
        ({"images": []}, "must be an object with the lists"),
        (make_content(annotations=["x"]), "annotations[0]: must be an object, got 'x'"),
        (make_content(images=[3]), "images[0]: must be an object, got 3"),
        (
            make_content(images=[{"id": True, "file_name": "a"}]),
            "images[0]: 'id' is True, it must be a number",
        ),
        (
            make_content(images=[{"id": 7, "file_name": "a\0b"}]),
            "images[0]: 'file_name' is 'a\\x00b', it must be a file name",
        ),
        (
            make_content(images=[{"id": 7, "file_name": one} for one in "ab"]),
            "images[1]: 'id' is 7 (b), which a has already",
        ),
        (
            make_content(make_annotation(keypoints=[1, 2, 2])),
            "annotations[0]: 'keypoints' has 3 numbers, it must have x, y, v of 3 keypoints: 9",
        ),
        (
            make_content(make_annotation(keypoints=[1, 2, 3] * 3)),
            "annotations[0]: 'keypoints' has the visibility 3, allowed are 0",
        ),
        (
            make_content(make_annotation(keypoints=[1, None, 2] * 3)),
            "annotations[0]: 'keypoints' has None, all must be numbers",
        ),
        (
            make_content(make_annotation(keypoints=[1, 10**400, 2] * 3)),
            "annotations[0]: 'keypoints' has 1000",
        ),
        (
            make_content(categories=[make_category(keypoints=["a", "a", "b"])]),
            "joint 'a' comes more than once",
        ),
        (
            make_content(categories=[make_category(skeleton=[[1, 9]])]),
            "bones has (0, 8), but joints are numbered 0 to 2",
        ),
        (make_content(categories=[make_category(skeleton=[1])]), "'skeleton' is [1], it must be"),
        (
            make_content(categories=[make_category(keypoints=7)]),
            "'keypoints' is 7, it must be a li",
        ),
    ],
)
def test_a_wrong_file_is_refused_by_name(path: Path, content: Any, message: str):
    told = refused(path, content)
    assert told.startswith(str(path))
    assert message in told


def test_a_file_that_is_missing_or_no_json(path: Path):
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}: cannot be read"):
        coco.read(path)
    path.write_text("{")
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}: not JSON"):
        coco.read(path)
