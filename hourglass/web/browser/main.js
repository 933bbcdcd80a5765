// The page: its controls, and the way from a source's frame through the worker onto the canvas.

import { askedFor } from "./address.js";
import { mark, offerCameras, offerModels, remember } from "./choice.js";
import { draw } from "./drawing.js";
import { Engine } from "./engine.js";
import { connectPlayer, pace, showPlace } from "./player.js";
import { Rate } from "./rate.js";
import { download, stemOf, toJson, toObject } from "./results.js";
import { Camera, openFile } from "./sources.js";
import { fillTable } from "./table.js";

const MOST_FRAMES = 20000; // of a film or camera kept for the JSON: eleven minutes at 30 frames/s
const TOLD_EVERY = 2000; // ms between spoken notes on a film
const FAULT_STANDS = 6000; // ms for which nothing that was found takes a fault's place
const SHARP_SIDE = 1200, MOST_ZOOM = 4; // small pictures are drawn larger, so that lines are sharp
const LARGEST_SIDE = 2400; // larger ones smaller, so that the threshold moves at once

const element = (id) => document.getElementById(id);
const checked = (id) => element(id).checked;
const several = () => document.querySelector("input[name=people]:checked").value === "several";
const moving = () => state.source && state.source.kind !== "picture";
const recording = () => state.source?.kind === "camera" && !state.source.closed;

const state = {
  engine: new Engine(),
  site: null, // site.json: models, detector, runtime
  runtime: null, // how it was started: threads, SIMD
  model: null, // the entry of site.json that is used
  about: null, // what the model says of itself
  early: null, // a file that was dropped before the model was there
  source: null,
  frame: document.createElement("canvas"), // what was looked at last, in its own px
  people: [],
  found: new Map(), // people of a film's or camera's frames, by their time
  time: null, // of the frame that was looked at last, s
  turn: 0, // of the newest source: whatever answers for an older one is dropped
  rate: new Rate(),
  toldAt: 0,
  faultUntil: 0,
};

function tell(text, isFault = false) {
  element("told").textContent = text;
  element("told").classList.toggle("error", isFault);
}

function tellFault(error) {
  tell(error.message, true);
  state.faultUntil = performance.now() + FAULT_STANDS;
}

function tellFound(text) {
  if (performance.now() > state.faultUntil) tell(text);
}

const peopleText = (count) => (count === 1 ? "1 person" : `${count || "no"} people`);

// Showing.

/** How a frame is drawn, by the controls. */
function looks() {
  return {
    people: state.people,
    skeleton: state.about.skeleton,
    idColours: state.site.id_colours,
    parts: Object.fromEntries(["skeleton", "keypoints", "names", "heatmap"].map((id) => [id, checked(id)])),
    minScore: Number(element("threshold").value),
    mirror: state.source.kind === "camera" && !state.source.looksAway && checked("mirror"),
  };
}

function show() {
  if (!state.source || !state.about) return;
  const { people, about, frame } = state, canvas = element("canvas");
  const longer = Math.max(frame.width, frame.height);
  const zoom = Math.min(Math.max(SHARP_SIDE / longer, 1), MOST_ZOOM, LARGEST_SIDE / longer);
  draw(canvas, frame, { ...looks(), zoom });
  canvas.style.setProperty("--ratio", frame.width / frame.height);
  const scores = people.map((pose) => pose.score.toFixed(2)).join(", ");
  canvas.setAttribute("aria-label",
    `${state.source.name}: ${peopleText(people.length)}${scores && `, score ${scores}`}`);
  element("count").textContent = people.length;
  element("size").textContent = `${state.frame.width}×${state.frame.height}`;
  if (element("table").open) fillTable(element("rows"), people, about.skeleton, looks().minScore);
}

function showCost(ms) {
  element("cost").textContent = ms < 9.95 ? ms.toFixed(1) : Math.round(ms);
  const rate = state.rate.note();
  element("rate").textContent = Number.isNaN(rate) ? "–" : rate.toFixed(1);
}

function showSource() {
  const { source } = state, isFilm = source?.kind === "film";
  element("empty").hidden = Boolean(source);
  element("view").classList.toggle("empty", !source);
  element("canvas").hidden = !source;
  element("numbers").hidden = element("table").hidden = !source;
  element("rate").parentElement.hidden = !moving();
  element("player").hidden = element("slow-row").hidden = !isFilm;
  element("mirror-row").hidden = source?.kind !== "camera" || source.looksAway;
  element("camera").textContent = recording() ? "Stop camera" : "Camera";
  if (!recording()) element("cameras-row").hidden = true;
  if (!source) letSave(false);
}

function letSave(may) {
  element("save-json").disabled = element("save-picture").disabled = !may;
}

// Looking.

/** Asks what is in a frame of this time, s; null of a picture. */
async function lookAt(frame, time) {
  const context = frame.getContext("2d", { willReadFrequently: true });
  return state.engine.look(context.getImageData(0, 0, frame.width, frame.height), {
    several: several(),
    time,
    live: state.source.kind === "camera",
    flipTest: checked("flip"),
    heatmaps: checked("heatmap"),
  });
}

