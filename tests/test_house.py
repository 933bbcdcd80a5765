"""How the house is built: which room may import which, and the names that others program against.

The rooms and their levels stand in `ROOMS`; a new module needs a line there.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Room:
    """A module's place.

    Attributes:
        level: It may import every room of a lower level.
        beside: Rooms of its own level that it may import too.
        packages: What it may import from outside beyond the standard library; None: anything.
    """

    level: int
    beside: frozenset[str] = frozenset()
    packages: frozenset[str] | None = None


def room(level: int, *packages: str, beside: str = "") -> Room:
    return Room(level, frozenset(beside.split()), frozenset(packages) if level < 2 else None)


WORDS, OPERATIONS, ASSEMBLIES, DOORS = range(4)

ROOMS = {
    "__init__": room(WORDS),
    "skeleton": room(WORDS, "numpy"),
    "pose": room(WORDS, "numpy", beside="skeleton"),
    "config": room(WORDS, beside="skeleton"),
    "geometry": room(OPERATIONS, "numpy", "cv2"),
    "decoding": room(OPERATIONS, "numpy"),
    "heatmaps": room(OPERATIONS, "numpy", "tensorflow"),
    "augment": room(OPERATIONS, "numpy", "cv2", beside="geometry"),
    "records": room(OPERATIONS, "numpy", "google_crc32c", "tensorflow"),
    "normalization": room(OPERATIONS, "keras", "tensorflow"),
    "encoders": room(OPERATIONS, "keras", "numpy", beside="normalization"),
    "network": room(OPERATIONS, "keras", "numpy", beside="encoders normalization"),
    "folding": room(OPERATIONS, "keras", "numpy"),
    "losses": room(OPERATIONS, "keras"),
    "metrics": room(OPERATIONS, "numpy"),
    "calibration": room(OPERATIONS, "numpy", "scipy"),
    "diagnosis": room(OPERATIONS, "numpy"),
    "metadata": room(OPERATIONS, beside="calibration"),
    "training_metrics": room(OPERATIONS, "keras", beside="decoding losses"),
    "pictures": room(OPERATIONS, "numpy", "PIL"),
    "console": room(OPERATIONS, "click", "loguru", "tqdm"),
    "devices": room(OPERATIONS, "keras", "tensorflow", "jax"),
    "shards": room(ASSEMBLIES),
    "preprocess": room(ASSEMBLIES, beside="shards"),
    "checkpoint": room(ASSEMBLIES),
    "runtimes": room(ASSEMBLIES, beside="checkpoint"),
    "estimator": room(ASSEMBLIES, beside="runtimes"),
    "drawing": room(ASSEMBLIES),
    "inputs": room(ASSEMBLIES),
    "boxes": room(ASSEMBLIES),
    "video": room(ASSEMBLIES),
    "detection": room(ASSEMBLIES),
    "tracking": room(ASSEMBLIES),
    "results": room(ASSEMBLIES),
    "pipeline": room(ASSEMBLIES, beside="estimator tracking video"),
    "evaluation": room(ASSEMBLIES, beside="estimator preprocess runtimes shards"),
    "report": room(ASSEMBLIES, beside="drawing evaluation"),
    "exporting": room(ASSEMBLIES, beside="checkpoint estimator preprocess runtimes shards"),
    "parity": room(ASSEMBLIES, beside="preprocess runtimes"),
    "callbacks": room(ASSEMBLIES, beside="preprocess checkpoint drawing"),
    "training": room(ASSEMBLIES, beside="callbacks preprocess checkpoint shards"),
    "train": room(DOORS),
    "predict": room(DOORS),
    "evaluate": room(DOORS),
    "calibrate": room(DOORS),
    "export": room(DOORS),
    "serve": room(DOORS),
}

OPEN_TO_TOOLS = {"records", "skeleton", "shards", "pictures", "geometry", "console", "encoders"}
"""Rooms that `tools` may import: what a record, a picture, a crop or a weights file is, and how a
command speaks."""

ON_ANY_BACKEND = ["encoders", "folding", "network", "losses", "training_metrics"]

START_WITHOUT_TENSORFLOW = [
    "skeleton",
    "pose",
    "config",
    "geometry",
    "decoding",
    "records",
    "metrics",
    "calibration",
    "diagnosis",
    "metadata",
    "drawing",
    "runtimes",
    "estimator",
    "predict",
]
"""The way from a picture to a pose, and what a builder's workers need."""

SLOW_TO_IMPORT = {"tensorflow", "keras", "jax", "ray"}


@dataclass(frozen=True)
class Import:
    """One imported module, such as `hourglass.geometry`, and where it stands."""

    module: str
    line: int
    at_start: bool  # runs when the file is imported


