// Where frames come from: a picture's file, a film's file, the camera. Faults are errors whose text
// tells the user what to do.

const SMALLEST_SIDE = 16; // px, as hourglass.media.pictures
const SHORTEST_FRAME = 1e-3; // s
const DRAWN_AGAIN = 20; // ms after which a frame is drawn anew of which the browser drew nothing

const CAMERA = { width: { ideal: 640 }, height: { ideal: 480 } };

const CAMERA_FAULTS = {
  NotAllowedError: "the camera was refused: allow it for this page in the browser, then try again",
  NotFoundError: "no camera was found on this machine",
  OverconstrainedError: "this camera is not there any more: choose another",
  NotReadableError: "the camera cannot be read: another program may be using it",
};

/** An upright picture as a canvas, on white where it is transparent. */
async function readPicture(file) {
  const options = { imageOrientation: "from-image", colorSpaceConversion: "none" };
  const bitmap = await createImageBitmap(file, options);
  const { width, height } = bitmap;
  if (Math.min(width, height) < SMALLEST_SIDE) {
    throw new Error(`${file.name}: picture is ${width}×${height} pixels, each side must be ` +
      `${SMALLEST_SIDE} or more`);
  }
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return canvas;
}

/** A picture or film by its file: {kind, name, frame} or a `Film`. */
export async function openFile(file) {
  const isFilm = file.type.startsWith("video/");
  if (!isFilm) {
    try {
      return { kind: "picture", name: file.name, frame: await readPicture(file), close() {} };
    } catch (error) {
      if (file.type.startsWith("image/") || error.message.startsWith(file.name)) {
        throw error.message.startsWith(file.name) ? error : unreadable(file);
      }
    }
  }
  return Film.of(file, isFilm);
}

const unreadable = (file) => new Error(`${file.name}: not a picture or film that this browser can read`);

/** A playing <video> that says when it shows a new frame. */
class Moving {
  #fresh = null; // what the browser told of the newest frame
  #wake = () => {};
  #again; // the timer that offers a frame again which could not be drawn
  #closed = false;

  constructor(video, name, kind) {
    Object.assign(this, { video, name, kind });
    this.#listen();
    // WebKitGTK leaves a film with `autoplay` standing, but plays it when told to. Where a film may
    // not begin by itself, or was closed before it began, the player's button says that it stands.
    video.play().catch(() => {});
  }

