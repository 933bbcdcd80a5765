"""How the house is built: which room may import which, and the names that others program against.

The wings, their rooms and the arrows between them stand in `WINGS`; a new room needs a place there.
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
class Wing:
    """A folder of rooms, and what they may import.

    Attributes:
        below: Wings whose rooms its rooms may import.
        rooms: Its files and folders; each may import those that stand above it here.
    """

    below: tuple[str, ...]
    rooms: tuple[str, ...]


INFERENCE_AND_BELOW = ("core", "media", "networks", "modelfiles", "inference")
ALL_BUT_THE_LAST = (*INFERENCE_AND_BELOW, "data", "scoring")

WINGS = {
    "core": Wing(
        below=(),
        rooms=(
            "errors",
            "storage",
            "files",
            "leases",
            "locking",
            "cluster",
            "processor",
            "progress",
            "copies",
            "sides",
            "skeleton_fields",
            "skeleton",
            "pose",
            "person",
            "config",
            "config_text",
            "presets",
            "geometry",
            "boxes",
            "heatmaps",
            "decoding",
            "calibration",
        ),
    ),
    "media": Wing(
        below=("core",),
        rooms=(
            "depth",
            "kinds",
            "pictures",
            "motion",
            "inputs",
            "video",
            "sound",
            "film_writer",
            "window",
            "drawing",
            "panels",
            "sheets",
            "targets",
            "results",
            "result_files",
        ),
    ),
    "networks": Wing(
        below=("core",),
        rooms=(
            "normalization",
            "shifts",
            "encoders",
            "encoder_weights",
            "blocks",
            "unet",
            "hourglass",
            "summary",
            "losses",
            "decoding",
            "folding",
        ),
    ),
    "data": Wing(
        below=("core", "media"),
        rooms=(
            "records",
            "shards",
            "mixture",
            "people",
            "readers",
            "sheets",
            "building",
            "synthetic",
            "augment",
            "appearance",
            "crops",
            "batches",
            "preprocessing",
            "datasets",
            "makers",
            "loader",
        ),
    ),
    "modelfiles": Wing(
        below=("core", "networks"), rooms=("archive", "metadata", "keras_file", "runtimes")
    ),
    "inference": Wing(
        below=("core", "media", "networks", "modelfiles"),
        rooms=(
            "detection",
            "estimator",
            "assignment",
            "tracking",
            "smoothing",
            "pipeline",
            "films",
            "teaching",
            "look",
            "canvas",
            "locating",
            "passes",
            "parts",
            "archive",
        ),
    ),
    "scoring": Wing(
        below=(*INFERENCE_AND_BELOW, "data"),
        rooms=(
            "pck",
            "oks",
            "diagnosis",
            "pictures",
            "evaluation",
            "tables",
            "cut_people",
            "calibrating",
            "report",
        ),
    ),
    "training": Wing(
        below=ALL_BUT_THE_LAST,
        rooms=(
            "choices",
            "metrics",
            "devices",
            "feed",
            "optimizer",
            "model",
            "provenance",
            "hooks",
            "distillation",
            "callbacks",
            "outcome",
            "folders",
            "run",
            "messages",
            "cluster",
        ),
    ),
    "exporting": Wing(
        below=ALL_BUT_THE_LAST,
        rooms=("choices", "operators", "pixels", "quantization", "formats", "parity", "browser"),
    ),
    "lifting": Wing(
        below=ALL_BUT_THE_LAST,
        rooms=(
            "body",
            "bvh",
            "rigs",
            "mocap",
            "cameras",
            "variety",
            "scores",
            "shape",
            "network",
            "training",
            "model_file",
            "runtimes",
            "exporting",
            "estimator",
            "keypoint_files",
            "panels",
            "panel_film",
            "results",
            "result_files",
            "passes",
        ),
    ),
    "web": Wing(below=ALL_BUT_THE_LAST, rooms=("litert_js", "site", "limits", "live", "server")),
}
"""The wings along the data's way, lowest first. A new room needs a place in its wing's line."""

DOORS = ("build", "train", "predict", "evaluate", "calibrate", "export", "serve", "lift")
"""The commands: they may import every wing, and `console`, but no other door."""

OTHER_NAMES = {"build_tfrecords": "build"}
"""Tools that are another name of a door."""

CONSOLE = "console"
"""How commands speak; for doors and `tools` only."""

LONGEST_DOOR = 150
"""Lines."""

PACKAGES: dict[str, frozenset[str]] = {
    "core": frozenset({"numpy", "cv2", "scipy", "tqdm", "loguru", "fsspec", "filelock", "ray"}),
    "networks": frozenset({"numpy", "keras"}),
}
"""What the lowest wings may import from outside, beyond the standard library."""

WITH_TENSORFLOW = {"core/processor", "networks/normalization"}
"""Rooms of those wings that may use TensorFlow, inside functions or not."""

ON_ANY_BACKEND = [
    "networks/encoder_weights",
    "networks/encoders",
    "networks/folding",
    "networks/hourglass",
    "networks/losses",
    "networks/shifts",
    "lifting/network",
]

TRAINS_OR_EXPORTS = {"network", "training", "exporting"}
"""Rooms of `lifting` that need Keras."""

START_WITHOUT_TENSORFLOW = [
    *(f"core/{name}" for name in WINGS["core"].rooms),
    *(f"media/{name}" for name in WINGS["media"].rooms),
    "data/loader",
    "data/makers",
    "data/people",
    "data/readers/mpii_json",
    "data/building/shard_writer",
    "modelfiles/archive",
    "modelfiles/metadata",
    "modelfiles/runtimes",
    *(f"inference/{name}" for name in WINGS["inference"].rooms),
    "scoring/pck",
    "scoring/oks",
    "scoring/diagnosis",
    *(f"lifting/{name}" for name in WINGS["lifting"].rooms if name not in TRAINS_OR_EXPORTS),
    "predict",
    "lift",
]
"""The way from a picture to a pose, and what a builder's workers need."""

