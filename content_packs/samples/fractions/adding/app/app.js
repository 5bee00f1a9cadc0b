/* The water jug: pour cups until the jug holds exactly what is asked. */
(function () {
  "use strict";

  const { svg, html, fraction, button } = window.Lab;

  const text = {
    en: { title: "The water jug", cup: "Pour a cup of", back: "Take back", clear: "Empty the jug", start: "Tap a cup to pour it in.",
      right: "Splash! Exactly the right amount.",
      low: "There is not enough water yet. Pour some more.", high: "That is too much water. Take the last cup back.",
      pours: "The amount is right, but count the cups you poured." },
    ar: { title: "إبريق الماء", cup: "صُبّ كوبًا من", back: "تراجَع", clear: "أفرغ الإبريق", start: "المس كوبًا لتصبّه في الإبريق.",
      right: "رائع! هذا هو المقدار المطلوب تمامًا.",
      low: "الماء غير كافٍ بعد. صُبّ المزيد.", high: "الماء أكثر من المطلوب. تراجَع عن الكوب الأخير.",
      pours: "المقدار صحيح، لكن عُدّ الأكواب التي صببتها." },
  };

  const tasks = [
    { id: "pour-1", parts: 5, cups: [1, 2], target: 3, ask: {
      en: "Fill the jug up to {3/5}.", ar: "املأ الإبريق حتى {3/5}." } },
    { id: "pour-2", parts: 6, cups: [2, 3], target: 5, ask: {
      en: "Here are cups of {2/6} and {3/6}. Fill the jug up to {5/6}.", ar: "هنا أكواب من {2/6} و{3/6}. املأ الإبريق حتى {5/6}." } },
    { id: "pour-3", parts: 8, cups: [2, 3], target: 7, ask: {
      en: "Fill the jug up to {7/8}. You may pour a cup more than once.", ar: "املأ الإبريق حتى {7/8}. يمكنك أن تصبّ الكوب أكثر من مرة." } },
    { id: "pour-4", parts: 8, cups: [1, 4, 5], target: 6, pours: 2, ask: {
      en: "Make {6/8} with exactly two cups.", ar: "املأ {6/8} الإبريق بكوبين فقط." } },
    { id: "pour-5", parts: 7, cups: [2, 3, 4], target: 7, pours: 3, ask: {
      en: "Fill the whole jug with exactly three cups: {7/7} is one whole!",
      ar: "املأ الإبريق كله بثلاثة أكواب بالضبط: {7/7} هو واحد كامل!" } },
  ];

  function begin() {
    return { poured: [] };
  }

  function sum(cups) {
    return cups.reduce((total, cup) => total + cup, 0);
  }

  function check(task, setting) {
    const level = sum(setting.poured);
    const counted = !task.pours || setting.poured.length === task.pours;
    const response = setting.poured.map((cup) => cup + "/" + task.parts).join("+") || "0";
    if (level === task.target) return { success: counted, response, hint: "pours" };
    return { success: false, response, hint: level < task.target ? "low" : "high" };
  }

  function mark(task, number) {
    const y = 372 - 330 * number / task.parts;
    const whole = number === task.parts;
    const goal = number === task.target;
    const label = svg("text", { x: -16, y: y + 8, "font-size": goal ? 26 : 20, "font-weight": 700, "text-anchor": "end", direction: "ltr",
      "font-family": "Noto Sans, Roboto, sans-serif", fill: goal ? "#C8283A" : "#2D3047" }, [whole ? "1" : number + "/" + task.parts]);
    const line = svg("path", { d: "M0 " + y + "H" + (goal ? 70 : 40), stroke: goal ? "#E84855" : "#2D3047", "stroke-width": goal ? 7 : 5, "stroke-linecap": "round" });
    return svg("g", {}, [line, label]);
  }

  function jug(task, poured) {
    const picture = svg("svg", { viewBox: "-130 -6 500 412" });
    picture.append(svg("path", { d: "M222 96Q306 96 306 180Q306 268 222 268", fill: "none", stroke: "#2D3047", "stroke-width": 15 }));
    picture.append(svg("path", { d: "M0 4V352Q0 380 28 380H194Q222 380 222 352V4Z", fill: "#FFF8E7" }));
    let level = 0;
    poured.forEach((cup, number) => {
      level += cup;
      const height = 330 * cup / task.parts;
      picture.append(svg("rect", { x: 4, y: 372 - 330 * level / task.parts, width: 214, height: height + (number ? 0 : 4), rx: number ? 0 : 6, fill: number % 2 ? "#59BDB1" : "#1B998B" }));
    });
    for (let number = 1; number <= task.parts; number += 1) picture.append(mark(task, number));
    picture.append(svg("path", { d: "M0 4V352Q0 380 28 380H194Q222 380 222 352V4", fill: "none", stroke: "#2D3047", "stroke-width": 9, "stroke-linecap": "round" }));
    return picture;
  }

  function cupPicture(share) {
    const deep = 56 * Math.max(0.16, share);
    return svg("svg", { viewBox: "0 0 56 72" }, [
      svg("path", { d: "M6 6L12 66H44L50 6Z", fill: "#FFFFFF" }),
      svg("path", { d: "M" + (12 - 6 * deep / 60) + " " + (66 - deep) + "L12 66H44L" + (44 + 6 * deep / 60) + " " + (66 - deep) + "Z", fill: "#1B998B" }),
      svg("path", { d: "M6 6L12 66H44L50 6", fill: "none", stroke: "#2D3047", "stroke-width": 5, "stroke-linecap": "round", "stroke-linejoin": "round" })]);
  }

  function cupButton(lab, cup) {
    const task = lab.now();
    const poured = lab.setting.poured;
    const made = button("", "cup", () => lab.change({ poured: poured.concat(cup) }));
    made.setAttribute("aria-label", lab.text("cup") + " " + cup + "/" + task.parts);
    made.setAttribute("data-key", "cup" + cup);
    made.append(cupPicture(cup / task.parts), fraction(cup, task.parts));
    made.disabled = sum(poured) + cup > task.parts;
    return made;
  }

  function writeSum(lab) {
    const task = lab.now();
    const poured = lab.setting.poured;
    if (!poured.length) {
      lab.written.append(lab.text("start"));
      return;
    }
    const row = html("span", { class: "sum" });
    poured.forEach((cup, number) => {
      if (number) row.append(html("b", {}, ["+"]));
      row.append(fraction(cup, task.parts));
    });
    if (poured.length > 1) row.append(html("b", {}, ["="]), fraction(sum(poured), task.parts));
    lab.written.append(row);
  }

  function draw(lab) {
    const poured = lab.setting.poured;
    lab.stage.append(jug(lab.now(), poured));
    writeSum(lab);
    lab.now().cups.forEach((cup) => lab.controls.append(cupButton(lab, cup)));
    const back = button(lab.text("back"), "quiet", () => lab.change({ poured: poured.slice(0, -1) }));
    const clear = button(lab.text("clear"), "quiet", () => lab.change({ poured: [] }));
    back.setAttribute("data-key", "back");
    clear.setAttribute("data-key", "clear");
    back.disabled = clear.disabled = !poured.length;
    lab.controls.append(back, clear);
  }

  window.Lab.start({ text, tasks, begin, check, draw });
})();
