/* The fraction balance: load the right pan, guess, and weigh. */
(function () {
  "use strict";

  const { svg } = window.Lab;
  const WHOLE = 168; // how wide one whole is drawn
  const MOST_PARTS = 12;

  const text = {
    en: { title: "The fraction balance", action: "Weigh!", count: "How many parts", size: "Parts of one whole",
      right: "Well weighed! That is what we wanted.",
      light: "The right pan is too light. Try more parts, or bigger parts.",
      heavy: "The right pan is too heavy. Try fewer parts, or smaller parts.",
      level: "The balance is level: both sides are equal. We wanted something else!",
      same: "It is level, but these are quarters again. Choose parts of another size." },
    ar: { title: "ميزان الكسور", action: "زِنْ!", count: "كم جزءًا نضع", size: "أجزاء الواحد الكامل",
      right: "وزنٌ ممتاز! هذا ما أردناه.",
      light: "الكفة اليمنى أخفّ مما نريد. جرّب أجزاء أكثر أو أجزاء أكبر.",
      heavy: "الكفة اليمنى أثقل مما نريد. جرّب أجزاء أقل أو أجزاء أصغر.",
      level: "الميزان متوازن: الجانبان متساويان. نحن نريد شيئًا آخر!",
      same: "الميزان متوازن، لكنها أرباع مرة أخرى. اختر أجزاء بحجم آخر." },
  };

  const tasks = [
    { id: "weigh-1", left: [1, 2], right: [1, 4], free: ["count"], goal: 0, ask: {
      en: "On the left is {1/2}. Put as many quarters on the right as you need to make it level.",
      ar: "في الكفة اليسرى {1/2}. ضع في اليمنى عدد الأرباع الذي يجعل الميزان متوازنًا." } },
    { id: "weigh-2", left: [1, 3], right: [1, 6], free: ["count"], goal: 0, ask: {
      en: "On the left is {1/3}. How many sixths make it level?", ar: "في الكفة اليسرى {1/3}. كم سُدسًا يجعل الميزان متوازنًا؟" } },
    { id: "weigh-3", left: [3, 5], right: [1, 5], free: ["count"], goal: 1, ask: {
      en: "On the left is {3/5}. Make the right side heavier.", ar: "في الكفة اليسرى {3/5}. اجعل الكفة اليمنى أثقل." } },
    { id: "weigh-4", left: [2, 3], right: [2, 3], free: ["size"], goal: -1, ask: {
      en: "On the left is {2/3}. You have 2 parts too. Choose their size so that the right side is lighter.",
      ar: "في الكفة اليسرى {2/3}. ولديك أنت أيضًا جزءان. اختر حجمهما بحيث تكون الكفة اليمنى أخفّ." } },
    { id: "weigh-5", left: [3, 4], right: [1, 2], free: ["count", "size"], goal: 0, other: 4, ask: {
      en: "On the left is {3/4}. Make it level, but without using quarters!",
      ar: "في الكفة اليسرى {3/4}. اجعل الميزان متوازنًا، لكن من دون أرباع!" } },
  ];

  let shownTilt = 0;

  function begin(task) {
    shownTilt = 0;
    return { count: task.right[0], size: task.right[1], weighed: false };
  }

  /* Below 0: the right side is lighter; above 0: heavier. */
  function difference(task, setting) {
    return setting.count * task.left[1] - task.left[0] * setting.size;
  }

  function check(task, setting) {
    setting.weighed = true;
    const side = Math.sign(difference(task, setting));
    const success = side === task.goal && setting.size !== task.other;
    const response = setting.count + "/" + setting.size;
    if (side === task.goal) return { success, response, hint: "same" };
    if (side === 0) return { success, response, hint: "level" };
    return { success, response, hint: side < 0 ? "light" : "heavy" };
  }

  function written(top, bottom) {
    const look = { "font-size": 30, "font-weight": 700, "text-anchor": "middle", "font-family": "Noto Sans, Roboto, sans-serif" };
    const number = (value, y, fill) => svg("text", Object.assign({ y, fill }, look), [String(value)]);
    return [number(top, -8, "#C8283A"), svg("path", { d: "M-17 0H17", stroke: "#2D3047", "stroke-width": 3.5, "stroke-linecap": "round" }), number(bottom, 28, "#12756A")];
  }

  function load(count, size, colour) {
    const width = WHOLE / size;
    const blocks = [];
    for (let number = 0; number < count; number += 1) {
      blocks.push(svg("rect", { x: (number - count / 2) * width + 1, y: -44, width: width - 2, height: 42, rx: Math.min(9, width / 3), fill: colour, stroke: "#2D3047", "stroke-width": 2 }));
    }
    return blocks.concat(svg("g", { transform: "translate(0 -84)" }, written(count, size)));
  }

  function pan(blocks) {
    return svg("g", {}, [
      svg("path", { d: "M0 0L-96 168M0 0L96 168", stroke: "#2D3047", "stroke-width": 3 }),
      svg("g", { transform: "translate(0 168)" }, blocks),
      svg("path", { d: "M-108 168H108Q96 202 0 202Q-96 202 -108 168Z", fill: "#1B998B" })]);
  }

  /* The beam is held by a pin until the learner weighs. */
  function middle(task, setting) {
    const sign = ["<", "=", ">"][1 - Math.sign(difference(task, setting))];
    const mark = setting.weighed ? sign : "?";
    const text = svg("text", { y: 24, "font-size": 66, "font-weight": 700, "text-anchor": "middle", direction: "ltr", fill: setting.weighed ? "#C8283A" : "#F28C28" }, [mark]);
    return svg("g", { transform: "translate(0 -342)" }, [text]);
  }

  function pin() {
    return svg("g", {}, [svg("rect", { x: -13, y: -262, width: 26, height: 52, rx: 10, fill: "#E84855" }), svg("circle", { cy: -236, r: 6, fill: "#FFFFFF" })]);
  }

  function poise(parts, tilt) {
    const drop = 190 * Math.sin(tilt * Math.PI / 180);
    const reach = 190 * Math.cos(tilt * Math.PI / 180);
    parts.beam.setAttribute("transform", "translate(0 -236) rotate(" + tilt + ")");
    parts.left.setAttribute("transform", "translate(" + -reach + " " + (-236 - drop) + ")");
    parts.right.setAttribute("transform", "translate(" + reach + " " + (-236 + drop) + ")");
  }

  function swing(parts, from, to) {
    const began = performance.now();
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const step = (time) => {
      if (!parts.beam.isConnected) return;
      const gone = calm ? 1 : Math.min(1, (time - began) / 1400);
      const rest = (1 - gone) * (1 - gone);
      poise(parts, to + (from - to) * rest * Math.cos(gone * 11));
      if (gone < 1) requestAnimationFrame(step);
    };
    poise(parts, from);
    if (from !== to) requestAnimationFrame(step);
  }

  function tiltOf(task, setting) {
    if (!setting.weighed) return 0;
    const weight = setting.count / setting.size - task.left[0] / task.left[1];
    return Math.sign(weight) * Math.min(13, 4 + Math.abs(weight) * 20);
  }

  function draw(lab) {
    const task = lab.now();
    const setting = lab.setting;
    setting.count = Math.min(setting.count, setting.size);
    const beam = svg("g", {}, [
      svg("rect", { x: -198, y: -8, width: 396, height: 16, rx: 8, fill: "#F28C28" }), svg("circle", { r: 17, fill: "#FFC857" })]);
    const parts = { beam, left: pan(load(task.left[0], task.left[1], "#E84855")), right: pan(load(setting.count, setting.size, "#FFC857")) };
    const foot = svg("path", { d: "M-74 34H74Q66 6 10 2V-236H-10V2Q-66 6 -74 34Z", fill: "#2D3047" });
    const picture = svg("svg", { viewBox: "-310 -400 620 450" }, [foot, beam, parts.left, parts.right, middle(task, setting)]);
    if (!setting.weighed) picture.append(pin());
    lab.stage.append(picture);
    const tilt = tiltOf(task, setting);
    swing(parts, shownTilt, tilt);
    shownTilt = tilt;
    offer(lab, task);
  }

  function offer(lab, task) {
    const { count } = lab.setting;
    const smallest = task.free.length === 1 ? count : 2;
    task.free.forEach((key) => {
      const range = key === "count" ? [1, lab.setting.size] : [smallest, MOST_PARTS];
      lab.controls.append(lab.stepper(key, lab.text(key), range));
    });
  }

  /* A new load is held by the pin until it is weighed. */
  function touched(setting) {
    setting.weighed = false;
  }

  window.Lab.start({ text, tasks, begin, check, draw, touched });
})();
