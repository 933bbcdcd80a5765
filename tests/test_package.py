"""What `import hourglass` offers, and that it costs nothing."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

import hourglass

ROOT = Path(__file__).parents[1]


def in_python(program: str) -> str:
    """What a program prints in a process of its own, which must end well."""
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def test_importing_the_package_imports_nothing_else():
    program = (
        "import sys; before = set(sys.modules); import hourglass; dir(hourglass); "
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}; "
        "print(sorted(new - sys.stdlib_module_names))"
    )
    assert in_python(program) == "['hourglass']"
    program = "import sys, hourglass; print(sorted(m for m in sys.modules if 'hourglass.' in m))"
    assert in_python(program) == "[]"


@pytest.mark.parametrize("name", hourglass.__all__)
def test_a_public_name_is_its_rooms(name: str):
    found = getattr(hourglass, name)
    room = importlib.import_module(getattr(found, "__module__", "hourglass.core.skeleton"))
    assert room.__name__.startswith("hourglass.")
    assert found is getattr(room, {"build_shards": "build"}.get(name, name))
    assert name in dir(hourglass)


def test_checkers_of_types_see_the_same_names():
    tree = ast.parse((ROOT / "hourglass" / "__init__.py").read_text(encoding="utf-8"))
    (checking,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.asname or alias.name: f"{node.module}".removeprefix("hourglass.")
        for node in checking.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == hourglass._HOMES
    assert list(hourglass._HOMES) == hourglass.__all__


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'hourglass' has no attribute 'Poses'"):
        _ = hourglass.Poses
    with pytest.raises(ImportError, match="cannot import name 'Poses'"):
        exec("from hourglass import Poses")


def test_a_command_hides_no_function_of_its_name():
    program = (
        "import hourglass, hourglass.evaluate, hourglass.predict, sys; "
        "from hourglass.evaluate import main; from hourglass import evaluate; "
        "print(evaluate.__module__, hourglass.evaluate is evaluate, "
        "sys.modules['hourglass.evaluate'].main is main, hourglass.predict.__name__)"
    )
    assert in_python(program) == "hourglass.scoring.evaluation True True hourglass.predict"


def bounds() -> dict[str, tuple[str, str]]:
    """Of each dependency, what `setup.cfg` has between >= and <, and after."""
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    extras = parser["options.extras_require"]
    used = [extras[name] for name in extras if name not in ("convert", "dev")]
    lines = "\n".join([parser["options"]["install_requires"], *used]).split()
    return {line.partition(">=")[0]: tuple(line.partition(">=")[2].split(",<")) for line in lines}


def test_every_dependency_has_a_lowest_and_a_highest_version():
    assert all(len(both) == 2 and all(both) for both in bounds().values()), bounds()


def test_the_oldest_versions_are_the_lowest_allowed():
    lines = (ROOT / "requirements" / "oldest.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if line and line[0] != "#")
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    needed = parser["options"]["install_requires"].split()
    assert set(pinned) == {line.partition(">=")[0] for line in needed}
    for name, version in pinned.items():
        lowest = bounds()[name][0]
        assert f"{version}.".startswith(f"{lowest}."), f"{name}: {version}, not {lowest}"
