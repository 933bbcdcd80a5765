"""Calibrating a model: lines from the people it was run on, stored where predictions find them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from hourglass.calibrate import main
from hourglass.core.calibration import FLIP_TEST, PLAIN, Calibration, Reliability
from hourglass.core.config import Config, NetworkConfig
from hourglass.core.person import NOT_LABELLED, VISIBLE, Person
from hourglass.core.skeleton import MPII
from hourglass.data.people import gather
from hourglass.inference.estimator import SHIPPED, PoseEstimator
from hourglass.modelfiles.keras_file import load_model, read_calibrations, save_model
from hourglass.modelfiles.runtimes import Runtime, load_runtime
from hourglass.networks.hourglass import build_network
from hourglass.scoring.calibrating import calibrate, cross_checked
from hourglass.scoring.cut_people import CutPeople, find_cut_people, regular_cuts
from hourglass.scoring.evaluation import Evaluation, Keypoints, evaluate

SIZE = 64
"""Side of the crops, px: enough to find a dot within half a head, and fast."""

Result = Callable[..., str]


class Doubtful:
    """A runtime whose peaks have any height, and that is right more often than they say."""

    def __init__(self, runtime: Runtime, calibrations: dict[str, Calibration]) -> None:
        self.config = runtime.config
        self.calibrations = calibrations
        self._runtime = runtime
        self._rng = np.random.default_rng(5)

    def heatmaps(self, images: np.ndarray) -> np.ndarray:
        heatmaps = self._runtime.heatmaps(images)
        height = self._rng.uniform(0.1, 1, (len(images), 1, 1, heatmaps.shape[-1]))
        right = self._rng.uniform(size=height.shape) < np.sqrt(height)
        elsewhere = np.roll(heatmaps, heatmaps.shape[1] // 2, axis=(1, 2))
        return (height * np.where(right, heatmaps, elsewhere)).astype(np.float32)


def make_evaluation(**ways: tuple[float | np.ndarray, np.ndarray]) -> Evaluation:
    """People with a head of 10 px: for each way, heights (N,) and right (N,), of all joints."""
    count = len(next(iter(ways.values()))[1])
    person = Person(
        filename="",
        points=np.zeros((16, 2), np.float32),
        visibility=np.full(16, VISIBLE, np.uint8),
        center=np.zeros(2, np.float32),
        scale=0.4,
    )
    labels = gather([person] * count, MPII)
    keypoints = {}
    for kind, (heights, right) in ways.items():
        points = np.zeros((count, 16, 2), np.float32)
        points[~right] = (50, 0)
        scores = np.ones((count, 16)) * np.broadcast_to(heights, count)[:, None]
        keypoints[kind] = Keypoints(points, scores.astype(np.float32))
    return Evaluation(
        model="some.keras",
        data="some*",
        labels=labels,
        keypoints=keypoints,
        calibrated=dict.fromkeys(keypoints, False),
        scores={},
    )


@pytest.fixture(scope="module")
def people_pattern(
    tmp_path_factory: pytest.TempPathFactory, write_shards: Callable[..., list[Person]]
) -> str:
    folder = tmp_path_factory.mktemp("people")
    write_shards(folder, "validation", [16, 16])
    return f"{folder}/validation*"


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a model that nobody has trained; not to be changed."""
    config = Config(NetworkConfig(stacks=1, channels=16, depth=1, input_size=SIZE))
    path = tmp_path_factory.mktemp("untouched") / "best.keras"
    save_model(path, build_network(config.network), config)
    return path


@pytest.fixture
def model(untouched: Path, tmp_path: Path) -> Path:
    path = tmp_path / "best.keras"
    path.write_bytes(untouched.read_bytes())
    return path


@pytest.fixture
def doubtful(monkeypatch: pytest.MonkeyPatch, dot_finder: Runtime) -> None:
    """Every model file runs as a `Doubtful` runtime with the calibrations in the file."""
    finder = type(dot_finder)(input_size=SIZE)

    def load(path: Path) -> Runtime:
        return Doubtful(finder, read_calibrations(path))

    monkeypatch.setattr("hourglass.modelfiles.runtimes.KerasRuntime", load)


@pytest.fixture
def run(people_pattern: str) -> Result:
    """What the command prints for a model file and further options."""

    def invoke(model: Path, *options: object) -> str:
        arguments = ["--data", people_pattern, "--model", model, *options]
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert result.exit_code == 0, result.output
        return result.stdout

    return invoke


def numbers(calibrations: dict[str, Calibration]) -> dict[str, list[list[list[float]]]]:
    return {
        kind: [[line.tolist() for line in part] for part in (one.heights, one.rates)]
        for kind, one in calibrations.items()
    }


def nobody_cut(evaluation: Evaluation) -> dict[str, CutPeople]:
    none = np.zeros(evaluation.counted.shape, bool)
    return {
        kind: CutPeople(one.scores, none, none, none) for kind, one in evaluation.keypoints.items()
    }


