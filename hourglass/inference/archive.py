"""Prediction over archives: pictures and films shared out over a Ray cluster, results in parts.

A part is a file with the results of some inputs, a row per input, be it a picture, a film, or one
that failed. Parts appear whole, under names that depend on the inputs alone: a killed run goes on
with the parts that are missing, and what runs twice is written once. Pictures are read where they
are looked at, and never travel.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from loguru import logger

from hourglass.core import cluster
from hourglass.core.boxes import Boxes
from hourglass.core.errors import InputError
from hourglass.core.files import read_text, write_file
from hourglass.core.locking import alone_in
from hourglass.core.progress import Progress
from hourglass.core.storage import Place, Url, place
from hourglass.inference.estimator import SHIPPED, SHIPPED_LITERT, default_model
from hourglass.inference.locating import refuse_several_ways
from hourglass.inference.parts import KINDS, PARQUET, How, Part, Predictor, inputs_of, printable
from hourglass.media.inputs import Inputs, Source
from hourglass.media.targets import make_folder

PER_PART = 256
"""Pictures in a part: some seconds' work, which a killed worker loses. A film is a part."""

SETTINGS = "settings.json"
"""The file beside the parts that says how they were made."""


@dataclass(frozen=True)
class Summary:
    """What a run did.

    Attributes:
        done: Inputs looked at now, those that failed included.
        kept: Inputs whose rows were there already.
        parts: Files in the folder.
        failures: A line for each input that failed now.
    """

    done: int
    kept: int
    parts: int
    failures: list[str]

    @property
    def told(self) -> str:
        """What was done, in words."""
        kept = f", {self.kept} were done before" if self.kept else ""
        return f"{self.done} inputs done{kept}; {self.parts} parts"


def portable(model: Place | None) -> Place:
    """The model file that is asked for, by its whole path; default: the newest, or the shipped one.

    Of that the LiteRT file, where LiteRT is installed: hundreds of workers would load TensorFlow.
    """
    model = model or default_model()
    if model == SHIPPED and importlib.util.find_spec("ai_edge_litert"):
        model = SHIPPED_LITERT
    return place(whole_name(model))


def predict_archive(
    inputs: Inputs,
    how: How,
    *,
    folder: Path,
    kind: str = PARQUET,
    address: str | None = None,
    workers: int | None = None,
) -> Summary:
    """Finds the people in an archive's pictures and films, on a Ray cluster.

    Args:
        inputs: What to look at; every machine sees the same files.
        how: The model and its choices.
        folder: Where the parts go; those that are there already stay.
        kind: One of `KINDS`.
        address: The cluster's; default: this machine.
        workers: Processes with a model each; default: one per core of the cluster.

    Raises:
        ValueError: If no cluster answers, an input is no file, `folder` holds results of other
            choices, or a part cannot be written; names each.
    """
    _require_packages()
    refuse_several_ways(how.boxes, how.listed, how.detect)
    pictures = {whole_name(path): path for path in inputs.pictures}
    films = list(dict.fromkeys(_film_path(film) for film in inputs.films))
    if how.listed and films:
        raise InputError("--boxes is for pictures; of a film, --box says where to begin")
    make_folder(folder)
    with alone_in(folder, doing="a prediction"):
        _claim(folder, how, kind)
        todo, kept = _missing(folder, list(pictures), films, kind)
        if how.listed:
            todo = [_with_boxes(part, how.listed, pictures) for part in todo]
        done, failures = _made(todo, how, folder, kind, address, workers) if todo else (0, [])
        return Summary(done, kept, len(_parts_in(folder, kind)), failures)


def _made(
    todo: list[Part], how: How, folder: Path, kind: str, address: str | None, workers: int | None
) -> tuple[int, list[str]]:
    """Has the parts made; how many inputs they have, and a line for each that failed."""
    done, failures = 0, []
    with cluster.started(address, None):
        pool = min(_pool_size(workers), len(todo))
        nodes = cluster.Nodes()
        count = sum(len(part.inputs) for part in todo)
        logger.info(f"{count} inputs in {len(todo)} parts, {pool} workers {nodes.look()}".rstrip())
        with Progress("predicting", total=count, unit="inputs") as progress:
            for outcome in _outcomes(todo, how, folder.resolve(), kind, pool):
                if outcome["failure"]:
                    raise InputError(outcome["failure"])
                done += outcome["inputs"]
                failures += json.loads(outcome["errors"])
                progress.advance(outcome["inputs"], note=nodes.look())
    return done, failures


