"""Fields of a skeleton in JSON: the tuples that they become, and what is no such field."""

from __future__ import annotations

from typing import Any

import pytest

from hourglass.core.skeleton_fields import typed_fields

NAMES = {"name": "cat", "joints": ["nose", "left_paw", "right_paw"]}


def test_lists_become_tuples():
    groups = {"Nose": [0], "Paw": [1, 2]}
    given = {"bones": [[0, 1], [0, 2]], "colours": [[1, 2, 3], [255, 0, 9]], "groups": groups}
    given |= {"mirror_pairs": [[2, 1]], "left_out": [0], "sigmas": [1, 0.5, 2], "torso": [1, 2]}
    assert typed_fields({**NAMES, **given, "reference": "torso"}) == {
        "name": "cat",
        "joints": ("nose", "left_paw", "right_paw"),
        "bones": ((0, 1), (0, 2)),
        "colours": ((1, 2, 3), (255, 0, 9)),
        "groups": (("Nose", (0,)), ("Paw", (1, 2))),
        "mirror_pairs": ((2, 1),),
        "left_out": (0,),
        "sigmas": (1.0, 0.5, 2.0),
        "torso": (1, 2),
        "reference": "torso",
    }


def test_mirror_pairs_come_from_the_names_where_none_are_given():
    assert typed_fields(NAMES)["mirror_pairs"] == ((2, 1),)
    assert typed_fields({**NAMES, "mirror_pairs": []})["mirror_pairs"] == ()


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("joints", "nose", "'joints' is 'nose', it must be a list of names"),
        ("joints", 3, "'joints' is 3, it must be a list of names"),
        ("bones", [[0]], r"\[0\] must be two joints' numbers"),
        ("bones", [[0, 1, 2]], r"\[0, 1, 2\] must be two joints' numbers"),
        ("bones", [[0, 0.5]], "0.5 must be a joint's number, counted from 0"),
        ("left_out", [True], "True must be a joint's number, counted from 0"),
        ("torso", [1], r"\[1\] must be two joints' numbers"),
        ("colours", [[1, 2, 300]], r"colour \[1, 2, 300\] must be three numbers from 0 to 255"),
        ("colours", [[1, 2]], r"colour \[1, 2\] must be three numbers from 0 to 255"),
    ],
)
def test_values_of_another_kind_are_told(field: str, value: Any, told: str):
    with pytest.raises(ValueError, match=f"^{told}$"):
        typed_fields({**NAMES, field: value})
