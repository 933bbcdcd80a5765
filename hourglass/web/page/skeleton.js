// A person's skeleton on a canvas that shows their picture; and in films their number.
"use strict";

// Servers and models place a pixel's centre at its index; a canvas places it half a pixel further.
const onCanvas = (keypoint) => [keypoint.x + 0.5, keypoint.y + 0.5];

// `skeleton` is what /skeleton answers; joints scored below `threshold` are left out.
function drawPerson(canvas, person, skeleton, threshold) {
  const context = canvas.getContext("2d");
  const width = Math.max(2, Math.round(Math.max(canvas.width, canvas.height) / 150));
  const joints = person.keypoints, { bones, colours } = skeleton;
  const sure = (joint) => joints[joint].score >= threshold;
  const colour = (bone) => (bone < 0 ? "white" : `rgb(${colours[bone].join(",")})`);
  context.lineWidth = width;
  context.lineCap = "round";
  bones.forEach(([start, end], bone) => {
    if (!sure(start) || !sure(end)) return;
    context.strokeStyle = colour(bone);
    context.beginPath();
    context.moveTo(...onCanvas(joints[start]));
    context.lineTo(...onCanvas(joints[end]));
    context.stroke();
  });
  joints.forEach((keypoint, joint) => {
    if (!sure(joint)) return;
    context.fillStyle = colour(bones.findIndex((bone) => bone.includes(joint)));
    context.strokeStyle = "white";
    context.lineWidth = Math.max(1, width / 3);
    context.beginPath();
    context.arc(...onCanvas(keypoint), width, 0, 2 * Math.PI);
    context.fill();
    context.stroke();
  });
  if (person.id) drawNumber(canvas, person, skeleton, joints.filter((_, joint) => sure(joint)));
}

// Over the highest joint, on a colour that is the number's own.
function drawNumber(canvas, person, skeleton, shown) {
  if (!shown.length) return;
  const context = canvas.getContext("2d"), size = Math.max(12, canvas.width / 40), room = size / 4;
  context.font = `bold ${size}px system-ui, sans-serif`;
  const wide = context.measureText(person.id).width + 2 * room, high = size + 2 * room;
  const highest = shown.reduce((one, other) => (other.y < one.y ? other : one));
  const within = (value, most) => Math.max(0, Math.min(value, most));
  const left = within(highest.x - wide / 2, canvas.width - wide);
  const top = within(highest.y - 1.5 * high, canvas.height - high);
  const colours = skeleton.id_colours;
  context.fillStyle = `rgb(${colours[(person.id - 1) % colours.length].join(",")})`;
  context.fillRect(left, top, wide, high);
  context.fillStyle = "white";
  context.textBaseline = "middle";
  context.fillText(person.id, left + room, top + high / 2);
}
