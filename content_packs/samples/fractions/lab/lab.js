/* What the three experiments share: the page, the tasks, the two languages, and the talk with the page around. */
(function () {
  "use strict";

  const SVG = "http://www.w3.org/2000/svg";
  const WORDS = {
    en: { check: "Check", next: "Next task", again: "Play again", tasks: "Tasks solved", less: "less", more: "more",
      end: "You solved all the tasks! Right at the first try: {score} of {max}." },
    ar: { check: "تحقّق", next: "المهمة التالية", again: "العب مرة أخرى", tasks: "المهام المحلولة", less: "أقل", more: "أكثر",
      end: "أنجزت كل المهام! عدد المهام الصحيحة من أول محاولة: {score} من {max}." },
  };
  const STAR = "M20 3L25.3 14.2L37.5 15.8L28.5 24.2L30.8 36.4L20 30.4L9.2 36.4L11.5 24.2L2.5 15.8L14.7 14.2Z";

  function fill(node, attributes, children) {
    Object.keys(attributes || {}).forEach((key) => node.setAttribute(key, attributes[key]));
    (children || []).forEach((child) => node.append(child));
    return node;
  }

  function html(name, attributes, children) {
    return fill(document.createElement(name), attributes, children);
  }

  function svg(name, attributes, children) {
    return fill(document.createElementNS(SVG, name), attributes, children);
  }

  function empty(node) {
    while (node.firstChild) node.removeChild(node.firstChild);
    return node;
  }

  function fraction(top, bottom) {
    const label = { class: "fraction", role: "img", "aria-label": top + "/" + bottom };
    return html("span", label, [html("span", {}, [String(top)]), html("span", {}, [String(bottom)])]);
  }

  /* Puts a sentence into a node; {3/4} in it becomes a written fraction. */
  function write(node, sentence) {
    empty(node);
    sentence.split(/(\{\d+\/\d+\})/).forEach((part) => {
      const found = /^\{(\d+)\/(\d+)\}$/.exec(part);
      node.append(found ? fraction(found[1], found[2]) : part);
    });
  }

  function button(label, kind, act) {
    const made = html("button", { type: "button", class: kind }, [label]);
    made.addEventListener("click", act);
    return made;
  }

  function languageOf(name) {
    return String(name || "").slice(0, 2) === "ar" ? "ar" : "en";
  }

  function Lab(experiment) {
    this.experiment = experiment;
    this.language = languageOf(new URLSearchParams(location.search).get("lang"));
    this.task = 0;
    this.firsts = [];
    this.solved = false;
    this.setting = experiment.begin(experiment.tasks[0]);
    this.build();
    addEventListener("message", (event) => this.hear(event));
    this.show();
    this.tell({ type: "ready" });
  }

  Lab.prototype = {
    tell(message) {
      if (parent !== window) parent.postMessage(Object.assign({ edgebox: 1 }, message), "*");
    },

    hear(event) {
      const message = event.data;
      if (event.source !== parent || !message || message.edgebox !== 1 || message.type !== "start") return;
      this.language = languageOf(message.language);
      this.restore(message.state);
      this.show();
    },

    restore(state) {
      const tasks = this.experiment.tasks;
      if (!state || !Array.isArray(state.firsts) || !(state.task >= 0 && state.task <= tasks.length)) return;
      this.task = Math.floor(state.task);
      this.firsts = state.firsts.slice(0, tasks.length).map(Boolean);
      this.solved = Boolean(state.solved) && this.task < tasks.length;
      const task = tasks[Math.min(this.task, tasks.length - 1)];
      this.setting = Object.assign(this.experiment.begin(task), state.setting);
    },

    keep() {
      this.tell({ type: "state", state: {
        task: this.task, firsts: this.firsts, solved: this.solved, setting: this.setting } });
    },

    /* A sentence of the experiment or of this file in the language of the learner. */
    text(key) {
      return this.experiment.text[this.language][key] || WORDS[this.language][key];
    },

    now() {
      return this.experiment.tasks[this.task];
    },

    build() {
      const part = (name, kind, more) => html(name, Object.assign({ class: kind }, more));
      this.title = html("h1");
      this.stars = part("div", "stars", { role: "img" });
      this.bird = html("img", { src: "../../shapes/hoopoe.svg", alt: "" });
      this.ask = html("p");
      this.answer = part("p", "answer");
      this.bubble = part("div", "bubble", { "aria-live": "polite" });
      this.bubble.append(this.ask, this.answer);
      this.stage = part("div", "stage");
      this.written = part("div", "written");
      this.controls = part("div", "controls");
      this.main = button("", "main", () => this.press());
      document.body.append(
        html("header", {}, [this.title, this.stars]), html("div", { class: "speech" }, [this.bird, this.bubble]),
        this.stage, this.written, this.controls, this.main);
    },

    show() {
      document.documentElement.lang = this.language;
      document.documentElement.dir = this.language === "ar" ? "rtl" : "ltr";
      this.title.textContent = document.title = this.text("title");
      this.showStars();
      if (this.now()) {
        write(this.ask, this.now().ask[this.language]);
        this.say("", "");
        this.main.textContent = this.solved ? this.text("next") : this.text("action") || this.text("check");
        if (this.solved) this.say("right", this.text("right"));
      } else {
        this.showEnd();
      }
      this.draw();
    },

    showEnd() {
      const max = this.experiment.tasks.length;
      const score = this.firsts.filter(Boolean).length;
      write(this.ask, this.text("end").replace("{score}", score).replace("{max}", max));
      this.say("right", "");
      this.main.textContent = this.text("again");
    },

    showStars() {
      empty(this.stars);
      const done = this.task + (this.solved ? 1 : 0);
      this.stars.setAttribute("aria-label", this.text("tasks") + ": " + done + "/" + this.experiment.tasks.length);
      this.experiment.tasks.forEach((_, number) => {
        const look = { d: STAR, fill: number < done ? "#F28C28" : "#FFFFFF", stroke: "#F28C28", "stroke-width": 2.5,
          "stroke-linejoin": "round" };
        this.stars.append(svg("svg", { viewBox: "0 0 40 40" }, [svg("path", look)]));
      });
    },

    say(mood, sentence) {
      this.bubble.className = "bubble " + mood;
      this.bird.src = "../../shapes/" + (mood === "wrong" ? "hoopoe-puzzled" : "hoopoe") + ".svg";
      write(this.answer, sentence);
    },

    /* Draws the experiment again; what has the focus keeps it (by its data-key). */
    draw() {
      const focused = document.activeElement && document.activeElement.getAttribute("data-key");
      [this.stage, this.written, this.controls].forEach(empty);
      const finished = !this.now();
      this.written.hidden = this.controls.hidden = finished;
      if (finished) this.stage.append(this.applause());
      else this.experiment.draw(this);
      const again = focused && document.querySelector('[data-key="' + focused + '"]');
      if (again) again.focus();
    },

    applause() {
      const picture = svg("svg", { viewBox: "0 0 400 260" });
      this.firsts.forEach((first, number) => {
        const x = 40 + number * 66;
        const y = 100 - 40 * Math.sin((number + 0.5) / this.firsts.length * Math.PI);
        const place = { transform: "translate(" + x + " " + y + ") scale(1.5)" };
        picture.append(svg("path", Object.assign(place, { d: STAR, fill: first ? "#F28C28" : "#FFC857" })));
      });
      picture.append(svg("image", { href: "../../shapes/hoopoe.svg", x: 140, y: 128, width: 120, height: 131 }));
      return picture;
    },

    /* Called by an experiment when the learner has changed something; nothing moves once a task is solved. */
    change(setting) {
      if (this.solved || !this.now()) return;
      Object.assign(this.setting, setting);
      if (this.experiment.touched) this.experiment.touched(this.setting);
      this.say("", "");
      this.draw();
      this.keep();
    },

    press() {
      if (!this.now()) this.restart();
      else if (this.solved) this.go(this.task + 1);
      else this.check();
    },

    check() {
      const task = this.now();
      const result = this.experiment.check(task, this.setting);
      if (this.firsts.length <= this.task) this.firsts.push(result.success);
      this.solved = result.success;
      const score = result.success ? 1 : 0;
      this.tell({ type: "answered", item: task.id, success: result.success, response: result.response, score, max: 1 });
      this.say(result.success ? "right" : "wrong", this.text(result.success ? "right" : result.hint));
      if (result.success) {
        this.main.textContent = this.text("next");
        this.tell({ type: "progress", progress: (this.task + 1) / this.experiment.tasks.length });
      }
      this.showStars();
      this.draw();
      this.keep();
    },

    go(number) {
      this.task = number;
      this.solved = false;
      const max = this.experiment.tasks.length;
      if (number < max) this.setting = this.experiment.begin(this.now());
      else this.tell({ type: "completed", success: true, score: this.firsts.filter(Boolean).length, max });
      this.show();
      this.keep();
    },

    restart() {
      this.firsts = [];
      this.go(0);
    },

    /* A number with a button on each side. */
    stepper(key, label, range) {
      const value = this.setting[key];
      const step = (by, sign, word) => {
        const made = button(sign, "", () => this.change({ [key]: value + by }));
        fill(made, { "data-key": key + sign, "aria-label": label + ": " + this.text(word) });
        made.disabled = value + by < range[0] || value + by > range[1];
        return made;
      };
      return html("div", { class: "stepper", role: "group", "aria-label": label }, [
        html("span", { class: "label" }, [label]), step(-1, "−", "less"), html("output", {}, [String(value)]),
        step(1, "+", "more")]);
    },
  };

  window.Lab = { start: (experiment) => new Lab(experiment), html, svg, fraction, button, write };
})();
