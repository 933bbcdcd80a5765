// What the page's address asks for behind its question mark: threads and accelerator.

import { WASM, WEBGPU } from "./network.js";

const USUAL_THREADS = 4; // more gain little, and other programs want some
const MOST_THREADS = 32; // each takes memory

/** {wanted: threads, accelerator: null for the faster one} of a query such as "?threads=2". */
export function askedFor(query, cores) {
  const asked = new URLSearchParams(query), threads = asked.get("threads");
  const wanted = threads === null ? Math.min(cores, USUAL_THREADS) : Number(threads);
  if (!Number.isInteger(wanted) || wanted < 1 || wanted > MOST_THREADS) {
    throw new Error(`the address asks for threads=${threads}; allowed is 1 to ${MOST_THREADS}`);
  }
  const accelerator = asked.get("accelerator");
  if (![null, WASM, WEBGPU].includes(accelerator)) {
    throw new Error(`the address asks for accelerator=${accelerator}; allowed are ${WASM} and ${WEBGPU}`);
  }
  return { wanted, accelerator };
}