def whole_alone(evaluation: Evaluation) -> dict[str, Calibration]:
    return calibrate(evaluation, nobody_cut(evaluation))


def checked(evaluation: Evaluation, kind: str) -> Reliability:
    return cross_checked(evaluation, kind, nobody_cut(evaluation)[kind])


def cut_ways(pattern: str, runtime: Runtime, evaluation: Evaluation) -> dict[str, CutPeople]:
    """As the command looks at cut people, once it has looked at whole ones."""
    return {
        kind: find_cut_people(
            pattern,
            runtime,
            shares=regular_cuts(evaluation.labels),
            flip_test=kind == FLIP_TEST,
            calibrated=False,
        )
        for kind in evaluation.keypoints
    }


# Numbers by hand.


def test_each_way_to_run_has_a_calibration_of_its_own():
    person = np.arange(100)
    evaluation = make_evaluation(plain=(0.6, person < 75), flip_test=(0.4, person < 90))
    calibrations = whole_alone(evaluation)
    assert list(calibrations) == [PLAIN, FLIP_TEST]
    for kind, height, rate in ((PLAIN, 0.6, 0.75), (FLIP_TEST, 0.4, 0.9)):
        found = calibrations[kind]
        np.testing.assert_allclose(found.heights, [[height]] * 16)
        assert [line.tolist() for line in found.rates] == [[rate]] * 16


def test_keypoints_without_a_label_are_left_out():
    evaluation = make_evaluation(plain=(0.6, np.arange(200) < 100))
    evaluation.labels.visibility[100:] = NOT_LABELLED
    (calibration,) = whole_alone(evaluation).values()
    assert [line.tolist() for line in calibration.rates] == [[1.0]] * 16
    assert checked(evaluation, PLAIN).count.sum() == 100 * 16


def test_each_half_is_checked_by_the_other():
    # Whoever checks people by their own line finds no error here.
    evaluation = make_evaluation(plain=(0.5, np.arange(200) % 2 == 0))
    table = checked(evaluation, PLAIN)
    assert table.error == pytest.approx(1.0)
    assert table.count.tolist() == [1600, 0, 0, 0, 0, 0, 0, 0, 0, 1600]
    assert (table.share[0], table.share[-1]) == (1.0, 0.0)


def test_halves_that_agree_have_no_error():
    person = np.arange(400)
    heights = np.where(person < 200, 0.2, 0.8)
    evaluation = make_evaluation(plain=(heights, (person < 80) | (person >= 220)))
    assert evaluation.reliability(PLAIN).error == pytest.approx((0.2 + 0.1) / 2)
    table = checked(evaluation, PLAIN)
    assert table.error == pytest.approx(0.0, abs=1e-6)
    assert table.count.sum() == 400 * 16


def test_the_ways_are_checked_apart():
    person = np.arange(200)
    evaluation = make_evaluation(plain=(0.5, person % 2 == 0), flip_test=(0.5, person >= 0))
    assert checked(evaluation, PLAIN).error == pytest.approx(1.0)
    assert checked(evaluation, FLIP_TEST).error == pytest.approx(0.0)


def test_too_few_people_are_refused():
    few = make_evaluation(plain=(0.5, np.ones(6, bool)))
    with pytest.raises(ValueError, match="96 labelled keypoints are too few"):
        whole_alone(few)
    # Enough together, but not each half of them.
    with pytest.raises(ValueError, match="96 labelled keypoints are too few"):
        checked(make_evaluation(plain=(0.5, np.ones(12, bool))), PLAIN)


def test_joints_outside_the_picture_make_their_height_mean_less():
    evaluation = make_evaluation(plain=(0.4, np.arange(100) < 60))
    outside = np.zeros((100, 16), bool)
    outside[:50, :2] = True  # an ankle and a knee, whose mirror pairs share their lines
    none = np.zeros_like(outside)
    scores = np.full(outside.shape, 0.4, np.float32)
    (calibration,) = calibrate(evaluation, {PLAIN: CutPeople(scores, none, none, outside)}).values()
    rates = [line.tolist() for line in calibration.rates]
    pairs = {joint: pair for pair in MPII.mirror_pairs for joint in pair}
    for joint, rate in enumerate(rates):
        changed = {0, 1} & set(pairs.get(joint, (joint,)))
        assert rate == [pytest.approx(120 / 250 if changed else 0.6, abs=1e-4)]


# The command.


