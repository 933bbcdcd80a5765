"""Scores: what is perfect gets 100, what is wrong is counted once, and all outputs say the same."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from hourglass.core.config import Config, NetworkConfig, TrainConfig
from hourglass.core.person import Person
from hourglass.core.skeleton import MPII
from hourglass.data.datasets import validation_dataset
from hourglass.data.people import load_people
from hourglass.data.records import frame, to_example
from hourglass.evaluate import main
from hourglass.modelfiles.keras_file import save_model
from hourglass.modelfiles.runtimes import Runtime
from hourglass.networks.hourglass import build_network
from hourglass.networks.losses import ForegroundWeightedMSE
from hourglass.scoring.evaluation import evaluate
from hourglass.scoring.oks import MEASURES
from hourglass.scoring.tables import format_table, to_dict
from hourglass.training.callbacks.validate import Validate
from hourglass.training.feed import pairs, validation_feed
from hourglass.training.metrics import validation_model

GROUPS = dict(MPII.groups)
COLUMNS = ("PCKh@0.5", "PCKh@0.1", "PCK@0.2")


class Mistaken:
    """A runtime that is not quite sure of some joints of the first crops, and far from them."""

    def __init__(self, runtime: Runtime, joints: list[str], *, crops: int = 100) -> None:
        self.config = runtime.config
        self.calibrations = runtime.calibrations
        self._runtime = runtime
        self._joints = [MPII.index(joint) for joint in joints]
        self._crops = crops

    def heatmaps(self, images: np.ndarray) -> np.ndarray:
        heatmaps = self._runtime.heatmaps(images)
        for person in heatmaps[: self._crops]:
            person[..., self._joints] = 0.8 * np.roll(person[..., self._joints], 20, axis=(0, 1))
        self._crops = max(0, self._crops - len(images))
        return heatmaps


@pytest.fixture
def use_runtime(monkeypatch: pytest.MonkeyPatch) -> Callable[[Runtime], None]:
    """Every `.keras` file, there or not, is this runtime from now on."""

    def use(runtime: Runtime) -> None:
        monkeypatch.setattr("hourglass.modelfiles.runtimes.KerasRuntime", lambda path: runtime)

    return use


def numbers(line: str) -> list[float]:
    return [float(value) for value in line[14:].split()]


# Scores.


def test_perfect_predictions_get_100(
    shards: Path, dot_finder: Runtime, use_runtime: Callable[[Runtime], None]
):
    use_runtime(dot_finder)
    evaluation = evaluate(f"{shards}/validation*", "dots.keras", flip_test=True)
    assert len(evaluation.labels) == 9
    assert evaluation.model == "dots.keras"
    assert set(evaluation.scores) == {"plain", "flip_test"}
    labelled = load_people(f"{shards}/validation*").labelled
    for scores in evaluation.scores.values():
        assert tuple(scores) == COLUMNS == ("PCKh@0.5", "PCKh@0.1", "PCK@0.2")
        for column, score in scores.items():
            assert (score.pooled, score.mean) == (100, 100), column
            np.testing.assert_array_equal(score.per_joint, np.full(16, 100.0))
        for column in COLUMNS[:2]:
            np.testing.assert_array_equal(scores[column].labelled, labelled.sum(axis=0))
    # PCK counts people alone whose torso is labelled at both ends.
    ends = [MPII.index("right_shoulder"), MPII.index("left_hip")]
    whole = labelled[:, ends].all(axis=1)
    assert 0 < whole.sum() < 9
    np.testing.assert_array_equal(
        evaluation.scores["plain"]["PCK@0.2"].labelled, labelled[whole].sum(axis=0)
    )


def test_both_means_count_what_they_say(
    shards: Path, dot_finder: Runtime, use_runtime: Callable[[Runtime], None]
):
    wrong = ["head_top", "left_wrist", "thorax"]
    use_runtime(Mistaken(dot_finder, wrong, crops=4))
    score = evaluate(f"{shards}/validation*", "dots.keras").scores["plain"]["PCKh@0.5"]
    labelled = load_people(f"{shards}/validation*").labelled
    found = labelled.copy()
    found[:4, [MPII.index(joint) for joint in wrong]] = False
    per_joint = 100 * found.sum(axis=0) / labelled.sum(axis=0)
    kept = [joint for joint in range(16) if MPII.joints[joint] not in ("pelvis", "thorax")]
    np.testing.assert_allclose(score.per_joint, per_joint)
    assert score.pooled == pytest.approx(100 * found[:, kept].sum() / labelled[:, kept].sum())
    assert score.mean == pytest.approx(per_joint[kept].mean())
    assert score.pooled != pytest.approx(score.mean, abs=1e-3)
    right, left = (per_joint[MPII.index(f"{side}_wrist")] for side in ("right", "left"))
    assert score.group("Wrist") == pytest.approx((right + left) / 2)
    assert score.group("Head") < 100
    assert score.group("Ankle") == 100


def test_a_flip_test_has_columns_of_its_own(
    shards: Path, dot_finder: Runtime, use_runtime: Callable[[Runtime], None]
):
    # Nine crops without a flip test and nine with it come before the mirrored ones, which win.
    use_runtime(Mistaken(dot_finder, ["right_wrist", "left_wrist"], crops=18))
    evaluation = evaluate(f"{shards}/validation*", "dots.keras", flip_test=True)
    plain, flipped = (evaluation.scores[kind] for kind in ("plain", "flip_test"))
    lines = format_table(evaluation).splitlines()
    twice = [word for column in COLUMNS for word in (column, "flip")]
    assert lines[0].split() == [*COLUMNS, *twice]
    wrist = next(line for line in lines if line.startswith("Wrist"))
    assert numbers(wrist) == [0, 0, 0, 100, 100, 100]
    assert plain["PCKh@0.5"].pooled < flipped["PCKh@0.5"].pooled == 100


def test_pictures_are_taken_as_stored(
    tmp_path: Path,
    dotted_person: Callable[..., tuple[Person, np.ndarray]],
    dot_finder: Runtime,
    use_runtime: Callable[[Runtime], None],
):
    # In shards, labels are in pixels as stored: EXIF must turn neither scores nor targets.
    exif = Image.Exif()
    exif[0x0112] = 6
    person, picture = dotted_person(3)
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "JPEG", quality=100, subsampling=0, exif=exif)
    example = to_example(person, encoded=out.getvalue(), height=88, width=96)
    (tmp_path / "validation_0001_of_0001.tfrecords").write_bytes(frame(example))
    use_runtime(dot_finder)
    evaluation = evaluate(f"{tmp_path}/validation*", "dots.keras")
    assert evaluation.scores["plain"]["PCKh@0.1"].pooled == 100
    config = Config(NetworkConfig(stacks=1, channels=8, depth=1, input_size=256))
    images, _, _ = next(
        validation_dataset(f"{tmp_path}/val*", config, batch_size=1).take(1).as_numpy_iterator()
    )
    upright = dot_finder.heatmaps(images)[0].max(axis=(0, 1))
    np.testing.assert_array_equal(upright > 0.5, person.labelled)


# People who are looked for.


@pytest.fixture
def detector(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """`detector(boxes)`: what the detector finds in a picture is `boxes(picture)` from now on.

    Returns a list that grows by the width of each picture it was asked about.
    """

    def use(boxes: Callable[[np.ndarray], list[tuple[float, ...]]]) -> list[int]:
        asked: list[int] = []

        def find(picture: np.ndarray) -> list[tuple[float, ...]]:
            asked.append(picture.shape[1])
            return boxes(picture)

        monkeypatch.setattr("hourglass.inference.detection.PeopleDetector", lambda: find)
        return asked

    return use


def whole_picture(picture: np.ndarray) -> list[tuple[float, ...]]:
    return [(0.0, 0.0, float(picture.shape[1]), float(picture.shape[0]))]


@pytest.fixture
def two_in_a_picture(
    tmp_path: Path,
    dotted_person: Callable[..., tuple[Person, np.ndarray]],
    to_jpeg_bytes: Callable[[np.ndarray], bytes],
) -> str:
    """Shards of a picture of two people side by side, and of one of one person."""
    left, one = dotted_person(1, filename="two.jpg")
    right, other = dotted_person(2, filename="two.jpg")
    aside = np.array([one.shape[1], 0], np.float32)
    points = np.where(right.labelled[:, None], right.points + aside, right.points)
    right = dataclasses.replace(right, points=points, center=right.center + aside)
    alone, third = dotted_person(3)
    both = np.concatenate([one, other], axis=1)
    with (tmp_path / "validation_0001_of_0001.tfrecords").open("wb") as file:
        for person, picture in ((left, both), (alone, third), (right, both)):
            height, width = picture.shape[:2]
            encoded = to_jpeg_bytes(picture)
            file.write(frame(to_example(person, encoded=encoded, height=height, width=width)))
    return f"{tmp_path}/validation*"


def halves(picture: np.ndarray) -> list[tuple[float, ...]]:
    """The right half first: labels and detections come in no common order."""
    height, width = picture.shape[:2]
    return [(x, 0.0, 96.0, float(height)) for x in range(width - 96, -1, -96)]


def test_people_who_are_found_are_scored_as_whom_they_are_most_like(
    two_in_a_picture: str,
    dot_finder: Runtime,
    use_runtime: Callable[[Runtime], None],
    detector: Callable[..., list[int]],
):
    use_runtime(dot_finder)
    asked = detector(halves)
    evaluation = evaluate(two_in_a_picture, "dots.keras", flip_test=True, detect=True)
    assert asked == [192, 96]  # each picture once, though one is stored twice
    assert evaluation.detected == 3
    for kind in ("plain", "flip_test"):
        assert evaluation.keypoints[kind].found.all()
        assert evaluation.scores[kind]["PCKh@0.5"].pooled == 100
        assert evaluation.oks[kind]["AP"] == pytest.approx(100)
        assert evaluation.oks[kind]["AR"] == pytest.approx(100)


def test_who_is_not_found_counts_as_missed(
    two_in_a_picture: str,
    dot_finder: Runtime,
    use_runtime: Callable[[Runtime], None],
    detector: Callable[..., list[int]],
):
    use_runtime(dot_finder)
    detector(lambda picture: halves(picture)[:1] if picture.shape[1] > 96 else [])
    evaluation = evaluate(two_in_a_picture, "dots.keras", detect=True)
    keypoints, labelled = evaluation.keypoints["plain"], evaluation.labels.labelled
    assert keypoints.found.tolist() == [False, False, True]
    kept = np.delete(np.arange(16), [MPII.index("pelvis"), MPII.index("thorax")])
    counts = labelled[:, kept].sum(axis=1)
    share = 100 * counts[2] / counts.sum()
    assert evaluation.scores["plain"]["PCKh@0.5"].pooled == pytest.approx(share)
    assert evaluation.oks["plain"]["AR"] == pytest.approx(100 / 3)
    assert not evaluation.right("plain")[:2].any()
    assert not keypoints.scores[:2].any()


def test_the_command_says_who_was_looked_for(
    two_in_a_picture: str,
    tmp_path: Path,
    dot_finder: Runtime,
    use_runtime: Callable[[Runtime], None],
    detector: Callable[..., list[int]],
):
    use_runtime(dot_finder)
    detector(lambda picture: [*halves(picture)[:1], (5.0, 5.0, 10.0, 10.0)])
    arguments = ["--data", two_in_a_picture, "--model", "dots.keras", "--detect"]
    written = ["--json", str(tmp_path / "scores.json"), "--report", str(tmp_path / "page")]
    result = CliRunner().invoke(main, [*arguments, *written])
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert f"3 people of {two_in_a_picture}, model dots.keras" in lines
    assert "looked for in 2 pictures: 4 found, matched with 3 of the labelled" in lines
    title = next(place for place, line in enumerate(lines) if line.startswith("OKS"))
    assert lines[title].split()[1:] == list(MEASURES)
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores["detected"] == 4
    for cell, name in zip(lines[title + 1].split()[1:], MEASURES, strict=True):
        value = scores["oks"]["plain"][name]
        assert (cell == "nan") == (value is None)
        assert value is None or float(cell) == pytest.approx(value, abs=0.006)
    assert "labels of 3 of 3 people give no area for OKS: 0.53 of the box" in lines
    assert "as the detector found them" in (tmp_path / "page" / "report.html").read_text()


def test_parts_of_a_picture_are_not_looked_at_for_people(
    two_in_a_picture: str,
    dotted_person: Callable[..., tuple[Person, np.ndarray]],
    to_jpeg_bytes: Callable[[np.ndarray], bytes],
    dot_finder: Runtime,
    use_runtime: Callable[[Runtime], None],
    detector: Callable[..., list[int]],
    error_of: Callable[..., str],
):
    person, picture = dotted_person(5, filename="two.jpg")
    example = to_example(person, encoded=to_jpeg_bytes(picture), height=88, width=96)
    with Path(two_in_a_picture.replace("*", "_0001_of_0001.tfrecords")).open("ab") as file:
        file.write(frame(example))
    use_runtime(dot_finder)
    detector(whole_picture)
    line = error_of(main, "--data", two_in_a_picture, "--model", "dots.keras", "--detect")
    assert line.startswith("two.jpg: the shards hold a part of it for each person")
    assert line.endswith("build shards with --store whole")


# A trained network.


@pytest.fixture(scope="module")
def people_folder(
    tmp_path_factory: pytest.TempPathFactory, write_shards: Callable[..., list[Person]]
) -> Path:
    folder = tmp_path_factory.mktemp("people")
    write_shards(folder, "validation", [50, 50])
    return folder


@pytest.mark.usefixtures("quick_graphs")
def test_validation_while_training_agrees_with_evaluate(people_folder: Path, tmp_path: Path):
    config = Config(
        NetworkConfig(stacks=1, channels=16, depth=1, input_size=64, architecture="unet"),
        train=TrainConfig(batch_size=8),
    )
    pattern = f"{people_folder}/validation*"
    keras.utils.set_random_seed(1)
    network, loss = build_network(config.network), ForegroundWeightedMSE()
    network.compile(keras.optimizers.Adam(1e-2), loss, jit_compile=False)
    examples = validation_dataset(pattern, config).cache().repeat()
    network.fit(examples, steps_per_epoch=60, verbose=0)
    plain = build_network(config.network)
    plain.set_weights(network.get_weights())
    save_model(tmp_path / "best.keras", plain, config)
    people = load_people(pattern)
    batches = pairs(validation_feed(pattern, config))
    validate = Validate(validation_model(network, loss), batches, people, input_size=64)
    logs: dict[str, float] = {}
    validate.on_epoch_end(0, logs)
    scores = evaluate(pattern, tmp_path / "best.keras", refine="quarter").scores["plain"]
    assert logs["val_pckh@0.5"] > 40
    assert abs(logs["val_pckh@0.5"] - scores["PCKh@0.5"].pooled) <= 1
    assert abs(logs["val_pckh@0.1"] - scores["PCKh@0.1"].pooled) <= 1


# What the command prints and writes.


def test_table_and_json_say_the_same(
    shards: Path, tmp_path: Path, dot_finder: Runtime, use_runtime: Callable[[Runtime], None]
):
    use_runtime(Mistaken(dot_finder, ["head_top", "left_wrist", "right_hip", "left_hip"], crops=5))
    path = tmp_path / "scores.json"
    data = f"{shards}/validation*"
    result = CliRunner().invoke(
        main, ["--data", data, "--model", "dots.keras", "--flip-test", "--json", str(path)]
    )
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    table = {line[:14].strip(): numbers(line) for line in lines[1:11]}
    assert list(table) == [*GROUPS, "Mean, pooled", "Mean of joints"]
    assert lines[11:] == [f"9 people of {data}, model dots.keras", f"numbers in {path}"]
    written = json.loads(path.read_text())
    assert (written["model"], written["data"], written["people"]) == ("dots.keras", data, 9)
    columns = [(kind, column) for kind in ("plain", "flip_test") for column in COLUMNS]
    assert set(written["scores"]) == {"plain", "flip_test"}
    for position, (kind, column) in enumerate(columns):
        score = written["scores"][kind][column]
        assert list(score["joints"]) == list(MPII.joints)
        for group, joints in GROUPS.items():
            expected = np.mean([score["joints"][MPII.joints[one]]["percent"] for one in joints])
            assert score["groups"][group] == pytest.approx(expected)
            assert table[group][position] == pytest.approx(expected, abs=0.006)
        assert table["Mean, pooled"][position] == pytest.approx(score["pooled"], abs=0.006)
        assert table["Mean of joints"][position] == pytest.approx(score["mean"], abs=0.006)
    plain = written["scores"]["plain"]["PCKh@0.5"]
    labelled = load_people(data).labelled.sum(axis=0)
    assert [joint["labelled"] for joint in plain["joints"].values()] == labelled.tolist()
    assert plain["pooled"] < 100


def test_a_joint_that_nobody_has_labelled_has_no_number(
    tmp_path: Path,
    dotted_person: Callable[..., tuple[Person, np.ndarray]],
    to_jpeg_bytes: Callable[[np.ndarray], bytes],
    dot_finder: Runtime,
    use_runtime: Callable[[Runtime], None],
):
    person, picture = dotted_person(0)
    labelled = person.labelled & (np.arange(16) != MPII.index("head_top"))
    one = dataclasses.replace(person, visibility=2 * labelled.astype(np.uint8))
    example = to_example(one, encoded=to_jpeg_bytes(picture), height=88, width=96)
    (tmp_path / "validation_0001_of_0001.tfrecords").write_bytes(frame(example))
    use_runtime(dot_finder)
    evaluation = evaluate(f"{tmp_path}/validation*", "dots.keras")
    written = json.loads(json.dumps(to_dict(evaluation), allow_nan=False))
    score = written["scores"]["plain"]["PCKh@0.5"]
    assert score["joints"]["head_top"] == {"percent": None, "labelled": 0}
    assert score["groups"]["Head"] is None
    assert (score["pooled"], score["mean"]) == (100, 100)
    head = next(line for line in format_table(evaluation).splitlines() if line.startswith("Head"))
    assert head.split()[1:] == ["nan"] * 3


def test_a_model_file_is_scored_from_the_command_line(shards: Path, micro_file: Path):
    options = ["--data", f"{shards}/validation*", "--model", str(micro_file)]
    result = CliRunner().invoke(main, options)
    assert result.exit_code == 0, result.output
    assert f"9 people of {shards}/validation*, model {micro_file}" in result.stdout
    pooled = next(line for line in result.stdout.splitlines() if line.startswith("Mean, pooled"))
    assert all(0 <= value <= 100 for value in numbers(pooled))


# What is refused.


def test_a_missing_or_bad_model_is_told_in_a_line(
    shards: Path, tmp_path: Path, error_of: Callable[..., str]
):
    data = ("--data", f"{shards}/validation*")
    (tmp_path / "text.keras").write_text("a text")
    assert "none.keras: no such model file" in error_of(main, *data, "--model", "none.keras")
    assert "text.keras: not a model file" in error_of(
        main, *data, "--model", tmp_path / "text.keras"
    )


def test_no_shards_are_told_in_a_line(
    tmp_path: Path,
    error_of: Callable[..., str],
    dot_finder: Runtime,
    use_runtime: Callable[[Runtime], None],
):
    use_runtime(dot_finder)
    told = error_of(main, "--data", f"{tmp_path}/validation*", "--model", "dots.keras")
    assert told.startswith(f"no shards match '{tmp_path}/validation*'; build them with")


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("truncated", "truncated, record 3 ends at byte"),
        ("another schema", "records of another schema, 'image/encoded' is missing"),
        ("damaged", "is damaged (checksum); build it again"),
    ],
)
def test_a_damaged_shard_is_named_in_a_line(
    damaged_shards: Callable[[str, str], Path],
    error_of: Callable[..., str],
    dot_finder: Runtime,
    use_runtime: Callable[[Runtime], None],
    how: str,
    told: str,
):
    use_runtime(dot_finder)
    folder = damaged_shards("validation", how)
    line = error_of(main, "--data", f"{folder}/validation*", "--model", "dots.keras")
    assert line.startswith(f"{folder}/validation_0002_of_0002.tfrecords: ")
    assert told in line


def test_a_picture_that_cannot_be_decoded_is_named_in_a_line(
    tmp_path: Path,
    dotted_person: Callable[..., tuple[Person, np.ndarray]],
    error_of: Callable[..., str],
    dot_finder: Runtime,
    use_runtime: Callable[[Runtime], None],
):
    person, _ = dotted_person(0)
    example = to_example(person, encoded=b"no picture", height=88, width=96)
    (tmp_path / "validation_0001_of_0001.tfrecords").write_bytes(frame(example))
    use_runtime(dot_finder)
    line = error_of(main, "--data", f"{tmp_path}/validation*", "--model", "dots.keras")
    assert line == f"{person.filename}: not a picture that can be read"


def test_a_json_file_that_cannot_be_written_is_named_in_a_line(
    shards: Path,
    tmp_path: Path,
    error_of: Callable[..., str],
    dot_finder: Runtime,
    use_runtime: Callable[[Runtime], None],
):
    use_runtime(dot_finder)
    (tmp_path / "file").touch()
    line = error_of(
        main,
        *("--data", f"{shards}/validation*", "--model", "dots.keras"),
        *("--json", tmp_path / "file" / "scores.json"),
    )
    assert str(tmp_path / "file" / "scores.json") in line
