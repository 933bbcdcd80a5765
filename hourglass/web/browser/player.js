// The controls of a film: play and pause, the place in it, and a speed at which few frames are left out.

const SLOWEST = 0.1; // playing speed

const element = (id) => document.getElementById(id);

const clockText = (seconds) =>
  `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

/** Shows where a film is, and whether it plays. */
export function showPlace({ duration, currentTime, paused }) {
  const clock = `${clockText(currentTime)} / ${clockText(duration || 0)}`;
  element("seek").max = Number.isFinite(duration) ? duration : 1;
  element("seek").value = currentTime;
  element("seek").setAttribute("aria-valuetext", clock);
  element("clock").textContent = clock;
  element("play").textContent = paused ? "Play" : "Pause";
  element("play").setAttribute("aria-label", element("play").textContent);
}

/**
 * Plays a film slower while frames are left out, and faster again while none are.
 * @param passed frames shown since the one that was looked at before
 * @param slow whether it may be slower at all
 */
export function pace(video, passed, slow) {
  const rate = slow ? video.playbackRate * (passed > 1 ? 0.8 : 1.05) : 1;
  const bounded = Math.min(Math.max(rate, SLOWEST), 1);
  if (bounded !== video.playbackRate) video.playbackRate = bounded;
}

/**
 * Lets the controls play a film.
 * @param videoOf gives the film that is shown
 */
export function connectPlayer(videoOf) {
  element("play").addEventListener("click", () => {
    const video = videoOf();
    if (video.paused) video.play();
    else video.pause();
    showPlace(video);
  });
  element("seek").addEventListener("input", () => {
    videoOf().currentTime = Number(element("seek").value);
  });
}
