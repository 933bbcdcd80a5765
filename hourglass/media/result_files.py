"""Files of results that grow picture by picture, so that a long film needs no memory for them.

What stands in them is `media.results`'. A file appears under its name when it is closed, whole; a
`.jsonl` file, a pipe, a terminal and what a link leads to get each line at once.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from hourglass.core.files import aside, keeps_its_place, publish, write_error
from hourglass.core.skeleton import Skeleton
from hourglass.core.storage import Place
from hourglass.media.inputs import Source
from hourglass.media.results import (
    Entry,
    Found,
    coco_entries,
    csv_header,
    csv_rows,
    image_number,
    to_json_item,
    to_json_line,
    to_openpose,
)
from hourglass.media.targets import make_folder, refuse_existing, refuse_shared

LINES = ".jsonl"
"""The ending of a JSON file that has an object a line, and grows under its own name."""


@dataclass(frozen=True)
class Outputs:
    """Files that a command is to write, besides pictures.

    Attributes:
        json: All poses, with names.
        csv: A row per person.
        coco: COCO's keypoint results.
        openpose: Folder of a file per picture or frame.
    """

    json: Place | None = None
    csv: Place | None = None
    coco: Place | None = None
    openpose: Place | None = None

    def files(self) -> list[Place]:
        """Those that are single files."""
        return [path for path in (self.json, self.csv, self.coco) if path]

    def refuse_wrong(
        self,
        drawn: Iterable[Place | None],
        looked_at: Iterable[Source | None],
        *,
        force: bool,
    ) -> None:
        """Refuses what would write a file twice, over what is looked at, or over what is there.

        Args:
            drawn: What is drawn besides.
            looked_at: Pictures, films and lists of boxes.
            force: Overwrite what is there.

        Raises:
            ValueError: Names the first such file.
        """
        targets = [*self.files(), *(path for path in drawn if path)]
        refuse_shared(targets, looked_at)
        there: list[Place] = []
        if self.openpose:
            there += self.openpose.glob("*_keypoints.json")
        refuse_existing([*targets, *sorted(there, key=str)], force)


class ResultFiles:
    """The files of `Outputs`, open; a context manager that closes them whole, come what may.

    Args:
        outputs: Which there are.
        skeleton: The model's; names the joints.
        pictures: All that are going to be looked at.
        films: How many films are, after the pictures.

    Raises:
        ValueError: If one cannot be made; names it.
    """

    def __init__(
        self,
        outputs: Outputs,
        skeleton: Skeleton,
        *,
        pictures: Sequence[Place] = (),
        films: int = 0,
    ) -> None:
        self._outputs, self._skeleton = outputs, skeleton
        self._ids = ImageIds(pictures, films)
        self._names = OpenPoseNames(outputs.openpose) if outputs.openpose else None
        self._stack = ExitStack()
        self._json: JsonFile | None = None
        self._coco: ListFile | None = None
        self._csv: GrowingFile | None = None

    def __enter__(self) -> ResultFiles:
        outputs, enter = self._outputs, self._stack.enter_context
        with contextlib.ExitStack() as opened:
            opened.push(self._stack)
            if outputs.json:
                self._json = enter(JsonFile(outputs.json))
            if outputs.csv:
                self._csv = enter(GrowingFile(outputs.csv))
                self._csv.write(csv_header(self._skeleton))
            if outputs.coco:
                self._coco = enter(ListFile(outputs.coco, start="[", between=", ", end="]\n"))
            if outputs.openpose:
                make_folder(outputs.openpose)
            opened.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def write(self, found: Found) -> None:
        """Adds a picture or frame to each file.

        Raises:
            ValueError: If one cannot be written; names it.
        """
        if self._json:
            self._json.add(found)
        if self._csv:
            self._csv.write(csv_rows(found))
        if self._coco:
            for entry in coco_entries(found, self._ids.of(found)):
                self._coco.add(json.dumps(entry, allow_nan=False))
        if self._names:
            with GrowingFile(self._names.of(found)) as file:
                file.write(to_openpose(found))


class GrowingFile:
    """A text file; a context manager.

    Args:
        path: Its name, which it gets when it is closed.
        at_once: Let it have its name from the beginning, and what is written reach it at once;
            not at a URL, where files cannot grow.

    Raises:
        ValueError: If it cannot be made or written; names it.
    """

    def __init__(self, path: Place, *, at_once: bool = False) -> None:
        self._path = path
        self._in_place = isinstance(path, Path) and (at_once or keeps_its_place(path))
        self._temporary = path if isinstance(path, Path) and self._in_place else aside(path)
        # A name of any bytes can stand in every file.
        with self._told():
            self._file = self._temporary.open(
                "w", encoding="utf-8", errors="backslashreplace", newline="\n"
            )

    def __enter__(self) -> GrowingFile:
        return self

    def __exit__(self, *error: object) -> None:
        with self._told():
            try:
                self._file.close()
                if not self._in_place:
                    publish(self._temporary, self._path)
            finally:
                if not self._in_place:
                    self._temporary.unlink(missing_ok=True)

    def write(self, text: str) -> None:
        """Adds a text.

        Raises:
            ValueError: If it cannot be written.
        """
        with self._told():
            self._file.write(text)
            if self._in_place:
                self._file.flush()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise write_error(self._path, error) from error


class ListFile(GrowingFile):
    """A JSON list that grows.

    Args:
        path: Its name, which it gets when it is closed.
        start: What stands before the first item,
        between: between two,
        end: and after the last.
    """

    def __init__(self, path: Place, *, start: str, between: str, end: str) -> None:
        super().__init__(path)
        self._next, self._between, self._end = start, between, end
        self._is_empty = True

    def __enter__(self) -> ListFile:
        return self

    def add(self, item: str) -> None:
        """Adds an item, given as JSON."""
        self.write(self._next + item)
        self._next, self._is_empty = self._between, False

    def __exit__(self, *error: object) -> None:
        try:
            self.write("[]\n" if self._is_empty else self._end)
        finally:
            super().__exit__(*error)


class JsonFile:
    """JSON of results that grows: a list, or an object a line if its name ends in `.jsonl`.

    A context manager, which closes it whole.

    Args:
        path: The file.
    """

    def __init__(self, path: Place) -> None:
        self._lines: GrowingFile | None = None
        self._list: ListFile | None = None
        if path.suffix.lower() == LINES:
            self._lines = GrowingFile(path, at_once=True)
        else:
            self._list = ListFile(path, start="[\n", between=",\n", end="\n]\n")

    def __enter__(self) -> JsonFile:
        return self

    def __exit__(self, *error: object) -> None:
        for file in (self._lines, self._list):
            if file:
                file.__exit__(*error)

    def add(self, entry: Entry) -> None:
        """Adds a picture or frame."""
        if self._lines:
            self._lines.write(to_json_line(entry))
        if self._list:
            self._list.add(to_json_item(entry))


class ImageIds:
    """COCO's `image_id` of each picture and frame: never one for two.

    The number in a picture's name, or in a film alone the frame's; where two pictures would share
    it, or there are several films, they are counted from 1 in the order looked at.

    Args:
        pictures: All that are going to be looked at.
        films: How many films are.
    """

    def __init__(self, pictures: Sequence[Place], films: int) -> None:
        numbers = Counter(image_number(str(path)) for path in pictures)
        alone = films == 0 or (films == 1 and not pictures)
        self._by_name = alone and all(count == 1 for count in numbers.values())
        self._count = 0

    def of(self, found: Found) -> int | str:
        """The id of the next picture or frame."""
        self._count += 1
        if not self._by_name:
            return self._count
        return image_number(found.image) if found.frame is None else found.frame


class OpenPoseNames:
    """OpenPose's own names: `NAME_keypoints.json`, with the frame's 12 digits in a film.

    Pictures, and films, that share a name get numbers.
    """

    def __init__(self, folder: Place) -> None:
        self._folder = folder
        self._used: dict[str, dict[str, int]] = {}

    def of(self, found: Found) -> Place:
        """The file of a picture or frame."""
        name = Path(found.image)
        stem = name.stem if found.frame is None else f"{name.stem}_{found.frame:012d}"
        kind = "picture" if found.frame is None else "film"
        images = self._used.setdefault(f"{kind} {name.stem}", {})
        count = images.setdefault(found.image, len(images) + 1)
        number = f"_{count}" if count > 1 else ""
        return self._folder / f"{stem}_keypoints{number}.json"
