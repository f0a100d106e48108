"use strict";
// Bit 0 of a case says real, bit 1 tumour; the pattern keeps a glance at the source from telling.
const hidden = atob(document.body.dataset.truth);
const word = document.body.dataset.word;
const mark = `quiz-${document.body.dataset.mark}`;
const cases = [...document.querySelectorAll(".case")];
const questions = [...cases[0].querySelectorAll(".answers")].map((one) => one.dataset.question);
const asked = {
  truth: { values: ["real", "synthetic"], bit: 1, called: "called real", other: `called ${word}`,
    rows: ["real images", `${word} images`], name: { real: "real", synthetic: word } },
  tumour: { values: ["yes", "no"], bit: 2, called: "called tumour", other: "called no tumour",
    rows: ["images with a tumour", "images without one"], name: { yes: "tumour", no: "no tumour" } },
};
const byId = (id) => document.getElementById(id);
let answers = cases.map(() => ({}));
let current = 0;
let checked = false;
let sure = false; // whether to check although answers are missing
let scale = 0; // device pixels for one pixel of an image

function truth(place, question) {
  const byte = hidden.charCodeAt(place) ^ ((73 * place + 41) % 256);
  return asked[question].values[byte & asked[question].bit ? 0 : 1];
}

// The rest of this file knows truths only through truth().

function complete(place) {
  return questions.every((question) => answers[place][question]);
}

function answer(place, question, value) {
  if (checked) return;
  answers[place][question] = value;
  sure = false;
  keep();
  draw();
}

function draw() {
  cases.forEach((one, place) => {
    one.classList.toggle("current", place === current);
    for (const button of one.querySelectorAll(".answers button")) {
      const question = button.parentElement.dataset.question;
      button.setAttribute("aria-pressed", String(answers[place][question] === button.dataset.value));
      button.disabled = checked;
    }
  });
  const done = cases.filter((_, place) => complete(place)).length;
  const missing = cases.length - done;
  byId("progress").textContent = checked ? "Checked" : `${done} of ${cases.length} answered`;
  byId("check").textContent = checked ? "Start again"
    : sure && missing ? `${missing} unanswered: check anyway?` : "Check answers";
  byId("check").classList.toggle("ready", !checked && missing === 0);
}

// Answers outlive a reload; where a browser keeps nothing for files, they just do not.
function keep() {
  try { sessionStorage.setItem(mark, JSON.stringify({ answers, checked })); } catch { /* as said */ }
}

function recall() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(mark));
    if (kept && kept.answers.length === cases.length) ({ answers, checked } = kept);
  } catch { /* as said */ }
}

function move(place) {
  current = Math.min(cases.length - 1, Math.max(0, place));
  cases[current].focus({ preventScroll: true });
  cases[current].scrollIntoView({ block: "nearest" });
  draw();
}

function columns() {
  const top = cases[0].offsetTop;
  const below = cases.findIndex((one) => one.offsetTop > top);
  return below < 0 ? cases.length : below;
}

// Whole device pixels, so that no pixel of an image is wider than its neighbour.
function fit(change = 0) {
  const ratio = window.devicePixelRatio || 1;
  const width = cases[0].querySelector("img").getAttribute("width");
  const room = byId("cases").clientWidth;
  if (!scale) {
    const cell = room / Math.max(room < 560 ? 2 : 1, Math.floor(room / 240)) - 24;
    scale = Math.max(1, Math.floor((cell * ratio) / width));
  }
  const most = Math.max(1, Math.floor(((room - 20) * ratio) / width));
  const asks = Math.min(most, Math.max(1, scale + change));
  if (change) scale = asks;
  document.documentElement.style.setProperty("--side", `${(asks * width) / ratio}px`);
  document.body.classList.toggle("shrunk", width / ratio > room - 20);
}

// Wilson's 95 % interval of k of n.
function wilson(k, n) {
  const z = 1.959964, p = k / n, denominator = 1 + (z * z) / n;
  const middle = (p + (z * z) / (2 * n)) / denominator;
  const half = (z / denominator) * Math.sqrt((p * (1 - p)) / n + (z * z) / (4 * n * n));
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}

function percent(share) {
  return `${Math.round(100 * share)}`.replace("-", "−");
}

function figures(k, n) {
  if (!n) return "none answered";
  const [low, high] = wilson(k, n);
  return `${k} of ${n}, ${percent(k / n)}\u00a0% (${percent(low)} to ${percent(high)}\u00a0%)`;
}

// Rows: truth; columns: answer. Not answered is the third column.
function confusion(question) {
  const values = asked[question].values, counts = [[0, 0, 0], [0, 0, 0]];
  cases.forEach((_, place) => {
    const given = values.indexOf(answers[place][question]);
    counts[values.indexOf(truth(place, question))][given < 0 ? 2 : given] += 1;
  });
  return counts;
}

