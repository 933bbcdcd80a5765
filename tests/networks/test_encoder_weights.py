"""Weights of encoders: into a file and back, what is refused, and the file that is shipped."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from hourglass.networks.encoder_weights import (
    encoder_arrays,
    fill_encoder,
    imagenet_path,
    load_imagenet,
    save_imagenet,
)
from hourglass.networks.encoders import RESCALING, STRIDES, efficientnet_lite, encoder_variant

GOLDEN = {
    4: ((8, 8), [-4.7517, 19.1533, -3.3063, 1.5430], 7.15010),
    8: ((4, 4), [-2.9911, -6.1701, -2.5829, -11.8173], 6.70300),
    16: ((2, 2), [5.1856, 4.9354, 6.3311, -3.0697], 4.51367),
    32: ((1, 1), [3.4555, -2.1375, 1.4397, -4.7276], 2.24817),
}
"""Of the original PyTorch network, its weights rounded to float16, on `picture`: at each stride a
cell, its first 4 features, and the mean size of all features."""


def build(variant: str = "lite0", **options: object) -> keras.Model:
    images = keras.Input((64, 64, 3))
    return keras.Model(images, efficientnet_lite(images, variant, **options))


@pytest.fixture
def stored(nano: str, tmp_path: Path) -> Path:
    """A file of `nano`'s weights."""
    path = tmp_path / "nano.npz"
    save_imagenet(build(nano, seed=1), path)
    return path


def change(path: Path, **changes: np.ndarray | None) -> Path:
    """The same file with entries of its own; None takes one away."""
    with np.load(path) as file:
        entries = {name: file[name] for name in file.files}
    entries.update(changes)
    np.savez(path, **{name: value for name, value in entries.items() if value is not None})
    return path


def test_weights_go_into_a_file_and_back(nano: str, stored: Path):
    before, model = encoder_arrays(build(nano, seed=1)), build(nano, seed=2)
    load_imagenet(model, stored)
    for name, value in encoder_arrays(model).items():
        np.testing.assert_array_equal(value, before[name].astype(np.float16).astype(np.float32))


def test_a_file_holds_float16_under_the_layers_names(nano: str, stored: Path):
    with np.load(stored, allow_pickle=False) as file:
        assert str(file["variant"]) == nano
        arrays = {name: file[name] for name in file.files if name != "variant"}
    assert arrays.keys() == encoder_arrays(build(nano)).keys()
    assert {value.dtype for value in arrays.values()} == {np.dtype(np.float16)}
    assert "nano_stem_norm/moving_variance" in arrays


def test_the_same_weights_make_the_same_file(nano: str, stored: Path, tmp_path: Path):
    save_imagenet(build(nano, seed=1), tmp_path / "folder" / "again.npz")
    assert (tmp_path / "folder" / "again.npz").read_bytes() == stored.read_bytes()
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["again.npz"]


def test_layers_around_the_encoder_are_left_alone(nano: str, stored: Path):
    images = keras.Input((64, 64, 3), dtype="uint8")
    pixels = keras.layers.Rescaling(**RESCALING)(images)
    deepest = efficientnet_lite(pixels, nano, seed=2)[-1]
    model = keras.Model(images, keras.layers.Conv2D(16, 1, name="joints")(deepest))
    before, around = encoder_arrays(model), model.get_layer("joints").get_weights()
    load_imagenet(model, stored)
    after = encoder_arrays(model)
    changed = {name for name in after if not np.array_equal(after[name], before[name])}
    assert encoder_variant(model) == nano
    assert changed == {name for name in after if name.endswith("_conv/kernel")}
    for value, found in zip(around, model.get_layer("joints").get_weights(), strict=True):
        np.testing.assert_array_equal(found, value)


def test_a_model_may_end_above_stride_32(nano: str, stored: Path, picture: np.ndarray):
    images = keras.Input((64, 64, 3))
    model = keras.Model(images, efficientnet_lite(images, nano, seed=2)[0])
    load_imagenet(model, stored)
    whole = build(nano)
    load_imagenet(whole, stored)
    np.testing.assert_array_equal(model(picture), whole(picture)[0])


