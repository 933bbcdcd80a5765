"""Reads COCO keypoint files: COCO's own, and what annotation tools export under its name.

Coordinates are kept: COCO's keypoints are 0-based pixels, as here. What tools get wrong is borne
where the labels are still sure (`num_keypoints`, a missing or wrong `bbox` or `area`) and told in
a note; what is not sure is an error.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from hourglass.core.errors import InputError
from hourglass.core.person import (
    HIDDEN,
    NOT_LABELLED,
    UNLABELLED_POINT,
    VISIBLE,
    IgnoredArea,
    Person,
)
from hourglass.core.pose import Box
from hourglass.core.skeleton import Skeleton
from hourglass.data.readers.label_set import (
    LARGEST,
    WHOLE,
    Labels,
    has_extent,
    is_file_name,
    joint_order,
    known_skeleton,
    make_person,
    read_json,
    short,
)

PARTS = ("images", "annotations", "categories")
"""What tells a COCO file from other JSON."""

INSIDE_SHARE = 0.5
"""A box that holds fewer of its own labelled points is not taken for the person's."""

SLACK = 0.1
"""Points this far beyond a box, in its longer side, still count as in it."""


def read(path: Path, *, category: str | None = None, skeleton: Skeleton | None = None) -> Labels:
    """All people (or other things) with labelled keypoints in one file.

    Args:
        path: A JSON object with `images`, `annotations` and `categories`.
        category: Name of the one to read; default: all that have keypoints, which must then be the
            same ones.
        skeleton: Takes the place of the category's; its joints go by name where the names are the
            same, else one by one.

    Returns:
        One part, `WHOLE`, in the file's order. Crowds and people without labelled keypoints are
        ignored areas.

    Raises:
        ValueError: If the file is not as it must be; names the file, the annotation's index, the
            field, the value and what is allowed.
    """
    content = read_json(path)
    if not is_coco(content):
        raise InputError(
            f"{path}: must be an object with the lists {', '.join(PARTS)}, got {short(content)}"
        )
    names, sizes = _read_images(content["images"], str(path))
    chosen, found = _choose(content["categories"], category, skeleton, path)
    order = np.arange(len(found.joints))
    if skeleton is not None:
        order = joint_order(skeleton, found.joints, where=str(path))
    reading = _Reading(str(path), names, chosen, order)
    people = [
        person
        for index, entry in enumerate(content["annotations"])
        if (person := reading.person(index, entry)) is not None
    ]
    used = {person.filename for person in people}
    return Labels(
        skeleton=skeleton or found,
        people={WHOLE: people},
        notes=reading.notes(),
        sizes={name: size for name, size in sizes.items() if name in used},
        ignored=reading.ignored,
    )


def is_coco(content: Any) -> bool:
    """Whether this JSON value is laid out as COCO's files are."""
    return isinstance(content, dict) and all(isinstance(content.get(part), list) for part in PARTS)


def _read_images(
    entries: list[Any], path: str
) -> tuple[dict[Any, str], dict[str, tuple[int, int]]]:
    """File names by the pictures' ids, and sizes (width, height) by file name."""
    names: dict[Any, str] = {}
    sizes = {}
    for index, entry in enumerate(entries):
        where = f"{path}: images[{index}]"
        if not isinstance(entry, dict):
            raise InputError(f"{where}: must be an object, got {short(entry)}")
        number, name = entry.get("id"), entry.get("file_name", "")
        if not _is_id(number):
            raise InputError(f"{where}: 'id' is {short(number)}, it must be a number")
        if not is_file_name(name):
            raise InputError(f"{where}: 'file_name' is {short(name)}, it must be a file name")
        if number in names:
            raise InputError(
                f"{where}: 'id' is {number} ({name}), which {names[number]} has already"
            )
        names[number] = _slashed(name)
        width, height = entry.get("width"), entry.get("height")
        if isinstance(width, int) and isinstance(height, int) and min(width, height) > 0:
            sizes[names[number]] = width, height
    return names, sizes


