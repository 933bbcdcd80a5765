"""What benchmarks make up: real JPEGs, real shards, the same every time."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from benchmarks.made_up import LARGE, SMALL, made_up_pictures, made_up_shards
from hourglass.data.people import load_people
from hourglass.data.shards import count_people, find_shards
from hourglass.media.pictures import decode_picture


def test_pictures_are_jpegs_of_a_photographs_size():
    for size, kilobytes in ((SMALL, range(8, 40)), (LARGE, range(100, 400))):
        (picture,) = made_up_pictures(1, size)
        assert decode_picture(picture.encoded, where="made up").shape == (*size, 3)
        assert len(picture.encoded) // 1000 in kilobytes


def test_people_stand_in_their_pictures():
    for picture in made_up_pictures(30, LARGE):
        person = picture.person
        np.testing.assert_allclose(person.points.mean(axis=0), person.center, atol=0.01)
        assert (person.center >= 0.2 * np.array(LARGE[::-1])).all()
        assert (person.center <= 0.8 * np.array(LARGE[::-1])).all()


def test_pictures_differ_and_come_again():
    hashes = [hashlib.sha256(one.encoded).digest() for one in made_up_pictures(25, SMALL)]
    assert len(set(hashes)) == 25
    assert hashes == [hashlib.sha256(one.encoded).digest() for one in made_up_pictures(25, SMALL)]


def test_shards_hold_everybody(tmp_path: Path):
    for people, shards in ((3, 3), (20, 8)):
        pattern = made_up_shards(tmp_path / str(people), people=people, size=SMALL)
        paths = find_shards(pattern)
        assert len(paths) == shards
        assert count_people(paths) == people
        assert len(set(load_people(pattern).filename)) == people