def imports_of(source: str, package: str = "hourglass") -> list[Import]:
    """All imports of a file, those inside functions too."""

    def walk(node: ast.AST, at_start: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            checking = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(alias.name, child.lineno, at_start)
            elif isinstance(child, ast.ImportFrom):
                origin = child.module or ""
                if child.level:
                    origin = f"{package}.{origin}".rstrip(".")
                if origin == "hourglass":  # `from hourglass import geometry` names a room
                    for alias in child.names:
                        yield Import(f"hourglass.{alias.name}", child.lineno, at_start)
                else:
                    yield Import(origin, child.lineno, at_start)
            yield from walk(child, at_start and not inside and not checking)

    return list(walk(ast.parse(source), at_start=True))


def wrong_arrows(name: str, source: str) -> list[str]:
    """What a room of `hourglass` imports against the rules, with the line."""
    assert name in ROOMS, f"{name}.py has no place in ROOMS"
    own, wrong = ROOMS[name], []
    for entry in imports_of(source):
        package, _, rest = entry.module.partition(".")
        other = rest.partition(".")[0]
        if package == "hourglass":
            allowed = other in own.beside or (other in ROOMS and ROOMS[other].level < own.level)
        elif package in ("tools", "tests", "benchmarks"):
            allowed = False
        else:
            standard = package in sys.stdlib_module_names
            allowed = standard or own.packages is None or package in own.packages
        if not allowed:
            wrong.append(f"{name}.py:{entry.line} imports {entry.module}")
    return wrong


def wrong_tool_arrows(name: str, source: str) -> list[str]:
    """What a file of `tools` imports of the house against the rules."""
    return [
        f"tools/{name}.py:{entry.line} imports {entry.module}"
        for entry in imports_of(source, package="tools")
        if entry.module.partition(".")[0] in ("tests", "benchmarks")
        or (
            entry.module.partition(".")[0] == "hourglass"
            and entry.module.split(".")[1:2] not in [[allowed] for allowed in OPEN_TO_TOOLS]
        )
    ]


def path_surgery(source: str) -> list[int]:
    """Lines that touch `sys.path`."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if (isinstance(node, ast.Attribute) and ast.unparse(node) == "sys.path")
        or (
            isinstance(node, ast.ImportFrom)
            and node.module == "sys"
            and any(alias.name == "path" for alias in node.names)
        )
        or (isinstance(node, ast.Attribute) and node.attr == "addsitedir")
    ]


def files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    """The rooms' source texts."""
    return {path.stem: path.read_text(encoding="utf-8") for path in files("hourglass")}


@pytest.mark.parametrize("path", files("hourglass"), ids=name_of)
def test_every_module_has_a_place(path: Path):
    assert path.parent == ROOT / "hourglass"
    assert path.stem in ROOMS


@pytest.mark.parametrize("path", files("hourglass"), ids=name_of)
def test_rooms_import_lower_rooms_only(path: Path):
    assert wrong_arrows(path.stem, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", files("tools"), ids=name_of)
def test_tools_import_only_what_is_open_to_them(path: Path):
    assert wrong_tool_arrows(path.stem, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("name", "source", "imported"),
    [
        ("geometry", "from hourglass.preprocess import Preprocessor", "hourglass.preprocess"),
        ("geometry", "from hourglass import preprocess", "hourglass.preprocess"),
        ("geometry", "def f():\n    import hourglass.decoding", "hourglass.decoding"),
        ("geometry", "from . import decoding", "hourglass.decoding"),
        ("geometry", "from .decoding import QUARTER", "hourglass.decoding"),
        ("geometry", "import scipy.ndimage", "scipy.ndimage"),
        ("heatmaps", "from hourglass.decoding import QUARTER", "hourglass.decoding"),
        ("config", "import numpy", "numpy"),
        ("drawing", "from hourglass.estimator import PoseEstimator", "hourglass.estimator"),
        ("train", "from hourglass.predict import main", "hourglass.predict"),
        ("estimator", "from tools.mpii import read_people", "tools.mpii"),
        ("network", "if True:\n    import tensorflow as tf", "tensorflow"),
        ("pose", "from hourglass.helpers import f", "hourglass.helpers"),
    ],
)
def test_a_wrong_arrow_is_seen(name: str, source: str, imported: str):
    (found,) = wrong_arrows(name, source)
    assert found.endswith(f"imports {imported}")


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("geometry", "import math\nimport cv2\nfrom hourglass.config import STRIDE"),
        ("augment", "from hourglass import geometry"),
        ("train", "def f():\n    from hourglass.preprocess import training_dataset"),
        ("drawing", "import cv2\nfrom hourglass.pose import Pose"),
    ],
)
def test_a_right_arrow_is_let_pass(name: str, source: str):
    assert wrong_arrows(name, source) == []


