/* The pizza cutter: cut something into equal parts and take as many of them as a guest wants. */
(function () {
  "use strict";

  const { svg, html, fraction } = window.Lab;
  const MOST_PARTS = 12;

  const text = {
    en: { title: "The pizza cutter", parts: "Equal parts", part: "Part", plate: "On the plate:", right: "Yes! That is exactly right. Enjoy your meal!",
      cut: "Look at the bottom number: it says how many equal parts to cut.",
      take: "The parts are right. Look at the top number: it says how many parts to take." },
    ar: { title: "قطّاعة البيتزا", parts: "الأجزاء المتساوية", part: "الجزء", plate: "في الطبق:", right: "نعم! هذا صحيح تمامًا. شهيّة طيبة!",
      cut: "انظر إلى العدد الأسفل: إنه يخبرك إلى كم جزء متساوٍ تقسم.",
      take: "عدد الأجزاء صحيح. انظر إلى العدد الأعلى: إنه يخبرك كم جزءًا تأخذ." },
  };

  const tasks = [
    { id: "share-1", shape: "pizza", top: 1, bottom: 2, ask: {
      en: "Amina would like {1/2} of the pizza. Cut it into equal parts, then tap the parts for her.",
      ar: "تريد أمينة {1/2} البيتزا. قسّمها إلى أجزاء متساوية، ثم المس الأجزاء التي تعطيها لها." } },
    { id: "share-2", shape: "pizza", top: 3, bottom: 4, ask: {
      en: "Sami is very hungry. He would like {3/4} of the pizza.", ar: "سامي جائع جدًا. يريد {3/4} البيتزا." } },
    { id: "share-3", shape: "bar", top: 2, bottom: 3, ask: {
      en: "Now chocolate! Grandmother would like {2/3} of the bar.", ar: "والآن الشوكولاتة! تريد الجدة {2/3} اللوح." } },
    { id: "share-4", shape: "pizza", top: 5, bottom: 6, ask: {
      en: "Five friends want one slice each. Together that is {5/6} of the pizza.",
      ar: "خمسة أصدقاء يريد كل منهم شريحة واحدة. هذا معًا {5/6} البيتزا." } },
    { id: "share-5", shape: "bar", top: 3, bottom: 8, ask: {
      en: "The bird would like {3/8} of the chocolate bar. Careful: many small parts!",
      ar: "الطائر يريد {3/8} لوح الشوكولاتة. انتبه: أجزاء كثيرة وصغيرة!" } },
  ];

  function begin() {
    return { parts: 1, taken: [] };
  }

  /* Equal amounts are right however they are cut: 2/4 of a pizza is a half too. */
  function check(task, setting) {
    const taken = setting.taken.length;
    const success = taken * task.bottom === task.top * setting.parts;
    const hint = setting.parts === task.bottom ? "take" : "cut";
    return { success, hint, response: taken + "/" + setting.parts };
  }

  function point(radius, turn) {
    const angle = (turn - 0.25) * 2 * Math.PI;
    return [radius * Math.cos(angle), radius * Math.sin(angle)].map((value) => value.toFixed(1)).join(" ");
  }

  function wedge(radius, first, last) {
    if (last - first === 1) return "M0 " + -radius + "A" + radius + " " + radius + " 0 1 1 -0.1 " + -radius + "Z";
    const arc = "A" + radius + " " + radius + " 0 " + (last - first > 0.5 ? 1 : 0) + " 1 ";
    return "M0 0L" + point(radius, first) + arc + point(radius, last) + "Z";
  }

  function toppings(first, last) {
    const number = Math.max(1, Math.floor((last - first) * 9));
    const dots = [];
    for (let n = 0; n < number; n += 1) {
      const turn = first + (last - first) * (n + 0.5) / number;
      [[130 - 32 * (n % 2), 17, "#E84855"], [72, 8, "#1B998B"]].forEach(([distance, r, colour], second) => {
        if (second && n % 2) return;
        const [cx, cy] = point(distance, turn).split(" ");
        dots.push(svg("circle", { cx, cy, r, fill: colour }));
      });
    }
    return dots;
  }

  function pizzaPart(number, parts) {
    const [first, last] = [number / parts, (number + 1) / parts];
    return [
      svg("path", { d: wedge(195, first, last), fill: "#F28C28" }),
      svg("path", { d: wedge(170, first, last), fill: "#FFC857" }),
      ...toppings(first, last),
      svg("path", { d: wedge(195, first, last), class: "edge" }),
    ];
  }

  function barPart(number, parts) {
    const width = 500 / parts;
    const x = -250 + number * width;
    const inset = Math.min(14, width / 4);
    return [
      svg("rect", { x: x + 3, y: -75, width: width - 6, height: 150, rx: 12, fill: "#8A4B2A" }),
      svg("rect", { x: x + inset, y: -75 + inset, width: width - 2 * inset, height: 150 - 2 * inset, rx: 8, fill: "#A8633B" }),
      svg("rect", { x: x + 3, y: -75, width: width - 6, height: 150, rx: 12, class: "edge" }),
    ];
  }

  /* A part that is taken moves away from the rest and gets a tick. */
  function place(task, number, parts, taken) {
    if (task.shape === "bar") return { move: taken ? "0 -46" : "0 0", tick: [-250 + (number + 0.5) * 500 / parts, 0] };
    const turn = (number + 0.5) / parts;
    return { move: taken && parts > 1 ? point(26, turn) : "0 0", tick: parts > 1 ? point(120, turn).split(" ") : [0, 0] };
  }

  function piece(lab, number) {
    const { parts, taken } = lab.setting;
    const chosen = taken.indexOf(number) >= 0;
    const where = place(lab.now(), number, parts, chosen);
    const inside = lab.now().shape === "bar" ? barPart(number, parts) : pizzaPart(number, parts);
    if (chosen) {
      inside.push(svg("g", { transform: "translate(" + where.tick.join(" ") + ")" }, [
        svg("circle", { r: 20, fill: "#12756A", stroke: "#FFFFFF", "stroke-width": 3 }),
        svg("path", { d: "M-9 1L-3 8L10 -7", fill: "none", stroke: "#FFFFFF", "stroke-width": 5, "stroke-linecap": "round", "stroke-linejoin": "round" })]));
    }
    const made = svg("g", { transform: "translate(" + where.move + ")", tabindex: 0, role: "checkbox", "data-key": "part" + number,
      "aria-checked": chosen, "aria-label": lab.text("part") + " " + (number + 1) }, inside);
    const turn = () => lab.change({ taken: chosen ? taken.filter((one) => one !== number) : taken.concat(number) });
    made.addEventListener("click", turn);
    made.addEventListener("keydown", (event) => {
      if (event.key !== " " && event.key !== "Enter") return;
      event.preventDefault();
      turn();
    });
    return made;
  }

  function draw(lab) {
    const setting = lab.setting;
    setting.taken = setting.taken.filter((number) => number < setting.parts);
    const plate = lab.now().shape === "bar"
      ? [svg("rect", { x: -285, y: -140, width: 570, height: 240, rx: 40, fill: "#D8F0EC" })]
      : [svg("circle", { r: 232, fill: "#D8F0EC" }), svg("circle", { r: 212, fill: "#FFFFFF" })];
    const pieces = [];
    for (let number = 0; number < setting.parts; number += 1) pieces.push(piece(lab, number));
    lab.stage.append(svg("svg", { viewBox: "-300 -240 600 480" }, plate.concat(pieces)));
    lab.written.append(html("span", {}, [lab.text("plate")]), fraction(setting.taken.length, setting.parts));
    lab.controls.append(lab.stepper("parts", lab.text("parts"), [1, MOST_PARTS]));
  }

  window.Lab.start({ text, tasks, begin, check, draw });
})();
