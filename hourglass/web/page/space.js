// The person in three dimensions, to be turned with the mouse, a finger or the arrow keys.
// Right side blue, left side and middle red; all axes of one scale; no library.
"use strict";
const space = (() => {
  const SIZE = 420, REACH = 1050, TILT = 0.2, GRID = 250;
  const BLUE = "#1f5dc4", RED = "#cd3030", LINE = "#d6d6d6", SHADE = "#b0b0b0";
  const BONES = [["pelvis", "right_hip"], ["right_hip", "right_knee"], ["right_knee", "right_ankle"],
    ["pelvis", "left_hip"], ["left_hip", "left_knee"], ["left_knee", "left_ankle"],
    ["pelvis", "spine"], ["spine", "thorax"], ["thorax", "neck"], ["neck", "head_top"],
    ["thorax", "left_shoulder"], ["left_shoulder", "left_elbow"], ["left_elbow", "left_wrist"],
    ["thorax", "right_shoulder"], ["right_shoulder", "right_elbow"], ["right_elbow", "right_wrist"]];
  const box = document.getElementById("space");
  const canvas = document.createElement("canvas"), note = document.createElement("div");
  canvas.width = canvas.height = SIZE;
  canvas.tabIndex = 0;
  canvas.style.cssText = "background:#fff; touch-action:none; cursor:grab; max-width:100%";
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "The person in three dimensions; arrow keys turn it");
  box.hidden = true;
  box.append(note, canvas);
  let joints = null, turn = 0.5, tilt = TILT, held = null, asked = 0;

  function seen([x, y, z]) {
    const a = Math.cos(turn) * x + Math.sin(turn) * z, b = Math.cos(turn) * z - Math.sin(turn) * x;
    return [a, Math.cos(tilt) * y - Math.sin(tilt) * b, Math.cos(tilt) * b + Math.sin(tilt) * y];
  }

  function draw() {
    if (!joints) return;
    const context = canvas.getContext("2d"), scale = SIZE / 2 / REACH;
    const floor = Math.max(...Object.values(joints).map((point) => point[1]));
    const place = (point) => {
      const [x, y] = seen([point[0], point[1] - floor, point[2]]);
      return [SIZE / 2 + x * scale, SIZE / 2 + (y + 0.62 * REACH) * scale];
    };
    const line = (start, end, colour, width) => {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.beginPath();
      context.moveTo(...place(start));
      context.lineTo(...place(end));
      context.stroke();
    };
    context.clearRect(0, 0, SIZE, SIZE);
    context.lineCap = "round";
    for (let tick = -2 * GRID; tick <= 2 * GRID; tick += GRID) {
      line([tick, floor, -2 * GRID], [tick, floor, 2 * GRID], LINE, 1);
      line([-2 * GRID, floor, tick], [2 * GRID, floor, tick], LINE, 1);
    }
    const onFloor = ([x, , z]) => [x, floor, z];
    BONES.forEach(([a, b]) => line(onFloor(joints[a]), onFloor(joints[b]), SHADE, 2));
    const depth = ([a, b]) => seen(joints[a])[2] + seen(joints[b])[2];
    [...BONES].sort((one, other) => depth(other) - depth(one)).forEach(([a, b]) =>
      line(joints[a], joints[b], b.startsWith("right") ? BLUE : RED, 5));
  }

  function turned(across, down) {
    turn -= across;
    tilt = Math.min(1.5, Math.max(-0.3, tilt + down));
    draw();
  }

  canvas.addEventListener("pointerdown", (event) => {
    held = [event.clientX, event.clientY];
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!held) return;
    turned((event.clientX - held[0]) / 120, (event.clientY - held[1]) / 120);
    held = [event.clientX, event.clientY];
  });
  canvas.addEventListener("pointerup", () => { held = null; });
  canvas.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: [-0.15, 0], ArrowRight: [0.15, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] };
    if (!steps[event.key]) return;
    event.preventDefault();
    turned(...steps[event.key]);
  });

  // `text` is what the server said of the picture: the same JSON that `predict` writes.
  async function show(text) {
    const own = ++asked;
    const answer = await fetch("/space", { method: "POST", body: text });
    if (own !== asked) return;  // another picture was dropped meanwhile
    const found = answer.ok ? (await answer.json())[0].people[0] : null;
    box.hidden = answer.status === 404;
    joints = found && Object.fromEntries(found.joints.map((one) => [one.name, [one.x, one.y, one.z]]));
    canvas.hidden = !joints;
    note.textContent = joints ? "In space: drag to turn." : "Too few joints are sure to place the person in space.";
    draw();
  }
  return { show };
})();
