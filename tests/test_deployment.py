"""The files by which others run the project: they are sound, and name only what there is."""

from __future__ import annotations

import importlib
import re
import shlex
import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

ROOT = Path(__file__).parents[1]
DOCKERFILE = ROOT / "Dockerfile"
RAY_JOB = ROOT / "docs" / "ray_job.yaml"


@pytest.fixture(scope="module")
def instructions() -> list[dict[str, Any]]:
    parser = pytest.importorskip("dockerfile_parse", reason="dockerfile-parse is not installed")
    with DOCKERFILE.open("rb") as file:
        return [
            one
            for one in parser.DockerfileParser(fileobj=file).structure
            if one["instruction"] != "COMMENT"
        ]


def values(instructions: list[dict[str, Any]], name: str) -> list[str]:
    return [one["value"] for one in instructions if one["instruction"] == name]


def test_hadolint_finds_nothing_in_the_dockerfile():
    hadolint = shutil.which("hadolint")
    if hadolint is None:
        pytest.skip("hadolint is not installed")
    ran = subprocess.run(
        [hadolint, DOCKERFILE], capture_output=True, text=True, check=False, timeout=60
    )
    assert (ran.returncode, ran.stdout) == (0, "")


def test_the_image_runs_as_a_user_and_keeps_no_caches(instructions: list[dict[str, Any]]):
    assert values(instructions, "USER")[-1] not in ("root", "0")
    for command in values(instructions, "RUN"):
        assert "pip install" not in command or "--no-cache-dir" in command


def test_the_image_gets_files_and_extras_that_there_are(instructions: list[dict[str, Any]]):
    copied = [name for value in values(instructions, "COPY") for name in value.split()[:-1]]
    kept = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for name in copied:
        assert (ROOT / name).exists()
        assert f"!{name}" in kept
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    told = DOCKERFILE.read_text(encoding="utf-8")
    for extras in re.findall(r"EXTRAS=([\w,-]+)", told):
        assert set(extras.split(",")) <= set(parser["options.extras_require"])


def test_the_ray_job_has_what_kuberay_asks_for():
    job = yaml.safe_load(RAY_JOB.read_text(encoding="utf-8"))
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for group in groups:
        (container,) = group["template"]["spec"]["containers"]
        assert container["image"]
        assert container["resources"]["limits"]
        assert all(isinstance(one, str) for one in group["rayStartParams"].values())
    (workers,) = cluster["workerGroupSpecs"]
    assert workers["minReplicas"] <= workers["replicas"] <= workers["maxReplicas"]


def test_the_ray_jobs_command_is_one_that_there_is():
    job = yaml.safe_load(RAY_JOB.read_text(encoding="utf-8"))
    python, flag, module, *arguments = shlex.split(job["spec"]["entrypoint"])
    assert (python, flag, module) == ("python", "-m", "hourglass.train")
    train = importlib.import_module(module).main
    given = click.Context(train)
    train.parse_args(given, arguments)
    (workers,) = job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    assert given.params["workers"] == workers["replicas"]
    (container,) = workers["template"]["spec"]["containers"]
    limits = container["resources"]["limits"]
    assert given.params["gpus_per_worker"] == int(limits["nvidia.com/gpu"])
