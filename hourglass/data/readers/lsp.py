"""Reader of the Leeds Sports Pose sets: the public download becomes MPII's JSON layout.

Two sets share one folder layout (`images/` and `joints.mat`) and differ in how the array `joints`
lies, which tells them apart:

- LSP (Johnson & Everingham, "Clustered Pose and Nonlinear Appearance Models for Human Pose
  Estimation", BMVC 2010): (3, 14, 2000), pictures `im0001.jpg` on. Every joint is labelled; the
  third row is occlusion, which MPII's layout does not carry. The first 1000 are for training, the
  last 1000 for testing.
- LSP-extended (Johnson & Everingham, "Learning Effective Human Pose Estimation from Inaccurate
  Annotation", CVPR 2011): (14, 3, 10000), pictures `im00001.jpg` on. The third column is 1 where a
  joint is labelled, 0 where it is not. The set has no split of its own; the lists
  `splits/lspet_train.txt` and `splits/lspet_validation.txt` are this project's.

Relied on, from the sets' own notes: the order of the 14 joints; left and right are the person's;
pictures are scaled until a person is about 150 px tall (the "original size" edition of LSP and the
high-resolution edition of LSP-extended are not). Coordinates are taken as counted from 1, as MATLAB
and MPII count.

What the sets lack is made here, the same way for everyone: pelvis and thorax are the midpoints of
hips and of shoulders; `scale` is 150 px / 200 px = 0.75; `center` is the middle of the box around
the labelled joints, moved 15 * `scale` px up, because readers of MPII's files move it down again.
"""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hourglass.core.errors import InputError
from hourglass.core.files import write_error, write_file
from hourglass.core.geometry import REFERENCE_HEIGHT
from hourglass.core.skeleton import MPII
from hourglass.data.readers.matlab import DamagedError, load
from hourglass.data.readers.mpii_json import CENTER_SHIFT

LSP_JOINTS = (
    "right_ankle",
    "right_knee",
    "right_hip",
    "left_hip",
    "left_knee",
    "left_ankle",
    "right_wrist",
    "right_elbow",
    "right_shoulder",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
    "upper_neck",
    "head_top",
)
"""The 14 joints in the order of the download, under MPII's names."""


MIDPOINTS = {
    "pelvis": ("right_hip", "left_hip"),
    "thorax": ("right_shoulder", "left_shoulder"),
}
"""MPII's joints that the sets lack, and the pair that each lies halfway between."""


PERSON_HEIGHT = 150.0  # px: what the sets' makers scaled their pictures to


SCALE = PERSON_HEIGHT / REFERENCE_HEIGHT


CENTER_LIFT = CENTER_SHIFT * SCALE


UNLABELLED = -1.0  # both coordinates of a joint without a label


SPLITS = Path(__file__).resolve().parent / "splits"


TRAIN_LIST = SPLITS / "lspet_train.txt"


VALIDATION_LIST = SPLITS / "lspet_validation.txt"


@dataclass(frozen=True)
class Download:
    """What a download holds, whichever of the two sets it is.

    Attributes:
        name: `"LSP"` or `"LSP-extended"`.
        images: N file names, in the order of the annotations.
        points: Joints (N, 14, 2) float64, in px counted from 1; anything where not labelled.
        labelled: (N, 14) bool.
    """

    name: str
    images: tuple[str, ...]
    points: np.ndarray
    labelled: np.ndarray


@dataclass(frozen=True)
class Summary:
    """What `convert` wrote, and where; as text, what to run next.

    Attributes:
        name: `"LSP"` or `"LSP-extended"`.
        train: People in `train.json`.
        validation: People in `validation.json`.
        left_out: Pictures of the download in neither.
        output: The folder of the two files.
        images: The folder of the pictures, which stay where they are.
    """

    name: str
    train: int
    validation: int
    left_out: int
    output: Path
    images: Path

    def __str__(self) -> str:
        """The counts, and the command that reads the two files."""
        folders = shlex.join(["--annotations", str(self.output), "--images", str(self.images)])
        return (
            f"{self.name}: {self.train} people in {self.output / 'train.json'}, "
            f"{self.validation} in {self.output / 'validation.json'}; "
            f"pictures left out, being in neither: {self.left_out}\n"
            f"Next: python -m hourglass.build {folders}"
        )


