"""`python -m hourglass.lift`: pictures, films and files of joints."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from hourglass.core.pose import Pose
from hourglass.core.skeleton import MPII
from hourglass.core.storage import Url
from hourglass.lift import main
from hourglass.lifting.estimator import Body, Lifter
from hourglass.lifting.model_file import About, save_lifter
from hourglass.lifting.network import build_lifter, weights_of
from hourglass.lifting.shape import LifterConfig
from hourglass.media.film_writer import FilmWriter
from hourglass.media.results import Found, to_json
from hourglass.media.video import Film

PICTURE = Path(__file__).parent / "pictures" / "astronaut.jpg"


@pytest.fixture(scope="module")
def lifter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lifter") / "small.npz"
    config = LifterConfig(units=8)
    save_lifter(path, weights_of(build_lifter(config)), About(config))
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def poses(path: Path, scores: float = 1.0) -> Path:
    points = (np.random.default_rng(0).normal(size=(16, 2)) * 50).astype(np.float32)
    pose = Pose(points, np.full(16, scores, np.float32), MPII, (0, 0, 9, 9))
    path.write_text(to_json([Found("a.jpg", 9, 9, [pose])]))
    return path


def test_a_picture_gets_panels_and_files(lifter: Path, tmp_path: Path) -> None:
    done = run(
        *(PICTURE, "--model", lifter, "--output", tmp_path / "out", "--bvh", tmp_path / "bvh"),
        *("--json", tmp_path / "a.json", "--csv", tmp_path / "a.csv", "--min-score", 0),
    )
    assert done.exit_code == 0, done.output
    assert "1 people in 1 pictures and frames lifted" in done.output
    drawn = cv2.imread(str(tmp_path / "out" / "astronaut_lift.jpg"))
    assert drawn.shape == (320, 1280, 3)
    (entry,) = json.loads((tmp_path / "a.json").read_text())
    assert len(entry["people"][0]["joints"]) == 17
    assert (tmp_path / "a.csv").read_text().count("\n") == 2
    assert (tmp_path / "bvh" / "astronaut.bvh").is_file()


def test_everything_may_be_at_a_url(lifter: Path, tmp_path: Path, memory: Url) -> None:
    (memory / "small.npz").upload(lifter)
    (memory / "in.json").upload(poses(tmp_path / "in.json"))
    done = run(
        *(memory / "in.json", "--model", memory / "small.npz", "--bvh", memory / "bvh"),
        *("--json", memory / "a.json", "--csv", memory / "a.csv"),
    )
    assert done.exit_code == 0, done.output
    (entry,) = json.loads((memory / "a.json").read_text())
    assert len(entry["people"][0]["joints"]) == 17
    assert set(memory.entries()) >= {"a.csv", "bvh/a.bvh"}
    again = run(memory / "in.json", "--model", memory / "small.npz", "--bvh", memory / "bvh")
    assert f"{memory / 'bvh/a.bvh'} is there already; --force would overwrite" in again.output


def test_a_film_becomes_a_film(lifter: Path, tmp_path: Path) -> None:
    film_of(tmp_path / "film.mp4", 3)
    done = run(
        *(tmp_path / "film.mp4", "--model", lifter, "--output", tmp_path / "out.mp4"),
        *("--min-score", 0, "--smooth", "--json", tmp_path / "a.json"),
    )
    assert done.exit_code == 0, done.output
    assert [entry["frame"] for entry in json.loads((tmp_path / "a.json").read_text())] == [0, 1, 2]
    film = cv2.VideoCapture(str(tmp_path / "out.mp4"))
    assert film.get(cv2.CAP_PROP_FRAME_COUNT) == 3
    assert film.get(cv2.CAP_PROP_FRAME_WIDTH) == 1280


def film_of(path: Path, frames: int) -> Path:
    picture = cv2.imread(str(PICTURE))[..., ::-1][::2, ::2]
    with FilmWriter(path, rate=10) as writer:
        for _ in range(frames):
            writer.write(picture)
    return path


def test_ctrl_c_keeps_what_was_lifted_and_begins_no_other_film(
    lifter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film_of(tmp_path / "film.mp4", 12)
    shutil.copy(tmp_path / "film.mp4", tmp_path / "next.mp4")
    original, calls = Lifter.bodies, []

    def interrupted(self: Lifter, poses: list[Pose]) -> list[Body | None]:
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return original(self, poses)

    monkeypatch.setattr(Lifter, "bodies", interrupted)
    monkeypatch.chdir(tmp_path)
    done = run(
        *("film.mp4", "next.mp4", "--model", lifter, "--min-score", 0),
        *("--json", "a.json", "--csv", "a.csv", "--bvh", "bvh"),
    )
    assert done.exit_code == 1
    assert done.output.splitlines()[-2:] == [
        "Error: film.mp4: interrupted after 4 frames, which are kept",
        "not looked at: next.mp4",
    ]
    assert [entry["frame"] for entry in json.loads(Path("a.json").read_text())] == [0, 1, 2, 3]
    assert Path("a.csv").read_text().count("\n") == 5
    assert Path("bvh/film.bvh").is_file()
    assert len(list(Film(Path("lifted/film_lift.mp4")))) == 4
    assert not Path("lifted/next_lift.mp4").exists()


def test_a_list_on_standard_input_names_anything(
    lifter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    poses(Path("poses.json"))
    lines = Path("poses.jsonl")
    lines.write_text(json.dumps(json.loads(Path("poses.json").read_text())[0]) + "\n")
    words = ["-", "--model", str(lifter), "--json", "out.jsonl", "--no-drawing"]
    done = CliRunner().invoke(main, words, input="poses.json\npose*.jsonl\n")
    assert done.exit_code == 0, done.output
    first, second = map(json.loads, Path("out.jsonl").read_text().splitlines())
    assert first == second
    done = CliRunner().invoke(main, ["-"], input="")
    assert "the list on standard input is empty" in done.output


def test_a_film_for_a_picture_is_refused(tmp_path: Path) -> None:
    done = run(PICTURE, "--output", tmp_path / "x.mp4")
    assert done.exit_code == 1
    assert "x.mp4: of pictures, this is a folder, not a film" in done.output
    assert not (tmp_path / "x.mp4").exists()


def test_joints_that_were_found_before_need_no_picture(lifter: Path, tmp_path: Path) -> None:
    done = run(poses(tmp_path / "poses.json"), "--model", lifter, "--json", tmp_path / "out.json")
    assert done.exit_code == 0, done.output
    (entry,) = json.loads((tmp_path / "out.json").read_text())
    assert entry["image"] == "a.jpg"
    assert len(entry["people"]) == 1


def test_one_line_for_whoever_cannot_be_lifted(lifter: Path, tmp_path: Path) -> None:
    low = poses(tmp_path / "low.json", scores=0.1)
    done = run(low, poses(tmp_path / "good.json"), "--model", lifter)
    assert done.exit_code == 1
    assert "1 people in 2 pictures and frames lifted" in done.output
    assert "a.jpg: person 0: 0 of the 16 joints were found" in done.output


def test_nothing_is_overwritten_unasked(lifter: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    target.write_text("mine")
    options = (poses(tmp_path / "poses.json"), "--model", lifter, "--json", target)
    refused = run(*options)
    assert refused.exit_code == 1
    assert "out.json is there already" in refused.output
    assert target.read_text() == "mine"
    assert run(*options, "--force").exit_code == 0


def test_a_missing_model_is_one_line(tmp_path: Path) -> None:
    done = run(poses(tmp_path / "poses.json"), "--model", tmp_path / "none.npz")
    assert done.exit_code == 1
    assert done.output.strip().endswith("none.npz: no such model file")


def test_what_cannot_be_done_is_said_before_any_work(lifter: Path, tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    film.touch()
    boxes = tmp_path / "boxes.json"
    boxes.write_text("{}")
    done = run(film, "--model", lifter, "--boxes", boxes)
    assert done.exit_code == 1
    assert "--boxes is for pictures" in done.output
    done = run(poses(tmp_path / "a.json"), "--json", tmp_path / "none" / "b.json")
    assert done.exit_code == 1
    assert "there is no folder" in done.output
