// What was found as text: the JSON that `python -m hourglass.predict --json` writes.

/** One picture or frame as an object of that list; `frame` {index, time} of a film's. */
export function toObject(name, { width, height }, people, skeleton, frame = null) {
  return {
    image: name,
    ...(frame && { frame: frame.index, time: frame.time }),
    width,
    height,
    people: people.map((pose) => ({
      ...(pose.id !== undefined && { id: pose.id }),
      box: pose.box,
      score: pose.score,
      keypoints: skeleton.joints.map((joint, place) => ({
        name: joint, x: pose.points[place][0], y: pose.points[place][1], score: pose.scores[place],
      })),
    })),
  };
}

/** The whole file's text. */
export const toJson = (found) => `${JSON.stringify(found, null, 1)}\n`;

/** A file's name without its folder and ending. */
export const stemOf = (name) => name.replace(/^.*[/\\]/, "").replace(/(.)\.[^.]*$/, "$1");

/** Offers bytes or text as a file. */
export function download(content, name, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
