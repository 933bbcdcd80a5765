"""The wheel: what is in it, and that its commands run from an empty folder.

Nothing is downloaded: a clean environment gets the wheel by pip, and the packages that it may use
as links to those of the environment that runs the tests.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import venv
import zipfile
from collections.abc import Callable, Iterator
from configparser import ConfigParser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PHOTOGRAPH = ROOT / "tests" / "pictures" / "astronaut.jpg"
PREDICT_ONLY = ROOT / "requirements" / "predict.txt"
COMMANDS = (
    "build-tfrecords",
    "calibrate",
    "evaluate",
    "export",
    "lift",
    "predict",
    "serve",
    "train",
)
SLOW_STARTERS = ("tensorflow", "keras", "ray", "h5py", "scipy", "google_crc32c", "matplotlib")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel, built from a copy: building leaves files in the tree."""
    root = tmp_path_factory.mktemp("wheel")
    for name in ("hourglass", "tools", "benchmarks"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, root / "source" / name, ignore=ignored)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, root / "source" / name)
    run_pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", root, root / "source")
    (found,) = root.glob("*.whl")
    return found


def run_pip(*arguments: object) -> None:
    options = ("--quiet", "--disable-pip-version-check", "--no-input")
    command = [sys.executable, "-m", "pip", *options, *map(str, arguments)]
    ran = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PIP_NO_INDEX": "1"},
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def members(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_every_wing_the_weights_the_page_and_the_splits_are_in_it(wheel: Path):
    expected = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "hourglass").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    inside = {name for name in members(wheel) if name.startswith("hourglass/")}
    assert inside == expected
    assert {
        "hourglass/core/skeleton.py",
        "hourglass/data/building/build.py",
        "hourglass/data/readers/splits/mpii_validation.csv",
        "hourglass/web/page/index.html",
        "hourglass/weights/lite.keras",
        "hourglass/weights/lite.tflite",
        "hourglass/weights/yolox_nano.onnx",
    } <= inside


def test_nothing_is_in_it_that_would_collide_with_other_packages(wheel: Path):
    tops = {name.partition("/")[0] for name in members(wheel)}
    assert tops == {"hourglass", "hourglass_pose-0.1.0.dist-info"}


