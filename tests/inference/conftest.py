"""What the tests of an archive's prediction share."""

from __future__ import annotations

from pathlib import Path

import pytest

from hourglass.inference.estimator import PoseEstimator
from hourglass.modelfiles.runtimes import Runtime


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dot_finder: Runtime) -> Path:
    """A model file in whose place the finder of dots is loaded."""
    path = tmp_path / "model.tflite"
    path.write_bytes(b"a model")
    monkeypatch.setattr(PoseEstimator, "load", lambda path, **_: PoseEstimator(dot_finder))
    return path
