"""Configurations: what they refuse, in which words, and how single choices change."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest

from hourglass.core.config import (
    AugmentConfig,
    Config,
    DataConfig,
    NetworkConfig,
    TrainConfig,
    parse_weights,
)
from hourglass.core.presets import preset
from hourglass.core.skeleton import COCO, Skeleton

INF, NAN = float("inf"), float("nan")

REFUSED = [
    (NetworkConfig, "stacks", 0, "1 or more"),
    (NetworkConfig, "stacks", -1, "1 or more"),
    (NetworkConfig, "stacks", 2.0, "a finite int"),
    (NetworkConfig, "stacks", True, "a finite int"),
    (NetworkConfig, "stacks", "2", "a finite int"),
    (NetworkConfig, "stacks", None, "a finite int"),
    (NetworkConfig, "channels", 0, "a multiple of 4"),
    (NetworkConfig, "channels", -4, "a multiple of 4"),
    (NetworkConfig, "channels", 250, "a multiple of 4"),
    (NetworkConfig, "depth", 0, "1 or more"),
    (NetworkConfig, "joints", 0, "1 or more"),
    (NetworkConfig, "input_size", 0, "a multiple of 64 (stride 4 times 2^depth)"),
    (NetworkConfig, "input_size", -64, "a multiple of 64 (stride 4 times 2^depth)"),
    (NetworkConfig, "input_size", 250, "a multiple of 64 (stride 4 times 2^depth)"),
    (NetworkConfig, "encoder", "resnet", "one of ('none', 'lite0', 'lite1', 'lite2')"),
    (DataConfig, "sigma", 0.0, "above 0 heatmap px"),
    (DataConfig, "sigma", -1.0, "above 0 heatmap px"),
    (DataConfig, "sigma", NAN, "a finite float"),
    (DataConfig, "sigma", "1", "a finite float"),
    (DataConfig, "sigma", True, "a finite float"),
    (DataConfig, "shuffle_buffer", 0, "1 record or more"),
    (DataConfig, "read_shards", 0, "1 shard or more"),
    (DataConfig, "refine", "half", "one of ('quarter', 'dark', 'none')"),
    (AugmentConfig, "rotation", -1.0, "0 to 180 degrees"),
    (AugmentConfig, "rotation", 180.5, "0 to 180 degrees"),
    (AugmentConfig, "rotation", NAN, "a finite float"),
    *(
        (AugmentConfig, name, value, "at least 0 and below 1")
        for name in ("scale", "shift", "colour", "cutout", "paste")
        for value in (-0.1, 1.0)
    ),
    *(
        (AugmentConfig, name, value, "0 to 1")
        for name in (
            *("rotation_probability", "flip_probability", "half_body"),
            *("style", "grey", "blur", "jpeg"),
        )
        for value in (-0.1, 1.1)
    ),
    *(
        (
            DataConfig,
            "source_weights",
            value,
            "SOURCE=NUMBER, with commas between several, no number below 0",
        )
        for value in ("mpii", "=2", "mpii=", "mpii=-1", "mpii=nan", "mpii=x", "a=1,a=2")
    ),
    (TrainConfig, "epochs", 0, "1 or more"),
    (TrainConfig, "batch_size", 0, "1 or more"),
    (TrainConfig, "learning_rate", 0.0, "above 0"),
    (TrainConfig, "learning_rate", INF, "a finite float"),
    (TrainConfig, "learning_rate", -INF, "a finite float"),
    (TrainConfig, "schedule", "linear", "one of ('cosine', 'plateau')"),
    (TrainConfig, "plateau_factor", 0.0, "above 0 and below 1"),
    (TrainConfig, "plateau_factor", 1.0, "above 0 and below 1"),
    (TrainConfig, "plateau_epochs", 0, "1 or more"),
    (TrainConfig, "teacher_share", 1.5, "0 to 1"),
    (NetworkConfig, "architecture", "resnet", "one of ('hourglass', 'unet')"),
    (NetworkConfig, "encoder_stages", 3, "one of (4, 5, 6, 7)"),
    (TrainConfig, "warmup_epochs", -0.5, "0 or more"),
    (TrainConfig, "encoder_rate", -0.5, "0 or more"),
    (TrainConfig, "averaging", -0.1, "at least 0 and below 1"),
    (TrainConfig, "averaging", 1.0, "at least 0 and below 1"),
    (TrainConfig, "loss", "mae", "one of ('mse', 'iou')"),
    (TrainConfig, "foreground_weight", -1.0, "0 or more"),
    (
        TrainConfig,
        "precision",
        "float16",
        "one of ('auto', 'float32', 'mixed_bfloat16', 'mixed_float16')",
    ),
    (TrainConfig, "xla", "yes", "auto, on or off"),
    (TrainConfig, "seed", -1, "0 to 2147483647"),
    (TrainConfig, "seed", 2**31, "0 to 2147483647"),
]

ALLOWED_EXTREMES = [
    (NetworkConfig, {"stacks": 1, "channels": 4, "depth": 1, "input_size": 8, "joints": 1}),
    (DataConfig, {"sigma": 1e-3, "shuffle_buffer": 1, "read_shards": 1}),
    (DataConfig, {"sigma": 2}),
    (AugmentConfig, dict.fromkeys(("scale", "rotation", "shift", "colour", "cutout"), 0)),
    (AugmentConfig, dict.fromkeys(("scale", "shift", "colour", "cutout"), 0.999)),
    (AugmentConfig, {"rotation": 180.0}),
    (AugmentConfig, {"rotation_probability": 0.0, "flip_probability": 1.0}),
    (AugmentConfig, {"rotation_probability": 1.0, "flip_probability": 0.0}),
    (TrainConfig, {"epochs": 1, "batch_size": 1, "warmup_epochs": 0.0, "foreground_weight": 0.0}),
    (TrainConfig, {"encoder_rate": 0.0, "averaging": 0.0, "frozen_statistics": True}),
    (TrainConfig, {"encoder_rate": 3.0, "averaging": 0.9999, "plateau_factor": 0.99}),
    (TrainConfig, {"seed": 2**31 - 1, "schedule": "plateau", "xla": "off", "loss": "iou"}),
]


@pytest.mark.parametrize(("owner", "name", "value", "allowed"), REFUSED)
def test_a_wrong_value_is_named_with_what_is_allowed(
    owner: type, name: str, value: Any, allowed: str
):
    message = f"{owner.__name__}.{name} is {value!r}, it must be {allowed}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        owner(**{name: value})


@pytest.mark.parametrize("value", [0, 1, 1.0, "yes", None])
def test_a_truth_must_be_a_truth(value: Any):
    with pytest.raises(
        ValueError, match=rf"^TrainConfig\.frozen_statistics is {value!r}, it must be .*\bbool\b"
    ):
        TrainConfig(frozen_statistics=value)


@pytest.mark.parametrize("name", ["schedule", "loss", "precision", "xla"])
def test_a_word_must_be_text(name: str):
    with pytest.raises(ValueError, match=rf"^TrainConfig\.{name} is 3, it must be a .*\bstr\b"):
        TrainConfig(**{name: 3})


@pytest.mark.parametrize(("owner", "values"), ALLOWED_EXTREMES)
def test_the_ends_of_a_range_are_allowed(owner: type, values: dict[str, Any]):
    config = owner(**values)
    assert {name: getattr(config, name) for name in values} == values


@pytest.mark.parametrize(("depth", "step"), [(1, 8), (3, 32), (5, 128)])
def test_the_input_size_must_fit_the_depth(depth: int, step: int):
    assert NetworkConfig(depth=depth, input_size=3 * step).input_size == 3 * step
    with pytest.raises(ValueError, match=rf"input_size is {step + 4}, .* a multiple of {step} "):
        NetworkConfig(depth=depth, input_size=step + 4)


@pytest.mark.parametrize(("depth", "input_size"), [(1, 40), (2, 48)])
def test_an_encoder_needs_an_input_that_it_can_halve(depth: int, input_size: int):
    """It halves the heatmaps' size 3 times whatever the depth of the hourglasses after it."""
    with pytest.raises(
        ValueError,
        match=rf"NetworkConfig\.input_size is {input_size}, it must be a multiple of 32",
    ):
        NetworkConfig(encoder="lite0", depth=depth, input_size=input_size)


