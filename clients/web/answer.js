// One answer of the daemon on screen: verdict, preview, classes, scores over time, layers, cost, latency.
import { energy, mark, millis, palette, percent, show, table, whole } from "./charts.js";

const at = (id) => document.getElementById(id);
const name = (c) => c.label ?? `class ${c.index}`;

function softmax(scores) {
  const top = Math.max(...scores), powers = scores.map((s) => Math.exp(s - top)), sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((p) => p / sum);
}

function reveal(id, when) {
  at(id).hidden = !when;
  return when;
}

function showClasses(result, labels) {
  const spiking = softmax(result.scores), float = result.reference ? softmax(result.reference.scores) : null;
  const order = spiking.map((_, i) => i).sort((a, b) => spiking[b] - spiking[a]).slice(0, 10);
  const text = order.map((i) => labels?.[i] ?? String(i));
  show("chart-classes", (c) => ({
    type: "bar",
    data: { labels: text, datasets: [
      { label: "spiking", data: order.map((i) => spiking[i]), backgroundColor: c.first },
      ...(float ? [{ label: "float", data: order.map((i) => float[i]), backgroundColor: c.second }] : []),
    ] },
    options: { indexAxis: "y", scales: { x: { min: 0, max: 1, ticks: { format: { style: "percent" } } }, y: { ticks: { autoSkip: false } } } },
  }));
  at("table-classes").replaceChildren(table(["class", "score", "spiking", ...(float ? ["float score", "float"] : [])],
    order.map((i, k) => [text[k], result.scores[i].toFixed(3), percent(spiking[i]),
      ...(float ? [result.reference.scores[i].toFixed(3), percent(float[i])] : [])]), "Class probabilities"));
}

/** The first step from which the prediction stays what it is at the end. */
export function settledAt(predictions) {
  let t = predictions.length;
  while (t > 1 && predictions[t - 2] === predictions[predictions.length - 1]) t--;
  return t;
}

function showSteps(result, labels) {
  const steps = result.steps;
  if (!reveal("card-steps", Boolean(steps?.length))) return;
  const settled = settledAt(steps.map((s) => s.class.index));
  const order = result.scores.map((_, i) => i).sort((a, b) => result.scores[b] - result.scores[a]).slice(0, 10);
  at("settled").textContent = `; the answer is "${labels?.[order[0]] ?? order[0]}" from step ${settled} on (dashed line)`;
  show("chart-steps", (c) => ({
    type: "line",
    data: { labels: steps.map((s) => s.timestep), datasets: order.map((i, k) => ({
      label: labels?.[i] ?? String(i), data: steps.map((s) => s.scores[i]), pointRadius: steps.length > 40 ? 0 : 2, borderWidth: k ? 1.5 : 3,
      backgroundColor: palette(i).borderColor, ...palette(i) })) },
    options: { interaction: { mode: "index", intersect: false }, scales: { x: { title: { display: true, text: "step t" } }, y: { title: { display: true, text: "score" } } } },
    plugins: [mark(settled - 1, c.ink)],
  }));
}

function showLayers(result) {
  const layers = result.spikes.layers;
  if (!reveal("card-layers", Boolean(layers?.length))) return;
  const most = Math.max(...layers.map((l) => l.rate), 1e-9);
  at("most").textContent = `(full colour: ${most.toFixed(3)})`;
  at("layers").replaceChildren(...layers.map((layer) => {
    const cell = document.createElement("div"), heat = document.createElement("div"), text = document.createElement("div");
    cell.className = "cell";
    heat.className = "heat";
    heat.style.background = `rgba(var(--heat), ${(0.06 + 0.94 * layer.rate / most).toFixed(3)})`;
    const first = layer.first_spike_step;
    text.append(layer.name, document.createElement("br"), layer.rate.toFixed(3), document.createElement("br"), `${whole(layer.spikes)} spikes`);
    if (typeof first === "number") text.append(document.createElement("br"), `first at ${first.toFixed(1)}`);
    cell.title = `${layer.name}: ${whole(layer.neurons)} neurons`;
    cell.append(heat, text);
    return cell;
  }));
}

function showCost(result) {
  const { snn_nj: snn, ann_nj: ann, basis } = result.energy;
  const rows = [
    ["spikes", whole(result.spikes.total)], ["spikes per neuron and step", result.spikes.per_neuron_step.toFixed(4)],
    ["synaptic operations", whole(result.spikes.synaptic_operations)], ["energy, spiking", energy(snn)], ["energy, float network", energy(ann)],
    ["ratio", `${(snn / ann).toFixed(2)}`], ["time steps used", whole(result.timesteps_used)],
  ];
  const note = document.createElement("p");
  note.className = "quiet";
  note.textContent = `Energy by ${basis}; arithmetic only.`;
  at("cost").replaceChildren(table(["", "value"], rows, "Cost"), note);
}

function showLatency(ms) {
  const other = Math.max(0, ms.total - ms.queue - ms.decode - ms.simulate);
  const parts = [["queue", ms.queue], ["decode", ms.decode], ["simulate", ms.simulate], ["float network and answer", other]];
  show("chart-latency", (c) => ({
    type: "bar",
    data: { labels: [""], datasets: parts.map(([label, value], i) => ({ label, data: [value], backgroundColor: [c.quiet, c.second, c.first, c.line][i] })) },
    options: { indexAxis: "y", scales: { x: { stacked: true, max: ms.total }, y: { stacked: true } }, plugins: { legend: { position: "bottom" } } },
  }));
  at("table-latency").replaceChildren(table(["part", "ms"], [...parts, ["total", ms.total]].map(([k, v]) => [k, millis(v)]), "Latency"));
}

const cards = ["preview", "classes", "steps", "layers", "cost", "latency"].map((name) => `card-${name}`);

/** No answer to show: a line of text instead. Cards of an answer before stay, pale, where `keep` says so. */
export function showNone(text, keep) {
  const pale = keep && !at("card-classes").hidden;
  at("verdict").textContent = pale ? `${text} Below, pale, is the one before.` : text;
  at("view-classify").classList.toggle("stale", pale);
  if (!keep) {
    for (const id of cards) reveal(id, false);
    at("json").textContent = "";
  }
}

export function showAnswer(answer, labels) {
  at("view-classify").classList.remove("stale");
  const result = answer.results[0], best = result.class;
  const float = result.reference?.class;
  at("verdict").textContent = `${name(best)}, ${percent(best.probability)}` +
    (float ? `. The float network says ${name(float)}, ${percent(float.probability)}${float.index === best.index ? "" : ": they differ"}.` : ".");
  if (reveal("card-preview", Boolean(result.input_png))) at("preview").src = `data:image/png;base64,${result.input_png}`;
  for (const id of ["card-classes", "card-cost", "card-latency"]) reveal(id, true);
  showClasses(result, labels);
  showSteps(result, labels);
  showLayers(result);
  showCost(result);
  showLatency(answer.latency_ms);
  at("json").textContent = JSON.stringify(answer, (key, value) => (key === "input_png" ? `${value.slice(0, 24)}…` : value), 1);
}
