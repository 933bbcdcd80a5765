"""The page's JavaScript, by Node: each number is what the library gives."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from hourglass.core.calibration import Calibration
from hourglass.core.decoding import decode_heatmaps
from hourglass.core.geometry import box_to_crop, crop, crop_to_picture, from_grid
from hourglass.core.pose import Pose
from hourglass.core.skeleton import MPII
from hourglass.inference.detection import LITERT_WEIGHTS, PeopleDetector
from hourglass.inference.estimator import SHIPPED_LITERT
from hourglass.media.pictures import read_picture
from hourglass.media.results import Found, to_json

PICTURES = Path(__file__).parents[1] / "pictures"
SIZE = 64

READ = """
const pictureOf = ({ file, width, height }) =>
  ({ data: new Uint8Array(fs.readFileSync(file)), width, height });
"""


@pytest.fixture
def rgba(tmp_path: Path) -> Callable[[np.ndarray], dict[str, Any]]:
    """A picture as the scripts read it: a file of its RGBA bytes."""

    def write(picture: np.ndarray) -> dict[str, Any]:
        height, width = picture.shape[:2]
        path = tmp_path / f"{width}x{height}.rgba"
        cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA).tofile(path)
        return {"file": str(path), "width": width, "height": height}

    return write


BOXES = [
    ((0.0, 0.0, 480.0, 320.0), 1),
    ((-40.3, 20.2, 200.0, 300.7), 1),
    ((100.0, 50.0, 37.7, 30.0), 1),
    ((1000.4, 300.0, 1300.0, 900.0), 5),
    ((0.0, 0.0, 2400.0, 1600.0), 5),
    ((-3000.0, -2000.0, 9000.0, 7000.0), 5),
]
"""Boxes and how much larger than the photograph the picture is: every way of averaging down."""


@pytest.mark.parametrize(("box", "larger"), BOXES)
def test_crops_are_pythons(node: Any, rgba: Any, box: tuple[float, ...], larger: int):
    picture = read_picture(PICTURES / "mechanics.jpg")
    picture = np.ascontiguousarray(picture.repeat(larger, axis=0).repeat(larger, axis=1)[:-1, :-2])
    center, scale = box_to_crop(box)
    script = f"""
    import {{ cropOf, mirrored, renderCrop }} from "./geometry.js"; {READ}
    const crop = renderCrop(pictureOf(given.picture), cropOf(given.box), {SIZE});
    console.log(JSON.stringify([[...crop], [...mirrored(crop, {SIZE})]]));
    """
    found, flipped = node(script, {"picture": rgba(picture), "box": box})
    found, flipped = (np.array(one).reshape(SIZE, SIZE, 3) for one in (found, flipped))
    # OpenCV before 5 samples at 1/32 px.
    atol = 1 if int(cv2.__version__.split(".")[0]) >= 5 else 4
    np.testing.assert_allclose(found, crop(picture, center, scale, size=SIZE), atol=atol)
    np.testing.assert_array_equal(flipped, found[:, ::-1])


def test_points_come_back_into_the_picture_as_pythons(node: Any):
    box, cells = (-30.5, 12.25, 210.0, 333.0), np.array([[0.0, 0.0], [3.3, 15.0], [7.25, 9.5]])
    center, scale = box_to_crop(box)
    script = f"""
    import {{ cropOf, fromGrid, toPicture }} from "./geometry.js";
    console.log(JSON.stringify(given.cells.map((cell) =>
      toPicture(cell.map((place) => fromGrid(place)), cropOf(given.box), {SIZE}))));
    """
    found = node(script, {"box": box, "cells": cells.tolist()})
    expected = crop_to_picture(from_grid(cells), center, scale, size=SIZE)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_heatmaps_are_decoded_as_pythons(node: Any):
    rng = np.random.default_rng(3)
    height, width, joints = 16, 20, 40
    places = rng.uniform([-0.4, -0.4], [width - 0.6, height - 0.6], (joints, 2))
    places[:4] = [[0, 0], [width - 1, height - 1], [0.2, 8.0], [9.4, height - 1.3]]
    y, x = np.mgrid[:height, :width]
    away = (x[..., None] - places[:, 0]) ** 2 + (y[..., None] - places[:, 1]) ** 2
    heatmaps = np.exp(-away / 4.5) * rng.uniform(0.2, 1.1, joints)
    heatmaps = (heatmaps + rng.normal(0, 0.01, heatmaps.shape)).astype(np.float32)
    script = """
    import { decode } from "./decoding.js";
    const map = { ...given, data: Float32Array.from(given.data) };
    console.log(JSON.stringify(["quarter", "dark", "none"].map((refine) => decode(map, refine))));
    """
    given = {"data": heatmaps.ravel().tolist(), "width": width, "height": height, "joints": joints}
    for found, refine in zip(node(script, given), ("quarter", "dark", "none"), strict=True):
        points, heights = decode_heatmaps(heatmaps[None], refine=refine)  # type: ignore[arg-type]
        np.testing.assert_allclose(found["points"], points[0], atol=1e-3, err_msg=refine)
        np.testing.assert_allclose(found["heights"], heights[0], atol=1e-6)


def test_heights_become_scores_as_pythons(node: Any):
    lines = tuple(np.sort(np.random.default_rng(4).uniform(size=(3, 5))))
    calibration = Calibration(lines, tuple(line**2 for line in lines))
    heights = np.array([[0.0, 0.1, 0.45], [0.5, 1.0, 0.8], [lines[0][0], lines[1][4], lines[2][2]]])
    script = """
    import { calibrated } from "./decoding.js";
    console.log(JSON.stringify(given.heights.map((one) => calibrated(one, given.calibration))));
    """
    plain = {
        "heights": [line.tolist() for line in calibration.heights],
        "rates": [line.tolist() for line in calibration.rates],
    }
    found = node(script, {"heights": heights.tolist(), "calibration": plain})
    np.testing.assert_allclose(found, calibration(heights), atol=1e-6)


@pytest.mark.parametrize("name", ["women", "mechanics"])
def test_people_are_detected_where_python_detects_them(node: Any, rgba: Any, name: str):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter
    picture = read_picture(PICTURES / f"{name}.jpg")
    given = {"picture": rgba(picture)}
    script = f"""
    import {{ detectorInput, sideFor }} from "./detection.js"; {READ}
    const picture = pictureOf(given.picture);
    const input = detectorInput(picture, sideFor(picture));
    console.log(JSON.stringify({{ ...input, data: [...input.data] }}));
    """
    shown = node(script, given)
    side = shown["side"]
    image = np.array(shown["data"], np.uint8).reshape(1, side, side, 3)
    detector = interpreter(str(LITERT_WEIGHTS))
    rows = detector.get_signature_runner(f"side_{side}")(image=image)["predictions"]
    script = """
    import { boxesOf } from "./detection.js";
    console.log(JSON.stringify(boxesOf(given.rows, given.input, given.picture)));
    """
    del shown["data"]
    given = {"rows": rows.ravel().tolist(), "input": shown, **given}
    boxes, expected = node(script, given), PeopleDetector()(picture)
    assert len(boxes) == len(expected)
    for box in expected:
        nearest = min(boxes, key=lambda other: np.abs(np.array(other) - box).max())
        np.testing.assert_allclose(nearest, box, atol=1.5)  # weights are rounded to float16


@pytest.mark.parametrize(
    ("width", "height", "side", "room"), [(90, 61, 416, 0.3), (900, 7, 640, 0)]
)
def test_a_picture_is_put_into_the_detector_as_pythons(
    node: Any, rgba: Any, width: int, height: int, side: int, room: float
):
    picture = np.random.default_rng(5).integers(0, 256, (height, width, 3), np.uint8)
    script = f"""
    import {{ detectorInput }} from "./detection.js"; {READ}
    const input = detectorInput(pictureOf(given), {side}, {room});
    console.log(JSON.stringify({{ ...input, data: [...input.data] }}));
    """
    found = node(script, rgba(picture))
    zoom = side / ((1 + 2 * room) * max(width, height))
    start, size = (
        round(room * zoom * max(width, height)),
        [round(width * zoom), round(height * zoom)],
    )
    expected = np.full((side, side, 3), 114, np.uint8)
    method = cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR
    expected[start : start + size[1], start : start + size[0]] = cv2.resize(
        picture, size, interpolation=method
    )
    assert (found["start"], found["side"]) == (start, side)
    assert math.isclose(found["zoom"], zoom)
    shown = np.array(found["data"]).reshape(side, side, 3)
    np.testing.assert_allclose(shown, expected, atol=1)


DESCRIBE = """
import { describe } from "./modelfile.js";
describe(new Uint8Array(fs.readFileSync(given))).then(
  (about) => console.log(JSON.stringify(about)),
  (error) => console.log(JSON.stringify(error.message)));
