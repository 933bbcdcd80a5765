"""The builder: what stands in its shards, what a later run keeps, and what it says of wrong input.

All runs in this process share one Ray, and people's pictures are tiny: a run takes a moment.
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import io
import itertools
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import ray
import tensorflow as tf
from click.testing import CliRunner, Result
from loguru import logger
from PIL import Image

from hourglass.core import cluster
from hourglass.core.config import AugmentConfig
from hourglass.core.geometry import warp
from hourglass.core.locking import alone_in
from hourglass.core.skeleton import MPII, Skeleton
from hourglass.data.augment import random_crop_matrices
from hourglass.data.building.build import build
from hourglass.data.building.regions import REACH
from hourglass.data.records import SCHEMA_VERSION, parse_example
from hourglass.data.shards import count_people, find_shards, is_without, read_records
from hourglass.media.pictures import decode_picture
from tools.build_tfrecords import main

HEIGHT, WIDTH = 48, 64
TRAIN, VALIDATION = 23, 7
TRAIN_SHARDS, VALIDATION_SHARDS = 5, 2
SHARDS = TRAIN_SHARDS + VALIDATION_SHARDS
NAMES = [
    "train_0001_of_0005.tfrecords",
    "train_0002_of_0005.tfrecords",
    "train_0003_of_0005.tfrecords",
    "train_0004_of_0005.tfrecords",
    "train_0005_of_0005.tfrecords",
    "validation_0001_of_0002.tfrecords",
    "validation_0002_of_0002.tfrecords",
]
PATIENCE = 600
"""Seconds after which another process is taken for hung."""

Entry = dict[str, Any]


@pytest.fixture(scope="module", autouse=True)
def _one_ray() -> Iterator[None]:
    """Ray starts once, as the builder starts it, and serves all runs."""
    with cluster.started(None, None):
        yield


@pytest.fixture(autouse=True)
def _keep_log_handlers() -> Iterator[None]:
    """Commands put handlers of their own in place of all others."""
    yield
    logger.remove()
    logger.add(sys.stderr)


# Annotations and pictures


@dataclass(frozen=True)
class Source:
    """A folder of annotations and pictures."""

    folder: Path

    @property
    def annotations(self) -> Path:
        return self.folder / "annotations"

    @property
    def images(self) -> Path:
        return self.folder / "images"

    def read(self, split: str) -> list[Entry]:
        return json.loads((self.annotations / f"{split}.json").read_text())

    def write(self, split: str, entries: Any) -> None:
        self.annotations.mkdir(exist_ok=True)
        (self.annotations / f"{split}.json").write_text(json.dumps(entries))


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def noise(number: int) -> Image.Image:
    rng = np.random.default_rng(number)
    return Image.fromarray(rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8))


def flat(mode: str, colour: Any) -> Image.Image:
    return Image.new(mode, (WIDTH, HEIGHT), colour)


def flat_palette() -> Image.Image:
    image = flat("P", 1)
    image.putpalette([1, 2, 3, 200, 60, 130])
    return image


CONVERTED: dict[str, tuple[bytes, list[int]]] = {
    "colour.png": (encode(flat("RGB", (250, 120, 7)), "PNG"), [250, 120, 7]),
    "gray.jpg": (encode(flat("L", 77), "JPEG"), [77, 77, 77]),
    "inks.jpg": (encode(flat("CMYK", (0, 255, 255, 0)), "JPEG"), [255, 0, 0]),
    "palette.png": (encode(flat_palette(), "PNG"), [200, 60, 130]),
    "sixteen.png": (encode(flat("I;16", 0x8040), "PNG", compress_level=0), [128, 128, 128]),
    "alpha.png": (encode(flat("RGBA", (10, 200, 30, 255)), "PNG"), [10, 200, 30]),
}
"""Pictures that are not RGB JPEGs, and the one colour of each."""


def make_entry(number: int, image: str) -> Entry:
    """A person whose scale tells who they are; joint number % 16 is missing."""
    joints = [[1 + 3.3 * joint + number / 100, 2 + 2.7 * joint] for joint in range(16)]
    joints[number % 16] = [-1, -1]
    visible = [int(joint != number % 16) for joint in range(16)]
    return {
        "image": image,
        "joints": joints,
        "joints_vis": visible,
        "center": [30.25 + number, 20.5],
        "scale": round(0.2 + number / 100, 2),
    }


def scale_of(number: int) -> float:
    return float(np.float32(make_entry(number, "")["scale"]))


def make_entries() -> tuple[list[Entry], list[Entry]]:
    """People 0 to 22 train and 23 to 29 validate; people 0 and 1 share a picture."""
    names = [f"{number:02d}.jpg" for number in range(TRAIN + VALIDATION)]
    names[1] = names[0]
    names[2] = "folder/02.jpg"
    names[10 : 10 + len(CONVERTED)] = CONVERTED
    entries = [make_entry(number, name) for number, name in enumerate(names)]
    return entries[:TRAIN], entries[TRAIN:]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """Good annotations and pictures; not to be changed."""
    source = Source(tmp_path_factory.mktemp("source"))
    (source.images / "folder").mkdir(parents=True)
    for split, entries in zip(("train", "validation"), make_entries(), strict=True):
        source.write(split, entries)
        for entry in entries:
            name = entry["image"]
            if name in CONVERTED:
                data, _ = CONVERTED[name]
            else:
                data = encode(noise(int(Path(name).stem)), "JPEG")
            (source.images / name).write_bytes(data)
    return source


@pytest.fixture
def source(original: Source, tmp_path: Path) -> Source:
    """The same, to be changed; the pictures' times are the same as well."""
    shutil.copytree(original.folder, tmp_path / "source")
    return Source(tmp_path / "source")


# Runs


def arguments(source: Source, output: Path, *options: str) -> list[str]:
    folders = {"annotations": source.annotations, "images": source.images, "output": output}
    shards = {"train-shards": TRAIN_SHARDS, "val-shards": VALIDATION_SHARDS}
    pairs = [(f"--{name}", str(value)) for name, value in {**folders, **shards}.items()]
    return [part for pair in pairs for part in pair] + list(options)


def run(source: Source, output: Path, *options: str) -> Result:
    return CliRunner().invoke(main, arguments(source, output, *options))


def counts(result: Result) -> tuple[int, int]:
    """How many shards a run built and kept."""
    assert result.exit_code == 0, result.output
    (found,) = re.findall(r" people in \d+ shards \((\d+) built, (\d+) kept\), ", result.output)
    return int(found[0]), int(found[1])


