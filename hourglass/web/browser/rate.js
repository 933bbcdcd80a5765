// How many frames a second are looked at: the mean of the last few.

const COUNTED = 30; // frames

export class Rate {
  #times = []; // ms

  /** Notes that a frame was looked at now; returns frames per second, NaN of one frame. */
  note(now = performance.now()) {
    this.#times = [...this.#times.slice(-COUNTED), now];
    return (1000 * (this.#times.length - 1)) / (now - this.#times[0]);
  }
}