def test_its_commands_are_the_doors(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        parser = ConfigParser()
        parser.read_string(archive.read("hourglass_pose-0.1.0.dist-info/entry_points.txt").decode())
    points = dict(parser["console_scripts"])
    doors = {f"hourglass-{name}": f"hourglass.{name.partition('-')[0]}:main" for name in COMMANDS}
    assert points == doors


# Clean environments.


class Environment:
    """A virtual environment with the wheel in it.

    Args:
        folder: Where it goes.
        wheel: The wheel.
        packages: Requirements that are linked in, with what they need themselves; None for all
            packages of the environment that runs the tests.
    """

    def __init__(self, folder: Path, wheel: Path, packages: list[str] | None) -> None:
        venv.create(folder, with_pip=False, symlinks=True)
        self._programs = folder / "bin"
        (site,) = folder.glob("lib/python*/site-packages")
        run_pip("--python", self._programs / "python", "install", "--no-deps", wheel)
        if packages is None:
            all_packages = Path(importlib.metadata.distribution("pytest").locate_file(""))
            # Of a folder named so, Python runs no .pth files: the checkout stays out of reach.
            (site / "all.pth").write_text(f"{all_packages}\n")
        else:
            for name in with_dependencies(packages):
                link(importlib.metadata.distribution(name), site)

    def start(self, *command: object, folder: Path) -> subprocess.Popen[str]:
        """Starts one of the environment's programs in a folder."""
        hidden = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
        kept = {name: value for name, value in os.environ.items() if name not in hidden}
        return subprocess.Popen(
            [str(self._programs / str(command[0])), *map(str, command[1:])],
            cwd=folder,
            env={**kept, "PATH": f"{self._programs}{os.pathsep}{kept['PATH']}"},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *command: object, folder: Path) -> str:
        """What a program prints that must end well."""
        process = self.start(*command, folder=folder)
        out, err = process.communicate()
        assert process.returncode == 0, out + err
        return out


def with_dependencies(requirements: list[str]) -> set[str]:
    """The distributions that pip would install for requirements, as they are installed here."""
    found: set[str] = set()
    todo = [Requirement(text) for text in requirements]
    while todo:
        needed = todo.pop()
        if needed.name in found or (needed.marker and not needed.marker.evaluate({"extra": ""})):
            continue
        found.add(needed.name)
        installed = importlib.metadata.version(needed.name)
        assert needed.specifier.contains(installed, prereleases=True), f"{needed}: {installed}"
        todo += map(Requirement, importlib.metadata.requires(needed.name) or [])
    return found


def link(distribution: importlib.metadata.Distribution, site: Path) -> None:
    """Links a distribution's own top-level files and folders into a site-packages."""
    for name in {file.parts[0] for file in distribution.files or []} - {"..", "__pycache__"}:
        target = site / name
        if not target.exists():
            target.symlink_to(Path(distribution.locate_file(name)).resolve())


def requirements(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


@pytest.fixture(scope="module")
def predict_only(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The wheel without its own requirements, and requirements/predict.txt."""
    folder = tmp_path_factory.mktemp("predict_only") / "venv"
    return Environment(folder, wheel, requirements(PREDICT_ONLY))


def test_predict_only_machines_have_versions_that_the_project_allows():
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg")
    extras = parser["options.extras_require"]
    texts = "\n".join([parser["options"]["install_requires"], *extras.values()])
    allowed = {line for line in texts.splitlines() if line}
    assert set(requirements(PREDICT_ONLY)) <= allowed


def test_without_tensorflow_and_ray_people_are_found(predict_only: Environment, tmp_path: Path):
    names = predict_only.run(
        "python",
        "-c",
        "import importlib.util as u; "
        f"print([name for name in {SLOW_STARTERS} if u.find_spec(name)])",
        folder=tmp_path,
    )
    assert names == "[]\n"
    said = predict_only.run(
        "hourglass-predict", PHOTOGRAPH, "--detect", "--json", "found.json", folder=tmp_path
    )
    assert said.splitlines()[-1].endswith("hourglass/weights/lite.tflite")
    (found,) = json.loads((tmp_path / "found.json").read_text())
    (person,) = found["people"]
    joints = {joint["name"]: joint for joint in person["keypoints"]}
    assert abs(joints["upper_neck"]["x"] - 224) < 60
    assert (tmp_path / "predictions" / "astronaut_pose.jpg").is_file()


def test_without_tensorflow_the_package_serves_from_python(
    predict_only: Environment, tmp_path: Path
):
    program = (
        "import sys, hourglass, PIL.Image; "
        f"poses = hourglass.PoseEstimator.load().people(PIL.Image.open({str(PHOTOGRAPH)!r})); "
        f"print(len(poses), sorted({set(SLOW_STARTERS)} & set(sys.modules)))"
    )
    assert predict_only.run("python", "-c", program, folder=tmp_path) == "1 []\n"


def test_what_needs_tensorflow_says_so_without_it(predict_only: Environment, tmp_path: Path):
    model = ROOT / "hourglass" / "weights" / "lite.keras"
    process = predict_only.start("hourglass-predict", PHOTOGRAPH, "--model", model, folder=tmp_path)
    out, err = process.communicate()
    assert (process.returncode, out) == (1, "")
    assert err.endswith(
        f"Error: {model}: to run it, TensorFlow and Keras are needed: pip install hourglass-pose; "
        "a LiteRT file (hourglass.export --format litert) runs without\n"
    )


@pytest.fixture
def server(predict_only: Environment, tmp_path: Path) -> Iterator[str]:
    """The address of a running `hourglass-serve`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = predict_only.start("hourglass-serve", "--port", port, folder=tmp_path)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: read(address), process)
        yield address
    finally:
        process.terminate()
        process.communicate()


def wait_for(answers: Callable[[], object], process: subprocess.Popen[str]) -> None:
    """Waits until a server answers, which a slow machine takes a while to do."""
    for _ in range(6000):
        assert process.poll() is None, process.communicate()
        try:
            answers()
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("the server does not answer")


def read(address: str, data: bytes | None = None) -> bytes:
    with urllib.request.urlopen(urllib.request.Request(address, data)) as answer:
        return answer.read()


def test_without_tensorflow_the_page_is_served(server: str):
    assert b"<html" in read(server)
    (found,) = json.loads(read(f"{server}/pose?name=a.jpg", PHOTOGRAPH.read_bytes()))
    assert len(found["people"]) == 1


@pytest.mark.slow
def test_the_whole_pipeline_runs_from_the_wheel(wheel: Path, tmp_path: Path):
    everything = Environment(tmp_path / "venv", wheel, None)
    folder = tmp_path / "empty"
    folder.mkdir()

    def run(*command: object) -> str:
        return everything.run(*command, folder=folder)

    home = run("python", "-c", "import hourglass; print(hourglass.__file__)")
    assert home.startswith(str(tmp_path))
    assert "lite.keras" in run("hourglass-predict", PHOTOGRAPH, "--detect")
    run(
        "python",
        "-c",
        "from pathlib import Path; from hourglass.data.synthetic.scenes import make_synthetic; "
        "make_synthetic(Path('set'), train=24, validation=8, seed=0, size=260)",
    )
    assert "32 people in 3 shards" in run(
        *("hourglass-build-tfrecords", "--annotations", "set/annotations"),
        *("--images", "set/images", "--train-shards", 2, "--val-shards", 1),
    )
    run("hourglass-train", "--preset", "tiny", "--epochs", 1, "--batch-size", 8)
    assert "Mean, pooled" in run("hourglass-evaluate", "--data", "tfrecords/validation*")
    run("hourglass-export", "--format", "litert")
    model = "models/tiny/best.tflite"
    assert model in run("hourglass-predict", PHOTOGRAPH, "--force", "--model", model)
