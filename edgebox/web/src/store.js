// The queue on the tablet: what was recorded and is not yet durable elsewhere.
//
// outbox   not yet at the box, by sequence number     rejected  refused by the box, for the teacher
// kept     at the box, not yet at the hub             draft     unfinished work, by person and resource
// meta     device id, lease of the sender, highest number heard
//
// Both stores below have the same methods, to be awaited; the second one is for browsers that refuse IndexedDB.
// idb stays at version 7: version 8 adds async iterators, which cost 450 bytes when lowered to es2015.

import { openDB } from "idb";

const BATCH_EVENTS = 50;
const BATCH_BYTES = 15500;
const LEASE_MS = 15000;
// A token starts with the person it is for, 25 bytes; only the seal after that changes with the key of the box.
const PERSON_CHARS = 33;
// Chrome's default became "relaxed": written, but not yet flushed. An answer must survive a battery that runs out.
const STRICT = { durability: "strict" };

function newDevice() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => (256 + byte).toString(16).slice(1)).join("");
}

/** Take rows in order until one request is full; at least one, however large. */
function fill(rows) {
  let bytes = 0;
  const full = rows.findIndex((row, at) => {
    bytes += new Blob([JSON.stringify(row)]).size;
    return at && (at === BATCH_EVENTS || bytes > BATCH_BYTES);
  });
  return full < 0 ? rows : rows.slice(0, full);
}

/** Run a change of a draft: each event gets its number, and the number of the event that opened its attempt. */
async function apply(before, change, add) {
  const { draft, events = [] } = change(before || null);
  let attempt = before && before.attempt;
  for (const event of events) attempt = await add(event, attempt);
  return draft && Object.assign({}, draft, { attempt });
}

function diskStore(db, device) {
  const open = (names, options) => {
    const tx = db.transaction(names, "readwrite", options);
    return names.map((name) => tx.objectStore(name)).concat(tx);
  };

  return {
    device,
    isLasting: true,

    /** Change a draft and record events in one transaction. `change(draft)` gives {draft, events}; a null draft is removed. */
    async update(key, change) {
      const [outbox, drafts, tx] = open(["outbox", "draft"], STRICT);
      const draft = await apply(await drafts.get(key), change, async (event, attempt) => {
        const seq = await outbox.add(event);
        outbox.put(Object.assign({}, event, { seq, attempt: attempt || seq }));
        return attempt || seq;
      });
      if (draft) drafts.put(draft, key);
      else drafts.delete(key);
      await tx.done;
      return draft;
    },

    draft: (key) => db.get("draft", key),

    /** The lowest number still here, so that a new box does not wait for older ones, and how much was refused. */
    standing: () =>
      Promise.all([db.getAllKeys("kept", null, 1), db.getAllKeys("outbox", null, 1), db.count("rejected")]).then(
        ([kept, waiting, refused]) => ({ held_from: Math.min(...kept, ...waiting), refused }),
      ),

    batch: () => db.getAll("outbox", null, BATCH_EVENTS).then(fill),

    /** Note what the box said about a batch. Rows stay in `kept` until the hub has them. */
    async settle({ acked = [], rejected = [], box_seq: boxSeq, hub_seq: hubSeq }) {
      const [outbox, kept, refused, meta, tx] = open(["outbox", "kept", "rejected", "meta"], STRICT);
      const move = async (seq, target, extra) => {
        const row = await outbox.get(seq);
        if (row) target.put(Object.assign(row, extra));
        outbox.delete(seq);
      };
      for (const seq of acked) await move(seq, kept);
      for (const { seq, code } of rejected) await move(seq, refused, { code });
      if (boxSeq < (await meta.get("box_seq"))) {
        // The box went back in time: it was replaced or restored. What it lost is still here.
        for (const row of await kept.getAll()) {
          if (row.seq <= boxSeq || acked.includes(row.seq)) continue;
          outbox.put(row);
          kept.delete(row.seq);
        }
      }
      if (boxSeq >= 0) meta.put(boxSeq, "box_seq");
      if (hubSeq > 0) kept.delete(IDBKeyRange.upperBound(hubSeq));
      await tx.done;
    },

    /** Keep what was refused of another device: its numbers mean something else there. */
    refuse: (from, event, code) => db.put("rejected", Object.assign({}, event, { seq: [from, event.seq], code })),

    /** Let one tab of this tablet send. A lease far in the future comes from a clock that was set back. */
    async lease(owner) {
      const [meta, tx] = open(["meta"]);
      const held = await meta.get("lease");
      const now = Date.now();
      const isFree = !held || held.owner === owner || held.until < now || held.until > now + 2 * LEASE_MS;
      if (isFree) meta.put({ owner, until: now + LEASE_MS }, "lease");
      await tx.done;
      return isFree;
    },

    async release(owner) {
      const [meta] = open(["meta"]);
      const held = await meta.get("lease");
      if (held && held.owner === owner) meta.delete("lease");
    },

    counts: () =>
      Promise.all([db.count("outbox"), db.count("kept"), db.count("rejected"), db.get("meta", "box_seq")]).then(
        ([waiting, kept, rejected, sent]) => ({ waiting, kept, rejected, sent }),
      ),
  };
}

