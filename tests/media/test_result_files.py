"""Files of results grow with what is found, are whole at the end, and give no number twice."""

from __future__ import annotations

import csv
import json
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hourglass.core.files import write_file
from hourglass.core.pose import Pose
from hourglass.core.skeleton import MPII
from hourglass.media.result_files import ImageIds, OpenPoseNames, Outputs, ResultFiles
from hourglass.media.results import Found, to_json


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def found(name: str = "a.jpg", people: int = 1, frame: int | None = None) -> Found:
    rng = np.random.default_rng(people)
    poses = [
        Pose(
            rng.uniform(0, 99, (16, 2)).astype(np.float32),
            rng.uniform(0, 1, 16).astype(np.float32),
            MPII,
            (1.0, 2.0, 30.0, 40.0),
        )
        for _ in range(people)
    ]
    return Found(name, 640, 480, poses, frame, None if frame is None else frame / 25)


def write(outputs: Outputs, *all_found: Found, **choices: object) -> None:
    with ResultFiles(outputs, MPII, **choices) as files:
        for one in all_found:
            files.write(one)


def files_here() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_json_file_that_grew_is_the_one_written_at_once(count: int):
    all_found = [found(f"{number}.jpg", number) for number in range(count)]
    write(Outputs(json=Path("a.json")), *all_found)
    assert Path("a.json").read_text() == to_json(all_found)


def test_lines_reach_their_file_at_once():
    with ResultFiles(Outputs(json=Path("a.jsonl")), MPII) as files:
        for number in range(3):
            files.write(found("a.mp4", 2, number))
            lines = Path("a.jsonl").read_text().splitlines()
            assert [json.loads(line)["frame"] for line in lines] == list(range(number + 1))
    assert json.loads(lines[0]) == json.loads(to_json([found("a.mp4", 2, 0)]))[0]


def test_other_files_get_their_names_when_they_are_whole():
    outputs = Outputs(Path("a.json"), Path("a.csv"), Path("c.json"), Path("open"))
    with ResultFiles(outputs, MPII) as files:
        files.write(found())
        assert not {"a.json", "a.csv", "c.json"} & set(files_here())
    assert files_here() == ["a.csv", "a.json", "c.json", "open"]
    assert len(json.loads(Path("c.json").read_text())) == 1
    assert [path.name for path in Path("open").iterdir()] == ["a_keypoints.json"]


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_what_was_found_until_a_failure_is_kept(failure: type[BaseException]):
    def run() -> None:
        with ResultFiles(Outputs(Path("a.json"), Path("a.csv"), Path("c.json")), MPII) as files:
            files.write(found("a.mp4", 1, 0))
            files.write(found("a.mp4", 1, 1))
            raise failure("failed")

    with pytest.raises(failure, match="failed"):
        run()
    assert [one["frame"] for one in json.loads(Path("a.json").read_text())] == [0, 1]
    assert len(json.loads(Path("c.json").read_text())) == 2
    assert len(Path("a.csv").read_text().splitlines()) == 3


def test_a_file_that_cannot_be_made_is_told_before_any_work():
    Path("file").touch()
    for outputs in (
        Outputs(json=Path("file/a.json")),
        Outputs(csv=Path("none/a.csv")),
        Outputs(json=Path("fine.json"), openpose=Path("file")),
    ):
        with pytest.raises(ValueError, match=r"cannot be written \((No|Not|File)"):
            write(outputs)


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file of this process may grow beyond 30,000 bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_a_disk_that_is_full_is_told_by_the_files_name(small_disk: None, name: str):
    with pytest.raises(ValueError, match=rf"^{name}: cannot be written \(File too large\)"):
        write(Outputs(json=Path(name)), *(found("a.mp4", 5, number) for number in range(99)))
    assert files_here() == ([name] if name.endswith("l") else [])


def test_names_of_any_bytes_stand_in_every_file():
    name = os.fsdecode(b"bad\xff.jpg")
    outputs = Outputs(Path("a.json"), Path("a.csv"), Path("c.json"), Path("open"))
    write(outputs, found(name), found("good.jpg"))
    assert json.loads(Path("a.json").read_text())[1]["image"] == "good.jpg"
    with Path("a.csv").open() as file:
        assert [row["image"] for row in csv.DictReader(file)] == ["bad\\udcff.jpg", "good.jpg"]
    assert json.loads(Path("c.json").read_text())[1]["file_name"] == "good.jpg"
    assert len(list(Path("open").iterdir())) == 2


# COCO's numbers.


def ids(all_found: list[Found], *, pictures: list[str] | None = None, films: int = 0) -> list:
    names = [one.image for one in all_found] if pictures is None else pictures
    image_ids = ImageIds([Path(name) for name in names], films)
    return [image_ids.of(one) for one in all_found]


def test_pictures_have_the_numbers_in_their_names():
    assert ids([found("v/000139.jpg"), found("v/42.jpg"), found("b.jpg")]) == [139, 42, "b"]


@pytest.mark.parametrize(
    "names", [("a1.jpg", "b1.jpg"), ("x/7.jpg", "y/7.jpg"), ("b.png", "b.jpg")]
)
def test_pictures_that_would_share_a_number_are_counted(names: tuple[str, ...]):
    assert ids([found(name) for name in (*names, "c9.jpg")]) == [1, 2, 3]


def test_frames_have_their_own_numbers_or_are_counted_where_there_is_more():
    film = [found("a.mp4", frame=number) for number in (0, 5)]
    assert ids(film, pictures=[], films=1) == [0, 5]
    other = [found("b.mp4", frame=number) for number in (0, 5)]
    assert ids([*film, *other], pictures=[], films=2) == [1, 2, 3, 4]
    picture = found("5.jpg")
    assert ids([picture, *film], pictures=["5.jpg"], films=1) == [1, 2, 3]


# OpenPose's names.


def test_openpose_files_never_share_a_name():
    names = OpenPoseNames(Path("out"))
    all_found = [found(name) for name in ("a.jpg", "x/a.png", "a.b.jpg")]
    all_found += [
        found(name, frame=frame)
        for name in ("film.v1.mp4", "x/film.v1.avi", "camera 0")
        for frame in (0, 17)
    ]
    made = [names.of(one) for one in all_found]
    assert len(set(made)) == len(made)
    assert [path.name for path in made[:4]] == [
        "a_keypoints.json",
        "a_keypoints_2.json",
        "a.b_keypoints.json",
        "film.v1_000000000000_keypoints.json",
    ]
    assert made[5:7] == [
        Path("out/film.v1_000000000000_keypoints_2.json"),
        Path("out/film.v1_000000000017_keypoints_2.json"),
    ]
    assert made[-1] == Path("out/camera 0_000000000017_keypoints.json")


def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path: Path) -> None:
    target, json_link, csv_link = tmp_path / "real", tmp_path / "a.json", tmp_path / "a.csv"
    target.mkdir()
    json_link.symlink_to(target / "a.json")
    csv_link.symlink_to(target / "a.csv")
    write_file(json_link, "[]")
    write(Outputs(csv=csv_link), found())
    assert json_link.is_symlink()
    assert csv_link.is_symlink()
    assert (target / "a.json").read_text() == "[]"
    assert (target / "a.csv").read_text().count("\n") == 2


def test_a_pipe_is_no_file_that_would_be_lost(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    Outputs(json=tmp_path / "pipe").refuse_wrong([], [], force=False)
    (tmp_path / "a.json").touch()
    with pytest.raises(ValueError, match="is there already"):
        Outputs(json=tmp_path / "a.json").refuse_wrong([], [], force=False)
