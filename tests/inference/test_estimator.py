"""The estimator: a joint in the heatmaps is found at its place in the picture."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hourglass.core.calibration import FLIP_TEST, PLAIN, Calibration
from hourglass.core.config import Config, NetworkConfig
from hourglass.core.geometry import apply_affine, crop
from hourglass.core.person import Person
from hourglass.core.pose import Box
from hourglass.core.skeleton import MPII
from hourglass.inference.detection import PeopleDetector
from hourglass.inference.estimator import (
    BATCH_SIZE,
    SHIPPED,
    SHIPPED_LITERT,
    PoseEstimator,
    default_model,
    default_predictor,
    whole,
)
from hourglass.media.pictures import read_picture
from hourglass.modelfiles.runtimes import Runtime

SIZE = 256
ORIENTATION, TURN_CLOCKWISE = 0x0112, 6


class KnownHeatmaps:
    """A runtime that has seen every crop before: it draws joints where it is told to.

    Args:
        cells: (N, 16, 2) heatmap px of the N crops, in the order in which they come.
        height: Of the Gaussians.
    """

    def __init__(self, cells: np.ndarray, *, height: float = 1.0) -> None:
        self.config = Config(NetworkConfig(stacks=1, channels=8, depth=1, input_size=SIZE))
        self.calibrations: dict[str, Calibration] = {}
        self.crops: list[np.ndarray] = []
        self._cells = iter(cells)
        self._height = height

    def heatmaps(self, images: np.ndarray) -> np.ndarray:
        from hourglass.core.heatmaps import encode_heatmaps

        assert images.shape[1:] == (SIZE, SIZE, 3)
        assert images.dtype == np.uint8
        self.crops.extend(images)
        cells = np.stack([next(self._cells) for _ in images])
        return self._height * encode_heatmaps(cells, np.ones((len(images), 16)), size=64)


def to_picture(cells: np.ndarray, center: np.ndarray, side: float) -> np.ndarray:
    """Heatmap px in picture px, by the convention's own two formulas."""
    pixels = (cells + 0.5) * 4 - 0.5
    return center + (pixels - (SIZE - 1) / 2) * side / SIZE


@pytest.fixture
def cells() -> Callable[[int], np.ndarray]:
    """Places whose fractions a shift of a quarter pixel meets exactly."""

    def draw(count: int) -> np.ndarray:
        rng = np.random.default_rng(count)
        whole = rng.integers(4, 60, (count, 16, 2))
        return whole + rng.choice([-0.25, 0.25], whole.shape)

    return draw


@pytest.fixture
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (120, 200, 3), np.uint8)


def test_joints_are_found_at_their_places_in_the_picture(
    picture: np.ndarray, cells: Callable[[int], np.ndarray]
):
    known = cells(1)
    box = (30.0, 10.0, 60.0, 88.0)
    pose = PoseEstimator(KnownHeatmaps(known))(picture, box)
    # The crop's side is 1.25 times the box's longer side; its middle is that of the box's pixels.
    expected = to_picture(known[0], np.array([30 + 59 / 2, 10 + 87 / 2]), 1.25 * 88)
    np.testing.assert_allclose(pose.points, expected, atol=1e-3)
    peaks = np.exp(-0.5 * 2 * 0.25**2)
    np.testing.assert_allclose(pose.scores, peaks, atol=1e-4)
    assert pose.box == box
    assert pose.skeleton is MPII
    assert pose.points.dtype == np.float32


def test_the_whole_picture_is_the_default_box(
    picture: np.ndarray, cells: Callable[[int], np.ndarray]
):
    known, runtime = cells(1), KnownHeatmaps(cells(1))
    pose = PoseEstimator(runtime)(picture)
    assert tuple(pose.box) == (0, 0, 200, 120)
    center = np.array([99.5, 59.5])
    np.testing.assert_allclose(pose.points, to_picture(known[0], center, 250), atol=1e-3)
    # What the network saw is the crop of that box, mid-grey where there is no picture.
    np.testing.assert_array_equal(runtime.crops[0], crop(picture, center, 1.0, size=SIZE))
    assert (runtime.crops[0][0] == 128).all()


