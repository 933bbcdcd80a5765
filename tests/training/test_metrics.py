"""What training watches agrees with the numbers of record."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from hourglass.core.decoding import decode_heatmaps
from hourglass.networks.decoding import decode_on_device
from hourglass.networks.losses import ForegroundWeightedMSE, HeatmapLoss, SoftIoU
from hourglass.training.metrics import StackLoss, validation_model


def assert_decoded_alike(heatmaps: np.ndarray) -> None:
    decoded = keras.ops.convert_to_numpy(decode_on_device(keras.ops.convert_to_tensor(heatmaps)))
    points, scores = decode_heatmaps(heatmaps, refine="quarter")
    np.testing.assert_array_equal(decoded[..., :2], points)
    np.testing.assert_array_equal(decoded[..., 2], scores)
    assert decoded.dtype == np.float32


@pytest.mark.parametrize("shape", [(64, 5, 5, 16), (64, 3, 3, 4), (32, 7, 12, 3), (4, 64, 64, 16)])
def test_decoding_on_the_device_is_decode_heatmaps_on_any_map(shape: tuple[int, ...]):
    heatmaps = np.random.default_rng(shape[1]).uniform(0.01, 1, shape).astype(np.float32)
    _, height, width, _ = shape
    peaks = decode_heatmaps(heatmaps, refine="none")[0].reshape(-1, 2)
    if height < 20:
        assert {tuple(peak) for peak in peaks} >= {(0, 0), (width - 1, height - 1)}
    assert_decoded_alike(heatmaps)


def test_decoding_on_the_device_is_decode_heatmaps_with_values_below_0():
    heatmaps = np.random.default_rng(0).normal(0, 0.7, (32, 8, 9, 16)).astype(np.float32)
    assert_decoded_alike(heatmaps)


def test_decoding_on_the_device_finds_joints_at_the_borders():
    edges = np.array([-0.45, 0.3, 3.1, 6.8, 7.45])
    x, y = (grid.ravel()[:, None] for grid in np.meshgrid(edges, edges))
    along_x, along_y = (np.exp(-0.5 * (np.arange(8) - center[..., None]) ** 2) for center in (x, y))
    heatmaps = np.einsum("bjy,bjx->byxj", along_y, along_x).astype(np.float32)
    decoded = keras.ops.convert_to_numpy(decode_on_device(heatmaps))[..., :2]
    assert np.abs(decoded - np.stack([x, y], axis=-1)).max() <= 0.25
    assert_decoded_alike(heatmaps)


@pytest.mark.parametrize("shape", [(8, 48, 48, 16), (32, 9, 12, 4), (64, 3, 5, 3)])
def test_decoding_on_the_device_fits_gaussians_as_decode_heatmaps(shape: tuple[int, ...]):
    batch, height, width, joints = shape
    rng = np.random.default_rng(height)
    x, y = (rng.uniform(-0.4, side - 0.6, (batch, joints, 1)) for side in (width, height))
    along_x = np.exp(-0.5 * ((np.arange(width) - x) / 1.3) ** 2)
    along_y = np.exp(-0.5 * ((np.arange(height) - y) / 1.3) ** 2)
    heatmaps = np.einsum("bjy,bjx->byxj", along_y, along_x)
    heatmaps = (heatmaps + rng.uniform(0, 0.05, heatmaps.shape)).astype(np.float32)
    decoded = keras.ops.convert_to_numpy(decode_on_device(heatmaps, refine="dark"))
    points, scores = decode_heatmaps(heatmaps, refine="dark")
    np.testing.assert_allclose(decoded[..., :2], points, atol=2e-3)
    np.testing.assert_array_equal(decoded[..., 2], scores)
    quarter = decode_heatmaps(heatmaps, refine="quarter")[0]
    assert np.abs(quarter - points).max() > 0.1, "the ways of refining differ"


def test_decoding_on_the_device_can_keep_the_peaks_pixel():
    heatmaps = np.random.default_rng(0).random((4, 8, 9, 3)).astype(np.float32)
    decoded = keras.ops.convert_to_numpy(decode_on_device(heatmaps, refine="none"))
    np.testing.assert_array_equal(decoded[..., :2], decode_heatmaps(heatmaps, refine="none")[0])


@pytest.fixture
def batches() -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Two batches of targets (3, 6, 6, 4), predictions with two stacks, and weights."""
    rng = np.random.default_rng(1)
    return [
        (
            rng.random((3, 6, 6, 4)).astype(np.float32),
            rng.random((3, 2, 6, 6, 4)).astype(np.float32),
            (rng.random((3, 4)) < 0.6).astype(np.float32),
        )
        for _ in range(2)
    ]


