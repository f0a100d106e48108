// How the image stands on the screen: its size, brightness, contrast and enlargement.
import { resize, scaleNow, canvas } from "./screen.js";
import { isStack, show } from "./stack.js";

const asked = document.body.dataset;
const stage = document.getElementById("stage");
const frame = document.getElementById("frame");
const small = document.getElementById("small");
const STEP = 0.05;
const LARGEST = 8; // times the size that fits

const plain = { brightness: 1, contrast: 1, zoom: 1 };
let view = { ...plain };

function settle() {
  const scale = Math.max(1, scaleNow()) * view.zoom;
  small.hidden = scaleNow() > 0;
  resize(frame, canvas, scale);
  for (const shown of frame.querySelectorAll("img,canvas")) {
    resize(shown, { width: shown.naturalWidth ?? shown.width, height: shown.naturalHeight ?? shown.height }, scale);
    shown.style.filter = view.brightness === 1 && view.contrast === 1 ? "" : `brightness(${view.brightness}) contrast(${view.contrast})`;
  }
  align();
}

// Puts the frame on whole device pixels, in the middle: else columns would differ in width.
function align() {
  const whole = (length) => Math.max(0, Math.floor(length * devicePixelRatio) / devicePixelRatio);
  const box = stage.getBoundingClientRect();
  const size = frame.getBoundingClientRect();
  const left = whole(box.left + (stage.clientWidth - size.width) / 2) - box.left;
  const top = whole(box.top + (stage.clientHeight - size.height) / 2) - box.top;
  frame.style.marginLeft = `${Math.max(0, left)}px`;
  frame.style.marginTop = `${Math.max(0, top)}px`;
}

export function place(image) {
  if (isStack) show(image);
  else frame.replaceChildren(image);
  settle();
}

export function clear() {
  frame.replaceChildren();
}

export function reset() {
  view = { ...plain };
  settle();
}

function change(brightness, contrast) {
  const within = (value) => Math.min(4, Math.max(0.1, value));
  view.brightness = within(view.brightness + brightness);
  view.contrast = within(view.contrast + contrast);
  settle();
}

// Enlarges about the middle of what is seen.
function enlarge(step) {
  const before = view.zoom;
  view.zoom = Math.min(LARGEST, Math.max(1, view.zoom + step));
  const across = (stage.scrollLeft + stage.clientWidth / 2) / stage.scrollWidth;
  const down = (stage.scrollTop + stage.clientHeight / 2) / stage.scrollHeight;
  settle();
  if (view.zoom === before) return;
  stage.scrollLeft = across * stage.scrollWidth - stage.clientWidth / 2;
  stage.scrollTop = down * stage.scrollHeight - stage.clientHeight / 2;
}

const windowKeys = {
  ArrowUp: () => change(STEP, 0),
  ArrowDown: () => change(-STEP, 0),
  ArrowRight: () => change(0, STEP),
  ArrowLeft: () => change(0, -STEP),
};
const zoomKeys = { "+": () => enlarge(1), "=": () => enlarge(1), "-": () => enlarge(-1) };
// Arrows scroll through heads; their brightness is dragged.
const keys = { ...(asked.window && !isStack ? windowKeys : {}), ...(asked.zoom ? zoomKeys : {}) };
if (asked.window || asked.zoom) keys[0] = reset;

addEventListener("keydown", (event) => {
  const typing = event.target instanceof HTMLInputElement;
  const does = keys[event.key];
  if (!does || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  does();
});

// A finger or the mouse drags brightness and contrast; two fingers move what is enlarged.
if (asked.window) {
  const fingers = new Set();
  frame.addEventListener("pointerdown", (event) => {
    fingers.add(event.pointerId);
    frame.setPointerCapture(event.pointerId);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    frame.addEventListener(end, (event) => fingers.delete(event.pointerId));
  }
  frame.addEventListener("pointermove", (event) => {
    if (fingers.size > 1) stage.scrollBy(-event.movementX / fingers.size, -event.movementY / fingers.size);
    else if (event.buttons & 1) change(-event.movementY / 200, event.movementX / 200);
  });
}
if (asked.zoom && !isStack) {
  stage.addEventListener("wheel", (event) => {
    if (!event.shiftKey && event.deltaY) {
      event.preventDefault();
      enlarge(event.deltaY < 0 ? 1 : -1);
    }
  }, { passive: false });
}
const clicks = { reset, enlarge: () => enlarge(1), reduce: () => enlarge(-1) };
for (const [name, does] of Object.entries(clicks)) {
  document.getElementById(name)?.addEventListener("click", does);
}
addEventListener("resize", settle);
settle();
