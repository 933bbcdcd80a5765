"""Files of labels, of every format, whose bytes changed: read, or named in a line."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from scipy.io import savemat

from hourglass.core.errors import InputError
from hourglass.data.readers import lsp
from hourglass.data.readers.labels import read_unsplit

LONGEST = 10.0
"""Seconds after which a small file is taken for one that hangs the reader; busy machines are slow,
so this is many times what it takes."""

PEOPLE = 3

HELD_OUT: dict[str, Any] = {"name": "005808361.jpg", "x": 966.0, "y": 340.0, "scale": 4.718488}
"""One of the people whom MPII's users validate on; without any, a file is refused."""


def write_pictures(root: Path) -> list[str]:
    names = [f"im{number:04d}.png" for number in range(1, PEOPLE + 1)]
    (root / "images").mkdir(exist_ok=True)
    for number, name in enumerate(names):
        Image.new("RGB", (60, 40), (number, 90, 90)).save(root / "images" / name)
    return names


def write_mpii(root: Path) -> Path:
    entries = [
        {
            "image": name,
            "joints": [[joint + 1.5, 20 + joint / 2] for joint in range(16)],
            "joints_vis": [1] * 16,
            "center": [30.0, 20.0],
            "scale": 0.2,
        }
        for name in write_pictures(root)
    ]
    (root / "labels.json").write_text(json.dumps(entries))
    return root / "labels.json"


def write_coco(root: Path) -> Path:
    names = write_pictures(root)
    content = {
        "images": [
            {"id": number, "file_name": name, "width": 60, "height": 40}
            for number, name in enumerate(names)
        ],
        "annotations": [
            {
                "id": number,
                "image_id": number,
                "category_id": 1,
                "keypoints": [10, 10, 2, 40, 30, 1],
                "bbox": [5, 5, 40, 30],
                "area": 900,
                "iscrowd": 0,
            }
            for number in range(PEOPLE)
        ],
        "categories": [{"id": 1, "name": "rod", "keypoints": ["tip", "end"], "skeleton": [[1, 2]]}],
    }
    (root / "labels.json").write_text(json.dumps(content))
    return root / "labels.json"


def write_yolo(root: Path) -> Path:
    names = write_pictures(root)
    (root / "labels").mkdir(exist_ok=True)
    for name in names:
        line = "0 0.5 0.5 0.4 0.8 0.25 0.5 2 0.75 0.5 1\n"
        (root / "labels" / name).with_suffix(".txt").write_text(line)
    content = {"train": "images", "kpt_shape": [2, 3], "flip_idx": [1, 0], "names": {0: "rod"}}
    (root / "data.yaml").write_text(yaml.safe_dump(content))
    return root / "data.yaml"


def struct(rows: Sequence[dict[str, Any]]) -> np.ndarray:
    """MATLAB's array of structures."""
    array = np.empty((1, len(rows)), [(field, object) for field in rows[0]])
    for index, row in enumerate(rows):
        array[0, index] = tuple(row.values())
    return array


def write_mpii_mat(root: Path) -> Path:
    points = struct([{"x": 9.0 + j, "y": 9.0 + j, "id": j, "is_visible": 1} for j in range(16)])
    person = {
        "scale": HELD_OUT["scale"],
        "objpos": struct([{"x": HELD_OUT["x"], "y": HELD_OUT["y"]}]),
        "annopoints": struct([{"point": points}]),
    }
    names = [*write_pictures(root)[1:], HELD_OUT["name"]]
    single = np.empty((PEOPLE, 1), object)
    single[:, 0] = [np.array([[1]])] * PEOPLE
    release = {
        "annolist": struct(
            [{"image": struct([{"name": name}]), "annorect": struct([person])} for name in names]
        ),
        "img_train": np.ones((1, PEOPLE)),
        "single_person": single,
    }
    savemat(root / "labels.mat", {"RELEASE": struct([release])}, do_compression=True)
    return root / "labels.mat"


def write_sleap(root: Path) -> Path:
    sleap_io = pytest.importorskip("sleap_io")
    paths = [str(root / "images" / name) for name in write_pictures(root)]
    skeleton = sleap_io.Skeleton(
        nodes=[sleap_io.Node(name) for name in ("tip", "end")], edges=[(0, 1)], name="rod"
    )
    film = sleap_io.load_video(paths)
    frames = [
        sleap_io.LabeledFrame(
            video=film,
            frame_idx=number,
            instances=[
                sleap_io.Instance.from_numpy(np.array([[9.0, 9], [30, 30]]), skeleton=skeleton)
            ],
        )
        for number in range(PEOPLE)
    ]
    sleap_io.Labels(frames).save(str(root / "labels.slp"))
    return root / "labels.slp"


def write_lsp(root: Path) -> Path:
    names = write_pictures(root)
    joints = np.ones((len(names), 14, 3))
    joints[..., :2] = np.random.default_rng(0).uniform(5, 35, (len(names), 14, 2))
    savemat(root / "joints.mat", {"joints": joints.transpose(2, 1, 0)}, do_compression=True)
    return root / "joints.mat"


def read_lsp(path: Path) -> None:
    joints = lsp.read_joints(path)
    assert joints.ndim == 3
    assert np.isfinite(joints).all()


def read(path: Path) -> None:
    for people in read_unsplit(path).people.values():
        for person in people:
            assert len(person.points) == len(person.visibility)
            assert set(person.visibility) <= {0, 1, 2}
            assert np.isfinite(person.points).all()
            assert np.isfinite(person.center).all()
            assert 0 < person.scale < np.inf


FORMATS: dict[str, tuple[Callable[[Path], Path], Callable[[Path], None]]] = {
    "mpii": (write_mpii, read),
    "coco": (write_coco, read),
    "yolo": (write_yolo, read),
    "mpii-mat": (write_mpii_mat, read),
    "sleap": (write_sleap, read),
    "lsp": (write_lsp, read_lsp),
}


def told_of(read_one: Callable[[Path], None], path: Path) -> str | None:
    """The one error that a user is shown, or None."""
    try:
        read_one(path)
    except InputError as error:
        return str(error)
    return None


@pytest.mark.parametrize("count", [20, pytest.param(300, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", FORMATS)
def test_a_spoilt_file_is_read_or_named(
    kind: str, count: int, tmp_path: Path, spoil: Callable[..., bytes]
):
    write, read_one = FORMATS[kind]
    path, rng = write(tmp_path), random.Random(count)
    data = path.read_bytes()
    read_one(path)
    refused = 0
    for _ in range(count):
        path.write_bytes(spoil(data, rng))
        began = time.process_time()
        told = told_of(read_one, path)
        assert told is None or tmp_path.name in told
        refused += told is not None
        assert time.process_time() - began < LONGEST
    assert refused > count / 4
