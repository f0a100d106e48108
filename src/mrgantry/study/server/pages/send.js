// Sends to the server and again until it answers: a lost connection loses nothing.
import { say } from "./say.js";

const FIRST = 500; // milliseconds until the first repetition; then twice as long each time
const LONGEST = 8000;
const PATIENCE = 15000;

const csrf = document.querySelector('meta[name="csrf"]').content;
const notice = document.getElementById("notice");

export const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

function tell(sentence) {
  notice.textContent = sentence;
  notice.hidden = !sentence;
}

// Shows a sentence over everything; the page does no more.
function halt(sentence) {
  document.getElementById("halt-say").textContent = sentence;
  document.getElementById("halt").hidden = false;
  document.getElementById("reload").addEventListener("click", () => location.replace("./"));
  document.getElementById("reload").focus();
  return new Promise(() => {});
}

async function once(path, body) {
  const headers = { Accept: "application/json" };
  const options = { headers, cache: "no-store", signal: AbortSignal.timeout(PATIENCE) };
  if (body !== undefined) {
    options.method = "POST";
    options.body = JSON.stringify(body);
    headers["Content-Type"] = "application/json";
    headers["X-CSRF-Token"] = csrf;
  }
  try {
    const answer = await fetch(path, options);
    const said = await answer.json();
    const again = answer.status >= 500 || answer.status === 429 || answer.status === 408;
    if (answer.status === 429) said.wait = Number(answer.headers.get("Retry-After")) * 1000;
    return { ...said, status: answer.status, again };
  } catch {
    return { status: 0, again: true };
  }
}

// Asks, with a body by POST; gives the answer and its status. With halts, a session that has
// ended stops the page.
export async function ask(path, body, { halts = true } = {}) {
  for (let wait = FIRST; ; wait = Math.min(2 * wait, LONGEST)) {
    const answer = await once(path, body);
    if (!answer.again || (!halts && answer.status === 429)) {
      tell("");
      if (halts && (answer.status === 401 || answer.status === 403)) {
        return halt(answer.status === 401 ? say("ended") : answer.say);
      }
      return answer;
    }
    tell(say("lost"));
    await sleep(answer.wait || wait);
  }
}

// A page that the browser kept from before is out of date.
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
