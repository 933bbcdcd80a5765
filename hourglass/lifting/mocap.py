"""Recorded motion as clips of the body's 17 joints, in millimetres, whatever file it came from.

A clip stays in the recording's world, y up; cameras are `hourglass.lifting.cameras`'s.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hourglass.core.errors import InputError
from hourglass.core.files import replacing
from hourglass.lifting.body import BODY
from hourglass.lifting.bvh import positions, read_bvh
from hourglass.lifting.rigs import body_of

UNITS = {"m": 1000.0, "cm": 10.0, "mm": 1.0, "in": 25.4, "cmu": 25.4 / 0.45}
"""Millimetres per unit. CMU's skeletons are in inches, scaled by 0.45."""

HEIGHTS = (1150.0, 2300.0)
"""A person's height, mm. No two units are nearer than a factor 2, so that one unit fits at most."""

SHORTEST_BONE = 5.0
"""Millimetres; a shorter bone of the body means that a rig was read wrong."""

RATE = 30.0
"""Frames per second that are kept: more show the same poses again."""

H36M_32 = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)
"""Where the 17 joints stand among Human3.6M's 32."""

H36M_MEMBER = "positions_3d"
"""The one array in `data_3d_h36m.npz`, a pickled dictionary of subjects and their clips."""

SUFFIXES = (".bvh", ".npz", ".npy")

CMU_NAME = re.compile(r"(\d+)_\d+")
BANDAI_NAME = re.compile(r"(dataset-\d+)_([^_]+)_[^_]+_\d+")


@dataclass(frozen=True, eq=False)
class Clip:
    """One recording.

    Attributes:
        points: (F, 17, 3) float32 on `BODY`, mm, y up.
        subject: Who moves.
        action: What they do.
        name: The recording's own.
        rate: Frames per second.
    """

    points: np.ndarray
    subject: str
    action: str
    name: str
    rate: float


def find_files(source: Path) -> list[Path]:
    """The motion files of a folder and the folders in it, or the one file.

    Raises:
        ValueError: If there is none.
    """
    if not source.exists():
        raise InputError(f"{source}: no such file or folder")
    inside = source.rglob("*") if source.is_dir() else iter([source])
    found = sorted(path for path in inside if path.suffix.lower() in SUFFIXES)
    if not found:
        raise InputError(f"{source}: no motion file, its name must end in .bvh, .npz or .npy")
    return found


def read_clips(path: Path, *, unit: str | None = None, up: str | None = None) -> list[Clip]:
    """The clips of one file.

    Args:
        path: A BVH file; an array (F, 17, 3) in a `.npy` or, named `points`, in a `.npz` file; or
            Human3.6M's `data_3d_h36m.npz`.
        unit: One of `UNITS`; None: the one in which the person has a person's height.
        up: `y` or `z`, the axis that points up; None: y, and z in Human3.6M's file.

    Raises:
        ValueError: If the file cannot be used; says why.
    """
    suffix = path.suffix.lower()
    if suffix == ".bvh":
        motion = read_bvh(path)
        points = body_of(motion.names, positions(motion), where=str(path))
        subject, action = _who_and_what(path)
        recordings = [(points, subject, action, path.stem, 1 / motion.frame_time, "y")]
    elif suffix == ".npz" and H36M_MEMBER in _members(path):
        recordings = [
            (points, subject, re.sub(r" \d+$", "", clip), clip, 50.0, "z")
            for subject, clip, points in _read_h36m(path)
        ]
    else:
        subject, action = _who_and_what(path)
        recordings = [(_read_array(path), subject, action, path.stem, RATE, "y")]
    clips = []
    for points, subject, action, name, rate, axis in recordings:
        where = f"{path}: {name}"
        checked = to_millimetres(_upright(points, up or axis), unit=unit, where=where)
        step = max(1, round(rate / RATE))
        clips.append(Clip(checked[::step], subject, action, name, rate / step))
    return clips


