"""SLEAP's and DeepLabCut's files through sleap-io: points, pairs, pictures and frames of films."""

from __future__ import annotations

import builtins
import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hourglass.data.readers import sleap
from hourglass.data.readers.label_set import WHOLE, joined, write_frames
from hourglass.media.pictures import read_picture

sleap_io = pytest.importorskip("sleap_io")

NODES = ("nose", "left_ear", "right_ear", "tail")
POINTS = np.array([[10, 20], [30, 40], [50.5, 60], [np.nan, np.nan]])


def write_pictures(folder: Path, count: int) -> list[str]:
    folder.mkdir(parents=True)
    paths = [folder / f"img{number}.png" for number in range(count)]
    for number, path in enumerate(paths):
        Image.new("RGB", (160, 120), (number, 100, 200)).save(path)
    return [str(path) for path in paths]


def make_labels(paths: list[str], *, labelled: int = 2) -> Any:
    skeleton = sleap_io.Skeleton(
        nodes=[sleap_io.Node(name) for name in NODES], edges=[(0, 1), (0, 3)], name="mouse"
    )
    skeleton.add_symmetry("left_ear", "right_ear")
    film = sleap_io.load_video(paths)
    return sleap_io.Labels(
        [
            sleap_io.LabeledFrame(
                video=film,
                frame_idx=number,
                instances=[sleap_io.Instance.from_numpy(POINTS + number, skeleton=skeleton)],
            )
            for number in range(labelled)
        ]
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    path = tmp_path / "labels.slp"
    make_labels(write_pictures(tmp_path / "frames" / "a", 3)).save(str(path))
    return path


def test_a_project_of_pictures(project: Path):
    labels = sleap.read(project)
    first, second = labels.people[WHOLE]
    assert (labels.skeleton.name, labels.skeleton.joints) == ("mouse", NODES)
    assert labels.skeleton.bones == ((0, 1), (0, 3))
    assert labels.skeleton.mirror_pairs == ((2, 1),)
    assert labels.images == (project.parent / "frames" / "a").resolve()
    assert [first.filename, second.filename] == ["img0.png", "img1.png"]
    assert first.visibility.tolist() == [2, 2, 2, 0]
    np.testing.assert_array_equal(first.points, [[10, 20], [30, 40], [50.5, 60], [-1, -1]])
    # No box is annotated: that of the points, 40.5 px long, an eighth wider on every side.
    assert first.scale == pytest.approx((40.5 * 1.25 + 1) / 200)
    assert (labels.notes, labels.frames) == ([], {})


def test_frames_inside_a_package_are_handed_out(project: Path):
    package = project.with_name("labels.pkg.slp")
    loaded = sleap_io.load_file(str(project))
    loaded.save(str(package), embed=True, verbose=False)
    labels = sleap.read(package)
    names = [person.filename for person in labels.people[WHOLE]]
    mark = hashlib.sha256(b"%d " % package.stat().st_size + 2 * package.read_bytes()).hexdigest()
    assert names == [f"labels_{mark[:8]}_000000.png", f"labels_{mark[:8]}_000001.png"]
    assert labels.images is None
    picture = labels.frames[names[1]]()
    assert (picture.shape, picture.dtype) == ((120, 160, 3), np.uint8)
    assert picture[0, 0].tolist() == [1, 100, 200]


def test_two_projects_of_one_name_keep_their_frames_apart(tmp_path: Path):
    pictures = []
    for number, name in enumerate(("one", "other")):
        paths = write_pictures(tmp_path / name / "frames", 2)
        Image.new("RGB", (160, 120), (number, 7, 7)).save(paths[0])
        package = tmp_path / name / "labels.v001.pkg.slp"
        make_labels(paths, labelled=1).save(str(package), embed=True, verbose=False)
        labels = sleap.read(package)
        assert write_frames(labels, tmp_path / "images") == 1
        pictures.append(tmp_path / "images" / labels.people[WHOLE][0].filename)
    assert [read_picture(path)[0, 0].tolist() for path in pictures] == [[0, 7, 7], [1, 7, 7]]


def test_predicted_instances_and_single_points_are_left_out(tmp_path: Path):
    loaded = make_labels(write_pictures(tmp_path / "frames", 2))
    skeleton = loaded.skeletons[0]
    lone = np.full((4, 2), np.nan)
    lone[0] = 5
    loaded.labeled_frames[0].instances += [
        sleap_io.PredictedInstance.from_numpy(POINTS, skeleton=skeleton, score=0.5),
        sleap_io.Instance.from_numpy(lone, skeleton=skeleton),
    ]
    path = tmp_path / "labels.slp"
    loaded.save(str(path))
    labels = sleap.read(path)
    assert len(labels.people[WHOLE]) == 2
    assert sorted(labels.notes) == [
        f"{path}: 1 instances are predicted, no labels: left out",
        f"{path}: 1 instances have no two visible points: left out",
    ]


def test_projects_for_training_and_validation_may_have_folders_of_their_own(tmp_path: Path):
    parts = {}
    for split in ("train", "validation"):
        path = tmp_path / f"{split}.slp"
        make_labels(write_pictures(tmp_path / "frames" / split, 2)).save(str(path))
        parts[split] = sleap.read(path)
    labels = joined(parts)
    assert labels.images == (tmp_path / "frames").resolve()
    for split, people in labels.people.items():
        assert [one.filename for one in people] == [f"{split}/img0.png", f"{split}/img1.png"]


DEEPLABCUT = """scorer,me,me,me,me
bodyparts,nose,nose,tail,tail
coords,x,y,x,y
labeled-data/film/img0.png,10,20,30.5,40
labeled-data/film/img1.png,11,21,,
labeled-data/film/img2.png,12,22,32.5,42
"""


def write_deeplabcut(root: Path, pictures: int = 3) -> Path:
    folder = root / "labeled-data" / "film"
    write_pictures(folder, pictures)
    path = folder / "CollectedData_me.csv"
    path.write_text(DEEPLABCUT)
    return path


def test_deeplabcut(tmp_path: Path):
    path = write_deeplabcut(tmp_path)
    labels = sleap.read(path)
    assert labels.skeleton.joints == ("nose", "tail")
    assert [person.filename for person in labels.people[WHOLE]] == ["img0.png", "img2.png"]
    np.testing.assert_array_equal(labels.people[WHOLE][1].points, [[12, 22], [32.5, 42]])
    assert labels.images == path.parent.resolve()


def test_a_whole_deeplabcut_project(tmp_path: Path):
    write_deeplabcut(tmp_path)
    config = tmp_path / "config.yaml"
    config.write_text("Task: t\nscorer: me\nbodyparts: [nose, tail]\nskeleton: [[nose, tail]]\n")
    labels = sleap.read(config)
    assert (len(labels.people[WHOLE]), labels.skeleton.bones) == (2, ((0, 1),))


def test_deeplabcut_with_a_picture_missing_is_refused(tmp_path: Path):
    path = write_deeplabcut(tmp_path)
    os.remove(path.parent / "img0.png")
    with pytest.raises(ValueError, match=r"has 3 rows for pictures beside .*, but 2 of them are"):
        sleap.read(path)


def test_deeplabcut_without_pictures_is_refused(tmp_path: Path):
    path = tmp_path / "CollectedData_me.csv"
    path.write_text(DEEPLABCUT)
    with pytest.raises(ValueError, match="holds no labelled frame whose picture is there"):
        sleap.read(path)


def test_what_the_library_cannot_read(tmp_path: Path):
    path = tmp_path / "labels.slp"
    path.write_bytes(b"no project")
    with pytest.raises(ValueError, match="sleap-io cannot read it"):
        sleap.read(path)


def test_without_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    real = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "sleap_io":
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ValueError, match=r"pip install 'hourglass-pose\[labels\]'"):
        sleap.read(tmp_path / "a.slp")
