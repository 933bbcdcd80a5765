// A LiteRT file that takes any number of crops, fixed to one at a time: LiteRT.js runs fixed shapes
// only. The file is a FlatBuffer; of its tables only the way to the tensors' shapes is known here.

const MODEL_SUBGRAPHS = 2, SUBGRAPH_TENSORS = 0, TENSOR_SHAPE = 0, TENSOR_SIGNATURE = 7; // field numbers

/** Position of a table's field; 0 if it is not there. */
function fieldAt(view, table, field) {
  const vtable = table - view.getInt32(table, true), entry = 4 + 2 * field;
  if (entry >= view.getUint16(vtable, true)) return 0;
  const offset = view.getUint16(vtable + entry, true);
  return offset && table + offset;
}

/** Positions of the entries, 4 bytes each, of the vector in a table's field. */
function entriesOf(view, table, field) {
  const place = fieldAt(view, table, field);
  if (!place) return [];
  const vector = place + view.getUint32(place, true);
  return Array.from({ length: view.getUint32(vector, true) }, (_, entry) => vector + 4 + 4 * entry);
}

const tablesOf = (view, table, field) =>
  entriesOf(view, table, field).map((entry) => entry + view.getUint32(entry, true));

/** Changes the file's bytes: every side of open length gets the length that it begins with, 1. */
export function fixShapes(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const model = view.getUint32(0, true);
  for (const subgraph of tablesOf(view, model, MODEL_SUBGRAPHS)) {
    for (const tensor of tablesOf(view, subgraph, SUBGRAPH_TENSORS)) {
      const shape = entriesOf(view, tensor, TENSOR_SHAPE);
      entriesOf(view, tensor, TENSOR_SIGNATURE).forEach((entry, side) => {
        if (view.getInt32(entry, true) < 0) view.setInt32(entry, view.getInt32(shape[side], true), true);
      });
    }
  }
  return bytes;
}