def test_a_box_may_be_any_sequence(picture: np.ndarray, cells: Callable[[int], np.ndarray]):
    box = (30, 10, 60, 88)
    poses = [
        PoseEstimator(KnownHeatmaps(cells(1)))(picture, kind)
        for kind in (box, list(box), np.array(box))
    ]
    for pose in poses[1:]:
        np.testing.assert_array_equal(pose.points, poses[0].points)
        assert pose.to_dict() == poses[0].to_dict()


@pytest.mark.parametrize(
    ("refine", "within"), [("none", 0.5), ("quarter", 0.25), ("dark", 0.01), (None, 0.25)]
)
def test_the_refinement_is_the_callers(picture: np.ndarray, refine: Any, within: float):
    rng = np.random.default_rng(1)
    known = rng.uniform(6, 58, (1, 16, 2))
    choices = {} if refine is None else {"refine": refine}
    pose = PoseEstimator(KnownHeatmaps(known), **choices)(picture, (0, 0, 80, 80))
    cell = 4 * 100 / SIZE
    error = np.abs(pose.points - to_picture(known[0], np.array([39.5, 39.5]), 100)) / cell
    assert error.max() <= within + 1e-3
    assert error.max() > within / 2 or refine == "dark"


def test_many_pictures_of_any_size_come_back_in_their_order(cells: Callable[[int], np.ndarray]):
    count = BATCH_SIZE + 3
    rng = np.random.default_rng(3)
    pictures = [rng.integers(0, 256, (*rng.integers(20, 90, 2), 3), np.uint8) for _ in range(count)]
    centers, scales = rng.uniform(10, 50, (count, 2)), rng.uniform(0.2, 2, count)
    runtime = KnownHeatmaps(cells(count))
    points, scores = PoseEstimator(runtime).predict_crops(pictures, centers, scales)
    expected = [
        to_picture(known, center, 250 * scale)
        for known, center, scale in zip(cells(count), centers, scales, strict=True)
    ]
    np.testing.assert_allclose(points, expected, atol=2e-3)
    assert scores.shape == (count, 16)
    assert (points.dtype, scores.dtype) == (np.float32, np.float32)
    for seen, one, center, scale in zip(runtime.crops, pictures, centers, scales, strict=True):
        np.testing.assert_array_equal(seen, crop(one, center, scale, size=SIZE))


def test_no_pictures_are_no_poses(cells: Callable[[int], np.ndarray]):
    points, scores = PoseEstimator(KnownHeatmaps(cells(1))).predict_crops(
        [], np.zeros((0, 2)), np.zeros(0)
    )
    assert points.shape == (0, 16, 2)
    assert scores.shape == (0, 16)


# The flip test.


def test_a_flip_test_of_a_perfect_network_changes_nothing(
    dot_finder: Runtime, dotted_person: Callable[..., tuple[Person, np.ndarray]]
):
    for number in range(3):
        person, picture = dotted_person(number)
        plain = PoseEstimator(dot_finder, refine="dark")
        flipping = PoseEstimator(dot_finder, refine="dark", flip_test=True)
        there = [person.center[None], np.array([person.scale])]
        points, scores = plain.predict_crops([picture], *there)
        flipped, flipped_scores = flipping.predict_crops([picture], *there)
        seen = person.labelled
        np.testing.assert_allclose(points[0, seen], person.points[seen], atol=0.3)
        np.testing.assert_allclose(flipped[0, seen], points[0, seen], atol=0.05)
        np.testing.assert_allclose(flipped_scores, scores, atol=0.05)
        assert (scores[0, ~seen] == 0).all()
        assert (scores[0, seen] > 0.8).all()


