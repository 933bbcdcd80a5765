"""BVH files: a skeleton's bones and how its joints turn, read to positions and written from them.

The format is Biovision's: a tree of joints with offsets and channels, then one line of numbers per
frame. Names of rigs are `hourglass.lifting.rigs`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from hourglass.core.errors import InputError
from hourglass.lifting.body import BODY, PELVIS

END = "_end"
"""What follows a joint's name in the name of the end site that closes its branch."""

TURN = "_turn"
"""What follows a bone's end in the name of its turning point, where several bones meet."""

AXES = "XYZ"

CHANNEL_COUNTS = tuple("0123456")

EULER = "ZXY"
"""The order of the rotations in written files, capital as scipy's intrinsic ones."""

_DOWN, _UP, _LEFT, _RIGHT = np.array([[0, -1, 0], [0, 1, 0], [1, 0, 0], [-1, 0, 0]], float)

REST = {
    child: (
        _UP
        if BODY.joints[child] in ("spine", "thorax", "neck", "head_top")
        else _DOWN
        if BODY.joints[child].endswith(("knee", "ankle"))
        else _LEFT
        if BODY.joints[child].startswith("left")
        else _RIGHT
    )
    for _, child in BODY.bones
}
"""The direction of the bone that ends at each joint in the rest pose, a T facing +z."""

MILLIMETRES_PER_UNIT = 10.0
"""Written files are in centimetres, what programs for animation take BVH to be in."""


@dataclass(frozen=True, eq=False)
class Motion:
    """What a BVH file says.

    Attributes:
        names: The J joints, parents before children; an end site is its joint's name + `END`.
        parents: (J,) int64 position of each joint's parent; -1 for the root.
        offsets: (J, 3) from the parent, in the file's own unit.
        channels: For each joint the names of its channels in order, such as `Xrotation`.
        values: (F, C) the channels of all joints side by side; rotations in degrees.
        frame_time: Seconds from one frame to the next.
    """

    names: tuple[str, ...]
    parents: np.ndarray
    offsets: np.ndarray
    channels: tuple[tuple[str, ...], ...]
    values: np.ndarray
    frame_time: float


def read_bvh(path: str | Path) -> Motion:
    """Reads a BVH file.

    Raises:
        ValueError: If it is no BVH file, its hierarchy names a joint twice, or a frame has too few
            numbers or one that is not finite; names the file, and the joint or frame.
    """
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    hierarchy, _, motion = text.partition("MOTION")
    if "HIERARCHY" not in hierarchy or not motion:
        raise InputError(f"{path}: no BVH file, HIERARCHY and MOTION must both stand in it")
    tree = _Hierarchy(hierarchy.split(), str(path))
    tree.read()
    values, frame_time = _parse_motion(motion, sum(map(len, tree.channels)), str(path))
    return Motion(
        names=tuple(tree.names),
        parents=np.array(tree.parents),
        offsets=np.array(tree.offsets),
        channels=tuple(tree.channels),
        values=values,
        frame_time=frame_time,
    )


class _Hierarchy:
    """A hierarchy while it is read, word by word."""

    def __init__(self, words: list[str], where: str) -> None:
        self._words, self._where = words, where
        self._position = words.index("HIERARCHY") + 1
        self._open: list[int] = []
        self.names: list[str] = []
        self.parents: list[int] = []
        self.offsets: list[list[float]] = []
        self.channels: list[tuple[str, ...]] = []

    def read(self) -> None:
        """Reads all joints.

        Raises:
            ValueError: If they are no tree of joints.
        """
        while self._position < len(self._words):
            (word,) = self._take(1)
            if word in ("ROOT", "JOINT", "End"):
                self._begin_joint(word)
            elif word == "OFFSET" and self._open:
                self.offsets[self._open[-1]] = _numbers(self._take(3), self._says(word))
            elif word == "CHANNELS" and self._open:
                (count,) = self._take(1)
                if count not in CHANNEL_COUNTS:
                    raise InputError(f"{self._says(word)} counts {count!r}, 0 to 6 are possible")
                self.channels[self._open[-1]] = self._checked(self._take(int(count)))
            elif word == "}" and self._open:
                self._open.pop()
            else:
                raise InputError(f"{self._where}: {word!r} does not belong into a hierarchy there")
        if self._open or not self.names:
            raise InputError(f"{self._where}: its hierarchy is not closed, '}}' is missing")

    def _says(self, word: str) -> str:
        return f"{self._where}: {word} of {self.names[self._open[-1]]!r}"

    def _take(self, count: int) -> list[str]:
        taken = self._words[self._position : self._position + count]
        if len(taken) < count:
            raise InputError(f"{self._where}: its hierarchy ends early, after {self._words[-1]!r}")
        self._position += count
        return taken

    def _begin_joint(self, kind: str) -> None:
        name = ""
        while (word := self._take(1)[0]) != "{":
            name = f"{name} {word}".strip()
        if kind == "End":
            name = (self.names[self._open[-1]] if self._open else "") + END
        if kind == "ROOT" and self.names:
            raise InputError(f"{self._where}: a second ROOT, {name!r}; one skeleton is needed")
        if name in self.names:
            raise InputError(
                f"{self._where}: joint {name!r} stands twice in the hierarchy, which must be a "
                "tree without cycles"
            )
        self.parents.append(self._open[-1] if self._open else -1)
        self._open.append(len(self.names))
        self.names.append(name)
        self.offsets.append([0.0, 0.0, 0.0])
        self.channels.append(())

    def _checked(self, channels: list[str]) -> tuple[str, ...]:
        found = tuple(word.capitalize() for word in channels)
        allowed = {axis + kind for axis in AXES for kind in ("position", "rotation")}
        if len(set(found)) < len(found) or not set(found) <= allowed:
            raise InputError(
                f"{self._says('CHANNELS')} are {' '.join(found)}; each must be one of Xposition "
                "to Zrotation, and none twice"
            )
        return found


