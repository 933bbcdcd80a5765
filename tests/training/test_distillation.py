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
from hourglass.training.distillation import FAINTEST, Teacher, mixed

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
    smaller = student.replace("network.input_size", size // 2)
    network = build_network(smaller.network, seed=3)
    save_model(tmp_path / "teacher.keras", network, smaller)
    same = build_network(student.network)
    same.set_weights(network.get_weights())
    images = np.random.default_rng(1).integers(0, 256, (2, size, size, 3), np.uint8)
    expected = last_stack(same).predict_on_batch(images)
    faint = expected < FAINTEST
    labels = np.zeros(expected.shape, np.float32)
    weights = np.zeros((2, expected.shape[-1]), np.float32)
    targets, counts = Teacher(tmp_path / "teacher.keras", student)(images, labels, weights)
    np.testing.assert_allclose(targets[~faint], np.minimum(expected[~faint], 1), atol=1e-5)
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


def test_an_export_of_another_size_or_skeleton_is_no_teacher(student: Config, tmp_path: Path):
    path = tmp_path / "teacher.tflite"
    exported(path, student)
    with pytest.raises(ValueError, match=r"of 32 px, the student .* 48 px; .* --input-size 48"):
        Teacher(path, student.replace("network.input_size", 48))
    with pytest.raises(
        ValueError, match=r"teacher\.tflite: the teacher knows the joints of .*mpii"
    ):
        Teacher(path, student.with_skeleton(COCO))


def test_a_teacher_that_cannot_halve_such_crops_is_refused(student: Config, tmp_path: Path):
    deep = student.replace("network.depth", 2).replace("network.input_size", 32)
    save_model(tmp_path / "teacher.keras", build_network(deep.network), deep)
    with pytest.raises(ValueError, match=r"teacher\.keras: the teacher cannot take the student's"):
        Teacher(tmp_path / "teacher.keras", student.replace("network.input_size", 40))
