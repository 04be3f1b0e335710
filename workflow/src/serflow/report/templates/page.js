"use strict";

// ---- Colour scheme: that of the system, until the reader chooses one ----
const root = document.documentElement;
const themes = JSON.parse(document.getElementById("themes").textContent);
const system = matchMedia("(prefers-color-scheme: dark)");
const button = document.getElementById("scheme");
const KEY = "serflow scheme";

// A page that is opened from a file may have no storage.
function stored(value) {
  try {
    if (value === undefined) return localStorage.getItem(KEY);
    localStorage.setItem(KEY, value);
  } catch {
    return null;
  }
}

function scheme() {
  return root.dataset.scheme || (system.matches ? "dark" : "light");
}

function follow() {
  button.textContent = scheme() === "dark" ? "Light colours" : "Dark colours";
  document.querySelectorAll(".plot.drawn").forEach(draw);
}

// ---- Charts: each is drawn when it comes into view ----
// data-ready on the root element: the page works, and no chart is being drawn that would move what is below it.
let drawing = 0;

async function draw(plot) {
  drawing += 1;
  delete root.dataset.ready;
  const spec = JSON.parse(plot.parentElement.querySelector("script").textContent);
  const theme = themes[scheme()];
  const names = Math.min(320, 0.42 * plot.clientWidth); // on a phone, long names must leave room for the chart
  plot.classList.add("drawn");
  seen.unobserve(plot);
  plot.view?.finalize();
  const { view } = await vegaEmbed(plot, spec, {
    mode: "vega-lite",
    renderer: "svg",
    ast: true, // the Content-Security-Policy allows interpreted expressions only
    config: {
      ...theme,
      axis: { ...theme.axis, labelLimit: names, maxExtent: names + 20 },
      legend: { ...theme.legend, columns: Math.max(1, Math.floor((plot.clientWidth - names) / 170)) },
    },
    actions: { export: true, source: false, compiled: false, editor: false },
    tooltip: { theme: scheme() },
    downloadFileName: spec.description.split(/[:.,]/)[0].toLowerCase().replaceAll(" ", "-"),
  });
  plot.view = view;
  plot.removeAttribute("aria-busy");
  plot.querySelector("summary")?.setAttribute("aria-label", "Save this chart");
  drawing -= 1;
  markReady();
}

function markReady() {
  if (!drawing) root.dataset.ready = "";
}

function drawAll() {
  const waiting = [...document.querySelectorAll(".plot:not(.drawn)")].filter((plot) => plot.checkVisibility());
  return Promise.all(waiting.map(draw));
}

const seen = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (isIntersecting && !target.classList.contains("drawn")) draw(target);
    }
    markReady();
  },
  { rootMargin: "400px" },
);

// ---- Sortable tables ----
const NUMBER = /^[+−-]?[\d,]*\.?\d+(e[+-]?\d+)?(?= ?%?$| \[| ±)/;
const MISSING = new Set(["", "–"]);

function textOf(row, column) {
  return row.cells[column].textContent.trim();
}

function numberOf(text) {
  const found = NUMBER.exec(text);
  return found ? Number(found[0].replaceAll(",", "").replace("−", "-")) : NaN;
}

function sort(table, column, descending) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const known = rows.filter((row) => !MISSING.has(textOf(row, column)));
  const numeric = known.every((row) => !Number.isNaN(numberOf(textOf(row, column))));
  known.sort((a, b) => {
    const [x, y] = [textOf(a, column), textOf(b, column)];
    const order = numeric ? numberOf(x) - numberOf(y) : x.localeCompare(y, undefined, { numeric: true });
    return descending ? -order : order;
  });
  body.append(...known, ...rows.filter((row) => !known.includes(row))); // rows without a value stay below
}

function makeSortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const texts = [...table.tBodies[0].rows].map((row) => textOf(row, column)).filter((text) => !MISSING.has(text));
    if (column && texts.some((text) => Number.isNaN(numberOf(text)) && !/^\[/.test(text))) {
      for (const row of table.rows) row.cells[column].classList.add("text");
    }
    const control = document.createElement("button");
    control.type = "button";
    control.append(...head.childNodes);
    head.append(control);
    control.addEventListener("click", () => {
      const descending = head.ariaSort === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.ariaSort = descending ? "descending" : "ascending";
      sort(table, column, descending);
    });
  });
  heads[0].classList.add("text");
}

root.dataset.scheme = stored() ?? "";
button.hidden = false;
button.addEventListener("click", () => {
  root.dataset.scheme = scheme() === "dark" ? "light" : "dark";
  stored(root.dataset.scheme);
  follow();
});
system.addEventListener("change", follow);
follow();
document.querySelectorAll("table.sortable").forEach(makeSortable);
document.querySelectorAll(".plot").forEach((plot) => seen.observe(plot));
addEventListener("beforeprint", drawAll);