/** Looks once more at what is there: a picture, or a film that stands still. */
async function lookAgain() {
  const { source, turn } = state;
  if (!source || !state.about) return;
  if (moving() && !source.video.paused) return; // its next frame comes soon
  if (source.kind === "picture") {
    tellFound(`${source.name}: looking …`);
    letSave(false);
  }
  try {
    const { people, ms } = await lookAt(state.frame, moving() ? state.time ?? 0 : null);
    if (turn !== state.turn) return;
    state.people = people;
    if (moving()) keep();
    showCost(ms);
    show();
    letSave(true);
    tellFound(`${source.name}: ${peopleText(people.length)}${scoreText(people)}`);
    if (!people.length) tellFound(`${source.name}: no people. If one person fills it, choose One.`);
  } catch (error) {
    if (turn === state.turn) tellFault(error);
  }
}

const scoreText = (people) =>
  people.length ? `, score ${people.map((pose) => pose.score.toFixed(2)).join(", ")}` : "";

/** Notes the newest frame for the JSON. */
function keep() {
  state.found.set(state.time ?? 0, state.people);
  if (state.found.size > MOST_FRAMES) state.found.delete(state.found.keys().next().value);
}

/** Takes a source's fresh frame and asks what is in it; null if there is none. */
function begin(source, fresh, frame) {
  if (!fresh || !source.grab(frame, fresh)) return null;
  const time = source.timeOf(fresh), answer = lookAt(frame, time);
  answer.catch(() => {}); // whoever waits for it hears of it; nobody does once the source is closed
  return { frame, time, answer, presented: fresh.presentedFrames };
}

/** Waits for a source's fresh frame and asks what is in it; null once the source is closed. */
async function beginNext(source, frame) {
  let looking = null;
  while (!looking && !source.closed) looking = begin(source, await source.next(), frame);
  return looking;
}

/** Looks at the newest frames, one after the other; while one is drawn the next is looked at. */
async function follow(source, turn) {
  let spare = document.createElement("canvas"), presented = null;
  let looking = await beginNext(source, state.frame);
  while (looking) {
    const { people, ms } = await looking.answer;
    if (turn !== state.turn || source.closed) return;
    const next = begin(source, source.waiting(), spare), { frame, time } = looking;
    Object.assign(state, { frame, time, people });
    keep();
    showCost(ms);
    show();
    letSave(true);
    if (source.kind === "film") {
      pace(source.video, presented === null ? 1 : looking.presented - presented, checked("slow"));
      presented = looking.presented;
      showPlace(source.video);
    }
    if (performance.now() - state.toldAt > TOLD_EVERY) tellLive();
    looking = next ?? (await beginNext(source, spare));
    spare = frame;
  }
}

function tellLive() {
  const text = `${state.source.name}: ${peopleText(state.people.length)}`;
  if (element("told").textContent !== text) tellFound(text);
  state.toldAt = performance.now();
}

async function open(source) {
  const turn = ++state.turn;
  state.source?.close();
  Object.assign(state, { source, people: [], time: null, rate: new Rate() });
  Object.assign(state, { toldAt: 0, faultUntil: 0 });
  state.found.clear();
  state.frame = source.frame ?? document.createElement("canvas");
  letSave(false);
  showSource();
  tell(`${source.name}: looking …`);
  if (source.kind === "picture") show();
  else attend(source);
  await state.engine.forget(); // later than what the worker still does for the source before
  if (turn !== state.turn) return;
  if (source.kind === "picture") {
    await lookAgain();
    return;
  }
  follow(source, turn).catch((error) => {
    if (turn === state.turn) tellFault(error);
  });
}

/** Notes what happens to a film or camera between frames. */
function attend(source) {
  if (source.kind === "film") {
    for (const event of ["play", "pause", "ended"]) {
      source.video.addEventListener(event, () => { if (state.source === source) showPlace(source.video); });
    }
    return;
  }
  source.video.srcObject.getVideoTracks()[0].addEventListener("ended", () => {
    if (state.source !== source) return;
    stopCamera();
    tellFault(new Error("the camera has gone: it was taken away, or another program took it"));
  });
}

async function openOne(opening) {
  const before = state.turn;
  try {
    const source = await opening;
    if (before === state.turn) await open(source);
    else source.close(); // something else was opened meanwhile
  } catch (error) {
    tellFault(error);
  }
}

/** Opens the camera of this id; without one, that which faces the user. */
async function openCamera(id = null) {
  if (recording()) state.source.close(); // many phones open one at a time
  await openOne(Camera.open(id));
  showSource();
  const cameras = recording() ? await Camera.all() : [];
  if (!recording()) return;
  offerCameras(element("cameras"), cameras, state.source.id);
  element("cameras-row").hidden = cameras.length < 2;
}

