// The network and the detector, in a thread of their own. A classic worker, not a module: LiteRT.js
// loads its WebAssembly by importScripts.
//
// It answers {id, kind, …} by {id, result} or {id, error}, one after the other.
"use strict";

const MODULES = ["detection", "estimator", "flatbuffer", "geometry", "modelfile", "network", "tracking"];
const modules = Promise.all(MODULES.map((name) => import(`./${name}.js`)))
  .then((loaded) => Object.assign({}, ...loaded));

let litert = null; // the runtime's module
let threads = 1, accelerator = null; // null: the faster one
let detectorUrl = null, detector = null, detectorSeconds = 0;
let estimator = null, network = null, networkUrl = null;
let tracker = null, follower = null;

/** Starts the WebAssembly that the browser can run: threaded, relaxed SIMD, or plain. */
async function start({ runtime, wanted, accelerator: asked, detector: url }) {
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
  [detectorUrl, accelerator] = [url, asked];
  return { threads, simd: relaxed ? "relaxed SIMD" : "no relaxed SIMD" };
}

async function bytesOf(url) {
  const answer = await fetch(new URL(url, self.location));
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${answer.statusText}`);
  return new Uint8Array(await answer.arrayBuffer());
}

/** Loads a model of people's joints in the place of the one before. */
async function model({ url }) {
  const { describe, Estimator, fixShapes, Network } = await modules;
  if (url !== networkUrl) {
    const bytes = await bytesOf(url);
    let about;
    try {
      about = await describe(bytes);
    } catch (error) {
      throw new Error(`${url}: ${error.message}`);
    }
    const { batch, size } = about, shape = [batch, size, size, 3];
    const made = await Network.of(litert, fixShapes(bytes), shape, threads, accelerator);
    network?.delete();
    [network, networkUrl] = [made, url];
    tracker = follower = null; // another model's people may have other joints
    estimator = { about, poses: new Estimator(about, (crops) => network.heatmaps(crops)) };
  }
  return { ...estimator.about, accelerator: network.accelerator };
}

/** Everybody's boxes; looked for with some room around if nobody is found at once. */
async function detected(picture, side) {
  const { boxesOf, compile, detectorInput, ROOM, run, SMALL_SIDE } = await modules;
  detector ??= await compile(litert, await bytesOf(detectorUrl), threads);
  const began = performance.now();
  const look = async (size, room) => {
    const input = detectorInput(picture, size, room);
    const output = await run(litert, detector, input.data, [1, size, size, 3], `side_${size}`);
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
