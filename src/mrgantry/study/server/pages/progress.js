// The investigator's table, renewed every few seconds.
import { ask, sleep } from "./send.js";
import { say } from "./say.js";

const EVERY = 5000;
const rows = document.getElementById("readers");

function ago(seconds) {
  if (seconds < 60) return say("just_now");
  if (seconds < 5400) return say("minutes_ago", { n: Math.round(seconds / 60) });
  if (seconds < 129600) return say("hours_ago", { n: Math.round(seconds / 3600) });
  return say("days_ago", { n: Math.round(seconds / 86400) });
}

const part = ([number, answered, all]) => `${number ? number : say("practice")}: ${answered}/${all}`;
const yes = (value) => say(value === null ? "not_asked" : value ? "given" : "not_given");

function row(reader, now) {
  const cells = [
    reader.name,
    say(reader.removed ? "removed" : `page_${reader.page}`),
    say("answered_of", reader),
    reader.parts.map(part).join(", "),
    reader.last === null ? say("never") : ago(now - reader.last),
    yes(reader.consented),
    reader.check || say("not_done"),
    reader.pauses,
    reader.resent,
    reader.seconds === null ? "" : reader.seconds.toFixed(1),
  ];
  const line = document.createElement("tr");
  for (const [place, text] of cells.entries()) {
    const cell = document.createElement(place ? "td" : "th");
    cell.textContent = text;
    line.append(cell);
  }
  return line;
}

for (;;) {
  const told = await ask("progress");
  rows.replaceChildren(...told.readers.map((reader) => row(reader, told.now)));
  document.getElementById("halted").hidden = !told.paused;
  document.getElementById("updated").textContent = say("as_of", { time: new Date(told.now * 1000).toLocaleTimeString(document.documentElement.lang) });
  await sleep(EVERY);
}
