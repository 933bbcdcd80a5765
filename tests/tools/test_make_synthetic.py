"""The synthetic set: its layout, its truthfulness, and what it says about wrong input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from hourglass.core.skeleton import MPII
from hourglass.data.synthetic.figures import Part, Texture
from hourglass.data.synthetic.painting import draw_part
from hourglass.data.synthetic.scenes import Scene, draw_person, make_synthetic
from tools.make_synthetic import main

SIZE = 260


def read_bytes(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("synthetic")
    make_synthetic(output, train=120, validation=10, seed=0)
    return output


@pytest.fixture(scope="module")
def people(folder: Path) -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = []
    for split in ("train", "validation"):
        loaded += json.loads((folder / "annotations" / f"{split}.json").read_text())
    return loaded


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [draw_person(0, "train", index=index) for index in range(120)]


# Layout


def test_one_entry_per_picture_in_mpii_layout(folder: Path, people: list[dict[str, Any]]) -> None:
    names = [person["image"] for person in people]
    assert names[0] == "train_00000.jpg"
    assert names[-1] == "validation_00009.jpg"
    assert sorted(names) == sorted(path.name for path in (folder / "images").iterdir())
    for person in people:
        assert set(person) == {"image", "joints", "joints_vis", "center", "scale"}
        assert np.shape(person["joints"]) == (16, 2)
        assert np.shape(person["center"]) == (2,)
        assert len(person["joints_vis"]) == 16
        assert set(person["joints_vis"]) <= {0, 1}


def test_unlabelled_marker_goes_with_visibility_0(people: list[dict[str, Any]]) -> None:
    joints = np.array([person["joints"] for person in people])
    labelled = np.array([person["joints_vis"] for person in people]) == 1
    assert np.array_equal(np.all(joints == -1.0, axis=-1), ~labelled)
    assert 0.02 < np.mean(~labelled) < 0.2


def test_labelled_joints_lie_inside_the_picture(folder: Path, people: list[dict[str, Any]]) -> None:
    for person in people:
        image = cv2.imread(str(folder / "images" / person["image"]))
        assert image is not None
        assert max(image.shape) <= SIZE
        joints = np.array(person["joints"])[np.array(person["joints_vis"]) == 1]
        assert np.all(joints >= 1.0)
        assert np.all(joints <= image.shape[1::-1])


def test_json_is_one_based_with_the_raised_center(
    people: list[dict[str, Any]], scenes: list[Scene]
) -> None:
    for person, scene in zip(people, scenes, strict=False):
        joints = np.array(person["joints"])[scene.labelled]
        np.testing.assert_allclose(joints, scene.points[scene.labelled] + 1.0, atol=0.01)
        raised = scene.center + np.array([1.0, 1.0 - 15.0 * person["scale"]])
        np.testing.assert_allclose(person["center"], raised, atol=0.01)


def test_roi_holds_the_person(people: list[dict[str, Any]]) -> None:
    held = []
    for person in people:
        middle = np.array(person["center"]) + np.array([0.0, 15.0 * person["scale"]])
        joints = np.array(person["joints"])[np.array(person["joints_vis"]) == 1]
        held.append(np.all(np.abs(joints - middle) <= 125.0 * person["scale"], axis=1))
    assert np.mean(np.concatenate(held)) >= 0.97


def test_scale_is_the_standing_height(scenes: list[Scene]) -> None:
    chain = ["head_top", "upper_neck", "thorax", "pelvis", "right_hip", "right_knee", "right_ankle"]
    order = [MPII.index(name) for name in chain]
    bones = [np.linalg.norm(np.diff(scene.points[order], axis=0), axis=1) for scene in scenes]
    # Pelvis to hip is sideways; the bones may look shorter than they are, and never longer.
    heights = np.delete(bones, 3, axis=1).sum(axis=1) / [200.0 * scene.scale for scene in scenes]
    assert 0.9 < heights.max() < 0.97
    assert np.median(heights) > 0.8


# Pictures


def test_a_drawn_shape_lies_at_its_coordinates() -> None:
    white = Texture("gradient", np.full(3, 255.0), np.full(3, 255.0))
    corner = np.array([20.3, 14.7])
    image = np.zeros((40, 50, 3), np.float32)
    part = Part(np.stack([corner, corner]), np.array([5.0, 5.0]), white)
    draw_part(image, part, rng=np.random.default_rng(0))
    y, x = np.mgrid[:40, :50]
    mass = image[..., 0]
    centroid = [(mass * x).sum() / mass.sum(), (mass * y).sum() / mass.sum()]
    np.testing.assert_allclose(centroid, corner, atol=0.02)


def test_joints_lie_on_limbs_of_their_sides_looks(
    folder: Path, people: list[dict[str, Any]], scenes: list[Scene]
) -> None:
    warmth: dict[str, list[float]] = {"right": [], "left": []}
    for person, scene in zip(people, scenes, strict=False):
        image = cv2.imread(str(folder / "images" / person["image"]))
        assert image is not None
        for side, values in warmth.items():
            for joint in ("knee", "ankle", "elbow"):
                index = MPII.index(f"{side}_{joint}")
                if scene.labelled[index] and not scene.hidden[index]:
                    x, y = np.round(np.array(person["joints"][index]) - 1.0).astype(int)
                    patch = image[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].mean(axis=(0, 1))
                    values.append(patch[2] - patch[0])
    assert min(len(values) for values in warmth.values()) > 200
    assert np.mean(np.array(warmth["right"]) > 0.0) > 0.97
    assert np.mean(np.array(warmth["left"]) < 0.0) > 0.97


def test_right_appears_on_either_side_of_the_picture(scenes: list[Scene]) -> None:
    right, left = MPII.index("right_shoulder"), MPII.index("left_shoulder")
    crossed = np.mean([scene.points[right, 0] > scene.points[left, 0] for scene in scenes])
    assert 0.25 < crossed < 0.55


def test_some_hidden_joints_stay_labelled_and_others_do_not(scenes: list[Scene]) -> None:
    hidden = np.concatenate([scene.hidden for scene in scenes])
    labelled = np.concatenate([scene.labelled for scene in scenes])
    assert 0.03 < hidden.mean() < 0.25
    assert 0.5 < labelled[hidden].mean() < 0.85


def test_some_people_are_cut_by_the_picture(scenes: list[Scene]) -> None:
    outside = [
        np.any((scene.points < 0.0) | (scene.points > np.array(scene.image.shape[1::-1]) - 1.0))
        for scene in scenes
    ]
    assert 0.05 < np.mean(outside) < 0.3


# Determinism


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("one", 3), ("two", 3), ("other", 4)):
        make_synthetic(tmp_path / name, train=3, validation=2, seed=seed)
    one, two, other = (read_bytes(tmp_path / name) for name in ("one", "two", "other"))
    assert len(one) == 7
    assert one == two
    assert all(one[name] != other[name] for name in one)


def test_a_person_depends_on_seed_split_and_index_only(tmp_path: Path) -> None:
    make_synthetic(tmp_path / "few", train=2, validation=2, seed=5)
    make_synthetic(tmp_path / "more", train=4, validation=2, seed=5)
    few, more = read_bytes(tmp_path / "few"), read_bytes(tmp_path / "more")
    assert all(few[name] == more[name] for name in few if name.endswith(".jpg"))
    assert few["images/train_00000.jpg"] != few["images/validation_00000.jpg"]


def test_a_set_can_be_drawn_over_an_older_one(tmp_path: Path) -> None:
    make_synthetic(tmp_path / "fresh", train=2, validation=1, seed=1)
    make_synthetic(tmp_path / "again", train=2, validation=1, seed=0)
    make_synthetic(tmp_path / "again", train=2, validation=1, seed=1)
    assert read_bytes(tmp_path / "again") == read_bytes(tmp_path / "fresh")


def test_a_run_cut_short_leaves_no_older_annotations_over_new_pictures(tmp_path: Path) -> None:
    make_synthetic(tmp_path, train=2, validation=1, seed=0)
    (tmp_path / "images" / "train_00001.jpg").unlink()
    (tmp_path / "images" / "train_00001.jpg").mkdir()
    with pytest.raises(ValueError, match="train_00001"):
        make_synthetic(tmp_path, train=2, validation=1, seed=1)
    assert not (tmp_path / "annotations" / "train.json").exists()


# Command line


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    return result.exit_code, result.output


def test_the_command_ends_with_a_summary(tmp_path: Path) -> None:
    output = tmp_path / "set"
    code, text = run("--output", output, "--train", 2, "--validation", 1)
    assert code == 0
    assert text == f"2 training and 1 validation pictures in {output}\n"


@pytest.mark.parametrize(
    ("option", "value", "least"),
    [("--train", 0, 1), ("--validation", -3, 1), ("--seed", -1, 0), ("--size", 63, 64)],
)
def test_numbers_out_of_range_are_told(tmp_path: Path, option: str, value: int, least: int) -> None:
    code, text = run("--output", tmp_path / "set", option, value)
    assert code == 1
    assert f"{option}: received {value}, but at least {least} is needed" in text
    assert not (tmp_path / "set").exists()


def test_an_output_that_is_a_file_is_told(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("kept")
    code, text = run("--output", file)
    assert code == 1
    assert f"--output: {file} is a file; a folder, or the name of a new one, is needed" in text
    assert file.read_text() == "kept"


def test_an_output_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "images").write_text("in the way")
    code, text = run("--output", tmp_path, "--train", 1, "--validation", 1)
    assert code == 1
    assert f"--output: cannot write to {tmp_path / 'images'} (File exists)" in text
    assert "a folder that can be written is needed" in text
