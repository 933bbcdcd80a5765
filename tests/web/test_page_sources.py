"""The page's films and cameras, by Node: which frames are offered, by a <video> that is none."""

from __future__ import annotations

from typing import Any

FRAMES = """
import { Film } from "./sources.js";
const heard = [];
const video = { videoWidth: 4, videoHeight: 3, play: async () => {}, pause() {} };
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