"""


def test_a_model_file_says_what_it_is(node: Any):
    about = node(DESCRIBE, str(SHIPPED_LITERT))
    assert (about["size"], about["batch"], about["refine"]) == (224, 1, "dark")
    assert about["skeleton"]["joints"] == list(MPII.joints)
    assert about["skeleton"]["flip_order"] == MPII.flip_order.tolist()
    assert {len(lines["heights"]) for lines in about["calibration"].values()} == {16}


def test_a_file_that_is_no_model_is_told(node: Any, tmp_path: Path):
    path = tmp_path / "a.tflite"
    path.write_bytes(SHIPPED_LITERT.read_bytes()[:5000])
    assert node(DESCRIBE, str(path)).startswith("not written by hourglass.export, hourglass.json")


def test_open_lengths_are_fixed_and_nothing_else(node: Any, tmp_path: Path):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter").Interpreter
    output = tmp_path / "fixed.tflite"
    script = """
    import { fixShapes } from "./flatbuffer.js";
    const bytes = fixShapes(new Uint8Array(fs.readFileSync(given[0])));
    fs.writeFileSync(given[1], bytes);
    console.log("null");
    """
    node(script, [str(SHIPPED_LITERT), str(output)])
    before, after = (np.fromfile(path, np.uint8) for path in (SHIPPED_LITERT, output))
    changed = np.flatnonzero(before != after)
    assert set(after[changed]) == {0, 1}  # from -1, 0xFFFFFFFF
    (tensor,) = interpreter(str(output)).get_input_details()
    assert tensor["shape_signature"].tolist() == [1, 224, 224, 3]


def test_results_are_written_as_predicts_json(node: Any):
    rng = np.random.default_rng(6)
    points, scores = rng.uniform(0, 99, (16, 2)), rng.uniform(size=16)
    pose = Pose(points.astype(np.float32), scores.astype(np.float32), MPII, (1.0, 2.0, 3.5, 4.0), 2)
    script = """
    import { stemOf, toJson, toObject } from "./results.js";
    const { points, scores, joints, box } = given;
    const people = [{ id: 2, box, score: given.score, points, scores }];
    const size = { width: 9, height: 8 }, frame = { index: 3, time: 0.5 };
    const film = toObject("a b.mp4", size, people, { joints }, frame);
    console.log(JSON.stringify([toJson([film]), stemOf("a/b.c.jpg"), stemOf(".jpg")]));
    """
    given = {
        "points": pose.points.tolist(),
        "scores": pose.scores.tolist(),
        "score": pose.score,
        "box": pose.box,
        "joints": MPII.joints,
    }
    text, *stems = node(script, given)
    expected = to_json([Found("a b.mp4", 9, 8, [pose], 3, 0.5)])
    assert json.loads(text) == json.loads(expected)
    assert [line.split(":")[0] for line in text.split("\\n")] == [
        line.split(":")[0] for line in expected.split("\\n")
    ]
    assert stems == ["b.c", ".jpg"]


TRACK = """
import { Tracker } from "./tracking.js";
const tracker = new Tracker(), told = [];
for (const { time, people, detected } of given) {
  if (detected) tracker.detect(people.map(({ box }) => box), time);
  tracker.expected(time);
  told.push(tracker.update(people, time, { width: 1000, height: 500 }).map(
    ({ id, points }) => [id, points[0][0]]));
}
console.log(JSON.stringify(told));
"""


def standing(x: float, score: float = 0.8) -> dict[str, Any]:
    """A person 200 px high whose first joint is at x."""
    points = [[x + 10 * (joint % 4), 100 + 12 * joint] for joint in range(16)]
    box = [x - 40, 90, 110, 210]
    return {"points": points, "scores": [score] * 16, "score": score, "box": box}


def test_ids_stay_while_people_walk(node: Any):
    frames = [
        {
            "time": n / 10,
            "people": [standing(100 + 8 * n), standing(700 - 8 * n)],
            "detected": n == 0,
        }
        for n in range(30)
    ]
    told = node(TRACK, frames)
    assert [[one[0] for one in people] for people in told] == [[1, 2]] * 30
    assert [people[0][1] for people in told] == [100 + 8 * n for n in range(30)]


def test_whoever_is_hidden_for_a_moment_keeps_the_id_and_not_for_long(node: Any):
    def at(time: float, *people: float) -> dict[str, Any]:
        return {"time": time, "people": [standing(x) for x in people], "detected": True}

    both = (100, 600)
    frames = [
        at(0, *both),
        at(0.1, 100),
        at(0.7, *both),
        at(0.8, 100),
        at(1.8, 100),
        at(1.9, *both),
    ]
    told = [sorted(one[0] for one in people) for people in node(TRACK, frames)]
    assert told == [[1, 2], [1], [1, 2], [1], [1], [1, 3]]


def test_nobody_is_told_twice_and_the_unsure_are_lost(node: Any):
    twice = [standing(100), standing(103, 0.7)]
    frames = [
        {"time": 0, "people": twice, "detected": True},
        {"time": 0.1, "people": [standing(100, 0.1)], "detected": False},
    ]
    assert node(TRACK, frames) == [[[1, 100]], []]


def test_the_detector_is_asked_a_quarter_of_the_time_at_most(node: Any):
    script = """
    import { Tracker } from "./tracking.js";
    const tracker = new Tracker(), asked = [];
    for (let step = 0; step < 100; step++) {
      if (!tracker.needsDetection(step / 10, given)) continue;
      asked.push(step / 10);
      tracker.detect([], step / 10);
    }
    console.log(JSON.stringify(asked));
    """
    assert node(script, 0)[:3] == [0, 0.1, 0.2]  # nobody is known yet
    assert node(script, 1)[:4] == [0, 3, 6, 9]


def test_the_rate_is_that_of_the_last_thirty_frames(node: Any):
    script = """
    import { Rate } from "./rate.js";
    const rate = new Rate();
    console.log(JSON.stringify(given.map((time) => rate.note(time))));
    """
    times = [1000.0, 1500.0, *(2000.0 + 100 * frame for frame in range(31))]
    rates = node(script, times)
    assert rates[:3] == [None, 2, 2]  # JSON knows no NaN
    assert rates[-1] == pytest.approx(10)


NAME = """
import { draw } from "./drawing.js";
const written = [], around = { measureText: (text) => ({ width: 10 * text.length }) };
const canvas = { width: 300, height: 300 };
const known = { ...around, canvas, getTransform: () => ({ a: 1 }),
  fillText: (text, x) => written.push([x, x + 10 * text.length]) };
const context = new Proxy(known, { get: (all, name) => all[name] ?? (() => {}) });
canvas.getContext = () => context;
const skeleton = { joints: ["left_hip", "left_hip", "left_hip"], bones: [], colours: [] };
draw(canvas, { width: 300, height: 300 }, {
  people: [{ points: [[20, 50], [150, 50], [280, 50]], scores: [1, 1, 1] }],
  parts: { names: true }, skeleton, minScore: 0.3,
});
console.log(JSON.stringify(written));
"""


def test_names_are_written_beside_their_joints_inside_the_picture(node: Any):
    assert node(NAME) == [[24.5, 104.5], [154.5, 234.5], [196.5, 276.5]]
