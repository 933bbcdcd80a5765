"""Which choices a training has that is begun or resumed."""

from __future__ import annotations

from pathlib import Path

import pytest

from hourglass.core.config_text import FILE, to_json
from hourglass.core.presets import preset
from hourglass.core.skeleton import COCO
from hourglass.training.choices import chosen_config


def test_a_run_on_another_skeleton_goes_on_with_its_preset_named(tmp_path: Path):
    config = preset("hg2").with_skeleton(COCO)
    (tmp_path / FILE).write_text(to_json(config))
    assert chosen_config("hg2", tmp_path, True, {}) == config
    with pytest.raises(ValueError, match="the run's network is not that of --preset hg4"):
        chosen_config("hg4", tmp_path, True, {})


def test_a_run_without_a_teacher_gets_none_when_it_goes_on(tmp_path: Path):
    (tmp_path / FILE).write_text(to_json(preset("hg1")))
    problem = rf"^{tmp_path}/{FILE}: the run has no teacher and goes on without --teacher t\.keras$"
    with pytest.raises(ValueError, match=problem):
        chosen_config(None, tmp_path, True, {}, Path("t.keras"))
    taught = preset("hg1").replace("train.teacher_share", 0.5)
    (tmp_path / FILE).write_text(to_json(taught))
    assert chosen_config(None, tmp_path, True, {}, Path("t.keras")) == taught
    assert chosen_config("hg1", tmp_path, False, {}, Path("t.keras")) == preset("hg1")
