"""Model files: what is written comes back, and what is no model is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hourglass.lifting.model_file import ABOUT, About, load_lifter, save_lifter
from hourglass.lifting.network import build_lifter, set_weights, weights_of
from hourglass.lifting.shape import LifterConfig

SMALL = LifterConfig(units=8)


@pytest.fixture(scope="module")
def weights() -> dict[str, np.ndarray]:
    return weights_of(build_lifter(SMALL))


def test_weights_and_words_come_back(tmp_path: Path, weights: dict[str, np.ndarray]) -> None:
    path = tmp_path / "small.npz"
    about = About(SMALL, "made up", (0.5, 0.25))
    save_lifter(path, weights, about)
    loaded, said = load_lifter(path)
    assert said == about
    assert loaded.keys() == weights.keys()
    other = build_lifter(SMALL)
    set_weights(other, loaded, where="test")
    for name, value in weights_of(other).items():
        np.testing.assert_array_equal(value, weights[name])


def test_a_compact_file_is_rounded(tmp_path: Path, weights: dict[str, np.ndarray]) -> None:
    save_lifter(tmp_path / "small.npz", weights, About(SMALL), compact=True)
    loaded, _ = load_lifter(tmp_path / "small.npz")
    kernel = "first_dense/kernel"
    assert loaded[kernel].dtype == np.float32
    np.testing.assert_allclose(loaded[kernel], weights[kernel], rtol=1e-3)
    assert (loaded[kernel] != weights[kernel]).any()


def test_what_is_no_model_is_refused(tmp_path: Path, weights: dict[str, np.ndarray]) -> None:
    path = tmp_path / "bad.npz"
    with pytest.raises(ValueError, match=r"bad\.npz: no such model file"):
        load_lifter(path)
    path.write_bytes(b"text")
    with pytest.raises(ValueError, match="not a lifting network"):
        load_lifter(path)
    np.savez(path, points=np.zeros(3))
    with pytest.raises(ValueError, match="it has no entry 'about'"):
        load_lifter(path)
    np.savez(path, **{ABOUT: np.array("{}")})
    with pytest.raises(ValueError, match="not a lifting network"):
        load_lifter(path)
    with pytest.raises(ValueError, match=r"must end in \.npz"):
        save_lifter(tmp_path / "bad.keras", weights, About(SMALL))


def test_weights_of_another_network_are_refused(weights: dict[str, np.ndarray]) -> None:
    other = build_lifter(LifterConfig(units=9))
    with pytest.raises(ValueError, match=r"small.npz: .* weights do not fit"):
        set_weights(other, weights, where="small.npz")
