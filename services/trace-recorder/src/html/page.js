"use strict";
(() => {
  const fall = document.querySelector(".waterfall");
  const axis = fall.querySelector(".axis .track");
  const lines = fall.querySelector(".lines .track");
  const rows = [...fall.querySelectorAll(".row")];
  const nanos = Number(fall.dataset.nanos);
  const view = { from: 0, to: 1 };
  document.documentElement.classList.add("scripted");

  const add = (parent, name, className) => {
    const element = document.createElement(name);
    element.className = className;
    parent.append(element);
    return element;
  };

  // A duration as the page writes them: three digits.
  const duration = (ns) => {
    const digits = (number) => number.toFixed(number < 9.995 ? 2 : number < 99.95 ? 1 : 0);
    if (ns < 1e6) return `${Math.round(ns / 1e3)} µs`;
    return ns < 1e9 ? `${digits(ns / 1e6)} ms` : `${digits(ns / 1e9)} s`;
  };

  // A mark of the axis: no needless digits.
  const round = (ns) => {
    const [unit, name] = [[1e9, "s"], [1e6, "ms"], [1e3, "µs"]].find(([unit]) => ns >= unit) ?? [1, "ns"];
    return ns === 0 ? "0" : `${Number((ns / unit).toPrecision(6))} ${name}`;
  };

  // The moment under the pointer as a part of the whole, within what is shown.
  const partAt = (event) => {
    const box = axis.getBoundingClientRect();
    const into = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    return view.from + into * (view.to - view.from);
  };

  const drawAxis = () => {
    fall.querySelectorAll(".mark, .grid").forEach((mark) => mark.remove());
    const least = ((view.to - view.from) * nanos) / 8;
    const ten = 10 ** Math.floor(Math.log10(least));
    const step = [1, 2, 5, 10].map((times) => times * ten).find((size) => size >= least);
    for (let at = Math.ceil((view.from * nanos) / step) * step; at <= view.to * nanos; at += step) {
      const mark = add(axis, "i", "mark");
      for (const element of [mark, add(lines, "i", "grid")]) element.style.setProperty("--b", at / nanos);
      mark.textContent = round(at);
    }
  };

  const show = (from, to) => {
    if ((to - from) * nanos < 1000) return;
    Object.assign(view, { from, to });
    fall.style.setProperty("--from", from);
    fall.style.setProperty("--to", to);
    for (const row of rows) {
      const [begin, end] = ["--b", "--e"].map((place) => Number(row.style.getPropertyValue(place)));
      row.classList.toggle("flip", (end - from) / (to - from) > 0.85);
      row.classList.toggle("out", end < from || begin > to);
    }
    drawAxis();
  };

  // The line under the pointer.
  const cursor = add(axis, "i", "cursor");
  const told = add(cursor, "b", "");
  const card = add(document.body, "div", "card");
  cursor.hidden = card.hidden = true;

  const point = (event) => {
    const inTrack = event.clientX >= axis.getBoundingClientRect().left;
    cursor.hidden = !inTrack;
    cursor.style.setProperty("--b", partAt(event));
    cursor.style.left = "var(--x)";
    cursor.style.height = `${fall.clientHeight - 8}px`;
    told.textContent = duration(partAt(event) * nanos);
  };

  // What the row under the pointer carries.
  const describe = (event) => {
    const row = event.target.closest?.(".row");
    card.hidden = !row || row.open || Boolean(choice);
    if (card.hidden) return;
    if (card.row !== row) {
      card.row = row;
      card.replaceChildren();
      add(card, "h3", "").textContent = row.querySelector(".deed").textContent;
      card.append(...[...row.querySelector(".more").children].map((child) => child.cloneNode(true)));
    }
    const right = event.clientX + 18 + card.offsetWidth > innerWidth;
    const below = event.clientY + 18 + card.offsetHeight > innerHeight;
    card.style.left = `${right ? event.clientX - card.offsetWidth - 14 : event.clientX + 18}px`;
    card.style.top = `${Math.max(6, below ? event.clientY - card.offsetHeight - 14 : event.clientY + 18)}px`;
  };

  // Zoom by dragging over the bars.
  let choice = null;
  const choose = (event) => {
    const box = axis.getBoundingClientRect();
    const edge = fall.getBoundingClientRect().left;
    const [left, right] = [choice.x, event.clientX].sort((one, other) => one - other);
    choice.element.style.left = `${Math.max(left, box.left) - edge}px`;
    choice.element.style.width = `${Math.min(right, box.right) - Math.max(left, box.left)}px`;
  };
  fall.addEventListener("pointerdown", (event) => {
    if (event.button === 0 && event.target.closest(".track")) choice = { x: event.clientX, part: partAt(event) };
  });
  addEventListener("pointermove", (event) => {
    if (choice && !choice.element && Math.abs(event.clientX - choice.x) > 4) choice.element = add(fall, "div", "choice");
    if (choice?.element) choose(event);
  });
  addEventListener("pointerup", (event) => {
    if (choice?.element) {
      choice.element.remove();
      const [from, to] = [choice.part, partAt(event)].sort((one, other) => one - other);
      show(from, to);
      addEventListener("click", (click) => { click.preventDefault(); click.stopPropagation() }, { capture: true, once: true });
    }
    choice = null;
  });
  fall.addEventListener("dblclick", () => show(0, 1));
  fall.addEventListener("pointermove", (event) => { point(event); describe(event) });
  fall.addEventListener("pointerleave", () => { cursor.hidden = card.hidden = true });

  // Folding: a row's parts are the rows after it that stand deeper.
  const depth = (row) => Number(row.dataset.depth);
  const refold = () => {
    let hiddenBelow = Infinity;
    for (const row of rows) {
      if (depth(row) <= hiddenBelow) hiddenBelow = Infinity;
      row.hidden = depth(row) > hiddenBelow;
      if (row.classList.contains("folded")) hiddenBelow = Math.min(hiddenBelow, depth(row));
    }
  };
  fall.addEventListener("click", (event) => {
    const button = event.target.closest(".fold");
    if (!button) return;
    event.preventDefault();
    button.closest(".row").classList.toggle("folded");
    refold();
  });
})();
