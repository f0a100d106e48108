// The questions about one image, one after another, by keys or buttons.
import { isPaused } from "./pause.js";

const asked = document.body.dataset;
const CALM = 300; // milliseconds without a key after an image appears: until then, keys meant the last one
const TWICE = 250; // in which the same key again is a slip

const element = (id) => document.getElementById(id);
let open = null; // what is being asked: {given, done, chosen, since, fixed}
let waiting = null; // a key that is waited for: {key, done}
let last = { key: "", at: -Infinity };

function questions(given) {
  const order = asked.questions.split(" ");
  // How sure one is of "I cannot tell" is no question.
  if (asked.confidence && given.truth !== "unknown") order.push("confidence");
  if (asked.reason) order.push("reason");
  return order;
}

function current() {
  return questions(open.given).find((name) => !(name in open.given));
}

function show() {
  const name = open ? current() : "";
  for (const one of document.querySelectorAll("footer fieldset")) one.hidden = one.id !== `ask-${name}`;
  element("take-back").hidden = !open || taken().length === 0;
  if (name === "confidence") {
    for (const line of document.querySelectorAll(".sure")) line.hidden = line.dataset.answer !== open.given.truth;
  }
  if (name === "reason") {
    element("reason").value = "";
    element("reason").focus();
  }
}

// Lists the answers that can be taken back.
function taken() {
  return Object.keys(open.given).slice(open.fixed ? 1 : 0);
}

// Opens the questions; gives all answers together. Where more follow, `chosen` is told the first.
export function openQuestions(chosen) {
  return new Promise((done) => {
    open = { given: {}, done, chosen, since: performance.now(), fixed: false };
    show();
  });
}

export const firstAnswered = () => open !== null && "truth" in open.given;

// From now on the first answer stands.
export function fixFirst() {
  open.fixed = true;
  element("take-back").hidden = taken().length === 0;
}

export function closeQuestions() {
  open = null;
  show();
  if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
}

function choose(name, value) {
  if (!open || isPaused() || name !== current() || performance.now() < open.since + CALM) return;
  open.given[name] = value;
  if (!current()) {
    open.done(open.given);
    return;
  }
  if (name === "truth") open.chosen(value);
  show();
}

function takeBack() {
  if (!open || isPaused()) return;
  const named = taken();
  if (named.length) delete open.given[named[named.length - 1]];
  show();
}

// Waits for a key, or for the button that does the same.
export function answerKeys(key, button) {
  return new Promise((done) => {
    waiting = { key, done };
    button.addEventListener("click", done, { once: true });
  }).finally(() => { waiting = null; });
}

function slipped(key) {
  const now = performance.now();
  const twice = key === last.key && now < last.at + TWICE;
  last = { key, at: now };
  return twice;
}

function press(event) {
  if (event.repeat || event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
  const typing = event.target === element("reason");
  if (waiting && event.key === waiting.key) {
    event.preventDefault();
    waiting.done();
  } else if (typing && event.key === "Enter") {
    event.preventDefault();
    choose("reason", event.target.value);
  } else if (event.key === "Escape" || (event.key === "Backspace" && !typing)) {
    event.preventDefault();
    takeBack();
  } else if (open && performance.now() < open.since + CALM) {
    open.since = performance.now(); // somebody who types on has not seen this image yet
  } else if (!typing && open && !isPaused()) {
    const digit = /^(Digit|Numpad)([1-9])$/.exec(event.code);
    const name = current();
    const key = digit ? digit[2] : event.key;
    const buttons = [...document.querySelectorAll(`#ask-${name} .choice[data-value]`)];
    const button = buttons[Number(key) - 1];
    if (button) event.preventDefault(); // else a reason would begin with the digit
    if (button && !slipped(key)) choose(name, valueOf(button));
  }
}

const valueOf = (button) => (button.dataset.question === "confidence" ? Number(button.dataset.value) : button.dataset.value);

document.addEventListener("keydown", press);
element("take-back").addEventListener("click", takeBack);
for (const button of document.querySelectorAll("footer fieldset .choice[data-value]")) {
  button.addEventListener("click", () => {
    if (!slipped(button.id)) choose(button.dataset.question, valueOf(button));
  });
}
if (element("reason-send")) {
  element("reason-send").addEventListener("click", () => choose("reason", element("reason").value));
}
