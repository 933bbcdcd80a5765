"""The commands on files at URLs: the same as on this machine, and no word of where copies lie."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from hourglass.build import main as build
from hourglass.core import cluster
from hourglass.core.config import Config
from hourglass.core.files import upload
from hourglass.core.presets import PRESETS
from hourglass.core.storage import MissingError, StorageError, Url
from hourglass.data.shards import find_shards
from hourglass.evaluate import main as evaluate
from hourglass.export import main as export
from hourglass.predict import main as predict
from hourglass.train import main as train

ErrorOf = Callable[..., str]


def run(command: click.Command, *arguments: object) -> str:
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    assert "cache" not in result.output
    return result.output


@pytest.fixture
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The builder's tasks run here, one after the other, without Ray."""

    def in_parallel(function: Callable[..., Any], tasks: Sequence[Any]) -> Iterator[list[Any]]:
        return ([function(*task)] for task in tasks)

    monkeypatch.setattr(cluster, "started", lambda *_: nullcontext())
    monkeypatch.setattr(cluster, "in_parallel", in_parallel)
    monkeypatch.setattr(cluster, "count_nodes", lambda: 1)


@pytest.fixture
def labelled(tmp_path: Path, write_set: Callable[[Path], None]) -> Path:
    write_set(tmp_path / "set")
    return tmp_path / "set"


@pytest.fixture(scope="session")
def write_set(dotted_person: Callable[..., Any]) -> Callable[[Path], None]:
    """`write_set(folder)`: nine labelled pictures to train on and five to validate."""

    def write(folder: Path) -> None:
        for name in ("annotations", "images"):
            (folder / name).mkdir(parents=True)
        for split, numbers in (("train", range(9)), ("validation", range(100, 105))):
            entries = []
            for number in numbers:
                person, picture = dotted_person(number)
                Image.fromarray(picture).save(folder / "images" / person.filename, quality=95)
                entries.append(
                    {
                        "image": person.filename,
                        "joints": np.where(person.labelled[:, None], person.points + 1, 0).tolist(),
                        "joints_vis": person.labelled.astype(int).tolist(),
                        "center": (person.center + 1).tolist(),
                        "scale": person.scale,
                    }
                )
            (folder / f"annotations/{split}.json").write_text(json.dumps(entries))

    return write


def build_options(source: object, output: object) -> list[object]:
    where = ["--annotations", f"{source}/annotations", "--images", f"{source}/images"]
    return [*where, "--output", output, "--train-shards", 2, "--val-shards", 1]


def test_shards_at_a_url_are_those_of_a_local_build(
    elsewhere: Url, labelled: Path, tmp_path: Path, one_process: None
):
    upload(labelled, elsewhere / "set")
    run(build, *build_options(labelled, tmp_path / "shards"))
    told = run(build, *build_options(elsewhere / "set", elsewhere / "shards"))
    assert f"14 people in 3 shards (3 built, 0 kept), 0.0 MB in {elsewhere}/shards" in told
    for path in (tmp_path / "shards").glob("*.tfrecords"):
        assert (elsewhere / "shards" / path.name).read_bytes() == path.read_bytes()
    manifest = json.loads((elsewhere / "shards/manifest.json").read_text())
    assert manifest["annotations"] == f"{elsewhere}/set/annotations"
    assert sorted(elsewhere.entries())[-4:] == [
        "shards/manifest.json",
        "shards/train_0001_of_0002.tfrecords",
        "shards/train_0002_of_0002.tfrecords",
        "shards/validation_0001_of_0001.tfrecords",
    ]


def test_a_build_at_a_url_does_only_what_is_missing(
    elsewhere: Url, labelled: Path, one_process: None
):
    upload(labelled, elsewhere / "set")
    options = build_options(elsewhere / "set", elsewhere / "shards")
    run(build, *options)
    (elsewhere / "shards/train_0002_of_0002.tfrecords").unlink()
    assert "(1 built, 2 kept)" in run(build, *options)
    assert "(0 built, 3 kept)" in run(build, *options)


@pytest.fixture
def spoilt_build(
    memory: Url,
    labelled: Path,
    one_process: None,
    monkeypatch: pytest.MonkeyPatch,
    error_of: ErrorOf,
) -> Callable[[Callable[[Url, Path], None]], str]:
    """`spoilt_build(store)`: the error of a build into `memory / "shards"` in which shards of
    validation people are stored by `store(url, path)`."""
    own = Url.upload

    def build_with(store: Callable[[Url, Path], None]) -> str:
        def stored(url: Url, path: Path) -> None:
            (store if url.name.startswith("validation") else own)(url, path)

        with monkeypatch.context() as changed:
            changed.setattr(Url, "upload", stored)
            return error_of(build, *build_options(labelled, memory / "shards"))

    return build_with