@pytest.mark.parametrize(("input_size", "cells"), [(256, 64), (384, 96), (64, 16)])
def test_heatmaps_are_a_quarter_of_the_input(input_size: int, cells: int):
    assert NetworkConfig(input_size=input_size).heatmap_size == cells


@pytest.mark.parametrize("owner", [NetworkConfig, DataConfig, AugmentConfig, TrainConfig, Config])
def test_a_configuration_cannot_be_changed(owner: type):
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(owner(), dataclasses.fields(owner)[0].name, 1)


def test_replacing_a_value_checks_it_again():
    with pytest.raises(ValueError, match=r"TrainConfig\.epochs is -3"):
        dataclasses.replace(TrainConfig(), epochs=-3)


@pytest.mark.parametrize(
    ("changes", "allowed"),
    [({"stacks": 2}, "stacks is 2, it must be 1"), ({"encoder": "lite0"}, "encoder is 'lite0'")],
)
def test_a_unet_is_one_stack_without_an_encoder(changes: dict[str, Any], allowed: str):
    with pytest.raises(ValueError, match=allowed):
        NetworkConfig(**{"architecture": "unet", "stacks": 1, **changes})


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("", {}),
        ("teachers=0.5", {"teachers": 0.5}),
        ("mpii=2, a=b=0,", {"mpii": 2.0, "a=b": 0.0}),
    ],
)
def test_weights_of_sources_are_read(text: str, weights: dict[str, float]):
    assert parse_weights(DataConfig(source_weights=text).source_weights) == weights


