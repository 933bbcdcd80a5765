// The camera: a picture goes to the server, and when the people in it come back, both are drawn and
// the next picture goes. So skeletons lie on the picture that they were found in.
"use strict";
const live = (() => {
  const WIDTH = 640, QUALITY = 0.85, COUNTED = 2000;  // px sent, of JPEG, ms over which frames count
  const REFUSALS = {
    NotAllowedError: "The camera was refused. Allow it for this page in the browser, and try again.",
    NotFoundError: "There is no camera.",
    OverconstrainedError: "There is no camera that fits.",
    NotReadableError: "The camera cannot be opened; is another program using it?",
  };
  const button = document.getElementById("camera"), canvas = document.getElementById("live");
  const counter = document.getElementById("fps");
  const video = document.createElement("video"), sent = document.createElement("canvas");
  video.muted = video.playsInline = true;
  let stream = null, socket = null, run = 0, times = [];

  async function start() {
    const turn = ++run;
    state.asked++;  // whatever picture is looked at comes too late
    document.getElementById("canvas").style.display = "none";
    document.getElementById("space").hidden = true;
    button.textContent = "Stop the camera";
    tell("Waiting for the camera …");
    // Browsers hide cameras from pages that came over an open network.
    if (!navigator.mediaDevices) {
      return stop("The browser gives the camera only to pages of this machine or over https.");
    }
    try {
      const wish = { video: { width: { ideal: WIDTH } }, audio: false };
      const opened = await navigator.mediaDevices.getUserMedia(wish);
      if (turn !== run) return opened.getTracks().forEach((track) => track.stop());
      stream = opened;
      stream.getVideoTracks()[0].addEventListener("ended", () => stop("The camera has ended."));
      video.srcObject = stream;
      await video.play();
    } catch (error) {
      if (turn === run) stop(REFUSALS[error.name] || `The camera cannot be used: ${error.message}`);
      return;
    }
    if (turn === run) connect(turn);
  }

  function connect(turn) {
    const address = new URL("/live", location.href);
    address.protocol = address.protocol.replace("http", "ws");
    let opened = false;
    socket = new WebSocket(address);
    socket.addEventListener("open", () => { opened = true; tell(""); send(turn); });
    socket.addEventListener("message", (event) => {
      if (turn !== run) return;
      show(JSON.parse(event.data));
      send(turn);
    });
    socket.addEventListener("close", (event) => {
      if (turn !== run) return;
      if (event.reason) return stop(`The server ended it: ${event.reason}.`);
      stop(opened ? "The connection to the server is lost." : "The server cannot be reached.");
    });
  }

  // Sends the newest picture; one that was sent already is not sent again.
  function send(turn) {
    const next = () => {
      if (turn !== run) return;
      const scale = Math.min(1, WIDTH / Math.max(video.videoWidth, video.videoHeight));
      sent.width = Math.round(video.videoWidth * scale);
      sent.height = Math.round(video.videoHeight * scale);
      sent.getContext("2d").drawImage(video, 0, 0, sent.width, sent.height);
      sent.toBlob((picture) => {
        if (turn === run && socket.readyState === WebSocket.OPEN) socket.send(picture);
      }, "image/jpeg", QUALITY);
    };
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(next);
    else requestAnimationFrame(next);
  }

  function show(found) {
    canvas.width = sent.width;
    canvas.height = sent.height;
    canvas.hidden = false;
    canvas.getContext("2d").drawImage(sent, 0, 0);
    const threshold = Number(document.getElementById("threshold").value);
    found.people.forEach((person) => drawPerson(canvas, person, state.skeleton, threshold));
    const now = performance.now();
    // The last one counts however long ago it was: a slow machine has a rate, too.
    times = [...times.filter((time, at) => now - time < COUNTED || at === times.length - 1), now];
    const passed = now - times[0], rate = passed ? 1000 * (times.length - 1) / passed : 0;
    const people = found.people.length === 1 ? "1 person" : `${found.people.length} people`;
    counter.textContent = `${rate.toFixed(1)} frames per second, ${people}`;
  }

  function stop(told) {
    run++;
    if (socket) socket.close();
    if (stream) stream.getTracks().forEach((track) => track.stop());
    stream = socket = video.srcObject = null;
    times = [];
    counter.textContent = "";
    button.textContent = "Use the camera";
    tell(told || "", Boolean(told));
  }

  button.addEventListener("click", () => (button.textContent.startsWith("Stop") ? stop() : start()));
  return { hide: () => { stop(); canvas.hidden = true; } };
})();
