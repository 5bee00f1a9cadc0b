// Links stay on the page until the next one is here. Plain HTTP has no service worker, so a tap during a drop would
// otherwise end on the browser's error page and take a half-done lesson with it.

import { fetchWithin, icon, isBoxThere, readPage, text, whenBoxIsBack } from "./page.js";

const PAGE_TIMEOUT_MS = 12000;
const PAGE_PARTS = [".bar", "#main", "#strings"];

let stopRetry = null;

function closeRetry() {
  if (stopRetry) stopRetry();
  stopRetry = null;
  const shown = document.querySelector(".retry");
  if (shown) shown.remove();
}

/** Say that the box is away and that nothing is lost; go on by itself when it is back. */
function offerRetry(goOn) {
  closeRetry();
  const panel = document.createElement("div");
  panel.className = "retry";
  panel.setAttribute("role", "alert");
  panel.innerHTML = `${icon("retry")}<p></p><button class="button button--quiet button--small"></button>`;
  panel.querySelector("p").textContent = text("box_away");
  const stay = panel.querySelector("button");
  stay.textContent = text("stay_here");
  stay.addEventListener("click", closeRetry);
  document.body.appendChild(panel);
  stopRetry = whenBoxIsBack(() => {
    closeRetry();
    goOn();
  });
}

function assets(page) {
  return Array.from(page.querySelectorAll("link[rel=stylesheet], head script"), (tag) => tag.href || tag.src).join(" ");
}

function swap(page) {
  document.documentElement.lang = page.documentElement.lang;
  document.title = page.title;
  for (const name of Object.keys(document.body.dataset)) delete document.body.dataset[name];
  Object.assign(document.body.dataset, page.body.dataset);
  for (const part of PAGE_PARTS) document.querySelector(part).replaceWith(page.querySelector(part));
  readPage();
}

async function open(url, isBack, mountAll) {
  try {
    const reply = await fetchWithin(PAGE_TIMEOUT_MS, url, { headers: { Accept: "text/html" } });
    const page = new DOMParser().parseFromString(await reply.text(), "text/html");
    // A page of another build, direction or audience needs its own files; what is no page at all is the browser's matter.
    if (assets(page) !== assets(document)) return window.location.assign(url);
    if (!isBack) history.pushState(null, "", reply.url);
    swap(page);
    mountAll();
    window.scrollTo(0, 0);
    const title = document.querySelector("#main h1");
    return title && title.focus({ preventScroll: true });
  } catch (away) {
    return offerRetry(() => open(url, isBack, mountAll));
  }
}

function isOurs(link) {
  const sameOrigin = link.origin === window.location.origin;
  return sameOrigin && !link.hasAttribute("download") && !link.target && !/^\/(staff|static)/.test(link.pathname);
}

/** Guard all links and forms of the page. `mountAll` brings a swapped page to life. */
export function guardNavigation(mountAll) {
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href]");
    const isPlain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
    if (!link || !isPlain || event.defaultPrevented || !isOurs(link)) return;
    if (link.hash && link.pathname === window.location.pathname) return;
    event.preventDefault();
    open(link.href, false, mountAll);
  });
  window.addEventListener("popstate", () => open(window.location.href, true, mountAll));
  document.addEventListener("submit", (event) => {
    if (event.defaultPrevented) return;
    event.preventDefault();
    sendForm(event.target, event.submitter || document.activeElement);
  });
}

/** Send a form once the box is there. What script sends leaves out the button that was pressed, so it becomes a field. */
export function sendForm(form, pressed) {
  const send = () => {
    if (pressed && pressed.name) form.appendChild(Object.assign(document.createElement("input"), { type: "hidden", name: pressed.name, value: pressed.value }));
    HTMLFormElement.prototype.submit.call(form);
  };
  isBoxThere().then((isThere) => (isThere ? send() : offerRetry(send)));
}
