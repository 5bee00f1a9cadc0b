// Keeps marked parts of a staff page fresh: <section id="x" data-live data-live-seconds="5">.

const PATIENCE_MS = 8000;

/** Ask again for the page the part comes from; an unchanged one costs a few bytes, thanks to its ETag. */
async function refresh(part, known) {
  const address = part.dataset.live || window.location.href;
  // With this name the box knows that nobody asked: an open page alone keeps nobody signed in.
  const headers = { Accept: "text/html", "X-Edgebox-Live": "1" };
  if (known.etag) headers["If-None-Match"] = known.etag;
  const reply = await fetch(address, { credentials: "same-origin", cache: "no-store", headers });
  if (reply.status !== 200) return;
  const etag = reply.headers.get("ETag");
  const fresh = new DOMParser().parseFromString(await reply.text(), "text/html").getElementById(part.id);
  const shown = document.getElementById(part.id);
  // A part somebody is typing in, or has a button focused in, is left alone until the next round.
  if (!fresh || !shown || shown.contains(document.activeElement)) return;
  const ticks = tickedIn(shown);
  const folds = Array.from(shown.querySelectorAll("details[open]"), (fold) => fold.id);
  shown.innerHTML = fresh.innerHTML;
  keepTicks(shown, ticks);
  folds.map((id) => document.getElementById(id)).forEach((fold) => fold && (fold.open = true));
  known.etag = etag;
}

/** What somebody ticked or unticked stays so when the part around it is renewed. */
function tickedIn(part) {
  const found = {};
  Array.from(part.querySelectorAll("input[type=checkbox]")).forEach((box) => {
    found[box.value] = box.checked;
  });
  return found;
}

function keepTicks(part, ticks) {
  Array.from(part.querySelectorAll("input[type=checkbox]")).forEach((box) => {
    if (box.value in ticks) box.checked = ticks[box.value];
  });
  Array.from(part.querySelectorAll("form[data-sum]")).forEach(showSum);
}

function keepFresh(part) {
  const known = {};
  const everyMs = 1000 * Number(part.dataset.liveSeconds || 5);
  const round = () => {
    const isSeen = document.visibilityState !== "hidden";
    const late = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS));
    const done = isSeen ? Promise.race([refresh(part, known), late]) : Promise.resolve();
    done.catch(() => {}).then(() => setTimeout(round, everyMs));
  };
  setTimeout(round, everyMs);
}

Array.from(document.querySelectorAll("[data-live][id]")).forEach(keepFresh);

// What is ticked in a form with data-sum="<bytes there are>" is summed up beside its button.

function sizeText(sizeBytes) {
  const units = ["B", "kB", "MB", "GB"];
  let size = sizeBytes;
  let unit = 0;
  while (size >= 1000 && unit < 3) {
    size /= 1000;
    unit += 1;
  }
  return `${size.toFixed(unit ? 1 : 0)}\u00a0${units[unit]}`;
}

function counts(form, box) {
  const holder = box.dataset.sumWith;
  return box.checked && (!holder || form.querySelector(`#${holder}`).checked);
}

function showSum(form) {
  const boxes = Array.from(form.querySelectorAll("input[data-size]")).filter((box) => counts(form, box));
  const sumBytes = boxes.reduce((sum, box) => sum + Number(box.dataset.size), 0);
  const shown = form.querySelector("[data-sum-shown]");
  if (!shown) return;
  shown.hidden = false;
  shown.querySelector("b").textContent = sizeText(sumBytes);
  form.querySelector("[data-sum-over]").hidden = sumBytes <= Number(form.dataset.sum);
}

Array.from(document.querySelectorAll("form[data-sum]")).forEach(showSum);
document.addEventListener("change", (event) => {
  const form = event.target.closest && event.target.closest("form[data-sum]");
  if (form) showSum(form);
});

// A file is sent with a bar that shows how far it is; without script the browser sends it as any form.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.hasAttribute("data-upload")) return;
  event.preventDefault();
  const bar = form.querySelector("progress");
  const button = form.querySelector("button");
  const sending = new XMLHttpRequest();
  bar.hidden = false;
  button.disabled = true;
  sending.upload.addEventListener("progress", (step) => {
    if (step.lengthComputable) bar.value = (100 * step.loaded) / step.total;
  });
  sending.addEventListener("load", () => {
    const fresh = new DOMParser().parseFromString(sending.responseText, "text/html").querySelector("main");
    if (fresh) document.querySelector("main").innerHTML = fresh.innerHTML;
  });
  sending.addEventListener("error", () => {
    button.disabled = false;
    bar.hidden = true;
  });
  sending.open("POST", form.action);
  sending.setRequestHeader("Accept", "text/html");
  sending.send(new FormData(form));
});

// Secrets that are shown once can be printed at a press; without script the browser's own menu does it.
const printing = document.querySelector("[data-print]");
if (printing) {
  printing.parentNode.hidden = false;
  printing.addEventListener("click", () => window.print());
}

// While the box does not know what time it is, this tablet tells it by itself; a button tells it at any time.
Array.from(document.querySelectorAll("form[data-clock]")).forEach((form) => {
  const { csrf, now } = form.elements;
  form.hidden = false;
  form.addEventListener("submit", () => (now.value = Date.now()));
  if (!form.dataset.clock) return;
  const body = new URLSearchParams({ csrf: csrf.value, now: Date.now() });
  const told = fetch(form.action, { method: "POST", credentials: "same-origin", body });
  told.then((reply) => (form.closest("section").hidden = reply.ok)).catch(() => {});
});
