// One question at a time, marked on the tablet, so that a quiz can be finished without the box.

import { icon, since, text } from "./page.js";
import { workOn } from "./recorder.js";
import { isRight, starsFor } from "./marking.js";

export function mountQuiz(form) {
  const key = JSON.parse(form.querySelector("script").textContent);
  const boxes = Array.from(form.querySelectorAll("[data-item]"));
  const items = boxes.map((box) => key.items.find((item) => item.id === box.dataset.item));
  const dots = form.querySelector(".dots");
  const feedback = form.querySelector(".feedback");
  const button = form.querySelector("[data-check]");
  const end = form.parentNode.querySelector("[data-end]");
  let work = null;
  let answers = {};
  let index = 0;
  let shownAt = 0;

  const isAllAnswered = () => items.every((item) => answers[item.id]);

  async function start() {
    work = workOn(form);
    form.reset();
    answers = (await work.open({ answers: {} })).answers;
    dots.innerHTML = items.map(() => '<span class="dot"></span>').join("");
    dots.hidden = form.hidden = false;
    end.hidden = true;
    show();
  }

  /** Show the first open question, or the last one when all are answered. */
  function show() {
    const open = items.findIndex((item) => !answers[item.id]);
    index = open < 0 ? items.length - 1 : open;
    shownAt = performance.now();
    boxes.forEach((box, at) => {
      box.hidden = at !== index;
      box.disabled = false;
    });
    feedback.hidden = true;
    button.textContent = text("check");
    if (open < 0) explain();
    paint();
  }

  function press() {
    if (!answers[items[index].id]) return answer();
    if (isAllAnswered()) return finish();
    show();
    return boxes[index].querySelector("legend").focus();
  }

  function response() {
    const written = boxes[index].querySelector(".answer");
    if (written) return written.value.trim();
    return Array.from(boxes[index].querySelectorAll(":checked"), (input) => input.value).sort().join(",");
  }

  async function answer() {
    const item = items[index];
    const given = { response: response() };
    if (!given.response) return;
    given.success = isRight(item, given.response);
    const result = Object.assign({ score: Number(given.success), max: 1, duration_ms: since(shownAt) }, given);
    const draft = await work.update((before) => {
      const known = (before && before.answers) || {};
      // Another tab may have answered first; an attempt has one answer to each question.
      if (known[item.id]) return { draft: before };
      const now = Object.assign({ [item.id]: given }, known);
      const progress = Object.keys(now).length / items.length;
      return { draft: { answers: now }, events: [work.event("answered", result, item.id), work.event("progressed", { progress })] };
    });
    Object.assign(answers, draft.answers);
    explain();
    paint();
  }

  /** Say whether it was right, and why; the right choice is shown in either case. */
  function explain() {
    const item = items[index];
    const { response: chosen, success } = answers[item.id];
    for (const input of boxes[index].querySelectorAll("input")) {
      if (input.type === "text") input.value = chosen;
      else input.checked = chosen.split(",").includes(input.value);
    }
    boxes[index].disabled = true;
    feedback.className = `notice feedback ${success ? "notice--go" : ""}`;
    feedback.innerHTML = `${icon(success ? "star" : "help")}<p><b></b> <span></span></p>`;
    feedback.querySelector("b").textContent = text(success ? "right" : "not_yet");
    const words = feedback.querySelector("span");
    const notes = chosen.split(",").map((id) => (item.notes || {})[id]);
    words.textContent = notes.concat(success ? item.right : item.wrong).filter(Boolean).join(" ");
    words.lang = form.dataset.language;
    feedback.hidden = false;
    button.textContent = text(isAllAnswered() ? "finish" : "next");
  }

  function paint() {
    const given = answers[items[index].id];
    for (const option of boxes[index].querySelectorAll(".option")) {
      const { checked, value } = option.querySelector("input");
      const isCorrect = given && items[index].correct.includes(value);
      const look = isCorrect || (checked && !given) ? "option--on" : checked ? "option--wrong" : "";
      option.className = `option ${look}`;
      if (isCorrect && !option.querySelector("svg")) option.insertAdjacentHTML("beforeend", icon("check"));
      else if (!given && option.querySelector("svg")) option.querySelector("svg").remove();
    }
    items.forEach((item, at) => {
      const known = answers[item.id];
      const look = known ? (known.success ? "dot--right" : "dot--wrong") : "";
      dots.children[at].className = `dot ${look} ${at === index ? "dot--now" : ""}`;
    });
  }

  async function finish() {
    const max = items.length;
    const score = items.filter((item) => answers[item.id].success).length;
    const success = score / max >= key.pass;
    await work.update((before) => {
      const result = { score, max, success, duration_ms: work.duration() };
      const events = [work.completed(), work.event(success ? "passed" : "failed", result)];
      return { draft: null, events: before ? events : [] };
    });
    celebrate(starsFor(score / max, key.pass), score, max);
  }

  function celebrate(stars, score, max) {
    Array.from(end.querySelectorAll(".icon")).forEach((star, at) => star.classList.toggle("star--on", at < stars));
    const title = end.querySelector("h2");
    title.textContent = text("score", { score, total: max });
    end.querySelector("p").textContent = text(`praise_${stars}`);
    form.hidden = true;
    end.hidden = false;
    title.focus();
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    press();
  });
  form.addEventListener("change", paint);
  end.querySelector("[data-again]").addEventListener("click", start);
  start();
}
