// Turns a phone into a courier: takes what waits at the box, sends it when there is Internet, brings the receipts back.
//
// All of it is sealed to the hub and kept in the database `edgebox-courier`, one row per bundle: with `content` while it
// is on its way, with `ack` once the hub has answered. The box keeps everything too, so a phone that never comes back
// costs nothing. Boxes of several schools may have one address, so rows are told apart by the box they are from.

import { openDB } from "idb";
import { fetchWithin, readPage, text } from "./page.js";

const BUNDLE_TYPE = "application/vnd.edgebox.bundle";
const ACK_TYPE = "application/vnd.edgebox.ack";
const ACK_MAX_BYTES = 4224;
const BOX_ID = /^[0-9a-f]{32}$/;
const LOOK_MS = 10000;
const LOOK_MAX_MS = 120000;
const ANSWER_MS = 20000;
// The slowest line that is worth waiting for: 2 kB a second.
const MS_PER_BYTE = 0.5;

const page = document.getElementById("courier");
const line = page.querySelector("[data-state]");
const bar = page.querySelector("progress");
const said = { handed: 0, full: false, making: false, isHere: false };

function sizeText(sizeBytes) {
  return sizeBytes < 1e6 ? `${Math.ceil(sizeBytes / 1e3)}\u00a0kB` : `${(sizeBytes / 1e6).toFixed(1)}\u00a0MB`;
}

/** Tell in one line what the courier should do now. */
function show(rows) {
  const aboard = rows.filter((row) => row.content);
  const refused = rows.filter((row) => row.refused).length;
  const values = {
    count: aboard.length,
    size: `\u2066${sizeText(aboard.reduce((sum, row) => sum + row.size_bytes, 0))}\u2069`,
    delivered: rows.filter((row) => row.ack).length,
    refused,
  };
  let state = said.isHere ? "nothing" : "away";
  if (said.handed) state = "handed";
  if (values.delivered) state = "delivered";
  if (aboard.length) state = "aboard";
  if (said.making && said.isHere) state = "making";
  const sentences = [text(state, values)];
  if (aboard.length && values.delivered) sentences.push(text("delivered", values));
  if (said.full) sentences.push(text("full"));
  if (refused) sentences.push(text("refused", values));
  const sentence = sentences.join(" ");
  page.dataset.state = state;
  if (line.textContent !== sentence) line.textContent = sentence;
}

function showProgress(done, total) {
  bar.hidden = done >= total;
  bar.max = total;
  bar.value = done;
}

/** What waits at the box; nothing when this is not its network. */
async function askBox() {
  try {
    const reply = await fetchWithin(ANSWER_MS, "/courier/bundles");
    const list = await reply.json();
    return reply.ok && BOX_ID.test(list.box) ? list : null;
  } catch (away) {
    return null;
  }
}

async function fetchContent(address, options, sizeBytes) {
  const reply = await fetchWithin(ANSWER_MS + MS_PER_BYTE * sizeBytes, address, options);
  return { reply, content: await reply.arrayBuffer() };
}

/** Give the box the receipts for it. What it does not take for one is none: that bundle has to be carried again. */
async function handOver(db, rows) {
  for (const row of rows.filter((one) => one.ack)) {
    const options = { method: "POST", headers: { "Content-Type": ACK_TYPE }, body: row.ack };
    const reply = await fetchWithin(2 * ANSWER_MS, "/courier/answers", options);
    if (reply.status >= 500 || reply.status === 408 || reply.status === 429) return;
    await db.delete("bundle", row.id);
    if (reply.ok) said.handed += 1;
  }
}

