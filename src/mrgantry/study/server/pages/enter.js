// The token stands after the # of a personal link, so no server's log and no other page sees it.
import { ask } from "./send.js";

const say = document.getElementById("say");

async function enter() {
  const left = location.search === "?left";
  const token = location.hash.slice(1);
  history.replaceState(null, "", "enter"); // nor does the browser's history keep it
  if (!token && left) {
    say.textContent = "You have logged out. Everything that you have answered is kept. To go on, open your personal link again.";
    return;
  }
  if (!token) {
    say.textContent = "Please open your personal link, just as it was sent to you.";
    return;
  }
  const answer = await ask("enter", { token }, { halts: false });
  if (answer.status === 200) location.replace("./");
  else say.textContent = answer.say;
}

addEventListener("hashchange", enter); // another link, opened in the same tab
enter();