def _require_packages() -> None:
    try:
        import pyarrow  # noqa: F401
        import ray.data  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"predicting on a cluster needs Ray Data and PyArrow ({error}): "
            "pip install 'hourglass-pose[cluster]'"
        ) from error


def whole_name(path: Place) -> str:
    """A file's whole path, or its URL: what it is called on any machine."""
    return str(path) if isinstance(path, Url) else os.path.abspath(path)


def _film_path(film: Source) -> str:
    if not isinstance(film, Place):
        raise InputError(f"{film}: a camera or stream has no end; an archive takes files")
    return whole_name(film)


def _with_boxes(part: Part, listed: Boxes, pictures: Mapping[str, Place]) -> Part:
    """The part with its pictures' boxes, which a file may give by the names as they were given."""
    return replace(part, boxes=tuple(tuple(listed.of(pictures[name])) for name in part.pictures))


def _claim(folder: Path, how: How, kind: str) -> None:
    """Notes how the parts are made, unless others are there.

    Raises:
        ValueError: If they are.
    """
    for left in folder.glob(".*.part-*"):  # by workers that were killed, on any machine
        left.unlink(missing_ok=True)
    path, wanted = folder / SETTINGS, {"format": kind, **how.settings()}
    if path.is_file():
        there = _read_settings(path)
        if there != wanted:
            others = [name for name in wanted if there.get(name) != wanted[name]]
            raise InputError(
                f"{folder}: holds results with another {', '.join(others)}; name another folder"
            )
        return
    if any(_parts_in(folder, one) for one in KINDS):
        raise InputError(f"{folder}: holds parts, but no {SETTINGS}; name another folder")
    write_file(path, json.dumps(wanted, indent=1) + "\n")


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(read_text(path)))
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: not the settings of an archive ({error})") from error


def _parts_in(folder: Path, kind: str) -> list[Path]:
    return sorted(folder.glob(f"part-*.{kind}"))


def _missing(
    folder: Path, pictures: Sequence[str], films: Sequence[str], kind: str
) -> tuple[list[Part], int]:
    """The parts that are to be made, and how many inputs have their rows already.

    Part i of the same inputs has the same name and the same inputs in every run; inputs that have
    a row in the parts of another list, as an archive grows, are left out.
    """
    everything = "\n".join([*pictures, "", *films])
    listing = hashlib.sha256(everything.encode(errors="surrogateescape")).hexdigest()[:12]
    groups = [
        *(tuple(pictures[start : start + PER_PART]) for start in range(0, len(pictures), PER_PART)),
        *((film,) for film in films),
    ]
    own = f"part-{listing}-"
    there = {path.name for path in _parts_in(folder, kind)}
    others = [folder / name for name in there if not name.startswith(own)]
    known = {name for path in others for name in inputs_of(path)}
    first_film = len(groups) - len(films)
    parts, kept = [], 0
    for number, group in enumerate(groups):
        name = f"{own}{number:06d}.{kind}"
        left = tuple(one for one in group if printable(one) not in known)
        if name in there:
            left = ()
        kept += len(group) - len(left)
        if left:
            of_film = number >= first_film
            parts.append(Part(name, film=left[0]) if of_film else Part(name, pictures=left))
    return parts, kept


def _pool_size(workers: int | None) -> int:
    """As many workers as asked for, if the cluster has as many cores."""
    import ray

    cores = int(ray.cluster_resources().get("CPU", 0))
    if not cores or (workers or 0) > cores:
        raise InputError(
            f"the cluster has {cores} cores, --workers {workers or 'of at least 1'} needs as many"
        )
    return workers or cores


def _outcomes(
    parts: list[Part], how: How, folder: Path, kind: str, workers: int
) -> Iterator[dict[str, Any]]:
    """What came of each part, as soon as it is written: Ray Data over a pool of models."""
    import ray

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)  # progress is told here
    texts = [part.to_json() for part in parts]
    outcomes = ray.data.from_items(texts, override_num_blocks=len(texts)).map_batches(
        Predictor,
        fn_constructor_kwargs={"how": how, "folder": folder, "kind": kind},
        batch_size=1,
        num_cpus=1,
        compute=ray.data.ActorPoolStrategy(size=workers),
    )
    try:
        yield from outcomes.iter_rows()
    except (ray.exceptions.RayTaskError, ray.exceptions.UserCodeException):
        raise  # a fault of the program, with its traceback in the worker
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()
        raise InputError(
            f"workers of Ray ended again and again ({reason[-1] if reason else error!r})"
        ) from error
