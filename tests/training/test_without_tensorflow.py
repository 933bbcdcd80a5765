"""A training and its evaluation on JAX, on a machine without TensorFlow."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hourglass.core.config import Config
from hourglass.core.config_text import FILE, to_json

PROGRAM = """
import importlib.machinery
import sys
from pathlib import Path

find = importlib.machinery.PathFinder.find_spec
importlib.machinery.PathFinder.find_spec = staticmethod(
    lambda name, *places: None if name == "tensorflow" else find(name, *places)
)

from hourglass.core.config_text import from_json
from hourglass.scoring.evaluation import evaluate
from hourglass.training.run import train

data, folder = Path(sys.argv[1]), Path(sys.argv[2])
config = from_json((folder / "wanted.json").read_text(), where="wanted.json")
train(config, str(data), folder=folder / "run", board=folder / "board")
scores = evaluate(f"{data}/validation*", folder / "run" / "last.keras").scores["plain"]
print(scores["PCKh@0.5"].pooled)
assert not [name for name in sys.modules if name.startswith("tensorflow.")]
"""


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed")
def test_a_network_is_trained_and_evaluated_without_tensorflow(
    shards: Path, tmp_path: Path, micro_config: Config
):
    wanted = json.loads(to_json(micro_config))
    wanted["train"]["epochs"], wanted["network"]["stacks"] = 2, 1
    (tmp_path / "wanted.json").write_text(json.dumps(wanted))
    command = [sys.executable, "-c", PROGRAM, str(shards), str(tmp_path)]
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1800)
    assert ran.returncode == 0, ran.stderr
    run = tmp_path / "run"
    assert {path.name for path in run.iterdir()} == {
        FILE,
        "data.json",
        "history.csv",
        "best.keras",
        "last.keras",
    }
    with (run / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[1]["loss"]) < float(rows[0]["loss"])
    # Once by the training's own decoding and once by the estimator's: the same people and pixels.
    assert float(ran.stdout.split()[-1]) == pytest.approx(float(rows[1]["val_pckh@0.5"]), abs=3)
    assert list((tmp_path / "board").glob("events*"))
