// Text, pictures and documents: done when the learner says so at the end.

import { icon, text } from "./page.js";
import { workOn } from "./recorder.js";

export function mountReading(element) {
  const work = workOn(element);
  const form = document.querySelector("[data-finish]");
  work.open({});
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    await work.update((draft) => ({ draft: null, events: draft ? [work.completed()] : [] }));
    form.innerHTML = `<div class="notice notice--go feedback" role="status">${icon("star")}<p></p></div>`;
    form.querySelector("p").textContent = text("well_done");
  });
}
