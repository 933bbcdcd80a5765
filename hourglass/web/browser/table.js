// The joints as a table: what the canvas shows, for those who cannot see it.

function row(cells, heading) {
  const line = document.createElement("tr");
  cells.forEach((text, place) => {
    const cell = document.createElement(heading || !place ? "th" : "td");
    if (cell.tagName === "TH") cell.scope = heading ? "col" : "row";
    cell.textContent = text;
    line.append(cell);
  });
  return line;
}

/** Fills an element with one table per person. */
export function fillTable(element, people, skeleton, minScore) {
  element.replaceChildren(...people.map((pose, place) => {
    const table = document.createElement("table"), caption = table.createCaption();
    caption.textContent = `Person ${pose.id ?? place + 1}, score ${pose.score.toFixed(2)}`;
    table.append(row(["joint", "x, px", "y, px", "score"], true));
    skeleton.joints.forEach((joint, at) => {
      const [x, y] = pose.points[at], score = pose.scores[at];
      const name = joint.replaceAll("_", " ") + (score < minScore ? " (not shown)" : "");
      table.append(row([name, x.toFixed(1), y.toFixed(1), score.toFixed(2)], false));
    });
    return table;
  }));
}
