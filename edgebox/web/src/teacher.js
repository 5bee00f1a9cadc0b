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
  shown.innerHTML = fresh.innerHTML;
  known.etag = etag;
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

// Secrets that are shown once can be printed at a press; without script the browser's own menu does it.
const printing = document.querySelector("[data-print]");
if (printing) {
  printing.parentNode.hidden = false;
  printing.addEventListener("click", () => window.print());
}
