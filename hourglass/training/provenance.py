"""What a run's folder says of how it began, its data and its arithmetic: kept when it goes on.

A run that goes on with other people, or with as many in another order, is another run.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from loguru import logger

from hourglass.core import config_text
from hourglass.core.config import Config
from hourglass.core.errors import InputError
from hourglass.core.files import read_text, write_file
from hourglass.core.storage import Place, place
from hourglass.data.mixture import parse_folders, split_pattern
from hourglass.data.shards import find_shards, fingerprint, is_without
from hourglass.training.devices import Devices

FILE = "data.json"
"""Its name in the run's folder."""

SPLITS = ("train", "validation")


@dataclass(frozen=True)
class Part:
    """One folder of shards.

    Attributes:
        folder: Where it lay, absolute.
        share: Of each epoch; None where everybody comes once.
        shards: `fingerprint` of each file of the splits, by its name.
    """

    folder: str
    share: float | None
    shards: dict[str, str]


@dataclass(frozen=True)
class Provenance:
    """All that a run learns from.

    Attributes:
        parts: The folders, in their order.
        steps: Per epoch.
    """

    parts: tuple[Part, ...]
    steps: int

    @property
    def folders(self) -> dict[str, float | None]:
        """As `mixture.parse_folders` gives them."""
        return {part.folder: part.share for part in self.parts}


def provenance_of(folders: Mapping[str, float | None], *, steps: int) -> Provenance:
    """What there is in folders of shards now.

    Args:
        folders: With their shares, as `mixture.parse_folders` gives them.
        steps: Per epoch.

    Raises:
        ValueError: If a folder has no shards, or one is damaged.
    """
    parts = []
    for folder, share in folders.items():
        patterns = [
            split_pattern({folder: None}, split)
            for split in SPLITS
            if not is_without(folder, split)
        ]
        shards = {
            os.path.basename(path): fingerprint(path)
            for pattern in patterns
            for path in find_shards(pattern)
        }
        # Of one folder alone, any share is the whole.
        part = share if len(folders) > 1 else None
        parts.append(Part(str(place(folder).resolve()), part, shards))
    return Provenance(tuple(parts), steps)


def write_provenance(folder: Path, provenance: Provenance) -> None:
    """Writes it into a run's folder."""
    text = json.dumps(dataclasses.asdict(provenance), indent=1)
    write_file(folder / FILE, f"{text}\n")


def read_provenance(folder: Place) -> Provenance | None:
    """What a run's folder says; None of a run from before it was written down.

    Raises:
        ValueError: If the file is damaged; names it.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        values = json.loads(read_text(path))
        parts = tuple(
            Part(
                str(part["folder"]),
                None if part["share"] is None else float(part["share"]),
                dict(part["shards"]),
            )
            for part in values["parts"]
        )
        return Provenance(parts, int(values["steps"]))
    except InputError:
        raise
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InputError(f"{path}: not what a run learns from ({error!r})") from error


def difference(before: Provenance, now: Provenance) -> str | None:
    """What is not as it was, in words; None if a run can go on as if nothing had happened.

    Folders may lie elsewhere: what counts is what their shards hold.
    """
    if len(before.parts) != len(now.parts):
        return f"{len(before.parts)} folders of shards became {len(now.parts)}"
    for old, new in zip(before.parts, now.parts, strict=True):
        if old.share != new.share:
            return f"the share of {new.folder} was {old.share} and is {new.share}"
        names = sorted(old.shards.keys() | new.shards.keys())
        changed = [name for name in names if old.shards.get(name) != new.shards.get(name)]
        if changed:
            return (
                f"{len(changed)} of {len(names)} shards in {new.folder} are not those of "
                f"{old.folder}, the first is {changed[0]}"
            )
    if before.steps != now.steps:
        return f"{before.steps} steps an epoch became {now.steps}"
    return None


def pinned(config: Config, devices: Devices, folder: Place, *, resume: bool) -> Config:
    """The choices with the arithmetic of this machine, or of the run that goes on, by its name.

    What `auto` means is decided once: a run that goes on elsewhere keeps its arithmetic.

    Args:
        config: All choices.
        devices: This machine's.
        folder: The run's.
        resume: The run goes on.
    """
    precision, path = config.train.precision, folder / config_text.FILE
    if resume and precision == "auto" and path.exists():
        precision = config_text.from_json(read_text(path), where=str(path)).train.precision
    policy, own = devices.policy(precision), devices.policy("auto")
    if resume and policy != own:
        logger.info(f"the run goes on in {policy}; this machine alone would choose {own}")
    return config.replace("train.precision", policy)


def folders_of(
    data: str | Place | None, folder: Place, before: Provenance | None
) -> Mapping[str, float | None]:
    """The folders of shards that are named, or else those of the run that goes on.

    Args:
        data: As `mixture.parse_folders` reads it.
        folder: The run's.
        before: What the run says of its data.

    Raises:
        ValueError: If neither names any, or the run's own are gone.
    """
    if data is not None:
        return parse_folders(str(data))
    if before is None:
        raise InputError(f"{folder}: does not say which data the run is trained on; give --data")
    for one in before.folders:
        if not place(one).is_dir():
            raise InputError(
                f"{folder}: the run's data are in {one}, which is not there; --data says where "
                "they are now"
            )
    logger.info(f"data of the run: {', '.join(before.folders)}")
    return before.folders
