"""Which files a command is going to write, and whether it may."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from hourglass.core.errors import InputError
from hourglass.core.files import write_error
from hourglass.core.storage import Place, Url
from hourglass.media.film_writer import KINDS
from hourglass.media.inputs import FILM_SUFFIXES, Inputs, Source


def drawn_names(images: Sequence[Place], output: Place, ending: str = "_pose.jpg") -> list[Place]:
    """A file in `output` for each picture; pictures of one name in several folders get numbers."""
    used: dict[str, int] = {}
    names = []
    for image in images:
        count = used[image.stem] = used.get(image.stem, 0) + 1
        stem, dot, suffix = ending.partition(".")
        number = f"_{count}" if count > 1 else ""
        names.append(output / f"{image.stem}{stem}{number}{dot}{suffix}")
    return names


def make_folder(output: Place) -> None:
    """Makes a folder that may be there.

    Raises:
        ValueError: If it cannot be made.
    """
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(output, error) from error


def make_folders(files: Iterable[Place | None]) -> None:
    """Makes the folders of files that are to be written, as `make_folder`; None needs none."""
    for folder in dict.fromkeys(file.parent for file in files if file):
        make_folder(folder)


def require_folders(files: Iterable[Place]) -> None:
    """Refuses, before any work is done, files that cannot be written at its end.

    Raises:
        ValueError: If there is no such folder, or it may not be written to; names the file.
    """
    for file in files:
        if isinstance(file, Path) and not file.parent.is_dir():
            raise InputError(f"{file}: cannot be written (there is no folder {file.parent})")
        if isinstance(file, Path) and not os.access(file.parent, os.W_OK):
            raise InputError(f"{file}: cannot be written (nor may anything in {file.parent})")


def refuse_existing(paths: Iterable[Place | None], force: bool) -> None:
    """Keeps files from being overwritten; a pipe or a terminal holds nothing to be kept.

    Raises:
        ValueError: If one is there, or is a folder, which `force` does not overwrite; names the
            first.
    """
    paths = list(paths)
    for path in paths:
        if isinstance(path, Path) and path.is_dir():
            raise InputError(f"{path}: cannot be written (Is a directory)")
    there = [] if force else [path for path in paths if path and _holds_something(path)]
    if there:
        more = f", and {len(there) - 1} more" if len(there) > 1 else ""
        raise InputError(f"{there[0]} is there already{more}; --force would overwrite")


def _holds_something(path: Place) -> bool:
    return path.exists() if isinstance(path, Url) else path.is_file()


def refuse_shared(targets: Sequence[Place], inputs: Iterable[Source | None]) -> None:
    """Keeps a file from being written twice, or over what is looked at.

    Raises:
        ValueError: If that would be; names the first.
    """
    read = {path.resolve() for path in inputs if isinstance(path, Path | Url)}
    counts = Counter(path.resolve() for path in targets)
    for path in targets:
        if path.resolve() in read:
            raise InputError(f"{path} is looked at: it cannot be written, too")
        if counts[path.resolve()] > 1:
            raise InputError(f"{path} would be written twice: give each output its own file")


def film_targets(films: Sequence[Source], output: Place, ending: str = "_pose.mp4") -> list[Place]:
    """The film to write for each film: `output` itself if it is called like one."""
    if output.suffix.lower() in KINDS:
        if len(films) > 1:
            raise InputError(f"--output {output}: {len(films)} films cannot share one file")
        return [output]
    if films and output.suffix.lower() in FILM_SUFFIXES:
        raise InputError(f"--output {output}: films are written as {', '.join(KINDS)}")
    names = [
        Path(f"{_plain(film)}.film") if isinstance(film, int | str) else film for film in films
    ]
    return drawn_names(names, output, ending)


def _plain(film: int | str) -> str:
    """A file's name for a camera, or for a stream by its address."""
    if isinstance(film, int):
        return f"camera{film}"
    return re.sub(r"[^A-Za-z0-9.-]+", "_", film.split("://", 1)[1].partition("?")[0]).strip("_.")


def drawing_targets(
    inputs: Inputs, output: Place, *, draws: bool, ending: str = "_pose"
) -> dict[Source, Place | None]:
    """What is drawn into which file, called with that ending; None for all if nothing is drawn."""
    if not draws:
        return dict.fromkeys([*inputs.pictures, *inputs.films])
    if inputs.pictures and output.suffix.lower() in KINDS:
        raise InputError(f"--output {output}: of pictures, this is a folder, not a film")
    pictures = drawn_names(inputs.pictures, output, f"{ending}.jpg")
    films = film_targets(inputs.films, output, f"{ending}.mp4")
    drawn: dict[Source, Place | None] = {}
    drawn.update(zip(inputs.pictures, pictures, strict=True))
    drawn.update(zip(inputs.films, films, strict=True))
    return drawn
