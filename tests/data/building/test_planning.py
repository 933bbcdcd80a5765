"""Which people share a shard, and what makes a shard another one."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hourglass.core.person import Person
from hourglass.core.skeleton import LSP, MPII
from hourglass.data.building.planning import MISSING, Recipe, picture_signatures, plan_shards


@pytest.fixture
def recipe() -> Recipe:
    return Recipe(MPII, "whole", {f"person_{number}.jpg": f"9 {number}" for number in range(9)})


@pytest.fixture
def people(make_person: Callable[..., Person]) -> list[Person]:
    """Nine people in three pictures, which come in turn."""
    return [make_person(number, filename=f"person_{number % 3}.jpg") for number in range(9)]


def test_everybody_is_in_one_shard_and_those_of_a_picture_stand_together(
    recipe: Recipe, people: list[Person]
):
    plans = plan_shards("train", people, 2, recipe, seed=0)
    assert [plan.name for plan in plans] == [
        "train_0001_of_0002.tfrecords",
        "train_0002_of_0002.tfrecords",
    ]
    assert [len(plan.people) for plan in plans] == [5, 4]
    assert {id(one) for plan in plans for one in plan.people} == {id(one) for one in people}
    for plan in plans:
        pictures = [one.filename for one in plan.people]
        changes = sum(one != other for one, other in itertools.pairwise(pictures))
        assert changes == len(set(pictures)) - 1


def test_the_seed_decides_who_shares_a_shard(recipe: Recipe, people: list[Person]):
    def sources(seed: int) -> list[str]:
        return [plan.source for plan in plan_shards("train", people, 2, recipe, seed=seed)]

    assert sources(0) == sources(0)
    assert sources(0) != sources(1)


def test_no_shard_is_empty(recipe: Recipe, people: list[Person]):
    plans = plan_shards("validation", people[:3], 8, recipe, seed=0)
    assert [len(plan.people) for plan in plans] == [1, 1, 1]
    assert plans[-1].name == "validation_0003_of_0003.tfrecords"


@pytest.mark.parametrize(
    "change",
    [
        {"skeleton": LSP},
        {"store": "crop"},
        {"signatures": {f"person_{number}.jpg": "9 9" for number in range(9)}},
    ],
)
def test_a_shard_of_another_recipe_is_another(
    recipe: Recipe, people: list[Person], change: dict[str, Any]
):
    assert dataclasses.replace(recipe, **change).source_of(people) != recipe.source_of(people)


@pytest.mark.parametrize(
    "change",
    [
        {"filename": "person_5.jpg"},
        {"points": np.zeros((16, 2), np.float32)},
        {"visibility": np.zeros(16, np.uint8)},
        {"center": np.zeros(2, np.float32)},
        {"scale": 7.0},
        {"area": 12.0},
        {"weights": np.ones(16, np.float32)},
    ],
)
def test_a_shard_of_other_people_is_another(
    recipe: Recipe, people: list[Person], change: dict[str, Any]
):
    others = [dataclasses.replace(people[0], **change), *people[1:]]
    assert recipe.source_of(others) != recipe.source_of(people)


def test_a_picture_is_known_by_its_size_and_time(
    tmp_path: Path, make_person: Callable[..., Person]
):
    (tmp_path / "person_0.jpg").write_bytes(b"picture")
    os.utime(tmp_path / "person_0.jpg", ns=(5, 5))
    nowhere = [make_person(number, filename=name) for number, name in enumerate(("gone.jpg", "\0"))]
    found = picture_signatures(tmp_path, {"train": [make_person(0)], "validation": nowhere})
    assert found == {"person_0.jpg": "7 5", "gone.jpg": MISSING, "\0": MISSING}


def test_a_folder_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(ValueError, match="nowhere: no such folder of pictures"):
        picture_signatures(tmp_path / "nowhere", {})