@pytest.mark.parametrize(
    "source",
    ["from hourglass.train import main", "import hourglass", "def f():\n    import tests.x"],
)
def test_a_tools_wrong_arrow_is_seen(source: str):
    assert len(wrong_tool_arrows("mpii", source)) == 1


@pytest.mark.parametrize("name", ON_ANY_BACKEND)
def test_what_trains_on_any_backend_never_imports_tensorflow(name: str, sources: dict[str, str]):
    packages = {entry.module.partition(".")[0] for entry in imports_of(sources[name])}
    assert "tensorflow" not in packages
    assert "keras" in packages


@pytest.mark.parametrize("name", START_WITHOUT_TENSORFLOW)
def test_what_starts_without_tensorflow_imports_it_only_when_used(
    name: str, sources: dict[str, str]
):
    """Followed through everything that is imported at once."""
    trails, seen = [[name]], set()
    while trails:
        trail = trails.pop()
        for entry in imports_of(sources[trail[-1]]):
            package, _, rest = entry.module.partition(".")
            if not entry.at_start:
                continue
            assert package not in SLOW_TO_IMPORT, " → ".join([*trail, entry.module])
            if package == "hourglass" and rest not in seen:
                seen.add(rest)
                trails.append([*trail, rest])


@pytest.mark.parametrize(
    ("source", "at_start"),
    [
        ("import tensorflow", True),
        ("try:\n    import tensorflow\nexcept ImportError:\n    pass", True),
        ("class A:\n    import tensorflow", True),
        ("def f():\n    import tensorflow", False),
        ("class A:\n    def f(self):\n        if True:\n            import tensorflow", False),
        ("if TYPE_CHECKING:\n    import tensorflow", False),
        ("if typing.TYPE_CHECKING:\n    import tensorflow", False),
    ],
)
def test_an_import_is_known_to_run_at_the_start_or_later(source: str, at_start: bool):
    assert [entry.at_start for entry in imports_of(source)] == [at_start]


def test_the_way_from_a_picture_to_a_pose_starts_without_tensorflow():
    modules = [f"hourglass.{name}" for name in START_WITHOUT_TENSORFLOW]
    program = (
        f"import importlib, sys; [importlib.import_module(name) for name in {modules}]; "
        f"print(sorted({SLOW_TO_IMPORT} & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (ran.stdout.strip(), ran.stderr) == ("[]", "")


@pytest.mark.parametrize("path", files("hourglass") + files("tools"), ids=name_of)
def test_nobody_touches_the_import_path(path: Path):
    assert path_surgery(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    ["import sys\nsys.path.insert(0, '.')", "from sys import path", "site.addsitedir('.')"],
)
def test_touching_the_import_path_is_seen(source: str):
    assert len(path_surgery(source)) == 1


def test_no_module_is_a_drawer_for_everything():
    names = {part for path in files("hourglass") + files("tools") for part in path.parts}
    assert not names & {"utils", "utils.py", "util.py", "helpers.py", "common.py", "misc.py"}


PUBLIC = {
    "metrics.pckh": "(predicted, actual, *, head_size, labelled, threshold=0.5)",
    "heatmaps.encode_heatmaps": "(points, labelled, *, size=64, sigma=...)",
    "decoding.decode_heatmaps": "(heatmaps, *, refine='quarter')",
    "network.build_network": "(config=...)",
    "estimator.PoseEstimator.load": "(path=None)",
    "estimator.PoseEstimator.__call__": "(self, image, box=None)",
    "estimator.PoseEstimator.predict": "(self, images, centers, scales)",
    "preprocess.training_dataset": "(pattern)",
    "preprocess.validation_dataset": "(pattern)",
}
"""Names and arguments that others call; `...` is a default of any value, and more arguments may
follow if they have defaults."""


@pytest.mark.parametrize(("name", "signature"), PUBLIC.items())
def test_a_public_name_has_its_signature(name: str, signature: str):
    module, *path = name.split(".")
    found: object = importlib.import_module(f"hourglass.{module}")
    for part in path:
        found = getattr(found, part)
    actual = dict(inspect.signature(found).parameters)
    scope: dict[str, object] = {}
    exec(f"def expected{signature}: ...", scope)
    expected = inspect.signature(scope["expected"]).parameters
    for position, (argument, parameter) in enumerate(expected.items()):
        assert argument in actual, f"{name} has no argument {argument}"
        assert actual[argument].kind == parameter.kind
        if parameter.kind == parameter.POSITIONAL_OR_KEYWORD:
            assert list(actual)[position] == argument
        if parameter.default is ...:
            assert actual[argument].default is not parameter.empty
        else:
            assert actual[argument].default == parameter.default
    for argument in actual.keys() - expected.keys():
        assert actual[argument].default is not inspect.Parameter.empty, f"{argument} is required"
