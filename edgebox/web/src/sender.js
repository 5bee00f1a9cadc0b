// Brings the queue to the box: in order, one request at a time, one tab at a time, until it is empty.

import { fetchWithin, setBoxTime } from "./page.js";
import { dropOrphan, findOrphans, mirrorUnsent, nextOrphan } from "./mirror.js";

const TIMEOUT_MS = 8000;
const BACKOFF_MIN_MS = 1000;
const BACKOFF_MAX_MS = 30000;
const LOOK_AGAIN_MS = 60000;
const BUSY_TAB_MS = 3000;

async function post(device, events, standing) {
  const body = JSON.stringify(Object.assign({ device, events, now: Date.now() }, standing));
  const options = { method: "POST", headers: { "Content-Type": "application/json" }, body };
  const response = await fetchWithin(TIMEOUT_MS, "/api/outbox", options);
  if (response.ok) {
    const reply = await response.json();
    setBoxTime(reply.server_ms);
    return reply;
  }
  if ([400, 413, 422].includes(response.status) && events.length) {
    // One event that cannot be understood must not hold up the others: the first goes alone, and is set aside if it is it.
    if (events.length > 1) return post(device, events.slice(0, 1), standing);
    return { rejected: [{ seq: events[0].seq, code: `http.${response.status}` }] };
  }
  throw { waitMs: 1000 * response.headers.get("Retry-After") };
}

/**
 * Return `send`, which may be called at any time and often, and `mirror`, to call after the queue grew. `onClosed` is
 * called when the browser has closed the store; this sender rests once the store has a `next` one.
 */
export function createSender(store, onChange, onClosed) {
  // The name of a tab outlives a reload, so the page after it need not wait for its own lease to end.
  const owner = (window.name = window.name || String(Math.random()));
  let failures = 0;
  let isBusy = false;
  let isAskedAgain = false;
  let timer = 0;

  const mirror = () => store.batch().then((rows) => mirrorUnsent(store.device, rows)).catch(() => {});

  async function sendBatch(batch) {
    await store.settle(await post(store.device, batch, await store.standing()));
    await mirror();
    onChange();
  }

  async function sendOrphans() {
    for (let orphan = nextOrphan(); orphan; orphan = nextOrphan()) {
      for (const event of orphan.events) {
        const { acked = [], rejected } = await post(orphan.device, [event]);
        if (!acked.length) await store.refuse(orphan.device, event, rejected[0].code);
      }
      dropOrphan();
    }
  }

  async function drain() {
    try {
      if (!(await store.lease(owner))) return BUSY_TAB_MS;
      await sendOrphans();
      let batch = await store.batch();
      const { kept, rejected } = await store.counts();
      // An empty request asks how far the box and the hub are, and tells of what was refused.
      if (!batch.length && (kept || rejected)) await sendBatch(batch);
      for (; batch.length; batch = await store.batch()) {
        await sendBatch(batch);
        await store.lease(owner);
      }
      await store.release(owner);
      failures = 0;
      return LOOK_AGAIN_MS;
    } catch (error) {
      if (error.name === "InvalidStateError") onClosed(store);
      const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * Math.pow(2, failures++));
      // Full jitter: forty tablets that lost the box together must not come back together.
      return Math.max(error.waitMs || 0, 200 + Math.random() * ceiling);
    }
  }

  async function send() {
    isAskedAgain = isBusy;
    if (isBusy || store.next) return;
    isBusy = true;
    clearTimeout(timer);
    const waitMs = await drain();
    isBusy = false;
    timer = setTimeout(send, isAskedAgain && !failures ? 0 : waitMs);
  }

  findOrphans(store.device);
  return { send, mirror };
}
