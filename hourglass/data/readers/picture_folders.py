"""Where the pictures of labels lie: beside them, in one folder or in several folders of it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from hourglass.core.errors import InputError
from hourglass.core.storage import Place, Url
from hourglass.data.readers.label_set import Labels, renamed

OF_LABELS = "annotations"
"""What COCO calls the folder of its labels, beside those of its pictures."""


def find_images(labels: Labels, path: Path) -> Path:
    """The folder of the pictures, where the user does not say.

    It is the one that the labels' file names, or `images` beside the annotations or their folder,
    or the annotations' own folder, or the one above: the first that has pictures with labels, or
    else the first whose folders have some, as COCO's `train2017` and `val2017` have. Of the folders
    above only that is looked into which holds COCO's `annotations`: what lies beside another folder
    may be other sets, whose pictures often have the same names.

    Args:
        labels: As read from `path`.
        path: The annotations.

    Raises:
        ValueError: If none has.
    """
    # Absolute, since `.` has no folder above; not resolved, since pictures may lie beside a link.
    folder = Path(os.path.abspath(path if path.is_dir() else path.parent))
    above = folder.parent
    places = [labels.images, folder / "images", above / "images", folder]
    people = (person for group in labels.people.values() for person in group)
    names = list(dict.fromkeys(person.filename for person in people))
    for place in filter(None, [*places, above]):
        if any((place / name).is_file() for name in names):
            return place
    for place in filter(None, [*places, above] if folder.name == OF_LABELS else places):
        if not _files_in_folders(place).keys().isdisjoint(names):
            return place
    raise InputError(
        f"{path}: its pictures, such as {names[0]}, are not beside it; say where they are with "
        "--images"
    )


def with_folders(labels: Labels, images: Place) -> Labels:
    """Labels whose pictures' names begin with the folder of `images` that they lie in.

    Names that are right as they are stay, and so do those of pictures that are nowhere or that show
    nobody with labels.

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
        for name in names
        if name in found and not (images / name).is_file()
    }
    return renamed(labels, lambda name: full.get(name, name))


def _files_in_folders(place: Path) -> dict[str, list[str]]:
    """The names of the files in a folder's folders, and which of those hold each.

    Folders that cannot be read hold nothing, nor do hidden ones, where programs keep small copies.
    """
    found: dict[str, list[str]] = {}
    with contextlib.suppress(OSError):
        folders = sorted(one for one in place.iterdir() if one.is_dir())
        for folder in (one for one in folders if not one.name.startswith(".")):
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
