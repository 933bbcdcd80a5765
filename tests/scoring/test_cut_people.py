"""People cut by the lower end of a picture: who is cut where, and what a model says of the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hourglass.core.person import Person
from hourglass.data.augment import CUT
from hourglass.data.people import load_people
from hourglass.modelfiles.runtimes import Runtime
from hourglass.scoring.cut_people import cuts_at, find_cut_people, regular_cuts
from hourglass.scoring.pck import reference_size

HIPS = ("right_hip", "left_hip")


@pytest.fixture(scope="module")
def dots(
    tmp_path_factory: pytest.TempPathFactory, write_shards: Callable[..., list[Person]]
) -> str:
    folder: Path = tmp_path_factory.mktemp("cut")
    write_shards(folder, "validation", [12])
    return f"{folder}/validation*"


def test_a_picture_ends_between_two_joints(dots: str):
    people = load_people(dots)
    shares = cuts_at(people, HIPS)
    hips = [people.skeleton.joints.index(name) for name in HIPS]
    for person, share in enumerate(shares):
        y = people.points[person, people.labelled[person], 1]
        if people.labelled[person, hips].all():
            end = people.points[person, hips, 1].mean()
            assert y.min() + share * (y.max() - y.min()) == pytest.approx(end, abs=1e-3)
        else:
            assert share == 1
    assert 0 < (shares < 1).sum() < len(people)


@pytest.mark.filterwarnings("error")
def test_who_has_no_joint_or_one_height_only_is_not_cut(dots: str):
    people = load_people(dots)
    visibility, points = people.visibility.copy(), people.points.copy()
    visibility[0], visibility[1], points[1, :, 1] = 0, 2, 40
    shares = cuts_at(replace(people, visibility=visibility, points=points), HIPS)
    np.testing.assert_array_equal(shares[:2], 1)
    np.testing.assert_array_equal(shares[2:], cuts_at(people, HIPS)[2:])


def test_what_is_below_the_end_is_outside_and_found_nowhere(dots: str, dot_finder: Runtime):
    people, shares = load_people(dots), np.full(12, 0.6)
    found = find_cut_people(dots, dot_finder, shares=shares, calibrated=False)
    y = np.where(people.labelled, people.points[..., 1], np.nan)
    top, bottom = np.nanmin(y, axis=1), np.nanmax(y, axis=1)
    end = np.floor(top + 0.6 * (bottom - top))[:, None]
    near = 0.5 * reference_size(people)[:, None]
    np.testing.assert_array_equal(found.inside, y <= end)
    np.testing.assert_array_equal(found.outside, y > end + near)
    assert found.outside.sum() > 30
    assert (found.scores[found.outside] == 0).all()
    # Whose dot the end cuts in two is still found, near it.
    assert found.right[found.inside].mean() > 0.97
    assert not found.right[found.outside].any()
    np.testing.assert_array_equal(found.counted, found.inside | found.outside)


def test_who_is_whole_does_not_count(dots: str, dot_finder: Runtime):
    found = find_cut_people(dots, dot_finder, shares=np.ones(12), calibrated=False)
    assert not found.counted.any()
    assert found.scores.shape == (12, 16)


def test_regular_cuts_are_the_trainings(dots: str):
    shares = regular_cuts(load_people(dots))
    assert (shares.min(), shares.max()) == CUT
    assert len(np.unique(shares)) == 8