@pytest.mark.parametrize("loss", [ForegroundWeightedMSE(3.0), SoftIoU()])
def test_the_stacks_losses_sum_to_the_total(
    loss: HeatmapLoss, batches: list[tuple[np.ndarray, np.ndarray, np.ndarray]]
):
    metrics = [StackLoss(loss, stack) for stack in range(2)]
    totals = []
    for target, predicted, weights in batches:
        totals.append(float(loss(target, predicted, sample_weight=weights)))
        for metric in metrics:
            metric.update_state(target, predicted, sample_weight=weights)
    each = [float(metric.result()) for metric in metrics]
    assert sum(each) == pytest.approx(np.mean(totals), rel=1e-5)
    assert each[0] != pytest.approx(each[1], rel=1e-3)


@pytest.mark.parametrize("stack", [0, 1])
def test_a_stacks_loss_is_that_of_a_network_with_no_other_stack(
    batches: list[tuple[np.ndarray, np.ndarray, np.ndarray]], stack: int
):
    target, predicted, weights = batches[0]
    loss = ForegroundWeightedMSE()
    metric = StackLoss(loss, stack)
    metric.update_state(target, predicted, sample_weight=weights)
    alone = loss(target, predicted[:, stack : stack + 1], sample_weight=weights)
    assert float(metric.result()) == pytest.approx(float(alone), rel=1e-5)


def test_a_stacks_loss_needs_no_weights(
    batches: list[tuple[np.ndarray, np.ndarray, np.ndarray]],
):
    target, predicted, _ = batches[0]
    loss = ForegroundWeightedMSE()
    metric = StackLoss(loss, 1)
    metric.update_state(target, predicted)
    assert float(metric.result()) == pytest.approx(float(loss(target, predicted[:, 1:])), rel=1e-5)


def test_a_stacks_loss_starts_again_when_reset(
    batches: list[tuple[np.ndarray, np.ndarray, np.ndarray]],
):
    metric = StackLoss(ForegroundWeightedMSE(), 0)
    metric.update_state(batches[0][0], batches[0][1])
    metric.reset_state()
    metric.update_state(batches[1][0], batches[1][1])
    fresh = StackLoss(ForegroundWeightedMSE(), 0)
    fresh.update_state(batches[1][0], batches[1][1])
    assert float(metric.result()) == pytest.approx(float(fresh.result()))


@pytest.mark.parametrize(("stack", "name"), [(0, "loss_stack_1"), (3, "loss_stack_4")])
def test_stacks_are_counted_from_1_in_names(stack: int, name: str):
    assert StackLoss(ForegroundWeightedMSE(), stack).name == name


@pytest.fixture(scope="module")
def network() -> keras.Model:
    """Two stacks of 8×8 heatmaps that can be computed by hand: the picture, and its negative."""
    images = keras.Input((8, 8, 3), dtype="uint8")
    heatmaps = keras.layers.Rescaling(1 / 255)(images)
    heatmaps = keras.layers.BatchNormalization(epsilon=0.0, name="norm")(heatmaps)
    return keras.Model(images, keras.ops.stack([heatmaps, 1.0 - heatmaps], axis=1))


@pytest.fixture(scope="module")
def model(network: keras.Model) -> keras.Model:
    return validation_model(network, ForegroundWeightedMSE(3.0))


