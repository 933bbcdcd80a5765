"""One part of an archive's results: some inputs looked at, a row for each, and the file of them.

A row has the input's name, its kind, its error or none, and its frames, of which a picture has one;
docs/FORMATS.md shows one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hourglass.core.boxes import Boxes
from hourglass.core.copies import local_copy
from hourglass.core.errors import InputError
from hourglass.core.files import replacing, write_file
from hourglass.core.pose import Box
from hourglass.core.storage import Place, place
from hourglass.inference.estimator import PoseEstimator
from hourglass.inference.locating import locator
from hourglass.inference.look import NOTHING, Look
from hourglass.inference.passes import predict_film
from hourglass.inference.pipeline import Failed, Locate, see_pictures
from hourglass.media.results import Found

PARQUET, LINES = "parquet", "jsonl"

KINDS = (PARQUET, LINES)
"""Formats of parts, which are the endings of their names, too."""

COLUMNS = ("input", "kind", "error", "frames")

FRAME = ("frame", "time", "width", "height", "people")


@dataclass(frozen=True)
class How:
    """How an archive is looked at.

    Attributes:
        model: Model file, at the same place on all machines.
        flip_test: As `PoseEstimator`'s.
        boxes: Everybody's, in each picture.
        listed: Boxes by picture.
        detect: Find the people.
        every: Of films, each N-th frame only.
        smooth: Of films, filter joints against jitter.
    """

    model: Place
    flip_test: bool = False
    boxes: tuple[Box, ...] = ()
    listed: Boxes | None = None
    detect: bool = False
    every: int = 1
    smooth: bool = False

    def settings(self) -> dict[str, Any]:
        """What results depend on, in JSON; files by their content."""
        return {
            "model": _digest(self.model),
            "flip_test": self.flip_test,
            "box": [list(box) for box in self.boxes],
            "boxes": self.listed.digest() if self.listed else None,
            "detect": self.detect,
            "every": self.every,
            "smooth": self.smooth,
        }


def _digest(model: Place) -> str:
    """SHA-256 of a model file, or of all files of a SavedModel's folder."""
    digest, path = hashlib.sha256(), local_copy(model)
    try:
        files = [path] if path.is_file() else sorted(one for one in path.rglob("*"))
        if not files:
            raise InputError(f"{path}: no such model file")
        for file in files:
            if file.is_file():
                digest.update(file.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    return digest.hexdigest()


@dataclass(frozen=True)
class Part:
    """Inputs whose results go into one file.

    Attributes:
        name: The file's.
        pictures: Picture files.
        boxes: The boxes in each of them, where they are given picture by picture.
        film: In their place, a film's file.
    """

    name: str
    pictures: tuple[str, ...] = ()
    boxes: tuple[tuple[Box, ...], ...] | None = None
    film: str | None = None

    @property
    def inputs(self) -> tuple[str, ...]:
        """All of them."""
        return self.pictures if self.film is None else (self.film,)

    def to_json(self) -> str:
        """In a text, as Ray Data hands it to a worker."""
        return json.dumps([self.name, self.pictures, self.boxes, self.film])

    @classmethod
    def from_json(cls, text: str) -> Part:
        """What `to_json` wrote."""
        name, pictures, boxes, film = json.loads(text)
        if boxes is not None:
            boxes = tuple(tuple((x, y, w, h) for x, y, w, h in some) for some in boxes)
        return cls(name, tuple(pictures), boxes, film)


class Predictor:
    """An actor that holds a model, and makes part after part.

    Args:
        how: The model and its choices.
        folder: Where parts go.
        kind: Their format.
    """

    def __init__(self, how: How, folder: Path, kind: str) -> None:
        self._how, self._folder, self._kind = how, folder, kind
        self._estimator: PoseEstimator | None = None
        self._locate: Locate | None = None

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Makes the one part in `batch`, and says what came of it."""
        (text,) = batch["item"]
        part = Part.from_json(str(text))
        rows: list[dict[str, Any]] = []
        failure = ""
        try:
            rows = list(self._rows(part))
            write_part(rows, self._folder / part.name, self._kind)
        except (InputError, OSError) as error:
            failure = " ".join(str(error).split())
        errors = json.dumps([row["error"] for row in rows if row["error"]])
        return {"inputs": [len(part.inputs)], "errors": [errors], "failure": [failure]}

    def _rows(self, part: Part) -> Iterator[dict[str, Any]]:
        how = self._how
        if self._estimator is None or self._locate is None:
            self._estimator = PoseEstimator.load(how.model, flip_test=how.flip_test)
            self._locate = locator(how.boxes, None, how.detect)
        if part.film is not None:
            yield _film_row(place(part.film), self._estimator, self._locate, how)
            return
        locate = self._locate
        if part.boxes is not None:
            by_name = zip(part.pictures, map(list, part.boxes), strict=True)
            locate = locator((), Boxes(dict(by_name)), False)
        paths = [place(name) for name in part.pictures]
        outcomes = see_pictures(paths, self._estimator, locate)
        for path, seen in zip(paths, outcomes, strict=True):
            if isinstance(seen, Failed):
                yield _row(path, "picture", [], str(seen.error))
            else:
                height, width = seen.picture.shape[:2]
                yield _row(path, "picture", [Found(str(path), width, height, seen.poses)])


def _film_row(path: Place, estimator: PoseEstimator, locate: Locate, how: How) -> dict[str, Any]:
    """A film's row; one that ends in a failure has the frames before it."""
    frames: list[Found] = []
    try:
        failures = predict_film(
            path,
            estimator,
            locate,
            drawn=None,
            look=Look((NOTHING,)),
            take=frames.append,
            every=how.every,
            detects=how.detect,
            smooth=how.smooth,
        ).failures
    except InputError as error:
        failures = [str(error)]
    return _row(path, "film", frames, "; ".join(failures))


def _row(path: Place, kind: str, frames: Iterable[Found], error: str = "") -> dict[str, Any]:
    return {
        "input": printable(str(path)),
        "kind": kind,
        "error": error or None,
        "frames": [_frame(found) for found in frames],
    }


def printable(name: str) -> str:
    """A name of any bytes as text that every file can hold."""
    return name.encode("utf-8", "backslashreplace").decode()


def _frame(found: Found) -> dict[str, Any]:
    """As `Found.to_dict` without the name; of a picture, frame and time are None."""
    values = {"frame": None, "time": None, **found.to_dict()}
    return {name: values[name] for name in FRAME}


def write_part(rows: Sequence[Mapping[str, Any]], path: Path, kind: str) -> None:
    """Writes a part whole or not at all.

    Raises:
        ValueError: If it cannot be written; names it.
    """
    if kind == LINES:
        write_file(path, "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows))
        return
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.Table.from_pylist(list(rows), schema=schema())
    with replacing(path) as temporary, temporary.open("wb") as file:
        pyarrow.parquet.write_table(table, file)


def inputs_of(path: Path) -> list[str]:
    """The inputs whose rows a part has.

    Raises:
        ValueError: If it is damaged; names it.
    """
    try:
        if path.suffix == f".{LINES}":
            with path.open(encoding="utf-8") as file:
                return [json.loads(line)["input"] for line in file]
        import pyarrow.parquet

        return pyarrow.parquet.read_table(path, columns=["input"])["input"].to_pylist()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a part of an archive's results ({error})") from error


def schema() -> Any:
    """The columns of a Parquet part, as PyArrow's schema: nested as JSON's are."""
    import pyarrow as pa

    keypoint = pa.struct(
        [("name", pa.string()), *((name, pa.float32()) for name in ("x", "y", "score"))]
    )
    person = pa.struct(
        [
            ("id", pa.int64()),
            ("box", pa.list_(pa.float64())),
            ("score", pa.float64()),
            ("keypoints", pa.list_(keypoint)),
        ]
    )
    frame = pa.struct(
        [
            ("frame", pa.int64()),
            ("time", pa.float64()),
            ("width", pa.int32()),
            ("height", pa.int32()),
            ("people", pa.list_(person)),
        ]
    )
    kinds = (pa.string(), pa.string(), pa.string(), pa.list_(frame))
    return pa.schema(list(zip(COLUMNS, kinds, strict=True)))