def convert(
    root: Path,
    output: Path,
    *,
    train_list: Path | None = None,
    validation_list: Path | None = None,
) -> Summary:
    """Writes `train.json` and `validation.json` in MPII's layout from a download of LSP.

    Args:
        root: The unpacked download: a folder with `joints.mat` and `images/`.
        output: The folder of the two files, made if missing.
        train_list: File names for training, one per line. None with `validation_list` None: the
            halves of LSP, or the project's lists of LSP-extended.
        validation_list: The same for validation.

    Returns:
        The counts and folders.

    Raises:
        ValueError: If the download or a list is not as it must be, or `output` cannot be written.
            A fault of the download or of a list is found before anything is written.
    """
    download = read_download(root)
    parts = choose_split(download, train_list=train_list, validation_list=validation_list)
    check_pictures(root / "images", [name for part in parts.values() for name in part])
    people = {part: make_people(download, names) for part, names in parts.items()}
    for part, entries in people.items():
        write_json(output / f"{part}.json", entries)
    train, validation = len(people["train"]), len(people["validation"])
    return Summary(
        name=download.name,
        train=train,
        validation=validation,
        left_out=len(download.images) - train - validation,
        output=output,
        images=root / "images",
    )


def read_download(root: Path) -> Download:
    """Reads `root/joints.mat`; the shape of its array decides which set it is.

    Raises:
        ValueError: If the folder or the file is missing, or does not hold what either set holds.
    """
    if not root.is_dir():
        raise InputError(f"{root} is not a folder; it must be the unpacked download of LSP")
    path = root / "joints.mat"
    joints = read_joints(path)
    digits, name = (4, "LSP") if joints.shape[0] == 3 else (5, "LSP-extended")
    people = joints.transpose(2, 1, 0) if name == "LSP" else joints.transpose(2, 0, 1)
    flags = people[..., 2]
    if name == "LSP-extended" and np.isnan(flags).any():
        raise InputError(f"{path}: a flag that says whether a joint is labelled is not a number")
    return Download(
        name=name,
        images=tuple(f"im{number:0{digits}d}.jpg" for number in range(1, len(people) + 1)),
        points=people[..., :2],
        labelled=np.ones(flags.shape, bool) if name == "LSP" else flags > 0,
    )


def read_joints(path: Path) -> np.ndarray:
    """The array `joints` of a MATLAB file, float64, (3, 14, N) or (14, 3, N), N >= 2.

    Raises:
        ValueError: If there is no such file, or it holds no such array.
    """
    if not path.is_file():
        raise InputError(f"{path} is missing; it comes with the download")
    try:
        content = load(path, ["joints"])
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except DamagedError as error:
        raise InputError(f"{path} cannot be read as a MATLAB file ({error})") from error
    if "joints" not in content:
        raise InputError(f"{path} holds no array named 'joints'")
    joints = np.asarray(content["joints"])
    fits = joints.ndim == 3 and joints.shape[:2] in {(3, 14), (14, 3)} and joints.shape[2] >= 2
    if not fits or joints.dtype.kind not in "iuf":
        raise InputError(
            f"{path}: 'joints' has shape {joints.shape} of {joints.dtype}; allowed are numbers "
            "of shape (3, 14, N) for LSP or (14, 3, N) for LSP-extended, with N at least 2"
        )
    return joints.astype(np.float64)


def choose_split(
    download: Download, *, train_list: Path | None = None, validation_list: Path | None = None
) -> dict[str, tuple[str, ...]]:
    """File names under `"train"` and `"validation"`: from lists, or the halves of LSP.

    Raises:
        ValueError: If one list is given without the other, a list cannot be read, or they do not
            fit the download and each other.
    """
    if (train_list is None) != (validation_list is None):
        given, other = ("training", "validation") if train_list else ("validation", "training")
        raise InputError(f"a list for {given} was given without one for {other}; give both or none")
    if train_list is None and download.name == "LSP":
        half = len(download.images) // 2
        return {"train": download.images[:half], "validation": download.images[half:]}
    paths = {
        "train": train_list or TRAIN_LIST,
        "validation": validation_list or VALIDATION_LIST,
    }
    parts = {part: read_list(path) for part, path in paths.items()}
    for part, names in parts.items():
        check_names(download, names, source=paths[part])
    shared = set(parts["train"]) & set(parts["validation"])
    if shared:
        raise InputError(
            f"pictures in both {paths['train']} and {paths['validation']}: {len(shared)}, "
            f"first {min(shared)}; a picture is for training or for validation"
        )
    return parts


