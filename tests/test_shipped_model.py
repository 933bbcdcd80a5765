"""The model that comes with the project: it is there, small enough, and finds a person."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from hourglass import predict
from hourglass.core.calibration import FLIP_TEST, PLAIN
from hourglass.core.pose import Pose
from hourglass.core.skeleton import MPII
from hourglass.inference.estimator import (
    SHIPPED,
    SHIPPED_LITERT,
    PoseEstimator,
    default_predictor,
)
from hourglass.media.pictures import read_picture
from hourglass.modelfiles.keras_file import read_calibrations, read_config

DATA = Path(__file__).parent / "pictures"
PHOTOGRAPH = DATA / "astronaut.jpg"
STORED = DATA / "astronaut_pose.json"
LARGEST_FOLDER = 33_000_000

BY_EYE = {
    "head_top": (228, 20),
    "upper_neck": (224, 192),
}
"""Joints of the astronaut whose places are beyond doubt, px."""

HEAD_SIZE = 138.0
"""0.6 of the diagonal of her head's box, px."""


@pytest.fixture(scope="module")
def found() -> Pose:
    (stored,) = json.loads(STORED.read_text())
    return PoseEstimator.load(SHIPPED)(read_picture(PHOTOGRAPH), tuple(stored["people"][0]["box"]))


def test_it_finds_what_it_found_when_it_was_made(found: Pose):
    (stored,) = json.loads(STORED.read_text())
    expected = Pose.from_dict(stored["people"][0], skeleton=MPII)
    np.testing.assert_allclose(found.scores, expected.scores, atol=0.02)
    sure = expected.scores >= 0.5
    assert sure.sum() >= 4
    np.testing.assert_allclose(found.points[sure], expected.points[sure], atol=2)


def test_joints_that_can_be_seen_are_where_they_are(found: Pose):
    for name, place in BY_EYE.items():
        distance = np.linalg.norm(found.points[MPII.index(name)] - place)
        assert distance <= 0.5 * HEAD_SIZE, f"{name} is {distance:.0f} px away"


def test_its_litert_file_finds_the_same_as_it_does(found: Pose):
    """Where the model is replaced, its export must be, too (`hourglass/weights/README.md`)."""
    light = PoseEstimator.load(SHIPPED_LITERT)(read_picture(PHOTOGRAPH), found.box)
    sure = found.scores >= 0.5
    np.testing.assert_allclose(light.points[sure], found.points[sure], atol=0.5)
    np.testing.assert_allclose(light.scores, found.scores, atol=0.01)


def test_it_is_a_calibrated_lite_network_without_training_state():
    config = read_config(SHIPPED)
    assert config.network.encoder == "lite0"
    assert set(read_calibrations(SHIPPED)) == {PLAIN, FLIP_TEST}


def test_what_is_shipped_stays_small():
    assert sum(path.stat().st_size for path in SHIPPED.parent.iterdir()) <= LARGEST_FOLDER


@pytest.mark.parametrize(("name", "most"), [("nano", 2_000_000), ("pico", 1_000_000)])
def test_a_small_model_fits_a_phone_and_finds_her_head(name: str, most: int):
    path = SHIPPED.with_name(f"{name}.tflite")
    assert path.stat().st_size <= most
    estimator = PoseEstimator.load(path)
    assert estimator.calibrated
    pose = estimator(read_picture(PHOTOGRAPH))
    for joint, place in BY_EYE.items():
        distance = np.linalg.norm(pose.points[MPII.index(joint)] - place)
        assert distance <= 0.5 * HEAD_SIZE, f"{joint} is {distance:.0f} px away"


@pytest.mark.parametrize("name", ["nano", "pico"])
def test_a_small_models_two_files_are_of_one_network(name: str):
    picture = read_picture(PHOTOGRAPH)
    one, other = (
        PoseEstimator.load(SHIPPED.with_name(f"{name}{ending}"))(picture)
        for ending in (".keras", ".tflite")
    )
    np.testing.assert_allclose(one.scores, other.scores, atol=0.02)


def test_predict_works_with_nothing_but_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(predict.main, [str(PHOTOGRAPH)])
    assert result.exit_code == 0, result.output
    assert f"drawn in predictions, model {default_predictor()}" in result.output
    assert (tmp_path / "predictions" / "astronaut_pose.jpg").is_file()
