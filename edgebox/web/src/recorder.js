// What islands use: the queue, its sender and the line at the top that says how safe the work is.

import { boxTime, icon, learner, since, text } from "./page.js";
import { createSender } from "./sender.js";
import { memoryStore, openStore } from "./store.js";

let store = null;
let sender = null;

function levelOf(counts) {
  if (!store.isLasting) return "warning";
  if (counts.waiting) return "tablet";
  if (counts.kept) return "school";
  return counts.sent ? "hub" : "";
}

/** Say how far up the ladder the work is; a level is named after its icon. */
export async function showState() {
  const line = document.getElementById("state");
  if (!line || !store) return;
  const counts = await store.counts();
  const level = levelOf(counts);
  const sentence = text(level, { count: counts.waiting }) + (counts.rejected ? ` ${text("refused")}` : "");
  line.hidden = !level;
  if (line.textContent === sentence) return;
  line.dataset.level = level;
  line.innerHTML = icon(level) + "<span></span>";
  line.lastChild.textContent = sentence;
}

function useStore(chosen) {
  store = chosen;
  sender = createSender(store, showState, reopen);
}

const open = () => openStore((learner() || {}).token).then(useStore);

/** Open the queue again, once for each store that was lost: browsers close databases when they clean up. */
function reopen(lost) {
  lost.next = lost.next || open().then(() => sender.send());
  return lost.next;
}

/** Change a draft in the queue: in the one that is open, in one opened again, or in memory when the disk is full. */
function keep(key, change) {
  const used = store;
  const update = () => store.update(key, change);
  return update()
    .catch(() => reopen(used).then(update))
    .catch(() => {
      useStore(memoryStore());
      return update();
    });
}

export async function startRecorder() {
  await open();
  const wake = () => {
    if (document.visibilityState === "hidden") return;
    showState();
    sender.send();
  };
  for (const name of ["online", "pageshow"]) window.addEventListener(name, wake);
  document.addEventListener("visibilitychange", wake);
  wake();
}

/** The work of one learner on one resource: its draft and its events. Keeps nothing when nobody is signed in. */
export function workOn(element) {
  const { pack, version, resource } = element.dataset;
  const person = learner();
  const key = person && [person.person, pack, resource].join(" ");
  const startedAt = performance.now();

  /** See `update` of the store; the work goes on even when nothing can be kept. */
  async function update(change) {
    if (!key) return change(null).draft;
    const draft = await keep(key, change);
    await sender.mirror();
    // Before anything tells the learner that the answer was taken: the line must not still say "saved" of what was before.
    await showState().catch(() => {});
    sender.send();
    return draft;
  }

  const event = (verb, result, item) => ({ t: boxTime(), verb, pack, version, resource, token: person && person.token, result, item });

  return {
    update,
    event,
    duration: () => since(startedAt),
    draft: async () => (key && (await store.draft(key))) || {},
    /** Go on with the attempt that is open, or open one. */
    open: (fresh) => update((draft) => (draft ? { draft } : { draft: fresh, events: [event("launched")] })),
    /** What ends an attempt that was read, watched or played to the end. */
    completed: () => event("completed", { completion: true, progress: 1, duration_ms: since(startedAt) }),
  };
}
