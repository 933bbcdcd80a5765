"""A configuration as text: JSON there and back unchanged, and choices one by one.

The JSON is a file in every run's folder, and travels inside every model file.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

from hourglass.core.config import KINDS, SECTIONS, SKELETON, Config, field_of
from hourglass.core.errors import InputError
from hourglass.core.skeleton import MPII, Skeleton

FILE = "config.json"
"""Name of the file in a run's folder that holds its configuration."""

_PARSERS: dict[str, Callable[[str], Any]] = {
    "int": int,
    "float": float,
    "str": str,
    "bool": lambda text: {"true": True, "false": False}[text],
}
"""How a field of each type is read from text."""


def parse_choice(name: str, text: str) -> Any:
    """The value of a choice that is written as text, such as 9 for `train.epochs` and "9".

    Args:
        name: SECTION.FIELD.
        text: A number, a word, or `true` or `false`.

    Raises:
        ValueError: If there is no such choice, or the text is no value of its type.
    """
    kind = str(field_of(name).type)
    try:
        return _PARSERS[kind](text)
    except (ValueError, KeyError) as error:
        raise InputError(f"{name} is {text!r}, it must be {KINDS[kind][1]}") from error


def to_json(config: Config) -> str:
    """`config` as indented JSON text."""
    sections = {name: dataclasses.asdict(getattr(config, name)) for name in SECTIONS}
    return json.dumps({**sections, SKELETON: config.skeleton.to_dict()}, indent=2) + "\n"


def from_json(text: str, *, where: str) -> Config:
    """The configuration that `to_json` wrote; a field that an older file lacks has its default.

    Args:
        text: JSON text.
        where: The file it came from, for error messages.

    Raises:
        ValueError: If the text is not such a configuration; names `where` and the field.
    """
    try:
        sections = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not JSON ({error})") from error
    if not isinstance(sections, dict) or set(sections) - {SKELETON} != set(SECTIONS):
        names = ", ".join((*SECTIONS, SKELETON))
        raise InputError(f"{where}: not a configuration, its sections must be {names}")
    skeleton = sections.pop(SKELETON, None)
    try:
        return Config(
            **{name: kind(**sections[name]) for name, kind in SECTIONS.items()},
            skeleton=MPII if skeleton is None else Skeleton.from_dict(skeleton, where=SKELETON),
        )
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: {error}") from error
