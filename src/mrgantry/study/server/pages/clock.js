// The time of one image, by the browser's clock and, for what counts, by the server's.
import { sleep } from "./send.js";
import { say } from "./say.js";

const box = document.getElementById("clock");
const bar = document.getElementById("timer");
const number = document.getElementById("seconds");
const all = Number(document.body.dataset.seconds);
const EARLY = 500; // milliseconds before the server's end at which "no answer" may be sent

export class Clock {
  // remaining: seconds, or null without a limit; ends: says whether the end is an answer, "none".
  constructor(remaining, ends) {
    this.limited = remaining !== null;
    this.left = remaining * 1000;
    this.told = performance.now();
    this.end = Infinity;
    this.serverEnd = Infinity;
    this.none = new Promise((done) => {
      this.finish = () => { if (ends()) done({ truth: "none", ...(tumourAsked() ? { tumour: "none" } : {}) }); };
    });
  }

  // Begins with the display; an image that was displayed before has been running all the time.
  start(displayed, vanish) {
    if (!this.limited) return;
    this.vanish = vanish;
    this.end = (displayed ? this.told : performance.now()) + this.left;
    box.hidden = false;
    this.ticking = setInterval(() => this.tick(), 50);
    this.tick();
  }

  // Takes the server's word on what is left.
  agree(remaining) {
    if (!this.limited) return;
    this.serverEnd = performance.now() + remaining * 1000;
    this.end = Math.min(this.end, this.serverEnd);
  }

  tick() {
    const left = Math.max(0, this.end - performance.now()) / 1000;
    bar.value = left / all;
    number.textContent = say("seconds", { n: Math.ceil(left) });
    if (left > 0) return;
    this.stop();
    this.vanish();
    this.finish();
  }

  // Waits until the server takes "no answer" too.
  async over() {
    while (performance.now() < this.serverEnd - EARLY) await sleep(50);
  }

  stop() {
    clearInterval(this.ticking);
    box.hidden = true;
  }
}

function tumourAsked() {
  return document.body.dataset.questions.split(" ").includes("tumour");
}
