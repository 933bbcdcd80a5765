"""What an exported model file says about itself, as named texts that every format can carry.

The texts are the same in all formats; `exporting.formats` puts them into a file and
`modelfiles.runtimes` takes them out, each in the format's own way. Nothing here reads a file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from hourglass.core import calibration, config_text
from hourglass.core.calibration import Calibration
from hourglass.core.config import Config
from hourglass.core.errors import InputError

SUFFIX = ".keras"
"""The ending of model files that are no exports."""

CONFIG_MEMBER = "hourglass.json"
CALIBRATION_MEMBER = "calibration.json"
EXPORT_MEMBER = "export.json"
MEMBERS = (CONFIG_MEMBER, CALIBRATION_MEMBER, EXPORT_MEMBER)
"""The texts of an exported file."""

HEATMAPS, KEYPOINTS = "heatmaps", "keypoints"

OUTPUTS = {
    HEATMAPS: "(B, S/4, S/4, J) float32, the last stack's heatmaps",
    KEYPOINTS: "(B, J, 3) float32: x and y in px of the crop, 0-based, a pixel's centre at its "
    "index, and the peak's height in [0, 1]",
}
"""What a file gives, by the name of its output."""

INPUT = "(B, S, S, 3) uint8 RGB, the person's crop as it is; the network rescales it itself"


@dataclass(frozen=True)
class TrainingState:
    """Where a training stands.

    Attributes:
        epoch: Epochs finished.
        best_score: Best validation score so far, percent; -1 before the first epoch.
        best_epoch: The epoch (from 1) that reached it; 0 before the first.
    """

    epoch: int = 0
    best_score: float = -1.0
    best_epoch: int = 0


@dataclass(frozen=True)
class Metadata:
    """An exported model's description.

    Attributes:
        config: All choices that the network was made with.
        calibrations: Of its scores, by the way it is run; empty if it has none.
        outputs: What it gives, `HEATMAPS` or `KEYPOINTS`.
        batch: How many crops it takes at a time; None for any number.
    """

    config: Config
    calibrations: dict[str, Calibration]
    outputs: str
    batch: int | None


def to_texts(metadata: Metadata) -> dict[str, str]:
    """The description as JSON texts by member name, with joints and bones for foreign readers."""
    about = {
        "image": INPUT,
        "outputs": metadata.outputs,
        metadata.outputs: OUTPUTS[metadata.outputs],
        "batch": metadata.batch,
        "joints": metadata.config.skeleton.joints,
        "bones": metadata.config.skeleton.bones,
    }
    return {
        CONFIG_MEMBER: config_text.to_json(metadata.config),
        CALIBRATION_MEMBER: calibration.to_json(metadata.calibrations),
        EXPORT_MEMBER: json.dumps(about, indent=2) + "\n",
    }


def from_texts(texts: Mapping[str, str], *, where: str) -> Metadata:
    """The description that `to_texts` wrote.

    Args:
        texts: By member name; others than ours are passed over.
        where: The file they came from, for error messages.

    Raises:
        ValueError: If a text is missing or is not such a description; names `where`.
    """
    for name in MEMBERS:
        if name not in texts:
            raise InputError(f"{where}: not written by hourglass.export, {name} is not inside")
    try:
        about = json.loads(texts[EXPORT_MEMBER])
        outputs, batch = about["outputs"], about["batch"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{where}: {EXPORT_MEMBER} inside is damaged ({error})") from error
    if outputs not in OUTPUTS:
        raise InputError(f"{where}: outputs is {outputs!r}, it must be one of {tuple(OUTPUTS)}")
    return Metadata(
        config=config_text.from_json(texts[CONFIG_MEMBER], where=where),
        calibrations=calibration.from_json(texts[CALIBRATION_MEMBER], where=where),
        outputs=outputs,
        batch=batch,
    )
