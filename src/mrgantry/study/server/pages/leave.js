// Logs out: on a shared computer the next person must not read on.
import { ask, sleep } from "./send.js";

const KEPT = "mrgantry-answer"; // an answer on its way, which the reading page sends
const PATIENCE = 5000;

async function leave() {
  const since = performance.now();
  while (sessionStorage.getItem(KEPT) && performance.now() < since + PATIENCE) await sleep(100);
  await ask("leave", {});
  sessionStorage.clear();
  location.replace("enter?left");
}

document.getElementById("leave")?.addEventListener("click", leave);
