"""The folder of the page, and the command that writes it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hourglass.export import main
from hourglass.exporting.browser import default_models
from hourglass.inference.detection import LITERT_WEIGHTS
from hourglass.inference.estimator import SHIPPED_LITERT
from hourglass.media.drawing import MIN_SCORE
from hourglass.web import litert_js
from hourglass.web.litert_js import FLAVOURS, HELPER, PACKAGE, VERSION, find_runtime
from hourglass.web.site import ISOLATION, describe_choice, with_site


@pytest.fixture
def npm_folder(tmp_path: Path) -> Path:
    """As npm lays the runtime out, with nothing in most files."""
    folder = tmp_path / "npm"
    core, helper = (folder / "node_modules" / name for name in (PACKAGE, HELPER))
    for path in (core / "dist", core / "wasm", helper / "dist"):
        path.mkdir(parents=True)
    (core / "package.json").write_text(json.dumps({"version": "9.8.7"}))
    (core / "dist" / "index.js").write_text(f'import {{ createWasmLib }} from "{HELPER}";\n')
    (helper / "dist" / "index.js").write_text("helper")
    for flavour in FLAVOURS:
        for ending in ("js", "wasm"):
            (core / "wasm" / f"litert_wasm_{flavour}.{ending}").write_text(flavour)
    return folder


def run(*words: object) -> Any:
    return CliRunner().invoke(main, ["--format", "web", *map(str, words)], catch_exceptions=False)


def test_a_page_holds_all_that_it_needs(npm_folder: Path, tmp_path: Path):
    pytest.importorskip("ai_edge_litert")
    output = tmp_path / "page"
    result = run("--model", SHIPPED_LITERT, "--output", output, "--runtime", npm_folder)
    assert result.output == (
        f"page with lite in {output}; python -m http.server -d {output} shows it\n"
    )
    site = json.loads((output / "site.json").read_text())
    assert [entry["name"] for entry in site["models"]] == ["lite"]
    assert (site["min_score"], site["runtime_version"]) == (MIN_SCORE, "9.8.7")
    assert (output / site["models"][0]["file"]).read_bytes() == SHIPPED_LITERT.read_bytes()
    assert (output / site["detector"]).stat().st_size <= 2_000_000
    runtime = output / site["runtime"]
    assert 'from "./wasm-utils.js"' in (runtime / "index.js").read_text()
    assert len(list((runtime / "wasm").iterdir())) == 6
    assert "Apache License" in (output / "LICENSE.txt").read_text()
    assert "LiteRT.js" in (output / "NOTICE.txt").read_text()
    headers = (output / "_headers").read_text()
    assert headers.startswith("/*\n  Cross-Origin-Opener-Policy: same-origin\n")
    page = (output / "index.html").read_text()
    assert "http://" not in page
    assert "https://" not in page


def test_a_page_is_replaced_only_when_told(
    npm_folder: Path, tmp_path: Path, error_of: Callable[..., str]
):
    pytest.importorskip("ai_edge_litert")
    output = tmp_path / "page"
    words = ["--model", SHIPPED_LITERT, "--output", output, "--runtime", npm_folder]
    run(*words)
    (output / "index.html").write_text("changed")
    told = error_of(main, "--format", "web", *words)
    assert told == f"--output {output}: exists; replace it with --force, or name another"
    run(*words, "--force")
    assert "hourglass" in (output / "index.html").read_text()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "--format web writes a folder: name it by --output"),
        (["--output", "no/page"], "--output no/page: no is no folder"),
        (["--output", "kept"], "--output kept: exists and is no such page's folder; name another"),
        (["--output", "page", "--batch", 2], "--format web has no --outputs, --batch, --quantize"),
        (["--output", "page", "--runtime", "kept"], "--runtime kept: kept/node_modules/@litertjs"),
        (
            ["--output", "page", "--model", "a.onnx", "--runtime", "npm"],
            "--model a.onnx: a page takes .keras and .tflite files only",
        ),
        (
            ["--output", "page", "--model", "a.tflite", "--runtime", "npm"],
            "a.tflite: no such model file",
        ),
        (
            ["--output", "page", "--model", "a.tflite", "--model", "b/a.keras", "--runtime", "npm"],
            "--model: two models are called a; a page needs different names",
        ),
    ],
)
def test_what_cannot_be_written_is_told(
    npm_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error_of: Callable[..., str],
    words: list[Any],
    told: str,
):
    monkeypatch.chdir(tmp_path)
    Path("kept").mkdir()
    Path("kept/mine.txt").write_text("mine")
    assert error_of(main, "--format", "web", *words).startswith(told)
    assert not Path("page").exists()


def test_a_page_offers_what_is_shipped_unless_one_has_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    shipped = default_models()
    assert SHIPPED_LITERT in shipped
    assert LITERT_WEIGHTS not in shipped
    sizes = [model.stat().st_size for model in shipped]
    assert sizes == sorted(sizes, reverse=True)
    own = Path("models/run/best.keras")
    own.parent.mkdir(parents=True)
    own.touch()
    assert default_models() == [own]


def test_a_page_says_what_each_model_is_for(npm_folder: Path, tmp_path: Path):
    pytest.importorskip("ai_edge_litert")
    output, nano = tmp_path / "page", SHIPPED_LITERT.with_name("nano.tflite")
    words = ["--model", SHIPPED_LITERT, "--model", nano, "--runtime", npm_folder]
    run(*words, "--output", output)
    models = json.loads((output / "site.json").read_text())["models"]
    assert [(one["name"], one["size"], one["words"]) for one in models] == [
        ("lite", 224, "most accurate"),
        ("nano", 192, "fastest"),
    ]


def test_a_page_calls_models_of_ones_own_by_their_runs(npm_folder: Path, tmp_path: Path):
    pytest.importorskip("ai_edge_litert")
    output, models = tmp_path / "page", [tmp_path / run / "best.tflite" for run in ("big", "tiny")]
    for model, shipped in zip(models, ("lite", "pico"), strict=True):
        model.parent.mkdir()
        shutil.copy(SHIPPED_LITERT.with_name(f"{shipped}.tflite"), model)
    run("--model", models[0], "--model", models[1], "--runtime", npm_folder, "--output", output)
    told = json.loads((output / "site.json").read_text())["models"]
    assert [(one["name"], one["size"]) for one in told] == [("big", 224), ("tiny", 160)]
    assert (output / told[1]["file"]).read_bytes() == models[1].read_bytes()


@pytest.mark.parametrize(
    ("models", "words"),
    [
        ([(192, 2)], [""]),
        ([(192, 2), (224, 6), (160, 1)], ["in between", "most accurate", "fastest"]),
        ([(192, 2), (192, 6)], ["", ""]),
        ([(192, 6), (224, 2)], ["", ""]),  # who knows
    ],
)
def test_words_are_told_where_size_and_cost_agree(models: list[tuple[int, int]], words: list[str]):
    assert describe_choice(models) == words


def test_other_formats_take_one_model(error_of: Callable[..., str]):
    words = ["--format", "litert", "--model", "a.keras", "--model", "b.keras"]
    told = "--runtime and several --model are for --format web only, got litert"
    assert error_of(main, *words) == told


@pytest.mark.slow
def test_a_model_of_ones_own_is_made_small_on_the_way(
    npm_folder: Path, tmp_path: Path, micro_file: Path
):
    from hourglass.modelfiles.runtimes import load_runtime

    output = tmp_path / "page"
    run("--model", micro_file, "--output", output, "--runtime", npm_folder)
    model = output / "models" / "micro.tflite"
    assert load_runtime(model).config.network.input_size == 32
    assert b"FP16" in model.read_bytes() or model.stat().st_size < micro_file.stat().st_size


# Serving it.


def test_a_server_shows_it_beside_its_own_page(tmp_path: Path):
    pytest.importorskip("starlette")
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route
    from starlette.testclient import TestClient

    (tmp_path / "index.html").write_text("the page")
    (tmp_path / "worker.js").write_text("the worker")
    own = Starlette(routes=[Route("/", lambda request: PlainTextResponse("own"))])
    client = TestClient(with_site(own, tmp_path))
    for path, text in (("/browser", "the page"), ("/browser/worker.js", "the worker")):
        answer = client.get(path)
        assert answer.text == text
        assert {name: answer.headers[name] for name in ISOLATION} == ISOLATION
    assert client.get("/browser/../secret").status_code == 404
    answer = client.get("/")
    assert answer.text == "own"
    assert not set(answer.headers) & {name.lower() for name in ISOLATION}


# Fetching the runtime.


def test_the_runtime_is_fetched_once(
    npm_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    calls: list[list[str]] = []

    def npm(words: list[str], **options: Any) -> Any:
        import subprocess

        calls.append(words)
        shutil.copytree(npm_folder, words[words.index("--prefix") + 1], dirs_exist_ok=True)
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(litert_js.shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(litert_js.subprocess, "run", npm)
    folder = find_runtime()
    assert folder == tmp_path / "cache" / "hourglass" / f"litertjs-{VERSION}"
    assert find_runtime() == folder
    assert len(calls) == 1
    assert f"{PACKAGE}@{VERSION}" in calls[0]


def test_a_runtime_that_two_fetch_at_once_is_whole(
    npm_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """One has it in its place while the other's npm still writes; a half of one is replaced."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    cache = litert_js.cache_folder()
    places: list[Path] = []

    def npm(words: list[str], **options: Any) -> Any:
        import subprocess

        place = Path(words[words.index("--prefix") + 1])
        places.append(place)
        if len(places) == 1:
            (place / "half").touch()
            assert find_runtime() == cache
        shutil.copytree(npm_folder, place, dirs_exist_ok=True)
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(litert_js.shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(litert_js.subprocess, "run", npm)
    (cache / "node_modules").mkdir(parents=True)  # as a killed npm leaves it
    assert find_runtime() == cache
    assert litert_js.is_whole(cache)
    assert not (cache / "half").exists()
    assert len({cache, *places}) == 3
    assert [path.name for path in cache.parent.iterdir()] == [cache.name]


def test_without_npm_it_is_told_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(litert_js.shutil, "which", lambda name: None)
    with pytest.raises(ValueError, match=r"npm is not installed: the page needs .* --runtime"):
        find_runtime()


def test_what_npm_says_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'npm error network' >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(litert_js.shutil, "which", lambda name: str(npm))
    with pytest.raises(ValueError, match=r"npm failed \(npm error network\)"):
        find_runtime()
