// Reads one image after another. What is next is the server's word; nothing is kept here but
// an answer that is on its way.
import { ask, sleep } from "./send.js";
import { screenNow } from "./screen.js";
import { clear, place, reset } from "./view.js";
import { answerKeys, closeQuestions, firstAnswered, fixFirst, openQuestions } from "./questions.js";
import { pausedFor, resumed } from "./pause.js";
import { Clock } from "./clock.js";
import { say } from "./say.js";

const asked = document.body.dataset;
const limited = asked.seconds !== "";
const dropped = asked.late === "no answer"; // whether an image without an answer in time has none
const KEPT = "mrgantry-answer"; // in sessionStorage: an answer that was not acknowledged yet
const LOADING = 15000; // milliseconds that an image may take

const element = (id) => document.getElementById(id);
const status = (sentence) => { element("status").textContent = sentence; };

// Loads and decodes an image; null if it cannot be had.
async function fetched(trial) {
  const image = new Image();
  image.alt = "";
  image.draggable = false;
  image.src = `image/${trial}`;
  const late = sleep(LOADING).then(() => Promise.reject(new Error("late")));
  try {
    await Promise.race([image.decode(), late]);
    return image;
  } catch {
    image.src = "";
    return null;
  }
}

// Sends an answer until the server has it; a page that is loaded again goes on with that.
async function deliver(answer) {
  const kept = await ask("answer", answer);
  sessionStorage.removeItem(KEPT);
  return kept.status === 200;
}

async function deliverLeft() {
  const left = sessionStorage.getItem(KEPT);
  if (!left) return;
  const answer = JSON.parse(left);
  await ask("display", { trial: answer.trial }); // in case that was lost too
  await deliver(answer);
}

function tell(told) {
  const [where, inPart, inPractice] = asked.pairs
    ? ["where_pair", "where_pair_in_part", "where_pair_in_practice"]
    : ["where", "where_in_part", "where_in_practice"];
  element("where").textContent = say(told.part ? (told.parts > 1 ? inPart : where) : inPractice, told);
  element("done").value = (told.place - 1) / told.of;
  if (told.score) score(told.score);
}

function score({ right, of }) {
  element("score").textContent = of ? say("score", { right, of }) : "";
}

// Gives the answer to an image, or null if the trial is not the current one any more.
async function judged(told, clock) {
  // A page that is loaded again goes on counting where the first one was.
  const first = told.displayed ? told.at - told.elapsed * 1000 : performance.now();
  const paused = told.displayed ? told.paused : pausedFor();
  const displayed = ask("display", { trial: told.trial }).then((answer) => {
    if (answer.status !== 200) return false;
    clock.agree(answer.remaining);
    return true;
  });
  const moved = displayed.then((current) => (current ? new Promise(() => {}) : null));
  const chosen = (truth) => { if (limited) ask("chosen", { trial: told.trial, truth }); };
  const given = await Promise.race([openQuestions(chosen), clock.none, moved]);
  const seconds = (performance.now() - first - (pausedFor() - paused)) / 1000;
  closeQuestions();
  if (given === null) return null;
  const answer = { trial: told.trial, ...given, client_seconds: Math.max(0, seconds) };
  sessionStorage.setItem(KEPT, JSON.stringify(answer));
  if (!(await displayed)) sessionStorage.removeItem(KEPT);
  if (given.truth === "none") await clock.over();
  return (await displayed) ? answer : null;
}

async function painted() {
  await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
}

// Tells a learner what the image was; Enter goes on.
async function feedback(trial, given) {
  const told = await ask(`response/${trial}`);
  if (told.status !== 200) return;
  const names = asked.pairs
    ? { left: say("left"), right: say("right_side") }
    : { real: say("real"), synthetic: asked.word };
  const right = told.truth === given.truth;
  const guessed = given.truth in names;
  const shown = { yes: "with_tumour", no: "without_tumour" }[told.tumour];
  const truth = shown && !asked.pairs ? say(shown, { truth: names[told.truth] }) : names[told.truth];
  const [rightly, wrongly, plainly] = asked.pairs ? ["right_pair", "wrong_pair", "was_pair"] : ["right", "wrong", "was"];
  element("feedback-say").textContent = say(guessed ? (right ? rightly : wrongly) : plainly, { truth });
  element("feedback").className = guessed ? (right ? "right" : "wrong") : "";
  element("feedback").hidden = false;
  score(told.score);
  await answerKeys("Enter", element("feedback-go"));
  element("feedback").hidden = true;
}

// The image goes. The limit is on the first question: if that has an answer, it stands.
function timeIsUp() {
  clear();
  if (dropped && firstAnswered()) fixFirst();
  status(say(firstAnswered() ? "gone" : dropped ? "over" : "answer_now"));
}

async function read(told) {
  tell(told);
  reset();
  const clock = new Clock(limited ? told.remaining : null, () => dropped && !firstAnswered());
  const gone = limited && told.remaining <= 0;
  const image = gone ? null : await fetched(told.trial);
  if (!image && !gone) return sleep(500); // the loop asks what is current, once the server answers
  await resumed(); // no image is shown, and no time begins, under a pause
  if (image) {
    place(image);
    await painted();
  }
  clock.start(told.displayed, timeIsUp);
  const answer = await judged(told, clock);
  clock.stop();
  status("");
  if (!asked.teaching) clear();
  if (answer && (await deliver(answer)) && asked.teaching) await feedback(told.trial, answer);
  clear();
  return undefined;
}

async function run() {
  await deliverLeft();
  ask("event", { kind: "screen", screen: screenNow() });
  for (;;) {
    await resumed();
    const told = await ask("next");
    Object.assign(told, { at: performance.now(), paused: pausedFor() });
    if (told.page !== "reading") break;
    await read(told);
  }
  location.replace("./");
}

run();