def test_a_flip_test_averages_the_crop_and_its_mirror_image_with_sides_swapped(
    picture: np.ndarray, cells: Callable[[int], np.ndarray]
):
    known = cells(1)
    mirrored = known[:, MPII.flip_order] * [-1, 1] + [63, 0]
    runtime = KnownHeatmaps(np.concatenate([known, mirrored]))
    pose = PoseEstimator(runtime, flip_test=True)(picture, (30, 10, 60, 88))
    np.testing.assert_array_equal(runtime.crops[1], runtime.crops[0][:, ::-1])
    np.testing.assert_allclose(
        pose.points, to_picture(known[0], np.array([59.5, 53.5]), 110), atol=1e-3
    )
    np.testing.assert_allclose(pose.scores, np.exp(-(0.25**2)), atol=1e-4)
    # Where the two disagree each has half a vote.
    apart = known.copy()
    apart[:, 0] = [5, 5]
    mirrored[:, MPII.flip_order[0]] = [63 - 50, 50]
    halved = PoseEstimator(KnownHeatmaps(np.concatenate([apart, mirrored])), flip_test=True)(
        picture
    )
    assert halved.scores[0] == pytest.approx(0.5, abs=1e-3)
    np.testing.assert_allclose(halved.scores[1:], np.exp(-(0.25**2)), atol=1e-4)


# Many people.


def test_many_people_are_found_each_in_their_box(
    picture: np.ndarray, cells: Callable[[int], np.ndarray]
):
    # Several in one picture, and pictures of several sizes: as one by one.
    other = np.random.default_rng(1).integers(0, 256, (300, 90, 3), np.uint8)
    images = [picture, other, picture, other]
    boxes: list[Box] = [(30, 10, 60, 88), (0, 0, 90, 300), (100.5, -4, 20, 30), (5, 5, 9, 200)]
    runtime = KnownHeatmaps(cells(4))
    poses = PoseEstimator(runtime).poses(images, boxes)
    assert len(runtime.crops) == 4
    for known, image, box, pose in zip(cells(4), images, boxes, poses, strict=True):
        alone = PoseEstimator(KnownHeatmaps(known[None]))(image, box)
        np.testing.assert_array_equal(pose.points, alone.points)
        np.testing.assert_array_equal(pose.scores, alone.scores)
        assert pose.box == alone.box == box
        assert [type(value) for value in pose.box] == [float] * 4