  #listen() {
    const { video } = this;
    const heard = (time, metadata) => {
      if (this.#closed) return;
      const fresh = metadata ?? { mediaTime: video.currentTime, presentedFrames: 0 };
      this.note(fresh);
      this.#offer(fresh);
      this.#listen();
    };
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(heard);
    else requestAnimationFrame((time) => (video.paused && this.#fresh ? this.#listen() : heard(time)));
  }

  #offer(fresh) {
    clearTimeout(this.#again); // a newer frame has come: the older one's time must not follow it
    this.#fresh = fresh;
    this.#wake();
  }

  /** Waits for a frame that was not taken yet; null once the source is closed. */
  async next() {
    while (!this.#fresh && !this.#closed) await new Promise((resolve) => { this.#wake = resolve; });
    return this.waiting();
  }

  /** The same if there is such a frame now; null if not. */
  waiting() {
    const fresh = this.#closed ? null : this.#fresh;
    this.#fresh = null;
    return fresh;
  }

  /** Learns from what the browser tells of every frame, looked at or not. */
  note() {}

  /**
   * Draws the newest frame on a canvas, which gets its size.
   *
   * WebKitGTK draws nothing now and then: the frame is offered again then.
   * @param fresh what was told of that frame
   * @returns whether it was drawn
   */
  grab(canvas, fresh) {
    const { videoWidth: width, videoHeight: height } = this.video;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.clearRect(0, 0, width, height);
    context.drawImage(this.video, 0, 0);
    if (isDrawn(context, 1, 1) || isDrawn(context, width, height)) return true;
    this.#again = setTimeout(() => this.#offer(fresh), DRAWN_AGAIN);
    return false;
  }

  /** Whether no frame will come any more. */
  get closed() {
    return this.#closed;
  }

  close() {
    this.#closed = true;
    this.video.pause();
    this.#wake();
  }
}

/** A film's file. */
export class Film extends Moving {
  #period = Infinity; // s from frame to frame, by what was seen of them
  #last = null;

  static async of(file, surely) {
    const video = makeVideo();
    video.src = URL.createObjectURL(file);
    try {
      await once(video, "loadeddata");
      if (!video.videoWidth) throw new Error("no pictures");
    } catch {
      URL.revokeObjectURL(video.src);
      video.remove();
      throw surely
        ? new Error(`${file.name}: not a film that this browser can play`)
        : unreadable(file);
    }
    return new Film(video, file.name, "film");
  }

  note({ mediaTime }) {
    const passed = mediaTime - (this.#last ?? mediaTime);
    if (passed > SHORTEST_FRAME) this.#period = Math.min(this.#period, passed);
    this.#last = mediaTime;
  }

  /** A frame's time in the film, s. */
  timeOf({ mediaTime }) {
    return mediaTime;
  }

  /** A frame's place in the film, by its time and the shortest time from one to the next. */
  placeOf(time) {
    return Math.round(time / this.#period);
  }

  close() {
    super.close();
    URL.revokeObjectURL(this.video.src);
    this.video.remove();
  }
}

/** The camera; its frames' times are seconds since it began. */
export class Camera extends Moving {
  #began = performance.now();

  /** Its `id`, and whether it `looksAway` from the user, as that on a phone's back does. */
  constructor(video) {
    super(video, "camera", "camera");
    const { deviceId, facingMode } = video.srcObject.getVideoTracks()[0].getSettings();
    Object.assign(this, { id: deviceId, looksAway: facingMode === "environment" });
  }

  /** The camera of this id; without one, that which faces the user. */
  static async open(id = null) {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error("the browser gives the camera only to pages of https:// or of localhost");
    }
    const which = id ? { deviceId: { exact: id } } : { facingMode: "user" };
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { ...CAMERA, ...which }, audio: false });
    } catch (error) {
      const none = !id && error.name === "OverconstrainedError"; // so WebKit says that there is none
      const fault = CAMERA_FAULTS[none ? "NotFoundError" : error.name];
      throw new Error(fault ?? `the camera cannot be opened (${error.message})`);
    }
    const video = makeVideo();
    video.srcObject = stream;
    await once(video, "loadeddata");
    return new Camera(video);
  }

  /** All cameras {id, label}; browsers tell of them once one may be used. */
  static async all() {
    const devices = await navigator.mediaDevices.enumerateDevices();
    return devices.filter(({ kind }) => kind === "videoinput").map(({ deviceId: id, label }) => ({ id, label }));
  }

  timeOf() {
    return (performance.now() - this.#began) / 1000;
  }

  /** A frame's place among those that were looked at. */
  placeOf(time, order) {
    return order;
  }

  close() {
    super.close();
    for (const track of this.video.srcObject.getTracks()) track.stop();
    this.video.remove();
  }
}

function makeVideo() {
  const video = document.createElement("video");
  Object.assign(video, { muted: true, playsInline: true, autoplay: true });
  video.className = "source"; // out of sight, but laid out: browsers rest what is not
  video.setAttribute("aria-hidden", "true");
  video.tabIndex = -1;
  document.body.append(video);
  return video;
}

/** Whether anything was drawn on so many px of a canvas that was clear. */
function isDrawn(context, width, height) {
  return context.getImageData(0, 0, width, height).data.some((value, at) => at % 4 === 3 && value > 0);
}

function once(video, event) {
  return new Promise((resolve, reject) => {
    video.addEventListener(event, resolve, { once: true });
    video.addEventListener("error", () => reject(video.error), { once: true });
  });
}
