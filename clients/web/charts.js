// Charts (Chart.js, a global of /web/chart.js) and the tables beside them. Charts take their colours from the style sheet and are drawn again when
// the colour scheme changes; what a chart shows is always in a table too.
/* global Chart */

const charts = new Map(); // canvas id -> {chart, draw}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Draw, or draw anew, the chart of one canvas; `configure` is called with the colours in force. */
export function show(id, configure) {
  const config = configure({ ink: colour("--ink"), line: colour("--line"), first: colour("--accent"), second: colour("--second"), quiet: colour("--quiet") });
  config.options = { animation: false, responsive: true, maintainAspectRatio: false, ...config.options };
  Chart.defaults.color = colour("--quiet");
  Chart.defaults.borderColor = colour("--line");
  charts.get(id)?.chart.destroy();
  charts.set(id, { chart: new Chart(document.getElementById(id), config), configure });
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const [id, { configure }] of [...charts]) show(id, configure);
});

/** A line chart's vertical mark at x, for the step where an answer settled. */
export const mark = (x, ink) => ({
  id: "mark",
  afterDatasetsDraw({ ctx, chartArea, scales }) {
    if (x === null) return;
    const at = scales.x.getPixelForValue(x);
    ctx.save();
    ctx.strokeStyle = ink;
    ctx.setLineDash([5, 4]);
    ctx.beginPath();
    ctx.moveTo(at, chartArea.top);
    ctx.lineTo(at, chartArea.bottom);
    ctx.stroke();
    ctx.restore();
  },
});

/** Ten colours that can be told apart on both grounds; beyond ten classes they repeat, with dashes. */
export const palette = (i) => ({
  borderColor: `hsl(${(i % 10) * 36 + 8} 65% ${i % 2 ? 45 : 58}%)`, borderDash: i < 10 ? [] : [4 + (i / 10 | 0), 3],
});

/** A table element: head is a list of texts, rows a list of lists of texts or nodes. */
export function table(head, rows, caption) {
  const element = document.createElement("table"), box = document.createElement("div");
  const title = element.createCaption();
  title.className = "visually-hidden";
  title.textContent = caption;
  const top = element.createTHead().insertRow();
  for (const text of head) {
    const th = document.createElement("th");
    th.scope = "col";
    th.textContent = text;
    top.append(th);
  }
  const body = element.createTBody();
  for (const row of rows) {
    const tr = body.insertRow();
    for (const value of row) tr.insertCell().append(value);
  }
  box.className = "scroll";
  box.tabIndex = 0;
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", caption);
  box.append(element);
  return box;
}

const integers = new Intl.NumberFormat("en");
export const whole = (n) => integers.format(Math.round(n));
export const percent = (p) => (p >= 0.9995 && p < 1 ? "> 99.9 %" : `${(100 * p).toFixed(1)} %`);
export const millis = (ms) => ms.toFixed(ms < 10 ? 2 : 1);
export const energy = (nj) => (nj >= 1e6 ? `${(nj / 1e6).toFixed(2)} mJ` : `${(nj / 1e3).toFixed(2)} µJ`);