# The skeleton.


def test_another_skeleton_changes_the_number_of_heatmaps():
    config = preset("hg2").with_skeleton(COCO)
    assert (config.network.joints, config.skeleton) == (17, COCO)
    assert config.augment.flip_probability == 0.5


def test_without_mirror_pairs_nothing_is_flipped():
    corners = Skeleton.of_names("door", ("1", "2", "3", "4"))
    assert preset("hg2").with_skeleton(corners).augment.flip_probability == 0


def test_heatmaps_must_be_as_many_as_joints():
    with pytest.raises(ValueError, match=r"joints is 16, it must be 17: skeleton 'coco' has"):
        Config(skeleton=COCO)


def test_one_choice_is_replaced():
    config = preset("lite").replace("train.epochs", 9).replace("augment.rotation", 20)
    assert (config.train.epochs, config.augment.rotation) == (9, 20)
    lite = preset("lite")
    config = config.replace("train.epochs", lite.train.epochs)
    config = config.replace("augment.rotation", lite.augment.rotation)
    assert config == lite
    assert config.replace("skeleton", COCO) == config.with_skeleton(COCO)


def test_choices_that_only_fit_together_are_judged_together():
    config = preset("hg2").with_choices({"network.depth": 5, "network.input_size": 384})
    assert (config.network.depth, config.network.input_size) == (5, 384)
    with pytest.raises(ValueError, match=r"NetworkConfig.input_size is 320"):
        preset("hg2").with_choices({"network.depth": 5, "network.input_size": 320})
    assert preset("hg2").with_choices({}) == preset("hg2")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("train.epochs", 0, "TrainConfig.epochs is 0, it must be 1 or more"),
        ("train.epochs", "9", "TrainConfig.epochs is '9', it must be a finite int"),
        ("network.joints", 4, "NetworkConfig.joints is 4, it must be 16: skeleton 'mpii'"),
        ("skeleton", "coco", "skeleton is 'coco', it must be a Skeleton"),
        ("epochs", 9, "no choice is called 'epochs'; sections are network, data, augment, train"),
        ("train", 9, "no choice is called 'train'; train has epochs, batch_size, "),
        ("train.epoch", 9, "no choice is called 'train.epoch'; train has epochs, batch_size, "),
        ("skeleton.name", "x", "no choice is called 'skeleton.name'; sections are network, "),
    ],
)
def test_a_choice_that_cannot_be_is_told(name: str, value: object, told: str):
    with pytest.raises(ValueError, match=re.escape(told)):
        Config().replace(name, value)