def _is_id(value: Any) -> bool:
    """Whether it can be the number of a picture or a category; some tools write texts."""
    return isinstance(value, (int, str)) and not isinstance(value, bool)


def _slashed(name: str) -> str:
    """Folders as they are written anywhere but by tools on Windows."""
    return name if "/" in name else name.replace("\\", "/")


def _choose(
    entries: list[Any], category: str | None, given: Skeleton | None, path: Path
) -> tuple[set[Any], Skeleton]:
    """The ids of the categories to read, and the skeleton that the file gives them."""
    named = [entry for entry in entries if isinstance(entry, dict) and _is_id(entry.get("id"))]
    if category is not None:
        fitting = [entry for entry in named if str(entry.get("name")) == category]
        if not fitting:
            there = ", ".join(sorted({str(entry.get("name")) for entry in named})) or "none"
            raise InputError(f"{path}: no category is called {category!r}; there are: {there}")
        named = fitting
    with_joints = [entry for entry in named if entry.get("keypoints")]
    if not with_joints and given is not None:
        return {entry["id"] for entry in named}, given
    if not with_joints:
        raise InputError(
            f"{path}: no category names its 'keypoints'; give the joints with --skeleton "
            "(coco, or a JSON file)"
        )
    for entry in with_joints:
        if not isinstance(entry["keypoints"], list):
            raise InputError(
                f"{path}: category {entry.get('name')!r}: 'keypoints' is "
                f"{short(entry['keypoints'])}, it must be a list of names"
            )
    lists = {tuple(map(str, entry["keypoints"])) for entry in with_joints}
    if len(lists) > 1:
        there = "; ".join(
            f"{entry.get('name')} ({len(entry['keypoints'])})" for entry in with_joints
        )
        raise InputError(
            f"{path}: categories have different keypoints, one must be chosen with --category: "
            f"{there}"
        )
    return {entry["id"] for entry in with_joints}, _to_skeleton(with_joints, path)