def read_list(path: Path) -> tuple[str, ...]:
    """The file names in a list: one per line, blank lines left out.

    Raises:
        ValueError: If the list is missing, is not text, is empty or names a picture twice.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(f"list {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"list {path} is not UTF-8 text") from error
    names = tuple(line.strip() for line in lines if line.strip())
    if not names:
        raise InputError(f"list {path} is empty; it must hold one file name per line")
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise InputError(f"list {path} names {name} {count} times; once is allowed")
    return names


def check_names(download: Download, names: Sequence[str], *, source: Path) -> None:
    """Raises ValueError if a list names what the download has no annotation for."""
    known = set(download.images)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(
            f"list {source}: {len(unknown)} of {len(names)} names are not in this download, "
            f"first {unknown[0]!r}; it is {download.name} with the {len(known)} pictures "
            f"{download.images[0]} to {download.images[-1]}"
        )


def check_pictures(folder: Path, names: Sequence[str]) -> None:
    """Raises ValueError if a picture that is to be used is not on disk."""
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise InputError(
            f"{len(missing)} of the {len(names)} pictures needed are missing, "
            f"first {folder / missing[0]}"
        )


def make_people(download: Download, names: Sequence[str]) -> list[dict[str, Any]]:
    """The entries of one JSON file, in the order of `names`.

    Raises:
        ValueError: If a person cannot be given a box, or people are far from 150 px tall.
    """
    position = {name: index for index, name in enumerate(download.images)}
    people, heights = [], []
    for name in names:
        index = position[name]
        check_person(name, download.points[index], download.labelled[index])
        points, labelled = to_mpii(download.points[index], download.labelled[index])
        people.append(make_person(name, points, labelled))
        heights.append(np.ptp(points[labelled], axis=0).max())
    check_height(float(np.median(heights)))
    return people


def check_person(image: str, points: np.ndarray, labelled: np.ndarray) -> None:
    """Raises ValueError if a person has no box: too few labelled joints, or one that is NaN."""
    if labelled.sum() < 2:
        raise InputError(
            f"{image}: labelled joints: {labelled.sum()}; a box needs at least 2, "
            "so take this picture off the list"
        )
    wrong = np.flatnonzero(labelled & ~np.isfinite(points).all(axis=-1))
    if wrong.size:
        x, y = points[wrong[0]]
        raise InputError(
            f"{image}: joint {LSP_JOINTS[wrong[0]]} is labelled at ({x:g}, {y:g}); "
            "both must be finite numbers"
        )


def check_height(median: float) -> None:
    """Raises ValueError if people are so large that a scale of 0.75 would be wrong for them."""
    # Poses bend, so people span less than their height: about 120 px in LSP-extended. Twice the
    # height is out of reach for the right edition and usual in the others.
    if median > 2 * PERSON_HEIGHT:
        raise InputError(
            f"people span {median:.0f} px (median), {PERSON_HEIGHT:.0f} px or less is expected: "
            "this seems to be the original-size edition, whose pictures are not scaled"
        )


def to_mpii(points: np.ndarray, labelled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One person's joints in MPII's order, with pelvis and thorax.

    Args:
        points: (14, 2) float px, in the order of `LSP_JOINTS`.
        labelled: (14,) bool.

    Returns:
        Points (16, 2) float64 px, -1 where not labelled, and labelled (16,) bool. A midpoint is
        labelled if both of its pair are.
    """
    order = [MPII.index(joint) for joint in LSP_JOINTS]
    full = np.full((len(MPII.joints), 2), UNLABELLED)
    seen: np.ndarray = np.zeros(len(MPII.joints), bool)
    full[order] = np.where(labelled[:, None], points, UNLABELLED)
    seen[order] = labelled
    for middle, (right, left) in MIDPOINTS.items():
        pair = [MPII.index(right), MPII.index(left)]
        if seen[pair].all():
            full[MPII.index(middle)] = full[pair].mean(axis=0)
            seen[MPII.index(middle)] = True
    return full, seen


def make_person(image: str, points: np.ndarray, labelled: np.ndarray) -> dict[str, Any]:
    """One entry of MPII's JSON, from (16, 2) px and (16,) bool in MPII's order."""
    return {
        "image": image,
        "joints": points.round(2).tolist(),
        "joints_vis": labelled.astype(int).tolist(),
        "center": find_center(points, labelled).round(2).tolist(),
        "scale": SCALE,
    }


def find_center(points: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """MPII's `center` (2,) px: the middle of the labelled joints' box, moved 15 * scale px up."""
    box = points[labelled]
    return (box.min(axis=0) + box.max(axis=0)) / 2 - (0.0, CENTER_LIFT)


def write_json(path: Path, entries: Sequence[dict[str, Any]]) -> None:
    """Writes a JSON file whole or not at all.

    Raises:
        ValueError: If it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(path, error) from error
    write_file(path, json.dumps(entries, allow_nan=False))
