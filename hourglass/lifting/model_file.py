"""A lifting network on disk: its weights, and what they are for, in one `.npz` file.

Reading it needs neither Keras nor TensorFlow; the arrays are named `layer/variable`.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hourglass.core.errors import InputError
from hourglass.core.files import replacing
from hourglass.lifting.body import ABOUT_PELVIS, BODY, SEEN
from hourglass.lifting.shape import LifterConfig

SUFFIX = ".npz"

WEIGHTS = Path(__file__).resolve().parents[1] / "weights"
"""The folder of the networks that come with the project."""

ABOUT = "about"
"""The entry that holds a text and no weights."""

INPUT = (
    "(B, 16, 3) float32: x and y of each joint about the middle of those that were found, in root "
    "mean square distances from it, and 1; or 0, 0, 0 for a joint that was not found"
)
OUTPUT = "(B, 16, 3) float32: metres about the pelvis; x right, y down, z away from the camera"


@dataclass(frozen=True)
class About:
    """What a file says of itself.

    Attributes:
        config: The network's shape.
        source: What it was trained on, in words.
        mse: Squared error of each epoch of its training, m².
    """

    config: LifterConfig
    source: str = ""
    mse: tuple[float, ...] = ()

    def to_text(self) -> str:
        """JSON, with the joints' names for foreign readers."""
        values = {
            "lifter": asdict(self.config),
            "source": self.source,
            "mse": self.mse,
            "input": INPUT,
            "output": OUTPUT,
            "input_joints": [BODY.joints[joint] for joint in SEEN],
            "output_joints": [BODY.joints[joint] for joint in ABOUT_PELVIS],
        }
        return json.dumps(values, indent=1) + "\n"

    @classmethod
    def from_text(cls, text: str, *, where: str) -> About:
        """What `to_text` wrote.

        Raises:
            ValueError: If it is no such text; names `where`.
        """
        try:
            values = json.loads(text)
            config = LifterConfig(**values["lifter"])
            return cls(config, str(values["source"]), tuple(map(float, values["mse"])))
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise InputError(f"{where}: not a lifting network of this project ({error})") from error


def save_lifter(
    path: Path, weights: Mapping[str, np.ndarray], about: About, *, compact: bool = False
) -> None:
    """Writes a model file that appears under its name only when it is whole.

    Args:
        path: Where; ends in `.npz`.
        weights: By `layer/variable`, as `hourglass.lifting.network.weights_of` gives them.
        about: What they are.
        compact: Round them to float16, which halves the file.

    Raises:
        ValueError: If the name ends otherwise.
    """
    if path.suffix != SUFFIX:
        raise InputError(f"{path}: a lifting network's file must end in {SUFFIX}")
    kind = np.float16 if compact else np.float32
    arrays: dict[str, Any] = {name: value.astype(kind) for name, value in weights.items()}
    arrays[ABOUT] = np.array(about.to_text())
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def load_lifter(path: str | Path) -> tuple[dict[str, np.ndarray], About]:
    """Weights in float32 by `layer/variable`, and what they are.

    Raises:
        ValueError: If the file is missing, damaged, or no lifting network; names it.
    """
    if not Path(path).is_file():
        raise InputError(f"{path}: no such model file")
    try:
        with np.load(path, allow_pickle=False) as stored:
            if ABOUT not in stored.files:
                raise InputError(f"it has no entry {ABOUT!r}")
            about = str(stored[ABOUT])
            names = [name for name in stored.files if name != ABOUT]
            weights = {name: stored[name].astype(np.float32) for name in names}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise InputError(f"{path}: not a lifting network of this project ({error})") from error
    return weights, About.from_text(about, where=str(path))
