"""A teacher: its part in a batch's targets, and which model files can be one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hourglass.core.config import Config
from hourglass.core.skeleton import COCO
from hourglass.exporting.choices import LITERT, Choices
from hourglass.exporting.formats import export_model
from hourglass.modelfiles.keras_file import save_model
from hourglass.networks.hourglass import build_network, last_stack
from hourglass.training.distillation import FAINTEST, Teacher, mixed, resized

SHARE = 0.3


def squared_error(target: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    return ((predicted - target) ** 2).sum(axis=(1, 2))


def test_one_target_has_the_error_of_two_but_for_a_constant():
    rng = np.random.default_rng(0)
    labels, found, one, other = rng.random((4, 2, 5, 5, 3), np.float32)
    weights = np.array([[1, 0.25, 0], [0.5, 1, 1]], np.float32)
    target, weight = mixed(labels, weights, found, share=SHARE)

    def apart(predicted: np.ndarray) -> np.ndarray:
        by_labels = (1 - SHARE) * weights * squared_error(labels, predicted)
        return by_labels + SHARE * squared_error(found, predicted)

    def together(predicted: np.ndarray) -> np.ndarray:
        return weight * squared_error(target, predicted)

    assert target.dtype == weight.dtype == np.float32
    np.testing.assert_allclose(
        apart(one) - apart(other), together(one) - together(other), rtol=1e-4, atol=1e-5
    )


def test_joints_without_a_label_are_the_teachers():
    labels = np.zeros((1, 4, 4, 2), np.float32)
    found = np.full((1, 4, 4, 2), 0.5, np.float32)
    target, weight = mixed(labels, np.array([[0, 1]], np.float32), found, share=SHARE)
    np.testing.assert_allclose(target[..., 0], 0.5)
    np.testing.assert_allclose(target[..., 1], 0.5 * SHARE)
    np.testing.assert_allclose(weight, [[SHARE, 1]])


@pytest.fixture
def student(micro_config: Config) -> Config:
    return micro_config.replace("train.teacher_share", SHARE)


def test_a_teacher_sees_the_batch_and_its_background_is_nothing(student: Config, tmp_path: Path):
    size = student.network.input_size
    network = build_network(student.network, seed=3)
    save_model(tmp_path / "teacher.keras", network, student)
    images = np.random.default_rng(1).integers(0, 256, (2, size, size, 3), np.uint8)
    expected = last_stack(network).predict_on_batch(images)
    faint, clear = expected < 0.999 * FAINTEST, expected > 1.001 * FAINTEST
    assert faint.any()
    labels = np.zeros(expected.shape, np.float32)
    weights = np.zeros((2, expected.shape[-1]), np.float32)
    targets, counts = Teacher(tmp_path / "teacher.keras", student)(images, labels, weights)
    np.testing.assert_allclose(targets[clear], np.minimum(expected[clear], 1), atol=1e-5)
    assert not targets[faint].any()
    np.testing.assert_allclose(counts, SHARE)


def test_a_teacher_of_another_skeleton_is_refused(student: Config, tmp_path: Path):
    save_model(tmp_path / "teacher.keras", build_network(student.network), student)
    with pytest.raises(ValueError, match=r"teacher\.keras: the teacher knows the joints of .*mpii"):
        Teacher(tmp_path / "teacher.keras", student.with_skeleton(COCO))


def exported(path: Path, config: Config) -> np.ndarray:
    """Writes an export of a fresh network, and gives its heatmaps of two black crops."""
    network = build_network(config.network, seed=3)
    save_model(path.with_suffix(".keras"), network, config)
    export_model(path.with_suffix(".keras"), path, Choices(LITERT))
    size = config.network.input_size
    return np.asarray(last_stack(network).predict_on_batch(np.zeros((2, size, size, 3), np.uint8)))


def test_an_export_can_be_the_teacher(student: Config, tmp_path: Path):
    expected = exported(tmp_path / "teacher.tflite", student)
    size, joints = student.network.input_size, expected.shape[-1]
    targets, _ = Teacher(tmp_path / "teacher.tflite", student)(
        np.zeros((2, size, size, 3), np.uint8),
        np.zeros(expected.shape, np.float32),
        np.zeros((2, joints), np.float32),
    )
    clear = expected > 2 * FAINTEST
    assert clear.any()
    np.testing.assert_allclose(targets[clear], np.minimum(expected[clear], 1), atol=1e-5)
    assert not targets[expected < FAINTEST / 2].any()


def test_an_export_of_another_skeleton_is_no_teacher(student: Config, tmp_path: Path):
    path = tmp_path / "teacher.tflite"
    exported(path, student)
    with pytest.raises(
        ValueError, match=r"teacher\.tflite: the teacher knows the joints of .*mpii"
    ):
        Teacher(path, student.with_skeleton(COCO))


class Finder:
    """A stand-in for a runtime: it marks a joint where a crop of its own size is white."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.sizes: list[int] = []

    def heatmaps(self, images: np.ndarray) -> np.ndarray:
        self.sizes.append(images.shape[1])
        cells = images[..., :1].reshape(len(images), images.shape[1] // 4, 4, -1, 4, 1)
        joints = len(self.config.skeleton.joints)
        return np.repeat(cells.mean(axis=(2, 4)) / np.float32(255), joints, axis=-1)


@pytest.mark.parametrize("own", [32, 48, 96])
def test_a_teacher_looks_at_crops_of_its_own_size(
    student: Config, monkeypatch: pytest.MonkeyPatch, own: int
):
    finder = Finder(student.replace("network.input_size", own))
    monkeypatch.setattr("hourglass.training.distillation.load_runtime", lambda path: finder)
    student = student.replace("network.input_size", 64)
    images = np.zeros((1, 64, 64, 3), np.uint8)
    images[0, 16:28, 36:48] = 255  # round cell (5, 10) of 16: its middle is 21.5, 41.5 px
    joints = len(student.skeleton.joints)
    labels, weights = np.zeros((1, 16, 16, joints), np.float32), np.zeros((1, joints), np.float32)
    targets, _ = Teacher("teacher.tflite", student)(images, labels, weights)
    assert finder.sizes == [own]
    assert targets.shape == labels.shape
    rows, columns = np.indices((16, 16))
    one = targets[0, ..., 0] / targets[0, ..., 0].sum()
    assert ((rows * one).sum(), (columns * one).sum()) == pytest.approx((5, 10), abs=0.15)


def test_maps_of_another_size_keep_their_corners_on_the_corners():
    columns = np.broadcast_to(np.arange(12, dtype=np.float32), (1, 12, 12))[..., np.newaxis]
    smaller = resized(columns, 6)
    np.testing.assert_allclose(smaller[0, 0, :, 0], 2 * np.arange(6) + 0.5)
    larger = resized(np.repeat(columns, 200, axis=-1), 24)
    np.testing.assert_allclose(larger[0, 5, 1:-1, 199], (np.arange(1, 23) - 0.5) / 2)
    assert resized(columns, 12) is columns