SLOW_TO_IMPORT = {"tensorflow", "keras", "jax", "ray"}

PREDICTING = ("predict", "lift", "serve", "__init__")
"""Doors that run on a machine with requirements/predict.txt alone."""

WHERE_PREDICTING = {"numpy", "cv2", "PIL", "click", "loguru", "tqdm", "av", "simplejpeg"}
"""What they may import at once: packages of that file."""


@dataclass(frozen=True)
class Import:
    """One imported module, such as `hourglass.core.geometry`, and where it stands."""

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
                wing = origin.removeprefix("hourglass.")
                if origin == "hourglass" or (origin != wing and wing in WINGS):
                    for alias in child.names:  # `from hourglass.core import geometry`: a room
                        yield Import(f"{origin}.{alias.name}", child.lineno, at_start)
                else:
                    yield Import(origin, child.lineno, at_start)
            yield from walk(child, at_start and not inside and not checking)

    return list(walk(ast.parse(source), at_start=True))


def place_of(module: str) -> tuple[str, str]:
    """Wing and room of a module of `hourglass`, given without the package's name.

    A door, the console and the package itself have no wing: ("", their name).
    """
    wing, _, rest = module.partition(".")
    return (wing, rest.partition(".")[0]) if wing in WINGS else ("", wing)


def may_import(own: tuple[str, str], other: tuple[str, str]) -> bool:
    """Whether a room may import another."""
    (wing, name), (other_wing, other_name) = own, other
    if not other_wing:
        return other_name == CONSOLE and not wing and name in DOORS
    if other_name and other_name not in WINGS[other_wing].rooms:
        return False
    if not wing:
        return name in (*DOORS, CONSOLE, "__init__")
    rooms = WINGS[wing].rooms
    if wing == other_wing:
        return not other_name or rooms.index(other_name) <= rooms.index(name)
    return other_wing in WINGS[wing].below


def wrong_arrows(path: str, source: str) -> list[str]:
    """What a file of `hourglass` imports against the rules, with the line.

    Args:
        path: Below `hourglass`, without its ending, such as `core/geometry`.
        source: Its text.
    """
    own = place_of(path.replace("/", "."))
    wrong = []
    for entry in imports_of(source):
        package, _, rest = entry.module.partition(".")
        if package == "hourglass":
            allowed = may_import(own, place_of(rest))
        elif package in ("tools", "tests", "benchmarks"):
            allowed = False
        else:
            outside = PACKAGES.get(own[0])
            allowed = outside is None or package in sys.stdlib_module_names or package in outside
            if package == "tensorflow" and outside is not None:
                allowed = path in WITH_TENSORFLOW
        if not allowed:
            wrong.append(f"{path}.py:{entry.line} imports {entry.module}")
    return wrong


