"""Clips: files of every kind, units, splits, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hourglass.lifting.body import BODY
from hourglass.lifting.bvh import to_bvh
from hourglass.lifting.mocap import (
    H36M_32,
    Clip,
    bone_lengths,
    find_files,
    load_clips,
    read_clips,
    save_clips,
    split,
    to_millimetres,
)


def clip(points: np.ndarray, subject: str = "a", name: str = "1") -> Clip:
    return Clip(points, subject, "walk", name, 30.0)


def test_a_bvh_file_becomes_millimetres(tmp_path: Path, moving: np.ndarray) -> None:
    folder = tmp_path / "walk"
    folder.mkdir()
    path = folder / "07_02.bvh"
    path.write_text(to_bvh((moving - moving[:, :1]) * [1, -1, -1], rate=60))
    (found,) = read_clips(path)
    assert (found.subject, found.action, found.name) == ("cmu 07", "walk", "07_02")
    assert found.rate == pytest.approx(30, abs=1e-3)
    assert found.points.shape == (32, 17, 3)
    limbs = [child not in (1, 4, 7) for _, child in BODY.bones]  # the pelvis is the hips' middle
    parents, children = np.array(BODY.bones).T
    mean = np.linalg.norm(moving[:, children] - moving[:, parents], axis=-1).mean(axis=0)
    np.testing.assert_allclose(bone_lengths(found.points)[limbs], mean[limbs], rtol=1e-3)


@pytest.mark.parametrize(
    ("unit", "factor"), [("m", 1e-3), ("cm", 0.1), ("mm", 1), ("in", 1 / 25.4)]
)
def test_the_unit_is_found_by_the_persons_height(
    standing: np.ndarray, unit: str, factor: float
) -> None:
    found = to_millimetres(standing * factor, unit=None, where="test")
    np.testing.assert_allclose(found, standing, rtol=1e-5, atol=1e-3)


def test_a_giant_needs_a_unit(standing: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"test: the person is .* units tall"):
        to_millimetres(standing * 30, unit=None, where="test")
    assert to_millimetres(standing * 30, unit="mm", where="test").max() > 30_000


def test_numbers_that_are_not_finite_and_bones_without_length_are_refused(
    moving: np.ndarray,
) -> None:
    broken = moving.copy()
    broken[5, 3] = np.nan
    with pytest.raises(ValueError, match="frame 5 has a number that is not finite"):
        to_millimetres(broken, unit=None, where="test")
    flat = moving.copy()
    flat[:, BODY.index("left_wrist")] = flat[:, BODY.index("left_elbow")]
    with pytest.raises(ValueError, match=r"left_elbow and left_wrist are 0\.0 mm apart"):
        to_millimetres(flat, unit=None, where="test")


def test_arrays_are_read_and_other_shapes_refused(tmp_path: Path, moving: np.ndarray) -> None:
    np.save(tmp_path / "walk_1.npy", moving)
    np.savez(tmp_path / "walk_2.npz", points=moving)
    for path in find_files(tmp_path):
        (found,) = read_clips(path)
        np.testing.assert_array_equal(found.points, moving)
        assert (found.subject, found.action) == (tmp_path.name, "walk")
    np.save(tmp_path / "bad.npy", moving[:, :12])
    with pytest.raises(ValueError, match=r"bad.npy: an array \(64, 12, 3\)"):
        read_clips(tmp_path / "bad.npy")
    np.savez(tmp_path / "bad.npz", other=moving)
    with pytest.raises(ValueError, match="no array 'points' inside, but other"):
        read_clips(tmp_path / "bad.npz")


def test_human36ms_own_layout(tmp_path: Path, moving: np.ndarray) -> None:
    z_up = moving[..., [0, 2, 1]] * [1, -1, 1] / 1000
    stored = np.full((len(moving), 32, 3), 9.0, np.float32)
    stored[:, H36M_32] = z_up
    content = {"S1": {"Walking 1": stored, "Greeting": stored}}
    path = tmp_path / "data_3d_h36m.npz"
    np.savez(path, positions_3d=content)  # numpy pickles a dictionary
    walking, greeting = read_clips(path)
    assert (walking.subject, walking.action, greeting.action) == ("S1", "Walking", "Greeting")
    assert walking.rate == 25
    np.testing.assert_allclose(walking.points, moving[::2], atol=1e-3)


def test_a_pickle_that_would_run_something_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "data_3d_h36m.npz"
    np.savez(path, positions_3d={"S1": {"Walking": Path("x")}})
    with pytest.raises(ValueError, match="only numpy arrays are opened"):
        read_clips(path)


def test_clips_come_back_as_they_were_saved(tmp_path: Path, moving: np.ndarray) -> None:
    save_clips(tmp_path / "lift.npz", [clip(moving), clip(moving[:7], "b", "2")])
    first, second = load_clips(tmp_path / "lift.npz")
    np.testing.assert_array_equal(first.points, moving)
    np.testing.assert_array_equal(second.points, moving[:7])
    assert (second.subject, second.action, second.name, second.rate) == ("b", "walk", "2", 30.0)
    (tmp_path / "bad.npz").write_bytes(b"no archive")
    for name in ("bad.npz", "none.npz"):
        with pytest.raises(ValueError, match=r"not a file of tools\.mocap"):
            load_clips(tmp_path / name)


def test_subjects_are_never_on_both_sides(moving: np.ndarray) -> None:
    clips = [clip(moving, who, f"{who}{k}") for who in "abcdef" for k in range(3)]
    train, held = split(clips)
    assert {c.subject for c in train}.isdisjoint({c.subject for c in held})
    assert len(train) + len(held) == len(clips)
    assert 0.2 <= len(held) / len(clips) <= 0.5
    named, rest = split(clips, ["b"])[::-1]
    assert {c.subject for c in named} == {"b"}
    assert len(rest) == 15
    with pytest.raises(ValueError, match="there are a, b, c, d, e, f"):
        split(clips, ["z"])


def test_of_one_subject_whole_clips_are_held_out(moving: np.ndarray) -> None:
    train, held = split([clip(moving, "a", str(k)) for k in range(5)])
    assert train
    assert held
    assert {c.name for c in train}.isdisjoint({c.name for c in held})
    with pytest.raises(ValueError, match="two or more"):
        split([clip(moving)])


def test_a_folder_without_motion_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no motion file"):
        find_files(tmp_path)
    with pytest.raises(ValueError, match="no such file or folder"):
        find_files(tmp_path / "none")
