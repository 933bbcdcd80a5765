"""A person who stands, and walks, made by hand: no recording is in the project."""

from __future__ import annotations

import numpy as np
import pytest

from hourglass.lifting.body import BODY

STANDING = {
    "pelvis": (0, 900, 0),
    "right_hip": (-110, 900, 0),
    "right_knee": (-120, 480, 20),
    "right_ankle": (-120, 80, 0),
    "left_hip": (110, 900, 0),
    "left_knee": (120, 480, 20),
    "left_ankle": (120, 80, 0),
    "spine": (0, 1120, -10),
    "thorax": (0, 1380, 0),
    "neck": (0, 1490, 20),
    "head_top": (0, 1690, 30),
    "left_shoulder": (170, 1360, 0),
    "left_elbow": (210, 1090, -20),
    "left_wrist": (220, 850, 60),
    "right_shoulder": (-170, 1360, 0),
    "right_elbow": (-210, 1090, -20),
    "right_wrist": (-220, 850, 60),
}
"""Millimetres, y up, facing +z, so that the left side is at positive x."""


@pytest.fixture
def standing() -> np.ndarray:
    """One pose (1, 17, 3)."""
    return np.array([[STANDING[name] for name in BODY.joints]], np.float32)


@pytest.fixture
def moving(standing: np.ndarray) -> np.ndarray:
    """Poses (64, 17, 3) of the person in slow, different motions of every joint."""
    phase = np.arange(64)[:, None, None] / 7 + np.arange(17)[:, None] * np.array([1.0, 2.0, 3.0])
    return (standing + 60 * np.sin(phase)).astype(np.float32)
