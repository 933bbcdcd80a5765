"""Results that find no room: told by their name, and what has that name is whole or as it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hourglass.core.errors import InputError
from hourglass.core.files import write_file
from hourglass.core.pose import Pose
from hourglass.core.skeleton import MPII
from hourglass.media.film_writer import FilmWriter
from hourglass.media.pictures import save_picture
from hourglass.media.result_files import Outputs, ResultFiles
from hourglass.media.results import Found

PAGE = 4096
FREE = [0, PAGE, 3 * PAGE, 9 * PAGE]
"""Bytes that are left: fewer than any of these files takes."""

NOISE = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)


def write_picture(folder: Path) -> None:
    save_picture(NOISE, folder / "a.png")


def write_film(folder: Path) -> None:
    with FilmWriter(folder / "a.mp4", rate=25) as film:
        for number in range(12):
            film.write(np.roll(NOISE, 13 * number, axis=1))


def write_gif(folder: Path) -> None:
    with FilmWriter(folder / "a.gif", rate=25) as film:
        for number in range(6):
            film.write(np.roll(NOISE, 13 * number, axis=1))


def write_results(folder: Path) -> None:
    pose = Pose(np.ones((16, 2), np.float32), np.ones(16, np.float32), MPII, (1.0, 2.0, 3.0, 4.0))
    outputs = Outputs(folder / "a.json", folder / "a.csv", folder / "coco.json")
    with ResultFiles(outputs, MPII) as files:
        for number in range(99):
            files.write(Found("a.mp4", 640, 480, [pose], number, number / 25))


def write_text(folder: Path) -> None:
    write_file(folder / "a.txt", "text " * 20_000)


WRITERS = [write_picture, write_film, write_gif, write_results, write_text]


def assert_whole(path: Path) -> None:
    """Whatever has its own name can be read to its end."""
    if path.suffix == ".json":
        json.loads(path.read_text())
    elif path.suffix in (".png", ".gif"):
        with Image.open(path) as image:
            image.seek(getattr(image, "n_frames", 1) - 1)
            image.load()
    elif path.suffix == ".mp4":
        import av

        with av.open(str(path)) as film:
            assert len(list(film.decode(video=0))) == 12


@pytest.mark.parametrize("free", FREE)
@pytest.mark.parametrize("write", WRITERS)
def test_a_full_disk_is_told_and_leaves_nothing_half_written(
    write: Callable[[Path], None],
    free: int,
    tmpfs: Callable[..., Path],
    leave_free: Callable[..., None],
    seen_in: Callable[..., dict[str, bytes]],
):
    disk = tmpfs(2**22)
    leave_free(disk, free)
    with pytest.raises(InputError, match="No space left on device") as told:
        write(disk)
    assert str(disk) in str(told.value)
    for name in seen_in(disk):
        assert_whole(disk / name)
    assert [path.name for path in disk.iterdir() if path.name[0] == "."] == [".filler"]


@pytest.mark.parametrize("write", WRITERS)
def test_what_was_there_stays_if_the_new_one_finds_no_room(
    write: Callable[[Path], None],
    tmpfs: Callable[..., Path],
    leave_free: Callable[..., None],
    seen_in: Callable[..., dict[str, bytes]],
):
    disk = tmpfs(2**22)
    write(disk)
    before = seen_in(disk)
    leave_free(disk, PAGE)
    with pytest.raises(InputError):
        write(disk)
    after = seen_in(disk)
    assert set(after) == set(before)
    for name in after:
        assert_whole(disk / name)


@pytest.mark.parametrize("write", WRITERS)
def test_a_folder_that_cannot_be_written_is_told(
    write: Callable[[Path], None], tmp_path: Path, read_only: Callable[[Path], Path]
):
    folder = tmp_path / "still"
    folder.mkdir()
    read_only(folder)
    with pytest.raises(InputError, match="Read-only file system") as told:
        write(folder)
    assert str(folder) in str(told.value)
    assert list(folder.iterdir()) == []
