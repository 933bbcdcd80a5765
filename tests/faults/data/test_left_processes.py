"""What a builder leaves running: nothing, whether it ends or is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SECONDS = 120
"""For which Ray's processes may outlive a killed builder; usually a few seconds."""


def marked(mark: str) -> list[int]:
    """The processes that have a mark in their environment."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark.encode() in (place / "environ").read_bytes():
                found.append(int(place.name))
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
@pytest.mark.parametrize("killed", [False, True])
def test_no_process_outlives_a_build(
    killed: bool, labels: Path, tmp_path: Path, command: Callable[..., Any]
):
    mark = uuid.uuid4().hex
    process = command(
        *("tools.build_tfrecords", "--annotations", labels / "annotations"),
        *("--images", labels / "images", "--output", tmp_path / "out", "--workers", 2),
        MARK=mark,
    )
    if killed:
        while len(marked(mark)) < 4 and process.poll() is None:  # the builder and Ray's own
            time.sleep(0.1)
        os.kill(process.pid, signal.SIGKILL)
    process.wait(600)
    assert process.returncode == (-signal.SIGKILL if killed else 0), process.stdout.read()
    deadline = time.monotonic() + SECONDS
    while marked(mark) and time.monotonic() < deadline:
        time.sleep(0.5)
    left = marked(mark)
    for number in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    assert left == []
