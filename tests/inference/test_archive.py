"""Archives: which parts are to be made, what a later run keeps, and a run on a cluster."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest

from hourglass.core import cluster
from hourglass.core.boxes import Boxes
from hourglass.core.locking import alone_in
from hourglass.inference import archive
from hourglass.inference.archive import PER_PART, SETTINGS, How, predict_archive
from hourglass.inference.estimator import SHIPPED_LITERT
from hourglass.inference.parts import KINDS, LINES, Part, Predictor, inputs_of
from hourglass.media.inputs import Inputs
from hourglass.predict import main

pytest.importorskip("pyarrow")


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Part]:
    """The parts that were made, here and one after the other, without Ray."""
    parts: list[Part] = []

    def serially(
        todo: list[Part], how: How, folder: Path, kind: str, workers: int
    ) -> Iterator[dict[str, Any]]:
        predictor = Predictor(how, folder, kind)
        for part in todo:
            parts.append(part)
            outcome = predictor({"item": [part.to_json()]})
            yield {name: values[0] for name, values in outcome.items()}

    class Watched:
        def look(self) -> str:
            return "on 2 nodes"

    import contextlib

    monkeypatch.setattr(archive, "_outcomes", serially)
    monkeypatch.setattr(archive, "_pool_size", lambda workers: workers or 1)
    monkeypatch.setattr(cluster, "started", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr(cluster, "Nodes", Watched)
    monkeypatch.setattr(archive, "PER_PART", 2)
    return parts


def save_pictures(folder: Path, dotted_person: Callable[..., Any], count: int) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number:03d}.png" for number in range(count)]
    for number, path in enumerate(paths):
        cv2.imwrite(str(path), dotted_person(number)[1][..., ::-1])
    return paths


@pytest.fixture
def pictures(tmp_path: Path, dotted_person: Callable[..., Any]) -> list[Path]:
    return save_pictures(tmp_path / "pictures", dotted_person, 5)


def rows_in(folder: Path, kind: str) -> list[str]:
    return [name for path in sorted(folder.glob(f"part-*.{kind}")) for name in inputs_of(path)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_input_has_one_row_and_a_second_run_makes_none(
    tmp_path: Path, model: Path, pictures: list[Path], made: list[Part], kind: str
):
    inputs, folder = Inputs(tuple(pictures), ()), tmp_path / "out"
    first = predict_archive(inputs, How(model), folder=folder, kind=kind)
    assert (first.done, first.kept, first.parts, first.failures) == (5, 0, 3, [])
    assert sorted(rows_in(folder, kind)) == list(map(str, pictures))
    again = predict_archive(inputs, How(model), folder=folder, kind=kind)
    assert (again.done, again.kept, again.parts) == (0, 5, 3)
    assert again.told == "0 inputs done, 5 were done before; 3 parts"
    assert len(made) == 3


def test_a_part_that_is_missing_is_made_again_as_it_was(
    tmp_path: Path, model: Path, pictures: list[Path], made: list[Part]
):
    inputs, folder = Inputs(tuple(pictures), ()), tmp_path / "out"
    predict_archive(inputs, How(model), folder=folder, kind=LINES)
    path = sorted(folder.glob("part-*"))[1]
    before = path.read_bytes()
    path.unlink()
    (folder / f".17-0123abcd-0.{path.name}").write_text("what a killed worker left elsewhere")
    summary = predict_archive(inputs, How(model), folder=folder, kind=LINES)
    assert (summary.done, summary.kept) == (2, 3)
    assert path.read_bytes() == before
    assert {one.name for one in folder.iterdir() if one.name.startswith(".")} == set()


def test_an_archive_may_grow(tmp_path: Path, model: Path, pictures: list[Path], made: list[Part]):
    folder = tmp_path / "out"
    predict_archive(Inputs(tuple(pictures[1:4]), ()), How(model), folder=folder, kind=LINES)
    made.clear()
    summary = predict_archive(Inputs(tuple(pictures), ()), How(model), folder=folder, kind=LINES)
    assert (summary.done, summary.kept) == (2, 3)
    assert [one for part in made for one in part.inputs] == [str(pictures[0]), str(pictures[4])]
    assert sorted(rows_in(folder, LINES)) == list(map(str, pictures))


def test_results_of_other_choices_are_not_mixed(
    tmp_path: Path, model: Path, pictures: list[Path], made: list[Part]
):
    inputs, folder = Inputs(tuple(pictures), ()), tmp_path / "out"
    predict_archive(inputs, How(model), folder=folder, kind=LINES)
    problem = f"^{folder}: holds results with another flip_test, detect; name another folder$"
    with pytest.raises(ValueError, match=problem):
        predict_archive(inputs, How(model, flip_test=True, detect=True), folder=folder, kind=LINES)
    (folder / SETTINGS).unlink()
    with pytest.raises(ValueError, match=rf"holds parts, but no {SETTINGS}; name another folder"):
        predict_archive(inputs, How(model), folder=folder)


def test_settings_of_something_else_are_told(
    tmp_path: Path, model: Path, pictures: list[Path], made: list[Part]
):
    path = tmp_path / "out" / SETTINGS
    path.parent.mkdir()
    for text in ("[1]", "1", "{", "[" * 100_000):
        path.write_text(text)
        with pytest.raises(ValueError, match=f"^{path}: not the settings of an archive"):
            predict_archive(Inputs(tuple(pictures), ()), How(model), folder=path.parent)


def test_two_runs_into_one_folder_are_not_let_in(
    tmp_path: Path, model: Path, pictures: list[Path], made: list[Part]
):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / ".17-0123abcd-0.part-1.jsonl").write_text("what the other one is writing")
    problem = f"^{folder}: a prediction is under way there already, by process {os.getpid()} on "
    with alone_in(folder, doing="a prediction"), pytest.raises(ValueError, match=problem):
        predict_archive(Inputs(tuple(pictures), ()), How(model), folder=folder)
    assert (folder / ".17-0123abcd-0.part-1.jsonl").exists()


def test_boxes_are_found_by_the_names_as_given(
    tmp_path: Path,
    model: Path,
    pictures: list[Path],
    made: list[Part],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(tmp_path)
    given = [Path("pictures") / path.name for path in pictures[:2]]
    listed = Boxes({"pictures/000.png": [(1, 2, 80, 70)], "001.png": [(3, 4, 60, 50)]})
    predict_archive(
        Inputs(tuple(given), ()), How(model, listed=listed), folder=tmp_path / "out", kind=LINES
    )
    (path,) = (tmp_path / "out").glob("part-*")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["input"] for row in rows] == list(map(str, pictures[:2]))
    boxes = [row["frames"][0]["people"][0]["box"] for row in rows]
    assert boxes == [[1, 2, 80, 70], [3, 4, 60, 50]]


def test_a_camera_is_refused(tmp_path: Path, model: Path):
    with pytest.raises(ValueError, match="a camera or stream has no end"):
        predict_archive(Inputs((), (0,)), How(model), folder=tmp_path / "out")


def test_a_part_that_cannot_be_written_ends_the_run(
    tmp_path: Path, model: Path, pictures: list[Path], made: list[Part]
):
    def refuse(*_: Any) -> None:
        raise ValueError("part: cannot be written (No space left on device)")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hourglass.inference.parts.write_part", refuse)
        with pytest.raises(ValueError, match="No space left"):
            predict_archive(Inputs(tuple(pictures), ()), How(model), folder=tmp_path / "out")


def test_more_workers_than_cores_are_refused(monkeypatch: pytest.MonkeyPatch):
    import ray

    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 4.0})
    assert archive._pool_size(None) == archive._pool_size(4) == 4
    with pytest.raises(ValueError, match="the cluster has 4 cores, --workers 5 needs as many"):
        archive._pool_size(5)


@pytest.mark.parametrize(
    "options",
    [
        ["--ray-address", "A"],
        ["--parts", "P"],
        ["--workers", "2"],
        ["--ray-address", "A", "--parts", "P", "--show"],
    ],
)
def test_options_of_a_cluster_come_together(
    pictures: list[Path], error_of: Callable[..., str], options: list[str]
):
    assert "--ray-address needs --parts" in error_of(main, pictures[0], *options)


def test_the_command_tells_what_was_done(
    tmp_path: Path, model: Path, pictures: list[Path], made: list[Part]
):
    from click.testing import CliRunner

    pictures[1].write_text("no picture")
    parts = ["--ray-address", "A", "--parts", str(tmp_path / "out"), "--parts-format", LINES]
    result = CliRunner().invoke(main, [*map(str, pictures), *parts, "--model", str(model)])
    assert result.exit_code == 1
    line = f"5 inputs done; 3 parts, in {tmp_path / 'out'}, model {model}\n"
    assert line in result.output
    assert result.output.count(f"Error: {pictures[1]}: ") == 1


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("ai_edge_litert") is None, reason="LiteRT is not installed"
)
def test_a_cluster_goes_on_without_a_worker_that_was_killed(
    two_nodes: Any,
    tmp_path: Path,
    dotted_person: Callable[..., Any],
    processes_of_nodes: Callable[[str], list[int]],
):
    """With a film and a bad picture among the inputs, and a worker killed after the first part."""
    paths = save_pictures(tmp_path / "pictures", dotted_person, 2 * PER_PART + 8)
    paths[3].write_text("no picture")
    film = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(film), cv2.VideoWriter_fourcc(*"MJPG"), 10, (96, 88))
    for number in range(5):
        writer.write(dotted_person(number)[1][..., ::-1])
    writer.release()
    folder, killed = tmp_path / "out", []

    def kill() -> None:
        while not list(folder.glob("part-*")) or not processes_of_nodes("MapWorker"):
            time.sleep(0.05)
        killed.append(processes_of_nodes("MapWorker")[-1])
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    inputs = Inputs(tuple(paths), (film,))
    choices: Any = {"folder": folder, "address": two_nodes.address}
    summary = predict_archive(inputs, How(SHIPPED_LITERT), **choices)
    killer.join(timeout=1)
    assert len(killed) == 1
    assert (summary.done, summary.kept, summary.parts) == (len(paths) + 1, 0, 4)
    assert [line.startswith(f"{paths[3]}: ") for line in summary.failures] == [True]
    assert Counter(rows_in(folder, "parquet")) == Counter(map(str, [*paths, film]))
    assert predict_archive(inputs, How(SHIPPED_LITERT), **choices).done == 0
