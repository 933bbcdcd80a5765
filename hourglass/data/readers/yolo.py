"""Reads YOLO-pose sets: `data.yaml`, pictures, and a text file of labels for each.

The layout is Ultralytics': beside `images/` lies `labels/`; a line is `class cx cy w h`, then
`x y v` (or `x y`) of each keypoint, all in shares of the picture's width and height. `kpt_shape`
in `data.yaml` says how many keypoints there are, `flip_idx` which of them mirror.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from hourglass.core.errors import InputError
from hourglass.core.files import read_text
from hourglass.core.person import HIDDEN, NOT_LABELLED, VISIBLE, Person
from hourglass.core.skeleton import MOST_JOINTS, Skeleton
from hourglass.data.readers.label_set import (
    WHOLE,
    Labels,
    has_extent,
    joint_order,
    known_skeleton,
    make_person,
    short,
)
from hourglass.media.inputs import PICTURE_SUFFIXES
from hourglass.media.pictures import picture_size

SPLITS = {"train": ("train",), "validation": ("val", "valid", "validation")}
"""Names of the splits in `data.yaml`."""

BOX_COLUMNS = 5
"""class, and the box's middle and sides."""

SLACK = 0.001
"""How far beyond 1 a share may lie: tools round to 3 to 6 digits."""


def read(path: Path, *, category: str | None = None, skeleton: Skeleton | None = None) -> Labels:
    """The people (or other things) of a whole set.

    Args:
        path: `data.yaml`; its folder's pictures and labels are read where its own `path` is not
            there.
        category: Name of the class to read; default: all.
        skeleton: Takes the place of the set's; without it keypoints are called as `kpt_names` says,
            or by their numbers, and mirror as `flip_idx` says.

    Returns:
        `train` and `validation`, or `WHOLE` if the set has no validation pictures.

    Raises:
        ValueError: If `data.yaml` or a line of labels is not as it must be; names file, line,
            value and what is allowed.
    """
    content = _read_yaml(path)
    joints, columns = _keypoint_shape(content, path)
    found = _to_skeleton(content, joints, path)
    order = np.arange(joints)
    if skeleton is not None:
        order = joint_order(skeleton, found.joints, where=str(path))
    root = _root(content, path)
    reading = _Reading(root, joints, columns, order, _class_numbers(content, category, path))
    people = {}
    for split, names in SPLITS.items():
        entry = next((content[name] for name in names if content.get(name)), None)
        if entry is not None:
            people[split] = [
                person for picture in _pictures(entry, root, path) for person in reading.of(picture)
            ]
    if "train" not in people:
        raise InputError(f"{path}: 'train' is missing, it must name the folder of the pictures")
    if "validation" not in people:
        people = {WHOLE: people["train"]}
    return Labels(skeleton or found, people, reading.notes(), reading.sizes, images=root)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not YAML ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: must hold names and values, got {short(content)}")
    return content


def _keypoint_shape(content: dict[str, Any], path: Path) -> tuple[int, int]:
    """Number of keypoints, and of numbers for each."""
    shape = content.get("kpt_shape")
    if (
        not isinstance(shape, list)
        or len(shape) != 2
        or not all(type(one) is int for one in shape)
        or not 1 <= shape[0] <= MOST_JOINTS
        or shape[1] not in (2, 3)
    ):
        raise InputError(
            f"{path}: 'kpt_shape' is {short(shape)}, it must be [number of keypoints, 2 or 3], "
            f"of {MOST_JOINTS} keypoints at most; a set without keypoints is for detection only"
        )
    return shape[0], shape[1]


