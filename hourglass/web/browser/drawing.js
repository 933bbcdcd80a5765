// Poses on a canvas, as hourglass/media/drawing.py draws them: skeleton, keypoints, names, heatmap.
//
// Poses place a pixel's centre at its index; a canvas places it half a pixel further.

const LINE_SHARE = 1 / 150; // width of a bone over the picture's longer side
const OUTLINE = "white";
const HEATMAP_SHARE = 0.85; // how far a peak of 1 covers the picture
const TEXT_SHARE = 3.6; // size of a person's number over a bone's width
const NAME_SHARE = 2.8; // size of the letters of names over the same

// Matplotlib's inferno at equal steps; colours between are mixed.
const INFERNO = [
  [0, 0, 4], [22, 11, 57], [66, 10, 104], [106, 23, 110], [147, 38, 103], [188, 55, 84],
  [221, 81, 58], [243, 120, 25], [252, 165, 10], [246, 215, 70], [252, 255, 164],
];

const css = (colour) => `rgb(${colour.join(",")})`;

/**
 * Draws a frame and what was found in it.
 * @param looks {people, skeleton, idColours, parts: {skeleton, keypoints, names, heatmap}, minScore,
 *   mirror: left and right exchanged, zoom: px of the canvas per px of the frame}
 */
export function draw(canvas, frame, { people, parts, mirror = false, zoom = 1, ...looks }) {
  const context = canvas.getContext("2d"), { width, height } = frame;
  const wide = Math.round(width * zoom), high = Math.round(height * zoom);
  if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high });
  context.setTransform(mirror ? -zoom : zoom, 0, 0, zoom, mirror ? wide : 0, 0);
  context.drawImage(frame, 0, 0);
  if (parts.heatmap) people.forEach((pose) => drawHeatmap(context, pose));
  context.setTransform(zoom, 0, 0, zoom, 0, 0);
  const line = Math.max(2 / zoom, Math.max(width, height) * LINE_SHARE);
  const place = ([x, y]) => [mirror ? width - x - 0.5 : x + 0.5, y + 0.5];
  for (const pose of people) drawPose(context, pose, { ...looks, parts, line, place });
  for (const pose of people) drawTag(context, pose, { ...looks, line, place, width, height });
}

function drawPose(context, pose, { skeleton, parts, minScore, line, place }) {
  const sure = (joint) => pose.scores[joint] >= minScore, places = pose.points.map(place);
  context.lineCap = "round";
  if (parts.skeleton) {
    context.lineWidth = line;
    skeleton.bones.forEach(([start, end], bone) => {
      if (!sure(start) || !sure(end)) return;
      context.strokeStyle = css(skeleton.colours[bone]);
      context.beginPath();
      context.moveTo(...places[start]);
      context.lineTo(...places[end]);
      context.stroke();
    });
  }
  if (parts.keypoints) {
    places.forEach((point, joint) => {
      if (sure(joint)) drawDot(context, point, line, colourOf(skeleton, joint));
    });
  }
  if (parts.names) {
    places.forEach(([x, y], joint) => {
      const name = skeleton.joints[joint].replaceAll("_", " ");
      if (sure(joint)) write(context, name, x, y, line);
    });
  }
}

function colourOf(skeleton, joint) {
  const bone = skeleton.bones.findIndex((ends) => ends.includes(joint));
  return bone < 0 ? OUTLINE : css(skeleton.colours[bone]);
}

function drawDot(context, [x, y], radius, colour) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fillStyle = colour;
  context.fill();
  context.strokeStyle = OUTLINE;
  context.lineWidth = radius / 3;
  context.stroke();
}

/** A text beside a dot, black on a white outline: readable on anything, and inside the picture. */
function write(context, text, dotX, y, line) {
  const size = NAME_SHARE * line, right = context.canvas.width / context.getTransform().a;
  context.font = `600 ${size}px system-ui, sans-serif`;
  Object.assign(context, { textAlign: "left", textBaseline: "middle", lineJoin: "round" });
  const wide = context.measureText(text).width, gap = 2 * line;
  const x = dotX + gap + wide <= right ? dotX + gap : Math.max(dotX - gap - wide, 0);
  context.lineWidth = size / 4;
  context.strokeStyle = OUTLINE;
  context.strokeText(text, x, y);
  context.fillStyle = "black";
  context.fillText(text, x, y);
}

/** A person's number over their highest joint, inside the picture, on a colour of its own. */
function drawTag(context, { id, points, scores }, { idColours, minScore, line, place, width, height }) {
  const shown = points.filter((_, joint) => scores[joint] >= minScore).map(place);
  if (id === undefined || !shown.length) return;
  const [x, y] = shown.reduce((high, point) => (point[1] < high[1] ? point : high));
  const size = TEXT_SHARE * line, room = size / 4, high = size + 2 * room;
  context.font = `700 ${size}px system-ui, sans-serif`;
  const wide = context.measureText(id).width + 4 * room;
  const left = Math.min(Math.max(x - wide / 2, 0), width - wide);
  const top = Math.min(Math.max(y - high - 3 * line, 0), height - high);
  context.fillStyle = css(idColours[(id - 1) % idColours.length]);
  context.beginPath();
  context.roundRect(left, top, wide, high, room);
  context.fill();
  Object.assign(context, { fillStyle: "white", textAlign: "center", textBaseline: "middle" });
  context.fillText(id, left + wide / 2, top + high / 2 + room / 4);
}

function drawHeatmap(context, { heatmap, crop }) {
  if (!heatmap) return;
  const { data, width, height } = heatmap, image = new ImageData(width, height);
  data.forEach((value, cell) => {
    const share = Math.min(Math.max(value, 0), 1);
    image.data.set([...inferno(share), 255 * HEATMAP_SHARE * share], 4 * cell);
  });
  const cells = document.createElement("canvas");
  Object.assign(cells, { width, height });
  cells.getContext("2d").putImageData(image, 0, 0);
  const left = crop.x + 0.5 - crop.side / 2, top = crop.y + 0.5 - crop.side / 2;
  context.imageSmoothingEnabled = true;
  context.drawImage(cells, left, top, crop.side, crop.side);
}

function inferno(share) {
  const at = share * (INFERNO.length - 1), low = Math.min(Math.floor(at), INFERNO.length - 2);
  return INFERNO[low].map((value, channel) => value + (at - low) * (INFERNO[low + 1][channel] - value));
}