def _who_and_what(path: Path) -> tuple[str, str]:
    """Subject and action, from the names of the file and its folder."""
    if match := CMU_NAME.fullmatch(path.stem):
        return f"cmu {match[1]}", path.parent.name
    if match := BANDAI_NAME.fullmatch(path.stem):
        return match[1], match[2]
    return path.parent.name, re.sub(r"[\W\d_]+$", "", path.stem) or path.stem


def _members(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not an .npz file, or a damaged one ({error})") from error


def _read_array(path: Path) -> np.ndarray:
    try:
        stored = np.load(path, allow_pickle=False)
        if isinstance(stored, np.lib.npyio.NpzFile):
            with stored:
                if "points" not in stored.files:
                    raise InputError(f"no array 'points' inside, but {', '.join(stored.files)}")
                points = stored["points"]
        else:
            points = stored
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    return _require_body(points, where=str(path))


def _require_body(points: np.ndarray, *, where: str) -> np.ndarray:
    shape = (len(BODY.joints), 3)
    if points.ndim != 3 or points.shape[1:] != shape or not len(points):
        raise InputError(
            f"{where}: an array {points.shape}, it must be (F, {shape[0]}, 3) with the joints "
            f"{', '.join(BODY.joints)}"
        )
    return points


class _NumpyUnpickler(pickle.Unpickler):
    """Opens a pickle that holds numpy arrays and nothing that could run."""

    ALLOWED = frozenset({"_reconstruct", "ndarray", "dtype", "scalar", "_codecs.encode"})

    def find_class(self, module: str, name: str) -> Any:
        """The class or function of that name, if it is numpy's and harmless."""
        full = f"{module}.{name}" if module == "_codecs" else name
        if (module.split(".")[0] in ("numpy", "_codecs")) and full in self.ALLOWED:
            return super().find_class(module, name)
        raise InputError(f"it names {module}.{name}, only numpy arrays are opened")


def _read_h36m(path: Path) -> Iterator[tuple[str, str, np.ndarray]]:
    """Subject, clip and points (F, 17, 3), m, of `data_3d_h36m.npz` (Pavllo et al., CVPR 2019)."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{H36M_MEMBER}.npy") as file:
            version = np.lib.format.read_magic(file)
            reader = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            reader(file)
            content = _NumpyUnpickler(file).load().item()
        pairs = [
            (who, clip, array) for who, clips in content.items() for clip, array in clips.items()
        ]
    except (OSError, ValueError, AttributeError, pickle.UnpicklingError, EOFError) as error:
        raise InputError(f"{path}: not Human3.6M's layout ({error})") from error
    for subject, clip, array in pairs:
        joints = array[:, H36M_32, :3] if array.shape[1] == 32 else array
        yield str(subject), str(clip), _require_body(joints, where=f"{path}: {subject} {clip}")


def _upright(points: np.ndarray, up: str) -> np.ndarray:
    """y up, by a quarter turn about x."""
    return points if up == "y" else points[..., [0, 2, 1]] * np.array([1, 1, -1])


def to_millimetres(points: np.ndarray, *, unit: str | None, where: str) -> np.ndarray:
    """Checks a body and brings it to millimetres.

    Args:
        points: (F, 17, 3).
        unit: One of `UNITS`, or None to find it by the person's height.
        where: For error messages.

    Returns:
        (F, 17, 3) float32.

    Raises:
        ValueError: If a number is not finite, no unit fits, or two joints of a bone coincide.
    """
    broken = np.flatnonzero(~np.isfinite(points).all(axis=(1, 2)))
    if len(broken):
        raise InputError(f"{where}: frame {broken[0]} has a number that is not finite")
    lengths = bone_lengths(points)
    if unit is None:
        unit = _unit_of(_height(lengths), where=where)
    lengths = lengths * UNITS[unit]
    if lengths.min() < SHORTEST_BONE:
        parent, child = BODY.bones[int(lengths.argmin())]
        raise InputError(
            f"{where}: {BODY.joints[parent]} and {BODY.joints[child]} are {lengths.min():.1f} mm "
            f"apart, a bone has at least {SHORTEST_BONE:g}"
        )
    return (points * UNITS[unit]).astype(np.float32)


def bone_lengths(points: np.ndarray) -> np.ndarray:
    """Median length of each bone of `BODY` (16,) over frames (F, 17, 3)."""
    parents, children = np.array(BODY.bones).T
    lengths = np.linalg.norm(points[:, children] - points[:, parents], axis=-1)
    return np.median(lengths, axis=0)


def _height(lengths: np.ndarray) -> float:
    """From ankle to top of the head along the bones."""
    by_end = {
        BODY.joints[child]: length for (_, child), length in zip(BODY.bones, lengths, strict=True)
    }
    trunk = ("spine", "thorax", "neck", "head_top", "right_knee", "right_ankle")
    return float(sum(by_end[name] for name in trunk))


def _unit_of(height: float, *, where: str) -> str:
    for unit, millimetres in UNITS.items():
        if HEIGHTS[0] <= height * millimetres <= HEIGHTS[1]:
            return unit
    raise InputError(
        f"{where}: the person is {height:.4g} units tall, which is a person's height in none of "
        f"{', '.join(UNITS)}; say which with --unit"
    )


def save_clips(path: Path, clips: Sequence[Clip]) -> None:
    """Writes clips as one `.npz` file without pickles, whole or not at all, for `load_clips`."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file,
            points=np.concatenate([clip.points for clip in clips]),
            frames=np.array([len(clip.points) for clip in clips]),
            subjects=np.array([clip.subject for clip in clips]),
            actions=np.array([clip.action for clip in clips]),
            names=np.array([clip.name for clip in clips]),
            rates=np.array([clip.rate for clip in clips]),
            joints=np.array(BODY.joints),
        )