def _to_skeleton(content: dict[str, Any], joints: int, path: Path) -> Skeleton:
    names = content.get("kpt_names")
    if isinstance(names, dict):  # a list for each class, of which the first is taken
        names = next(iter(names.values()), None)
    if names is None:
        names = [str(number) for number in range(1, joints + 1)]
    if not isinstance(names, list) or len(names) != joints:
        raise InputError(f"{path}: 'kpt_names' is {short(names)}, it must be {joints} names")
    flip = content.get("flip_idx")
    pairs = None
    if flip is not None:
        if not _is_order(flip, joints):
            raise InputError(
                f"{path}: 'flip_idx' is {short(flip)}, it must be the numbers 0 to {joints - 1}, "
                "each once, in the order of a flipped picture's keypoints"
            )
        if any(flip[flip[joint]] != joint for joint in range(joints)):
            raise InputError(f"{path}: 'flip_idx' is {short(flip)}, it must swap keypoints by two")
        pairs = _right_first(flip, list(map(str, names)))
    try:
        return known_skeleton("yolo", map(str, names), mirror_pairs=pairs)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _is_order(flip: Any, joints: int) -> bool:
    """Whether it is a list of the numbers 0 to `joints` - 1, each once."""
    if not isinstance(flip, list) or not all(type(one) is int for one in flip):
        return False
    return sorted(flip) == list(range(joints))


def _right_first(flip: list[int], names: list[str]) -> tuple[tuple[int, int], ...]:
    """Pairs (right, left), as the names tell; without, the later is right, as in COCO."""
    pairs = []
    for joint, other in enumerate(flip):
        if joint < other:
            right = joint if "right" in names[joint].lower() else other
            pairs.append((right, other if right == joint else joint))
    return tuple(pairs)


def _class_numbers(content: dict[str, Any], category: str | None, path: Path) -> set[int] | None:
    """The classes to read, None for all."""
    if category is None:
        return None
    names = content.get("names")
    listed = dict(enumerate(names)) if isinstance(names, list) else names
    pairs = listed.items() if isinstance(listed, dict) else ()
    numbers = {
        int(number) for number, name in pairs if str(name) == category and str(number).isdecimal()
    }
    if not numbers:
        raise InputError(f"{path}: no class is called {category!r}; 'names' is {short(names)}")
    return numbers


def _root(content: dict[str, Any], path: Path) -> Path:
    """The set's folder: `path` if it is there, else that of `data.yaml`."""
    own = content.get("path")
    if isinstance(own, str) and own and (path.parent / own).is_dir():
        return (path.parent / own).resolve()
    return path.parent


def _pictures(entry: Any, root: Path, path: Path) -> Iterator[Path]:
    """The pictures of a split, in the order of their names."""
    for one in entry if isinstance(entry, list) else [entry]:
        place = root / str(one)
        if not place.exists() and str(one).startswith("../"):
            place = root / str(one)[3:]  # exporters write their folders as seen from elsewhere
        if place.is_dir():
            yield from sorted(
                file for file in place.rglob("*") if file.suffix.lower() in PICTURE_SUFFIXES
            )
        elif place.is_file() and place.suffix == ".txt":
            lines = read_text(place).splitlines()
            yield from (root / line.strip() for line in lines if line.strip())
        else:
            raise InputError(f"{path}: names {one!r}, but {place} is no folder and no list (.txt)")


