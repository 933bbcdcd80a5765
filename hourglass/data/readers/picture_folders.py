"""Where the pictures of labels lie: beside them, in one folder or in several folders of it."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

from hourglass.core.errors import InputError
from hourglass.core.storage import Place, Url
from hourglass.data.readers.label_set import Labels


def find_images(labels: Labels, path: Path) -> Path:
    """The folder of the pictures, where the user does not say.

    It is the one that the labels' file names, or `images` beside the annotations or their folder,
    or the annotations' own folder, or the one above: the first that has pictures with labels, or
    else the first whose folders have some, as those of COCO's `train2017` and `val2017` do.

    Args:
        labels: As read from `path`.
        path: The annotations.

    Raises:
        ValueError: If none has.
    """
    folder = path if path.is_dir() else path.parent
    places = [labels.images, folder / "images", folder.parent / "images", folder, folder.parent]
    there = [place for place in places if place and place.is_dir()]
    names = [person.filename for people in labels.people.values() for person in people]
    for place in there:
        if any((place / name).is_file() for name in names):
            return place
    for place in there:
        if not _files_in_folders(place).keys().isdisjoint(names):
            return place
    raise InputError(
        f"{path}: its pictures, such as {names[0]}, are not beside it; say where they are with "
        "--images"
    )


def with_folders(labels: Labels, images: Place) -> Labels:
    """Labels whose pictures' names begin with the folder of `images` that they lie in.

    Names that are right as they are stay, and so do those of pictures that are nowhere.

    Args:
        labels: As read.
        images: Folder of the pictures. At a URL, and for frames of films, nothing is looked for.

    Raises:
        ValueError: If a picture is in more than one of the folders.
    """
    if isinstance(images, Url) or labels.frames:
        return labels
    names = {person.filename for people in labels.people.values() for person in people}
    if all((images / name).is_file() for name in names):
        return labels
    found = _files_in_folders(images)
    full = {
        name: f"{_only(name, found[name], images)}/{name}"
        for name in names | {area.filename for area in labels.ignored}
        if name in found and not (images / name).is_file()
    }
    return replace(
        labels,
        people={
            split: [replace(one, filename=full.get(one.filename, one.filename)) for one in people]
            for split, people in labels.people.items()
        },
        sizes={full.get(name, name): size for name, size in labels.sizes.items()},
        ignored=[
            replace(area, filename=full.get(area.filename, area.filename))
            for area in labels.ignored
        ],
    )


def _files_in_folders(place: Path) -> dict[str, list[str]]:
    """The names of the files in a folder's folders, and which of those hold each.

    Folders that cannot be read hold nothing.
    """
    found: dict[str, list[str]] = {}
    with contextlib.suppress(OSError):
        for folder in sorted(one for one in place.iterdir() if one.is_dir()):
            with contextlib.suppress(OSError):
                for file in folder.iterdir():
                    found.setdefault(file.name, []).append(folder.name)
    return found


def _only(name: str, folders: list[str], images: Path) -> str:
    """The one folder that holds a picture."""
    if len(folders) > 1:
        raise InputError(
            f"{images}: {name} is in {folders[0]}/ and in {folders[1]}/; write into the labels "
            "which is meant, or name one of them with --images"
        )
    return folders[0]
