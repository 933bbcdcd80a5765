"""Presets: their shapes, and that files bring them back unchanged."""

from __future__ import annotations

import pytest

from hourglass.core.config import NetworkConfig
from hourglass.core.config_text import from_json, to_json
from hourglass.core.presets import PRESETS, preset


@pytest.mark.parametrize(("name", "stacks"), [("hg1", 1), ("hg2", 2), ("hg4", 4), ("hg8", 8)])
def test_the_papers_presets_have_the_papers_shape(name: str, stacks: int):
    assert preset(name).network == NetworkConfig(
        stacks=stacks, channels=256, depth=4, input_size=256, joints=16
    )


@pytest.mark.parametrize(("name", "cells"), [("small", 32), ("tiny", 24)])
def test_smaller_presets_have_smaller_heatmaps(name: str, cells: int):
    assert preset(name).network.heatmap_size == cells


def test_presets_for_phones_have_a_pretrained_encoder():
    stages = {
        name: config.network.encoder_stages
        for name, config in PRESETS.items()
        if config.network.encoder == "lite0"
    }
    assert stages == {"lite": 7, "nano": 5, "pico": 4}


def test_an_unknown_preset_lists_the_known_ones():
    with pytest.raises(
        ValueError, match=rf"no preset is called 'hg3'; there are {', '.join(PRESETS)}$"
    ):
        preset("hg3")


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_comes_back_from_json_unchanged(name: str):
    assert from_json(to_json(PRESETS[name]), where="here") == PRESETS[name]
