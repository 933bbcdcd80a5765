"""YOLO-pose sets: shares become pixels, `flip_idx` mirror pairs, and odd lines are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from hourglass.core.skeleton import Skeleton
from hourglass.data.readers import yolo
from hourglass.data.readers.label_set import WHOLE

WIDTH, HEIGHT = 200, 100
LINE = "0 0.5 0.5 0.4 0.8 0.25 0.5 2 0.75 0.5 1 0 0 0"


def write_set(root: Path, lines: dict[str, str], **changes: Any) -> Path:
    """A set of grey pictures; `lines` by the picture's name below `images/`."""
    for name, line in lines.items():
        picture = root / "images" / name
        picture.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (WIDTH, HEIGHT), "grey").save(picture)
        labels = (root / "labels" / name).with_suffix(".txt")
        labels.parent.mkdir(parents=True, exist_ok=True)
        labels.write_text(line)
    content = {
        "train": "images/train",
        "val": "images/val",
        "kpt_shape": [3, 3],
        "flip_idx": [1, 0, 2],
        "names": {0: "mouse", 1: "rat"},
        **changes,
    }
    path = root / "data.yaml"
    path.write_text(yaml.safe_dump({key: one for key, one in content.items() if one is not None}))
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_set(tmp_path, {"train/a.png": LINE + "\n\n" + LINE, "val/b.png": LINE})


def refused(path: Path, **options: Any) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        yolo.read(path, **options)
    return str(caught.value)


def test_shares_become_pixels(path: Path):
    labels = yolo.read(path)
    first, second = labels.people["train"]
    (third,) = labels.people["validation"]
    assert [one.filename for one in (first, second, third)] == [
        "images/train/a.png",
        "images/train/a.png",
        "images/val/b.png",
    ]
    np.testing.assert_array_equal(first.points, [[50, 50], [150, 50], [-1, -1]])
    assert first.visibility.tolist() == [2, 1, 0]
    np.testing.assert_allclose(first.box, [60, 10, 80, 80])
    np.testing.assert_allclose(first.center, [99.5, 49.5])
    assert first.scale == pytest.approx(0.4)
    assert labels.images == path.parent
    assert labels.sizes == dict.fromkeys(["images/train/a.png", "images/val/b.png"], (200, 100))
    assert labels.notes == []


def test_flip_idx_gives_the_mirror_pairs(path: Path):
    skeleton = yolo.read(path).skeleton
    assert (skeleton.joints, skeleton.mirror_pairs) == (("1", "2", "3"), ((1, 0),))
    assert skeleton.flip_order.tolist() == [1, 0, 2]


def test_names_tell_which_is_right(tmp_path: Path):
    names = ["right_ear", "left_ear", "nose"]
    path = write_set(tmp_path, {"train/a.png": LINE, "val/a.png": LINE}, kpt_names={0: names})
    skeleton = yolo.read(path).skeleton
    assert (skeleton.joints, skeleton.mirror_pairs) == (tuple(names), ((0, 1),))


def test_without_flip_idx_nothing_mirrors(tmp_path: Path):
    path = write_set(tmp_path, {"train/a.png": LINE, "val/a.png": LINE}, flip_idx=None)
    assert not yolo.read(path).skeleton.mirrors


def test_keypoints_of_two_numbers(tmp_path: Path):
    line = "0 0.5 0.5 0.4 0.8 0.25 0.5 0.75 0.5 0 0"
    path = write_set(tmp_path, {"train/a.png": line, "val/a.png": line}, kpt_shape=[3, 2])
    (person,) = yolo.read(path).people["train"]
    assert person.visibility.tolist() == [2, 2, 0]


def test_a_set_without_validation_is_one_part(tmp_path: Path):
    path = write_set(tmp_path, {"train/a.png": LINE}, val=None)
    assert [len(people) for people in yolo.read(path).people.values()] == [1]
    assert list(yolo.read(path).people) == [WHOLE]


def test_one_class_is_chosen(tmp_path: Path):
    path = write_set(tmp_path, {"train/a.png": f"{LINE}\n1{LINE[1:]}", "val/a.png": LINE})
    labels = yolo.read(path, category="mouse")
    assert len(labels.people["train"]) == 1
    assert labels.notes[0].startswith("1 things are of other classes: left out (first: ")
    assert "no class is called 'cat'" in refused(path, category="cat")


