// What a LiteRT file of hourglass says about itself: three JSON texts in the zip archive at its end,
// as hourglass/modelfiles/metadata.py writes them.

const END_MARK = 0x06054b50, ENTRY_MARK = 0x02014b50;
const END_SIZE = 22, LONGEST_COMMENT = 65535, ENTRY_SIZE = 46, HEADER_SIZE = 30;
const STORED = 0, DEFLATED = 8;
const PLAIN = "plain", FLIP_TEST = "flip_test";

async function textOf(bytes, method) {
  if (method === STORED) return new TextDecoder().decode(bytes);
  if (method !== DEFLATED) throw new Error("its metadata is packed in a way this page cannot read");
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Response(stream).text();
}

/** The texts in the archive at the end of a file's bytes, by name; {} if there is none. */
export async function appendedTexts(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let end = bytes.length - END_SIZE;
  const earliest = Math.max(0, end - LONGEST_COMMENT);
  while (end >= earliest && view.getUint32(end, true) !== END_MARK) end--;
  if (end < earliest) return {};
  const size = view.getUint32(end + 12, true);
  const moved = end - size - view.getUint32(end + 16, true); // offsets may count from the archive
  const texts = {};
  for (let at = end - size, left = view.getUint16(end + 10, true); left > 0; left--) {
    if (view.getUint32(at, true) !== ENTRY_MARK) throw new Error("its metadata is damaged");
    const [method, packed] = [view.getUint16(at + 10, true), view.getUint32(at + 20, true)];
    const lengths = [28, 30, 32].map((place) => view.getUint16(at + place, true));
    const name = new TextDecoder().decode(bytes.subarray(at + ENTRY_SIZE, at + ENTRY_SIZE + lengths[0]));
    const header = moved + view.getUint32(at + 42, true);
    const start = header + HEADER_SIZE + view.getUint16(header + 26, true) + view.getUint16(header + 28, true);
    texts[name] = await textOf(bytes.subarray(start, start + packed), method);
    at += ENTRY_SIZE + lengths[0] + lengths[1] + lengths[2];
  }
  return texts;
}

/** Whom each joint changes places with in a mirror image; null for a skeleton that does not mirror. */
function flipOrder({ joints, mirror_pairs: pairs }) {
  if (!pairs?.length) return null;
  const order = joints.map((_, joint) => joint);
  for (const [one, other] of pairs) [order[one], order[other]] = [other, one];
  return order;
}

/** What a page needs to know of a model: input size, skeleton, decoding, calibrations. */
export async function describe(bytes) {
  const texts = await appendedTexts(bytes);
  for (const name of ["hourglass.json", "calibration.json", "export.json"]) {
    if (!(name in texts)) throw new Error(`not written by hourglass.export, ${name} is not inside`);
  }
  const config = JSON.parse(texts["hourglass.json"]), about = JSON.parse(texts["export.json"]);
  const calibrations = JSON.parse(texts["calibration.json"]);
  if (about.outputs !== "heatmaps") throw new Error(`it gives ${about.outputs}, the page needs heatmaps`);
  return {
    size: config.network.input_size,
    batch: about.batch ?? 1,
    refine: config.data.refine,
    skeleton: { ...config.skeleton, flip_order: flipOrder(config.skeleton) },
    calibration: { plain: calibrations[PLAIN] ?? null, flipped: calibrations[FLIP_TEST] ?? null },
  };
}
