"""A small encoder, and a picture for any."""

from __future__ import annotations

import numpy as np
import pytest

from hourglass.networks import encoders
from hourglass.networks.encoders import Scaling


@pytest.fixture
def nano(monkeypatch: pytest.MonkeyPatch) -> str:
    """A variant with everything in it, so small that it is built at once."""
    monkeypatch.setitem(encoders.VARIANTS, "nano", Scaling(0.2, 0.5))
    return "nano"


@pytest.fixture
def picture() -> np.ndarray:
    """(1, 64, 64, 3) float: a ramp along each axis and waves, rescaled."""
    y, x = np.mgrid[:64, :64].astype(np.float64)
    waves = 128 + 100 * np.sin(x / 5) * np.cos(y / 7)
    pixels = np.stack([4 * x, 4 * y, waves], axis=-1)[None].round()
    return ((pixels - 127) / 128).astype(np.float32)
