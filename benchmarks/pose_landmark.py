"""`python -m benchmarks.pose_landmark`: MediaPipe's pose files beside models of this project.

Both see the same crops of the same people, and are scored on the joints that both have: shoulders,
elbows, wrists, hips, knees, ankles. MediaPipe's files have no head top, neck, thorax or pelvis. As
in a film, they look a second time, at the square about the hips that they asked for at the first.
Files: npm's `@mediapipe/pose` holds `pose_landmark_lite.tflite`, `_full` and `_heavy`.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from pathlib import Path

import click
import cv2
import numpy as np

from benchmarks.comparison import machine, take_turns
from benchmarks.sizes import MEGABYTE, File, crop_runner
from hourglass.console import PATH, command, quiet_stderr
from hourglass.core.errors import InputError
from hourglass.core.geometry import (
    CROP_MARGIN,
    REFERENCE_HEIGHT,
    apply_affine,
    crop_matrix,
    invert_affine,
)
from hourglass.core.skeleton import MPII
from hourglass.data.people import People, load_people
from hourglass.inference.estimator import PoseEstimator
from hourglass.modelfiles.runtimes import load_runtime
from hourglass.scoring.pck import pck, reference_size
from hourglass.scoring.pictures import picture_batches, stored_pictures

LANDMARKS = {
    "right_ankle": 28, "right_knee": 26, "right_hip": 24, "left_hip": 23, "left_knee": 25,
    "left_ankle": 27, "right_wrist": 16, "right_elbow": 14, "right_shoulder": 12,
    "left_shoulder": 11, "left_elbow": 13, "left_wrist": 15,
}  # fmt: skip
"""MediaPipe's number of each of MPII's joints that it has."""

MIDDLE, REACH = 33, 34
"""Its landmarks of the person's square: the hips' middle, and a point straight above it."""

VALUES = 5
"""Of each landmark: x, y, z, how visible and how surely in the picture."""

THRESHOLDS = (0.5, 0.1)


class PoseLandmark:
    """One of MediaPipe's `pose_landmark_*.tflite` files.

    Args:
        path: The file; one thread runs it.

    Raises:
        InputError: If it is no such file.
    """

    def __init__(self, path: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        try:
            self._interpreter = Interpreter(model_path=str(path), num_threads=1)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise InputError(f"{path}: not a LiteRT file ({error})") from error
        (given,) = self._interpreter.get_input_details()
        self.size, self._given = int(given["shape"][1]), given["index"]
        outputs = self._interpreter.get_output_details()
        matching = [one["index"] for one in outputs if one["shape"][-1] % VALUES == 0]
        if not matching:
            raise InputError(f"{path}: gives no landmarks, it is no pose file of MediaPipe's")
        self._landmarks = matching[0]

    def run(self, crop: np.ndarray) -> np.ndarray:
        """Landmarks (39, 2), px of a crop (size, size, 3) uint8."""
        self._interpreter.set_tensor(self._given, crop[None].astype(np.float32) / 255)
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._landmarks).reshape(-1, VALUES)[:, :2]

    def look(self, picture: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """Landmarks (39, 2), px of a picture of which it sees the square that a matrix cuts out."""
        square = (self.size, self.size)
        crop = cv2.warpAffine(picture, matrix, square, borderMode=cv2.BORDER_REPLICATE)
        # MediaPipe counts from a pixel's edge.
        return apply_affine(invert_affine(matrix), self.run(crop) - 0.5)


def square_about(landmarks: np.ndarray, *, size: int) -> np.ndarray:
    """The matrix (2, 3) of the upright square that MediaPipe cuts out next of a person.

    Args:
        landmarks: (39, 2) px of the picture.
        size: Side of the crop, px.
    """
    x, y = landmarks[REACH] - landmarks[MIDDLE]
    side = 2 * CROP_MARGIN * np.hypot(x, y)
    leaning = np.rad2deg(np.arctan2(x, -y))
    scale = side / (REFERENCE_HEIGHT * CROP_MARGIN)
    return crop_matrix(landmarks[MIDDLE], scale, size=size, rotation=-leaning)


def find_joints(data: str, people: People, file: PoseLandmark) -> tuple[np.ndarray, np.ndarray]:
    """MPII's joints (N, 16, 2), px, at the first look and at the second; 0 where it has none."""
    joints = [people.skeleton.joints.index(name) for name in LANDMARKS]
    first, second = np.zeros((2, *people.points.shape))
    for places, pictures in picture_batches(stored_pictures(data)):
        for place, picture in zip(places, pictures, strict=True):
            matrix = crop_matrix(people.center[place], people.scale[place], size=file.size)
            for points in (first, second):
                landmarks = file.look(picture, matrix)
                points[place, joints] = landmarks[list(LANDMARKS.values())]
                matrix = square_about(landmarks, size=file.size)
    return first, second