@pytest.mark.parametrize("names", [None, 5, "mouse", {"first": "mouse"}, [["mouse"]]])
def test_a_class_of_names_that_are_none_is_refused(tmp_path: Path, names: Any):
    path = write_set(tmp_path, {"train/a.png": LINE, "val/a.png": LINE}, names=names)
    assert refused(path, category="mouse").startswith(f"{path}: no class is called 'mouse'")


def test_a_list_of_pictures_and_a_moved_set(tmp_path: Path):
    path = write_set(
        tmp_path, {"a.png": LINE, "b.png": LINE}, path="/home/else/set", train="train.txt", val="v"
    )
    (tmp_path / "train.txt").write_text("./images/a.png\n")
    (tmp_path / "v").mkdir()
    assert [one.filename for one in yolo.read(path).people["train"]] == ["images/a.png"]


def test_exporters_folders_that_are_seen_from_elsewhere(tmp_path: Path):
    path = write_set(tmp_path, {"train/a.png": LINE, "val/a.png": LINE}, train="../images/train")
    assert len(yolo.read(path).people["train"]) == 1


def test_a_picture_that_exif_turns_is_measured_upright(path: Path):
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = path.parent / "images/val/b.png"
    Image.new("RGB", (HEIGHT, WIDTH)).save(picture, exif=exif)
    (person,) = yolo.read(path).people["validation"]
    assert person.points[0].tolist() == [50, 50]


def test_a_given_skeleton_takes_the_place(path: Path):
    given = Skeleton.of_names("mine", ("3", "2", "1"))
    (person,) = yolo.read(path, skeleton=given).people["validation"]
    assert person.visibility.tolist() == [0, 1, 2]


def test_what_cannot_be_used_is_counted(path: Path):
    (path.parent / "labels/val/b.txt").unlink()
    (path.parent / "labels/train/a.txt").write_text(f"0 .5 .5 .1 .1{' 0' * 9}\n{LINE}")
    labels = yolo.read(path)
    assert [len(people) for people in labels.people.values()] == [1, 0]
    assert [note.partition(" (first")[0] for note in labels.notes] == [
        "1 things have no labelled keypoint: left out",
        "1 pictures have no file of labels",
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 0.5 0.5", "line 1: has 3 numbers, it must have 14: class, box and 3 keypoints of 3"),
        (LINE.replace("0.25", "x"), "could not convert"),
        (LINE.replace("0.25", "nan"), "line 1: all must be finite numbers"),
        (LINE.replace("0.25", "50"), "line 1: has 50, but box and keypoints are shares"),
        (LINE.replace(" 2 ", " 5 "), "line 1: a keypoint has the visibility 5, allowed are 0"),
    ],
)
def test_a_wrong_line_is_named(path: Path, line: str, message: str):
    labels = path.parent / "labels/train/a.txt"
    labels.write_text(line)
    told = refused(path)
    assert told.startswith(str(labels))
    assert message in told


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kpt_shape": None}, "'kpt_shape' is None, it must be [number of keypoints, 2 or 3]"),
        ({"kpt_shape": [3, 4]}, "'kpt_shape' is [3, 4]"),
        ({"kpt_shape": [10**30, 3]}, "of 200 keypoints at most"),
        ({"flip_idx": ["1", "0", "2"]}, "'flip_idx' is ['1', '0', '2'], it must be the numbers 0"),
        ({"flip_idx": [0, 1]}, "'flip_idx' is [0, 1], it must be the numbers 0 to 2"),
        ({"flip_idx": [1, 2, 0]}, "it must swap keypoints by two"),
        ({"kpt_names": ["a"]}, "'kpt_names' is ['a'], it must be 3 names"),
        ({"train": None}, "'train' is missing"),
        ({"train": "nowhere"}, "names 'nowhere', but"),
    ],
)
def test_a_wrong_data_yaml_is_refused(tmp_path: Path, changes: dict[str, Any], message: str):
    path = write_set(tmp_path, {"train/a.png": LINE, "val/a.png": LINE}, **changes)
    told = refused(path)
    assert told.startswith(str(path))
    assert message in told


def test_no_yaml(tmp_path: Path):
    path = tmp_path / "data.yaml"
    path.write_text("a: [")
    assert "not YAML" in refused(path)
    path.write_text("just words")
    assert "must hold names and values" in refused(path)
    path.unlink()
    assert "cannot be read" in refused(path)