@pytest.fixture(scope="module")
def inputs() -> tuple[np.ndarray, np.ndarray]:
    """Five pictures and their targets."""
    rng = np.random.default_rng(2)
    return (
        rng.integers(0, 256, (5, 8, 8, 3), np.uint8),
        rng.random((5, 8, 8, 3)).astype(np.float32),
    )


@pytest.fixture(scope="module")
def heatmaps(inputs: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """What the network gives in inference, (5, 2, 8, 8, 3)."""
    first = inputs[0].astype(np.float32) / 255
    return np.stack([first, 1 - first], axis=1)


@pytest.fixture(scope="module")
def outputs(model: keras.Model, inputs: tuple[np.ndarray, np.ndarray]) -> dict[str, np.ndarray]:
    return model.predict(list(inputs), batch_size=2, verbose=0)


def test_validation_gives_small_arrays(outputs: dict[str, np.ndarray]):
    assert {name: array.shape for name, array in outputs.items()} == {
        "joints": (5, 3, 3),
        "losses": (5, 2, 3),
    }


def test_validation_decodes_the_last_stack(outputs: dict[str, np.ndarray], heatmaps: np.ndarray):
    last, first = (decode_heatmaps(heatmaps[:, stack]) for stack in (1, 0))
    np.testing.assert_array_equal(outputs["joints"][..., :2], last[0])
    np.testing.assert_allclose(outputs["joints"][..., 2], last[1], rtol=1e-5, atol=1e-7)
    assert np.abs(last[0] - first[0]).max() > 0, "the stacks differ"


def test_validation_decodes_as_it_is_told(
    network: keras.Model, inputs: tuple[np.ndarray, np.ndarray], heatmaps: np.ndarray
):
    model = validation_model(network, ForegroundWeightedMSE(3.0), refine="dark")
    joints = model.predict(list(inputs), verbose=0)["joints"]
    expected, _ = decode_heatmaps(heatmaps[:, 1], refine="dark")
    np.testing.assert_allclose(joints[..., :2], expected, atol=2e-3)


def test_validation_gives_every_persons_joints_and_stacks_loss(
    outputs: dict[str, np.ndarray],
    heatmaps: np.ndarray,
    inputs: tuple[np.ndarray, np.ndarray],
):
    expected = ForegroundWeightedMSE(3.0).per_stack(inputs[1], heatmaps)
    np.testing.assert_allclose(outputs["losses"], expected, rtol=1e-4)


def test_validation_losses_average_to_the_total(
    outputs: dict[str, np.ndarray],
    heatmaps: np.ndarray,
    inputs: tuple[np.ndarray, np.ndarray],
):
    weights = (np.arange(15).reshape(5, 3) % 4 > 0).astype(np.float32)
    total = ForegroundWeightedMSE(3.0)(inputs[1], heatmaps, sample_weight=weights)
    from_parts = (outputs["losses"].sum(axis=1) * weights).mean()
    assert from_parts == pytest.approx(float(total), rel=1e-4)


def test_validation_follows_the_networks_weights(
    network: keras.Model,
    model: keras.Model,
    inputs: tuple[np.ndarray, np.ndarray],
    outputs: dict[str, np.ndarray],
):
    gamma = network.get_layer("norm").gamma
    gamma.assign(0.5 * keras.ops.ones(3))
    try:
        joints = model(list(inputs))["joints"].numpy()
    finally:
        gamma.assign(keras.ops.ones(3))
    expected = 1 - (1 - outputs["joints"][..., 2]) / 2
    np.testing.assert_allclose(joints[..., 2], expected, rtol=1e-5)


def test_validation_uses_and_keeps_the_moving_statistics(
    network: keras.Model,
    model: keras.Model,
    inputs: tuple[np.ndarray, np.ndarray],
    outputs: dict[str, np.ndarray],
):
    alone = model.predict([part[:1] for part in inputs], verbose=0)
    for name in ("joints", "losses"):
        np.testing.assert_allclose(alone[name], outputs[name][:1], rtol=1e-5)
    norm = network.get_layer("norm")
    assert norm.moving_mean.numpy().tolist() == [0, 0, 0]
    assert norm.moving_variance.numpy().tolist() == [1, 1, 1]
