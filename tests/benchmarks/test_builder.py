"""The builder's benchmark: what it draws, and how it counts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from benchmarks.builder import Source, copy_plainly, draw, growth_rows, main, take
from hourglass.data.readers.labels import read_labels


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Source:
    return draw(tmp_path_factory.mktemp("drawn"), people=16, size=(300, 200))


def test_drawn_people_have_pictures_of_a_photographs_size(drawn: Source):
    people = read_labels(drawn.annotations).people
    assert {split: len(group) for split, group in people.items()} == {"train": 14, "validation": 2}
    for person in people["train"] + people["validation"]:
        path = drawn.images / person.filename
        assert Image.open(path).size == (200, 300)
        assert 8_000 < path.stat().st_size < 25_000


def test_a_data_set_may_be_cut_short(drawn: Source, tmp_path: Path):
    part = take(drawn.annotations, tmp_path / "part", people=9)
    assert (part.people, part.images) == (9, drawn.annotations / "images")
    lengths = {
        split: len(json.loads((part.annotations / f"{split}.json").read_text()))
        for split in ("train", "validation")
    }
    assert lengths == {"train": 7, "validation": 2}


def test_the_plain_loop_writes_the_same_bytes(drawn: Source, tmp_path: Path):
    paths = sorted(drawn.images.iterdir())
    copy_plainly(paths, tmp_path)
    assert (tmp_path / "pictures").read_bytes() == b"".join(path.read_bytes() for path in paths)


def test_growth_is_compared_with_proportion():
    rows = growth_rows([100, 400, 1600], [1.0, 2.0, 20.0])
    assert [row.limit for row in rows] == [1.0, 4.0, 16.0]
    assert [row.ratio for row in rows] == [1.0, 2.0, 0.8]


def test_a_folder_without_annotations_is_named(tmp_path: Path):
    result = CliRunner().invoke(main, ["--data", str(tmp_path)])
    assert result.exit_code == 1
    assert f"Error: {tmp_path}: holds no annotations: train.json" in result.output
