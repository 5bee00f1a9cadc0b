// What the page around the islands tells them: who is here, how late it is at the box, which words to use.

let anchor = null;

/** Take the box's clock as true from now on. Tablet clocks are often years wrong; elapsed time is not. */
export function setBoxTime(serverMs) {
  if (serverMs > 0) anchor = { serverMs, perf: performance.now(), wall: Date.now() };
}

/** Milliseconds UTC as the box would say. The monotonic clock stops while a tablet sleeps, so a small lead of the wall clock is believed. */
export function boxTime() {
  const steady = performance.now() - anchor.perf;
  const wall = Date.now() - anchor.wall;
  const slept = wall > steady && wall - steady < 12 * 3600e3;
  return Math.round(anchor.serverMs + (slept ? wall : steady));
}

/** Milliseconds since a reading of the clock; a page that stays open for months is no longer at work. */
export const since = (startedAt) => Math.min(30 * 24 * 3600e3, Math.round(performance.now() - startedAt));

let words = {};

/** Read what the document says; again after its content was swapped. */
export function readPage() {
  const block = document.getElementById("strings");
  if (block) words = JSON.parse(block.textContent);
  setBoxTime(Number(document.body.dataset.serverMs) || Date.now());
}

export function text(key, values = {}) {
  return (words[key] || key).replace(/\{(\w+)\}/g, (whole, name) => (name in values ? values[name] : whole));
}

/** Who is signed in, as the queue needs it: a key for drafts and the token that may append for this person. */
export function learner() {
  const { person, token } = document.body.dataset;
  return person && token ? { person, token } : null;
}

const drawings = () => document.querySelector("svg.icon use").getAttribute("href").split("#")[0];

export function icon(name, className = "") {
  return `<svg class="icon ${className}" aria-hidden="true"><use href="${drawings()}#${name}"/></svg>`;
}

/** Fetch with an end: old browsers have no AbortController, so there only the waiting ends. */
export function fetchWithin(milliseconds, url, options) {
  const abort = window.AbortController && new AbortController();
  return new Promise((resolve, reject) => {
    setTimeout(() => {
      reject({});
      if (abort) abort.abort();
    }, milliseconds);
    fetch(url, Object.assign({ credentials: "same-origin", cache: "no-store", signal: abort && abort.signal }, options)).then(resolve, reject);
  });
}

export const isBoxThere = () => fetchWithin(4000, "/ping").then((reply) => reply.ok, () => false);

/** Call back once the box answers; returns a function that stops asking. */
export function whenBoxIsBack(then) {
  let isWanted = true;
  let waitMs = 700;
  const ask = async () => {
    const isThere = await isBoxThere();
    if (!isWanted) return;
    waitMs = Math.min(waitMs * 1.5, 8000);
    if (isThere) then();
    else setTimeout(ask, waitMs * (0.5 + Math.random() / 2));
  };
  ask();
  return () => (isWanted = false);
}
