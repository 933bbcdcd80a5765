// Models in LiteRT.js. A network of joints runs on the graphics processor (WebGPU) where there is one
// that gives the same heatmaps sooner, else, and whenever that one fails, in WebAssembly.

export const WASM = "wasm", WEBGPU = "webgpu"; // as LiteRT.js calls them

const TRIES = 3; // runs by which the two are compared
const FARTHEST = 0.01; // so much may a heatmap's values differ between the two
const GPU_OPTIONS = { precision: "fp32" }; // float16 would move joints

/** A model of these bytes, ready to run. */
export function compile(litert, bytes, threads, accelerator = WASM) {
  return litert.loadAndCompile(bytes, {
    accelerator,
    cpuOptions: { numThreads: threads },
    gpuOptions: GPU_OPTIONS,
  });
}

/** Runs one signature from bytes to float32. */
export async function run(litert, model, bytes, shape, signature = Object.keys(model.signatures)[0]) {
  const input = new litert.Tensor(bytes, shape);
  try {
    const [output] = await model.run(signature, [input]);
    try {
      return await output.data();
    } finally {
      output.delete();
    }
  } finally {
    input.delete();
  }
}

/** The fewest milliseconds of some runs after one that warms up, and what the last one gave. */
async function timed(litert, model, bytes, shape, runs) {
  let values = await run(litert, model, bytes, shape), ms = Infinity;
  for (let left = runs; left > 0; left--) {
    const began = performance.now();
    values = await run(litert, model, bytes, shape);
    ms = Math.min(ms, performance.now() - began);
  }
  return { values, ms };
}

/** Bytes in which neighbours differ, to compare two processors on. */
function sample(shape) {
  const length = shape.reduce((product, side) => product * side);
  return Uint8Array.from({ length }, (_, at) => (89 * at) % 256);
}

export class Network {
  #litert;
  #bytes;
  #shape;
  #threads;
  #model;

  constructor(litert, bytes, shape, threads, model) {
    this.#litert = litert;
    this.#bytes = bytes;
    this.#shape = shape;
    this.#threads = threads;
    this.#model = model;
  }

  /**
   * @param bytes a LiteRT file of fixed shapes
   * @param shape of its input, (batch, size, size, 3)
   * @param wanted WASM or WEBGPU, or null for the faster of the two
   */
  static async of(litert, bytes, shape, threads, wanted) {
    const made = (model) => new Network(litert, bytes, shape, threads, model);
    const onCpu = await compile(litert, bytes, threads), device = litert.getWebGpuDevice();
    const isSoftware = device?.adapterInfo?.isFallbackAdapter && wanted !== WEBGPU;
    if (wanted === WASM || !device || isSoftware) return made(onCpu);
    let onGpu = null;
    try {
      onGpu = await compile(litert, bytes, threads, WEBGPU);
      if (onGpu.options.accelerator !== WEBGPU) throw new Error("some of its operators are not taken");
      const crop = sample(shape), runs = wanted === WEBGPU ? 0 : TRIES; // its speed does not matter then
      const gpu = await timed(litert, onGpu, crop, shape, runs);
      const cpu = await timed(litert, onCpu, crop, shape, runs);
      const farthest = gpu.values.reduce((most, value, at) => Math.max(most, Math.abs(value - cpu.values[at])), 0);
      if (!(farthest <= FARTHEST)) throw new Error(`its heatmaps differ by ${farthest}`);
      if (wanted !== WEBGPU && gpu.ms > cpu.ms) throw new Error(`${gpu.ms} ms where WebAssembly takes ${cpu.ms}`);
      onCpu.delete();
      return made(onGpu);
    } catch (error) {
      console.info(`WebGPU is not used for this model: ${error.message}`);
      onGpu?.delete();
      return made(onCpu);
    }
  }

  /** What runs it: WASM or WEBGPU. */
  get accelerator() {
    return this.#model.options.accelerator;
  }

  /** Heatmaps (batch, size/4, size/4, J) float32 of crops' bytes. */
  async heatmaps(crops) {
    try {
      return await run(this.#litert, this.#model, crops, this.#shape);
    } catch (error) {
      if (this.accelerator === WASM) throw error;
      console.warn(`WebGPU has failed, WebAssembly goes on: ${error.message}`);
      const failed = this.#model;
      this.#model = await compile(this.#litert, this.#bytes, this.#threads);
      failed.delete();
      return run(this.#litert, this.#model, crops, this.#shape);
    }
  }

  delete() {
    this.#model.delete();
  }
}