@pytest.mark.parametrize("count", [1, BATCH_SIZE, 2 * BATCH_SIZE + 1])
def test_people_run_through_the_network_in_batches(
    picture: np.ndarray, cells: Callable[[int], np.ndarray], count: int
):
    sizes = []

    class Counting(KnownHeatmaps):
        def heatmaps(self, images: np.ndarray) -> np.ndarray:
            sizes.append(len(images))
            return super().heatmaps(images)

    boxes: list[Box] = [(number, 0, 50, 60) for number in range(count)]
    poses = PoseEstimator(Counting(cells(count))).poses([picture] * count, boxes)
    assert [pose.box[0] for pose in poses] == list(range(count))
    assert sum(sizes) == count
    assert max(sizes) <= BATCH_SIZE
    assert len(sizes) == -(-count // BATCH_SIZE)


def test_nobody_is_asked_for_and_nobody_found(dot_finder: Runtime):
    assert PoseEstimator(dot_finder).poses([], []) == []


def test_pictures_and_boxes_must_be_as_many(dot_finder: Runtime, picture: np.ndarray):
    for images, boxes in (([picture], []), ([], [(0, 0, 5, 5)]), ([picture] * 2, [(0, 0, 5, 5)])):
        with pytest.raises(ValueError, match=rf"{len(images)} pictures need centers"):
            PoseEstimator(dot_finder).poses(images, boxes)


def test_one_bad_box_of_many_is_refused(dot_finder: Runtime, picture: np.ndarray):
    with pytest.raises(ValueError, match=r"x y w h must be finite, and w and h above 0 px"):
        PoseEstimator(dot_finder).poses([picture] * 2, [(0, 0, 5, 5), (0, 0, 0, 5)])


def test_a_whole_picture_is_a_box_of_its_size():
    assert whole(np.zeros((20, 30, 3), np.uint8)) == (0, 0, 30, 20)
    assert [type(value) for value in whole(np.zeros((20, 30, 3)))] == [float] * 4


# What the network sees.


def test_the_highest_heatmap_lies_where_the_joints_are(
    dot_finder: Runtime, dotted_person: Callable[..., tuple[Person, np.ndarray]]
):
    person, dotted = dotted_person(4)
    picture = np.full((160, 220, 3), 128, np.uint8)
    picture[30:118, 70:166] = dotted
    heatmap, matrix = PoseEstimator(dot_finder).highest_heatmap(picture, (70, 30, 96, 88))
    assert heatmap.shape == (64, 64)
    assert heatmap.dtype == np.float32
    assert matrix.shape == (2, 3)
    places = apply_affine(matrix, person.points[person.labelled] + [70, 30])
    for x, y in places.round().astype(int):
        assert heatmap[y, x] > 0.6
    # Away from the joints it is dark.
    rows, columns = np.nonzero(heatmap > 0.2)
    away = np.hypot(columns[:, None] - places[:, 0], rows[:, None] - places[:, 1])
    assert away.min(axis=1).max() < 3


def test_the_highest_heatmap_is_that_of_all_joints(
    picture: np.ndarray, cells: Callable[[int], np.ndarray]
):
    known, box = cells(1), (30.0, 10.0, 60.0, 88.0)
    heatmap, matrix = PoseEstimator(KnownHeatmaps(known)).highest_heatmap(picture, box)
    each = KnownHeatmaps(known).heatmaps(np.zeros((1, SIZE, SIZE, 3), np.uint8))[0]
    np.testing.assert_allclose(heatmap, each.max(axis=-1))
    # The matrix leads from the joints in the picture to their cells.
    points = to_picture(known[0], np.array([30 + 59 / 2, 10 + 87 / 2]), 1.25 * 88)
    np.testing.assert_allclose(apply_affine(matrix, points), known[0], atol=1e-6)


# Scores.


def doubtful(rate: float) -> Calibration:
    """Of any peak above 0.1, a share of `rate` is right; below, it falls to 0."""
    return Calibration((np.array([0.0, 0.1]),) * 16, (np.array([0.0, rate]),) * 16)


@pytest.mark.parametrize(("flip_test", "expected"), [(False, 0.6), (True, 0.8)])
def test_scores_are_calibrated_for_the_way_the_network_runs(
    dot_finder: Runtime,
    dotted_person: Callable[..., tuple[Person, np.ndarray]],
    monkeypatch: pytest.MonkeyPatch,
    flip_test: bool,
    expected: float,
):
    person, picture = dotted_person(0)
    heights = PoseEstimator(dot_finder, flip_test=flip_test)(picture)
    lines = {PLAIN: doubtful(0.6), FLIP_TEST: doubtful(0.8)}
    monkeypatch.setattr(dot_finder, "calibrations", lines)
    estimator = PoseEstimator(dot_finder, flip_test=flip_test)
    assert estimator.calibrated
    pose = estimator(picture)
    np.testing.assert_allclose(pose.scores[person.labelled], expected, atol=1e-6)
    assert (pose.scores[~person.labelled] == 0).all()
    assert pose.scores.dtype == np.float32
    assert pose.score == pytest.approx(pose.scores.mean())
    # Only scores change, and only if they are to.
    np.testing.assert_array_equal(pose.points, heights.points)
    plain = PoseEstimator(dot_finder, flip_test=flip_test, calibrated=False)
    assert not plain.calibrated
    np.testing.assert_array_equal(plain(picture).scores, heights.scores)


def test_each_joint_has_its_own_calibration(
    picture: np.ndarray, cells: Callable[[int], np.ndarray]
):
    runtime = KnownHeatmaps(cells(1))
    rates = np.linspace(0.1, 0.95, 16)
    runtime.calibrations[PLAIN] = Calibration(
        (np.array([0.5]),) * 16, tuple(np.array([rate]) for rate in rates)
    )
    pose = PoseEstimator(runtime)(picture)
    np.testing.assert_allclose(pose.scores, rates, atol=1e-6)


def test_a_model_that_is_calibrated_for_another_way_gives_heights(
    picture: np.ndarray, cells: Callable[[int], np.ndarray]
):
    runtime = KnownHeatmaps(cells(1))
    runtime.calibrations[FLIP_TEST] = doubtful(0.8)
    estimator = PoseEstimator(runtime)
    assert not estimator.calibrated
    np.testing.assert_allclose(estimator(picture).scores, np.exp(-(0.25**2)), atol=1e-4)


@pytest.mark.parametrize("height", [0.0, 0.3, 1.0, 1.7])
def test_scores_lie_between_0_and_1_however_high_the_peaks(
    picture: np.ndarray, cells: Callable[[int], np.ndarray], height: float
):
    for calibrations in ({}, {PLAIN: doubtful(0.9)}):
        runtime = KnownHeatmaps(cells(1), height=height)
        runtime.calibrations.update(calibrations)
        scores = PoseEstimator(runtime)(picture).scores
        assert ((scores >= 0) & (scores <= 1)).all()


# Whole pictures.


def test_pillow_images_are_pictures_and_stand_upright(
    dot_finder: Runtime, dotted_person: Callable[..., tuple[Person, np.ndarray]]
):
    estimator = PoseEstimator(dot_finder)
    _, picture = dotted_person(3)
    expected = estimator(picture)
    image = Image.fromarray(picture)
    turned = Image.fromarray(np.rot90(picture).copy())
    turned.getexif()[ORIENTATION] = TURN_CLOCKWISE
    for given in (image, image.convert("RGBA"), turned):
        pose = estimator(given)
        np.testing.assert_array_equal(pose.points, expected.points)
        assert pose.box == expected.box
    grey = estimator(image.convert("L"))
    np.testing.assert_array_equal(grey.points, estimator(grey_of(picture)).points)
    points, _ = estimator.predict_crops([turned], np.array([[47.5, 43.5]]), np.array([0.4]))
    np.testing.assert_array_equal(
        points, estimator.predict_crops([picture], np.array([[47.5, 43.5]]), np.array([0.4]))[0]
    )


def grey_of(picture: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).convert("L").convert("RGB"))


