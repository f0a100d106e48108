// Whole heads: panes through whose slices one scrolls, by wheel, keys or sliders.
const layout = document.body.dataset.stack ? JSON.parse(document.body.dataset.stack) : null;
const stage = document.getElementById("stage");
const frame = document.getElementById("frame");
const PLANES = 3; // panes of a channel: axial, coronal, sagittal
const NOTCH = 20; // pixels that a wheel turns for a slice
const PAGE = 5; // slices of Page Up and Page Down

let head = null; // the picture that holds all slices: a column a pane, a square a slice
let places = []; // the slice of each plane that is shown
let active = 0; // the plane that keys scroll through
let turned = 0; // pixels of the wheel that have not made a slice yet

export const isStack = layout !== null;

const slider = (plane) => document.getElementById(`slices-${plane}`);
const panesOf = (plane) => [...frame.querySelectorAll("canvas")].filter((pane) => Number(pane.dataset.plane) === plane);

function draw(plane) {
  const { side } = layout;
  for (const pane of panesOf(plane)) {
    const across = Number(pane.dataset.column) * side;
    pane.getContext("2d").drawImage(head, across, places[plane] * side, side, side, 0, 0, side, side);
  }
  slider(plane).value = places[plane];
}

function scroll(plane, steps) {
  if (!frame.childElementCount) return; // the image is gone
  places[plane] = Math.min(layout.slices[plane] - 1, Math.max(0, places[plane] + steps));
  draw(plane);
}

function choose(plane) {
  active = plane;
  for (let other = 0; other < PLANES; other += 1) {
    for (const pane of panesOf(other)) pane.classList.toggle("active", other === active);
  }
}

// Puts the middle slices of a head on the page.
export function show(image) {
  head = image;
  places = layout.slices.map((count) => Math.floor(count / 2));
  const box = document.createElement("div");
  box.className = "panes";
  for (let column = 0; column < layout.channels * PLANES; column += 1) {
    const pane = document.createElement("canvas");
    pane.width = layout.side;
    pane.height = layout.side;
    pane.dataset.column = column;
    pane.dataset.plane = column % PLANES;
    box.append(pane);
  }
  frame.replaceChildren(box);
  for (let plane = 0; plane < PLANES; plane += 1) draw(plane);
  choose(active);
}

const keys = {
  ArrowUp: () => scroll(active, 1),
  ArrowDown: () => scroll(active, -1),
  PageUp: () => scroll(active, PAGE),
  PageDown: () => scroll(active, -PAGE),
  ArrowRight: () => choose((active + 1) % PLANES),
  ArrowLeft: () => choose((active + PLANES - 1) % PLANES),
};

if (isStack) {
  addEventListener("keydown", (event) => {
    const does = keys[event.key];
    if (!does || event.target instanceof HTMLInputElement || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    does();
  });
  frame.addEventListener("pointerover", (event) => {
    if (event.target.dataset.plane !== undefined) choose(Number(event.target.dataset.plane));
  });
  stage.addEventListener("wheel", (event) => {
    if (event.target.dataset.plane === undefined || !event.deltaY) return;
    event.preventDefault();
    turned += event.deltaMode ? Math.sign(event.deltaY) * NOTCH : event.deltaY;
    const steps = Math.trunc(turned / NOTCH);
    turned -= steps * NOTCH;
    scroll(Number(event.target.dataset.plane), -steps);
  }, { passive: false });
  for (let plane = 0; plane < PLANES; plane += 1) {
    slider(plane).addEventListener("input", () => scroll(plane, Number(slider(plane).value) - places[plane]));
    slider(plane).addEventListener("change", () => stage.focus()); // keys answer again
  }
}
