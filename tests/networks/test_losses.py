"""The losses, worked out by hand on maps of 4×4 pixels."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from hourglass.networks.losses import ForegroundWeightedMSE, HeatmapLoss, SoftIoU


@pytest.fixture
def target() -> np.ndarray:
    """(1, 4, 4, 2): joint 0 has a peak of 1 beside a 0.5; joint 1 is empty."""
    maps = np.zeros((1, 4, 4, 2), np.float32)
    maps[0, 1, 1, 0], maps[0, 1, 2, 0] = 1.0, 0.5
    return maps


@pytest.fixture
def predicted() -> np.ndarray:
    """(1, 2, 4, 4, 2): joint 0 is 0 in the first stack and 0.5 in the second; joint 1 is 1."""
    maps = np.ones((1, 2, 4, 4, 2), np.float32)
    maps[0, 0, ..., 0], maps[0, 1, ..., 0] = 0.0, 0.5
    return maps


# With a foreground weight of 3, foreground pixels count 4 times.
# Joint 0, stack 1: (4 · 1² + 4 · 0.5²) / 16                = 0.3125
# Joint 0, stack 2: (4 · 0.5² + 4 · 0² + 14 · 0.5²) / 16    = 0.28125
# Joint 1, each stack: 16 · 1² / 16                         = 1
PER_STACK = [[[0.3125, 1.0], [0.28125, 1.0]]]
PER_JOINT = [[0.59375, 2.0]]


def test_per_stack_is_golden(target: np.ndarray, predicted: np.ndarray):
    values = np.array(ForegroundWeightedMSE(3.0).per_stack(target, predicted))
    np.testing.assert_allclose(values, PER_STACK, rtol=1e-6)


def test_stacks_are_summed(target: np.ndarray, predicted: np.ndarray):
    values = np.array(ForegroundWeightedMSE(3.0).call(target, predicted))
    np.testing.assert_allclose(values, PER_JOINT, rtol=1e-6)


@pytest.mark.parametrize(
    ("weights", "loss"),
    [
        (None, (0.59375 + 2.0) / 2),
        ([[1.0, 1.0]], (0.59375 + 2.0) / 2),
        ([[1.0, 0.0]], 0.59375 / 2),  # divided by all joints, so that people count by their labels
        ([[0.0, 1.0]], 2.0 / 2),
        ([[0.0, 0.0]], 0.0),
    ],
)
def test_the_mask_leaves_joints_out(
    target: np.ndarray, predicted: np.ndarray, weights: list[list[float]] | None, loss: float
):
    sample_weight = None if weights is None else np.array(weights, np.float32)
    value = ForegroundWeightedMSE(3.0)(target, predicted, sample_weight=sample_weight)
    assert float(value) == pytest.approx(loss, rel=1e-6)


@pytest.mark.parametrize(("value", "weight"), [(0.0111, 1.0), (0.0112, 82.0)])
def test_foreground_begins_above_exp_of_minus_4_5(value: float, weight: float):
    target = np.full((1, 4, 4, 1), value, np.float32)
    loss = ForegroundWeightedMSE()(target, np.zeros((1, 1, 4, 4, 1), np.float32))
    assert float(loss) == pytest.approx(weight * value**2, rel=1e-5)


def test_the_default_weight_makes_one_pixel_of_sixteen_count_82_times():
    target = np.zeros((1, 4, 4, 1), np.float32)
    target[0, 2, 3, 0] = 1.0
    loss = ForegroundWeightedMSE()(target, np.zeros((1, 1, 4, 4, 1), np.float32))
    assert float(loss) == pytest.approx(82 / 16)


def test_a_foreground_weight_of_0_is_the_plain_squared_error():
    rng = np.random.default_rng(0)
    target = rng.random((3, 8, 8, 2)).astype(np.float32)
    predicted = rng.random((3, 1, 8, 8, 2)).astype(np.float32)
    loss = float(ForegroundWeightedMSE(0.0)(target, predicted))
    assert loss == pytest.approx(np.mean((predicted[:, 0] - target) ** 2), rel=1e-5)


# SoftIoU is 1 - (overlap + 1) / (squares - overlap + 1), squares being those of both maps.
# Joint 0, stack 1: overlap 0, squares 1 + 0.25                           1 - 1 / 2.25
# Joint 0, stack 2: overlap 0.5 + 0.25, squares 1.25 + 16 · 0.25          1 - 1.75 / 5.5
# Joint 1, each stack: overlap 0, squares 16                              1 - 1 / 17
IOU_PER_STACK = [[[0.5555556, 0.9411765], [0.6818182, 0.9411765]]]


def test_soft_iou_per_stack_is_golden(target: np.ndarray, predicted: np.ndarray):
    values = np.array(SoftIoU().per_stack(target, predicted))
    np.testing.assert_allclose(values, IOU_PER_STACK, rtol=1e-6)


def test_soft_iou_sums_stacks_and_masks_joints(target: np.ndarray, predicted: np.ndarray):
    mask = np.array([[1.0, 0.0]], np.float32)
    value = SoftIoU()(target, predicted, sample_weight=mask)
    assert float(value) == pytest.approx((0.5555556 + 0.6818182) / 2, rel=1e-6)


def test_soft_iou_of_an_empty_target_has_a_gradient():
    target = np.zeros((1, 4, 4, 1), np.float32)
    costs = [
        float(SoftIoU()(target, np.full((1, 1, 4, 4, 1), level, np.float32)))
        for level in (0.0, 0.01, 0.1, 0.5)
    ]
    assert costs == sorted(set(costs))


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.1, 2.0])
def test_only_the_target_itself_has_no_soft_iou_loss(target: np.ndarray, factor: float):
    loss = SoftIoU()
    assert float(loss(target, factor * target[:, None])) > 1e-3
    assert float(loss(target, target[:, None])) == 0


@pytest.mark.parametrize("loss", [ForegroundWeightedMSE(), SoftIoU()])
def test_a_perfect_prediction_costs_nothing(loss: HeatmapLoss, target: np.ndarray):
    predicted = np.stack([target, target, target], axis=1)
    assert float(loss(target, predicted)) == 0


@pytest.mark.parametrize("copies", [2, 5])
@pytest.mark.parametrize("loss", [ForegroundWeightedMSE(3.0), SoftIoU()])
def test_the_batch_size_does_not_change_the_loss(
    loss: HeatmapLoss, target: np.ndarray, predicted: np.ndarray, copies: int
):
    mask = np.array([[1.0, 0.0]], np.float32)
    many = loss(
        target.repeat(copies, 0), predicted.repeat(copies, 0), sample_weight=mask.repeat(copies, 0)
    )
    one = loss(target, predicted, sample_weight=mask)
    assert float(many) == pytest.approx(float(one), rel=1e-5)


def test_keras_gives_the_same_loss(target: np.ndarray, predicted: np.ndarray):
    inputs = keras.Input((2, 4, 4, 2))
    model = keras.Model(inputs, keras.layers.Identity()(inputs))
    model.compile(loss=ForegroundWeightedMSE(3.0))
    mask = np.array([[1.0, 0.0]], np.float32)
    value = model.evaluate(predicted, target, sample_weight=mask, verbose=0)
    assert value == pytest.approx(0.59375 / 2, rel=1e-6)


def test_soft_iou_comes_back_from_its_configuration():
    saved = keras.saving.serialize_keras_object(SoftIoU(name="area"))
    loss = keras.saving.deserialize_keras_object(saved)
    assert isinstance(loss, SoftIoU)
    assert loss.name == "area"


def test_the_foreground_weight_comes_back_from_the_configuration():
    saved = keras.saving.serialize_keras_object(ForegroundWeightedMSE(7.5, name="wave"))
    loss = keras.saving.deserialize_keras_object(saved)
    assert isinstance(loss, ForegroundWeightedMSE)
    assert (loss.foreground_weight, loss.name) == (7.5, "wave")
