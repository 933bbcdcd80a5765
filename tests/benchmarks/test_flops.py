"""Operations of networks: by hand, and as TensorFlow's profiler counts them."""

from __future__ import annotations

import keras
import pytest
import tensorflow as tf
from keras import layers

from benchmarks.flops import flops, training_flops
from hourglass.networks.hourglass import build_network


def convolution(
    size: tuple[int, int, int], channels: int, kernel: int, **options: object
) -> keras.Model:
    images = keras.Input(size)
    return keras.Model(images, layers.Conv2D(channels, kernel, **options)(images))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        # 8 × 6 positions, 5 outputs, 3 × 3 × 4 multiply-adds each, 2 operations per multiply-add.
        ({"padding": "same"}, 2 * 8 * 6 * 5 * 36),
        ({"padding": "same", "use_bias": False}, 2 * 8 * 6 * 5 * 36),
        ({"padding": "valid"}, 2 * 6 * 4 * 5 * 36),
        ({"padding": "same", "strides": 2}, 2 * 4 * 3 * 5 * 36),
        ({"padding": "same", "dtype": "mixed_bfloat16"}, 2 * 8 * 6 * 5 * 36),
    ],
)
def test_a_convolution_by_hand(options: dict[str, object], expected: int):
    assert flops(convolution((8, 6, 4), 5, 3, **options)) == expected


def test_groups_see_only_their_channels():
    assert flops(convolution((8, 6, 4), 6, 3, padding="same", groups=2)) == 2 * 8 * 6 * 6 * 18


def test_a_depthwise_convolution_by_hand():
    images = keras.Input((8, 6, 4))
    outputs = layers.DepthwiseConv2D(5, strides=2, depth_multiplier=3, padding="same")(images)
    assert flops(keras.Model(images, outputs)) == 2 * 4 * 3 * 12 * 25


def test_what_lies_between_convolutions_is_free():
    images = keras.Input((8, 8, 4))
    x = layers.ReLU()(layers.BatchNormalization()(images))
    x = layers.UpSampling2D()(layers.MaxPooling2D()(layers.Add()([x, images])))
    assert flops(keras.Model(images, keras.ops.stack([x, x], axis=1))) == 0


def test_a_layer_counts_as_often_as_it_is_called():
    layer = layers.Conv2D(4, 1)
    large, small = keras.Input((8, 8, 4)), keras.Input((2, 2, 4))
    outputs = [layer(layer(large)), layer(small)]
    assert flops(keras.Model([large, small], outputs)) == 2 * (64 + 64 + 4) * 4 * 4


def test_calls_outside_of_the_model_do_not_count():
    layer = layers.Conv2D(4, 1)
    images = keras.Input((8, 8, 4))
    model = keras.Model(images, layer(images))
    layer(keras.Input((16, 16, 4)))
    assert flops(model) == 2 * 64 * 4 * 4


def test_a_model_inside_counts_with_the_size_it_is_called_with():
    inner = convolution((None, None, 4), 4, 1)
    sequence = keras.Sequential([keras.Input((None, None, 4)), inner, layers.Conv2D(4, 1)])
    images = keras.Input((8, 8, 4))
    x = inner(layers.MaxPooling2D()(sequence(images)), training=False)
    assert flops(keras.Model(images, x)) == 2 * (64 + 64 + 16) * 4 * 4


def test_a_training_step_is_worth_three_passes():
    assert training_flops(convolution((8, 6, 4), 5, 3, padding="valid")) == 6 * 6 * 4 * 5 * 36


def test_counting_leaves_the_model_as_it_was():
    model = convolution((8, 8, 4), 4, 1)
    assert flops(model) == flops(model)
    assert [len(layer._inbound_nodes) for layer in model.layers] == [1, 1]


# Networks, against an independent count.


def profiled(model: keras.Model) -> int:
    """Operations of all convolutions in TensorFlow's graph of the model, by its own statistics."""
    spec = tf.TensorSpec((1, *model.input_shape[1:]), model.inputs[0].dtype)
    graph = tf.function(lambda images: model(images, training=False)).get_concrete_function(spec)
    statistics = tf.compat.v1.profiler
    options = (
        statistics.ProfileOptionBuilder(statistics.ProfileOptionBuilder.float_operation())
        .with_accounted_types(["Conv2D", "DepthwiseConv2dNative"])
        .with_empty_output()
        .build()
    )
    profile = statistics.profile(graph.graph, cmd="scope", options=options)
    return int(profile.total_float_ops)


@pytest.mark.parametrize(
    "name",
    [
        *("hg1", "hg2", "lite"),
        # More of the same stacks, whose building takes long.
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("hg4", "hg8")),
    ],
)
def test_networks_count_as_tensorflow_counts(name: str):
    network = build_network(name)
    assert flops(network) == profiled(network)


def test_a_fused_network_in_bfloat16_counts_the_same():
    plain = build_network("tiny")
    assert flops(build_network("tiny", fused=True, precision="mixed_bfloat16")) == flops(plain)


# What cannot be counted.


def test_unknown_matrices_are_refused():
    images = keras.Input((8, 8, 4))
    model = keras.Model(images, layers.Dense(3, name="head")(images))
    with pytest.raises(ValueError, match=r"layer 'head' is a Dense, .* Conv2D and Depthwise"):
        flops(model)


def test_open_sizes_are_refused():
    with pytest.raises(ValueError, match=r"has the open shape \(None, 6, 4\); its sizes must be"):
        flops(convolution((None, 6, 4), 5, 3))


def test_a_model_without_a_graph_is_refused():
    class Written(keras.Model):
        pass

    for model in (Written(name="written"), keras.Sequential(name="unbuilt")):
        with pytest.raises(ValueError, match=f"model '{model.name}' has no graph"):
            flops(model)