def wrong_tool_arrows(name: str, source: str) -> list[str]:
    """What a file of `tools` imports of the house against the rules."""
    return [
        f"tools/{name}.py:{entry.line} imports {entry.module}"
        for entry in imports_of(source, package="tools")
        if entry.module.partition(".")[0] in ("tests", "benchmarks")
        or (
            entry.module.partition(".")[0] == "hourglass"
            and entry.module.split(".")[1] in DOORS
            and entry.module.split(".")[1] != OTHER_NAMES.get(name)
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


def room_path(path: Path) -> str:
    """`core/geometry` of its file."""
    return path.relative_to(ROOT / "hourglass").with_suffix("").as_posix()


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    """The rooms' source texts, by `room_path`."""
    return {room_path(path): path.read_text(encoding="utf-8") for path in files("hourglass")}


@pytest.mark.parametrize("path", files("hourglass"), ids=name_of)
def test_every_module_has_a_place(path: Path):
    wing, name = place_of(room_path(path).removesuffix("/__init__").replace("/", "."))
    if wing:
        assert name in ("", *WINGS[wing].rooms)
    else:
        assert name in (*DOORS, CONSOLE, "__init__")


@pytest.mark.parametrize("wing", WINGS)
def test_every_place_has_a_module(wing: str):
    there = {path.stem for path in (ROOT / "hourglass" / wing).iterdir()}
    assert set(WINGS[wing].rooms) <= there


@pytest.mark.parametrize("path", files("hourglass"), ids=name_of)
def test_rooms_import_along_the_arrows_only(path: Path):
    assert wrong_arrows(room_path(path), path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", files("tools"), ids=name_of)
def test_tools_import_no_doors(path: Path):
    assert wrong_tool_arrows(path.stem, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("name", "source", "imported"),
    [
        ("core/geometry", "from hourglass.data.datasets import People", "hourglass.data.datasets"),
        ("core/geometry", "from hourglass.data import datasets", "hourglass.data.datasets"),
        (
            "core/geometry",
            "def f():\n    import hourglass.core.decoding",
            "hourglass.core.decoding",
        ),
        ("core/geometry", "import PIL", "PIL"),
        ("core/geometry", "import tensorflow", "tensorflow"),
        ("core/config", "from hourglass.core.geometry import STRIDE", "hourglass.core.geometry"),
        (
            "media/drawing",
            "from hourglass.inference import estimator",
            "hourglass.inference.estimator",
        ),
        ("media/drawing", "from hourglass.networks import losses", "hourglass.networks.losses"),
        ("training/run", "from hourglass.exporting import formats", "hourglass.exporting.formats"),
        ("training/run", "from hourglass.console import command", "hourglass.console"),
        ("data/readers/coco", "from hourglass.data import datasets", "hourglass.data.datasets"),
        ("train", "from hourglass.predict import main", "hourglass.predict"),
        ("inference/estimator", "from tools.lsp import read", "tools.lsp"),
        ("networks/hourglass", "if True:\n    import tensorflow as tf", "tensorflow"),
        ("core/pose", "from hourglass.core.helpers import f", "hourglass.core.helpers"),
        ("core/pose", "from hourglass.helpers import f", "hourglass.helpers"),
    ],
)
def test_a_wrong_arrow_is_seen(name: str, source: str, imported: str):
    (found,) = wrong_arrows(name, source)
    assert found.endswith(f"imports {imported}")


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("core/geometry", "import math\nimport cv2\nfrom hourglass.core.config import STRIDE"),
        ("data/augment", "from hourglass.core import geometry"),
        ("data/building/regions", "from hourglass.data.records import Person"),
        ("data/building/build", "from hourglass.data.building.regions import moved"),
        ("train", "def f():\n    from hourglass.data.datasets import training_dataset"),
        ("train", "from hourglass.console import command"),
        ("media/drawing", "import cv2\nfrom hourglass.core.pose import Pose"),
    ],
)
def test_a_right_arrow_is_let_pass(name: str, source: str):
    assert wrong_arrows(name, source) == []


@pytest.mark.parametrize(
    "source", ["from hourglass.train import main", "def f():\n    import tests.x"]
)
def test_a_tools_wrong_arrow_is_seen(source: str):
    assert len(wrong_tool_arrows("lsp", source)) == 1


def test_a_tool_may_be_another_name_of_its_door_alone():
    source = "from hourglass.build import main"
    assert wrong_tool_arrows("build_tfrecords", source) == []
    assert len(wrong_tool_arrows("make_synthetic", source)) == 1


@pytest.mark.parametrize("path", [ROOT / "hourglass" / f"{name}.py" for name in DOORS], ids=name_of)
def test_doors_are_short(path: Path):
    """They hold click and printing only; what is more belongs to a wing."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_DOOR


@pytest.mark.parametrize("name", ON_ANY_BACKEND)
def test_what_trains_on_any_backend_never_imports_tensorflow(name: str, sources: dict[str, str]):
    packages = {entry.module.partition(".")[0] for entry in imports_of(sources[name])}
    assert "tensorflow" not in packages
    assert "keras" in packages


def imported_at_start(name: str, sources: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Every package that a room's import brings in, through all rooms, and the trail to it."""
    trails, seen = [[name]], set()
    while trails:
        trail = trails.pop()
        for entry in imports_of(sources[trail[-1]]):
            package, _, rest = entry.module.partition(".")
            if not entry.at_start:
                continue
            yield package, " → ".join([*trail, entry.module])
            room = rest.replace(".", "/")
            if package == "hourglass" and room in sources and room not in seen:
                seen.add(room)
                trails.append([*trail, room])


def test_commands_alone_know_that_they_are_commands(sources: dict[str, str]):
    """What a wing says goes through loguru and its errors: programs call it, too."""
    knowing = {
        name
        for name, source in sources.items()
        for entry in imports_of(source)
        if entry.module.partition(".")[0] == "click"
    }
    assert knowing <= {*DOORS, CONSOLE}


@pytest.mark.parametrize("name", START_WITHOUT_TENSORFLOW)
def test_what_starts_without_tensorflow_imports_it_only_when_used(
    name: str, sources: dict[str, str]
):
    for package, trail in imported_at_start(name, sources):
        assert package not in SLOW_TO_IMPORT, trail


@pytest.mark.parametrize("name", PREDICTING)
def test_what_predicts_starts_with_what_a_predicting_machine_has(
    name: str, sources: dict[str, str]
):
    allowed = {*WHERE_PREDICTING, "hourglass", *sys.stdlib_module_names}
    for package, trail in imported_at_start(name, sources):
        assert package in allowed, trail


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
    modules = [f"hourglass.{name.replace('/', '.')}" for name in START_WITHOUT_TENSORFLOW]
    program = (
        f"import importlib, sys; [importlib.import_module(name) for name in {modules}]; "
        f"print(sorted({SLOW_TO_IMPORT} & set(sys.modules)))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout.strip()) == (0, "[]"), ran.stderr


@pytest.mark.parametrize("path", files("hourglass") + files("tools"), ids=name_of)
def test_nobody_touches_the_import_path(path: Path):
    assert path_surgery(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    ["import sys\nsys.path.insert(0, '.')", "from sys import path", "site.addsitedir('.')"],
)
def test_touching_the_import_path_is_seen(source: str):
    assert len(path_surgery(source)) == 1


def test_the_readmes_map_shows_every_wing_in_this_order():
    rows = [
        line.split("`")[1].rstrip("/")
        for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| [`")
    ]
    assert [wing for wing in rows if wing in WINGS] == list(WINGS)
    assert all((ROOT / "hourglass" / wing).is_dir() for wing in rows)


@pytest.mark.parametrize("path", files("hourglass") + files("tools"), ids=name_of)
def test_errors_that_speak_to_the_user_are_of_their_own_class(path: Path):
    """A plain `ValueError` is told as a fault of the program, with its traceback in a file."""
    raised = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Raise) and node.exc and "ValueError" in ast.unparse(node.exc)
    ]
    assert raised == [], "raise hourglass.core.errors.InputError"


def test_no_module_is_a_drawer_for_everything():
    names = {part for path in files("hourglass") + files("tools") for part in path.parts}
    assert not names & {"utils", "utils.py", "util.py", "helpers.py", "common.py", "misc.py"}


PUBLIC = {
    "scoring.pck.pckh": "(predicted, actual, *, head_size, labelled, threshold=0.5)",
    "scoring.pck.skeleton_pck": "(points, people, threshold)",
    "scoring.oks.average_precision": "(found, labels, *, sigmas)",
    "core.heatmaps.encode_heatmaps": "(points, labelled, *, size=64, sigma=...)",
    "core.decoding.decode_heatmaps": "(heatmaps, *, refine='quarter')",
    "networks.hourglass.build_network": "(config=...)",
    "inference.estimator.PoseEstimator.load": "(path=None)",
    "inference.estimator.PoseEstimator.__call__": "(self, image, box=None)",
    "inference.estimator.PoseEstimator.predict_crops": "(self, images, centers, scales)",
    "data.datasets.training_dataset": "(pattern)",
    "data.datasets.validation_dataset": "(pattern)",
}
"""Names and arguments that others call; `...` is a default of any value, and more arguments may
follow if they have defaults."""


@pytest.mark.parametrize(("name", "signature"), PUBLIC.items())
def test_a_public_name_has_its_signature(name: str, signature: str):
    wing, room, *path = name.split(".")
    found: object = importlib.import_module(f"hourglass.{wing}.{room}")
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