def _numbers(words: Sequence[str], where: str) -> list[float]:
    try:
        return [float(word) for word in words]
    except ValueError as error:
        raise InputError(f"{where} is {' '.join(words)!r}, numbers are needed") from error


def _parse_motion(text: str, channels: int, where: str) -> tuple[np.ndarray, float]:
    words = text.split()
    if words[:1] != ["Frames:"] or words[2:4] != ["Frame", "Time:"] or len(words) < 5:
        raise InputError(f"{where}: MOTION must begin with 'Frames: N' and 'Frame Time: seconds'")
    frames, frame_time = _numbers([words[1], words[4]], f"{where}: 'Frames:' and 'Frame Time:'")
    if frames < 1 or not 0 < frame_time < np.inf:
        raise InputError(f"{where}: {frames:g} frames of {frame_time:g} s, both must be above 0")
    values = np.array(_numbers(words[5:], f"{where}: its motion"))
    if len(values) != frames * channels:
        raise InputError(
            f"{where}: {len(values)} numbers in its motion, {frames:g} frames of {channels} "
            f"channels need {frames * channels:g}"
        )
    values = values.reshape(int(frames), channels)
    broken = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(broken):
        raise InputError(
            f"{where}: frame {broken[0]} has a number that is not finite "
            f"({len(broken)} such frames of {len(values)})"
        )
    return values, frame_time


def positions(motion: Motion) -> np.ndarray:
    """Where every joint is, by forward kinematics.

    A joint's rotations are multiplied in the order of its channels, and a position channel takes
    the place of the offset on its axis, as in the programs that write such files.

    Returns:
        (F, J, 3) float64, in the file's unit and axes.
    """
    frames, joints = len(motion.values), len(motion.names)
    placed, turned = np.zeros((frames, joints, 3)), np.zeros((frames, joints, 3, 3))
    ends = np.cumsum([len(names) for names in motion.channels])
    columns = np.split(motion.values, ends[:-1], axis=1)
    for joint, parent in enumerate(motion.parents):
        offset = _offset(motion.offsets[joint], motion.channels[joint], columns[joint])
        rotation = _rotation(motion.channels[joint], columns[joint])
        if parent < 0:
            placed[:, joint], turned[:, joint] = offset, rotation
        else:
            turn = turned[:, parent]
            placed[:, joint] = placed[:, parent] + np.einsum("fij,fj->fi", turn, offset)
            turned[:, joint] = turn @ rotation
    return placed


def _offset(rest: np.ndarray, channels: Sequence[str], values: np.ndarray) -> np.ndarray:
    """A joint's place (F, 3) in its parent's frame."""
    offset = np.repeat(rest[None], len(values), axis=0)
    for column, name in enumerate(channels):
        if name.endswith("position"):
            offset[:, AXES.index(name[0])] = values[:, column]
    return offset


def _rotation(channels: Sequence[str], values: np.ndarray) -> np.ndarray:
    """A joint's turn (F, 3, 3) in its parent's frame."""
    turns = [column for column, name in enumerate(channels) if name.endswith("rotation")]
    if not turns:
        return np.broadcast_to(np.eye(3), (len(values), 3, 3))
    order = "".join(channels[column][0] for column in turns)
    return Rotation.from_euler(order, values[:, turns], degrees=True).as_matrix()


