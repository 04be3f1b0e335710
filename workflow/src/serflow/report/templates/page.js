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

// Options of a chart of a width, in CSS pixels, with long names in lines, so that none of them is cut.
function specOf(plot, width) {
  const spec = JSON.parse(plot.parentElement.querySelector("script").textContent);
  const names = Math.min(320, 0.42 * width); // on a phone, long names must leave room for the chart
  for (const layer of [spec, ...(spec.layer ?? [])]) {
    const y = layer.encoding?.y;
    if (y?.field !== "name") continue;
    const lines = y.scale.domain.map((name) => [name, linesOf(name, Math.floor(names / 6.8))]);
    const most = Math.max(...lines.map(([, parts]) => parts.length));
    y.axis = { ...y.axis, labelLimit: 0, labelExpr: `${JSON.stringify(Object.fromEntries(lines))}[datum.label]` };
    spec.height.step = Math.max(spec.height.step, 15 * most + 6);
  }
  return [spec, names];
}

function linesOf(name, most) {
  const lines = [""];
  for (const word of name.split(" ").flatMap((word) => word.match(new RegExp(`.{1,${most}}`, "gu")) ?? [])) {
    const longer = `${lines.at(-1)} ${word}`.trim();
    if (longer.length > most && lines.at(-1)) lines.push(word);
    else lines[lines.length - 1] = longer;
  }
  return lines;
}

function embed(place, plot, width, colours, changes = {}) {
  const [spec, names] = specOf(plot, width);
  const theme = themes[colours];
  return vegaEmbed(place, { ...spec, ...changes }, {
    mode: "vega-lite",
    renderer: "svg",
    ast: true, // the Content-Security-Policy allows interpreted expressions only
    config: {
      ...theme,
      axis: { ...theme.axis, labelLimit: names, maxExtent: names + 20 },
      legend: { ...theme.legend, columns: Math.max(1, Math.floor((width - names) / 170)) },
    },
    actions: false,
    tooltip: { theme: colours },
  });
}

async function draw(plot) {
  drawing += 1;
  delete root.dataset.ready;
  plot.classList.add("drawn");
  seen.unobserve(plot);
  plot.view?.finalize();
  const { view } = await embed(plot, plot, plot.clientWidth, scheme());
  plot.view = view;
  plot.append(menuOf(plot));
  plot.removeAttribute("aria-busy");
  drawing -= 1;
  markReady();
}

// ---- Saving: charts in light colours on white, tables as CSV ----
function menuOf(plot) {
  const menu = document.createElement("details");
  menu.className = "save";
  menu.innerHTML = '<summary aria-label="Save this chart">⋯</summary><div></div>';
  for (const kind of ["png", "svg"]) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = `Save as ${kind.toUpperCase()}`;
    button.addEventListener("click", () => saveChart(plot, kind));
    menu.lastElementChild.append(button);
  }
  return menu;
}

async function saveChart(plot, kind) {
  const width = plot.clientWidth;
  const { view } = await embed(document.createElement("div"), plot, width, "light", { width, background: "white" });
  save(await view.toImageURL(kind, 3), specOf(plot, width)[0].description.split(/[:.,]/)[0], kind);
  view.finalize();
}

function save(address, name, kind) {
  const link = document.createElement("a");
  link.href = address;
  link.download = `${name.toLowerCase().replaceAll(/[^\p{L}\p{N}]+/gu, "-")}.${kind}`;
  link.click();
}

function saveTable(table) {
  const rows = [...table.rows].map((row) => [...row.cells].map((cell) => inCsv(cell.textContent.trim())).join(","));
  const content = new Blob([`\ufeff${rows.join("\r\n")}\r\n`], { type: "text/csv" });
  save(URL.createObjectURL(content), table.caption.firstChild.textContent, "csv");
}

// A text that a spreadsheet program would run as a formula has a quote before it, as in the tables of serflow.
function inCsv(text) {
  const safe = /^[=+\-@\t\r]/.test(text) && Number.isNaN(numberOf(text)) ? `'${text}` : text;
  return `"${safe.replaceAll(/\s+/g, " ").replaceAll('"', '""')}"`;
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
const NUMBER = /^[+−-]?[\d,]*\.?\d+(e[+-]?\d+)?(?= ?%?$| \[| ±| \+)/;
const MISSING = new Set(["", "–"]);
const LOWER_IS_BETTER = /\bECE\b|Brier|AURC|Jensen|loss|McNemar|entropy|by chance/; // the best come first

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
    const best = column && !head.classList.contains("text") && !LOWER_IS_BETTER.test(head.textContent);
    const control = document.createElement("button");
    control.type = "button";
    control.append(...head.childNodes);
    head.append(control);
    control.addEventListener("click", () => {
      const descending = head.ariaSort ? head.ariaSort === "ascending" : Boolean(best);
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.ariaSort = descending ? "descending" : "ascending";
      sort(table, column, descending);
    });
  });
  heads[0].classList.add("text");
  const control = document.createElement("button");
  control.type = "button";
  control.textContent = "CSV";
  control.setAttribute("aria-label", `Save as CSV: ${table.caption.textContent}`);
  control.addEventListener("click", () => saveTable(table));
  table.caption.append(" ", control);
}

// ---- Menus and help close with Esc, or a click beside them; print shows all runs ----
const MENUS = "details.help[open], details.save[open]";

addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  document.querySelectorAll(MENUS).forEach((menu) => {
    menu.open = false;
    menu.querySelector("summary").focus();
  });
});
addEventListener("click", (event) => {
  document.querySelectorAll(MENUS).forEach((menu) => {
    if (!menu.contains(event.target)) menu.open = false;
  });
});

const opened = [];

function openForPrint() {
  for (const run of document.querySelectorAll("details.run:not([open])")) {
    run.open = true;
    opened.push(run);
  }
  return drawAll();
}

const printer = document.getElementById("print");
printer.hidden = false;
printer.addEventListener("click", () => openForPrint().then(() => print()));
addEventListener("beforeprint", openForPrint); // of the browser's own menu, which does not wait for charts
addEventListener("afterprint", () => {
  while (opened.length) opened.pop().open = false;
});

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