def test_a_manifest_names_no_shard_that_is_not_there(
    memory: Url, labelled: Path, spoilt_build: Callable[..., str]
):
    def fail(url: Url, path: Path) -> None:
        raise StorageError(str(url), "no connection")

    told = spoilt_build(fail)
    name = "validation_0001_of_0001.tfrecords"
    assert told == f"{memory}/shards/{name}: cannot be written (no connection)"
    manifest = json.loads((memory / "shards/manifest.json").read_text())
    assert set(manifest["shards"]) < set((memory / "shards").children())
    assert "0 kept" not in run(build, *build_options(labelled, memory / "shards"))


def test_a_build_whose_place_another_has_taken_over_ends(
    memory: Url, spoilt_build: Callable[..., str]
):
    own = Url.upload

    def lose_place(url: Url, path: Path) -> None:
        own(url, path)
        (memory / "shards/.lock").write_bytes(b"process 7 on elsewhere\nabc 3\n")

    assert spoilt_build(lose_place) == (
        f"{memory}/shards: a build by process 7 on elsewhere has taken the place; this one writes "
        "no more there"
    )
    assert "validation_" not in (memory / "shards/manifest.json").read_text()


def test_pictures_that_are_missing_at_a_url_are_named(
    elsewhere: Url, labelled: Path, one_process: None, error_of: ErrorOf
):
    min((labelled / "images").iterdir()).unlink()
    upload(labelled, elsewhere / "set")
    options = build_options(elsewhere / "set", elsewhere / "shards")
    assert error_of(build, *options).startswith("1 bad pictures, named above")
    assert "13 people in 3 shards" in run(build, *options, "--skip-bad")


@pytest.mark.slow
def test_workers_in_processes_of_their_own_read_and_write_at_urls(s3: Url, labelled: Path):
    upload(labelled, s3 / "set")
    told = run(build, *build_options(s3 / "set", s3 / "shards"), "--workers", 1)
    assert "14 people in 3 shards (3 built, 0 kept)" in told
    assert len((s3 / "shards").children()) == 4


@pytest.fixture
def stored(elsewhere: Url, shards: Path, micro_file: Path) -> Url:
    """A folder at a URL with `shards` and `models/micro.keras`."""
    upload(shards, elsewhere / "shards")
    upload(micro_file, elsewhere / "models/micro.keras")
    return elsewhere


def test_shards_at_a_url_are_found_and_must_be_complete(stored: Url, shards: Path):
    here = find_shards(f"{shards}/train*")
    copies = find_shards(f"{stored}/shards/train*")
    assert [Path(copy).read_bytes() for copy in copies] == [Path(one).read_bytes() for one in here]
    with pytest.raises(ValueError, match=f"no shards match '{stored}/shards/test*"):
        find_shards(f"{stored}/shards/test*")
    (stored / "shards/train_0001_of_0002.tfrecords").unlink()
    with pytest.raises(ValueError, match=f"the first is {stored}/shards/train_0001_of_0002"):
        find_shards(f"{stored}/shards/train*")


def test_shards_by_a_file_url_are_read_where_they_are(shards: Path):
    assert find_shards(f"{shards.as_uri()}/train*") == find_shards(f"{shards}/train*")


def test_evaluate_reads_and_writes_at_urls(stored: Url, shards: Path, micro_file: Path):
    data, model = f"{stored}/shards/validation*", stored / "models/micro.keras"
    options = ["--json", stored / "out/numbers.json", "--report", stored / "out/report"]
    told = run(evaluate, "--data", data, "--model", model, *options)
    assert f"report in {stored}/out/report/" in told
    here = run(evaluate, "--data", f"{shards}/validation*", "--model", micro_file)
    scores = here.splitlines()[:-1]
    assert told.splitlines()[: len(scores)] == scores
    assert f"9 people of {data}, model {model}" in told
    numbers = json.loads((stored / "out/numbers.json").read_text())
    assert (numbers["model"], numbers["data"]) == (str(model), data)
    assert len(list((stored / "out/report").entries())) == 1


def test_predict_reads_and_writes_at_urls(
    stored: Url, tmp_path: Path, write_set: Callable[[Path], None], error_of: ErrorOf
):
    write_set(tmp_path / "set")
    upload(tmp_path / "set/images", stored / "images")
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    upload(tmp_path / "bad.jpg", stored / "images/zbad.jpg")
    options = ["--output", stored / "out/drawn", "--json", stored / "out/poses.json"]
    model = ["--model", stored / "models/micro.keras"]
    result = CliRunner().invoke(
        predict, [str(one) for one in [f"{stored}/images", *model, *options]]
    )
    assert result.exit_code == 1
    assert f"14 of 15 pictures done, drawn in {stored}/out/drawn, model {model[1]}" in result.output
    assert result.output.splitlines()[-1].startswith(f"Error: {stored}/images/zbad.jpg: not a pic")
    poses = json.loads((stored / "out/poses.json").read_text())
    assert poses[0]["image"] == f"{stored}/images/dots_0000.jpg"
    assert "dots_0104_pose.jpg" in (stored / "out/drawn").children()
    told = error_of(predict, f"{stored}/images/*000?.jpg", *model, *options)
    assert told.startswith(f"{stored}/out/poses.json is there already")
    run(predict, f"{stored}/images/*000?.jpg", *model, *options, "--force")