/** Ends the camera; what it showed last stays, and all that was found can be saved. */
function stopCamera() {
  const { source, found } = state;
  source.close();
  if (!found.size) Object.assign(state, { source: null, turn: state.turn + 1 });
  showSource();
  const frames = found.size === 1 ? "1 frame" : `${found.size} frames`;
  tell(`The camera is off.${found.size ? ` What was found in ${frames} can be saved.` : ""}`);
}

/** What was found so far belongs to other settings. */
async function startAnew() {
  await state.engine.forget();
  state.found.clear();
  await lookAgain();
}

// Models.

async function useModel(entry) {
  tell(`Loading ${entry.name} …`);
  state.about = await state.engine.model(entry.file);
  state.model = entry;
  state.people = []; // they were found by another model, of other joints perhaps
  state.found.clear();
  const { size, skeleton } = state.about;
  element("model-hint").textContent = `Looks at each person in ${size}×${size} px. ` +
    `${entry.megabytes} MB, skeleton ${skeleton.name}.`;
  element("runtime").textContent = runtimeText();
  element("flip-row").parentElement.hidden = !skeleton.flip_order && element("slow-row").hidden;
  element("flip-row").hidden = !skeleton.flip_order;
  if (!skeleton.flip_order) element("flip").checked = false;
}

function runtimeText() {
  const { threads, simd } = state.runtime;
  const wasm = `WebAssembly, ${threads === 1 ? "1 thread" : `${threads} threads`}, ${simd}`;
  return state.about.accelerator === "webgpu"
    ? `LiteRT on the graphics processor by WebGPU; the detector in ${wasm}.`
    : `LiteRT in ${wasm}.`;
}

async function choose(entry) {
  try {
    await useModel(entry);
    remember(entry);
    await startAnew();
    if (!state.source) tell(`${entry.name} is ready.`);
  } catch (error) {
    tellFault(error);
  }
  mark(element("model-choice"), state.model);
}

async function start() {
  const answer = await fetch("site.json");
  if (!answer.ok) throw new Error("site.json is missing beside this page: export it again");
  state.site = await answer.json();
  const asked = askedFor(location.search, navigator.hardwareConcurrency || 1);
  const { runtime, detector, models, min_score: minScore } = state.site;
  state.runtime = await state.engine.start({ runtime, detector, ...asked });
  element("threshold").value = minScore;
  element("shown").textContent = minScore.toFixed(2);
  element("models").hidden = models.length < 2;
  await useModel(offerModels(element("model-choice"), models, choose));
  element("choose").disabled = element("camera").disabled = false;
  document.body.dataset.ready = "";
  tell("Open a picture or film, or start the camera.");
  if (state.early) openOne(openFile(state.early));
}

// Controls.

const ready = () => "ready" in document.body.dataset;
function openDropped([file]) {
  if (!file) return;
  if (ready()) openOne(openFile(file));
  else state.early = file;
}

function connect() {
  const view = element("view"), file = element("file");
  element("choose").addEventListener("click", () => file.click());
  view.addEventListener("click", () => { if (!state.source && ready()) file.click(); });
  file.addEventListener("change", () => {
    openDropped(file.files);
    file.value = "";
  });
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    view.classList.add("over");
  });
  document.addEventListener("dragleave", () => view.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    view.classList.remove("over");
    openDropped(event.dataTransfer.files);
  });
  element("camera").addEventListener("click", () => {
    if (recording()) stopCamera();
    else openCamera();
  });
  element("cameras").addEventListener("change", () => openCamera(element("cameras").value));
  for (const id of ["skeleton", "keypoints", "names", "mirror"]) element(id).addEventListener("change", show);
  element("threshold").addEventListener("input", () => {
    element("shown").textContent = Number(element("threshold").value).toFixed(2);
    show();
  });
  element("heatmap").addEventListener("change", () => (checked("heatmap") ? lookAgain() : show()));
  for (const id of ["flip", "people-one", "people-several"]) element(id).addEventListener("change", startAnew);
  connectPlayer(() => state.source.video);
  element("table").addEventListener("toggle", show);
  element("panel").addEventListener("submit", (event) => event.preventDefault());
  element("save-json").addEventListener("click", saveJson);
  element("save-picture").addEventListener("click", savePicture);
  document.addEventListener("visibilitychange", () => { state.rate = new Rate(); });
}

function saveJson() {
  const { source, frame, about } = state;
  const object = (people, of) => toObject(source.name, frame, people, about.skeleton, of);
  const times = [...state.found.keys()].sort((one, other) => one - other);
  const found = moving()
    ? times.map((time, order) =>
        object(state.found.get(time), { index: source.placeOf(time, order), time }))
    : [object(state.people)];
  download(toJson(found), `${stemOf(source.name)}.json`, "application/json");
}

function savePicture() {
  const name = `${stemOf(state.source.name)}_pose.png`, canvas = document.createElement("canvas");
  draw(canvas, state.frame, looks()); // as large as the picture is
  canvas.toBlob((blob) => download(blob, name), "image/png");
}

connect();
start().catch(tellFault);