// The difference of two shares with Newcombe's interval: bias towards one answer cancels out.
function meaning([[a, b], [c, d]]) {
  if (!(a + b) || !(c + d)) return "Too few images were answered to say more.";
  const [first, second] = [a / (a + b), c / (c + d)];
  const [low1, high1] = wilson(a, a + b), [low2, high2] = wilson(c, c + d);
  const low = first - second - Math.hypot(first - low1, high2 - second);
  const high = first - second + Math.hypot(high1 - first, second - low2);
  const facts = `The difference between the two is ${percent(first - second)} points ` +
    `(${percent(low)} to ${percent(high)}). `;
  if (low > 0) return `${facts}That is better than guessing: you can tell them apart.`;
  if (high < 0) return `${facts}You can tell them apart, but take the one for the other.`;
  return `${facts}Guessing could give that too; more images might tell.`;
}

function element(tag, text, parent) {
  const made = document.createElement(tag);
  made.textContent = text;
  parent.append(made);
  return made;
}

function score(question, parent) {
  const counts = confusion(question), [[a, b, e], [c, d, f]] = counts;
  const { rows, called, other } = asked[question];
  element("h2", question === "truth" ? `Real or ${word}` : "Tumour or none", parent);
  element("p", `You were right about ${figures(a + d, a + b + c + d)}.`, parent);
  const table = element("table", "", parent), head = element("tr", "", element("thead", "", table));
  for (const name of ["", called, other, "not answered"]) element("th", name, head);
  [[rows[0], a, b, e], [rows[1], c, d, f]].forEach(([name, ...cells]) => {
    const row = element("tr", "", table);
    element("th", name, row);
    for (const cell of cells) element("td", cell, row);
  });
  element("p", `Of the ${rows[0]}, you ${called} ${figures(a, a + b)}; ` +
    `of the ${rows[1]}, ${figures(c, c + d)}. ${meaning(counts)}`, parent);
}

function verdict(place, question) {
  const line = cases[place].querySelector(`.verdict[data-question="${question}"]`);
  const given = answers[place][question], right = given === truth(place, question);
  line.hidden = false;
  line.className = `verdict ${given ? (right ? "right" : "wrong") : ""}`;
  const sign = given ? (right ? "✓ " : "✗ truth: ") : "not answered; truth: ";
  line.textContent = sign + asked[question].name[truth(place, question)];
}

function reveal() {
  checked = true;
  keep();
  const result = byId("result");
  result.replaceChildren();
  for (const question of questions) {
    cases.forEach((_, place) => verdict(place, question));
    score(question, result);
  }
  element("p", "In brackets: 95\u00a0% intervals (Wilson; of differences, Newcombe).", result);
  result.hidden = false;
  draw();
  result.focus({ preventScroll: true });
  result.scrollIntoView({ block: "start" });
}

function check() {
  if (checked) return again();
  if (!sure && !cases.every((_, place) => complete(place))) {
    sure = true;
    return draw();
  }
  return reveal();
}

function again() {
  answers = cases.map(() => ({}));
  checked = sure = false;
  byId("result").hidden = true;
  for (const line of document.querySelectorAll(".verdict")) line.hidden = true;
  keep();
  move(0);
}

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns(), ArrowDown: columns() };
  const button = cases[current].querySelector(`button[data-key="${CSS.escape(key)}"]`);
  if (key in steps) move(current + steps[key]);
  else if (button && !checked) {
    const before = complete(current);
    answer(current, button.parentElement.dataset.question, button.dataset.value);
    if (!before && complete(current)) move(current + 1);
  } else if (key === "Backspace" && !checked) {
    answers[current] = {};
    keep();
    draw();
  } else if (key === "+" || key === "-") fit(key === "+" ? 1 : -1);
  else if (key === "Enter" && event.target.tagName !== "BUTTON") check();
  else return;
  event.preventDefault();
}

// The key exists on paper only: it is made when the page is printed.
function printKey() {
  byId("key").replaceChildren();
  cases.forEach((_, place) => {
    element("li", questions.map((one) => asked[one].name[truth(place, one)]).join(", "), byId("key"));
  });
}

cases.forEach((one, place) => one.addEventListener("click", (event) => {
  const button = event.target.closest(".answers button");
  current = place;
  if (button) {
    const question = button.parentElement.dataset.question, value = button.dataset.value;
    answer(place, question, answers[place][question] === value ? undefined : value);
  }
  draw();
}));
cases.forEach((one, place) => one.addEventListener("focusin", () => { current = place; draw(); }));
document.addEventListener("keydown", press);
window.addEventListener("beforeprint", printKey);
window.addEventListener("afterprint", () => byId("key").replaceChildren());
window.addEventListener("resize", () => fit());
byId("check").addEventListener("click", check);
byId("print").addEventListener("click", () => window.print());
byId("smaller").addEventListener("click", () => fit(-1));
byId("larger").addEventListener("click", () => fit(1));
recall();
fit();
draw();
if (checked) reveal();
