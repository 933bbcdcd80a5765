"""Left and right in the names of joints, as the field and its tools write them."""

from __future__ import annotations

import re
from collections.abc import Sequence

Pair = tuple[int, int]

SIDES = (
    ("right", "left"),
    ("Right", "Left"),
    ("RIGHT", "LEFT"),
    ("r", "l"),
    ("R", "L"),
)
"""How names say on which side a joint is, as a part of the name or at one of its ends."""

_PARTS = "_- ."
"""What stands between the parts of a name."""


def side_of(joint: str) -> tuple[str, str] | None:
    """A joint's side, `"right"` or `"left"`, and its name without it; None for a middle one."""
    for marks in SIDES:
        for side, mark in zip(("right", "left"), marks, strict=True):
            rest = _without(joint, mark)
            if rest:
                return side, rest
    return None


def _without(joint: str, mark: str) -> str | None:
    """The name without a side's mark, or None if it has none.

    A part set off by a separator may be a word or a letter; without one, a word stands at either
    end, and a capital letter before another word (`LHip`) or at the end, numbered or not (`wingL`,
    `forelegL2`).
    """
    for part in _PARTS:
        words = joint.split(part)
        if len(words) > 1 and mark in words:
            words.remove(mark)
            return part.join(words)
    if len(mark) > 1:
        if joint.startswith(mark):
            return joint[len(mark) :].lstrip(_PARTS) or None
        return joint[: -len(mark)].rstrip(_PARTS) or None if joint.endswith(mark) else None
    if not mark.isupper():
        return None
    found = re.search(rf"^{mark}(?=[A-Z][a-z])|(?<=[a-z]){mark}(?=\d|$)", joint)
    return joint[: found.start()] + joint[found.end() :] if found else None


def mirror_pairs_of(joints: Sequence[str]) -> tuple[Pair, ...]:
    """The pairs (right, left) among joints' names, in the order of their first joints."""
    sides: dict[str, dict[str, int]] = {}
    for joint, name in enumerate(joints):
        found = side_of(name)
        if found:
            sides.setdefault(found[1].lower(), {}).setdefault(found[0], joint)
    return tuple(
        (pair["right"], pair["left"]) for pair in sides.values() if {"right", "left"} <= set(pair)
    )
