// Video and audio: go on where the learner stopped, note progress, and come back by itself after a drop.

import { boxTime, whenBoxIsBack } from "./page.js";
import { workOn } from "./recorder.js";
import { putState } from "./state.js";

const PROGRESS_SECONDS = 10;
const COMPLETE_AT = 0.9;

export function mountMedia(element) {
  const media = element.querySelector("video, audio");
  const work = workOn(element);
  let notedSeconds = 0;
  let isDone = false;
  let stopWaiting = null;

  async function start() {
    const draft = await work.draft();
    const saved = element.dataset;
    const isLocalNewer = (draft.saved_ms || 0) > Number(saved.positionAtMs);
    const positionMs = isLocalNewer ? draft.position_ms : Number(saved.positionMs);
    isDone = Boolean(draft.done);
    if (positionMs > 3000) seek(positionMs / 1000);
  }

  function seek(seconds) {
    const go = () => {
      // At the very end there is nothing to go on with.
      if (!(seconds > media.duration - 3)) media.currentTime = seconds;
    };
    if (media.readyState > 0) go();
    else media.addEventListener("loadedmetadata", go, { once: true });
    notedSeconds = seconds;
  }

  function note(events, extra) {
    const position = { position_ms: Math.round(media.currentTime * 1000), saved_ms: boxTime() };
    notedSeconds = media.currentTime;
    putState(element.dataset.state, { position_ms: position.position_ms });
    return work.update((draft) => ({ draft: Object.assign({}, draft, position, extra), events: events(draft || {}) }));
  }

  const progress = () => Math.min(1, media.currentTime / media.duration || 0);

  function watch() {
    if (!isDone && progress() >= COMPLETE_AT) return complete();
    if (Math.abs(media.currentTime - notedSeconds) < PROGRESS_SECONDS) return undefined;
    return note(() => (isDone ? [] : [work.event("progressed", { progress: Math.round(progress() * 100) / 100 })]));
  }

  function complete() {
    isDone = true;
    return note((draft) => (draft.done ? [] : [work.completed()]), { done: true });
  }

  function lose() {
    if (stopWaiting || !media.error) return;
    const seconds = media.currentTime || notedSeconds;
    stopWaiting = whenBoxIsBack(() => {
      stopWaiting = null;
      media.load();
      seek(seconds);
      const playing = media.play();
      if (playing) playing.catch(() => {});
    });
  }

  media.addEventListener("play", () => work.open({}));
  media.addEventListener("timeupdate", () => media.paused || watch());
  media.addEventListener("pause", () => note(() => []));
  media.addEventListener("ended", () => isDone || complete());
  media.addEventListener("error", lose);
  start();
  return () => stopWaiting && stopWaiting();
}
