"""What there is to look at: pictures from files, folders, patterns and lists; films and cameras.

Names, and whether a picture moves: reading pictures is `media.pictures`', films `media.video`'s.
"""

from __future__ import annotations

import glob
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hourglass.core.copies import local_copy
from hourglass.core.errors import InputError
from hourglass.core.storage import Place, Url, is_stored, place
from hourglass.media.kinds import ANIMATED_SUFFIXES, is_animated

PICTURE_SUFFIXES = frozenset(
    {
        *(".apng", ".avif", ".bmp", ".gif", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".jpeg"),
        *(".jpg", ".jxl", ".mpo", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"),
    }
)
"""What a folder is searched for; a picture that is named itself may be called anything."""

FILM_SUFFIXES = frozenset(
    {
        *(".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"),
        *(".mts", ".ogv", ".ts", ".webm", ".wmv"),
    }
)

STREAM = "://"
"""What the name of a network stream has in it: rtsp://..., http://..."""

Source = Place | int | str
"""A film's file, here or at a URL, a camera's number, or a network stream's address."""

NOT_LOOKED_INTO = ".png"
"""Pictures at URLs that are taken not to move: to find out, all of them would be fetched first."""

LIST = "-"
"""The argument that stands for a list on standard input, one name a line."""


@dataclass(frozen=True)
class Inputs:
    """What a command was asked to look at.

    Attributes:
        pictures: Picture files, in the order given, each once.
        films: Film files, moving pictures, camera numbers and addresses of streams.
    """

    pictures: tuple[Place, ...]
    films: tuple[Source, ...]


def find_inputs(
    arguments: Sequence[str], *, recursive: bool = False, listed: Iterable[str] = ()
) -> Inputs:
    """Sorts out what a command's arguments name.

    Args:
        arguments: Files, folders, glob patterns, camera numbers, addresses of network streams, or
            `-` for `listed`. Files, folders and patterns may be at URLs.
        recursive: Search folders to any depth.
        listed: Lines that stand for a `-`: files, folders or patterns.

    Raises:
        ValueError: If a folder, a pattern or the list names nothing.
    """
    pictures: dict[Place, None] = {}
    films: dict[Source, None] = {}
    for argument in expanded(arguments, listed):
        if STREAM in argument and not is_stored(argument):
            films[argument] = None
            continue
        path = place(argument)
        if isinstance(path, Path) and argument.isdecimal() and not path.exists():
            films[int(argument)] = None
            continue
        for found in _files_in(path, recursive=recursive) if path.is_dir() else [path]:
            if found.suffix.lower() in FILM_SUFFIXES or _moves(found):
                films[found] = None
            else:
                pictures[found] = None
    return Inputs(tuple(pictures), tuple(films))


def expanded(arguments: Sequence[str], listed: Iterable[str]) -> list[str]:
    """The arguments with lists and patterns replaced by what they name.

    Args:
        arguments: As `find_inputs`'.
        listed: Likewise.

    Raises:
        ValueError: If a pattern or the list names nothing.
    """
    names: list[str] = []
    for argument in arguments:
        lines = [argument]
        if argument == LIST:
            lines = [line.strip() for line in listed if line.strip()]
            if not lines:
                raise InputError("-: the list on standard input is empty, a name a line is needed")
        for line in lines:
            names += _matching(line)
    return names


def _moves(picture: Place) -> bool:
    if isinstance(picture, Url):
        suffix = picture.suffix.lower()
        if suffix == NOT_LOOKED_INTO or suffix not in ANIMATED_SUFFIXES:
            return False
        try:
            picture = local_copy(picture)
        except OSError:
            return False  # whoever reads it says why it cannot be
    return is_animated(picture)


def _matching(argument: str) -> list[str]:
    if is_stored(argument):
        return _matching_stored(argument)
    if not glob.has_magic(argument) or STREAM in argument or Path(argument).exists():
        return [argument]
    found = sorted(glob.glob(argument, recursive=True))
    if not found:
        raise InputError(f"{argument}: no file matches this pattern")
    return found


def _matching_stored(argument: str) -> list[str]:
    where = place(argument)
    if isinstance(where, Path):
        return _matching(str(where))
    if not glob.has_magic(where.name):
        return [str(where)]
    found = list(map(str, where.parent.glob(where.name)))
    if not found:
        raise InputError(f"{where}: no file matches this pattern")
    return found


def _files_in(folder: Place, *, recursive: bool) -> list[Place]:
    """Pictures and films in a folder; hidden files, and what lies in hidden folders, are not."""
    suffixes = PICTURE_SUFFIXES | FILM_SUFFIXES
    names: Iterable[Path]
    if isinstance(folder, Url):
        names = map(Path, folder.entries() if recursive else folder.children())
    else:
        inside = folder.rglob("*") if recursive else folder.glob("*")
        names = (path.relative_to(folder) for path in inside)
    found: list[Place] = [
        folder / name
        for name in sorted(names)
        if name.suffix.lower() in suffixes and not _is_hidden(name)
    ]
    if not found:
        below = "" if recursive else "; --recursive would search the folders inside it, too"
        raise InputError(f"{folder}: no pictures or films in this folder{below}")
    return found


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
