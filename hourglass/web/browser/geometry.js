// The crop of a person, made exactly as hourglass/core/geometry.py makes it: averaged down by powers
// of two, then bilinear. A canvas's own scaling would move joints by up to 3.5 px of the crop.
//
// Pictures are {data, width, height} with `data` RGBA bytes, or RGB where a comment says so.
// Coordinates are (x, y), 0-based, a pixel's centre at its index.

export const STRIDE = 4; // input px per cell of a heatmap
const CROP_MARGIN = 1.25; // side of the crop over the person's height: MPII's protocol
const FILL = 128; // what a crop shows outside the picture
const REDUCTIONS = [2, 4, 8];
const WINDOW_MARGIN = 2; // px kept around the window that a crop shows

/** The whole picture as a person's box [x, y, width, height]. */
export const whole = (picture) => [0, 0, picture.width, picture.height];

/** The square {x, y, side} that frames a box: its centre and its side, px of the picture. */
export function cropOf([x, y, width, height]) {
  const side = Math.max(width, height) * CROP_MARGIN;
  return { x: x + (width - 1) / 2, y: y + (height - 1) / 2, side };
}

/** A cell of a heatmap as a coordinate in px of the crop. */
export const fromGrid = (cell, stride = STRIDE) => (cell + 0.5) * stride - 0.5;

/** A point in px of a crop of `size` px, as [x, y] in px of the picture. */
export function toPicture([u, v], crop, size) {
  const zoom = crop.side / size, middle = (size - 1) / 2;
  return [crop.x + (u - middle) * zoom, crop.y + (v - middle) * zoom];
}

/** Averages `factor`×`factor` px into one; what is missing to whole cells repeats the border. */
function reduced(picture, factor) {
  if (factor === 1) return picture;
  const width = Math.ceil(picture.width / factor), height = Math.ceil(picture.height / factor);
  const data = new Uint8Array(width * height * 3), area = factor * factor;
  for (let y = 0, out = 0; y < height; y++) {
    for (let x = 0; x < width; x++, out += 3) {
      let red = 0, green = 0, blue = 0;
      for (let j = 0; j < factor; j++) {
        const row = Math.min(y * factor + j, picture.height - 1) * picture.width;
        for (let i = 0; i < factor; i++) {
          const at = 3 * (row + Math.min(x * factor + i, picture.width - 1));
          red += picture.data[at];
          green += picture.data[at + 1];
          blue += picture.data[at + 2];
        }
      }
      data[out] = rounded(red / area, factor);
      data[out + 1] = rounded(green / area, factor);
      data[out + 2] = rounded(blue / area, factor);
    }
  }
  return { data, width, height };
}

// OpenCV rounds halves up for 2×2 px, else to the even number.
const rounded = (value, factor) => (factor === 2 ? Math.floor(value + 0.5) : roundEven(value));

/** The nearest whole number; of two, the even one, as NumPy and Python round. */
export function roundEven(value) {
  const low = Math.floor(value), rest = value - low;
  if (rest !== 0.5) return rest < 0.5 ? low : low + 1;
  return low % 2 === 0 ? low : low + 1;
}

/** First and number of the shrunk px along one axis that a crop shows, with a margin. */
function windowAlong(centre, side, size, length, factor) {
  const reach = (side * (size - 1)) / size / 2, bound = Math.ceil(length / factor) - 1;
  const cell = (place) => (place + 0.5) / factor - 0.5;
  const clipped = (value) => Math.min(Math.max(value, 0), bound);
  const first = clipped(Math.floor(cell(centre - reach)) - WINDOW_MARGIN);
  const last = clipped(Math.ceil(cell(centre + reach)) + WINDOW_MARGIN);
  return [first, last - first + 1];
}

/** A part of an RGBA picture as RGB; px beyond the border are left out. */
function cut(picture, left, top, width, height) {
  const right = Math.min(left + width, picture.width), low = Math.min(top + height, picture.height);
  const data = new Uint8Array((right - left) * (low - top) * 3);
  for (let y = top, out = 0; y < low; y++) {
    for (let at = 4 * (y * picture.width + left), end = at + 4 * (right - left); at < end; at += 4) {
      data[out++] = picture.data[at];
      data[out++] = picture.data[at + 1];
      data[out++] = picture.data[at + 2];
    }
  }
  return { data, width: right - left, height: low - top };
}

/** What the network sees of a crop: size×size RGB bytes. */
export function renderCrop(picture, crop, size) {
  const shrink = crop.side / size;
  const factor = REDUCTIONS.filter((one) => shrink >= one).pop() ?? 1;
  const [left, columns] = windowAlong(crop.x, crop.side, size, picture.width, factor);
  const [top, rows] = windowAlong(crop.y, crop.side, size, picture.height, factor);
  let part = cut(picture, left * factor, top * factor, columns * factor, rows * factor);
  part = reduced(part, factor);
  let zoom = factor / shrink; // crop px per px of the part
  let offsetX = (size - 1) / 2 + (fromGrid(left, factor) - crop.x) / shrink;
  let offsetY = (size - 1) / 2 + (fromGrid(top, factor) - crop.y) / shrink;
  if (1 / zoom >= 2) {
    const again = 2 ** Math.floor(Math.log2(1 / zoom));
    part = reduced(part, again);
    offsetX += fromGrid(0, again) * zoom;
    offsetY += fromGrid(0, again) * zoom;
    zoom *= again;
  }
  return sampled(part, zoom, offsetX, offsetY, size);
}

/** Where crop px fall in the part along one axis: first px and share of the next. */
function places(size, zoom, offset) {
  const first = new Int32Array(size), share = new Float32Array(size);
  for (let place = 0; place < size; place++) {
    const at = (place - offset) / zoom;
    first[place] = Math.floor(at);
    share[place] = at - first[place];
  }
  return [first, share];
}

function sampled(part, zoom, offsetX, offsetY, size) {
  const [columns, across] = places(size, zoom, offsetX), [rows, down] = places(size, zoom, offsetY);
  const out = new Uint8Array(size * size * 3), { data, width, height } = part;
  for (let v = 0, at = 0; v < size; v++) {
    const y = rows[v], low = down[v], above = y >= 0 && y < height, below = y >= -1 && y < height - 1;
    for (let u = 0; u < size; u++) {
      const x = columns[u], far = across[u];
      const left = x >= 0 && x < width, right = x >= -1 && x < width - 1;
      const start = 3 * (y * width + x), next = start + 3 * width;
      for (let channel = 0; channel < 3; channel++) {
        const a = above && left ? data[start + channel] : FILL;
        const b = above && right ? data[start + 3 + channel] : FILL;
        const c = below && left ? data[next + channel] : FILL;
        const d = below && right ? data[next + 3 + channel] : FILL;
        const upper = a + (b - a) * far, lower = c + (d - c) * far;
        out[at++] = upper + (lower - upper) * low + 0.5;
      }
    }
  }
  return out;
}

/** The mirror image of a crop of size×size RGB bytes. */
export function mirrored(crop, size) {
  const out = new Uint8Array(crop.length);
  for (let row = 0; row < size; row++) {
    for (let x = 0; x < size; x++) {
      const from = 3 * (row * size + x), to = 3 * (row * size + size - 1 - x);
      for (let channel = 0; channel < 3; channel++) out[to + channel] = crop[from + channel];
    }
  }
  return out;
}
