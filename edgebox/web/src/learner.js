// Brings a learner page to life. Everything on it also works as plain links and forms.

import { mountApp } from "./app.js";
import { mountMedia } from "./media.js";
import { guardNavigation } from "./navigation.js";
import { readPage } from "./page.js";
import { mountQuiz } from "./quiz.js";
import { mountReading } from "./reading.js";
import { showState, startRecorder } from "./recorder.js";
import { mountPictures, mountPin } from "./sign_in.js";

const islands = { quiz: mountQuiz, media: mountMedia, reading: mountReading, app: mountApp, pictures: mountPictures, pin: mountPin };
let leave = [];

function mountAll() {
  leave.forEach((stop) => stop && stop());
  leave = Array.from(document.querySelectorAll("[data-island]"), (element) => islands[element.dataset.island](element));
  showState();
}

readPage();
startRecorder().then(() => {
  mountAll();
  guardNavigation(mountAll);
});
