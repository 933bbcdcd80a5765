"""JSON and YAML made to end the interpreter: every reader names the file in a line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hourglass.core import calibration, config_text
from hourglass.core.boxes import read_boxes
from hourglass.core.errors import InputError
from hourglass.core.skeleton import read_skeleton
from hourglass.data.building.manifest import read_manifest
from hourglass.data.readers.labels import read_unsplit
from hourglass.data.shards import MANIFEST, find_skeleton
from hourglass.lifting.keypoint_files import read_keypoints
from hourglass.lifting.model_file import About
from hourglass.modelfiles.metadata import (
    CALIBRATION_MEMBER,
    CONFIG_MEMBER,
    EXPORT_MEMBER,
    from_texts,
)

TEXTS = {
    "deep": "[" * 100_000,
    "deep objects": '{"a":' * 100_000,
    "long number": '{"a": ' + "9" * 100_000 + "}",
    "not JSON": "\x00\x01",
    "a number": "3",
    "nothing": "",
}


def in_file(read: Callable[[Path], object], name: str = "a.json") -> Callable[[Path, str], object]:
    def run(folder: Path, text: str) -> object:
        (folder / name).write_text(text)
        return read(folder / name)

    return run


def exported(folder: Path, text: str) -> object:
    members = dict.fromkeys((CONFIG_MEMBER, CALIBRATION_MEMBER, EXPORT_MEMBER), text)
    return from_texts(members, where="a.json")


def skeleton_of(path: Path) -> object:
    shard = path.with_name("train_0001_of_0001.tfrecords")
    shard.touch()
    return find_skeleton([str(shard)])


READERS: dict[str, Callable[[Path, str], object]] = {
    "a configuration": lambda folder, text: config_text.from_json(text, where="a.json"),
    "calibrations": lambda folder, text: calibration.from_json(text, where="a.json"),
    "a lifting network": lambda folder, text: About.from_text(text, where="a.json"),
    "an exported file": exported,
    "a skeleton": in_file(lambda path: read_skeleton(str(path))),
    "boxes": in_file(lambda path: read_boxes(path)),
    "lines of boxes": in_file(read_boxes, "a.jsonl"),
    "labels": in_file(read_unsplit),
    "yolo's labels": in_file(read_unsplit, "data.yaml"),
    "keypoints": in_file(lambda path: list(read_keypoints(path))),
    "a manifest": in_file(skeleton_of, MANIFEST),
}


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("reader", READERS)
def test_it_is_named_in_a_line(reader: str, text: str, tmp_path: Path):
    if (reader, text) == ("lines of boxes", "nothing"):
        return  # a list of no boxes
    with pytest.raises(InputError) as told:
        READERS[reader](tmp_path, TEXTS[text])
    assert "\n" not in str(told.value).strip()
    assert len(str(told.value)) < 2000


@pytest.mark.parametrize("text", TEXTS)
def test_a_builders_manifest_is_written_anew(text: str, tmp_path: Path):
    (tmp_path / MANIFEST).write_text(TEXTS[text])
    assert read_manifest(tmp_path) is None
