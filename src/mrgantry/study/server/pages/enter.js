// The token stands after the # of a personal link, so no server's log and no other page sees it.
import { ask } from "./send.js";
import { say } from "./say.js";

const line = document.getElementById("say");

async function enter() {
  const left = location.search === "?left";
  const token = location.hash.slice(1);
  history.replaceState(null, "", "enter"); // nor does the browser's history keep it
  if (!token && left) {
    line.textContent = say("logged_out");
    return;
  }
  if (!token) {
    line.textContent = say("no_link");
    return;
  }
  const answer = await ask("enter", { token }, { halts: false });
  if (answer.status === 200) location.replace("./");
  else line.textContent = answer.say;
}

addEventListener("hashchange", enter); // another link, opened in the same tab
enter();
