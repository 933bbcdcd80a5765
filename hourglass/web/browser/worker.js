// The network and the detector, in a thread of their own. A classic worker, not a module: LiteRT.js
// loads its WebAssembly by importScripts.
//
// It answers {id, kind, …} by {id, result} or {id, error}, one after the other.
"use strict";

const modules = Promise.all(
  ["detection", "estimator", "flatbuffer", "geometry", "modelfile", "tracking"].map((name) => import(`./${name}.js`)),
).then((loaded) => Object.assign({}, ...loaded));

let litert = null; // the runtime's module
let threads = 1;
let detectorUrl = null, detector = null, detectorSeconds = 0;
let estimator = null, network = null, networkUrl = null;
let tracker = null, follower = null;

/** Starts the WebAssembly that the browser can run: threaded, relaxed SIMD, or plain. */
async function start({ runtime, wanted, detector: url }) {
  const folder = new URL(runtime, self.location), wasm = new URL("wasm/", folder).href;
  litert = await import(new URL("index.js", folder).href);
  const relaxed = await litert.supportsFeature("relaxedSimd");
  const threaded = relaxed && self.crossOriginIsolated && (await litert.supportsFeature("threads"));
  threads = threaded ? Math.max(1, wanted) : 1;
  // The runtime makes as many threads as it is told there are cores.
  Object.defineProperty(navigator, "hardwareConcurrency", { value: threads });
  // In a worker it does not know where it was loaded from.
  self.Module = {
    locateFile: (name) => wasm + name,
    mainScriptUrlOrBlob: `${wasm}litert_wasm_threaded_internal.js`,
    printErr: (line) => { if (!/^(INFO|WARNING|VERBOSE)/.test(line)) console.error(line); },
  };
  await litert.loadLiteRt(wasm, { threads: threads > 1 });
  detectorUrl = url;
  return { threads, simd: relaxed ? "relaxed SIMD" : "no relaxed SIMD" };
}

async function bytesOf(url) {
  const answer = await fetch(new URL(url, self.location));
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${answer.statusText}`);
  return new Uint8Array(await answer.arrayBuffer());
}

async function compiled(bytes) {
  return litert.loadAndCompile(bytes, { accelerator: "wasm", cpuOptions: { numThreads: threads } });
}

/** Runs one signature from bytes to float32. */
async function run(model, bytes, shape, signature = Object.keys(model.signatures)[0]) {
  const input = new litert.Tensor(bytes, shape);
  try {
    const [output] = await model.run(signature, [input]);
    const values = output.toTypedArray().slice();
    output.delete();
    return values;
  } finally {
    input.delete();
  }
}

/** Loads a model of people's joints in the place of the one before. */
async function model({ url }) {
  const { describe, Estimator, fixShapes } = await modules;
  if (url !== networkUrl) {
    const bytes = await bytesOf(url);
    let about;
    try {
      about = await describe(bytes);
    } catch (error) {
      throw new Error(`${url}: ${error.message}`);
    }
    network?.delete();
    network = await compiled(fixShapes(bytes));
    networkUrl = url;
    const { batch, size } = about;
    const heatmaps = (crops) => run(network, crops, [batch, size, size, 3]);
    estimator = { about, poses: new Estimator(about, heatmaps) };
  }
  return estimator.about;
}

/** Everybody's boxes; looked for with some room around if nobody is found at once. */
async function detected(picture, side) {
  const { boxesOf, detectorInput, ROOM, SMALL_SIDE } = await modules;
  detector ??= await compiled(await bytesOf(detectorUrl));
  const began = performance.now();
  const look = async (size, room) => {
    const input = detectorInput(picture, size, room);
    const output = await run(detector, input.data, [1, size, size, 3], `side_${size}`);
    return boxesOf(output, input, picture);
  };
  const found = await look(side, 0);
  const boxes = found.length ? found : await look(SMALL_SIDE, ROOM);
  detectorSeconds = (performance.now() - began) / 1000;
  return boxes;
}

/** The people of a picture. */
async function inPicture(picture, several, options) {
  const { sideFor, whole } = await modules;
  const boxes = several ? await detected(picture, sideFor(picture)) : [whole(picture)];
  return estimator.poses.poses(picture, boxes, options);
}

/** The people of a film's or camera's frame, with ids. */
async function inFrame(picture, several, time, options) {
  const { Follower, SMALL_SIDE, sideFor, Tracker, whole } = await modules;
  const side = options.live ? SMALL_SIDE : sideFor(picture); // people at a camera are large
  if (!several) {
    follower ??= new Follower();
    const box = follower.expected(time) ?? (await detected(picture, side))[0] ?? whole(picture);
    const [pose] = await estimator.poses.poses(picture, [box], options);
    return [follower.update(pose, time)];
  }
  tracker ??= new Tracker();
  if (tracker.needsDetection(time, detectorSeconds)) {
    tracker.detect(await detected(picture, side), time);
  }
  const poses = await estimator.poses.poses(picture, tracker.expected(time), options);
  return tracker.update(poses, time, picture);
}

/** Looks at a picture, or at a frame if it has a time. */
async function look({ pixels, width, height, several, time, ...options }) {
  const began = performance.now();
  const picture = { data: new Uint8Array(pixels), width, height };
  const people = await (time === null
    ? inPicture(picture, several, options)
    : inFrame(picture, several, time, options));
  return { people, ms: performance.now() - began };
}

/** Forgets who was in the film. */
async function forget() {
  tracker = follower = null;
}

const KINDS = { start, model, look, forget };
let last = Promise.resolve();

self.onmessage = ({ data: { id, kind, ...request } }) => {
  last = last.then(async () => {
    try {
      self.postMessage({ id, result: await KINDS[kind](request) });
    } catch (error) {
      self.postMessage({ id, error: error?.message ?? String(error) });
    }
  });
};