export function memoryStore() {
  const drafts = {};
  let rows = [];
  let lastSeq = 0;
  let said = {};
  let refused = 0;

  return {
    device: newDevice(),

    async update(key, change) {
      drafts[key] = await apply(drafts[key], change, async (event, attempt) => {
        const seq = ++lastSeq;
        rows.push(Object.assign({}, event, { seq, attempt: attempt || seq }));
        return attempt || seq;
      });
      return drafts[key];
    },

    draft: (key) => drafts[key],

    refuse: () => refused++,

    standing: () => ({ held_from: (rows[0] || {}).seq, refused }),

    batch: async () => fill(rows),

    settle(reply) {
      const gone = (reply.rejected || []).map((row) => row.seq);
      refused += gone.length;
      rows = rows.filter((row) => !gone.concat(reply.acked).includes(row.seq));
      said = reply;
    },

    lease: () => true,
    release: () => {},
    counts: () => ({ waiting: rows.length, kept: lastSeq > said.hub_seq, rejected: refused, sent: lastSeq }),
  };
}

/** Offer again what was refused under another token of this person: the box got a new key. */
async function readmit(token, outbox, refused) {
  for (const row of await refused.getAll()) {
    const isOurs = row.token !== token && row.token.slice(0, PERSON_CHARS) === token.slice(0, PERSON_CHARS);
    if (row.code !== "record.token_invalid" || !isOurs || !(row.seq > 0)) continue;
    outbox.put(Object.assign(row, { token, code: undefined }));
    refused.delete(row.seq);
  }
}

async function openDisk(token) {
  const db = await openDB("edgebox", 1, {
    upgrade(fresh) {
      fresh.createObjectStore("outbox", { keyPath: "seq", autoIncrement: true });
      fresh.createObjectStore("kept", { keyPath: "seq" });
      fresh.createObjectStore("rejected", { keyPath: "seq" });
      fresh.createObjectStore("draft");
      fresh.createObjectStore("meta");
    },
  });
  const tx = db.transaction(["meta", "outbox", "rejected"], "readwrite", STRICT);
  const meta = tx.objectStore("meta");
  const device = (await meta.get("device")) || newDevice();
  meta.put(device, "device");
  if (token) await readmit(token, tx.objectStore("outbox"), tx.objectStore("rejected"));
  await tx.done;
  return diskStore(db, device);
}

/** Open the queue for who holds `token`. Never fails: without a disk the events live in memory, and `isLasting` says so. */
export const openStore = (token) => openDisk(token).catch(memoryStore);