def assert_one_error(result: Result, *parts: str) -> None:
    """One line that says what is wrong, no traceback, and a code that says so too."""
    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    lines = [line for line in result.output.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1
    assert result.output.splitlines()[-1] == lines[0]
    assert "Traceback" not in result.output
    for part in parts:
        assert part in lines[0]


@pytest.fixture(scope="module")
def first_run(original: Source, tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    """The first run's result and its folder; not to be changed."""
    output = tmp_path_factory.mktemp("built") / "deep" / "tfrecords"
    return run(original, output), output


@pytest.fixture(scope="module")
def built(first_run: tuple[Result, Path]) -> Path:
    return first_run[1]


@pytest.fixture
def output(built: Path, tmp_path: Path) -> Path:
    """The first run's folder, to be changed."""
    return Path(shutil.copytree(built, tmp_path / "tfrecords"))


def read_shards(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.tfrecords"))}


def read_manifest(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text())


def written(folder: Path) -> dict[str, tuple[int, int]]:
    """Tells a file that was written again from one that was left alone."""
    return {
        path.name: (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in folder.glob("*.tfrecords")
    }


def read_examples(path: Path) -> list[dict[str, tf.train.Feature]]:
    return [
        dict(tf.train.Example.FromString(record.numpy()).features.feature)
        for record in tf.data.TFRecordDataset(str(path))
    ]


def read_people(folder: Path, split: str) -> list[dict[str, tf.train.Feature]]:
    return [example for path in sorted(folder.glob(f"{split}*")) for example in read_examples(path)]


def scales(folder: Path, pattern: str) -> list[float]:
    """Who is in the shards, in their order."""
    return [
        example["image/object/scale"].float_list.value[0]
        for path in sorted(folder.glob(pattern))
        for example in read_examples(path)
    ]


def shards_with(folder: Path, *numbers: int) -> set[str]:
    """The shards that hold these people."""
    wanted = {scale_of(number) for number in numbers}
    return {
        path.name for path in folder.glob("*.tfrecords") if wanted & {*scales(folder, path.name)}
    }


def assert_complete(folder: Path) -> None:
    """Whole shards as the manifest says, every person once, and nothing else in the folder."""
    manifest = read_manifest(folder)
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["manifest.json", *manifest["shards"]]
    )
    for name, shard in manifest["shards"].items():
        data = (folder / name).read_bytes()
        assert shard["size"] == len(data)
        assert shard["checksum"] == hashlib.sha256(data).hexdigest()
        assert shard["people"] == count_people([str(folder / name)])
    everyone = {"train": range(TRAIN), "validation": range(TRAIN, TRAIN + VALIDATION)}
    for split, numbers in everyone.items():
        assert sorted(scales(folder, f"{split}*")) == [scale_of(number) for number in numbers]


# What a first run writes


def test_the_folder_has_the_shards_and_a_manifest(built: Path):
    assert sorted(path.name for path in built.iterdir()) == ["manifest.json", *NAMES]


def test_a_run_says_what_it_did(first_run: tuple[Result, Path]):
    result, folder = first_run
    megabytes = sum(map(len, read_shards(folder).values())) / 1e6
    line = (
        f"30 people in 7 shards (7 built, 0 kept), {megabytes:.1f} MB in {folder}; "
        "0 people left out\n"
    )
    assert result.exit_code == 0
    assert line in result.output
    assert "ERROR" not in result.output


def test_every_person_is_written_once(built: Path):
    assert_complete(built)


def test_shards_are_equally_large(built: Path):
    sizes = [len(read_examples(built / name)) for name in NAMES]
    assert sizes == [5, 5, 5, 4, 4, 4, 3]


def test_people_are_shuffled(built: Path):
    order = scales(built, "train*")
    assert order != sorted(order)
    firsts = [scales(built, name) for name in NAMES[:TRAIN_SHARDS]]
    assert all(max(shard) - min(shard) > 0.05 for shard in firsts)


KINDS = {
    "image/encoded": ("bytes_list", 1),
    "image/filename": ("bytes_list", 1),
    "image/height": ("int64_list", 1),
    "image/width": ("int64_list", 1),
    "image/depth": ("int64_list", 1),
    "image/object/parts/x": ("float_list", 16),
    "image/object/parts/y": ("float_list", 16),
    "image/object/parts/v": ("int64_list", 16),
    "image/object/center/x": ("float_list", 1),
    "image/object/center/y": ("float_list", 1),
    "image/object/scale": ("float_list", 1),
    "image/object/parts/weight": ("float_list", 16),
    "image/object/box": ("float_list", 4),
    "image/object/area": ("float_list", 1),
    "image/object/source": ("bytes_list", 1),
}


@pytest.mark.parametrize("split", ["train", "validation"])
def test_records_have_these_keys_and_no_others(built: Path, split: str):
    for example in read_people(built, split):
        kinds = {
            name: (
                feature.WhichOneof("kind"),
                len(getattr(feature, feature.WhichOneof("kind")).value),
            )
            for name, feature in example.items()
        }
        assert kinds == KINDS


@pytest.mark.parametrize("split", ["train", "validation"])
def test_records_say_what_the_annotations_say(original: Source, built: Path, split: str):
    entries = {float(np.float32(entry["scale"])): entry for entry in original.read(split)}
    for example in read_people(built, split):
        entry = entries[example["image/object/scale"].float_list.value[0]]
        joints = np.array(entry["joints"])
        missing = (joints == -1).all(axis=1)
        expected = np.where(missing[:, None], -1, joints - 1).astype(np.float32)
        center = np.float32([entry["center"][0] - 1, entry["center"][1] - 1 + 15 * entry["scale"]])
        assert missing.sum() == 1
        assert example["image/object/parts/x"].float_list.value == expected[:, 0].tolist()
        assert example["image/object/parts/y"].float_list.value == expected[:, 1].tolist()
        assert example["image/object/parts/v"].int64_list.value == [
            0 if no else 2 for no in missing
        ]
        assert example["image/object/center/x"].float_list.value == [center[0]]
        assert example["image/object/center/y"].float_list.value == [center[1]]
        assert example["image/filename"].bytes_list.value == [entry["image"].encode()]
        assert example["image/height"].int64_list.value == [HEIGHT]
        assert example["image/width"].int64_list.value == [WIDTH]
        assert example["image/depth"].int64_list.value == [3]


def test_one_person_in_full(built: Path):
    (person,) = (
        example
        for example in read_people(built, "train")
        if example["image/object/scale"].float_list.value[0] == scale_of(5)
    )
    x = person["image/object/parts/x"].float_list.value
    np.testing.assert_allclose(x[:6], [0.05, 3.35, 6.65, 9.95, 13.25, -1], rtol=1e-6)
    y = person["image/object/parts/y"].float_list.value
    np.testing.assert_allclose(y[:6], [1.0, 3.7, 6.4, 9.1, 11.8, -1], rtol=1e-6)
    assert person["image/object/parts/v"].int64_list.value == [2] * 5 + [0] + [2] * 10
    assert person["image/object/center/x"].float_list.value == [34.25]
    assert person["image/object/center/y"].float_list.value == [23.25]
    assert person["image/filename"].bytes_list.value == [b"05.jpg"]


def test_an_rgb_jpeg_is_stored_untouched(original: Source, built: Path):
    names = Counter()
    for example in read_people(built, "train") + read_people(built, "validation"):
        name = example["image/filename"].bytes_list.value[0].decode()
        if name not in CONVERTED:
            stored = example["image/encoded"].bytes_list.value[0]
            assert stored == (original.images / name).read_bytes()
            names[name] += 1
    assert len(names) == TRAIN + VALIDATION - len(CONVERTED) - 1
    assert names["00.jpg"] == 2
    assert names["folder/02.jpg"] == 1


@pytest.mark.parametrize("name", CONVERTED)
def test_other_pictures_become_rgb_jpegs_of_quality_95(built: Path, name: str):
    (example,) = (
        example
        for example in read_people(built, "train")
        if example["image/filename"].bytes_list.value == [name.encode()]
    )
    image = Image.open(io.BytesIO(example["image/encoded"].bytes_list.value[0]))
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (WIDTH, HEIGHT))
    np.testing.assert_allclose(np.asarray(image)[20, 30], CONVERTED[name][1], atol=2)
    of_quality_95 = Image.open(io.BytesIO(encode(noise(0), "JPEG", quality=95)))
    assert image.quantization == of_quality_95.quantization


def test_the_pipelines_reader_reads_them(built: Path):
    paths = find_shards(str(built / "train*"))
    assert count_people(paths) == TRAIN
    for row in tf.data.TFRecordDataset(paths).map(partial(parse_example, joints=16)):
        image = tf.io.decode_jpeg(row["encoded"])
        assert image.shape == (row["height"], row["width"], 3)
        assert row["labelled"].numpy().sum() == 15
        assert (row["points"].numpy()[~row["labelled"].numpy()] == -1).all()


def test_two_builds_into_one_folder_are_not_let_in(original: Source, tmp_path: Path):
    with alone_in(tmp_path, doing="a build"):
        result = run(original, tmp_path)
    assert_one_error(result, f"{tmp_path}: a build is under way there already, by process ")
    assert list(tmp_path.iterdir()) == []


def test_the_manifest_says_what_is_there(built: Path):
    manifest = read_manifest(built)
    fields = {"schema_version", "source", "annotations", "skeleton", "people", "bad_pictures"}
    assert set(manifest) == fields | {"shards", "reach", "ignored"}
    assert Skeleton.from_dict(manifest["skeleton"], where="") == MPII
    assert manifest["schema_version"] == SCHEMA_VERSION
    assert manifest["people"] == {"train": TRAIN, "validation": VALIDATION}
    assert manifest["bad_pictures"] == {}
    assert manifest["reach"] is None
    assert manifest["ignored"] == {}
    assert sorted(manifest["shards"]) == NAMES
    hashes = [manifest["source"], *(shard["source"] for shard in manifest["shards"].values())]
    assert len(set(hashes)) == SHARDS + 1
    for value in hashes:
        assert len(bytes.fromhex(value)) == 32


def test_the_manifests_checksums_are_the_files_sha_256(built: Path):
    for name, shard in read_manifest(built)["shards"].items():
        assert set(shard) == {"people", "size", "checksum", "source"}
        assert shard["checksum"] == hashlib.sha256((built / name).read_bytes()).hexdigest()
        assert shard["size"] == (built / name).stat().st_size
        assert shard["people"] == len(read_examples(built / name))


def test_by_default_there_are_64_and_8_shards(source: Source, tmp_path: Path):
    people = [make_entry(number % TRAIN, "00.jpg") for number in range(78)]
    source.write("train", people[:66])
    source.write("validation", people[66:])
    folders_only = arguments(source, tmp_path / "out")[:6]
    result = CliRunner().invoke(main, folders_only)
    assert result.exit_code == 0, result.output
    assert sorted(read_shards(tmp_path / "out")) == [
        *(f"train_{number:04d}_of_0064.tfrecords" for number in range(1, 65)),
        *(f"validation_{number:04d}_of_0008.tfrecords" for number in range(1, 9)),
    ]
    sizes = [shard["people"] for shard in read_manifest(tmp_path / "out")["shards"].values()]
    assert sizes == [2] * 2 + [1] * 62 + [2] * 4 + [1] * 4


def test_there_are_no_more_shards_than_people(original: Source, tmp_path: Path):
    result = run(original, tmp_path / "out", "--val-shards", "9")
    assert result.exit_code == 0
    assert "WARNING 9 validation shards for 7 people: making 7" in result.output
    assert len(list((tmp_path / "out").glob("validation_*_of_0007.tfrecords"))) == 7
    assert_complete(tmp_path / "out")


def test_the_validation_file_may_be_valid_json(source: Source, built: Path, tmp_path: Path):
    (source.annotations / "validation.json").rename(source.annotations / "valid.json")
    assert counts(run(source, tmp_path / "out")) == (SHARDS, 0)
    assert read_shards(tmp_path / "out") == read_shards(built)


def test_every_shard_is_a_task_of_its_own(
    original: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    remote, tasks = ray.remote, []

    def counting(function: Callable[..., Any]) -> SimpleNamespace:
        def submit(*arguments: Any) -> Any:
            tasks.append(function.__name__)
            return remote(function).remote(*arguments)

        return SimpleNamespace(remote=submit)

    monkeypatch.setattr(ray, "remote", counting)
    assert counts(run(original, tmp_path / "out")) == (SHARDS, 0)
    assert tasks == ["write_shard"] * SHARDS


# Seeds


def test_the_same_input_gives_the_same_bytes(source: Source, built: Path, tmp_path: Path):
    for path in source.images.rglob("*.*"):
        os.utime(path, (1, 1))
    assert counts(run(source, tmp_path / "out")) == (SHARDS, 0)
    assert read_shards(tmp_path / "out") == read_shards(built)


def test_another_seed_deals_people_out_otherwise(original: Source, built: Path, output: Path):
    assert counts(run(original, output, "--seed", "1")) == (SHARDS, 0)
    assert_complete(output)
    assert scales(output, "train*") != scales(built, "train*")
    members = [{*scales(output, name)} for name in NAMES]
    assert members != [{*scales(built, name)} for name in NAMES]


# Later runs


def test_a_second_run_writes_nothing(original: Source, output: Path):
    before, manifest = written(output), (output / "manifest.json").read_bytes()
    assert counts(run(original, output)) == (0, SHARDS)
    assert written(output) == before
    assert (output / "manifest.json").read_bytes() == manifest


def test_a_run_with_nothing_to_do_asks_ray_for_nothing(
    original: Source, output: Path, monkeypatch: pytest.MonkeyPatch
):
    # Asked for its nodes, a Ray that nobody has started starts itself.
    monkeypatch.delattr("ray.nodes")
    assert counts(run(original, output)) == (0, SHARDS)


def test_a_program_is_told_what_a_run_did(original: Source, output: Path):
    (output / NAMES[1]).unlink()
    summary = build(
        original.annotations,
        original.images,
        output=output,
        train_shards=TRAIN_SHARDS,
        val_shards=VALIDATION_SHARDS,
    )
    assert (summary.built, summary.kept, summary.left_out) == (1, SHARDS - 1, 0)
    assert sorted(summary.manifest.shards) == NAMES
    assert summary.manifest.people == {"train": TRAIN, "validation": VALIDATION}


def delete(path: Path) -> None:
    path.unlink()


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def swap_with_another(path: Path) -> None:
    path.write_bytes((path.parent / NAMES[0]).read_bytes())


@pytest.mark.parametrize("damage", [delete, flip_a_bit, cut, lengthen, swap_with_another])
@pytest.mark.parametrize("name", [NAMES[2], NAMES[6]])
def test_only_what_is_missing_or_damaged_is_built_again(
    original: Source, built: Path, output: Path, damage: Callable[[Path], None], name: str
):
    damage(output / name)
    before = written(output)
    assert counts(run(original, output)) == (1, SHARDS - 1)
    assert read_shards(output) == read_shards(built)
    after = written(output)
    assert {other for other in NAMES if after[other] != before.get(other)} == {name}
    assert_complete(output)


def test_a_changed_picture_changes_its_peoples_shards_only(
    source: Source, built: Path, output: Path
):
    changed = encode(noise(99), "JPEG", quality=60)
    (source.images / "00.jpg").write_bytes(changed)
    affected = shards_with(built, 0, 1)
    assert counts(run(source, output, "--force")) == (len(affected), SHARDS - len(affected))
    before, after = read_shards(built), read_shards(output)
    assert {name for name in NAMES if before[name] != after[name]} == affected
    assert sum(data.count(changed) for data in after.values()) == 2
    assert_complete(output)


def test_a_picture_that_keeps_its_size_is_seen_to_change(source: Source, built: Path, output: Path):
    path = source.images / "sixteen.png"
    changed = encode(flat("I;16", 0x4020), "PNG", compress_level=0)
    assert len(changed) == path.stat().st_size
    path.write_bytes(changed)
    affected = shards_with(built, 10 + list(CONVERTED).index("sixteen.png"))
    assert counts(run(source, output, "--force")) == (1, SHARDS - 1)
    assert {name for name in NAMES if read_shards(output)[name] != read_shards(built)[name]} == (
        affected
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"joints": [[5, 6]] * 16},
        {"center": [31, 21]},
        {"image": "copy.jpg"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_changed_annotation_changes_its_shard_only(
    source: Source, built: Path, output: Path, changes: Entry
):
    shutil.copy2(source.images / "05.jpg", source.images / "copy.jpg")
    entries = source.read("train")
    entries[5].update(changes)
    source.write("train", entries)
    assert counts(run(source, output, "--force")) == (1, SHARDS - 1)
    before, after = read_shards(built), read_shards(output)
    assert {name for name in NAMES if before[name] != after[name]} == shards_with(built, 5)
    assert_complete(output)
    assert counts(run(source, output, "--force")) == (0, SHARDS)


def test_a_person_more_is_written_too(source: Source, output: Path):
    source.write("validation", [*source.read("validation"), make_entry(40, "24.jpg")])
    before = written(output)
    built, kept = counts(run(source, output, "--force"))
    assert built + kept == SHARDS
    assert all(written(output)[name] == before[name] for name in NAMES[:TRAIN_SHARDS])
    numbers = [*range(TRAIN, TRAIN + VALIDATION), 40]
    assert sorted(scales(output, "validation*")) == [scale_of(number) for number in numbers]
    assert read_manifest(output)["people"] == {"train": TRAIN, "validation": VALIDATION + 1}


def test_another_number_of_shards_replaces_the_old_ones(original: Source, output: Path):
    before = written(output)
    assert counts(run(original, output, "--train-shards", "3")) == (3, VALIDATION_SHARDS)
    assert sorted(written(output)) == [
        "train_0001_of_0003.tfrecords",
        "train_0002_of_0003.tfrecords",
        "train_0003_of_0003.tfrecords",
        *NAMES[TRAIN_SHARDS:],
    ]
    assert all(written(output)[name] == before[name] for name in NAMES[TRAIN_SHARDS:])
    assert_complete(output)


@pytest.mark.parametrize(
    "content",
    [b"", b"not JSON", b"[]", b"{}", b"\xff\xfe", b'{"schema_version": 1, "shards": [7]}'],
)
def test_without_a_readable_manifest_everything_is_built_again(
    original: Source, built: Path, output: Path, content: bytes
):
    (output / "manifest.json").write_bytes(content)
    result = run(original, output, "--force")
    assert "manifest.json: not a manifest of this version" in result.output
    assert counts(result) == (SHARDS, 0)
    assert read_shards(output) == read_shards(built)
    assert_complete(output)


def test_without_a_manifest_everything_is_built_again(original: Source, output: Path):
    (output / "manifest.json").unlink()
    assert counts(run(original, output, "--force")) == (SHARDS, 0)
    assert_complete(output)


def test_shards_of_another_schema_are_built_again(original: Source, output: Path):
    manifest = read_manifest(output)
    manifest["schema_version"] = SCHEMA_VERSION + 1
    (output / "manifest.json").write_text(json.dumps(manifest))
    assert counts(run(original, output, "--force")) == (SHARDS, 0)
    assert read_manifest(output)["schema_version"] == SCHEMA_VERSION


def test_what_a_killed_run_left_is_removed(original: Source, output: Path):
    (output / f"{NAMES[0]}.4711.partial").write_bytes(b"half")
    (output / "train_0001_of_0009.tfrecords").write_bytes(b"unknown")
    assert counts(run(original, output)) == (0, SHARDS)
    assert_complete(output)


# Shards of other labels


def test_a_second_set_does_not_erase_the_firsts_shards(source: Source, output: Path):
    """The output holds shards of another folder's labels."""
    entries = source.read("train")
    source.write("train", [{**entry, "scale": entry["scale"] + 0.1} for entry in entries])
    before = written(output)
    refused = run(source, output)
    assert_one_error(refused, f"{output}: holds {TRAIN_SHARDS} shards made from ", "--force")
    assert written(output) == before
    assert counts(run(source, output, "--force")) == (TRAIN_SHARDS, VALIDATION_SHARDS)
    # From now on they are this set's own.
    source.write("train", entries)
    assert counts(run(source, output)) == (TRAIN_SHARDS, VALIDATION_SHARDS)


@pytest.mark.parametrize("manifest", [None, b"not JSON"])
def test_shards_of_unknown_labels_are_not_erased(
    original: Source, output: Path, manifest: bytes | None
):
    (output / "manifest.json").unlink()
    if manifest:
        (output / "manifest.json").write_bytes(manifest)
    before = written(output)
    result = run(original, output)
    assert_one_error(result, f"{output}: holds {SHARDS} shards of unknown labels", "--force")
    assert written(output) == before


def test_leftovers_without_a_manifest_are_nobodys_shards(original: Source, tmp_path: Path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / f"{NAMES[0]}.4711.partial").write_bytes(b"half")
    assert counts(run(original, tmp_path / "out")) == (SHARDS, 0)
    assert_complete(tmp_path / "out")


# Other formats


def write_coco(source: Source) -> Path:
    """The training pictures' people as doors of two edges."""
    entries = source.read("train")
    content = {
        "images": [
            {"id": number, "file_name": entry["image"]} for number, entry in enumerate(entries)
        ],
        "annotations": [
            {
                "image_id": number,
                "category_id": 1,
                "keypoints": [10, 10, 2, 40 + number, 30, number % 3],
                "bbox": [5, 5, 40 + number % 10, 30],
                "area": 100.5 + number,
            }
            for number in range(len(entries))
        ],
        "categories": [{"id": 1, "name": "door", "keypoints": ["l_edge", "r_edge"]}],
    }
    path = source.folder / "doors.json"
    path.write_text(json.dumps(content))
    return path


def test_a_coco_file_is_split_and_kept_whole(source: Source, tmp_path: Path):
    path, output = write_coco(source), tmp_path / "out"
    moved = source.read("train")[1]["image"]
    (source.images / "val2017").mkdir()
    (source.images / moved).rename(source.images / "val2017" / moved)
    options = ["--annotations", str(path), "--output", str(output)]  # images/ lies beside
    shards = ["--train-shards", "2", "--val-shards", "1"]
    result = CliRunner().invoke(main, [*options, *shards, "--val-share", "0.2"])
    assert counts(result) == (3, 0)
    assert "skeleton door: 2 joints; mirrored: r_edge/l_edge" in result.output
    manifest = read_manifest(output)
    assert manifest["skeleton"]["joints"] == ["l_edge", "r_edge"]
    assert manifest["annotations"] == str(path.resolve())
    people = {
        split: [one.person for one in read_records(sorted(map(str, output.glob(f"{split}*"))))]
        for split in ("train", "validation")
    }
    assert sum(map(len, people.values())) == TRAIN
    names = {split: {one.filename for one in group} for split, group in people.items()}
    assert not names["train"] & names["validation"]
    assert f"val2017/{moved}" in names["train"] | names["validation"]
    assert len(names["validation"]) == round(0.2 * (TRAIN - 1))
    for one in people["train"] + people["validation"]:
        number = round(one.area - 100.5)
        assert one.visibility.tolist() == [2, number % 3]
        assert one.box == (5, 5, 40 + number % 10, 30)
        assert one.scale == pytest.approx((40 + number % 10) / 200)


def test_a_set_may_be_for_training_alone(source: Source, tmp_path: Path):
    options = ["--annotations", str(write_coco(source)), "--output", str(tmp_path / "out")]
    result = CliRunner().invoke(main, [*options, "--train-shards", "1", "--val-share", "0"])
    assert counts(result) == (1, 0)
    assert read_manifest(tmp_path / "out")["people"] == {"train": TRAIN}
    assert is_without(str(tmp_path / "out"), "validation")


def test_a_skeleton_may_be_given(source: Source, tmp_path: Path):
    given = tmp_path / "skeleton.json"
    given.write_text(json.dumps({"name": "gate", "joints": ["r_edge", "l_edge"]}))
    options = ["--annotations", str(write_coco(source)), "--output", str(tmp_path / "out")]
    options += ["--val-share", "0.2", "--skeleton", str(given)]
    assert CliRunner().invoke(main, options).exit_code == 0
    assert read_manifest(tmp_path / "out")["skeleton"]["name"] == "gate"


def test_labels_from_which_nothing_can_be_learnt_are_refused(source: Source, tmp_path: Path):
    entries = source.read("train")
    source.write("train", [{**entry, "joints_vis": [0] * 16} for entry in entries])
    result = run(source, tmp_path / "out")
    assert_one_error(result, "train: none of 23 people has a labelled joint")
    assert not list((tmp_path / "out").iterdir())


def test_what_is_odd_about_labels_is_told_once(source: Source, tmp_path: Path):
    validation = source.read("validation")
    source.write("train", [*source.read("train"), validation[0]])
    first, second = (run(source, tmp_path / "out") for _ in range(2))
    assert "1 pictures are in training and in validation, first 23.jpg" in first.output
    assert "in training and in validation" not in second.output


@pytest.mark.parametrize("name", ["notes.txt", "lspet_0001_of_0002.tfrecords", "film.mp4.partial"])
def test_what_is_not_the_builders_is_left_alone(original: Source, output: Path, name: str):
    (output / name).write_text("mine")
    assert counts(run(original, output)) == (0, SHARDS)
    assert (output / name).read_text() == "mine"


# Runs that are cut short


def wait_until(condition: Callable[[], Any], process: subprocess.Popen[bytes] | None = None) -> Any:
    """What `condition` gives once it gives something; `process` must live that long."""
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert process is None or process.poll() is None, "the builder ended early"
        assert time.monotonic() < deadline, "the builder hangs"
        time.sleep(0.01)
    return value


def open_if_read(fifo: Path) -> int | None:
    try:
        return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:  # nobody reads
        return None


def send(fifo: Path, data: bytes) -> None:
    """Gives the next reader of a named pipe its content."""
    pipe = wait_until(lambda: open_if_read(fifo))
    os.write(pipe, data)
    os.close(pipe)


def replace_by_fifo(path: Path) -> bytes:
    """A picture of which the reader waits for every byte; returns what it was."""
    data = path.read_bytes()
    path.unlink()
    os.mkfifo(path)
    return data


def finished(folder: Path) -> dict[str, Any]:
    return read_manifest(folder)["shards"] if (folder / "manifest.json").exists() else {}


def test_a_killed_run_loses_no_finished_shard(source: Source, built: Path, tmp_path: Path):
    """Nobody sends a validation picture: its shard waits half done."""
    picture, output = source.images / "27.jpg", tmp_path / "out"
    data = replace_by_fifo(picture)
    process = subprocess.Popen(
        [sys.executable, "-m", "tools.build_tfrecords", *arguments(source, output)],
        cwd=Path(__file__).parents[2],
        start_new_session=True,
    )
    try:
        train = set(NAMES[:TRAIN_SHARDS])
        wait_until(lambda: train <= set(finished(output)), process)
        (waiting,) = shards_with(built, 27)
        wait_until(lambda: any(output.glob(f"{waiting}*")), process)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL

        kept, before = finished(output), written(output)
        left, expected = read_shards(output), read_shards(built)
        assert train <= set(kept) <= set(left) <= set(NAMES) - {waiting}
        assert all(data == expected[name] for name, data in left.items())

        picture.unlink()
        picture.write_bytes(data)
        assert counts(run(source, output)) == (SHARDS - len(kept), len(kept))
        assert {name: written(output)[name] for name in kept} == {
            name: before[name] for name in kept
        }
        assert read_shards(output) == expected
        assert_complete(output)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_shard_that_cannot_be_finished_does_not_appear(
    source: Source, built: Path, tmp_path: Path
):
    """A picture that stops in its midst."""
    picture, output = source.images / "27.jpg", tmp_path / "out"
    data = replace_by_fifo(picture)
    thread = threading.Thread(target=send, args=(picture, data[:500]), daemon=True)
    thread.start()
    result = run(source, output)
    thread.join(PATIENCE)
    assert f" ERROR {picture}: picture is damaged (" in result.output
    assert_one_error(result, "1 bad pictures")
    (broken,) = shards_with(built, 27)
    assert not list(output.glob(f"{broken}*"))
    expected = read_shards(built)
    del expected[broken]
    assert read_shards(output) == expected

    picture.unlink()
    picture.write_bytes(data)
    assert counts(run(source, output)) == (1, SHARDS - 1)
    assert read_shards(output) == read_shards(built)
    assert_complete(output)


# Bad pictures


def png_of_size(width: int, height: int) -> bytes:
    """A PNG that claims this size and holds next to nothing."""

    def chunk(name: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", b"\x78\x9c")
        + chunk(b"IEND", b"")
    )


BAD: dict[int, tuple[bytes | None, str]] = {
    3: (None, "picture cannot be read (No such file or directory)"),
    4: (b"", "picture is empty (0 bytes)"),
    5: (encode(noise(5), "JPEG")[:800], "picture is damaged ("),
    6: (encode(noise(6), "PNG")[:800], "picture is damaged ("),
    7: (b"a page that says 404", "not a picture that can be read"),
    8: (encode(Image.new("RGB", (1, 1)), "PNG"), "picture is 1×1 pixels, each side must be 16"),
    9: (png_of_size(30_000, 30_000), "picture is "),
    25: (encode(noise(25), "JPEG")[:-400], "picture is damaged ("),
}
"""People with a bad picture: its bytes, and what is said of it."""


@pytest.fixture
def spoilt(source: Source) -> Source:
    for number, (data, _) in BAD.items():
        path = source.images / f"{number:02d}.jpg"
        path.unlink()
        if data is not None:
            path.write_bytes(data)
    return source


def test_every_bad_picture_is_named_and_its_shard_not_written(
    spoilt: Source, built: Path, tmp_path: Path
):
    result = run(spoilt, tmp_path / "out")
    assert_one_error(result, "8 bad pictures", "--skip-bad")
    for number, (_, reason) in BAD.items():
        assert result.output.count(f" ERROR {spoilt.images}/{number:02d}.jpg: {reason}") == 1
    assert result.output.count(" ERROR ") == len(BAD)
    good = set(NAMES) - shards_with(built, *BAD)
    assert len(good) == 1
    assert set(finished(tmp_path / "out")) == set(read_shards(tmp_path / "out")) == good
    assert not list((tmp_path / "out").glob("*.partial"))


def test_a_second_run_names_them_again(spoilt: Source, tmp_path: Path):
    first, second = (run(spoilt, tmp_path / "out") for _ in range(2))
    assert_one_error(second, "8 bad pictures")
    reasons = [re.findall(r" ERROR (.+)\n", result.output) for result in (first, second)]
    assert reasons[0] == reasons[1]
    assert len(reasons[0]) == len(BAD)


def test_people_with_bad_pictures_can_be_left_out(spoilt: Source, built: Path, tmp_path: Path):
    output = tmp_path / "out"
    result = run(spoilt, output, "--skip-bad")
    assert counts(result) == (SHARDS, 0)
    assert "; 8 people left out\n" in result.output
    assert result.output.count(" ERROR ") == len(BAD)
    left_out = {scale_of(number) for number in BAD}
    for name in NAMES:
        assert scales(output, name) == [one for one in scales(built, name) if one not in left_out]
    manifest = read_manifest(output)
    assert sum(shard["people"] for shard in manifest["shards"].values()) == 22
    assert sorted(manifest["bad_pictures"]) == [f"{number:02d}.jpg" for number in BAD]
    assert manifest["people"] == {"train": TRAIN, "validation": VALIDATION}
    assert counts(run(spoilt, output, "--skip-bad")) == (0, SHARDS)


def test_leaving_people_out_later_builds_their_shards_only(spoilt: Source, tmp_path: Path):
    once, twice = tmp_path / "once", tmp_path / "twice"
    assert run(spoilt, twice).exit_code == 1
    assert counts(run(spoilt, twice, "--skip-bad")) == (SHARDS - 1, 1)
    assert counts(run(spoilt, once, "--skip-bad")) == (SHARDS, 0)
    assert read_shards(twice) == read_shards(once)


def test_shards_with_people_left_out_stay_when_that_is_no_longer_allowed(
    spoilt: Source, tmp_path: Path
):
    output = tmp_path / "out"
    run(spoilt, output, "--skip-bad")
    before = written(output)
    assert_one_error(run(spoilt, output, "--force"), "8 bad pictures")
    assert written(output) == before


def test_people_once_left_out_come_back_with_their_picture(
    spoilt: Source, original: Source, built: Path, tmp_path: Path
):
    output = tmp_path / "out"
    run(spoilt, output, "--skip-bad")
    shutil.copy2(original.images / "25.jpg", spoilt.images)
    assert counts(run(spoilt, output, "--skip-bad")) == (1, SHARDS - 1)
    (mended,) = shards_with(built, 25)
    assert (output / mended).read_bytes() == (built / mended).read_bytes()


def test_a_shard_may_be_left_with_nobody(source: Source, tmp_path: Path):
    (source.images / "24.jpg").write_bytes(b"")
    output = tmp_path / "out"
    result = run(source, output, "--skip-bad", "--val-shards", str(VALIDATION))
    assert counts(result) == (TRAIN_SHARDS + VALIDATION, 0)
    assert count_people(find_shards(str(output / "validation*"))) == VALIDATION - 1


def test_mended_pictures_are_used(spoilt: Source, original: Source, built: Path, tmp_path: Path):
    output = tmp_path / "out"
    assert run(spoilt, output).exit_code == 1
    for number in BAD:
        shutil.copy(original.images / f"{number:02d}.jpg", spoilt.images)
    assert counts(run(spoilt, output)) == (SHARDS - 1, 1)
    assert read_shards(output) == read_shards(built)
    assert read_manifest(output)["bad_pictures"] == {}


def test_a_mended_picture_may_have_the_bad_ones_size_and_time(source: Source, tmp_path: Path):
    """As after a transfer that is done again, or rights that are given; time and size are kept."""
    path = source.images / "05.jpg"
    data, status = path.read_bytes(), path.stat()
    path.write_bytes(bytes(len(data)))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert_one_error(run(source, tmp_path / "out"), "1 bad pictures")
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert counts(run(source, tmp_path / "out")) == (1, SHARDS - 1)
    assert_complete(tmp_path / "out")


def test_bad_pictures_leave_other_shards_of_an_earlier_run_alone(
    spoilt: Source, built: Path, output: Path
):
    good = set(NAMES) - shards_with(built, *BAD)
    before = written(output)
    assert_one_error(run(spoilt, output, "--force"), "8 bad pictures")
    assert written(output) == {name: before[name] for name in good}


def test_a_folder_without_the_pictures_leaves_an_earlier_run_alone(source: Source, output: Path):
    before = written(output)
    shutil.rmtree(source.images)
    source.images.mkdir()
    missing = f"{source.images}/00.jpg: picture cannot be read (No such file or directory)"
    assert_one_error(run(source, output, "--force"), "no train person is left to write", missing)
    assert written(output) == before


def test_nobody_left_is_an_error(source: Source, tmp_path: Path):
    source.write("validation", [make_entry(23, "none.jpg")])
    result = run(source, tmp_path / "out", "--skip-bad")
    missing = f"{source.images}/none.jpg: picture cannot be read (No such file or directory)"
    assert_one_error(result, "no validation person is left to write", missing)
    assert read_shards(tmp_path / "out") == {}


def test_nobody_left_is_an_error_if_only_workers_find_out(source: Source, tmp_path: Path):
    (source.images / "23.jpg").write_bytes(b"a page that says 404")
    source.write("validation", [make_entry(23, "23.jpg")])
    for _ in range(2):
        result = run(source, tmp_path / "out", "--skip-bad")
        assert_one_error(result, "no validation person is left to write", "not a picture that")


def test_a_picture_that_breaks_its_decoder_is_named_too(source: Source, tmp_path: Path):
    (source.images / "05.jpg").write_bytes(b"P6\n6U 48\n255\n" + bytes(10_000))
    (source.images / "06.jpg").write_bytes(
        encode(Image.new("RGB", (16, 65_501)), "PNG")  # a side longer than a JPEG may have
    )
    result = run(source, tmp_path / "out")
    assert_one_error(result, "2 bad pictures")
    assert f"ERROR {source.images}/05.jpg: " in result.output
    assert f"ERROR {source.images}/06.jpg: " in result.output


# Bad annotations and folders


def without(field: str) -> Callable[[list[Entry]], Any]:
    def change(entries: list[Entry]) -> Any:
        del entries[2][field]
        return entries

    return change


def with_value(**changes: Any) -> Callable[[list[Entry]], Any]:
    def change(entries: list[Entry]) -> Any:
        entries[2].update(copy.deepcopy(changes))
        return entries

    return change


@pytest.mark.parametrize("split", ["train", "validation"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda entries: {"people": entries[:1]}, ": must be an object with the lists images, "),
        (lambda entries: [], ": must be a list of people, got []"),
        (lambda entries: [*entries[:2], "x"], ": person 2: must be an object, got 'x'"),
        (without("image"), ": person 2: field 'image' is missing"),
        (without("joints"), ": person 2: field 'joints' is missing"),
        (without("joints_vis"), ": person 2: field 'joints_vis' is missing"),
        (without("center"), ": person 2: field 'center' is missing"),
        (without("scale"), ": person 2: field 'scale' is missing"),
        (with_value(joints=[[1, 2]] * 15), ": person 2: 'joints' has 15 entries, it must have 16"),
        (with_value(joints=[[1, 2, 3]] * 16), ": person 2: 'joints' has 3 entries, it must have 2"),
        (with_value(joints=[["a", 2]] * 16), ": person 2: 'joints' has 'a', it must be a number"),
        (with_value(center=[float("nan"), 2]), ": person 2: 'center' has nan, it must be finite"),
        (with_value(scale=float("inf")), ": person 2: 'scale' has inf, it must be finite"),
        (with_value(scale=0), ": person 2: 'scale' is 0.0, it must be above 0"),
        (with_value(scale=-2), ": person 2: 'scale' is -2.0, it must be above 0"),
    ],
)
def test_bad_annotations_are_one_line_and_nothing_is_written(
    source: Source, tmp_path: Path, split: str, change: Callable[[Any], Any], message: str
):
    source.write(split, change(source.read(split)))
    result = run(source, tmp_path / "out")
    assert_one_error(result, f"Error: {source.annotations}/{split}.json{message}")
    assert result.output.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_not_json_is_one_line(source: Source, tmp_path: Path):
    (source.annotations / "train.json").write_text("[{\n'image'")
    result = run(source, tmp_path / "out")
    assert_one_error(result, f"{source.annotations}/train.json: not JSON (")
    assert result.output.count("\n") == 1


def test_a_missing_annotation_file_is_one_line(source: Source, tmp_path: Path):
    (source.annotations / "validation.json").unlink()
    result = run(source, tmp_path / "out")
    assert result.output == (
        f"Error: {source.annotations}: holds no validation part (as validation.json or valid.json "
        "would be): --val-share 0.1 takes a tenth of the pictures for it, --val-share 0 none\n"
    )
    (source.annotations / "train.json").unlink()
    result = run(source, tmp_path / "out")
    assert result.output.startswith(f"Error: {source.annotations}: holds no annotations: ")
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("folder", "what"),
    [("annotations", "file or folder of annotations"), ("images", "folder of pictures")],
)
def test_a_missing_folder_is_one_line(source: Source, tmp_path: Path, folder: str, what: str):
    shutil.rmtree(source.folder / folder)
    result = run(source, tmp_path / "out")
    assert result.output == f"Error: {source.folder / folder}: no such {what}\n"
    assert result.exit_code == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["file", "file/below", "file/far/below"])
def test_a_folder_that_cannot_be_written_is_one_line(original: Source, tmp_path: Path, name: str):
    (tmp_path / "file").write_text("mine")
    result = run(original, tmp_path / name)
    assert result.output.startswith(f"Error: {tmp_path / name}: cannot be written (")
    assert result.output.count("\n") == 1
    assert_one_error(result)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("option", "value"),
    [("--train-shards", "0"), ("--val-shards", "-1"), ("--seed", "-1"), ("--workers", "0")],
)
def test_a_number_out_of_range_is_refused(
    original: Source, tmp_path: Path, option: str, value: str
):
    result = run(original, tmp_path / "out", option, value)
    assert result.exit_code == 2
    assert f"Invalid value for '{option}': {value} is not in the range" in result.output
    assert not (tmp_path / "out").exists()


