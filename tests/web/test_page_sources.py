"""The page's films and cameras, by Node: which frames are offered, by a <video> that is none."""

from __future__ import annotations

from typing import Any

import pytest

FRAMES = """
import { Film } from "./sources.js";
const heard = [];
const video = { videoWidth: 4, videoHeight: 3, pause() {} };
let plays = 0;
video.play = async () => { plays += 1; throw new Error("films may not begin by themselves"); };
video.requestVideoFrameCallback = (tell) => heard.push(tell);
const film = new Film(video, "film.webm", "film");
const show = (mediaTime) => heard.shift()(0, { mediaTime, presentedFrames: 1 });

let lastPixel; // alpha of a frame that is clear but for it
const getImageData = (x, y, width, height) => {
  const data = new Uint8ClampedArray(4 * width * height);
  if (width > 1) data[data.length - 1] = lastPixel;
  return { data };
};
const canvas = { getContext: () => ({ clearRect() {}, drawImage() {}, getImageData }) };
const grab = (fresh, alpha) => { lastPixel = alpha; return film.grab(canvas, fresh); };
const pause = () => new Promise((resolve) => setTimeout(resolve, 60));
const told = [];
"""


def test_a_film_is_started_and_may_be_kept_from_it(node: Any):
    assert node(FRAMES + "await pause(); console.log(plays);") == 1


def test_a_frame_that_was_not_drawn_is_offered_again(node: Any):
    script = """
show(1);
const fresh = await film.next();
told.push(grab(fresh, 0), film.waiting());
const again = await film.next();
told.push(again.mediaTime, grab(again, 1), canvas.width, canvas.height);
await pause();
told.push(film.waiting());
console.log(JSON.stringify(told));
"""
    assert node(FRAMES + script) == [False, None, 1, True, 4, 3, None]


def test_it_never_follows_a_newer_frame(node: Any):
    script = """
show(1);
grab(await film.next(), 0);
show(2);
told.push(film.waiting().mediaTime);
await pause();
told.push(film.waiting());
console.log(JSON.stringify(told));
"""
    assert node(FRAMES + script) == [2, None]


CAMERA = """
import { Camera } from "./sources.js";
const getUserMedia = async () => { throw Object.assign(new Error("why"), { name: given.fault }); };
const value = { mediaDevices: { getUserMedia } };
Object.defineProperty(globalThis, "navigator", { value });
Camera.open(given.id).catch((error) => console.log(JSON.stringify(error.message)));
"""


@pytest.mark.parametrize(
    ("fault", "camera", "told"),
    [
        ("NotAllowedError", None, "the camera was refused: allow it"),
        ("NotFoundError", None, "no camera was found on this machine"),
        ("OverconstrainedError", None, "no camera was found on this machine"),
        ("OverconstrainedError", "front", "this camera is not there any more: choose another"),
        ("NotReadableError", "front", "another program may be using it"),
        ("AbortError", None, "the camera cannot be opened (why)"),
    ],
)
def test_why_there_is_no_camera_is_told(node: Any, fault: str, camera: str | None, told: str):
    assert told in node(CAMERA, {"fault": fault, "id": camera})
