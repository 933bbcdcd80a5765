"""Stacked-hourglass 2D human pose: annotations → TFRecords → tf.data → network → poses.

The names below are all that most programs need::

    import hourglass

    estimator = hourglass.PoseEstimator.load()
    poses = estimator.people(hourglass.read_picture("street.jpg"))

Each is imported when it is first used, so that `import hourglass` costs nothing. Everything else
is imported from its room, such as `hourglass.scoring.pck`.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hourglass.core.config import Config
    from hourglass.core.errors import InputError
    from hourglass.core.pose import Pose
    from hourglass.core.presets import preset
    from hourglass.core.skeleton import COCO, MPII, Skeleton
    from hourglass.data.building.build import build as build_shards
    from hourglass.inference.estimator import PoseEstimator
    from hourglass.lifting.estimator import Lifter
    from hourglass.media.drawing import draw_pose
    from hourglass.media.pictures import read_picture
    from hourglass.scoring.evaluation import evaluate
    from hourglass.training.run import train

__all__ = [
    "PoseEstimator",
    "Lifter",
    "Pose",
    "Skeleton",
    "MPII",
    "COCO",
    "Config",
    "preset",
    "build_shards",
    "train",
    "evaluate",
    "draw_pose",
    "read_picture",
    "InputError",
]

_HOMES = {
    "PoseEstimator": "inference.estimator",
    "Lifter": "lifting.estimator",
    "Pose": "core.pose",
    "Skeleton": "core.skeleton",
    "MPII": "core.skeleton",
    "COCO": "core.skeleton",
    "Config": "core.config",
    "preset": "core.presets",
    "build_shards": "data.building.build",
    "train": "training.run",
    "evaluate": "scoring.evaluation",
    "draw_pose": "media.drawing",
    "read_picture": "media.pictures",
    "InputError": "core.errors",
}
"""The room of each public name."""

_OWN_NAMES = {"build_shards": "build"}
"""Names that are another in their room."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'hourglass' has no attribute {name!r}")
    room = importlib.import_module(f"hourglass.{_HOMES[name]}")
    return getattr(room, _OWN_NAMES.get(name, name))


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})


class _Package(ModuleType):
    """This package, in which a command's module never hides the function of the same name."""

    def __setattr__(self, name: str, value: object) -> None:
        # Python does this after `import hourglass.train`, or `python -m hourglass.train`.
        if name not in _HOMES or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