def test_a_film_at_a_url_is_followed_and_drawn_there(
    memory: Url, micro_file: Path, tmp_path: Path, draw_film: Callable[[Path], None]
):
    draw_film(tmp_path / "film.mp4")
    upload(tmp_path / "film.mp4", memory / "film.mp4")
    lines = memory / "out/poses.jsonl"
    output = memory / "out/drawn.mp4"
    run(predict, memory / "film.mp4", "--model", micro_file, "--output", output, "--json", lines)
    first = json.loads(lines.read_text().splitlines()[0])
    assert (first["image"], first["frame"]) == (f"{memory}/film.mp4", 0)
    assert output.entry().size > 0


@pytest.fixture(scope="session")
def draw_film(dotted_person: Callable[..., Any]) -> Callable[[Path], None]:
    """`draw_film(path)`: three frames."""
    from hourglass.media.film_writer import FilmWriter

    def draw(path: Path) -> None:
        with FilmWriter(path, rate=10) as film:
            for number in range(3):
                film.write(dotted_person(number)[1])

    return draw


@pytest.mark.slow
def test_export_writes_to_a_url_and_is_compared_there(stored: Url):
    model = ["--model", stored / "models/micro.keras"]
    told = run(export, *model, "--format", "saved-model", "--output", stored / "out/saved")
    assert f"heatmaps export of {model[1]} in {stored}/out/saved" in told
    assert "saved_model.pb" in (stored / "out/saved").children()


@pytest.mark.slow
def test_an_export_goes_beside_its_model_at_a_url(memory: Url, micro_file: Path, error_of: ErrorOf):
    upload(micro_file, memory / "micro.keras")
    options = ["--model", memory / "micro.keras", "--format", "saved-model"]
    run(export, *options)
    assert (memory / "micro_saved_model/saved_model.pb").is_file()
    assert error_of(export, *options).startswith(f"--output {memory}/micro_saved_model: exists")


@pytest.fixture
def small_config(micro_config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """The preset `tiny` is `micro_config`."""
    monkeypatch.setitem(PRESETS, "tiny", micro_config)


@pytest.mark.slow
def test_a_training_at_urls_is_resumed_on_another_machine(
    memory: Url, shards: Path, small_config: None, url_cache: Path, error_of: ErrorOf
):
    upload(shards, memory / "shards")
    options = [
        "--data",
        memory / "shards",
        "--models",
        memory / "models",
        "--logs",
        memory / "logs",
    ]
    options += ["--preset", "tiny"]
    told = run(train, *options, "--epochs", 1)
    assert f"last model   {memory}/models/tiny/last.keras" in told
    assert set((memory / "models/tiny").children()) == {
        *("best.keras", "config.json", "data.json", "history.csv", "last.keras")
    }
    assert error_of(train, *options).startswith(f"{memory}/models/tiny holds a run already")
    shutil.rmtree(url_cache / "files")
    assert list((url_cache / "new").rglob("*.keras")) == []
    run(train, *options, "--epochs", 2, "--resume")
    assert len((memory / "models/tiny/history.csv").read_text().splitlines()) == 3
    assert len((memory / "logs/tiny").children()) == 2
    written = "".join(
        (memory / name).read_text()
        for name in ("models/tiny/config.json", "models/tiny/history.csv")
    )
    assert "bucket" not in written


def test_no_command_shows_a_secret(error_of: ErrorOf):
    for command, option in ((train, "--models"), (build, "--output"), (evaluate, "--model")):
        told = error_of(command, option, "s3://key:secret@bucket/x")
        assert "s3://***@bucket/x: credentials do not belong into a URL" in told
        assert "secret" not in told
    told = error_of(predict, "http://user:secret@127.0.0.1:9/film.mp4")
    assert "http://***@127.0.0.1:9/film.mp4" in told
    assert "secret" not in told


def test_what_is_not_there_is_one_line(memory: Url, error_of: ErrorOf):
    assert error_of(evaluate, "--data", f"{memory}/v*", "--model", memory / "m.keras") == str(
        MissingError(str(memory / "m.keras"))
    )
    assert error_of(train, "--data", memory).startswith(f"no shards match '{memory}/train*'")
