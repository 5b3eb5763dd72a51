// The compare view: the same picture under several values of one option, one request each, in a table and a chart.
import { classify } from "./api.js";
import { energy, millis, percent, show, table, whole } from "./charts.js";

const at = (id) => document.getElementById(id);

/** What can be compared for a model: time steps, and each choice with more than one value. */
export function offer(model) {
  const choices = Object.entries(model.variants).filter(([, values]) => values.length > 1).map(([name]) => name);
  at("compare-by").replaceChildren(...["timesteps", ...choices].map((name) => new Option(name === "timesteps" ? "time steps T" : name, name)));
}

/** What was compared is of another picture or model now. */
export function forget() {
  at("table-compare").replaceChildren();
  at("card-compare").hidden = at("compare-progress").hidden = true;
}

const variantsOf = (model, by) =>
  by === "timesteps" ? [1, 2, 4, 8, 16, 32, 64, 128].filter((t) => t <= model.limits.timesteps) : model.variants[by];

function draw(by, rows) {
  at("card-compare").hidden = false;
  at("compare-caption").textContent = `Probability of the float network's class, and spikes, by ${by === "timesteps" ? "time steps T" : by}`;
  const good = rows.filter((r) => r.answer);
  show("chart-compare", (c) => ({
    type: by === "timesteps" ? "line" : "bar",
    data: { labels: good.map((r) => r.variant), datasets: [
      { label: "probability", data: good.map((r) => r.agreed), backgroundColor: c.first, borderColor: c.first, yAxisID: "y" },
      { label: "spikes", data: good.map((r) => r.answer.results[0].spikes.total), backgroundColor: c.second, borderColor: c.second, yAxisID: "spikes" },
    ] },
    options: { scales: {
      x: { title: { display: true, text: by === "timesteps" ? "T" : by } }, y: { min: 0, max: 1, title: { display: true, text: "probability" } },
      spikes: { position: "right", min: 0, grid: { drawOnChartArea: false }, title: { display: true, text: "spikes" } },
    } },
  }));
}

function rowOf({ variant, answer, problem }) {
  if (!answer) return [variant, problem, "", "", "", "", ""];
  const result = answer.results[0], best = result.class, float = result.reference.class;
  return [variant, best.label ?? String(best.index), percent(best.probability), best.index === float.index ? "yes" : "no",
    whole(result.spikes.total), energy(result.energy.snn_nj), millis(answer.latency_ms.simulate)];
}

/** Run every variant in turn; rows appear as they are answered. */
export async function compare(model, png, options, signal) {
  const by = at("compare-by").value, variants = variantsOf(model, by), rows = [], progress = at("compare-progress");
  progress.hidden = false;
  progress.max = variants.length;
  for (const variant of variants) {
    progress.value = rows.length;
    const row = { variant: String(variant) };
    try {
      row.answer = await classify(model.name, png, { ...options, [by]: variant, reference: true }, signal);
      const { reference, scores } = row.answer.results[0], best = Math.max(...scores), sum = scores.reduce((a, s) => a + Math.exp(s - best), 0);
      row.agreed = Math.exp(scores[reference.class.index] - best) / sum;
    } catch (error) {
      if (error.name === "AbortError") return; // a newer comparison has the view
      row.problem = error.message;
    }
    rows.push(row);
    at("table-compare").replaceChildren(table([by === "timesteps" ? "T" : by, "class", "probability", "as float", "spikes", "energy", "simulate ms"],
      rows.map(rowOf), "Comparison"));
  }
  progress.hidden = true;
  if (rows.some((r) => r.answer)) draw(by, rows);
}
