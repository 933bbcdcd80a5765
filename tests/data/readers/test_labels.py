"""Formats are told apart by names and first bytes, and every set ends in two splits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hourglass.core.skeleton import COCO, MPII
from hourglass.data.readers.label_set import WHOLE, Labels
from hourglass.data.readers.labels import find_files, read_labels, read_unsplit

COCO_FILE: dict[str, Any] = {
    "images": [{"id": number, "file_name": f"{number}.jpg"} for number in range(4)],
    "annotations": [
        {"image_id": number, "category_id": 1, "keypoints": [1, 1, 2, 9, 9, 2]}
        for number in range(4)
    ],
    "categories": [{"id": 1, "name": "stick", "keypoints": ["a", "b"]}],
}
MPII_FILE = [
    {
        "image": f"{number}.jpg",
        "joints": [[joint + 1.0, 2.0] for joint in range(16)],
        "joints_vis": [1] * 16,
        "center": [9, 9],
        "scale": 1.0,
    }
    for number in range(4)
]


def write(folder: Path, **files: Any) -> Path:
    """JSON files by their stems, or texts by names with an ending's dot as two underscores."""
    for name, content in files.items():
        stem, _, ending = name.partition("__")
        path = folder / f"{stem}.{ending or 'json'}"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def sizes_of(labels: Labels) -> dict[str, int]:
    return {split: len(people) for split, people in labels.people.items()}


def refused(path: Path, **options: Any) -> str:
    with pytest.raises(ValueError, match=r".") as caught:
        read_labels(path, **options)
    return str(caught.value)


def test_mpiis_two_files(tmp_path: Path):
    labels = read_labels(write(tmp_path, train=MPII_FILE, validation=MPII_FILE[:1]))
    assert (sizes_of(labels), labels.skeleton) == ({"train": 4, "validation": 1}, MPII)


@pytest.mark.parametrize(
    ("present", "validation"),
    [
        (["validation"], "validation"),
        (["valid"], "valid"),
        (["valid", "validation"], "validation"),
        (["val"], "val"),
    ],
)
def test_names_of_the_validation_file(tmp_path: Path, present: list[str], validation: str):
    write(tmp_path, train=MPII_FILE, **dict.fromkeys(present, MPII_FILE))
    assert find_files(tmp_path) == {
        "train": ("mpii", tmp_path / "train.json"),
        "validation": ("mpii", tmp_path / f"{validation}.json"),
    }


def test_cocos_two_files_among_others(tmp_path: Path):
    write(
        tmp_path,
        person_keypoints_train2017=COCO_FILE,
        person_keypoints_val2017=COCO_FILE,
        instances_train2017=COCO_FILE,
        captions_val2017=COCO_FILE,
    )
    labels = read_labels(tmp_path)
    assert (sizes_of(labels), labels.skeleton.name) == ({"train": 4, "validation": 4}, "stick")


@pytest.mark.parametrize("content", [COCO_FILE, MPII_FILE])
@pytest.mark.parametrize("as_folder", [False, True])
def test_one_file_is_split(tmp_path: Path, content: Any, as_folder: bool):
    write(tmp_path, labels=content)
    path = tmp_path if as_folder else tmp_path / "labels.json"
    assert sizes_of(read_labels(path, val_share=0.25)) == {"train": 3, "validation": 1}
    assert sizes_of(read_unsplit(path)) == {WHOLE: 4}
    assert "holds no validation part (as validation.json or valid.json would be): --val" in refused(
        path
    )


def test_nobody_need_be_left_to_validate_on(tmp_path: Path):
    write(tmp_path, train=MPII_FILE)
    assert "tenth of the pictures for it, --val-share 0 none" in refused(tmp_path)
    people = read_labels(tmp_path, val_share=0.0).people
    assert list(people) == ["train"]
    assert len(people["train"]) == len(MPII_FILE)


def test_two_files_that_are_split_themselves_are_no_parts(tmp_path: Path):
    for name in ("train", "val"):
        for split in ("train", "val"):
            (tmp_path / "images" / split).mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{name}.yaml").write_text(
            "train: images/train\nval: images/val\nkpt_shape: [2, 3]\n"
        )
    assert refused(tmp_path) == (
        f"{tmp_path / 'train.yaml'}: is split into training and validation already, and so cannot "
        f"be the train part of {tmp_path}; name one file"
    )


def test_the_folder_annotations_inside(tmp_path: Path):
    (tmp_path / "annotations").mkdir()
    write(tmp_path / "annotations", train=COCO_FILE, val=COCO_FILE)
    assert list(find_files(tmp_path)) == ["train", "validation"]


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.json", " [ ]", "mpii"),
        ("a.json", "\ufeff{}", "coco"),
        ("a.mat", "", "mpii-mat"),
        ("a.slp", "", "sleap"),
        ("CollectedData_me.csv", "", "sleap"),
        ("data.yaml", "kpt_shape: [1, 3]", "yolo"),
        ("coco8-pose.yaml", "kpt_shape: [1, 3]", "yolo"),
        ("config.yaml", "bodyparts: [a]", "sleap"),
    ],
)
def test_a_format_is_told_by_its_file(tmp_path: Path, name: str, content: str, kind: str):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    assert find_files(path) == {WHOLE: (kind, path)}
    assert find_files(tmp_path) == {WHOLE: (kind, path)}
    assert find_files(path, kind="coco") == {WHOLE: ("coco", path)}


def test_a_format_chooses_among_a_folders_files(tmp_path: Path):
    write(tmp_path, a=COCO_FILE, b__mat="", data__yaml="kpt_shape: [1, 3]", notes__txt="")
    assert find_files(tmp_path, kind="mpii-mat")[WHOLE][1].name == "b.mat"
    assert find_files(tmp_path, kind="yolo")[WHOLE][1].name == "data.yaml"
    assert find_files(tmp_path, kind="coco")[WHOLE][1].name == "a.json"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "holds no annotations: train.json and validation.json"),
        ({"a": [], "b": []}, "which of these to read cannot be told: a.json, b.json"),
        (
            {"a_train": [], "b_train": [], "val": []},
            "cannot be told: a_train.json, b_train.json, val.json",
        ),
        ({"labels": [{"id": 1, "data": {}, "annotations": []}]}, "seems to be Label Studio's JSON"),
        ({"data__yaml": "names: [a]"}, "'kpt_shape' is None"),
    ],
)
def test_what_cannot_be_told_apart(tmp_path: Path, files: dict[str, Any], message: str):
    assert message in refused(write(tmp_path, **files))


def test_other_files_and_options(tmp_path: Path):
    write(tmp_path, train=MPII_FILE, validation=MPII_FILE, notes__txt="")
    assert "no such file or folder" in refused(tmp_path / "nowhere")
    assert "annotations end in .json" in refused(tmp_path / "notes.txt")
    assert "format is 'x', it must be one of auto, mpii" in refused(tmp_path, format="x")
    assert "leave out --val-share" in refused(tmp_path, val_share=0.5)
    assert "--val-share is 1, it must be 0 or more, and below 1" in refused(tmp_path, val_share=1.0)
    assert "labels of format mpii have no categories" in refused(tmp_path, category="x")
    assert "have MPII's 16 joints and no others" in refused(tmp_path, skeleton=COCO)
    assert read_labels(tmp_path, skeleton=MPII).skeleton is MPII


def test_nobody_with_labels(tmp_path: Path):
    write(tmp_path, labels={**COCO_FILE, "annotations": []})
    assert "nobody has labels that can be used" in refused(tmp_path, val_share=0.5)
