// From heatmaps to joints, as hourglass/core/decoding.py decodes them, and from the heights of peaks
// to scores, as hourglass/core/calibration.py turns them. Coordinates are heatmap px.
//
// Heatmaps are {data, width, height, joints} with `data` (height, width, joints) float32.

const QUARTER = 0.25; // shift towards the higher neighbour (Newell et al., ECCV 2016)
const SMOOTHING_SIGMA = 1.0, SMOOTHING_RADIUS = 3; // DARK (Zhang et al., CVPR 2020)
const REACH = SMOOTHING_RADIUS + 1;
const TINY = 1e-10;

/** Each joint's peak: {points: [[x, y], …], heights: [0 to 1, …]}. */
export function decode(heatmaps, refine) {
  const points = [], heights = [];
  for (let joint = 0; joint < heatmaps.joints; joint++) {
    const [x, y, height] = peakOf(heatmaps, joint);
    points.push(refined(heatmaps, joint, x, y, refine));
    heights.push(Math.min(Math.max(height, 0), 1));
  }
  return { points, heights };
}

function refined(heatmaps, joint, x, y, refine) {
  if (refine === "quarter") {
    const [along, down] = slopes(heatmaps, joint, x, y);
    return [x + QUARTER * Math.sign(along), y + QUARTER * Math.sign(down)];
  }
  if (refine === "dark") return gaussianCentre(heatmaps, joint, x, y);
  if (refine === "none") return [x, y];
  throw new Error(`the model wants its heatmaps decoded by ${refine}, which this page cannot`);
}

function peakOf({ data, width, joints }, joint) {
  let best = joint;
  for (let at = joint; at < data.length; at += joints) if (data[at] > data[best]) best = at;
  const cell = (best - joint) / joints;
  return [cell % width, Math.floor(cell / width), data[best]];
}

const valueAt = ({ data, width, joints }, joint, x, y) => data[(y * width + x) * joints + joint];
const logOf = (value) => Math.log(Math.max(value, TINY));
const clipped = (value, low, high) => Math.min(Math.max(value, low), high);

/** Slope of the logarithm along x and y; at the border, of the parabola through three px. */
function slopes(heatmaps, joint, x, y) {
  const slope = (at, length, value) => {
    const centre = clipped(at, 1, length - 2);
    const [before, middle, after] = [-1, 0, 1].map((step) => logOf(value(centre + step)));
    return (after - before) / 2 + (at - centre) * (before - 2 * middle + after);
  };
  return [
    slope(x, heatmaps.width, (place) => valueAt(heatmaps, joint, place, y)),
    slope(y, heatmaps.height, (place) => valueAt(heatmaps, joint, x, place)),
  ];
}

/** Centre of the Gaussian whose logarithm fits 3×3 px at a peak. */
function gaussianCentre(heatmaps, joint, x, y) {
  const centreX = clipped(x, 1, heatmaps.width - 2), centreY = clipped(y, 1, heatmaps.height - 2);
  const [[a, b, c], [d, e, f], [g, h, i]] = smoothed(heatmaps, joint, centreX, centreY).map((row) =>
    row.map(logOf),
  );
  const dx = (f - d) / 2, dy = (h - b) / 2;
  const dxx = f - 2 * e + d, dyy = h - 2 * e + b, dxy = (i - g - c + a) / 4;
  const determinant = dxx * dyy - dxy ** 2;
  if (!(determinant > TINY && dxx < 0)) return [x, y];
  const moveX = centreX - x + (dxy * dy - dyy * dx) / determinant;
  const moveY = centreY - y + (dxy * dx - dxx * dy) / determinant;
  return [x + clipped(moveX, -1, 1), y + clipped(moveY, -1, 1)];
}

const KERNEL = (() => {
  const weights = [];
  for (let step = -SMOOTHING_RADIUS; step <= SMOOTHING_RADIUS; step++) {
    weights.push(Math.exp(-0.5 * (step / SMOOTHING_SIGMA) ** 2));
  }
  const sum = weights.reduce((total, weight) => total + weight);
  return weights.map((weight) => weight / sum);
})();

/** 3×3 px around a centre, smoothed where the kernel fits in the map: zeros would pull inwards. */
function smoothed(heatmaps, joint, x, y) {
  const { width, height } = heatmaps, near = [-1, 0, 1];
  const fits = x >= REACH && x < width - REACH && y >= REACH && y < height - REACH;
  if (!fits) return near.map((down) => near.map((along) => valueAt(heatmaps, joint, x + along, y + down)));
  const rows = []; // smoothed along x, for every row that the kernel reaches
  for (let down = -REACH; down <= REACH; down++) {
    rows.push(near.map((along) => KERNEL.reduce((sum, weight, place) =>
      sum + weight * valueAt(heatmaps, joint, x + along + place - SMOOTHING_RADIUS, y + down), 0)));
  }
  return near.map((down) => near.map((_, along) =>
    KERNEL.reduce((sum, weight, place) => sum + weight * rows[down + 1 + place][along], 0)));
}

/** The score of a peak's height by a line through knots; beyond them, that of the last one. */
export function interpolated(height, heights, rates) {
  const next = heights.findIndex((knot) => knot >= height);
  if (next === 0) return rates[0];
  if (next === -1) return rates[rates.length - 1];
  const share = (height - heights[next - 1]) / (heights[next] - heights[next - 1]);
  return rates[next - 1] + share * (rates[next] - rates[next - 1]);
}

/** Scores by a calibration {heights, rates} of lines per joint; without one, the heights. */
export function calibrated(heights, calibration) {
  if (!calibration) return heights;
  return heights.map((height, joint) =>
    interpolated(height, calibration.heights[joint], calibration.rates[joint]));
}
