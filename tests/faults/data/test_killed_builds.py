"""A killed builder: finished shards stay, none is half written, and the next run ends the work."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hourglass.data.building.build import OWN_FILES
from hourglass.data.shards import find_records

SHARDS = ("--train-shards", 4, "--val-shards", 2)


def shards_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.tfrecords")}


def assert_nothing_half_written(folder: Path, expected: dict[str, bytes]) -> None:
    """Whatever has a final name is what an undisturbed build makes."""
    for name, data in shards_in(folder).items():
        assert data == expected[name], name
    manifest = folder / "manifest.json"
    if manifest.exists():
        assert set(json.loads(manifest.read_text())["shards"]) <= set(shards_in(folder))
    others = {path.name for path in folder.iterdir() if not OWN_FILES.fullmatch(path.name)}
    assert {name for name in others if name[0] != "."} <= {"manifest.json"}


def test_a_build_killed_at_any_of_its_steps_is_ended_by_the_next(
    labels: Path, tmp_path: Path, build: Callable[..., Any], camera: Any, seen_in: Any
):
    output, steps = tmp_path / "out", tmp_path / "steps"
    output.mkdir()
    with camera(output, steps):
        build(labels, output)
    expected = shards_in(output)
    assert len(expected) == 6
    moments = sorted(steps.iterdir())
    assert len(moments) >= 3 * len(expected)  # each is written aside, renamed, and written down
    kept = []
    for moment in moments:
        assert_nothing_half_written(moment, expected)
        before = set(shards_in(moment))
        summary = build(labels, moment)
        assert shards_in(moment) == expected
        assert set(seen_in(moment)) == {*expected, "manifest.json"}
        kept.append(summary.kept)
        assert len(before) - 1 <= summary.kept <= len(before)  # one may not be written down yet
    assert set(kept) >= {0, 3, 5}


def test_two_builds_are_the_same_to_the_byte(
    labels: Path, tmp_path: Path, build: Callable[..., Any]
):
    build(labels, tmp_path / "one")
    copy = shutil.copytree(labels, tmp_path / "copy")
    build(copy, tmp_path / "two")
    assert shards_in(tmp_path / "one") == shards_in(tmp_path / "two")


def arguments(labels: Path, output: Path) -> list[object]:
    return [
        *("tools.build_tfrecords", "--annotations", labels / "annotations"),
        *("--images", labels / "images", "--output", output, "--workers", 2, *SHARDS),
    ]


@pytest.mark.slow
def test_a_builder_killed_at_random_moments_loses_nothing(
    labels: Path,
    tmp_path: Path,
    command: Callable[..., Any],
    finished: Callable[..., str],
    killed_at_random: Callable[..., int],
):
    began = time.monotonic()
    finished(*arguments(labels, tmp_path / "whole"))
    seconds, expected = time.monotonic() - began, shards_in(tmp_path / "whole")
    output = tmp_path / "out"

    def look() -> None:
        if output.exists():
            assert_nothing_half_written(output, expected)

    def fresh() -> None:
        assert shards_in(output) == expected
        assert find_records([str(path) for path in sorted(output.glob("*.tfrecords"))])
        shutil.rmtree(output)

    def start() -> Any:
        return command(*arguments(labels, output))

    killed_at_random(start, (0, seconds), look, fresh)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_builder_that_is_asked_to_stop_does(
    number: signal.Signals,
    labels: Path,
    tmp_path: Path,
    command: Callable[..., Any],
    wait_until: Callable[..., None],
):
    pipe = labels / "images" / "train_0.jpg"
    data = pipe.read_bytes()
    pipe.unlink()
    os.mkfifo(pipe)  # nobody writes into it: the build waits
    try:
        process = command(*arguments(labels, tmp_path / "out"))
        wait_until(lambda: bool(shards_in(tmp_path / "out")), process)
        process.send_signal(number)
        output, _ = process.communicate(timeout=600)
    finally:
        pipe.unlink()
        pipe.write_bytes(data)
    assert "Traceback" not in output
    assert process.returncode == 130
    told = "Stopped: finished shards are kept; run the same command again to go on"
    assert output.splitlines()[-1] == told
