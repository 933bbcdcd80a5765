"""Several folders of shards as one set of people, and whose turn it is in an epoch.

Without shares everybody comes once an epoch. With shares, each folder fills its part of every
epoch: a small one's people come several times, a large one's take turns over the epochs, and
nobody is left out.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from hourglass.core.errors import InputError

URL_START = "://"
"""A colon that begins no share."""

Pattern = str | Sequence[str] | Mapping[str, float]
"""One glob of shards, several, or several with the share of each."""


def parse_folders(text: str) -> dict[str, float | None]:
    """Folders, or URLs, and their shares, from `A`, `A,B` or `A:0.6,B:0.4`.

    A text that is a folder's name, whatever is in it, means that folder.

    Raises:
        ValueError: If a share is no number above 0, only some folders have one, or one comes twice.
    """
    if os.path.isdir(text):
        return {text: None}
    folders: dict[str, float | None] = {}
    for part in text.split(","):
        start = part.find(URL_START) + len(URL_START) if URL_START in part else 0
        folder, colon, share = part[start:].rpartition(":")
        folder = (part[:start] + (folder if colon else share)).strip()
        if not folder:
            raise InputError(f"--data {text!r}: a folder's name is missing")
        folder = folder.rstrip("/") or folder
        if folder in folders:
            raise InputError(f"--data {text!r}: {folder} comes twice")
        folders[folder] = _share(share, text) if colon else None
    given = [share is not None for share in folders.values()]
    if any(given) and not all(given):
        raise InputError(
            f"--data {text!r}: give every folder a share, such as A:0.6,B:0.4, or none"
        )
    return folders


def _share(word: str, text: str) -> float:
    try:
        share = float(word)
    except ValueError:
        share = math.nan
    if not (math.isfinite(share) and share > 0):
        raise InputError(f"--data {text!r}: the share {word!r} must be a number above 0")
    return share


def split_pattern(folders: Mapping[str, float | None], split: str) -> Pattern:
    """The shards of one split, such as `train`, in all folders."""
    shares = {f"{folder.rstrip('/')}/{split}*": share for folder, share in folders.items()}
    weighed = {pattern: share for pattern, share in shares.items() if share is not None}
    return weighed if len(weighed) > 1 else list(shares)


def describe(pattern: Pattern) -> str:
    """The globs, for messages."""
    return pattern if isinstance(pattern, str) else ", ".join(pattern)


def epoch_counts(shares: Iterable[float], people: int) -> list[int]:
    """How many of an epoch's people each part gives: by its share, rounded so that none is lost.

    Args:
        shares: Above 0, of any sum.
        people: In an epoch.
    """
    exact = np.array(list(shares), float)
    exact *= people / exact.sum()
    counts = np.floor(exact).astype(int)
    nearest = np.argsort(counts - exact, kind="stable")
    counts[nearest[: people - counts.sum()]] += 1
    return counts.tolist()


def turns_of_parts(shares: Mapping[str, float], people: int) -> list[int]:
    """`epoch_counts` of patterns, each of which must give somebody.

    Raises:
        ValueError: If a share is too small for that.
    """
    counts = epoch_counts(shares.values(), people)
    for (pattern, share), count in zip(shares.items(), counts, strict=True):
        if not count:
            raise InputError(
                f"{pattern}: its share {share:g} of {sum(shares.values()):g} is none of the "
                f"{people} people of an epoch; give it more"
            )
    return counts


def first_turn(size: int, count: int, epoch: int) -> tuple[int, int]:
    """Where an epoch begins in a part's endless row of passes: number of the pass, place in it.

    Args:
        size: People of the part.
        count: Of them in each epoch.
        epoch: Its number.
    """
    return epoch * count // size, epoch * count % size


def passes_needed(size: int, count: int) -> int:
    """How many passes an epoch may touch, wherever in one it begins."""
    return (size + count - 2) // size + 1


def turns(size: int, count: int, epoch: int, *, seed: Sequence[int]) -> np.ndarray:
    """The people of one part whose turn it is in an epoch, (count,) int: passes, each shuffled.

    Args:
        size: People of the part.
        count: Of them in each epoch.
        epoch: Its number.
        seed: Decides, with a pass's number, its order.
    """
    first, skipped = first_turn(size, count, epoch)
    passes = [
        np.random.default_rng([*seed, number]).permutation(size)
        for number in range(first, first + passes_needed(size, count))
    ]
    return np.concatenate(passes)[skipped : skipped + count]