def own_joints(data: str, people: People, model: Path) -> np.ndarray:
    """The same (N, 16, 2) by a model of this project."""
    estimator, points = PoseEstimator(load_runtime(model)), np.zeros_like(people.points)
    for places, pictures in picture_batches(stored_pictures(data)):
        points[places], _ = estimator.predict_crops(
            pictures, people.center[places], people.scale[places]
        )
    return points


def score(points: np.ndarray, people: People) -> str:
    """PCKh@0.5 and @0.1 over the joints that MediaPipe has."""
    shared = np.isin(people.skeleton.joints, list(LANDMARKS))
    found = [
        pck(
            points,
            people.points,
            reference=reference_size(people),
            labelled=people.labelled & shared,
            threshold=threshold,
        ).pooled
        for threshold in THRESHOLDS
    ]
    return " / ".join(f"{one:.1f}" for one in found)


def count_parameters(path: Path) -> int:
    """Numbers that a LiteRT file holds as weights: of floats, or of integers in 8 bits."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes(), 0))
    kinds = schema.TensorType
    weights = {kinds.FLOAT32: 4, kinds.FLOAT16: 2, kinds.INT8: 1, kinds.UINT8: 1}
    held: dict[int, int] = {}
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            data = model.buffers[tensor.buffer].data
            if data is not None and tensor.type in weights:
                held[tensor.buffer] = len(data) // weights[tensor.type]
    return sum(held.values())


def own_runner(model: Path) -> Callable[[], None]:
    """Runs a crop through a model of this project, as `benchmarks.sizes` does."""
    size = load_runtime(model).config.network.input_size
    return crop_runner(File(model, "", model, 0, size), threads=1)


def processor_seconds(run: Callable[[], object]) -> float:
    """Of a call; other programs that keep the cores busy hardly count in."""
    began = time.process_time()
    run()
    return time.process_time() - began


@click.command()
@click.option("--file", "files", multiple=True, required=True, type=PATH, help="MediaPipe's.")
@click.option("--model", "models", multiple=True, type=PATH, help="LiteRT files of this project.")
@click.option("--data", required=True, help="Glob of validation shards of MPII's joints.")
@click.option("--rounds", type=click.IntRange(min=1), default=40, show_default=True)
@command
def main(files: tuple[Path, ...], models: tuple[Path, ...], data: str, rounds: int) -> None:
    """Prints sizes, times and PCKh of MediaPipe's files and of models of this project."""
    people = load_people(data)
    if people.skeleton.joints != MPII.joints:
        raise InputError(f"--data {data}: needs MPII's joints, got {people.skeleton.name}'s")
    runners: dict[str, Callable[[], object]] = {}
    scores: dict[Path, list[str]] = {}
    sizes: dict[Path, int] = {}
    with quiet_stderr():
        for path in files:
            file = PoseLandmark(path)
            blank = np.zeros((file.size, file.size, 3), np.uint8)
            runners[str(path)] = functools.partial(file.run, blank)
            sizes[path] = file.size
            scores[path] = [score(points, people) for points in find_joints(data, people, file)]
        for path in models:
            runners[str(path)] = own_runner(path)
            sizes[path] = load_runtime(path).config.network.input_size
            scores[path] = [score(own_joints(data, people, path), people), ""]
        seconds = take_turns(runners, rounds=rounds, measure=processor_seconds)
    click.echo(machine()["processor"])
    click.echo("| file | px | parameters | MB | ms of one thread | first look | second look |")
    click.echo("|---" * 7 + "|")
    for path in (*files, *models):
        click.echo(
            f"| {path.stem} | {sizes[path]} | {count_parameters(path):,} "
            f"| {path.stat().st_size / MEGABYTE:.2f} | {1000 * seconds[str(path)]:.1f} "
            f"| {' | '.join(scores[path])} |"
        )


if __name__ == "__main__":
    main()
