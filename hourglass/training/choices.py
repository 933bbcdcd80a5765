"""The choices of a training that is begun or resumed."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from hourglass.core.config import FILE, Config, from_json, preset, same_layers

DEFAULT_PRESET = "hg4"


def chosen_config(name: str | None, folder: Path, resume: bool, changes: dict[str, Any]) -> Config:
    """The preset with the changes; or, when resuming, the run's own with more epochs at most."""
    given = {key: value for key, value in changes.items() if value is not None}
    if not resume:
        base = preset(name or DEFAULT_PRESET)
        size = given.pop("input_size", base.network.input_size)
        return dataclasses.replace(
            base,
            network=dataclasses.replace(base.network, input_size=size),
            train=dataclasses.replace(base.train, **given),
        )
    path = folder / FILE
    if not path.exists():
        raise ValueError(f"{folder}: no run to resume, {FILE} is missing")
    config = from_json(path.read_text(encoding="utf-8"), where=str(path))
    own = {**dataclasses.asdict(config.train), "input_size": config.network.input_size}
    if name and not same_layers(preset(name).network, config.network):
        raise ValueError(f"{path}: the run's network is not that of --preset {name}")
    for key, value in given.items():
        if key != "epochs" and value != own[key]:
            raise ValueError(
                f"{path}: {key} is {own[key]} and cannot become {value} when resuming; only "
                "--epochs can"
            )
    epochs = given.get("epochs", config.train.epochs)
    return dataclasses.replace(config, train=dataclasses.replace(config.train, epochs=epochs))
