"""Which layers of an int8 file stay in float32."""

from __future__ import annotations

import pytest

from hourglass.exporting.quantization import names_at_the_ends
from hourglass.inference.estimator import SHIPPED_LITERT


def test_the_first_three_convolutions_and_the_last_are_named():
    *others, stem, depthwise, project, last = names_at_the_ends(SHIPPED_LITERT.read_bytes())
    assert "lite0_stem_conv" in stem
    assert "lite0_stage1_block1_depthwise" in depthwise
    assert "lite0_stage1_block1_project_conv" in project
    assert last == "PartitionedCall:0"
    assert any("rescaling" in name for name in others)


def test_a_network_of_ends_alone_is_quantised_whole(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("hourglass.exporting.quantization.FIRST", 67)
    assert names_at_the_ends(SHIPPED_LITERT.read_bytes())
    monkeypatch.setattr("hourglass.exporting.quantization.FIRST", 68)
    assert names_at_the_ends(SHIPPED_LITERT.read_bytes()) == []
