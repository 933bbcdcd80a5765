// People through a film: where to look next, and who is who. The idea of
// hourglass/inference/tracking.py, without its rules for people who hide each other for long: boxes
// follow from the joints of the last frame, and a person keeps the id as long as their joints are
// near where they were. Boxes are [x, y, width, height], px; times are seconds.

import { overlap, shared } from "./detection.js";

const MARGIN = 1.2; // side of a person's box over that of the joints' own
const STEADINESS = 0.5; // share of the last frame's box in the next one
const SURE_SCORE = 0.3; // joints scored lower do not say where the person is
const LOST_SCORE = 0.2; // a person whose mean score falls below is lost
const FEWEST_JOINTS = 4;
const SMALLEST_BOX = 16;
const SAME_BOX = 0.35; // agreement from which a detected box is of a person who is known
const DRIFTED = 0.5; // overlap below which the detected box takes the place of the joints'
const SAME_PERSON = 0.08; // mean distance of joints over the person's size: twins
const FARTHEST = 0.35; // so far a person moves between two frames at most
const PATIENCE = 1; // seconds for which somebody who is hidden is waited for
const UNSUPPORTED = 3; // detections in a row without a person, after which an unsure one is gone
const UNSURE_SCORE = 0.5;
const AGAIN = 1 / 3; // seconds after which everybody is looked for again
const PACE_SHARE = 0.3; // share of the newest movement in a person's pace

const sureJoints = (pose) => pose.points.filter((_, joint) => pose.scores[joint] >= SURE_SCORE);

