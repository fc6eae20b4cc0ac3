"use strict";
(() => {
  const number = (cell) => {
    const value = cell.dataset.value;
    return value === undefined ? null : Number(value);
  };
  const order = (a, b) => {
    const [x, y] = [number(a), number(b)];
    if (x !== null && y !== null) return x - y;
    if (x !== null || y !== null) return x === null ? 1 : -1;
    return a.textContent.localeCompare(b.textContent, "en", { numeric: true });
  };
  const sort = (th) => {
    const table = th.closest("table");
    const body = table.tBodies[0];
    const up = th.getAttribute("aria-sort") !== "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    th.setAttribute("aria-sort", up ? "ascending" : "descending");
    const rows = [...body.rows].sort((a, b) => {
      const result = order(a.cells[th.cellIndex], b.cells[th.cellIndex]);
      return up ? result : -result;
    });
    body.append(...rows);
  };
  for (const button of document.querySelectorAll("th button")) {
    button.addEventListener("click", () => sort(button.parentElement));
  }

  for (const input of document.querySelectorAll("input[data-table]")) {
    const rows = [...document.getElementById(input.dataset.table).tBodies[0].rows];
    const found = input.parentElement.querySelector(".found");
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
        if (!row.hidden) shown += 1;
      }
      found.textContent = words.length ? `${shown} of ${rows.length} rows` : "";
    });
  }

  const boxes = [...document.querySelectorAll("[data-chart]")];
  if (boxes.length) {
    const { View, formatLocale, parse, expressionInterpreter } = window.latbench;
    const { charts, tables, texts, config, locale } = JSON.parse(
      document.getElementById("charts").textContent,
    );
    formatLocale(locale);
    const rows = (table) => {
      const columns = Object.entries(table);
      const length = Math.max(0, ...columns.map(([, c]) => (c.texts ?? c).length));
      return Array.from({ length }, (_, i) => Object.fromEntries(
        columns.map(([field, c]) => [field, c.texts ? texts[c.texts[i]] : c[i]]),
      ));
    };

    const tip = document.getElementById("tip");
    const hide = () => {
      tip.hidden = true;
      for (const ring of document.querySelectorAll(".ring")) ring.classList.remove("ring");
    };
    const element = (name, text) => {
      const made = document.createElement(name);
      made.textContent = text;
      return made;
    };
    const show = (mark) => {
      hide();
      const { Architecture, ...others } = mark.__data__.tooltip;
      const lines = Object.entries(others).filter(([, value]) => value !== "").map(
        ([title, value]) => element("span", title ? `${title}: ${value}` : value),
      );
      tip.replaceChildren(...(Architecture ? [element("code", Architecture)] : []), ...lines);
      mark.classList.add("ring");
      tip.hidden = false;
      const at = mark.getBoundingClientRect();
      const width = document.documentElement.clientWidth;
      tip.style.left = `${Math.max(8, Math.min(at.right + 8, width - tip.offsetWidth - 8))}px`;
      const [below, above] = [at.bottom + 10, at.top - tip.offsetHeight - 10];
      tip.style.top = `${below + tip.offsetHeight < innerHeight || above < 0 ? below : above}px`;
    };
    // What of a chart has something to say, from left to right.
    const marksOf = (box) => [...box.querySelectorAll("path, rect")]
      .filter((mark) => mark.__data__?.tooltip)
      .sort((a, b) => a.__data__.bounds.x1 - b.__data__.bounds.x1);
    // A pointer finds the nearest mark, since a finger does not hover and dots are small.
    const nearest = (marks, event) => {
      let [best, distance] = [-1, 144];
      marks.forEach((mark, i) => {
        const at = mark.getBoundingClientRect();
        const aside = event.clientX - (at.left + at.right) / 2;
        const above = event.clientY - (at.top + at.bottom) / 2;
        const isBar = mark.__data__.mark.marktype === "rect";
        const far = !isBar ? aside ** 2 + above ** 2 : Math.abs(aside) < at.width / 2 ? 0 : Infinity;
        if (far < distance) [best, distance] = [i, far];
      });
      return best;
    };
    const listen = (box) => {
      const marks = marksOf(box);
      if (!marks.length) return;
      let current = -1;
      box.setAttribute("tabindex", "0");
      box.setAttribute("aria-keyshortcuts", "ArrowLeft ArrowRight");
      const point = (event) => {
        const found = nearest(marks, event);
        if (found < 0) hide();
        else if (found !== current || tip.hidden) show(marks[found]);
        current = found;
      };
      box.addEventListener("pointermove", point);
      box.addEventListener("pointerdown", point);
      box.addEventListener("pointerleave", (event) => {
        if (event.pointerType === "mouse") hide();
      });
      box.addEventListener("blur", hide);
      box.addEventListener("keydown", (event) => {
        const move = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
        if (event.key === "Escape") hide();
        if (!move) return;
        event.preventDefault();
        current = current < 0 ? 0 : (current + move + marks.length) % marks.length;
        show(marks[current]);
      });
    };
    const drawn = new Set();
    const draw = async (box) => {
      if (drawn.has(box)) return;
      drawn.add(box);
      try {
        const chart = charts[box.dataset.chart];
        for (const data of chart.data) {
          if (tables[data.name]) data.values = rows(tables[data.name]);
        }
        const view = new View(parse(chart, config, { ast: true }), {
          expr: expressionInterpreter, renderer: "svg", hover: false, tooltip: () => {},
        });
        await view.initialize(box).runAsync();
        listen(box);
      } catch (error) { // which must not stop the other charts
        box.textContent = `This chart cannot be drawn: ${error.message}`;
      }
    };
    // Charts are drawn as they come near, and all of them for paper.
    const watch = new IntersectionObserver((entries) => {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting) continue;
        watch.unobserve(target);
        draw(target);
      }
    }, { rootMargin: "800px" });
    for (const box of boxes) watch.observe(box);
    addEventListener("scroll", hide, { passive: true });
    addEventListener("beforeprint", () => boxes.forEach(draw));
  }
  addEventListener("beforeprint", () => {
    for (const part of document.querySelectorAll("details:not(.text, .part)")) part.open = true;
  });
})();