def test_any_precision_is_filled(nano: str, stored: Path):
    model = build(nano, precision="mixed_bfloat16")
    load_imagenet(model, stored)
    with np.load(stored) as file:
        expected = file["nano_stem_conv/kernel"].astype(np.float32)
    np.testing.assert_array_equal(encoder_arrays(model)["nano_stem_conv/kernel"], expected)


def test_a_missing_file_is_named_with_the_command_that_makes_it(tmp_path: Path):
    with pytest.raises(ValueError, match=r"nothing\.npz: no such file of lite0's ImageNet weights"):
        load_imagenet(build(stages=2), tmp_path / "nothing.npz")


def test_the_command_for_weights_that_are_not_shipped(nano: str):
    with pytest.raises(ValueError, match=r"tools\.convert_backbone --variant nano"):
        load_imagenet(build(nano))


def test_another_variants_file_is_refused(stored: Path):
    with pytest.raises(ValueError, match="weights of variant 'nano', the model's is 'lite0'"):
        load_imagenet(build(stages=2), stored)


@pytest.mark.parametrize("content", [b"", b"weights", b"PK\x03\x04 and then nothing"])
def test_a_damaged_file_is_refused(nano: str, tmp_path: Path, content: bytes):
    path = tmp_path / "damaged.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"damaged\.npz: not a file of encoder weights"):
        load_imagenet(build(nano), path)


def test_a_cut_file_is_refused(nano: str, stored: Path):
    stored.write_bytes(stored.read_bytes()[:-100])
    with pytest.raises(ValueError, match="not a file of encoder weights"):
        load_imagenet(build(nano), stored)


def test_a_lone_array_and_a_file_without_a_variant_are_refused(nano: str, stored: Path):
    with pytest.raises(ValueError, match="weights of variant 'none'"):
        load_imagenet(build(nano), change(stored, variant=None))
    with stored.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(ValueError, match="not a file of encoder weights"):
        load_imagenet(build(nano), stored)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "array nano_stage2_block1_project_norm/beta is missing"),
        (np.zeros(3, np.float16), r"project_norm/beta has shape \(3,\), it must be \(8,\)"),
        (np.full(8, np.nan, np.float16), "project_norm/beta must hold finite floats only"),
        (np.zeros(8, np.int32), "project_norm/beta must hold finite floats only"),
    ],
)
def test_a_wrong_array_is_refused_before_anything_is_filled(
    nano: str, stored: Path, value: np.ndarray | None, message: str
):
    model = build(nano, seed=2)
    before = encoder_arrays(model)
    change(stored, **{"nano_stage2_block1_project_norm/beta": value})
    with pytest.raises(ValueError, match=message):
        load_imagenet(model, stored)
    for name, found in encoder_arrays(model).items():
        np.testing.assert_array_equal(found, before[name])


def test_values_beyond_float16_are_not_written(nano: str, tmp_path: Path):
    for value in (1e5, np.nan):
        model = build(nano)
        arrays = encoder_arrays(model)
        variance = np.full_like(arrays["nano_stem_norm/moving_variance"], value)
        model.get_layer("nano_stem_norm").moving_variance.assign(variance)
        with pytest.raises(ValueError, match="nano_stem_norm/moving_variance reaches"):
            save_imagenet(model, tmp_path / "far.npz")
    assert list(tmp_path.iterdir()) == []


def test_a_model_without_an_encoder_is_refused(tmp_path: Path):
    images = keras.Input((8, 8, 3))
    model = keras.Model(images, keras.layers.Conv2D(2, 1)(images), name="plain")
    for call in (
        lambda: load_imagenet(model),
        lambda: save_imagenet(model, tmp_path / "plain.npz"),
        lambda: fill_encoder(model, {}, where="here"),
    ):
        with pytest.raises(ValueError, match="model 'plain' has no encoder; allowed are lite0"):
            call()


# --------------------------------------------------------------------------- the shipped weights


def test_the_shipped_file_is_small():
    assert imagenet_path("lite0").stat().st_size < 9_000_000


def test_the_shipped_weights_make_the_originals_features(picture: np.ndarray):
    model = build()
    load_imagenet(model)
    features = dict(zip(STRIDES, model(picture), strict=True))
    for stride, ((row, column), values, mean) in GOLDEN.items():
        found = keras.ops.convert_to_numpy(features[stride])
        np.testing.assert_allclose(found[0, row, column, :4], values, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(np.abs(found).mean(), mean, rtol=1e-3)
