"""The reader of the Leeds Sports Pose sets, on small downloads made here."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from scipy.io import savemat

from hourglass.core.skeleton import MPII
from hourglass.data.readers import lsp
from tools.lsp import main

# One person in the download's order; every joint has its own place, so that no two can be swapped
# without being seen.
POSE = np.array(
    [
        [10.0, 160.0],  # right ankle
        [12.0, 130.0],  # right knee
        [20.0, 100.0],  # right hip
        [31.0, 103.0],  # left hip
        [33.0, 131.0],  # left knee
        [35.0, 161.0],  # left ankle
        [2.126, 95.0],  # right wrist
        [5.0, 75.0],  # right elbow
        [15.0, 55.0],  # right shoulder
        [36.0, 56.0],  # left shoulder
        [45.0, 76.0],  # left elbow
        [50.5, 96.0],  # left wrist
        [25.0, 50.0],  # neck
        [26.0, 21.0],  # head top
    ]
)
POSE_IN_MPII = [
    [10.0, 160.0],
    [12.0, 130.0],
    [20.0, 100.0],
    [31.0, 103.0],
    [33.0, 131.0],
    [35.0, 161.0],
    [25.5, 101.5],  # pelvis
    [25.5, 55.5],  # thorax
    [25.0, 50.0],
    [26.0, 21.0],
    [2.13, 95.0],
    [5.0, 75.0],
    [15.0, 55.0],
    [36.0, 56.0],
    [45.0, 76.0],
    [50.5, 96.0],
]
RIGHT_HIP, LEFT_SHOULDER, RIGHT_WRIST = 2, 9, 6  # in the download's order


def make_joints(count: int) -> np.ndarray:
    """(count, 14, 3): the same pose everywhere, moved 1 px right per picture, all flags 1."""
    joints = np.ones((count, 14, 3))
    joints[..., :2] = POSE
    joints[..., 0] += np.arange(count)[:, None]
    return joints


def write_pictures(root: Path, *, count: int, digits: int) -> None:
    (root / "images").mkdir(parents=True)
    for number in range(1, count + 1):
        (root / "images" / f"im{number:0{digits}d}.jpg").touch()


def write_lsp(root: Path, joints: np.ndarray) -> Path:
    write_pictures(root, count=len(joints), digits=4)
    savemat(root / "joints.mat", {"joints": joints.transpose(2, 1, 0)})
    return root


def write_extended(root: Path, joints: np.ndarray) -> Path:
    write_pictures(root, count=len(joints), digits=5)
    savemat(root / "joints.mat", {"joints": joints.transpose(1, 2, 0)})
    return root


def write_lists(folder: Path, train: str, validation: str) -> dict[str, Path]:
    lists = {"train_list": folder / "train.txt", "validation_list": folder / "validation.txt"}
    for path, text in zip(lists.values(), (train, validation), strict=True):
        path.write_text(text, encoding="utf-8")
    return lists


@pytest.fixture
def extended(tmp_path: Path) -> Path:
    return write_extended(tmp_path / "lspet", make_joints(4))


@pytest.fixture
def lists(tmp_path: Path) -> dict[str, Path]:
    return write_lists(tmp_path, "im00003.jpg\nim00001.jpg\n", "im00004.jpg\n")


def read(path: Path) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return entries


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


# ------------------------------------------------------------------------------------- values


def test_a_person_becomes_an_entry_of_mpii(tmp_path: Path) -> None:
    root = write_lsp(tmp_path / "lsp", make_joints(2))

    lsp.convert(root, tmp_path / "out")

    assert read(tmp_path / "out" / "train.json") == [
        {
            "image": "im0001.jpg",
            "joints": POSE_IN_MPII,
            "joints_vis": [1] * 16,
            # Box x 2.126 to 50.5, y 21 to 161; up by 15 * 0.75.
            "center": [26.31, 79.75],
            "scale": 0.75,
        }
    ]


def test_every_joint_keeps_its_name() -> None:
    points, _ = lsp.to_mpii(POSE, np.ones(14, bool))

    for index, joint in enumerate(lsp.LSP_JOINTS):
        assert points[MPII.index(joint)].tolist() == POSE[index].tolist(), joint


def test_an_unlabelled_joint_is_marked_and_takes_its_midpoint_along(
    tmp_path: Path, lists: dict[str, Path]
) -> None:
    joints = make_joints(4)
    joints[0, RIGHT_HIP] = (np.nan, 7.0, 0.0)  # what stands there without a label is no coordinate
    joints[0, LEFT_SHOULDER] = (-250.0, -9.0, 0.0)
    root = write_extended(tmp_path / "lspet", joints)

    lsp.convert(root, tmp_path / "out", **lists)

    entry = read(tmp_path / "out" / "train.json")[1]
    gone = [MPII.index(joint) for joint in ("right_hip", "pelvis", "thorax", "left_shoulder")]
    assert [entry["joints"][index] for index in gone] == [[-1.0, -1.0]] * 4
    assert entry["joints_vis"] == [int(index not in gone) for index in range(16)]
    assert entry["joints"][0] == POSE_IN_MPII[0]


def test_the_center_knows_labelled_joints_only() -> None:
    labelled: np.ndarray = np.ones(14, bool)
    labelled[RIGHT_WRIST] = False

    center = lsp.find_center(*lsp.to_mpii(POSE, labelled))

    # Without the wrist the box begins at the right elbow, x 5.
    assert center == pytest.approx([(5.0 + 50.5) / 2, (21.0 + 161.0) / 2 - 11.25])


def test_the_third_row_of_lsp_is_occlusion_and_hides_nothing(tmp_path: Path) -> None:
    joints = make_joints(2)
    joints[:, :7, 2] = 0
    root = write_lsp(tmp_path / "lsp", joints)

    lsp.convert(root, tmp_path / "out")

    assert read(tmp_path / "out" / "train.json")[0]["joints_vis"] == [1] * 16


def test_whole_numbers_in_the_array_are_read_too(tmp_path: Path) -> None:
    root = write_lsp(tmp_path / "lsp", make_joints(2).astype(np.uint8))

    lsp.convert(root, tmp_path / "out")

    assert read(tmp_path / "out" / "train.json")[0]["joints"][6] == [25.5, 101.5]


# -------------------------------------------------------------------------------------- split


def test_lsp_is_split_in_halves(tmp_path: Path) -> None:
    root = write_lsp(tmp_path / "lsp", make_joints(6))

    summary = lsp.convert(root, tmp_path / "out")

    train, validation = (read(tmp_path / "out" / f"{n}.json") for n in ("train", "validation"))
    assert [entry["image"] for entry in train] == ["im0001.jpg", "im0002.jpg", "im0003.jpg"]
    assert [entry["image"] for entry in validation] == ["im0004.jpg", "im0005.jpg", "im0006.jpg"]
    assert validation[0]["joints"][0] == [13.0, 160.0]
    assert (summary.name, summary.left_out) == ("LSP", 0)


def test_lists_choose_and_order_the_pictures(
    tmp_path: Path, extended: Path, lists: dict[str, Path]
) -> None:
    summary = lsp.convert(extended, tmp_path / "out", **lists)

    train, validation = (read(tmp_path / "out" / f"{n}.json") for n in ("train", "validation"))
    assert [entry["image"] for entry in train] == ["im00003.jpg", "im00001.jpg"]
    assert [entry["joints"][0][0] for entry in train] == [12.0, 10.0]
    assert [entry["image"] for entry in validation] == ["im00004.jpg"]
    assert summary == lsp.Summary(
        name="LSP-extended",
        train=2,
        validation=1,
        left_out=1,
        output=tmp_path / "out",
        images=extended / "images",
    )


def test_lists_may_choose_from_lsp_too(tmp_path: Path) -> None:
    root = write_lsp(tmp_path / "lsp", make_joints(3))
    lists = write_lists(tmp_path, "im0003.jpg\n", "im0001.jpg\n")

    lsp.convert(root, tmp_path / "out", **lists)

    assert read(tmp_path / "out" / "train.json")[0]["image"] == "im0003.jpg"


def test_lists_from_other_editors_are_read(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes("\ufeffim00001.jpg\r\n\r\n im00002.jpg \r\n".encode())

    assert lsp.read_list(path) == ("im00001.jpg", "im00002.jpg")


def test_the_projects_lists_are_the_default_for_lsp_extended() -> None:
    images = tuple(f"im{number:05d}.jpg" for number in range(1, 10001))
    download = lsp.Download("LSP-extended", images, np.zeros((0, 14, 2)), np.zeros((0, 14), bool))

    parts = lsp.choose_split(download)

    splits = lsp.SPLITS
    assert parts == {
        part: tuple((splits / f"lspet_{part}.txt").read_text(encoding="utf-8").splitlines())
        for part in ("train", "validation")
    }


def test_the_projects_lists_are_whole() -> None:
    train, validation = lsp.read_list(lsp.TRAIN_LIST), lsp.read_list(lsp.VALIDATION_LIST)

    assert (len(train), len(validation)) == (6915, 800)
    assert not set(train) & set(validation)
    for name in train + validation:
        match = re.fullmatch(r"im(\d{5})\.jpg", name)
        assert match, name
        assert 1 <= int(match[1]) <= 10000, name
    # The order is part of the split: shards are cut in it.
    assert (train[0], validation[0]) == ("im06327.jpg", "im06067.jpg")


# --------------------------------------------------------------------------------------- door


def test_the_command_says_what_it_did_and_what_comes_next(
    tmp_path: Path, lists: dict[str, Path]
) -> None:
    root = write_extended(tmp_path / "with space", make_joints(4))
    output = tmp_path / "new" / "out"

    result = run(
        *("--root", root, "--output", output),
        *("--train-list", lists["train_list"], "--validation-list", lists["validation_list"]),
    )

    assert result.exit_code == 0, result.output
    assert result.output == (
        f"LSP-extended: 2 people in {output}/train.json, 1 in {output}/validation.json; "
        "pictures left out, being in neither: 1\n"
        f"Next: python -m hourglass.build --annotations {output} "
        f"--images '{root}/images'\n"
    )


def test_the_files_lie_beside_the_download_unless_told(tmp_path: Path) -> None:
    root = write_lsp(tmp_path / "lsp", make_joints(2))

    assert run("--root", root).exit_code == 0
    assert sorted(path.name for path in root.iterdir()) == [
        "images",
        "joints.mat",
        "train.json",
        "validation.json",
    ]


def test_help_tells_every_default() -> None:
    text = run("--help").output

    assert "[required]" in text
    assert text.count("Default:") == 3


def test_a_fault_is_one_line(tmp_path: Path) -> None:
    result = run("--root", tmp_path / "nowhere")

    assert result.exit_code == 1
    assert result.output == (
        f"Error: {tmp_path / 'nowhere'} is not a folder; it must be the unpacked download of LSP\n"
    )


# ------------------------------------------------------------------------------------- faults


def test_a_download_without_joints_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"joints\.mat is missing"):
        lsp.convert(tmp_path, tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"<html>404 not found</html>" * 20, b"PK\3\4" + bytes(99)]
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "joints.mat").write_bytes(content)

    with pytest.raises(
        ValueError, match=r"joints\.mat cannot be read as a MATLAB file \(\w+: .+\)"
    ):
        lsp.convert(tmp_path, tmp_path)


def test_a_download_cut_short_is_refused(extended: Path) -> None:
    path = extended / "joints.mat"
    whole = path.read_bytes()
    for length in (60, 130, len(whole) // 2):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="cannot be read as a MATLAB file"):
            lsp.read_download(extended)


def test_another_array_is_refused(tmp_path: Path) -> None:
    savemat(tmp_path / "joints.mat", {"poses": np.zeros((14, 3, 5))})

    with pytest.raises(ValueError, match=r"joints\.mat holds no array named 'joints'"):
        lsp.convert(tmp_path, tmp_path)


@pytest.mark.parametrize(
    ("joints", "found"),
    [
        (np.zeros((14, 3)), r"shape \(14, 3\) of float64"),
        (np.zeros((5, 14, 3)), r"shape \(5, 14, 3\) of float64"),
        (np.zeros((3, 14, 1)), r"shape \(3, 14, 1\) of float64"),
        (np.zeros((14, 3, 4), complex), r"shape \(14, 3, 4\) of complex128"),
        ("text", r"shape \(1,\) of <U4"),
    ],
)
def test_another_shape_is_refused(tmp_path: Path, joints: np.ndarray | str, found: str) -> None:
    savemat(tmp_path / "joints.mat", {"joints": joints})

    with pytest.raises(ValueError, match=f"'joints' has {found}; allowed are numbers of shape"):
        lsp.convert(tmp_path, tmp_path)


def test_a_flag_that_is_no_number_is_refused(tmp_path: Path) -> None:
    joints = make_joints(4)
    joints[1, 3, 2] = np.nan
    root = write_extended(tmp_path / "lspet", joints)

    with pytest.raises(ValueError, match=r"joints\.mat: a flag .* is not a number"):
        lsp.read_download(root)


def test_a_missing_picture_is_named(tmp_path: Path, extended: Path, lists: dict[str, Path]) -> None:
    (extended / "images" / "im00002.jpg").unlink()  # in no list: nobody needs it
    lsp.convert(extended, tmp_path / "out", **lists)
    (extended / "images" / "im00004.jpg").unlink()

    with pytest.raises(ValueError, match=r"1 of the 3 pictures .* first .*images/im00004\.jpg"):
        lsp.convert(extended, tmp_path / "out", **lists)


@pytest.mark.parametrize(
    ("train", "validation", "message"),
    [
        ("", "im00002.jpg", r"train\.txt is empty"),
        ("im00001.jpg", "\n \n", r"validation\.txt is empty"),
        ("im00001.jpg\nim00001.jpg", "im00002.jpg", r"train\.txt names im00001\.jpg 2 times"),
        ("im00001.jpg", "im00001.jpg", r"in both .*: 1, first im00001\.jpg"),
        (
            "im00001.jpg",
            "im00005.jpg\nx",
            r"validation\.txt: 2 of 2 names .* first 'im00005\.jpg'; it is LSP-extended with the 4",
        ),
    ],
)
def test_lists_that_do_not_fit_are_refused(
    tmp_path: Path, extended: Path, train: str, validation: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        lsp.convert(extended, tmp_path / "out", **write_lists(tmp_path, train, validation))
    assert not (tmp_path / "out").exists()


def test_a_list_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(ValueError, match=r"none\.txt cannot be read: No such file"):
        lsp.read_list(tmp_path / "none.txt")
    with pytest.raises(ValueError, match=r"binary\.txt is not UTF-8 text"):
        lsp.read_list(tmp_path / "binary.txt")


def test_one_list_alone_is_refused(tmp_path: Path, extended: Path, lists: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match="a list for training was given without one for valid"):
        lsp.convert(extended, tmp_path, train_list=lists["train_list"])
    with pytest.raises(ValueError, match="a list for validation was given without one for train"):
        lsp.convert(extended, tmp_path, validation_list=lists["validation_list"])


def test_a_person_without_a_box_is_named(tmp_path: Path, lists: dict[str, Path]) -> None:
    joints = make_joints(4)
    joints[1, :, 2] = 0  # in no list
    joints[2, 1:, 2] = 0
    root = write_extended(tmp_path / "lspet", joints)

    with pytest.raises(ValueError, match=r"im00003\.jpg: labelled joints: 1; .* at least 2"):
        lsp.convert(root, tmp_path / "out", **lists)
    joints[2, 1, 2] = 1
    savemat(root / "joints.mat", {"joints": joints.transpose(1, 2, 0)})
    assert lsp.convert(root, tmp_path / "out", **lists).train == 2


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_labelled_joint_must_be_somewhere(
    tmp_path: Path, lists: dict[str, Path], value: float
) -> None:
    joints = make_joints(4)
    joints[3, RIGHT_WRIST, 1] = value
    root = write_extended(tmp_path / "lspet", joints)

    with pytest.raises(
        ValueError, match=rf"im00004\.jpg: joint right_wrist is labelled at \(5\.126, {value}\)"
    ):
        lsp.convert(root, tmp_path / "out", **lists)
    assert not (tmp_path / "out").exists()


def test_the_original_size_edition_is_refused(tmp_path: Path) -> None:
    joints = make_joints(2)
    joints[..., :2] *= 4
    root = write_lsp(tmp_path / "lsp", joints)

    with pytest.raises(ValueError, match=r"people span 560 px .* original-size edition"):
        lsp.convert(root, tmp_path / "out")


def test_an_output_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    root = write_lsp(tmp_path / "lsp", make_joints(2))
    (tmp_path / "file").touch()

    with pytest.raises(ValueError, match=r"file/train\.json: cannot be written \((File|Not a)"):
        lsp.convert(root, tmp_path / "file")


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "train.json").mkdir()

    with pytest.raises(ValueError, match=r"train\.json: cannot be written \(Is a directory"):
        lsp.write_json(tmp_path / "train.json", [])
    assert [entry.name for entry in tmp_path.iterdir()] == ["train.json"]


def test_a_file_is_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "train.json"
    path.write_text("old", encoding="utf-8")

    def fail(source: Path, target: Path) -> None:
        assert read(source) == [{"a": 1}]
        assert target.read_text(encoding="utf-8") == "old"
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fail)
        with pytest.raises(ValueError, match="No space left on device"):
            lsp.write_json(path, [{"a": 1}])
    assert path.read_text(encoding="utf-8") == "old"

    lsp.write_json(path, [{"a": 1}])
    assert read(path) == [{"a": 1}]
    assert [entry.name for entry in tmp_path.iterdir()] == ["train.json"]
