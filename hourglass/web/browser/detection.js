// Where people are: what goes into the detector and what comes out of it, as
// hourglass/inference/detection.py does it. Boxes are [x, y, width, height], px.

import { roundEven } from "./geometry.js";

export const SMALL_SIDE = 416, LARGE_SIDE = 640; // of its square input, px
const HARDLY_LARGER = 1.15; // pictures up to so many small sides go in at the small one
const FILL = 114; // what its input shows beside the picture
const STRIDES = [8, 16, 32]; // input px per cell of its three grids
const VALUES = 6; // per cell: four of the box, whether there is an object, whether it is a person
const LOWEST_SCORE = 0.25;
const OVERLAP = 0.5; // boxes that share more show the same person
export const ROOM = 0.3; // share of the longer side that is added around when nobody was found

/** The side at which a picture is looked at. */
export function sideFor(picture) {
  const large = Math.max(picture.width, picture.height) > HARDLY_LARGER * SMALL_SIDE;
  return large ? LARGE_SIDE : SMALL_SIDE;
}

/** The detector's input of an RGBA picture: {data, zoom, start, side}, side×side RGB bytes. */
export function detectorInput(picture, side, room = 0) {
  const longer = Math.max(picture.width, picture.height);
  const zoom = side / ((1 + 2 * room) * longer), start = roundEven(room * zoom * longer);
  const width = Math.max(1, roundEven(picture.width * zoom));
  const height = Math.max(1, roundEven(picture.height * zoom));
  const taps = zoom < 1 ? areaTaps : linearTaps;
  const small = resampled(picture, taps(picture.width, width), taps(picture.height, height));
  const data = new Uint8Array(side * side * 3).fill(FILL);
  for (let y = 0; y < height; y++) {
    const row = small.subarray(y * width * 3, (y + 1) * width * 3);
    data.set(row, ((y + start) * side + start) * 3);
  }
  return { data, zoom, start, side };
}

/** For each px of the smaller row, [first px, weights] by the share of each px that it covers. */
function areaTaps(length, size) {
  const scale = length / size, taps = [];
  for (let place = 0; place < size; place++) {
    const low = place * scale, high = Math.min(low + scale, length);
    const first = Math.floor(low + 1e-9), weights = [];
    for (let px = first; px < high - 1e-3; px++) {
      weights.push((Math.min(px + 1, high) - Math.max(px, low)) / (high - low));
    }
    taps.push([first, weights]);
  }
  return taps;
}

/** The same for a row that grows: the two nearest px, the border repeated. */
function linearTaps(length, size) {
  const taps = [];
  for (let place = 0; place < size; place++) {
    const at = Math.min(Math.max(((place + 0.5) * length) / size - 0.5, 0), length - 1);
    const first = Math.min(Math.floor(at), Math.max(length - 2, 0));
    taps.push([first, length > 1 ? [1 - (at - first), at - first] : [1]]);
  }
  return taps;
}

/** RGB bytes of an RGBA picture resampled along both axes. */
function resampled(picture, columns, rows) {
  const { data, width } = picture, row = new Float32Array(width * 3);
  const out = new Uint8Array(columns.length * rows.length * 3);
  let at = 0;
  for (const [top, heights] of rows) {
    row.fill(0);
    heights.forEach((share, step) => {
      let from = 4 * (top + step) * width;
      for (let to = 0; to < row.length; from += 4, to += 3) {
        row[to] += share * data[from];
        row[to + 1] += share * data[from + 1];
        row[to + 2] += share * data[from + 2];
      }
    });
    for (const [left, widths] of columns) {
      let red = 0, green = 0, blue = 0;
      for (let step = 0, from = 3 * left; step < widths.length; step++, from += 3) {
        red += widths[step] * row[from];
        green += widths[step] * row[from + 1];
        blue += widths[step] * row[from + 2];
      }
      out[at++] = red + 0.5;
      out[at++] = green + 0.5;
      out[at++] = blue + 0.5;
    }
  }
  return out;
}

/** People's boxes by the detector's output, the surest first, inside the picture. */
export function boxesOf(output, input, picture) {
  const found = [];
  let at = 0;
  for (const stride of STRIDES) {
    const count = input.side / stride;
    for (let row = 0; row < count; row++) {
      for (let column = 0; column < count; column++, at += VALUES) {
        const score = output[at + 4] * output[at + 5];
        if (score < LOWEST_SCORE) continue;
        const width = Math.exp(output[at + 2]) * stride, height = Math.exp(output[at + 3]) * stride;
        const x = (output[at] + column) * stride - width / 2 - input.start;
        const y = (output[at + 1] + row) * stride - height / 2 - input.start;
        found.push({ score, box: [x, y, width, height].map((value) => value / input.zoom) });
      }
    }
  }
  return withoutDoubles(found).map(({ box }) => clipped(box, picture)).filter(Boolean);
}

function withoutDoubles(found) {
  const kept = [];
  for (const one of found.sort((a, b) => b.score - a.score)) {
    if (!kept.some((other) => overlap(other.box, one.box) > OVERLAP)) kept.push(one);
  }
  return kept;
}

/** Area that two boxes share, px². */
export function shared(one, other) {
  const along = (axis) =>
    Math.min(one[axis] + one[axis + 2], other[axis] + other[axis + 2]) - Math.max(one[axis], other[axis]);
  return Math.max(0, along(0)) * Math.max(0, along(1));
}

/** Intersection over union of two boxes. */
export function overlap(one, other) {
  const both = shared(one, other);
  return both / (one[2] * one[3] + other[2] * other[3] - both);
}

/** The part of a box inside the picture, null if there is none. */
function clipped([x, y, width, height], picture) {
  const left = Math.max(0, x), top = Math.max(0, y);
  const right = Math.min(picture.width, x + width), low = Math.min(picture.height, y + height);
  return right > left && low > top ? [left, top, right - left, low - top] : null;
}
