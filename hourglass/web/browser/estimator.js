// From a picture to poses: crop, run, decode, map back, as hourglass/inference/estimator.py does.
//
// A pose is {points: [[x, y], …] px of the picture, scores: […], score, box}.

import { calibrated, decode } from "./decoding.js";
import { cropOf, fromGrid, mirrored, renderCrop, STRIDE, toPicture } from "./geometry.js";

export class Estimator {
  #run;
  #about;

  /**
   * @param about what `describe` says of the model
   * @param run from bytes (batch, size, size, 3) to heatmaps (batch, size/4, size/4, J)
   */
  constructor(about, run) {
    this.#about = about;
    this.#run = run;
  }

  /** Poses of the people in these boxes; with `heatmaps`, each with the highest map of its joints. */
  async poses(picture, boxes, { flipTest = false, heatmaps = false } = {}) {
    const { size, refine, skeleton, calibration } = this.#about;
    const crops = boxes.map(cropOf), pictures = crops.map((crop) => renderCrop(picture, crop, size));
    const maps = await this.#heatmaps(pictures);
    if (flipTest) {
      const flipped = await this.#heatmaps(pictures.map((one) => mirrored(one, size)));
      maps.forEach((map, person) => average(map, flipped[person], skeleton.flip_order));
    }
    return maps.map((map, person) => {
      const { points, heights } = decode(map, refine);
      const scores = calibrated(heights, flipTest ? calibration.flipped : calibration.plain);
      return {
        points: points.map((point) => toPicture(point.map((cell) => fromGrid(cell)), crops[person], size)),
        scores,
        score: scores.reduce((sum, score) => sum + score, 0) / scores.length,
        box: boxes[person],
        ...(heatmaps && { heatmap: highest(map), crop: crops[person] }),
      };
    });
  }

  async #heatmaps(pictures) {
    const { size, batch, skeleton } = this.#about;
    const side = size / STRIDE, joints = skeleton.joints.length, length = side * side * joints;
    const found = [];
    for (let start = 0; start < pictures.length; start += batch) {
      const chosen = pictures.slice(start, start + batch), bytes = new Uint8Array(batch * size * size * 3);
      chosen.forEach((picture, place) => bytes.set(picture, place * picture.length));
      const output = await this.#run(bytes);
      if (!Number.isFinite(output.reduce((sum, value) => sum + value, 0))) {
        throw new Error("the model gives heatmaps that are no numbers: its weights are damaged");
      }
      chosen.forEach((_, place) => found.push({
        data: output.slice(place * length, (place + 1) * length), width: side, height: side, joints,
      }));
    }
    return found;
  }
}

/** Averages the mirror image's heatmaps into a crop's own. */
function average(map, flipped, order) {
  const { data, width, joints } = map;
  for (let at = 0; at < data.length; at++) {
    const joint = at % joints, cell = (at - joint) / joints, x = cell % width;
    data[at] = (data[at] + flipped.data[(cell - x + width - 1 - x) * joints + order[joint]]) / 2;
  }
}

/** The highest of all joints' heatmaps: {data, width, height}. */
function highest({ data, width, height, joints }) {
  const out = new Float32Array(width * height);
  for (let cell = 0; cell < out.length; cell++) {
    for (let joint = 0; joint < joints; joint++) out[cell] = Math.max(out[cell], data[cell * joints + joint]);
  }
  return { data: out, width, height };
}
