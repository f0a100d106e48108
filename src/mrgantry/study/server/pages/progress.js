// The investigator's table, renewed every few seconds.
import { ask, sleep } from "./send.js";

const EVERY = 5000;
const rows = document.getElementById("readers");

function ago(seconds) {
  if (seconds < 60) return "just now";
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86400)} days ago`;
}

const part = ([number, answered, all]) => `${number ? number : "practice"}: ${answered}/${all}`;
const yes = (value) => (value === null ? "not asked" : value ? "given" : "not given");

function row(reader, now) {
  const cells = [
    reader.name,
    reader.removed ? "removed" : reader.page === "thanks" ? "finished" : reader.page,
    `${reader.answered} of ${reader.images}`,
    reader.parts.map(part).join(", "),
    reader.last === null ? "never" : ago(now - reader.last),
    yes(reader.consented),
    reader.check || "not done",
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
  document.getElementById("updated").textContent = `As of ${new Date(told.now * 1000).toLocaleTimeString()}`;
  await sleep(EVERY);
}
