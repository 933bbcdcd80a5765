"""Reads SLEAP and DeepLabCut projects through the library `sleap-io` (the extra `labels`).

SLEAP: `.slp` and `.pkg.slp`; DeepLabCut: `CollectedData_*.csv` or a project's `config.yaml`; also
what else the library reads. What it lacks: of Label Studio it reads only files that SLEAP wrote, as
it needs the film's name and frame in each task.

Coordinates are kept. A point that SLEAP calls not visible is not labelled, as in SLEAP's training;
predicted instances are no labels.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hourglass.core.errors import InputError
from hourglass.core.person import NOT_LABELLED, VISIBLE, Person
from hourglass.core.sides import side_of
from hourglass.core.skeleton import Skeleton
from hourglass.data.readers.label_set import (
    WHOLE,
    Labels,
    has_extent,
    joint_order,
    known_skeleton,
    make_person,
)

SUFFIXES = (".slp", ".csv", ".h5", ".nwb")
"""Files that are read through the library without being asked to."""

FRAME_NAME = "{film}_{frame:06d}.png"

END = 2**20
"""Bytes at a film's beginning, and at its end, by which it is told from others of its name."""


def read(path: Path, *, skeleton: Skeleton | None = None) -> Labels:
    """All labelled instances of one file or project.

    Args:
        path: A file, or DeepLabCut's `config.yaml`.
        skeleton: Takes the place of the file's; its joints go by name where the names are the same,
            else one by one.

    Returns:
        One part, `WHOLE`; frames of films are in `frames`.

    Raises:
        ValueError: If the library is missing or cannot read the file, or pictures that it names are
            missing.
    """
    loaded = _load(path)
    if len(loaded.skeletons) != 1:
        raise InputError(f"{path}: holds {len(loaded.skeletons)} skeletons, it must be one")
    found = _to_skeleton(loaded.skeletons[0], path)
    order = np.arange(len(found.joints))
    if skeleton is not None:
        order = joint_order(skeleton, found.joints, where=str(path))
    pictures = _Pictures(loaded, path)
    odd: Counter[str] = Counter()
    people = []
    for frame in loaded.labeled_frames:
        for instance in frame.instances:
            if type(instance).__name__ != "Instance":
                odd["are predicted, no labels"] += 1
            elif person := _to_person(instance, order, pictures.name_of(frame)):
                people.append(person)
            else:
                odd["have no two visible points"] += 1
    notes = [f"{path}: {count} instances {why}: left out" for why, count in odd.items()]
    used = {person.filename for person in people}
    frames = {name: frame for name, frame in pictures.frames.items() if name in used}
    return Labels(skeleton or found, {WHOLE: people}, notes, images=pictures.folder, frames=frames)


def _load(path: Path) -> Any:
    try:
        import sleap_io
    except ImportError as error:
        raise InputError(
            f"{path}: SLEAP's and DeepLabCut's files are read by the library sleap-io, which is "
            "not installed: pip install 'hourglass-pose[labels]'"
        ) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = sleap_io.load_file(str(path))
    # The library reads a dozen formats by as many others, each with errors of its own kind.
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"{path}: sleap-io cannot read it ({reason})") from error
    if not getattr(loaded, "labeled_frames", None):
        raise InputError(
            f"{path}: holds no labelled frame whose picture is there; DeepLabCut's labeled-data "
            "must lie as the file names it"
        )
    return loaded


def _to_skeleton(skeleton: Any, path: Path) -> Skeleton:
    names = [str(name) for name in skeleton.node_names]
    pairs = [_right_first(sorted(pair), names) for pair in skeleton.symmetry_inds]
    try:
        return known_skeleton(
            str(skeleton.name or path.stem),
            names,
            bones=tuple((int(start), int(end)) for start, end in skeleton.edge_inds),
            mirror_pairs=tuple(sorted(set(pairs))) or None,
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _right_first(pair: list[int], names: list[str]) -> tuple[int, int]:
    """(right, left) as the names tell; without, the later one is the right one."""
    first, second = map(int, pair)
    side = side_of(names[first])
    return (first, second) if side and side[0] == "right" else (second, first)


def _to_person(instance: Any, order: np.ndarray, filename: str) -> Person | None:
    points = np.asarray(instance.numpy(), np.float64)[order]
    labelled = np.isfinite(points).all(axis=1)
    if not has_extent(points[labelled]):
        return None
    visibility = np.where(labelled, VISIBLE, NOT_LABELLED)
    return make_person(filename, points, visibility, box=None)


class _Pictures:
    """Where the labelled frames are: files below one folder, or frames of films.

    Attributes:
        folder: Of all picture files; None if there are only films.
        frames: How to get each frame of a film, by the name that its picture will have.
    """

    def __init__(self, loaded: Any, path: Path) -> None:
        self._path = path
        self._films = {id(film): number for number, film in enumerate(loaded.videos)}
        self._marks: dict[str, str] = {}
        self.frames: dict[str, Callable[[], np.ndarray]] = {}
        self._check_rows(loaded)
        files = [
            Path(self._place(name))
            for film in loaded.videos
            if isinstance(film.filename, list)
            for name in film.filename
        ]
        parents = [str(file.parent) for file in files]
        self.folder = Path(os.path.commonpath(parents)) if parents else None

    def _check_rows(self, loaded: Any) -> None:
        """DeepLabCut's rows are told from each other by their place among the pictures there are:
        with one missing, labels would come to other pictures."""
        if self._path.suffix == ".slp":
            return
        rows: dict[int, int] = defaultdict(int)
        for frame in loaded.labeled_frames:
            rows[id(frame.video)] += 1
        for film in loaded.videos:
            if isinstance(film.filename, list) and rows[id(film)] != len(film.filename):
                raise InputError(
                    f"{self._path}: has {rows[id(film)]} rows for pictures beside "
                    f"{film.filename[0]}, but {len(film.filename)} of them are there"
                )

    def _place(self, name: str) -> str:
        """A picture's path: as the file says, or beside it."""
        beside = self._path.parent / name
        return str((beside if beside.is_file() else Path(name)).resolve())

    def name_of(self, frame: Any) -> str:
        film = frame.video
        if isinstance(film.filename, list):
            place = Path(self._place(film.filename[frame.frame_idx]))
            return place.relative_to(self.folder or "/").as_posix()
        # Frames of several projects may be written to one folder.
        stem = f"{Path(str(film.filename)).name.split('.')[0]}_{self._mark(str(film.filename))}"
        if len(self._films) > 1:
            stem = f"{stem}_{self._films[id(film)]}"
        name = FRAME_NAME.format(film=stem, frame=frame.frame_idx)
        self.frames[name] = lambda: self._pixels(frame)
        return name

    def _mark(self, name: str) -> str:
        """Tells a film from others of its name by its content, or by its path without one."""
        if name not in self._marks:
            try:
                content = _both_ends(Path(self._place(name)))
            except OSError:
                content = name.encode()
            self._marks[name] = hashlib.sha256(content).hexdigest()[:8]
        return self._marks[name]

    def _pixels(self, frame: Any) -> np.ndarray:
        try:
            pixels = np.asarray(frame.image)
        except Exception as error:  # of whichever library reads the film
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise InputError(
                f"{self._path}: frame {frame.frame_idx} of {frame.video.filename} cannot be read "
                f"({reason})"
            ) from error
        return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels


def _both_ends(film: Path) -> bytes:
    """Its length and its first and last bytes, which no two films share; the whole may be large."""
    with film.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        first = file.read(END)
        file.seek(max(size - END, 0))
        return b"%d " % size + first + file.read(END)
