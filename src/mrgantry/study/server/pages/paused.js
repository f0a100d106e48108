// Waits until the investigator lets the study go on.
import { ask, sleep } from "./send.js";

const EVERY = 5000;

for (;;) {
  await sleep(EVERY);
  if ((await ask("next")).page !== "paused") break;
}
location.replace("./");
