"""Numbers that cannot be right: what a whole set of labels tells that no single one does.

An error where nothing could be learnt from the labels, else a warning; each with a count and the
likely cause.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from hourglass.core.errors import InputError
from hourglass.core.geometry import REFERENCE_HEIGHT, crop_side
from hourglass.core.person import Person
from hourglass.core.skeleton import Skeleton
from hourglass.core.storage import Place, Url
from hourglass.data.readers.label_set import Labels
from hourglass.media.pictures import picture_size

MOST_OUTSIDE = 0.2
"""Share of the labels outside their pictures from which on they belong to others."""

FEW_OUTSIDE = 0.01
"""Up to this share a joint past the border is usual."""

TALLEST = 4.0
"""A person's height over the picture's longer side, from which on scale is not of height / 200."""

MOST = 0.5
"""Share of the people from which on an odd number is the rule: an error."""

CORNER = (0.0, -1.0)
"""What 0 becomes in formats that count pixels from 0, and from 1."""

FETCHED = 500
"""Pictures that are fetched to be looked at: enough to see a mistake that all labels share."""

Sizes = dict[str, tuple[int, int]]


class _Columns(NamedTuple):
    """The people of a split whose pictures' sizes are known, as columns."""

    people: list[Person]
    points: np.ndarray  # (N, J, 2)
    labelled: np.ndarray  # (N, J)
    center: np.ndarray  # (N, 2)
    scale: np.ndarray  # (N,)
    size: np.ndarray  # (N, 2) width, height


