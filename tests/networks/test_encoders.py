"""The encoders: the original's size and features, and weights that go into a file and back."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from hourglass.networks import encoders
from hourglass.networks.encoders import (
    RESCALING,
    STRIDES,
    Scaling,
    blocks_of,
    efficientnet_lite,
    encoder_layers,
    encoder_variant,
    fill_encoder,
    imagenet_path,
    load_imagenet,
    save_imagenet,
)

SHAPES = {
    "lite0": [(64, 64, 24), (32, 32, 40), (16, 16, 112), (8, 8, 320)],
    "lite1": [(64, 64, 24), (32, 32, 40), (16, 16, 112), (8, 8, 320)],
    "lite2": [(64, 64, 24), (32, 32, 48), (16, 16, 120), (8, 8, 352)],
}

GOLDEN = {
    4: ((8, 8), [-4.7517, 19.1533, -3.3063, 1.5430], 7.15010),
    8: ((4, 4), [-2.9911, -6.1701, -2.5829, -11.8173], 6.70300),
    16: ((2, 2), [5.1856, 4.9354, 6.3311, -3.0697], 4.51367),
    32: ((1, 1), [3.4555, -2.1375, 1.4397, -4.7276], 2.24817),
}
"""Of the original PyTorch network, its weights rounded to float16, on `make_picture()`: at each
stride a cell, its first 4 features, and the mean size of all features."""


def build(variant: str = "lite0", size: int | None = 64, **options: object) -> keras.Model:
    images = keras.Input((size, size, 3))
    return keras.Model(images, efficientnet_lite(images, variant, **options))


def make_picture() -> np.ndarray:
    """(1, 64, 64, 3) float: a ramp along each axis and waves, rescaled."""
    y, x = np.mgrid[:64, :64].astype(np.float64)
    waves = 128 + 100 * np.sin(x / 5) * np.cos(y / 7)
    pixels = np.stack([4 * x, 4 * y, waves], axis=-1)[None].round()
    return ((pixels - 127) / 128).astype(np.float32)


def values_of(model: keras.Model) -> dict[str, np.ndarray]:
    return {
        f"{layer.name}/{weight.name}": keras.ops.convert_to_numpy(weight.value)
        for layer in model.layers
        for weight in layer.weights
    }


@pytest.fixture
def nano(monkeypatch: pytest.MonkeyPatch) -> str:
    """A variant with everything in it, so small that it is built at once."""
    monkeypatch.setitem(encoders.VARIANTS, "nano", Scaling(0.2, 0.5))
    return "nano"


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


# ---------------------------------------------------------------------------------- structure


@pytest.mark.parametrize(
    ("variant", "trainable", "statistics"),
    [("lite0", 2_958_848, 39_456), ("lite1", 3_723_520, 51_104), ("lite2", 4_357_952, 55_536)],
)
def test_a_variant_has_the_originals_features(variant: str, trainable: int, statistics: int):
    model = build(variant, 256)
    counts = [
        sum(int(np.prod(weight.shape)) for weight in weights)
        for weights in (model.trainable_weights, model.non_trainable_weights)
    ]
    assert counts == [trainable, statistics]
    assert model.output_shape == [(None, *shape) for shape in SHAPES[variant]]


@pytest.mark.parametrize(
    ("variant", "repeats", "channels"),
    [
        ("lite0", [1, 2, 2, 3, 3, 4, 1], [16, 24, 40, 80, 112, 192, 320]),
        ("lite1", [1, 3, 3, 4, 4, 5, 1], [16, 24, 40, 80, 112, 192, 320]),
        ("lite2", [1, 3, 3, 4, 4, 5, 1], [16, 24, 48, 88, 120, 208, 352]),
    ],
)
def test_stages_grow_by_the_papers_rules(variant: str, repeats: list[int], channels: list[int]):
    stages = [
        [block for block in blocks_of(variant) if f"_stage{number}_" in block.name]
        for number in range(1, 8)
    ]
    assert [len(stage) for stage in stages] == repeats
    assert [{block.channels for block in stage} for stage in stages] == [{c} for c in channels]
    assert [stage[0].stride for stage in stages] == [1, 2, 2, 2, 1, 2, 1]
    assert {block.stride for stage in stages for block in stage[1:]} == {1}


@pytest.mark.parametrize(
    ("stages", "shapes"), [(5, [24, 40, 112]), (4, [24, 40, 80]), (6, [24, 40, 112, 192])]
)
def test_an_encoder_may_end_early(stages: int, shapes: list[int]):
    images = keras.Input((32, 32, 3))
    features = efficientnet_lite(images, stages=stages)
    assert [feature.shape[-1] for feature in features] == shapes
    assert [feature.shape[1] for feature in features] == [8, 4, 2, 1][: len(shapes)]


def test_a_width_never_loses_more_than_a_tenth():
    # 0.5 * 24 = 12 is nearer to 16 by the rule of rounding half up; 0.45 * 24 = 10.8 would fall to
    # 8, which is a quarter less.
    stage = encoders.STAGES[1]
    assert encoders._channels(stage, 0.5) == 16
    assert encoders._channels(stage, 0.45) == 16
    assert encoders._channels(stage, 0.1) == 8


def test_layers_have_names_of_their_own(nano: str):
    model = build(nano)
    names = [layer.name for layer in encoder_layers(model)]
    assert len(names) == len(set(names)) == len(model.layers) - 1  # all but the input
    assert names[:3] == ["nano_stem_conv", "nano_stem_norm", "nano_stem_relu"]
    assert "nano_stage1_block1_expand_conv" not in names
    parts = [
        f"{part}_{kind}"
        for part, kinds in (
            ("expand", ("conv", "norm", "relu")),
            ("depthwise", ("conv", "norm", "relu")),
            ("project", ("conv", "norm")),
        )
        for kind in kinds
    ]
    block = [name for name in names if name.startswith("nano_stage6_block2_")]
    assert sorted(block) == sorted(f"nano_stage6_block2_{part}" for part in [*parts, "add"])


def test_layers_are_what_devices_compute_well(nano: str):
    model = build(nano)
    kinds = {type(layer).__name__ for layer in encoder_layers(model)}
    assert kinds == {"Conv2D", "DepthwiseConv2D", "BatchNormalization", "ReLU", "Add"}
    assert {layer.max_value for layer in model.layers if type(layer).__name__ == "ReLU"} == {6.0}
    norms = [layer for layer in model.layers if type(layer).__name__ == "BatchNormalization"]
    assert {(layer.epsilon, layer.momentum) for layer in norms} == {(1e-3, 0.99)}
    convs = [layer for layer in model.layers if "Conv2D" in type(layer).__name__]
    assert not any(layer.use_bias for layer in convs)


def test_a_block_keeps_its_input_where_the_shape_stays():
    added = {layer.name for layer in build().layers if isinstance(layer, keras.layers.Add)}
    later = {f"{block.name}_add" for block in blocks_of("lite0") if "block1" not in block.name}
    assert added == later


@pytest.mark.parametrize(("size", "sides"), [(96, [24, 12, 6, 3]), (97, [25, 13, 7, 4])])
def test_sides_round_up(nano: str, size: int, sides: list[int]):
    features = build(nano, None)(np.zeros((2, size, size, 3), np.float32))
    assert [tuple(feature.shape[:3]) for feature in features] == [(2, side, side) for side in sides]


def test_strided_convolutions_pad_below_and_right(nano: str):
    """On even sides, so that a kernel's first weight lies on the first pixel of each pair."""
    model = build(nano)
    stem = keras.Model(model.input, model.get_layer("nano_stem_conv").output)
    kernel = np.zeros(model.get_layer("nano_stem_conv").kernel.shape, np.float32)
    kernel[0, 0, 0, 0] = 1
    model.get_layer("nano_stem_conv").kernel.assign(kernel)
    picture = make_picture()
    found = keras.ops.convert_to_numpy(stem(picture))
    np.testing.assert_array_equal(found[0, :, :, 0], picture[0, ::2, ::2, 0])


