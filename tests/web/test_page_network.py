"""Where the page runs a network, by Node with a stand-in of LiteRT.js: on which processor, and what
it does when the graphics processor is absent, wrong, slow, or fails; and what its address asks for.
"""

from __future__ import annotations

from typing import Any

import pytest

CASES: list[tuple[dict[str, Any] | None, str | None, str, str]] = [
    (None, None, "wasm", "wasm"),
    (None, "webgpu", "wasm", "wasm"),  # there is none
    ({"ms": 1}, None, "webgpu", "webgpu"),
    ({"ms": 1}, "wasm", "wasm", "wasm"),
    ({"ms": 60}, None, "wasm", "wasm"),
    ({"ms": 60}, "webgpu", "webgpu", "webgpu"),
    ({"ms": 1, "software": True}, None, "wasm", "wasm"),
    ({"ms": 1, "software": True}, "webgpu", "webgpu", "webgpu"),
    ({"ms": 1, "off": 0.005}, None, "webgpu", "webgpu"),
    ({"ms": 1, "off": 0.1}, "webgpu", "wasm", "wasm"),
    ({"ms": 1, "refused": True}, None, "wasm", "wasm"),
    ({"ms": 1, "partly": True}, None, "wasm", "wasm"),
    ({"ms": 1, "lasts": 4}, None, "webgpu", "wasm"),  # four runs are for the comparison
]
"""The graphics processor, what was asked for, what runs the network at first and in the end."""

STAND_IN = """
import { Network } from "./network.js";
class Tensor {
  constructor(bytes) { this.bytes = bytes; }
  delete() {}
}
let now = 0; // ms: the clock goes on while a network runs, and stands still meanwhile
Object.defineProperty(performance, "now", { value: () => now });
const runtimeOf = (gpu, deleted) => ({
  Tensor,
  getWebGpuDevice: () => gpu && { adapterInfo: { isFallbackAdapter: gpu.software } },
  loadAndCompile: async (bytes, { accelerator }) => {
    const onGpu = accelerator === "webgpu";
    if (onGpu && gpu.refused) throw new Error("refused");
    let runs = 0;
    return {
      options: { accelerator: onGpu && gpu.partly ? "wasm" : accelerator },
      signatures: { serving_default: {} },
      run: async (signature, [{ bytes: crop }]) => {
        if (onGpu && ++runs > (gpu.lasts ?? Infinity)) throw new Error("lost");
        now += onGpu ? gpu.ms : 20;
        const off = onGpu ? gpu.off ?? 0 : 0;
        return [{ data: async () => Float32Array.from(crop, (value) => value + off), delete() {} }];
      },
      delete: () => deleted.push(accelerator),
    };
  },
});
const found = [];
for (const [gpu, wanted] of given) {
  const told = [], deleted = [];
  console.info = console.warn = (text) => told.push(text);
  const litert = runtimeOf(gpu, deleted), bytes = new Uint8Array(8);
  const network = await Network.of(litert, bytes, [1, 2, 2, 3], 1, wanted);
  const first = network.accelerator, maps = [...(await network.heatmaps(Uint8Array.of(1, 2, 3)))];
  found.push({ first, last: network.accelerator, maps, told, deleted });
}
console.log(JSON.stringify(found));
"""


@pytest.fixture(scope="module")
def found(node: Any) -> list[dict[str, Any]]:
    return node(STAND_IN, [case[:2] for case in CASES])


@pytest.mark.parametrize("place", range(len(CASES)))
def test_a_network_runs_where_it_is_right_and_faster(found: list[dict[str, Any]], place: int):
    gpu, wanted, first, last = CASES[place]
    one = found[place]
    assert (one["first"], one["last"]) == (first, last)
    off = gpu.get("off", 0) if gpu and last == "webgpu" else 0
    assert one["maps"] == pytest.approx([1 + off, 2 + off, 3 + off], abs=1e-5)
    tried = gpu is not None and wanted != "wasm" and (wanted or "software" not in gpu)
    assert len(one["told"]) == bool(tried and last == "wasm")
    left = {"wasm": "webgpu", "webgpu": "wasm"}[first]
    deleted = [left] if tried and "refused" not in gpu else []
    assert one["deleted"] == deleted + [first] * (first != last)


ASK = """
import { askedFor } from "./address.js";
const answer = (query) => {
  try {
    return askedFor(query, 8);
  } catch (error) {
    return error.message;
  }
};
console.log(JSON.stringify(given.map(answer)));
"""


def test_the_address_says_how_many_threads_and_which_processor(node: Any):
    refused = {
        "?threads=0": "the address asks for threads=0; allowed is 1 to 32",
        "?threads=two": "the address asks for threads=two; allowed is 1 to 32",
        "?threads=1000": "the address asks for threads=1000; allowed is 1 to 32",
        "?accelerator=npu": "the address asks for accelerator=npu; allowed are wasm and webgpu",
    }
    taken = {
        "": {"wanted": 4, "accelerator": None},
        "?threads=7": {"wanted": 7, "accelerator": None},
        "?accelerator=wasm&threads=1": {"wanted": 1, "accelerator": "wasm"},
    }
    expected = {**taken, **refused}
    assert node(ASK, list(expected)) == list(expected.values())
