"""What a run learns from: written, read back, and compared with what there is now."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hourglass.core.errors import InputError
from hourglass.data.shards import MANIFEST
from hourglass.training.provenance import (
    FILE,
    Provenance,
    difference,
    provenance_of,
    read_provenance,
    write_provenance,
)


@pytest.fixture(scope="module")
def both(
    tmp_path_factory: pytest.TempPathFactory, shards: Path, write_shards: Callable[..., Any]
) -> dict[str, float | None]:
    """Two folders with their shares."""
    other = tmp_path_factory.mktemp("other")
    write_shards(other, "train", [4], first=200)
    write_shards(other, "validation", [2], first=300)
    return {str(shards): 0.6, str(other): 0.4}


@pytest.fixture(scope="module")
def provenance(both: dict[str, float | None]) -> Provenance:
    return provenance_of(both, steps=3)


def test_it_names_every_shard_and_its_folder(provenance: Provenance, both: dict[str, float | None]):
    assert provenance.folders == both
    assert provenance.steps == 3
    assert [sorted(part.shards) for part in provenance.parts] == [
        [
            "train_0001_of_0002.tfrecords",
            "train_0002_of_0002.tfrecords",
            "validation_0001_of_0002.tfrecords",
            "validation_0002_of_0002.tfrecords",
        ],
        ["train_0001_of_0001.tfrecords", "validation_0001_of_0001.tfrecords"],
    ]


def test_a_folder_may_have_nobody_to_validate_on(tmp_path: Path, write_shards: Callable[..., Any]):
    write_shards(tmp_path, "train", [2])
    (tmp_path / MANIFEST).write_text('{"people": {"train": 2}}')
    (part,) = provenance_of({str(tmp_path): None}, steps=1).parts
    assert list(part.shards) == ["train_0001_of_0001.tfrecords"]


def test_it_comes_back_as_it_was_written(provenance: Provenance, tmp_path: Path):
    assert read_provenance(tmp_path) is None
    write_provenance(tmp_path, provenance)
    assert read_provenance(tmp_path) == provenance


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"parts": [3], "steps": 1}', b"[" * 100_000, b"\xff\xfe"]
)
def test_a_damaged_file_is_named(content: bytes, tmp_path: Path):
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(InputError, match=rf"^{tmp_path / FILE}: not "):
        read_provenance(tmp_path)


def test_where_data_lie_makes_no_difference(
    provenance: Provenance, both: dict[str, float | None], tmp_path: Path
):
    moved = {}
    for number, (folder, share) in enumerate(both.items()):
        shutil.copytree(folder, tmp_path / str(number))
        moved[str(tmp_path / str(number))] = share
    assert difference(provenance, provenance_of(moved, steps=3)) is None


def test_the_share_of_a_single_folder_makes_no_difference(shards: Path):
    one, other = (provenance_of({str(shards): share}, steps=3) for share in (None, 2.0))
    assert difference(one, other) is None


def test_every_difference_is_told(
    provenance: Provenance, both: dict[str, float | None], tmp_path: Path
):
    (one, share), (other, _) = both.items()
    cases = {
        "2 folders of shards became 1": provenance_of({one: share}, steps=3),
        f"the share of {other} was 0.4 and is 0.5": provenance_of({one: 0.6, other: 0.5}, steps=3),
        "3 steps an epoch became 4": dataclasses.replace(provenance, steps=4),
    }
    changed = tmp_path / "changed"
    shutil.copytree(one, changed)
    path = changed / "train_0002_of_0002.tfrecords"
    path.write_bytes((Path(other) / "train_0001_of_0001.tfrecords").read_bytes())
    cases[f"1 of 4 shards in {changed} are not those of {one}, the first is {path.name}"] = (
        provenance_of({str(changed): 0.6, other: 0.4}, steps=3)
    )
    for told, now in cases.items():
        assert difference(provenance, now) == told