function boundsOf(points) {
  const xs = points.map(([x]) => x), ys = points.map(([, y]) => y);
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

/** Where to look for a person in the next frame; null if they are lost. */
export function followingBox(pose) {
  const sure = sureJoints(pose);
  if (pose.score < LOST_SCORE || sure.length < FEWEST_JOINTS) return null;
  const [left, top, right, low] = boundsOf(sure), [oldX, oldY, oldWidth, oldHeight] = pose.box;
  const mixed = (old, now) => STEADINESS * old + (1 - STEADINESS) * now;
  const size = mixed(Math.max(oldWidth, oldHeight), Math.max(right - left, low - top) * MARGIN);
  const x = mixed(oldX + (oldWidth - 1) / 2, (left + right) / 2);
  const y = mixed(oldY + (oldHeight - 1) / 2, (top + low) / 2);
  return [x - (size - 1) / 2, y - (size - 1) / 2, size, size];
}

/** The box around a pose's sure joints, with a margin. */
function jointsBox(pose) {
  const [left, top, right, low] = boundsOf(sureJoints(pose));
  const margin = ((MARGIN - 1) / 2) * Math.max(right - left, low - top);
  const sides = [right - left + 2 * margin, low - top + 2 * margin].map((side) => Math.max(side, 1));
  return [left - margin, top - margin, ...sides];
}

/** Mean distance of a pose's sure joints from other places, over the person's size; at most 1. */
function distance(points, pose) {
  const size = Math.max(pose.box[2], pose.box[3]);
  let sum = 0, count = 0;
  pose.points.forEach(([x, y], joint) => {
    if (pose.scores[joint] < SURE_SCORE) return;
    sum += Math.min(Math.hypot(x - points[joint][0], y - points[joint][1]) / size, 1);
    count += 1;
  });
  return count ? sum / count : 1;
}

/** How well two boxes may show one person: a half of somebody inside the whole of them, too. */
function agreement(one, other) {
  const inside = shared(one, other) / Math.min(one[2] * one[3], other[2] * other[3]);
  return (overlap(one, other) + inside) / 2;
}

/** Pairs [row, column] of the lowest costs, each row and column once, none above `most`. */
function assigned(costs, most) {
  const entries = costs.flatMap((row, r) => row.map((cost, c) => ({ cost, r, c })));
  const pairs = [], rows = new Set(), columns = new Set();
  for (const { cost, r, c } of entries.sort((a, b) => a.cost - b.cost)) {
    if (cost > most || rows.has(r) || columns.has(c)) continue;
    rows.add(r);
    columns.add(c);
    pairs.push([r, c]);
  }
  return pairs;
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b), middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Where a pose moves, px per second along x and y. */
function paceOf(track, pose, time) {
  const passed = time - track.time;
  const joints = pose.points.map((_, joint) => joint).filter((joint) =>
    Math.min(pose.scores[joint], track.pose.scores[joint]) >= SURE_SCORE);
  if (passed <= 0 || !joints.length) return track.pace;
  return track.pace.map((old, axis) => {
    const moved = median(joints.map((joint) => pose.points[joint][axis] - track.pose.points[joint][axis]));
    return old + PACE_SHARE * (moved / passed - old);
  });
}

/** Everybody in a film, each with an id, from 1, that stays theirs. */
export class Tracker {
  #tracks = [];
  #newcomers = [];
  #newestId = 0;
  #lastTime = -Infinity;
  #lastDetection = -Infinity;
  #lost = false;

  /**
   * Whether the detector should look at the frame of this time.
   * @param {number} cost seconds that it takes, at most a quarter of which is spent on it
   */
  needsDetection(time, cost = 0) {
    const since = time - this.#lastDetection;
    if (since < 0) return true; // the film was wound back
    if (since < 3 * cost) return false;
    return this.#lost || !this.#tracks.length || since >= AGAIN;
  }

  /** Takes the boxes of everybody whom the detector sees in the frame of this time. */
  detect(boxes, time) {
    this.#lastDetection = time;
    const seen = this.#tracks.filter((track) => track.time === this.#lastTime);
    const costs = seen.map((track) => boxes.map((box) => 1 - agreement(jointsBox(track.pose), box)));
    const pairs = assigned(costs, 1 - SAME_BOX);
    for (const track of seen) track.unsupported += 1;
    for (const [row, column] of pairs) {
      seen[row].unsupported = 0;
      if (overlap(jointsBox(seen[row].pose), boxes[column]) < DRIFTED) seen[row].box = boxes[column];
    }
    const known = new Set(pairs.map(([, column]) => column));
    this.#newcomers = boxes.filter((_, column) => !known.has(column));
  }

  /** Boxes in which to look for people in the frame of this time. */
  expected(time) {
    const known = this.#tracks.map((track) => {
      if (track.time === this.#lastTime) return track.box;
      const [x, y, width, height] = track.box, passed = time - track.time;
      return [x + track.pace[0] * passed, y + track.pace[1] * passed, width, height];
    });
    return [...known, ...this.#newcomers];
  }

  /** Takes the poses found in `expected`'s boxes; returns who is there, with ids, oldest first. */
  update(poses, time, { width, height }) {
    const known = this.#tracks.length;
    const candidates = poses
      .map((pose, place) => ({ pose, box: this.#boxInside(pose, width, height), isNew: place >= known }))
      .filter(({ box }) => box);
    const sure = withoutTwins(candidates);
    const costs = this.#tracks.map((track) => {
      const points = track.pose.points.map((point) =>
        point.map((value, axis) => value + track.pace[axis] * (time - track.time)));
      return sure.map(({ pose }) => distance(points, pose));
    });
    const pairs = assigned(costs, FARTHEST), matched = new Set(pairs.map(([, column]) => column));
    for (const [row, column] of pairs) {
      const track = this.#tracks[row], { pose, box } = sure[column];
      Object.assign(track, { pace: paceOf(track, pose, time), pose, box, time });
    }
    this.#lost = this.#tracks.some((track) => track.time !== time && track.time === this.#lastTime);
    this.#tracks = this.#tracks.filter((track) => staysAt(track, time));
    sure.forEach(({ pose, box, isNew }, column) => {
      if (matched.has(column) || !isNew) return;
      this.#tracks.push({ id: ++this.#newestId, pose, box, time, pace: [0, 0], unsupported: 0 });
    });
    this.#lastTime = time;
    this.#newcomers = [];
    return this.#tracks.filter((track) => track.time === time).map(({ id, pose }) => ({ ...pose, id }));
  }

  #boxInside(pose, width, height) {
    const box = followingBox(pose);
    if (!box || Math.max(box[2], box[3]) < SMALLEST_BOX) return null;
    const sure = sureJoints(pose);
    const [x, y] = [0, 1].map((axis) => sure.reduce((sum, point) => sum + point[axis], 0) / sure.length);
    return x > -0.5 && y > -0.5 && x < width - 0.5 && y < height - 0.5 ? box : null;
  }
}

function staysAt(track, time) {
  const doubted = track.unsupported >= UNSUPPORTED && track.pose.score < UNSURE_SCORE;
  const passed = time - track.time;
  return !doubted && passed >= 0 && passed <= PATIENCE;
}

/** Each person once: of poses that show the same, one who is known, else the surest. */
function withoutTwins(candidates) {
  const kept = [], ordered = [...candidates].sort((a, b) => a.isNew - b.isNew || b.pose.score - a.pose.score);
  for (const one of ordered) {
    if (!kept.some((other) => distance(other.pose.points, one.pose) < SAME_PERSON)) kept.push(one);
  }
  return kept;
}

/** One person through a film: looked for in the box that follows, or anew once lost. */
export class Follower {
  #box = null;
  #time = -Infinity;

  /** Where to look in the frame of this time; null: anywhere. */
  expected(time) {
    return time >= this.#time && time - this.#time <= PATIENCE ? this.#box : null;
  }

  /** Takes the pose that was found. */
  update(pose, time) {
    this.#box = followingBox(pose);
    this.#time = time;
    return { ...pose, id: 1 };
  }
}
