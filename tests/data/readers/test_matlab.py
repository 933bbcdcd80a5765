"""MATLAB files: what SciPy reads, and damage that would crash it, told in words."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from hourglass.data.readers.matlab import DamagedError, load


@pytest.fixture(params=[False, True], ids=["plain", "compressed"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A file of two arrays."""
    content = {"one": np.arange(6.0).reshape(2, 3), "other": np.array(["a", "b"])}
    savemat(tmp_path / "a.mat", content, do_compression=request.param)
    return tmp_path / "a.mat"


def test_arrays_come_as_scipy_gives_them(path: Path):
    content = load(path, ["one", "none"], squeeze_me=True)
    assert [name for name in content if not name.startswith("__")] == ["one"]
    np.testing.assert_array_equal(content["one"], np.arange(6.0).reshape(2, 3))


def test_a_file_that_is_not_there_is_the_systems_to_tell(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.mat", ["one"])


def test_damage_to_what_is_compressed_is_told_by_its_checksum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "a.mat"
    savemat(path, {"one": np.arange(600.0)}, do_compression=True)

    def read(*_: object, **__: object) -> None:
        raise ChildProcessError

    monkeypatch.setattr("subprocess.run", read)
    data, rng = path.read_bytes(), random.Random(0)
    told = 0
    for _ in range(100):
        spoilt = bytearray(data)
        spoilt[rng.randrange(137, len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(spoilt)
        try:
            load(path, ["one"])
        except DamagedError as error:
            told += str(error).startswith("Damage: ")
        except ChildProcessError:
            pass  # a few bits between the data and their checksum mean nothing
    assert told > 95
    for length in (130, 140, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(DamagedError, match=r"^Damage: (it|an array) ends "):
            load(path, ["one"])


def test_a_crash_of_the_reader_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "a.mat"
    savemat(path, {"one": np.arange(6.0)})
    dies = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    monkeypatch.setattr("hourglass.data.readers.matlab.READ", dies)
    with pytest.raises(DamagedError, match=r"^Damage: it crashed the reader \(signal 11\)$"):
        load(path, ["one"])


@pytest.mark.parametrize("content", [b"", b"no MATLAB file", b"MATLAB 5.0" + bytes(200)])
def test_what_is_no_such_file_is_told_in_a_line(content: bytes, tmp_path: Path):
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(DamagedError, match=r"^\w+: .+") as caught:
        load(tmp_path / "a.mat", ["one"])
    assert "\n" not in str(caught.value)