# Ray


def test_a_cluster_that_refuses_is_one_line(
    original: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(**options: Any) -> None:
        raise ConnectionError(f"nobody at {options['address']}")

    monkeypatch.setattr(ray, "init", refuse)
    result = run(original, tmp_path / "out", "--ray-address", "auto")
    assert_one_error(result, "no Ray cluster answers at 'auto' (nobody at auto)")
    assert read_shards(tmp_path / "out") == {}


def test_an_address_at_which_nobody_listens_is_refused_at_once(
    original: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def wait_for_minutes(**_: Any) -> None:
        raise AssertionError("Ray itself would wait for minutes")

    monkeypatch.setattr(ray, "init", wait_for_minutes)
    with socket.socket() as bound:  # and nobody listens
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        result = run(original, tmp_path / "out", "--ray-address", f"127.0.0.1:{port}")
    assert_one_error(result, f"no Ray cluster answers at '127.0.0.1:{port}'")


def test_a_running_cluster_is_used(
    original: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    begun: list[dict[str, Any]] = []

    def connect(**options: Any) -> contextlib.AbstractContextManager[None]:
        begun.append(options)
        return contextlib.nullcontext()

    monkeypatch.setattr(ray, "init", connect)
    assert counts(run(original, tmp_path / "out", "--ray-address", "auto")) == (SHARDS, 0)
    assert [options["address"] for options in begun] == ["auto"]


@pytest.mark.parametrize("workers", [None, 3])
def test_this_machines_workers_are_as_many_as_asked(
    monkeypatch: pytest.MonkeyPatch, workers: int | None
):
    begun: list[dict[str, Any]] = []
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **options: begun.append(options))
    cluster.started(None, workers)
    (options,) = begun
    assert (options["address"], options["num_cpus"]) == ("local", workers)


def test_ray_is_not_started_for_nothing(
    original: Source, output: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*_: Any) -> None:
        raise AssertionError("all shards are there")

    monkeypatch.setattr(cluster, "started", refuse)
    assert counts(run(original, output)) == (0, SHARDS)


def test_a_ray_that_runs_is_not_asked_for_workers(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    with pytest.raises(ValueError, match="3 workers cannot be asked of the Ray that this program"):
        cluster.started(None, 3)


def test_a_cluster_is_not_asked_for_workers(original: Source, tmp_path: Path):
    result = run(original, tmp_path / "out", "--ray-address", "auto", "--workers", "3")
    assert_one_error(result, "3 workers cannot be asked of the cluster at 'auto'", "not both")
    assert read_shards(tmp_path / "out") == {}


# Stores


def test_people_of_one_picture_follow_each_other(source: Source, tmp_path: Path):
    names = [f"{number % 7:02d}.jpg" for number in range(TRAIN)]
    names = ["folder/02.jpg" if name == "02.jpg" else name for name in names]
    names = ["00.jpg" if name == "01.jpg" else name for name in names]
    source.write("train", [make_entry(number, name) for number, name in enumerate(names)])
    assert run(source, tmp_path / "out", "--train-shards", "1").exit_code == 0
    stored = [
        example["image/filename"].bytes_list.value[0].decode()
        for example in read_people(tmp_path / "out", "train")
    ]
    assert sorted(stored) == sorted(names)
    changes = sum(one != other for one, other in itertools.pairwise(stored))
    assert changes == len(set(names)) - 1


@pytest.fixture(scope="module")
def spacious(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """People of 40 px in pictures of 480×320, smooth as photographs are; some stand outside."""
    source = Source(tmp_path_factory.mktemp("spacious"))
    source.images.mkdir()
    y, x = np.mgrid[:320, :480]
    picture = np.stack([x / 2, y / 2, 128 + 60 * np.sin(x / 9) * np.cos(y / 7)], -1)
    places = [(240, 160), (2, 3), (479, 320), (-900, 100), (100.5, 2000)]
    places += [(10 * number, 150) for number in range(10, 30)]
    entries = []
    for number, (left, top) in enumerate(places):
        name = f"{number}.jpg"
        data = encode(Image.fromarray(picture.astype(np.uint8)), "JPEG", quality=90)
        (source.images / name).write_bytes(data)
        joints = [[left + 2 * joint, top - joint] for joint in range(16)]
        joints[number % 16] = [-1, -1]
        entry = make_entry(number, name)
        entries.append({**entry, "joints": joints, "center": [left, top - 3], "scale": 0.2})
    source.write("train", entries)
    source.write("validation", entries)
    return source


@pytest.fixture(scope="module")
def both_stores(spacious: Source, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folders = {store: tmp_path_factory.mktemp(store) for store in ("whole", "crop")}
    for store, folder in folders.items():
        assert run(spacious, folder, "--store", store).exit_code == 0
    return folders


def stored_people(folder: Path) -> dict[str, dict[str, Any]]:
    rows = tf.data.TFRecordDataset(find_shards(str(folder / "train*"))).map(
        partial(parse_example, joints=16)
    )
    return {row["filename"].decode(): row for row in rows.as_numpy_iterator()}


def test_a_crop_store_holds_less_and_says_its_pictures_size(both_stores: dict[str, Path]):
    whole, crop = (stored_people(both_stores[store]) for store in ("whole", "crop"))
    assert set(whole) == set(crop) == {f"{number}.jpg" for number in range(25)}
    sizes = {}
    for name, person in crop.items():
        image = Image.open(io.BytesIO(person["encoded"]))
        assert image.size == (person["width"], person["height"])
        assert len(person["encoded"]) < len(whole[name]["encoded"])
        sizes[name] = image.size
    # 1.04 · 50 px and 2 px around centres of (239, 159), (1, 2), (478, 319), ..., out to blocks.
    assert {f"{number}.jpg": sizes[f"{number}.jpg"] for number in range(5)} == {
        "0.jpg": (128, 128),
        "1.jpg": (64, 64),
        "2.jpg": (64, 64),
        "3.jpg": (16, 128),
        "4.jpg": (128, 16),
    }


def test_a_crop_store_says_how_much_it_keeps(both_stores: dict[str, Path]):
    assert read_manifest(both_stores["whole"])["reach"] is None
    assert read_manifest(both_stores["crop"])["reach"] == REACH == 1.04


def test_a_crop_store_moves_center_and_labelled_points_alone(both_stores: dict[str, Path]):
    whole, crop = (stored_people(both_stores[store]) for store in ("whole", "crop"))
    corners = {
        "0.jpg": (176, 96),
        "1.jpg": (0, 0),
        "2.jpg": (416, 256),
        "3.jpg": (0, 32),
        "4.jpg": (32, 304),
    }
    for name, corner in corners.items():
        before, after = whole[name], crop[name]
        labelled = before["labelled"]
        assert labelled.sum() == 15
        np.testing.assert_array_equal(after["labelled"], labelled)
        np.testing.assert_array_equal(after["center"], before["center"] - np.float32(corner))
        moved = before["points"][labelled] - np.float32(corner)
        np.testing.assert_array_equal(after["points"][labelled], moved)
        np.testing.assert_array_equal(after["points"][~labelled], [[-1, -1]])
        assert after["scale"] == before["scale"]


@pytest.mark.parametrize("seed", range(4))
def test_training_sees_the_same_in_either_store(both_stores: dict[str, Path], seed: int):
    """Crops of smooth pictures differ by JPEG noise, which is 45 dB below white, or less."""
    whole, crop = (stored_people(both_stores[store]) for store in ("whole", "crop"))
    for name in whole:
        images = []
        for person in (whole[name], crop[name]):
            (matrix,) = random_crop_matrices(
                person["center"][None],
                person["scale"][None],
                size=96,
                config=AugmentConfig(rotation=180.0, rotation_probability=1.0),
                rng=np.random.default_rng([7, seed]),
            )
            picture = decode_picture(person["encoded"], where=name)
            images.append(warp(picture, matrix, size=96))
        error = np.mean(np.square(images[0].astype(float) - images[1]))
        assert 10 * np.log10(255**2 / max(error, 1e-9)) > 45


def test_a_person_who_fills_the_picture_keeps_its_bytes(
    original: Source, built: Path, tmp_path: Path
):
    """The region of every person but the first ones is all of these small pictures."""
    assert run(original, tmp_path / "out", "--store", "crop").exit_code == 0
    whole, crop = (stored_people(folder) for folder in (built, tmp_path / "out"))
    same = [name for name in whole if crop[name]["encoded"] == whole[name]["encoded"]]
    assert len(same) > TRAIN // 2
    for name in same:
        np.testing.assert_array_equal(crop[name]["points"], whole[name]["points"])


def test_another_store_replaces_all_shards(
    spacious: Source, both_stores: dict[str, Path], tmp_path: Path
):
    output = Path(shutil.copytree(both_stores["whole"], tmp_path / "out"))
    assert counts(run(spacious, output, "--store", "crop")) == (SHARDS, 0)
    assert read_shards(output) == read_shards(both_stores["crop"])
    assert counts(run(spacious, output, "--store", "crop")) == (0, SHARDS)
    sources = [read_manifest(folder)["source"] for folder in both_stores.values()]
    assert sources[0] != sources[1]


def test_a_store_of_another_name_is_refused(original: Source, tmp_path: Path):
    result = run(original, tmp_path / "out", "--store", "half")
    assert result.exit_code == 2
    assert "Invalid value for '--store': 'half' is not one of 'whole', 'crop'." in result.output
