"""The encoders: the original's size and layers, and what their options change."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from hourglass.networks import encoders
from hourglass.networks.encoders import (
    RESCALING,
    blocks_of,
    efficientnet_lite,
    encoder_layers,
)

SHAPES = {
    "lite0": [(64, 64, 24), (32, 32, 40), (16, 16, 112), (8, 8, 320)],
    "lite1": [(64, 64, 24), (32, 32, 40), (16, 16, 112), (8, 8, 320)],
    "lite2": [(64, 64, 24), (32, 32, 48), (16, 16, 120), (8, 8, 352)],
}


def build(variant: str = "lite0", size: int | None = 64, **options: object) -> keras.Model:
    images = keras.Input((size, size, 3))
    return keras.Model(images, efficientnet_lite(images, variant, **options))


def values_of(model: keras.Model) -> dict[str, np.ndarray]:
    return {
        f"{layer.name}/{weight.name}": keras.ops.convert_to_numpy(weight.value)
        for layer in model.layers
        for weight in layer.weights
    }


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


def test_strided_convolutions_pad_below_and_right(nano: str, picture: np.ndarray):
    """On even sides, so that a kernel's first weight lies on the first pixel of each pair."""
    model = build(nano)
    stem = keras.Model(model.input, model.get_layer("nano_stem_conv").output)
    kernel = np.zeros(model.get_layer("nano_stem_conv").kernel.shape, np.float32)
    kernel[0, 0, 0, 0] = 1
    model.get_layer("nano_stem_conv").kernel.assign(kernel)
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


def test_first_weights_keep_the_features_size(picture: np.ndarray):
    features = build()(picture / picture.std(), training=True)
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


def test_frozen_statistics_are_used_and_kept_in_training(nano: str, picture: np.ndarray):
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
