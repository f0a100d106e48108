// The pages with a button that leads on.
import { ask } from "./send.js";
import { screenNow } from "./screen.js";

let sending = false;

async function step(body) {
  if (sending) return;
  sending = true;
  await ask("step", body); // where it was taken in another tab already, the study goes on too
  location.replace("./");
}

const ticked = (name) => [...document.querySelectorAll(`input[name="${name}"]:checked`)].map((box) => Number(box.value));

function bodyOf(form) {
  const body = { step: form.dataset.step };
  if (body.step === "consent") body.agreed = document.getElementById("agree").checked;
  if (body.step === "begin") body.part = Number(form.dataset.part);
  if (body.step === "display") {
    Object.assign(body, { dark: ticked("dark"), light: ticked("light"), screen: screenNow() });
  }
  return body;
}

for (const form of document.querySelectorAll("form[data-step]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    step(bodyOf(form));
  });
}

// Enter leads on, and a long page is still read from its top.
const first = document.querySelector("form[data-step] .main:not(.later)");
if (first && !first.disabled) first.focus({ preventScroll: true });

const agree = document.getElementById("agree");
if (agree) {
  const button = document.getElementById("go");
  const settle = () => { button.disabled = !agree.checked; };
  agree.addEventListener("change", settle);
  settle();
}
