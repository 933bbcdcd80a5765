"""The choices of a training that is begun or resumed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hourglass.core.config import Config, same_layers
from hourglass.core.config_text import FILE, from_json, parse_choice
from hourglass.core.errors import InputError
from hourglass.core.files import read_text
from hourglass.core.presets import preset
from hourglass.core.storage import Place

DEFAULT_PRESET = "hg4"

DEFAULT_DATA = "tfrecords"
"""Folder of the shards."""

EPOCHS = "train.epochs"
"""The only choice that may change when a run goes on."""

WHAT_IT_BECAME = ("train.precision", "auto")
"""A choice that a run which goes on has made already."""


def given_choices(options: Mapping[str, Any], settings: Iterable[str]) -> dict[str, Any]:
    """What a command line chooses, by SECTION.FIELD.

    Args:
        options: Values of the options that are called like fields; None of those not given.
        settings: `SECTION.FIELD=VALUE`, as of `--set`.

    Raises:
        ValueError: If a setting is none, or something is chosen twice.
    """
    section = {"input_size": "network"}
    choices = {
        f"{section.get(name, 'train')}.{name}": value
        for name, value in options.items()
        if value is not None
    }
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise InputError(
                f"--set {setting}: it must be SECTION.FIELD=VALUE, such as train.epochs=9"
            )
        try:
            value = parse_choice(name, text)
        except InputError as error:
            raise InputError(f"--set {setting}: {error}") from error
        if name in choices:
            raise InputError(f"--set {setting}: {name} is given twice")
        choices[name] = value
    return choices


def chosen_data(data: str | None, *, resume: bool, new_data: bool) -> str | None:
    """Which shards a training is told to learn from; None: those of the run that goes on.

    Raises:
        ValueError: If other data than a run's are wanted where no run goes on.
    """
    if new_data and not resume:
        raise InputError("--new-data is for a run that goes on, with --resume")
    return data or (None if resume else DEFAULT_DATA)


def chosen_config(
    name: str | None,
    folder: Place,
    resume: bool,
    choices: Mapping[str, Any],
    teacher: Place | None = None,
) -> Config:
    """The preset with the choices; or, when resuming, the run's own with more epochs at most.

    Args:
        name: The preset; None for `DEFAULT_PRESET`.
        folder: The run's.
        resume: Go on with the run.
        choices: Values by SECTION.FIELD.
        teacher: Whom the run learns from besides the labels.

    Raises:
        ValueError: If there is no run to resume, a choice cannot be, or there would be a teacher
            from here on.
    """
    if not resume:
        return preset(name or DEFAULT_PRESET).with_choices(choices)
    path = folder / FILE
    if not path.exists():
        raise InputError(f"{folder}: no run to resume, {FILE} is missing")
    config = from_json(read_text(path), where=str(path))
    # The run may have taken its shards' skeleton in the place of the preset's.
    if name and not same_layers(
        preset(name).with_skeleton(config.skeleton).network, config.network
    ):
        raise InputError(f"{path}: the run's network is not that of --preset {name}")
    if teacher and not config.train.teacher_share:
        raise InputError(f"{path}: the run has no teacher and goes on without --teacher {teacher}")
    for choice, value in choices.items():
        section, _, field = choice.partition(".")
        own = getattr(getattr(config, section), field)
        if choice != EPOCHS and value != own and (choice, value) != WHAT_IT_BECAME:
            raise InputError(
                f"{path}: {field} is {own} and cannot become {value} when resuming; only "
                "--epochs can"
            )
    return config.with_choices({EPOCHS: choices.get(EPOCHS, config.train.epochs)})
