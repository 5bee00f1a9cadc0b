// The narrow bridge to a learning app in a sandboxed frame: it may say how far the learner is, and nothing else.

import { boxTime } from "./page.js";
import { workOn } from "./recorder.js";
import { putState } from "./state.js";

const STATE_MAX_CHARS = 65536;
const STATE_EVERY_MS = 3000;
const PROGRESS_EVERY_MS = 10000;

// What the box takes; see edgebox/domain/events.py. An answer out of its bounds is brought into them, not lost.
const SCORE_MAX = 1e9;
const NOT_IN_NAMES = /[\0-\x1f\x7f-\x9f\ud800-\udfff]/gu;
const NOT_IN_TEXTS = /[\0\ud800-\udfff]/gu;

const number = (value, low, high) => (Number.isFinite(value) ? Math.max(low, Math.min(high, value)) : undefined);
const score = ({ score, max }) => ({ score: number(score, -SCORE_MAX, SCORE_MAX), max: number(max, 0, SCORE_MAX) });

/** Cut by characters, because half of a pair is none; with the flag `u` a pattern meets only such halves. */
function bounded(value, length, unwanted) {
  if (value == null) return undefined;
  const cleaned = String(value).slice(0, 2 * length).replace(unwanted, "");
  return Array.from(cleaned).slice(0, length).join("") || undefined;
}

// An app from the cache may speak before the queue is open, so somebody listens from the start.
const early = [];
let listener;
window.addEventListener("message", (said) => (listener ? listener(said) : early.push(said)));

export function mountApp(frame) {
  const work = workOn(frame);
  let lastProgressAt = -PROGRESS_EVERY_MS;
  let timer = 0;
  let latest = null;

  async function start() {
    const draft = await work.open({});
    const isLocalNewer = draft.saved_ms > Number(frame.dataset.savedAtMs);
    const state = isLocalNewer ? draft.state : JSON.parse(document.getElementById("app-state").textContent);
    const { language, direction } = frame.dataset;
    frame.contentWindow.postMessage({ edgebox: 1, type: "start", language, direction, state, learner: null }, "*");
  }

  const append = (...events) => work.update((draft) => ({ draft: draft || {}, events }));

  function saveState({ state }) {
    if ((JSON.stringify(state) || "").length > STATE_MAX_CHARS) return;
    latest = { state };
    work.update((draft) => ({ draft: Object.assign({}, draft, { state, saved_ms: boxTime() }) }));
    if (!timer) timer = setTimeout(flush, STATE_EVERY_MS);
  }

  function flush() {
    clearTimeout(timer);
    timer = 0;
    if (latest) putState(frame.dataset.state, latest);
    latest = null;
  }

  function noteProgress(message) {
    const now = performance.now();
    const progress = number(message.progress, 0, 1);
    if (progress === undefined || now - lastProgressAt < PROGRESS_EVERY_MS) return;
    lastProgressAt = now;
    append(work.event("progressed", { progress }));
  }

  function noteAnswer(message) {
    const result = { success: Boolean(message.success), response: bounded(message.response, 500, NOT_IN_TEXTS) };
    append(work.event("answered", Object.assign(result, score(message)), bounded(message.item, 80, NOT_IN_NAMES)));
  }

  function complete(message) {
    const marks = Object.assign({ success: message.success }, score(message));
    const events = [work.completed()];
    if (typeof message.success === "boolean") events.push(work.event(message.success ? "passed" : "failed", marks));
    flush();
    // The attempt ends here, with its draft; what comes next opens another one.
    work.update(() => ({ draft: null, events }));
  }

  const handlers = { ready: start, state: saveState, progress: noteProgress, answered: noteAnswer, completed: complete };

  function receive({ source, data }) {
    if (source !== frame.contentWindow || !data || data.edgebox !== 1) return;
    if (Object.keys(handlers).includes(data.type)) handlers[data.type](data);
  }

  listener = receive;
  // An app from the cache may even have been ready before this script was here; a second start changes nothing.
  if (!early.splice(0).map(receive).length) start();
  return () => {
    listener = null;
    flush();
  };
}
