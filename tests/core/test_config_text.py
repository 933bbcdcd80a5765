"""Configurations as text: files bring them back unchanged, and wrong text is told."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

import pytest

from hourglass.core.config import (
    SECTIONS,
    AugmentConfig,
    Config,
    DataConfig,
    NetworkConfig,
    TrainConfig,
)
from hourglass.core.config_text import from_json, parse_choice, to_json
from hourglass.core.presets import preset
from hourglass.core.skeleton import COCO, MPII, Skeleton

NAN = float("nan")


def test_every_changed_value_comes_back_from_json():
    config = Config(
        NetworkConfig(
            stacks=3,
            channels=12,
            depth=3,
            input_size=96,
            joints=5,
            encoder="lite1",
            encoder_stages=6,
        ),
        DataConfig(
            sigma=1.7, shuffle_buffer=3, read_shards=2, refine="dark", source_weights="mpii=2"
        ),
        AugmentConfig(
            scale=0.1,
            rotation=0.2,
            rotation_probability=0.3,
            flip_probability=0.4,
            shift=0.06,
            colour=0.6,
            cutout=0.7,
            paste=0.15,
            half_body=0.25,
            style=0.35,
            grey=0.45,
            blur=0.55,
            jpeg=0.65,
        ),
        TrainConfig(
            epochs=7,
            batch_size=8,
            learning_rate=0.1,
            schedule="plateau",
            plateau_factor=0.5,
            plateau_epochs=4,
            teacher_share=0.25,
            warmup_epochs=2.5,
            encoder_rate=0.25,
            frozen_statistics=True,
            averaging=0.9,
            loss="iou",
            foreground_weight=9.5,
            precision="float32",
            xla="on",
            seed=11,
        ),
        Skeleton("hand", tuple("abcde"), reference="torso", torso=(0, 1)),
    )
    for section in ("network", "data", "augment", "train"):
        for name, value in dataclasses.asdict(getattr(Config(), section)).items():
            if name != "architecture":  # a U-Net has neither stacks nor encoder; it comes below
                changed = getattr(getattr(config, section), name)
                assert changed != value, "the test changes every field"
    for one in (config, preset("unet"), preset("hg2").with_skeleton(COCO)):
        assert from_json(to_json(one), where="here") == one


def test_json_is_readable_text():
    lines = to_json(Config()).split("\n")
    assert lines[:3] == ["{", '  "network": {', '    "stacks": 4,']
    assert lines[-1] == ""


def changed(section: str, **values: Any) -> str:
    """The JSON text of the default configuration with other values in one section."""
    sections = json.loads(to_json(Config()))
    sections[section].update(values)
    return json.dumps(sections)


WRONG_SECTIONS = "not a configuration, its sections must be network, data, augment, train"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"not JSON \(Expecting value: line 1 column 1"),
        ('{"network": ', r"not JSON \(Expecting value: line 1 column 13"),
        ("[]", WRONG_SECTIONS),
        ("null", WRONG_SECTIONS),
        ('"network"', WRONG_SECTIONS),
        ("{}", WRONG_SECTIONS),
        ('{"network": {}, "data": {}, "augment": {}}', WRONG_SECTIONS),
        ('{"network": {}, "data": {}, "augment": {}, "train": {}, "more": {}}', WRONG_SECTIONS),
        (
            '{"network": 3, "data": {}, "augment": {}, "train": {}}',
            "must be a mapping, not int",
        ),
        (
            '{"network": [], "data": {}, "augment": {}, "train": {}}',
            "must be a mapping, not list",
        ),
        (changed("network", stack=2), "unexpected keyword argument 'stack'"),
        (changed("network", stacks="two"), r"NetworkConfig\.stacks is 'two', it must be a finite"),
        (
            changed("data", sigma=NAN),
            r"DataConfig\.sigma is nan, it must be a finite float",
        ),
        (changed("augment", rotation=270), r"AugmentConfig\.rotation is 270, it must be 0 to 180"),
        (changed("train", seed=None), r"TrainConfig\.seed is None, it must be a finite int"),
    ],
)
def test_a_wrong_file_is_named_with_its_fault(text: str, message: str):
    with pytest.raises(ValueError, match=rf"^models/best\.json: .*{message}"):
        from_json(text, where="models/best.json")


def test_a_whole_number_is_a_float_in_json():
    assert from_json(changed("data", sigma=2), where="here").data == DataConfig(sigma=2.0)


def test_a_configuration_from_before_there_were_skeletons_is_mpiis():
    sections = json.loads(to_json(Config()))
    del sections["skeleton"]
    assert from_json(json.dumps(sections), where="here") == Config()
    assert Config().skeleton == MPII


def test_a_wrong_skeleton_in_a_configuration_is_named():
    sections = json.loads(to_json(Config()))
    sections["skeleton"]["bones"] = [[0, 99]]
    with pytest.raises(ValueError, match=r"^here: skeleton: skeleton 'mpii': bones has"):
        from_json(json.dumps(sections), where="here")


# Single choices.


def test_every_choice_is_read_from_its_text():
    for section, kind in SECTIONS.items():
        for entry in dataclasses.fields(kind):
            value = getattr(kind(), entry.name)
            text = str(value).lower() if isinstance(value, bool) else str(value)
            parsed = parse_choice(f"{section}.{entry.name}", text)
            assert (parsed, type(parsed)) == (value, type(value))


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("train.epochs", "many", "train.epochs is 'many', it must be a finite int"),
        ("train.epochs", "9.5", "train.epochs is '9.5', it must be a finite int"),
        ("augment.scale", "", "augment.scale is '', it must be a finite float"),
        ("train.frozen_statistics", "1", "is '1', it must be true or false (bool)"),
        ("train.epoch", "9", "no choice is called 'train.epoch'"),
    ],
)
def test_a_text_that_is_no_value_is_told(name: str, text: str, told: str):
    with pytest.raises(ValueError, match=re.escape(told)):
        parse_choice(name, text)