def test_an_unknown_variant_is_refused():
    with pytest.raises(ValueError, match="no encoder is called 'lite7'; there are lite0, lite1"):
        build("lite7")


# -------------------------------------------------------------------------- options, first weights


@pytest.mark.parametrize("another", [0, 2, 2**31 - 1])
def test_the_seed_decides_the_weights(nano: str, another: int):
    first, same, other = (values_of(build(nano, seed=seed)) for seed in (1, 1, another))
    for name, value in first.items():
        np.testing.assert_array_equal(value, same[name])
    kernels = [name for name in first if name.endswith("/kernel")]
    assert all(np.abs(first[name] - other[name]).max() > 0 for name in kernels)
    assert len({float(first[name].ravel()[0]) for name in kernels}) == len(kernels)


def test_first_weights_keep_the_features_size():
    features = build()(make_picture() / make_picture().std(), training=True)
    assert all(0.3 < float(keras.ops.std(feature)) < 4 for feature in features)


def test_the_precision_is_the_layers_alone(nano: str):
    model = build(nano, precision="mixed_bfloat16")
    assert {feature.dtype for feature in model.outputs} == {"bfloat16"}
    assert {weight.dtype for weight in model.weights} == {"float32"}
    assert keras.config.dtype_policy().name == "float32"