def test_a_pillow_image_that_is_damaged_is_told(dot_finder: Runtime, tmp_path: Path):
    path = tmp_path / "cut.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"the Pillow image cannot be decoded \("):
        PoseEstimator(dot_finder)(Image.open(path))


def test_everyone_in_a_picture_is_found(dot_finder: Runtime):
    astronaut = Path(__file__).parents[1] / "pictures" / "astronaut.jpg"
    picture = read_picture(astronaut)
    estimator = PoseEstimator(dot_finder)
    boxes = PeopleDetector()(picture)
    assert len(boxes) == 1
    assert [pose.box for pose in estimator.people(picture)] == boxes
    assert [pose.box for pose in estimator.people(Image.open(astronaut))] == boxes
    assert estimator.people(np.full((64, 64, 3), 127, np.uint8)) == []
    with pytest.raises(ValueError, match="got NoneType"):
        estimator.people(None)


# What is refused.


@pytest.mark.parametrize(
    ("image", "told"),
    [
        (np.zeros((40, 30), np.uint8), r"\(H, W, 3\) uint8, got \(40, 30\) uint8"),
        (np.zeros((40, 30, 4), np.uint8), r"got \(40, 30, 4\) uint8"),
        (np.zeros((40, 30, 3), np.float32), r"got \(40, 30, 3\) float32"),
        (np.zeros((0, 30, 3), np.uint8), r"got \(0, 30, 3\) uint8"),
        ("photo.jpg", r"or a Pillow image, got str; hourglass.read_picture reads one from a file"),
    ],
)
def test_what_is_no_picture_is_refused(dot_finder: Runtime, image: np.ndarray, told: str):
    estimator = PoseEstimator(dot_finder)
    with pytest.raises(ValueError, match=told):
        estimator(image)
    with pytest.raises(ValueError, match=told):
        estimator.predict_crops([image], np.zeros((1, 2)), np.ones(1))


@pytest.mark.parametrize(
    "box", [(0, 0, 0, 5), (0, 0, 5, -1), (0, 0, float("nan"), 5), (float("inf"), 0, 5, 5)]
)
def test_a_box_without_area_is_refused(
    dot_finder: Runtime, picture: np.ndarray, box: tuple[float, float, float, float]
):
    with pytest.raises(ValueError, match=r"x y w h must be finite, and w and h above 0 px"):
        PoseEstimator(dot_finder)(picture, box)


@pytest.mark.parametrize(("centers", "scales"), [((2, 2), (1,)), ((1, 2), (2,)), ((2,), (1,))])
def test_numbers_that_do_not_fit_are_refused(
    dot_finder: Runtime, picture: np.ndarray, centers: tuple[int, ...], scales: tuple[int, ...]
):
    with pytest.raises(
        ValueError, match=r"1 pictures need centers \(1, 2\) and scales \(1,\), got"
    ):
        PoseEstimator(dot_finder).predict_crops([picture], np.ones(centers), np.ones(scales))


@pytest.mark.parametrize(
    ("center", "scale", "told"),
    [
        ((60, 60), 0.0, "scale"),
        ((60, 60), -1.0, "scale"),
        ((60, 60), float("nan"), "scale"),
        ((60, float("inf")), 1.0, "center"),
    ],
)
def test_a_crop_that_cannot_be_is_refused(
    dot_finder: Runtime,
    picture: np.ndarray,
    center: tuple[float, float],
    scale: float,
    told: str,
):
    with pytest.raises(ValueError, match=told):
        PoseEstimator(dot_finder).predict_crops([picture], np.array([center]), np.array([scale]))


# Model files.


def test_without_tensorflow_the_default_model_is_the_light_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert default_model(tmp_path) == SHIPPED_LITERT
    assert SHIPPED_LITERT.is_file()


def test_the_default_model_is_the_last_one_trained(tmp_path: Path):
    assert default_model(tmp_path) == SHIPPED
    for age, name in ((50, "b"), (10, "c"), (90, "a")):
        (tmp_path / name).mkdir()
        path = tmp_path / name / "best.keras"
        path.touch()
        os.utime(path, (1e9 - age, 1e9 - age))
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "last.keras").touch()
    assert default_model(tmp_path) == tmp_path / "c" / "best.keras"


