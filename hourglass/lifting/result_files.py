"""Files of people in three dimensions that grow picture by picture, so that films need no memory.

What stands in them is `lifting.results`'. Only a motion for `--bvh` is held until its film ends:
its bones' lengths are means over the whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass

from hourglass.core.errors import InputError
from hourglass.core.storage import Place
from hourglass.lifting.results import (
    Lifted,
    Motions,
    csv_header,
    csv_rows,
    write_bvh,
)
from hourglass.media.inputs import Source
from hourglass.media.result_files import GrowingFile, JsonFile
from hourglass.media.targets import (
    make_folder,
    refuse_existing,
    refuse_shared,
    require_folders,
)


@dataclass(frozen=True)
class LiftedOutputs:
    """Files that `lift` is to write, besides panels.

    Attributes:
        json: All bodies, with names.
        csv: A row per person.
        bvh: Folder of a file per person.
    """

    json: Place | None = None
    csv: Place | None = None
    bvh: Place | None = None

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
            looked_at: Pictures, films, files of joints and lists of boxes.
            force: Overwrite what is there.

        Raises:
            ValueError: Names the first such file.
        """
        files = [path for path in (self.json, self.csv) if path]
        targets = [*files, *(path for path in drawn if path)]
        refuse_shared(targets, looked_at)
        there: list[Place] = list(self.bvh.glob("*.bvh")) if self.bvh else []
        refuse_existing([*targets, *sorted(there, key=str)], force)
        require_folders(files)


class LiftedFiles:
    """The files of `LiftedOutputs`, open; a context manager that closes them whole, come what may.

    Args:
        outputs: Which there are.

    Attributes:
        entries: Pictures and frames written.
        people: People in them who were lifted.

    Raises:
        ValueError: If one cannot be made; names it.
    """

    def __init__(self, outputs: LiftedOutputs) -> None:
        self.entries = self.people = 0
        self._outputs, self._stack = outputs, ExitStack()
        self._json: JsonFile | None = None
        self._csv: GrowingFile | None = None
        self._motions: Motions | None = None

    def __enter__(self) -> LiftedFiles:
        outputs = self._outputs
        with ExitStack() as opened:
            if outputs.bvh:
                _require_scipy(outputs.bvh)
                make_folder(outputs.bvh)
                self._motions = Motions()
                opened.callback(write_bvh, self._motions, outputs.bvh)
            if outputs.json:
                self._json = opened.enter_context(JsonFile(outputs.json))
            if outputs.csv:
                self._csv = opened.enter_context(GrowingFile(outputs.csv))
                self._csv.write(csv_header())
            self._stack = opened.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def write(self, lifted: Lifted) -> None:
        """Adds a picture or frame to each file.

        Raises:
            ValueError: If one cannot be written; names it.
        """
        self.entries += 1
        self.people += sum(body is not None for body in lifted.bodies)
        if self._json:
            self._json.add(lifted)
        if self._csv:
            self._csv.write(csv_rows(lifted))
        if self._motions:
            self._motions.add(lifted)


def _require_scipy(folder: Place) -> None:
    try:
        import hourglass.lifting.bvh  # noqa: F401
    except ImportError as error:
        raise InputError(f"{folder}: for BVH, {error.name} is needed: pip install scipy") from error
