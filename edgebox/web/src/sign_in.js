// Secret pictures and secret numbers: the same forms as without script, with less waiting and bigger keys.

import { sendForm } from "./navigation.js";

export function mountPictures(form) {
  const slots = Array.from(form.querySelectorAll(".slot"));
  const picked = [];
  const clear = () => {
    picked.length = 0;
    for (const slot of slots) {
      slot.className = "slot";
      slot.innerHTML = "";
    }
  };
  clear();
  form.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    event.preventDefault();
    if (button.name === "again") clear();
    else if (picked.length < slots.length) {
      const slot = slots[picked.push(button.value) - 1];
      slot.className = "slot slot--full";
      slot.innerHTML = button.innerHTML;
      form.elements.picked.value = picked;
      if (picked.length === slots.length) sendForm(form);
    }
  });
}

export function mountPin(form) {
  const input = form.elements.pin;
  form.querySelector(".keypad").hidden = false;
  form.querySelector("[data-plain]").hidden = true;
  // The page brings its own keys, so the tablet's keyboard stays away; typing on a real one still works.
  input.inputMode = "none";
  form.addEventListener("click", (event) => {
    const key = event.target.closest("[data-digit]");
    if (!key) return;
    const { digit } = key.dataset;
    input.value = digit ? input.value + digit : input.value.slice(0, -1);
  });
}
