"""Films by the shipped model and the real detector: who comes, goes and crosses, and Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from hourglass.inference.estimator import SHIPPED_LITERT
from hourglass.media.film_writer import FilmWriter
from hourglass.media.pictures import read_picture
from hourglass.media.video import Film
from hourglass.predict import main

pytest.importorskip("ai_edge_litert")

PHOTOGRAPH = Path(__file__).parent / "pictures" / "astronaut.jpg"
SIDE = 150
FRAMES = 40
RATE = 20.0
MODEL = ("--model", str(SHIPPED_LITERT))

Place = Callable[[int], int | None]
"""From a frame to somebody's left side, px; None of one who is away."""


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def frames(*places: Place, count: int = FRAMES) -> Iterator[np.ndarray]:
    """People in front of grey; the first is in front of the others."""
    photograph = read_picture(PHOTOGRAPH)[:, 60:400]
    person = cv2.resize(photograph, (SIDE, 225), interpolation=cv2.INTER_AREA)
    looks = [person, person[:, ::-1] // 4 * 3]
    for number in range(count):
        picture = np.full((240, 640, 3), 120, np.uint8)
        for place, look in list(zip(places, looks, strict=False))[::-1]:
            left = place(number)
            if left is not None:
                picture[10:235, left : left + SIDE] = look
        yield picture


def write(name: str, *places: Place, count: int = FRAMES) -> Path:
    with FilmWriter(Path(name), rate=RATE) as writer:
        for picture in frames(*places, count=count):
            writer.write(picture)
    return Path(name)


def people_in(name: str, *words: str) -> list[dict[int, float]]:
    """The middle of everybody's box, px from the left, by id, in each frame."""
    arguments = [name, *MODEL, "--detect", "--draw", "nothing", "--json", "o.json", *words]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return [
        {person["id"]: person["box"][0] + person["box"][2] / 2 for person in frame["people"]}
        for frame in json.loads(Path("o.json").read_text())
    ]


def test_somebody_who_walks_in_is_found_and_one_who_leaves_is_gone():
    write("a.mp4", lambda n: 60, lambda n: 400 if 12 <= n < 28 else None)
    told = people_in("a.mp4")
    assert len(told) == FRAMES
    assert all(len(frame) == 1 for frame in (*told[:12], *told[32:]))
    assert all(set(frame) == {1, 2} for frame in told[19:28])
    for frame in told:
        assert abs(frame[1] - (60 + SIDE / 2)) < 60


def test_two_who_pass_each_other_keep_their_ids():
    def first(n: int) -> int:
        return 20 + 8 * n

    def second(n: int) -> int:
        return 470 - 8 * n

    write("a.mp4", first, second, count=56)
    told = people_in("a.mp4")
    begin, end = told[4], told[-1]
    assert set(begin) == {1, 2}
    left, right = sorted(begin, key=lambda person: begin[person])
    assert end[left] > end[right] + 100
    assert {person for frame in told for person in frame} == {1, 2}


def test_phones_pictures_and_names_of_any_bytes_are_looked_at():
    pytest.importorskip("pillow_heif").register_heif_opener()
    picture = Image.open(PHOTOGRAPH)
    Path("in").mkdir()
    for name in ("a.avif", "d.heic"):
        picture.save(f"in/{name}")
    for name in ("b.jfif", "c.jpe", ".hidden.jpg"):
        picture.save(f"in/{name}", "JPEG")
    picture.save(os.path.join("in", os.fsdecode(b"bad\xff.jpg")))
    words = ["in", *MODEL, "--json", "o.json", "--csv", "o.csv", "--coco", "c.json"]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert "5 of 5 pictures done" in result.output
    images = [Path(one["image"]).name for one in json.loads(Path("o.json").read_text())]
    assert images[:2] == ["a.avif", "b.jfif"]
    assert len(images) == 5
    assert len(Path("o.csv").read_text().splitlines()) == 6


@pytest.mark.skipif(sys.platform == "win32", reason="signals differ there")
def test_an_interruption_keeps_everything_so_far():
    write("long.mp4", lambda n: 60 + n % 40, count=1500)
    words = ["-m", "hourglass.predict", "long.mp4", *MODEL, "--output", "out.mp4"]
    words += ["--json", "o.jsonl", "--csv", "o.csv"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    process = subprocess.Popen(
        [sys.executable, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )
    lines = Path("o.jsonl")
    while process.poll() is None and not (lines.exists() and lines.read_text().count("\n") > 20):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    told, _ = process.communicate(timeout=600)
    assert process.returncode == 1, told
    kept = lines.read_text().count("\n")
    assert 20 < kept < 1500
    assert f"{kept} frames of 1 films done" in told
    assert f"Error: long.mp4: interrupted after {kept} frames, which are kept" in told
    assert len(Path("o.csv").read_text().splitlines()) == kept + 1
    assert abs(len(list(Film(Path("out.mp4")))) - kept) <= 1
    assert not list(Path().glob(".*"))