def test_without_a_path_the_default_model_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dot_finder: Runtime, picture: np.ndarray
):
    asked = []

    def load(path: str | Path) -> Runtime:
        asked.append(Path(path))
        return dot_finder

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setattr("hourglass.inference.estimator.load_runtime", load)
    PoseEstimator.load()
    (tmp_path / "models" / "hg4").mkdir(parents=True)
    (tmp_path / "models" / "hg4" / "best.keras").touch()
    assert PoseEstimator.load()(picture).points.shape == (16, 2)
    PoseEstimator.load("some.keras")
    assert asked == [SHIPPED_LITERT, Path("models/hg4/best.keras"), Path("some.keras")]


@pytest.mark.parametrize(
    ("missing", "driver", "expected"),
    [
        ("", None, SHIPPED_LITERT),
        ("", "/usr/bin/nvidia-smi", SHIPPED),
        ("ai_edge_litert", None, SHIPPED),
        ("tensorflow", "/usr/bin/nvidia-smi", SHIPPED_LITERT),
    ],
)
def test_predictions_run_the_shipped_model_by_what_starts_soonest(
    missing: str,
    driver: str | None,
    expected: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name != missing or None)
    monkeypatch.setattr("shutil.which", lambda name: driver)
    assert default_predictor(tmp_path) == expected


def test_a_model_file_loads_and_finds_joints(micro_file: Path, picture: np.ndarray):
    estimator = PoseEstimator.load(micro_file)
    pose = estimator(picture)
    assert pose.points.shape == (16, 2)
    assert np.isfinite(pose.points).all()
    assert ((pose.scores >= 0) & (pose.scores <= 1)).all()
    with pytest.raises(ValueError, match=r"none\.keras: no such model file"):
        PoseEstimator.load(micro_file.with_name("none.keras"))


def test_the_way_to_a_pose_starts_without_tensorflow():
    code = (
        "import sys, hourglass.inference.estimator, hourglass.predict, hourglass.media.drawing;"
        "print([name for name in ('tensorflow', 'keras', 'jax', 'ray') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_heatmaps_that_are_no_numbers_are_told(dot_finder: Runtime, value: float):
    class Broken(type(dot_finder)):
        def heatmaps(self, images: np.ndarray) -> np.ndarray:
            heatmaps = super().heatmaps(images)
            heatmaps[:, 3, 5, 7] = value
            return heatmaps

    with pytest.raises(ValueError, match="the model gives heatmaps that are no numbers"):
        PoseEstimator(Broken())(np.zeros((40, 40, 3), np.uint8))
