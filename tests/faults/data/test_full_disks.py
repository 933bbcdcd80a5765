"""Shards without room, or right, to be written: told in a line, and nothing finished is lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hourglass.core import cluster
from hourglass.core.errors import InputError

ENOUGH = 2**20
"""Bytes of a disk that holds all shards."""


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9])
def test_a_full_disk_keeps_the_shards_that_are_finished(
    share: float,
    labels: Path,
    tmp_path: Path,
    build: Callable[..., Any],
    tmpfs: Callable[..., Path],
    leave_free: Callable[..., None],
    seen_in: Callable[..., dict[str, bytes]],
):
    build(labels, tmp_path / "whole")
    expected = seen_in(tmp_path / "whole")
    disk = tmpfs(ENOUGH)
    output = disk / "out"
    output.mkdir()
    leave_free(disk, int(share * sum(map(len, expected.values()))) // 4096 * 4096)
    with pytest.raises((InputError, OSError), match="No space left on device"):
        build(labels, output)
    kept = seen_in(output)
    kept.pop("manifest.json", None)
    assert all(data == expected[name] for name, data in kept.items())
    (disk / ".filler").unlink()
    summary = build(labels, output)
    assert summary.kept >= max(0, len(kept) - 1)
    expected.pop("manifest.json")
    assert {name: seen_in(output)[name] for name in expected} == expected


def test_a_folder_that_cannot_be_written_is_told_and_stays_as_it_is(
    labels: Path,
    tmp_path: Path,
    build: Callable[..., Any],
    read_only: Callable[[Path], Path],
    seen_in: Callable[..., dict[str, bytes]],
):
    output = tmp_path / "out"
    build(labels, output)
    before = seen_in(output)
    read_only(output)
    with pytest.raises(
        InputError, match=rf"{output}.*: cannot be written \(Read-only file system\)"
    ):
        build(labels, output)
    assert seen_in(output) == before


def test_ray_without_room_for_its_own_files_is_told_at_once(
    tmpfs: Callable[..., Path], leave_free: Callable[..., None], monkeypatch: pytest.MonkeyPatch
):
    """Ray itself says no more than that it timed out, after half a minute."""
    disk = tmpfs(ENOUGH)
    leave_free(disk, 0)
    monkeypatch.setenv("RAY_TMPDIR", str(disk / "mine"))
    told = rf"^{disk}/mine/ray: No space left on device for Ray's own files \(0\.0 MB are free, 8"
    with pytest.raises(InputError, match=told):
        cluster.started(None, None)