def test_statistics_are_shared_on_demand(nano: str):
    for synchronized in (False, True):
        layers = encoder_layers(build(nano, synchronized=synchronized))
        norms = [layer for layer in layers if type(layer).__name__ == "BatchNormalization"]
        assert {layer.synchronized for layer in norms} == {synchronized}


def test_frozen_statistics_are_used_and_kept_in_training(nano: str):
    picture = make_picture()
    for frozen in (True, False):
        model = build(nano, frozen_statistics=frozen)
        before, plain = values_of(model), model(picture)[-1]
        trained = model(picture, training=True)[-1]
        assert np.array_equal(trained, plain) == frozen
        moved = {name for name, value in values_of(model).items() if (value != before[name]).any()}
        assert bool(moved) != frozen
        kinds = {weight.name for weight in model.trainable_weights}
        assert kinds == ({"kernel"} if frozen else {"kernel", "gamma", "beta"})


def test_pixels_are_rescaled_as_in_the_pretraining():
    pixels = np.array([0, 127, 255], np.float32).reshape(1, 1, 3, 1)
    rescaled = keras.layers.Rescaling(**RESCALING)(pixels)
    np.testing.assert_allclose(np.ravel(rescaled), [-127 / 128, 0, 1], atol=1e-7)


# ---------------------------------------------------------------------------- the weights' file


def test_weights_go_into_a_file_and_back(nano: str, stored: Path):
    before, model = values_of(build(nano, seed=1)), build(nano, seed=2)
    load_imagenet(model, stored)
    for name, value in values_of(model).items():
        np.testing.assert_array_equal(value, before[name].astype(np.float16).astype(np.float32))


def test_a_file_holds_float16_under_the_layers_names(nano: str, stored: Path):
    with np.load(stored, allow_pickle=False) as file:
        assert str(file["variant"]) == nano
        arrays = {name: file[name] for name in file.files if name != "variant"}
    assert arrays.keys() == values_of(build(nano)).keys()
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
    before = values_of(model)
    load_imagenet(model, stored)
    after = values_of(model)
    changed = {name for name in after if not np.array_equal(after[name], before[name])}
    assert encoder_variant(model) == nano
    assert not {"joints/kernel", "joints/bias"} & changed
    assert {name for name in after if name.endswith("_conv/kernel")} == changed


def test_a_model_may_end_above_stride_32(nano: str, stored: Path):
    images = keras.Input((64, 64, 3))
    model = keras.Model(images, efficientnet_lite(images, nano, seed=2)[0])
    load_imagenet(model, stored)
    whole = build(nano)
    load_imagenet(whole, stored)
    np.testing.assert_array_equal(model(make_picture()), whole(make_picture())[0])


def test_any_precision_is_filled(nano: str, stored: Path):
    model = build(nano, precision="mixed_bfloat16")
    load_imagenet(model, stored)
    with np.load(stored) as file:
        expected = file["nano_stem_conv/kernel"].astype(np.float32)
    np.testing.assert_array_equal(values_of(model)["nano_stem_conv/kernel"], expected)


def test_a_missing_file_is_named_with_the_command_that_makes_it(tmp_path: Path):
    with pytest.raises(ValueError, match=r"nothing\.npz: no such file of lite0's ImageNet weights"):
        load_imagenet(build(), tmp_path / "nothing.npz")


def test_the_command_for_weights_that_are_not_shipped(nano: str):
    with pytest.raises(ValueError, match=r"tools\.convert_backbone --variant nano"):
        load_imagenet(build(nano))


def test_another_variants_file_is_refused(stored: Path):
    with pytest.raises(ValueError, match="weights of variant 'nano', the model's is 'lite0'"):
        load_imagenet(build(), stored)


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
    before = values_of(model)
    change(stored, **{"nano_stage2_block1_project_norm/beta": value})
    with pytest.raises(ValueError, match=message):
        load_imagenet(model, stored)
    for name, found in values_of(model).items():
        np.testing.assert_array_equal(found, before[name])


def test_values_beyond_float16_are_not_written(nano: str, tmp_path: Path):
    for value in (1e5, np.nan):
        model = build(nano)
        arrays = values_of(model)
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


def test_the_shipped_weights_make_the_originals_features():
    model = build()
    load_imagenet(model)
    features = dict(zip(STRIDES, model(make_picture()), strict=True))
    for stride, ((row, column), values, mean) in GOLDEN.items():
        found = keras.ops.convert_to_numpy(features[stride])
        np.testing.assert_allclose(found[0, row, column, :4], values, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(np.abs(found).mean(), mean, rtol=1e-3)
