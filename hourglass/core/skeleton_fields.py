"""A skeleton's fields as JSON holds them become those of a `core.skeleton.Skeleton`.

Kinds of values are judged here; what fits together, such as a bone and its joints, is judged there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hourglass.core.errors import InputError
from hourglass.core.sides import Pair, mirror_pairs_of


def typed_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a JSON object, lists as the tuples that a `Skeleton` holds.

    Args:
        values: By the field's name; `name` and `joints` are among them. Mirror pairs that are not
            are derived from the joints' names.

    Raises:
        ValueError: If a value is of another kind; says what it must be.
        TypeError, AttributeError: Likewise, where Python itself says it.
    """
    fields = {
        **values,
        "name": str(values["name"]),
        "joints": _names(values["joints"]),
        "bones": _pairs(values.get("bones", ())),
        "mirror_pairs": _pairs(values.get("mirror_pairs") or ()),
        "colours": tuple(_colour(one) for one in values.get("colours", ())),
        "groups": tuple(
            (str(title), tuple(map(_index, joints)))
            for title, joints in dict(values.get("groups", {})).items()
        ),
        "left_out": tuple(map(_index, values.get("left_out", ()))),
        "sigmas": tuple(map(float, values.get("sigmas", ()))),
        "torso": _pairs([values["torso"]])[0] if values.get("torso") else None,
    }
    if "mirror_pairs" not in values:
        fields["mirror_pairs"] = mirror_pairs_of(fields["joints"])
    return fields


def _names(values: Any) -> tuple[str, ...]:
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise InputError(f"'joints' is {values!r:.60}, it must be a list of names")
    return tuple(values)


def _index(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f"{value!r} must be a joint's number, counted from 0")
    return value


def _pairs(values: Any) -> tuple[Pair, ...]:
    return tuple(map(_pair, values))


def _pair(values: Any) -> Pair:
    pair = [_index(value) for value in values]
    if len(pair) != 2:
        raise InputError(f"{pair} must be two joints' numbers")
    return pair[0], pair[1]


def _colour(values: Any) -> tuple[int, int, int]:
    colour = [_index(value) for value in values]
    if len(colour) != 3 or not all(0 <= part <= 255 for part in colour):
        raise InputError(f"colour {colour} must be three numbers from 0 to 255")
    return colour[0], colour[1], colour[2]
