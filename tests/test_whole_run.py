"""The whole pipeline through its commands: from MPII's JSON layout to a drawn picture."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import tools.build_tfrecords
import tools.make_synthetic
from hourglass import predict
from hourglass.core.skeleton import MPII
from hourglass.evaluate import main as evaluate_main
from hourglass.inference.estimator import PoseEstimator
from hourglass.train import main as train_main


def run(command: click.Command, *arguments: object) -> str:
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    assert "Traceback" not in result.output
    return result.stdout


def test_from_annotations_to_a_drawn_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    data = tmp_path / "data"
    run(
        tools.make_synthetic.main,
        *("--output", data, "--train", 17, "--validation", 6, "--size", 120),
    )
    out = run(
        tools.build_tfrecords.main,
        *("--annotations", data / "annotations", "--images", data / "images"),
        *("--output", tmp_path / "tfrecords", "--train-shards", 2, "--val-shards", 2),
    )
    assert "23 people in 4 shards (4 built, 0 kept)" in out
    assert len(list((tmp_path / "tfrecords").glob("*.tfrecords"))) == 4

    # From here on all folders are the commands' own defaults.
    monkeypatch.chdir(tmp_path)
    shallow = ("--set", "network.depth=1")
    out = run(train_main, *("--preset", "tiny", "--epochs", 2, "--batch-size", 8), *shallow)
    assert "2 epochs done" in out
    with Path("models/tiny/history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[1]["loss"]) < float(rows[0]["loss"])
    assert list(Path("logs/tiny").glob("events.*"))

    out = run(evaluate_main, *("--flip-test", "--json", "scores.json"))
    assert "6 people of tfrecords/validation*, model models/tiny/best.keras" in out
    scores: dict[str, Any] = json.loads(Path("scores.json").read_text())["scores"]
    best = max(float(row["val_pckh@0.5"]) for row in rows)
    assert abs(scores["plain"]["PCKh@0.5"]["pooled"] - best) <= 3
    annotated = json.loads(Path("data/annotations/validation.json").read_text())
    labelled = np.array([one["joints_vis"] for one in annotated]).sum(axis=0)
    counted = [one["labelled"] for one in scores["plain"]["PCKh@0.5"]["joints"].values()]
    assert counted == labelled.tolist()

    pictures = sorted(Path("data/images").glob("validation_*.jpg"))
    out = run(predict.main, *pictures, "--json", "joints.json", "--min-score", 0)
    assert out.splitlines()[-1] == (
        "6 of 6 pictures done, drawn in predictions, model models/tiny/best.keras"
    )
    results = json.loads(Path("joints.json").read_text())
    assert [result["image"] for result in results] == list(map(str, pictures))
    estimator = PoseEstimator.load()
    for path, result in zip(pictures, results, strict=True):
        picture = np.asarray(Image.open(path))
        drawn = np.asarray(Image.open(f"predictions/{path.stem}_pose.jpg"))
        assert (result["height"], result["width"]) == picture.shape[:2] == drawn.shape[:2]
        assert np.abs(drawn.astype(int) - picture).max() > 50
        joints = result["people"][0]["keypoints"]
        assert tuple(joint["name"] for joint in joints) == MPII.joints
        pose = estimator(picture)
        np.testing.assert_allclose(
            [[joint["x"], joint["y"]] for joint in joints], pose.points, atol=1e-3
        )