def to_bvh(points: np.ndarray, *, rate: float) -> str:
    """A BVH file's text for a person's poses.

    The bones keep their directions exactly, and their mean lengths over the frames. Where several
    bones meet, each has a turning point of its own, without length, named `CHILD` + `TURN`.

    Args:
        points: (F, 17, 3) about the pelvis, mm, in the camera's frame (x right, y down, z forward).
        rate: Frames per second.

    Returns:
        The text; centimetres, y up, the pelvis at the origin.
    """
    upright = points * np.array([1, -1, -1]) / MILLIMETRES_PER_UNIT
    lines, columns = ["HIERARCHY"], [np.zeros((len(points), 3))]
    _write_joint(PELVIS, np.zeros(3), None, upright, lines, columns)
    lines += ["MOTION", f"Frames: {len(points)}", f"Frame Time: {1 / rate:.7f}"]
    lines += [" ".join(f"{value:.6f}" for value in row) for row in np.hstack(columns)]
    return "\n".join(lines) + "\n"


def _write_joint(
    joint: int,
    offset: np.ndarray,
    frame: Rotation | None,
    upright: np.ndarray,
    lines: list[str],
    columns: list[np.ndarray],
) -> None:
    """Writes a joint and all that hangs from it; `frame` (F rotations) is its parent's."""
    children = [child for parent, child in BODY.bones if parent == joint]
    if frame is None:
        turn = frame = _facing(upright)
        _open(lines, "ROOT", BODY.joints[joint], offset)
        columns.append(turn.as_euler(EULER, degrees=True))
    else:
        _open(lines, "JOINT", BODY.joints[joint], offset)
        turn = _swing(upright, joint, children[0], frame) if len(children) == 1 else None
        columns.append(turn.as_euler(EULER, degrees=True) if turn else np.zeros((len(upright), 3)))
        frame = frame * turn if turn else frame
    for child in children:
        length = np.linalg.norm(upright[:, child] - upright[:, joint], axis=-1).mean()
        bone = length * REST[child]
        if len(children) == 1:
            _write_joint(child, bone, frame, upright, lines, columns)
            continue
        turn = _swing(upright, joint, child, frame)
        _open(lines, "JOINT", BODY.joints[child] + TURN, np.zeros(3))
        columns.append(turn.as_euler(EULER, degrees=True))
        _write_joint(child, bone, frame * turn, upright, lines, columns)
        lines.append("}")
    if not children:
        lines += ["End Site", "{", "OFFSET 0 0 0", "}"]
    lines.append("}")


def _open(lines: list[str], kind: str, name: str, offset: np.ndarray) -> None:
    place = "6 Xposition Yposition Zposition" if kind == "ROOT" else "3"
    turns = " ".join(f"{axis}rotation" for axis in EULER)
    numbers = " ".join(f"{value:.6f}" for value in offset)
    lines += [f"{kind} {name}", "{", f"OFFSET {numbers}", f"CHANNELS {place} {turns}"]


def _facing(upright: np.ndarray) -> Rotation:
    """The pelvis's turn (F): x along the hips to the left, y up the spine."""
    left = upright[:, BODY.index("left_hip")] - upright[:, BODY.index("right_hip")]
    up = upright[:, BODY.index("spine")] - upright[:, PELVIS]
    x = _unit(left)
    z = _unit(np.cross(x, up))
    return Rotation.from_matrix(np.stack([x, np.cross(z, x), z], axis=-1))


def _swing(upright: np.ndarray, joint: int, child: int, frame: Rotation) -> Rotation:
    """The smallest turn (F) within `frame` that takes a bone from its rest to where it points."""
    wanted = frame.inv().apply(_unit(upright[:, child] - upright[:, joint]))
    rest = np.broadcast_to(REST[child], wanted.shape)
    axis = np.cross(rest, wanted)
    sine, cosine = np.linalg.norm(axis, axis=-1), (rest * wanted).sum(axis=-1)
    # A bone that points straight back may turn about any axis across it.
    across = np.where(np.abs(rest[:, :1]) < 0.5, np.array([[1, 0, 0]]), np.array([[0, 0, 1]]))
    axis = np.where(sine[:, None] > 1e-9, axis, across)
    return Rotation.from_rotvec(np.arctan2(sine, cosine)[:, None] * _unit(axis))


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