@pytest.mark.usefixtures("doubtful")
def test_a_calibrated_model_says_how_often_it_is_right(
    model: Path, untouched: Path, people_pattern: str, run: Result
):
    lines = run(model).splitlines()
    assert lines[2:] == [f"32 people of {people_pattern}, calibrated model in {model}"]
    runtime = load_runtime(untouched)
    heights = evaluate(people_pattern, model, flip_test=True, calibrated=False, runtime=runtime)
    cut = cut_ways(people_pattern, runtime, heights)
    assert numbers(read_calibrations(model)) == numbers(calibrate(heights, cut))
    scored = evaluate(people_pattern, model, flip_test=True)
    assert scored.calibrated == {PLAIN: True, FLIP_TEST: True}
    for line, kind in zip(lines, (PLAIN, FLIP_TEST), strict=False):
        before = heights.reliability(kind).error
        after = cross_checked(heights, kind, cut[kind]).error
        assert line == f"{kind:<10} expected calibration error {before:.3f} -> {after:.3f}"
        assert after < 0.8 * before
        assert scored.reliability(kind).error < 0.8 * before
        np.testing.assert_array_equal(scored.keypoints[kind].points, heights.keypoints[kind].points)
    weights = (load_model(path)[0].get_weights() for path in (model, untouched))
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.usefixtures("doubtful")
def test_calibrating_again_starts_from_the_peaks(model: Path, run: Result):
    out = run(model)
    once = numbers(read_calibrations(model))
    assert run(model) == out
    assert numbers(read_calibrations(model)) == once


@pytest.mark.usefixtures("doubtful")
def test_another_file_may_be_written_and_made_compact(
    model: Path, untouched: Path, tmp_path: Path, run: Result
):
    compact = tmp_path / "compact.keras"
    assert run(model, "--output", compact, "--compact").endswith(f" model in {compact}\n")
    assert model.read_bytes() == untouched.read_bytes()
    assert sorted(tmp_path.iterdir()) == [model, compact]
    assert compact.stat().st_size < 0.7 * untouched.stat().st_size
    assert list(read_calibrations(compact)) == [PLAIN, FLIP_TEST]
    exact, rounded = (load_model(path)[0].get_weights() for path in (model, compact))
    assert any((one != other).any() for one, other in zip(exact, rounded, strict=True))


def test_a_program_gets_calibrated_scores(model: Path, run: Result):
    picture = np.random.default_rng(0).integers(0, 256, (80, 60, 3), np.uint8)
    before = load_runtime(model)
    run(model)
    calibrations = read_calibrations(model)
    for flip, kind in ((False, PLAIN), (True, FLIP_TEST)):
        estimators = (
            PoseEstimator(before, flip_test=flip),
            PoseEstimator.load(model, flip_test=flip),
        )
        assert [estimator.calibrated for estimator in estimators] == [False, True]
        raw, scored = (estimator(picture) for estimator in estimators)
        np.testing.assert_array_equal(raw.points, scored.points)
        expected = calibrations[kind](raw.scores)
        np.testing.assert_allclose(scored.scores, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("doubtful")
def test_the_newest_model_is_the_default(
    model: Path, tmp_path: Path, people_pattern: str, monkeypatch: pytest.MonkeyPatch
):
    default = tmp_path / "models" / "run" / "best.keras"
    default.parent.mkdir(parents=True)
    model.rename(default)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["--data", people_pattern])
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith("calibrated model in models/run/best.keras\n")
    assert list(read_calibrations(default)) == [PLAIN, FLIP_TEST]


# What is refused.


def test_a_missing_or_bad_model_is_told_in_a_line(
    people_pattern: str, tmp_path: Path, error_of: Callable[..., str]
):
    (tmp_path / "text.keras").write_text("a text")
    for name, told in (("none", "no such model file"), ("text", "not a model file")):
        path = tmp_path / f"{name}.keras"
        assert error_of(main, "--data", people_pattern, "--model", path).startswith(
            f"{path}: {told}"
        )


@pytest.mark.usefixtures("doubtful")
def test_no_and_too_few_people_are_told_in_a_line(
    shards: Path, tmp_path: Path, model: Path, untouched: Path, error_of: Callable[..., str]
):
    told = error_of(main, "--data", f"{tmp_path}/validation*", "--model", model)
    assert told.startswith(f"no shards match '{tmp_path}/validation*'")
    told = error_of(main, "--data", f"{shards}/validation*", "--model", model)
    assert "labelled keypoints are too few to calibrate scores, at least 100 are needed" in told
    assert model.read_bytes() == untouched.read_bytes()


@pytest.mark.usefixtures("doubtful")
def test_an_output_that_cannot_be_written_is_told_in_a_line(
    people_pattern: str,
    tmp_path: Path,
    model: Path,
    untouched: Path,
    error_of: Callable[..., str],
):
    target = tmp_path / "missing" / "best.keras"
    told = error_of(main, "--data", people_pattern, "--model", model, "--output", target)
    assert str(target.parent) in told
    assert model.read_bytes() == untouched.read_bytes()
    assert list(tmp_path.iterdir()) == [model]


def test_people_must_be_named(model: Path):
    result = CliRunner().invoke(main, ["--model", str(model)])
    assert result.exit_code != 0
    assert "Missing option '--data'" in result.output


def test_the_shipped_model_stays_as_it_came(error_of: Callable[..., str]):
    before = SHIPPED.stat().st_mtime_ns
    told = "comes with the project and stays as it is: name an --output"
    for path in (SHIPPED, os.path.relpath(SHIPPED)):
        assert told in error_of(main, "--data", "nowhere*", "--model", path)
    assert SHIPPED.stat().st_mtime_ns == before