class _Reading:
    """Turns files of labels into people, and counts what is odd."""

    def __init__(
        self, root: Path, joints: int, columns: int, order: np.ndarray, classes: set[int] | None
    ) -> None:
        self._root, self._joints, self._columns = root, joints, columns
        self._order, self._classes = order, classes
        self._odd: Counter[str] = Counter()
        self._first: dict[str, str] = {}
        self.sizes: dict[str, tuple[int, int]] = {}

    def of(self, picture: Path) -> list[Person]:
        """The people of one picture."""
        labels = _labels_path(picture)
        if not labels.is_file():
            self._count("pictures have no file of labels", str(picture))
            return []
        try:
            lines = labels.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{labels}: cannot be read as text ({error})") from error
        rows = [
            (f"{labels}: line {number}", line.split())
            for number, line in enumerate(lines, start=1)
            if line.strip()
        ]
        if not rows:
            return []
        name = self._name(picture)
        try:
            size = self.sizes[name] = picture_size(picture)
        except InputError:
            # The builder reads every picture, and says which is bad; without a size there is no px.
            self._count("pictures cannot be read", str(picture))
            return []
        people = [self._person(name, size, row, where) for where, row in rows]
        return [person for person in people if person is not None]

    def _name(self, picture: Path) -> str:
        """Below the set's folder; the whole path of a picture that a list has elsewhere."""
        if picture.is_relative_to(self._root):
            return picture.relative_to(self._root).as_posix()
        return picture.as_posix()

    def _person(
        self, name: str, size: tuple[int, int], row: list[str], where: str
    ) -> Person | None:
        expected = BOX_COLUMNS + self._joints * self._columns
        if len(row) != expected:
            raise InputError(
                f"{where}: has {len(row)} numbers, it must have {expected}: class, box and "
                f"{self._joints} keypoints of {self._columns}"
            )
        try:
            numbers = np.array(row, np.float64)
        except ValueError as error:
            raise InputError(f"{where}: {error}") from error
        if not np.isfinite(numbers).all():
            raise InputError(f"{where}: all must be finite numbers")
        if self._classes is not None and int(numbers[0]) not in self._classes:
            self._count("things are of other classes: left out", where)
            return None
        table = numbers[BOX_COLUMNS:].reshape(self._joints, self._columns)[self._order]
        visibility = self._visibility(table, where)
        self._check_shares(numbers[1:BOX_COLUMNS], table, visibility, where)
        if not visibility.any():
            self._count("things have no labelled keypoint: left out", where)
            return None
        points = table[:, :2] * size
        middle, sides = numbers[1:3] * size, (numbers[3:5] * size).tolist()
        (x, y), (width, height) = (middle - np.array(sides) / 2).tolist(), sides
        box = (x, y, width, height) if min(width, height) > 0 else None
        if box is None and not has_extent(points[visibility > 0]):
            self._count("things have neither a box nor keypoints that span one: left out", where)
            return None
        return make_person(name, points, visibility, box=box)

    def _visibility(self, table: np.ndarray, where: str) -> np.ndarray:
        if self._columns == 2:
            return np.where((table > 0).any(axis=1), VISIBLE, NOT_LABELLED).astype(np.uint8)
        flags = table[:, 2]
        known = np.isin(flags, (NOT_LABELLED, HIDDEN, VISIBLE))
        if not known.all():
            raise InputError(
                f"{where}: a keypoint has the visibility {flags[~known][0]:g}, "
                "allowed are 0 (not labelled), 1 (labelled, hidden) and 2 (labelled, visible)"
            )
        return flags.astype(np.uint8)

    def _check_shares(
        self, box: np.ndarray, table: np.ndarray, visibility: np.ndarray, where: str
    ) -> None:
        """That nothing is in pixels: far outside of 0 to 1 nothing can be a share."""
        shares = np.concatenate([box, table[visibility > 0, :2].ravel()])
        if (shares > 2).any():
            raise InputError(
                f"{where}: has {shares.max():g}, but box and keypoints are shares of the picture's "
                "width and height, 0 to 1; are these pixels?"
            )
        if (np.abs(shares - 0.5) > 0.5 + SLACK).any():
            self._count("things reach out of their pictures", where)

    def _count(self, what: str, where: str) -> None:
        self._odd[what] += 1
        self._first.setdefault(what, where)

    def notes(self) -> list[str]:
        """What was odd, how often, and where first."""
        return [f"{count} {what} (first: {self._first[what]})" for what, count in self._odd.items()]


def _labels_path(picture: Path) -> Path:
    """`labels/a/1.txt` of `images/a/1.jpg`: the last folder `images` is replaced."""
    parts = list(picture.parts)
    for index in range(len(parts) - 2, -1, -1):
        if parts[index] == "images":
            parts[index] = "labels"
            break
    return Path(*parts).with_suffix(".txt")
