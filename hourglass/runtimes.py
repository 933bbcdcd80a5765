"""What runs a model file: one adapter per kind, each importing its runtime only when used."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from hourglass.calibration import Calibration
from hourglass.config import Config


class Runtime(Protocol):
    """A model file, ready to run."""

    config: Config
    calibrations: dict[str, Calibration]

    def heatmaps(self, images: np.ndarray) -> np.ndarray:
        """The last stack's heatmaps.

        Args:
            images: (B, S, S, 3) uint8.

        Returns:
            (B, S/4, S/4, J) float32.
        """


class KerasRuntime:
    """Runs a `.keras` file on Keras's backend, compiled.

    Args:
        path: The model file.

    Raises:
        ValueError: If it is missing or no model of this project.
    """

    def __init__(self, path: str | Path) -> None:
        import keras

        from hourglass.checkpoint import load_model, read_calibrations

        network, self.config = load_model(path)
        self.calibrations = read_calibrations(path)
        self._model = keras.Model(network.input, network.output[:, -1])

    def heatmaps(self, images: np.ndarray) -> np.ndarray:
        return np.asarray(self._model.predict_on_batch(images))


def load_runtime(path: str | Path) -> Runtime:
    """The runtime for a model file, by its ending.

    Raises:
        ValueError: If the ending is none that is known, or the file cannot be loaded.
    """
    if Path(path).suffix != ".keras":
        raise ValueError(f"{path}: not a model file, its name must end in .keras")
    return KerasRuntime(path)
