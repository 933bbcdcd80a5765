// The page's side of worker.js: each call is a promise of its answer.

export class Engine {
  #worker = new Worker("worker.js");
  #waiting = new Map();
  #newest = 0;

  constructor() {
    this.#worker.onmessage = ({ data: { id, result, error } }) => {
      const { resolve, reject } = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) resolve(result);
      else reject(new Error(error));
    };
    this.#worker.onerror = (event) => {
      for (const { reject } of this.#waiting.values()) {
        reject(new Error(event.message || "the worker cannot be started"));
      }
      this.#waiting.clear();
    };
  }

  #ask(kind, request = {}, moved = []) {
    const id = ++this.#newest;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, kind, ...request }, moved);
    });
  }

  /**
   * Starts the runtime: {threads, simd}.
   * @param request {runtime, detector, wanted: threads, accelerator: "webgpu", "wasm" or null for the faster}
   */
  start(request) {
    return this.#ask("start", request);
  }

  /** Loads a model: what it says of itself, and the accelerator that runs it. */
  model(url) {
    return this.#ask("model", { url });
  }

  /**
   * Looks at an ImageData, whose bytes are taken away: {people, ms}.
   * @param options {several, time (s, null of a picture), live, flipTest, heatmaps}
   */
  look(picture, options) {
    const { width, height } = picture, pixels = picture.data.buffer;
    return this.#ask("look", { pixels, width, height, ...options }, [pixels]);
  }

  /** Forgets who was in the film. */
  forget() {
    return this.#ask("forget");
  }
}