def read_sizes(images: Place, names: Iterable[str]) -> Sizes:
    """Width and height, upright, of the pictures that can be read; at a URL, `FETCHED` of them."""

    def size(name: str) -> tuple[int, int] | None:
        # The builder reads all of each picture, and says what is wrong with one.
        with contextlib.suppress(InputError, OSError):
            if (images / name).is_file():  # a pipe would have to be waited for
                return picture_size(images / name)
        return None

    unique = list(dict.fromkeys(names))
    if isinstance(images, Url):
        unique = unique[:: -(-len(unique) // FETCHED) or 1]
    with ThreadPoolExecutor() as pool:
        found = zip(unique, pool.map(size, unique), strict=True)
        return {name: one for name, one in found if one is not None}


def check_labels(labels: Labels, sizes: Sizes) -> list[str]:
    """Looks for numbers that cannot be right.

    Args:
        labels: Of one split or more.
        sizes: Width and height, px, of the pictures, upright; people of others are looked at only
            where no size is needed.

    Returns:
        Warnings.

    Raises:
        ValueError: If nothing could be learnt; says how many labels are wrong and why, as far as
            can be told.
    """
    warnings = []
    for split, people in labels.people.items():
        _require_labels(split, people)
        _refuse_shares(split, people)
        columns = _columns(people, sizes)
        if columns.people:
            warnings += [
                *_sizes_told(split, columns, labels.sizes),
                *_outside(split, columns),
                *_scales(split, columns),
                *_centers(split, columns),
                *_crops(split, columns),
            ]
        warnings += [*_corner(split, people), *_unlabelled(split, people, labels.skeleton)]
    return [*warnings, *_shared_pictures(labels.people)]


def _columns(people: list[Person], sizes: Sizes) -> _Columns:
    known = [person for person in people if person.filename in sizes]
    return _Columns(
        known,
        np.array([person.points for person in known], np.float64),
        np.array([person.labelled for person in known], bool),
        np.array([person.center for person in known], np.float64),
        np.array([person.scale for person in known], np.float64),
        np.array([sizes[person.filename] for person in known], np.float64),
    )


def _require_labels(split: str, people: list[Person]) -> None:
    if not any(person.labelled.any() for person in people):
        raise InputError(
            f"{split}: none of {len(people)} people has a labelled joint, so that nothing could be "
            "learnt; are all 'joints_vis' (or visibilities) 0?"
        )


def _refuse_shares(split: str, people: list[Person]) -> None:
    """Coordinates all within 0..1 are shares of the picture's sides."""
    points = np.concatenate([person.points[person.labelled] for person in people])
    if len(points) > 1 and np.abs(points).max() <= 1 + 1e-6 and np.ptp(points, axis=0).max() > 0:
        raise InputError(
            f"{split}: all {len(points)} labelled joints lie within 0 and 1: they seem to be "
            "shares of the picture's width and height, but must be pixels"
        )


def _sizes_told(split: str, columns: _Columns, told: Sizes) -> Iterator[str]:
    """Pictures of another size than the labels' file says."""
    pairs = {
        person.filename: (told[person.filename], tuple(map(int, size)))
        for person, size in zip(columns.people, columns.size, strict=True)
        if person.filename in told
    }
    other = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    if not other:
        return
    name, (said, found) = next(iter(other.items()))
    cause = (
        "labels made on a picture that was not turned upright"
        if said == found[::-1]
        else "pictures that were resized after they were labelled"
    )
    text = (
        f"{split}: {len(other)} of {len(pairs)} pictures have another size than their labels' file "
        f"says, first {name}: {found[0]}×{found[1]} px, not {said[0]}×{said[1]}; likely {cause}"
    )
    if len(other) > MOST_OUTSIDE * len(pairs):
        raise InputError(text)
    yield text


def _outside(split: str, columns: _Columns) -> Iterator[str]:
    """Labels outside of their pictures."""
    outside = ~_inside(columns.points, columns.size) & columns.labelled
    count, of = int(outside.sum()), int(columns.labelled.sum())
    if count <= FEW_OUTSIDE * of:
        return
    person, joint = np.argwhere(outside)[0]
    x, y = columns.points[person, joint]
    width, height = columns.size[person]
    text = (
        f"{split}: {count} of {of} labelled joints lie outside of their pictures, first "
        f"({x:g}, {y:g}) in {columns.people[person].filename} of {width:g}×{height:g} px"
    )
    if count > MOST_OUTSIDE * of:
        swapped = _inside(columns.points[..., ::-1], columns.size)[columns.labelled].mean()
        cause = (
            "x and y seem to be swapped"
            if swapped > 1 - FEW_OUTSIDE
            else "these labels seem to belong to other pictures, or to pictures of another size"
        )
        raise InputError(f"{text}; {cause}")
    yield text


def _inside(points: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Whether points (N, J, 2) lie in pictures of sizes (N, 2) px."""
    inside = (points >= -0.5) & (points <= size[:, None] - 0.5)
    return inside[..., 0] & inside[..., 1]


def _scales(split: str, columns: _Columns) -> Iterator[str]:
    """Scales that make people far taller than their pictures."""
    height = columns.scale * REFERENCE_HEIGHT
    tall = height > TALLEST * columns.size.max(axis=1)
    if not tall.any():
        return
    first = int(np.argmax(tall))
    yield from _told(
        tall,
        f"{split}: {tall.sum()} of {len(tall)} people are more than {TALLEST:g} times as tall as "
        f"their pictures, first in {columns.people[first].filename}: scale "
        f"{columns.scale[first]:g} means a person of {height[first]:,.0f} px in a picture of "
        f"{columns.size[first].max():g} px; scale is height / 200 px, not px",
    )


def _centers(split: str, columns: _Columns) -> Iterator[str]:
    """Centres of crops outside of the pictures."""
    outside = ~_inside(columns.center[:, None], columns.size)[:, 0]
    if not outside.any():
        return
    first = int(np.argmax(outside))
    x, y = columns.center[first]
    width, height = columns.size[first]
    yield from _told(
        outside,
        f"{split}: {outside.sum()} of {len(outside)} people's crops are centred outside of their "
        f"pictures, first at ({x:g}, {y:g}) in {columns.people[first].filename} of "
        f"{width:g}×{height:g} px; center is in pixels of the whole picture, box is x, y, width, "
        "height",
    )


def _crops(split: str, columns: _Columns) -> Iterator[str]:
    """Crops that leave out most of the joints they are of."""
    reach = crop_side(columns.scale)[:, None] / 2
    within = (np.abs(columns.points - columns.center[:, None]) <= reach[..., None]).all(axis=-1)
    labelled = columns.labelled.sum(axis=1)
    kept = (within & columns.labelled).sum(axis=1)
    lost = (labelled > 0) & (kept < labelled / 2)
    if not lost.any():
        return
    first = int(np.argmax(lost))
    yield from _told(
        lost,
        f"{split}: {lost.sum()} of {len(lost)} people's crops show less than half of their "
        f"labelled joints, first in {columns.people[first].filename}: {kept[first]} of "
        f"{labelled[first]}; scale must be the person's height / 200 px, and center (or box) "
        "theirs",
    )


def _told(wrong: np.ndarray, text: str) -> Iterator[str]:
    """A warning, or an error where it is the rule."""
    if wrong.mean() > MOST:
        raise InputError(text)
    yield text


def _corner(split: str, people: list[Person]) -> Iterator[str]:
    """Labels in the very corner: what formats write where there is none."""
    corner = np.concatenate(
        [np.isin(person.points[person.labelled], CORNER).all(axis=1) for person in people]
    )
    if corner.mean() > FEW_OUTSIDE:
        yield (
            f"{split}: {corner.sum()} of {len(corner)} labelled joints lie in their pictures' "
            "upper left corner: joints without label must have the visibility 0"
        )


def _unlabelled(split: str, people: list[Person], skeleton: Skeleton) -> Iterator[str]:
    """People without a label, and joints that nobody has."""
    labelled = np.array([person.labelled for person in people])
    none = int((~labelled.any(axis=1)).sum())
    if none:
        yield f"{split}: {none} of {len(people)} people have no labelled joint"
    never = [skeleton.joints[joint] for joint in np.flatnonzero(~labelled.any(axis=0))]
    if never:
        yield f"{split}: nobody has a label of {', '.join(never)}: it cannot be learnt or scored"


def _shared_pictures(people: dict[str, list[Person]]) -> Iterator[str]:
    if {"train", "validation"} <= set(people):
        names = [{person.filename for person in people[split]} for split in ("train", "validation")]
        shared = sorted(names[0] & names[1])
        if shared:
            yield (
                f"{len(shared)} pictures are in training and in validation, first {shared[0]}: "
                "scores will be better than on new pictures"
            )
