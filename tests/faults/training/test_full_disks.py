"""A disk of logs that is full: the training goes on, and TensorBoard reads what had room."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary

from hourglass.training.callbacks.events import EventFile

PAGE = 4096


def make_event(step: int, size: int) -> Event:
    summary = Summary()
    summary.value.add(tag="loss", simple_value=1.0 / step)
    summary.value.add(tag="x" * size)
    return Event(wall_time=step, step=step, summary=summary)


def steps_of(path: Path) -> list[int]:
    return [event.step for event in EventFileLoader(str(path)).Load() if event.step]


@pytest.mark.parametrize("free", [0, 5])
def test_an_event_without_room_leaves_the_file_as_it_was(
    free: int, tmpfs: Callable[..., Path], leave_free: Callable[..., None]
):
    disk = tmpfs(2**18)
    events = EventFile(disk / "logs")
    events.add(make_event(1, 100))
    before = events.path.read_bytes()
    leave_free(disk, free * PAGE)
    for step in (2, 3):
        with pytest.raises(OSError, match="No space left on device"):
            events.add(make_event(step, 10 * PAGE))
        assert events.path.read_bytes() == before
    (disk / ".filler").unlink()
    events.add(make_event(4, 10 * PAGE))
    assert steps_of(events.path) == [1, 4]


@pytest.mark.slow
def test_a_training_goes_on_without_its_log(
    tmp_path: Path,
    write_shards: Callable[..., Any],
    finished: Callable[..., str],
    tmpfs: Callable[..., Path],
    leave_free: Callable[..., None],
):
    for number, split in enumerate(("train", "validation")):
        write_shards(tmp_path / "shards", split, [8], first=8 * number)
    disk = tmpfs(2**20)
    leave_free(disk, 4 * PAGE)  # for the folder and the file, but for no pictures
    settings = ("stacks=1", "channels=4", "depth=1", "input_size=16")
    output = finished(
        *("hourglass.train", "--data", tmp_path / "shards", "--preset", "tiny", "--run", "a"),
        *("--models", tmp_path / "models", "--logs", disk, "--epochs", 2, "--batch-size", 4),
        *(f"--set=network.{setting}" for setting in settings),
    )
    told = f"{disk / 'a'}: cannot be written (No space left on device); TensorBoard will not show"
    for epoch in (1, 2):
        assert f"{told} epoch {epoch}" in output
    names = {path.name for path in (tmp_path / "models" / "a").iterdir()}
    assert {"best.keras", "last.keras", "history.csv"} <= names
    (log,) = (disk / "a").iterdir()
    assert steps_of(log) == []
