"""`tools.pseudo_label`: a folder of pictures becomes labels to learn from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from hourglass.core.pose import Box
from hourglass.data.readers import mpii_json
from hourglass.data.readers.label_set import WHOLE
from hourglass.inference.estimator import PoseEstimator
from tools import pseudo_label


@pytest.fixture(autouse=True)
def dots(monkeypatch: pytest.MonkeyPatch, dot_finder: Any) -> None:
    """The teacher finds dots, and the detector everybody but in grey pictures."""

    class Detector:
        def __call__(self, picture: np.ndarray) -> list[Box]:
            return [(3.0, 0.0, 90.0, 88.0)] if picture.std() > 1 else []

    monkeypatch.setattr(PoseEstimator, "load", classmethod(lambda cls, path: cls(dot_finder)))
    monkeypatch.setattr(pseudo_label, "PeopleDetector", Detector)


@pytest.fixture
def folder(tmp_path: Path, dotted_person: Callable[..., Any]) -> Path:
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), dotted_person(number)[1][..., ::-1])
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((88, 96, 3), 128, np.uint8))
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    return tmp_path


def test_labels_are_written_and_told(folder: Path, dotted_person: Callable[..., Any]):
    output = folder / "labels" / "train.json"
    result = CliRunner().invoke(
        pseudo_label.main,
        ["--images", str(folder), "--model", "dots.keras", "--output", str(output)],
    )
    assert result.exit_code == 0, result.output
    assert f"3 people with 42 joints in {output}; 1 of 5 pictures" in result.output
    assert "1 could not be read" in result.output
    assert "broken.jpg" in result.output
    people = mpii_json.read(output).people[WHOLE]
    assert [person.filename for person in people] == ["0.png", "1.png", "2.png"]
    for number, person in enumerate(people):
        np.testing.assert_array_equal(person.labelled, dotted_person(number)[0].labelled)
    assert {entry["label_source"] for entry in json.loads(output.read_text())} == {"dots"}


def test_a_folder_without_people_is_refused(folder: Path, error_of: Callable[..., str]):
    error = error_of(
        pseudo_label.main, "--images", folder, "--fewest", 15, "--output", folder / "none.json"
    )
    assert error == f"{folder}: nobody was found of whom 15 joints agree; none written"
    assert not (folder / "none.json").exists()


def test_a_folder_without_pictures_is_refused(tmp_path: Path, error_of: Callable[..., str]):
    assert "no pictures or films in this folder" in error_of(
        pseudo_label.main, "--images", tmp_path
    )


def test_what_could_only_fail_at_the_end_is_told_before_the_work(
    folder: Path, error_of: Callable[..., str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(PoseEstimator, "load", None)
    for images in (folder / "nowhere", folder / "0.png"):
        line = error_of(pseudo_label.main, "--images", images)
        assert line == f"--images {images}: no such folder of pictures"
    output = folder / "0.png" / "train.json"
    line = error_of(pseudo_label.main, "--images", folder, "--output", output)
    assert line == f"{output.parent}: cannot be written (File exists)"
    line = error_of(pseudo_label.main, "--images", folder, "--output", folder, "--force")
    assert line == f"{folder}: cannot be written (Is a directory)"


def test_films_are_left_out_and_told(folder: Path):
    films = folder / "films"
    films.mkdir()
    (films / "a.mp4").write_bytes(b"")
    arguments = ["--images", str(films), "--output", str(folder / "train.json")]
    output = CliRunner().invoke(pseudo_label.main, arguments).output
    assert f"WARNING {films}: 1 films in it are left out, first {films / 'a.mp4'}\n" in output
    assert output.endswith(f"Error: {films}: no pictures in this folder\n")