def load_clips(path: Path) -> list[Clip]:
    """The clips that `save_clips` wrote.

    Raises:
        ValueError: If the file is missing or is no such file.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            if tuple(stored["joints"]) != BODY.joints:
                raise InputError(f"its joints are {', '.join(stored['joints'])}")
            ends = np.cumsum(stored["frames"])
            points = np.split(stored["points"], ends[:-1])
            columns = (stored[name].tolist() for name in ("subjects", "actions", "names", "rates"))
            return [Clip(*values) for values in zip(points, *columns, strict=True)]
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not a file of tools.mocap ({error})") from error


def split(
    clips: Sequence[Clip], held_out: Sequence[str] = (), *, share: float = 0.2, seed: int = 0
) -> tuple[list[Clip], list[Clip]]:
    """Clips to train on and clips to score on, never two frames of one clip on both sides.

    Whole subjects are held out; of a single subject whole clips are.

    Args:
        clips: All of them.
        held_out: Subjects to score on; none named: some are drawn.
        share: Of the frames, at least, that those who are drawn have.
        seed: Draws them.

    Raises:
        ValueError: If there is only one clip, or a subject is unknown or the only one.
    """
    if len(clips) < 2:
        raise InputError(f"{len(clips)} clip, a split needs two or more")
    alone = len({clip.subject for clip in clips}) == 1
    groups: dict[str, list[Clip]] = {}
    for clip in clips:
        groups.setdefault(clip.name if alone and not held_out else clip.subject, []).append(clip)
    unknown = set(held_out) - groups.keys()
    if unknown or len(set(held_out)) == len(groups):
        raise InputError(
            f"subjects to hold out are {', '.join(held_out)}; there are {', '.join(sorted(groups))}"
            ", and one must be left to train on"
        )
    held = set(held_out) or _drawn(groups, share=share, seed=seed)
    train = [clip for name in sorted(groups) if name not in held for clip in groups[name]]
    return train, [clip for name in sorted(held) for clip in groups[name]]


def _drawn(groups: dict[str, list[Clip]], *, share: float, seed: int) -> set[str]:
    """Names of groups that together hold a share of the frames, but never all groups."""
    names = sorted(groups)
    frames = {name: sum(len(clip.points) for clip in groups[name]) for name in names}
    drawn: set[str] = set()
    for index in np.random.default_rng(seed).permutation(len(names))[:-1]:
        if sum(frames[name] for name in drawn) >= share * sum(frames.values()):
            break
        drawn.add(names[index])
    return drawn
