// Pauses: the image is covered. The time of an image with a limit goes on.
import { ask } from "./send.js";
import { say } from "./say.js";

const box = document.getElementById("paused");
const limited = document.body.dataset.seconds !== "";
let since = null; // when the pause began
let total = 0; // milliseconds of all pauses before
let wake = [];

export const isPaused = () => since !== null;

// Gives the milliseconds of all pauses so far.
export const pausedFor = () => total + (since === null ? 0 : performance.now() - since);

// Waits until there is no pause.
export function resumed() {
  return since === null ? Promise.resolve() : new Promise((done) => wake.push(done));
}

function pause() {
  if (isPaused()) return;
  since = performance.now();
  const shown = document.getElementById("frame").childElementCount > 0;
  document.getElementById("paused-time").textContent = limited && shown ? say("time_goes_on") : "";
  box.hidden = false;
  document.getElementById("resume").focus();
  ask("event", { kind: "pause" });
}

function resume() {
  if (!isPaused()) return;
  total += performance.now() - since;
  since = null;
  box.hidden = true;
  document.getElementById("stage").focus();
  ask("event", { kind: "resume" });
  for (const done of wake.splice(0)) done();
}

// Before all others: the key that ends a pause means nothing else.
addEventListener("keydown", (event) => {
  const modified = event.ctrlKey || event.altKey || event.metaKey || event.key === "Shift";
  if (event.repeat || modified || ["Control", "Alt", "Meta"].includes(event.key)) return;
  const leaving = event.key === "Tab" || (event.target.id === "leave" && [" ", "Enter"].includes(event.key));
  if (isPaused() && leaving) return; // whoever goes away from a shared computer
  if (isPaused()) {
    event.preventDefault();
    event.stopImmediatePropagation();
    resume();
  } else if ((event.code === "KeyP" || event.key.toLowerCase() === "p") && !(event.target instanceof HTMLInputElement)) {
    event.preventDefault();
    event.stopImmediatePropagation();
    pause();
  }
}, { capture: true });
document.getElementById("pause").addEventListener("click", pause);
document.getElementById("resume").addEventListener("click", resume);