def _to_skeleton(categories: list[dict[str, Any]], path: Path) -> Skeleton:
    first = categories[0]
    joints = tuple(map(str, first["keypoints"]))
    name = str(first.get("name") or path.stem) if len(categories) == 1 else path.stem
    try:
        bones = [(int(start), int(end)) for start, end in first.get("skeleton") or []]
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"{path}: category {name!r}: 'skeleton' is {short(first['skeleton'])}, it must be a "
            "list of pairs of keypoints' numbers"
        ) from error
    first_number = 0 if any(0 in bone for bone in bones) else 1
    try:
        return known_skeleton(
            name,
            joints,
            bones=tuple((start - first_number, end - first_number) for start, end in bones),
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


class _Reading:
    """Turns annotations into people, and counts what is odd."""

    def __init__(
        self, path: str, names: dict[Any, str], categories: set[Any], order: np.ndarray
    ) -> None:
        self._path, self._names, self._categories, self._order = path, names, categories, order
        self.ignored: list[IgnoredArea] = []
        self._odd: Counter[str] = Counter()
        self._first: dict[str, int] = {}

    def person(self, index: int, entry: Any) -> Person | None:
        """One annotation's person; None, and a note, if it has none that can be used."""
        where = f"{self._path}: annotations[{index}]"
        if not isinstance(entry, dict):
            raise InputError(f"{where}: must be an object, got {short(entry)}")
        category = entry.get("category_id")
        if not _is_id(category) or category not in self._categories:
            return self._left_out(index, "are of other categories")
        if entry.get("iscrowd"):
            self._ignore(entry, crowd=True)
            return self._left_out(index, "are crowds ('iscrowd')")
        points, visibility = self._keypoints(entry.get("keypoints"), where)
        labelled = visibility > 0
        if not labelled.any():
            self._ignore(entry, crowd=False)
            return self._left_out(index, "have no labelled keypoint")
        image = entry.get("image_id")
        if not _is_id(image) or image not in self._names:
            return self._left_out(index, "have an 'image_id' that no picture of the file has")
        box = self._box(index, entry.get("bbox"), points[labelled])
        if box is None and not has_extent(points[labelled]):
            return self._left_out(index, "have neither a box nor two keypoints that span one")
        return make_person(
            self._names[image], points, visibility, box=box, area=_area(entry.get("area"))
        )

    def _ignore(self, entry: dict[str, Any], *, crowd: bool) -> None:
        """Takes note of an area, if the entry says which one."""
        image, box = entry.get("image_id"), _box_of(entry.get("bbox"))
        if box and _is_id(image) and image in self._names:
            area = _area(entry.get("area"))
            self.ignored.append(IgnoredArea(self._names[image], box, area, crowd))

    def _left_out(self, index: int, reason: str) -> Person | None:
        """Nobody, and a note."""
        self._count(index, f"{reason}: left out")
        return None

    def _count(self, index: int, what: str) -> None:
        self._odd[what] += 1
        self._first.setdefault(what, index)

    def notes(self) -> list[str]:
        """What was odd, how often, and where first."""
        return [
            f"{self._path}: {count} annotations {what} (first: annotations[{self._first[what]}])"
            for what, count in self._odd.items()
        ]

    def _keypoints(self, value: Any, where: str) -> tuple[np.ndarray, np.ndarray]:
        """Points (J, 2) float64 and visibility (J,) uint8 in the skeleton's order."""
        joints = len(self._order)
        if not value:
            return np.full((joints, 2), UNLABELLED_POINT), np.zeros(joints, np.uint8)
        if not isinstance(value, list) or len(value) != 3 * joints:
            count = f"{len(value)} numbers" if isinstance(value, list) else short(value)
            raise InputError(
                f"{where}: 'keypoints' has {count}, it must have x, y, v of {joints} keypoints: "
                f"{3 * joints}"
            )
        wrong = [one for one in value if _number(one) is None]
        if wrong:
            raise InputError(
                f"{where}: 'keypoints' has {short(wrong[0])}, all must be numbers, finite and "
                f"{LARGEST:g} or less"
            )
        table = np.array(value, np.float64).reshape(joints, 3)[self._order]
        flags = table[:, 2]
        known = np.isin(flags, (NOT_LABELLED, HIDDEN, VISIBLE))
        if not known.all():
            odd = flags[~known][0]
            raise InputError(
                f"{where}: 'keypoints' has the visibility {odd:g}, allowed are 0 (not labelled), "
                "1 (labelled, hidden) and 2 (labelled, visible)"
            )
        return table[:, :2], flags.astype(np.uint8)

    def _box(self, index: int, value: Any, points: np.ndarray) -> Box | None:
        """The annotated box if it can be the person's; None, and a note, if not."""
        if not isinstance(value, list) or len(value) != 4:
            self._count(index, "have no 'bbox' of x, y, width, height: that of the keypoints")
            return None
        box = _box_of(value)
        if box is None:
            self._count(index, "have a 'bbox' without extent: that of the keypoints")
            return None
        x, y, width, height = box
        low = np.array([x, y]) - SLACK * max(width, height)
        high = np.array([x + width, y + height]) + SLACK * max(width, height)
        inside = ((points >= low) & (points <= high)).all(axis=1)
        if inside.mean() < INSIDE_SHARE:
            self._count(
                index,
                "have a 'bbox' that most of their keypoints are outside of (it must be x, y, "
                "width, height): that of the keypoints",
            )
            return None
        return box


def _box_of(value: Any) -> Box | None:
    """x, y, width and height, the last two above 0; else None."""
    if not isinstance(value, list) or len(value) != 4:
        return None
    numbers = [number for one in value if (number := _number(one)) is not None]
    if len(numbers) < 4 or min(numbers[2:]) <= 0:
        return None
    x, y, width, height = numbers
    return x, y, width, height


def _area(value: Any) -> float | None:
    """px², above 0; else None."""
    area = _number(value, largest=LARGEST**2)
    return area if area and area > 0 else None


def _number(value: Any, largest: float = LARGEST) -> float | None:
    """A number within the limits, else None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if abs(value) <= largest else None