async function takeAboard(db, list, rows) {
  const known = rows.map((row) => row.id);
  const fresh = list.bundles.filter(([name]) => !known.includes(`${list.box}/${name}`));
  const total = fresh.reduce((sum, entry) => sum + entry[1], 0);
  let done = 0;
  for (const [name, sizeBytes] of fresh) {
    showProgress(done, total);
    const { reply, content } = await fetchContent(`/courier/bundles/${name}`, {}, sizeBytes);
    if (!reply.ok || content.byteLength !== sizeBytes) return;
    await db.put("bundle", { id: `${list.box}/${name}`, box: list.box, hub: list.hub, size_bytes: sizeBytes, content });
    done += sizeBytes;
  }
  showProgress(1, 1);
}

async function visitBox(db) {
  const list = await askBox();
  said.isHere = Boolean(list);
  if (!list) return;
  // The page comes from the cache when the phone is elsewhere, and tells the browser which hub it may send to.
  if (list.hub && list.hub !== page.dataset.hub) return window.location.reload();
  said.making = list.is_making;
  const ours = (await db.getAll("bundle")).filter((row) => row.box === list.box);
  await handOver(db, ours);
  const waiting = list.bundles.map(([name]) => `${list.box}/${name}`);
  // Another courier was faster, or the hub refused this copy: what still waits is taken again.
  const isPast = (row) => row.refused || (!row.ack && !waiting.includes(row.id));
  for (const row of ours.filter(isPast)) await db.delete("bundle", row.id);
  said.full = false;
  try {
    await takeAboard(db, list, await db.getAll("bundle"));
  } catch (error) {
    said.full = error.name === "QuotaExceededError";
    if (!said.full) throw error;
  }
}

/** Send what is aboard for this page's hub, in order; the first that does not get through ends the round. */
async function visitHub(db) {
  const hub = page.dataset.hub;
  const aboard = (await db.getAll("bundle")).filter((row) => row.content && !row.refused && row.hub === hub);
  for (const { id, content, size_bytes: sizeBytes } of aboard) {
    const options = { method: "POST", headers: { "Content-Type": BUNDLE_TYPE }, body: content, credentials: "omit" };
    const { reply, content: answer } = await fetchContent(`${hub}/api/bundles`, options, sizeBytes);
    const row = await db.get("bundle", id);
    if (!row) continue;
    const isAck = (reply.headers.get("Content-Type") || "").split(";")[0] === ACK_TYPE;
    if (reply.ok && isAck && answer.byteLength <= ACK_MAX_BYTES) {
      await db.put("bundle", Object.assign(row, { ack: answer, content: null }));
      show(await db.getAll("bundle"));
    } else if (reply.status >= 400 && reply.status < 500 && ![408, 429].includes(reply.status)) {
      await db.put("bundle", Object.assign(row, { refused: true }));
    } else throw reply;
  }
}

async function start() {
  const db = await openDB("edgebox-courier", 1, {
    upgrade: (fresh) => fresh.createObjectStore("bundle", { keyPath: "id" }),
  });
  let isBusy = false;
  let timer = 0;
  let waitMs = LOOK_MS;

  async function round() {
    if (isBusy) return;
    isBusy = true;
    clearTimeout(timer);
    const visits = [visitBox, visitHub].map((visit) => () => visit(db));
    let isQuiet = true;
    for (const visit of visits) {
      await visit().catch(() => {
        isQuiet = false;
      });
      show(await db.getAll("bundle"));
    }
    showProgress(1, 1);
    waitMs = isQuiet ? LOOK_MS : Math.min(LOOK_MAX_MS, 1.5 * waitMs);
    isBusy = false;
    timer = setTimeout(round, waitMs * (0.75 + Math.random() / 2));
  }

  const wake = () => {
    waitMs = LOOK_MS;
    if (document.visibilityState !== "hidden") round();
  };
  for (const name of ["online", "pageshow"]) window.addEventListener(name, wake);
  document.addEventListener("visibilitychange", wake);
  show(await db.getAll("bundle"));
  return round();
}

readPage();
page.hidden = false;
start().catch(() => {
  page.dataset.state = "unable";
  line.textContent = text("unable");
});
