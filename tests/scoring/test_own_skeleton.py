"""A skeleton of one's own, from shards to the page about a model: its own score, everywhere."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from hourglass.core.config import AugmentConfig, Config, NetworkConfig, TrainConfig
from hourglass.core.person import Person
from hourglass.core.skeleton import Skeleton
from hourglass.data.records import frame, to_example
from hourglass.evaluate import main
from hourglass.exporting.parity import compare
from hourglass.modelfiles.keras_file import load_model, read_calibrations
from hourglass.scoring.oks import MEASURES

DOOR = Skeleton.of_names(
    "door",
    ("top_left", "top_right", "bottom_left", "bottom_right"),
    bones=((0, 1), (1, 3), (3, 2), (2, 0)),
)

CONFIG = Config(
    NetworkConfig(stacks=1, channels=8, depth=1, input_size=32, architecture="unet"),
    augment=AugmentConfig(0, 0, 0, 0, 0, 0),
    train=TrainConfig(epochs=2, batch_size=4, precision="float32"),
)

pytestmark = pytest.mark.usefixtures("quick_graphs")


def random_door(rng: np.random.Generator) -> tuple[Person, np.ndarray]:
    """A light rectangle on a dark ground, and its corners."""
    picture = np.full((64, 64, 3), 40, np.uint8)
    left, top = rng.integers(6, 20, 2)
    width, height = rng.integers(20, 36, 2)
    picture[top : top + height, left : left + width] = 220
    right, bottom = left + width - 1, top + height - 1
    corners = np.array([(left, top), (right, top), (left, bottom), (right, bottom)], np.float32)
    person = Person(
        filename="door.jpg",
        points=corners,
        visibility=np.array([2, 2, 1, 2], np.uint8),
        center=corners.mean(axis=0),
        scale=max(width, height) / 200,
        box=(float(left), float(top), float(width), float(height)),
        area=float(width * height),
    )
    return person, picture


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 8 doors to train on and 60 to validate."""
    folder = tmp_path_factory.mktemp("doors")
    rng = np.random.default_rng(3)
    for split, count in (("train", 8), ("validation", 60)):
        with (folder / f"{split}_0001_of_0001.tfrecords").open("wb") as file:
            for number in range(count):
                person, picture = random_door(rng)
                person = Person(**{**vars(person), "filename": f"{split}_{number}.jpg"})
                out = io.BytesIO()
                Image.fromarray(picture).save(out, "JPEG", quality=95)
                file.write(frame(to_example(person, encoded=out.getvalue(), height=64, width=64)))
    (folder / "manifest.json").write_text(json.dumps({"skeleton": DOOR.to_dict()}))
    return folder


@pytest.fixture(scope="module")
def run(doors: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    from hourglass.training.run import train

    root = tmp_path_factory.mktemp("runs")
    return train(CONFIG, str(doors), folder=root / "models" / "door", board=root / "logs" / "door")


def invoke(*arguments: object) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_training_watches_the_skeletons_own_score(run: Any):
    with (run.folder / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [name for name in rows[0] if "pck" in name] == ["val_pck@0.1", "val_pck@0.05"]
    best = max(rows, key=lambda row: float(row["val_pck@0.1"]))
    assert run.score == "PCK@0.1"
    assert (run.state.best_score, run.state.best_epoch) == (
        pytest.approx(float(best["val_pck@0.1"])),
        int(best["epoch"]),
    )
    assert load_model(run.folder / "best.keras")[1].skeleton == DOOR


def test_evaluate_prints_the_skeletons_own_scores(run: Any, doors: Path, tmp_path: Path):
    model, data = run.folder / "best.keras", f"{doors}/validation*"
    page, numbers = tmp_path / "page", tmp_path / "scores.json"
    options = ("--flip-test", "--report", page, "--json", numbers)
    lines = invoke("--data", data, "--model", model, *options).splitlines()
    columns = ["PCK@0.05", "PCK@0.1", "PCK@0.2"]
    assert lines[0].split() == [*columns, *(word for one in columns for word in (one, "flip"))]
    titles = [line[:14].strip() for line in lines]
    assert titles[1:5] == ["Top", "Bottom", "Mean, pooled", "Mean of joints"]
    assert lines[5].split() == ["OKS", *MEASURES]
    assert titles[6:8] == ["plain", "flip_test"]
    assert lines[8] == "skeleton 'door' has no sigmas for OKS: 0.1 for each joint"
    assert lines[9] == f"60 people of {data}, model {model}"
    written = json.loads(numbers.read_text())
    assert written["skeleton"] == "door"
    assert list(written["scores"]["plain"]["PCK@0.1"]["joints"]) == list(DOOR.joints)
    text = (page / "report.html").read_text()
    for words in ("threshold, box sides", "within 0.1 box sides", "share within PCK@0.1"):
        assert words in text
    for words in ("head size", "PCKh", "torso", "Left out"):
        assert words not in text


def test_a_score_is_calibrated_to_the_skeletons_own_threshold(
    run: Any, doors: Path, tmp_path: Path
):
    from hourglass.calibrate import main as calibrate

    target = tmp_path / "calibrated.keras"
    arguments = ["--data", f"{doors}/validation*", "--model", run.folder / "best.keras"]
    result = CliRunner().invoke(calibrate, [*map(str, arguments), "--output", str(target)])
    assert result.exit_code == 0, result.output
    assert len(read_calibrations(target)["plain"].heights) == 4


def test_an_export_is_scored_by_the_skeletons_own_measure(run: Any, doors: Path, tmp_path: Path):
    from hourglass.exporting.choices import Choices
    from hourglass.exporting.formats import export_model

    model, export = run.folder / "best.keras", tmp_path / "door.onnx"
    export_model(model, export, Choices("onnx"))
    parity = compare(model, export, data=f"{doors}/validation*")
    assert parity.title == "PCK@0.1"
    assert parity.model.score == pytest.approx(parity.export.score, abs=1)


def test_a_model_of_other_joints_is_refused(doors: Path, micro_file: Path):
    arguments = ["--data", f"{doors}/validation*", "--model", str(micro_file)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert "finds the 16 joints of skeleton 'mpii', the people of" in result.output
    assert "have the 4 of 'door': a model is scored on labels of its own joints" in result.output
