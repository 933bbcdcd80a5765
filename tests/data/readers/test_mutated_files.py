"""Labels that are spoilt at random end in a person or in one line, never in a traceback."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from hourglass.core.errors import InputError
from hourglass.data.readers.label_set import Labels
from hourglass.data.readers.labels import read_unsplit

FILES = 60
"""Spoilt files of each kind."""

ODD: list[Any] = [
    *(None, True, 0, -1, 2.5, 10**30, -1e9, float("inf"), float("nan")),
    *("", "x", "\0", "../../etc", [], [[]], [None], {}, {"a": 1}),
]

COCO: dict[str, Any] = {
    "images": [{"id": 1, "file_name": "a.png", "width": 60, "height": 40}],
    "annotations": [
        {
            "id": number,
            "image_id": 1,
            "category_id": 1,
            "keypoints": [10, 10, 2, 40, 30, 1],
            "bbox": [5, 5, 40, 30],
            "area": 900,
            "iscrowd": 0,
        }
        for number in range(2)
    ],
    "categories": [{"id": 1, "name": "rod", "keypoints": ["tip", "end"], "skeleton": [[1, 2]]}],
}
MPII = [
    {
        "image": "a.png",
        "joints": [[joint + 1.5, 20] for joint in range(16)],
        "joints_vis": [1] * 16,
        "center": [30, 20],
        "scale": 0.2,
        "label_source": "me",
        "disagreement": [0.1] * 16,
    }
    for _ in range(2)
]
YOLO = {"train": "images", "kpt_shape": [2, 3], "flip_idx": [1, 0], "names": {0: "rod"}}
LINE = "0 0.5 0.5 0.4 0.8 0.25 0.5 2 0.75 0.5 1"


def spoilt(value: Any, rng: random.Random) -> Any:
    """The value with one to three of its parts replaced or gone."""
    value = copy.deepcopy(value)
    for _ in range(rng.randint(1, 3)):
        node = value
        while isinstance(node, (dict, list)) and node:
            key = rng.choice(list(node) if isinstance(node, dict) else range(len(node)))
            if node[key] and isinstance(node[key], (dict, list)) and rng.random() < 0.75:
                node = node[key]
            elif rng.random() < 0.2:
                del node[key]
                break
            else:
                node[key] = copy.deepcopy(rng.choice(ODD))
                break
    return value


def spoilt_bytes(data: bytes, rng: random.Random) -> bytes:
    """The bytes with a few others among them, some cut short."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed[: rng.randrange(len(changed))] if rng.random() < 0.3 else changed)


def write_yolo(root: Path, content: Any, line: str) -> Path:
    for folder in ("images", "labels"):
        (root / folder).mkdir(exist_ok=True)
    Image.new("RGB", (60, 40)).save(root / "images" / "a.png")
    (root / "labels" / "a.txt").write_text(line)
    (root / "data.yaml").write_text(yaml.safe_dump(content))
    return root / "data.yaml"


def write_json(root: Path, content: Any) -> Path:
    (root / "labels.json").write_text(json.dumps(content))
    return root / "labels.json"


def write_bytes(root: Path, data: bytes) -> Path:
    (root / "labels.json").write_bytes(data)
    return root / "labels.json"


def spoilt_line(rng: random.Random) -> str:
    words = LINE.split()
    words[rng.randrange(len(words))] = rng.choice(["", "x", "1e999", "-5", "nan", "3", "9" * 400])
    return " ".join(words)


KINDS: dict[str, Callable[[Path, random.Random], Path]] = {
    "coco": lambda root, rng: write_json(root, spoilt(COCO, rng)),
    "coco bytes": lambda root, rng: write_bytes(root, spoilt_bytes(json.dumps(COCO).encode(), rng)),
    "mpii": lambda root, rng: write_json(root, spoilt(MPII, rng)),
    "mpii bytes": lambda root, rng: write_bytes(root, spoilt_bytes(json.dumps(MPII).encode(), rng)),
    "yolo": lambda root, rng: write_yolo(root, spoilt(YOLO, rng), LINE),
    "yolo line": lambda root, rng: write_yolo(root, YOLO, spoilt_line(rng)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_spoilt_file_is_read_or_named(kind: str, tmp_path: Path):
    rng = random.Random(kind)
    outcomes = [outcome(KINDS[kind](tmp_path, rng)) for _ in range(FILES)]
    messages = [one for one in outcomes if isinstance(one, str)]
    assert 0 < len(messages) < FILES
    assert all(one.strip() and "\n" not in one for one in messages)
    for one in outcomes:
        if not isinstance(one, str):
            assert_usable(one)


def outcome(path: Path) -> Labels | str:
    """What was read, or the one error that a user is shown."""
    try:
        return read_unsplit(path)
    except ValueError as error:
        return str(error) if type(error) is InputError else repr(error) + "\n"


def assert_usable(labels: Labels) -> None:
    """Nothing that would be a wrong record: finite numbers, a crop of some size."""
    joints = len(labels.skeleton.joints)
    for people in labels.people.values():
        for person in people:
            assert person.points.shape == (joints, 2)
            assert set(person.visibility) <= {0, 1, 2}
            assert abs(person.points).max() <= 1e6
            assert 0 < person.scale <= 1e6
            assert abs(person.center).max() <= 1e8
